package smtp

import (
	"strings"
	"testing"
	"time"

	"rialto/internal/message"
	"rialto/internal/model"
	"rialto/internal/org"
	"rialto/internal/transport"
	wire "rialto/internal/wire/smtp"
)

const letter = "From: a@x.test\r\nTo: alice@contoso.test\r\nSubject: hello\r\nMessage-ID: <1@x.test>\r\nDate: Sun, 22 Nov 2026 13:00:00 +0000\r\n\r\nHi.\r\n"

func TestDeliveryAtOnce(t *testing.T) {
	s := newSite(t, "contoso.test", nil, nil, "alice", "bob")
	s.send("", "a@x.test", letter, to("alice@contoso.test", "Bob@Contoso.test")...)
	for _, u := range []string{"alice", "bob"} {
		in := s.inbox(u) // no waiting: 250 means that it is there
		if len(in) != 1 {
			t.Fatalf("%s has %d messages", u, len(in))
		}
		h := message.Header(in[0])
		if h.Get("Return-Path") != "<a@x.test>" || !strings.Contains(h.Get("Received"), "from client.test ([127.0.0.1])\tby mail.contoso.test with ESMTP id") {
			t.Errorf("trace: %q", in[0])
		}
		if !strings.HasSuffix(in[0], letter) {
			t.Errorf("message changed: %q", in[0])
		}
	}
	if q := s.tr.Queues(); len(q) != 0 {
		t.Errorf("something was queued: %+v", q)
	}
}

func TestSeveralStores(t *testing.T) {
	other := model.NewGUID()
	s := newSite(t, "contoso.test", nil, func(s *site) {
		s.addStore(other)
		s.addUser("carol", other)
		s.down[other] = true
	}, "alice")
	s.send("", "a@x.test", letter, to("alice@contoso.test", "carol@contoso.test")...)
	s.wait("alice", 1)
	if in := s.inbox("carol"); len(in) != 0 {
		t.Fatal("delivered to a store that is dismounted")
	}
	s.mu.Lock()
	s.down[other] = false
	s.mu.Unlock()
	for end := time.Now().Add(5 * time.Second); len(s.tr.Queues()) > 0 && time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		s.tr.Mounted(other)
	}
	if in := s.wait("carol", 1); !strings.HasSuffix(in[0], letter) {
		t.Errorf("message changed: %q", in[0])
	}
	s.wait("alice", 1)
}

func TestGroupForwardAndDuplicates(t *testing.T) {
	s := newSite(t, "contoso.test", nil, func(s *site) {
		a, b := s.addUser("alice", s.guid), s.addUser("bob", s.guid)
		c := s.addUser("carol", s.guid)
		c.ForwardTo, c.KeepCopy = a.GUID, true
		g := &org.Recipient{GUID: model.NewGUID(), Kind: org.Group, Primary: addr("staff@contoso.test"), ReportToSender: true}
		s.dir.Add(g)
		s.dir.Groups[g.GUID] = []model.GUID{a.GUID, b.GUID, c.GUID, g.GUID}
	})
	s.send("", "a@x.test", letter, to("staff@contoso.test", "alice@contoso.test")...)
	for _, u := range []string{"alice", "bob", "carol"} {
		if in := s.inbox(u); len(in) != 1 {
			t.Errorf("%s has %d messages", u, len(in))
		}
	}
}

// TestTwoOrganizations sends from one to the other, over TLS, and gets a
// report back for an address that does not exist.
func TestTwoOrganizations(t *testing.T) {
	w := newWorld()
	a := newSite(t, "a.test", w, nil, "alice")
	b := newSite(t, "b.test", w, func(s *site) { s.selfSigned() }, "bob")
	mail := "From: alice@a.test\r\nTo: bob@b.test\r\nSubject: over\r\n\r\n.dot\r\nH\xe4\r\n"
	a.send("alice", "alice@a.test", mail, to("bob@b.test", "nobody@b.test")...)
	in := b.wait("bob", 1)
	if !strings.HasSuffix(in[0], "\r\n\r\n.dot\r\nH\xe4\r\n") {
		t.Errorf("body changed: %q", in[0])
	}
	h := message.Header(in[0])
	got := h.Values("Received")
	if len(got) != 2 || !strings.Contains(got[0], "with ESMTPS (TLS 1.3") || !strings.Contains(got[1], "with ESMTPA") {
		t.Errorf("Received: %q", got)
	}
	if h.Get("Message-ID") == "" || h.Get("Date") == "" {
		t.Error("submission did not complete the header")
	}
	ndr := a.wait("alice", 1)[0]
	if h := message.Header(ndr); h.Get("Return-Path") != "<>" || h.Get("Subject") != "Undeliverable: over" || h.Get("Auto-Submitted") != "auto-replied" {
		t.Errorf("report header: %q", ndr)
	}
	r := report(t, ndr, 1)
	if r.Get("Final-Recipient") != "rfc822;nobody@b.test" || r.Get("Action") != "failed" || r.Get("Status") != "5.1.1" || r.Get("Remote-MTA") != "dns;mail.b.test" {
		t.Errorf("report: %q", r)
	}
	if !strings.Contains(ndr, "Content-Type: message/rfc822") || !strings.Contains(ndr, ".dot") {
		t.Errorf("the message is not returned: %q", ndr)
	}
}

func TestSuccessReport(t *testing.T) {
	s := newSite(t, "contoso.test", nil, nil, "alice", "bob")
	s.send("bob", "bob@contoso.test", letter2("bob@contoso.test"), wire.Rcpt{To: addr("alice@contoso.test"), Notify: wire.NotifySuccess, ORcptType: "rfc822", ORcpt: "Al@old.test"})
	s.wait("alice", 1)
	ndr := s.wait("bob", 1)[0]
	r := report(t, ndr, 1)
	if r.Get("Action") != "delivered" || r.Get("Original-Recipient") != "rfc822;Al@old.test" || r.Get("Status") != "2.0.0" {
		t.Errorf("report: %q", r)
	}
	if !strings.Contains(ndr, "text/rfc822-headers") || strings.Contains(ndr, "Hi.\r\n") {
		t.Error("a success report returns the header only")
	}
}

func letter2(from string) string { return strings.Replace(letter, "a@x.test", from, 1) }

func TestHardQuota(t *testing.T) {
	s := newSite(t, "contoso.test", nil, func(s *site) {
		r := s.addUser("full", s.guid)
		r.UseDefaults, r.HardQuota = false, 1
	}, "alice")
	s.send("alice", "alice@contoso.test", letter2("alice@contoso.test"), to("full@contoso.test")...) // still empty
	c, _ := s.client()
	res, err := c.Send(&wire.Envelope{From: addr("x@x.test"), Size: -1, Rcpts: to("full@contoso.test")}, strings.NewReader(letter))
	if err != nil || res.Data.Code != 550 || res.Data.Enhanced != "5.2.2" {
		t.Fatalf("%v, %+v", err, res.Data)
	}
	// One of two is full: the other gets it, the sender a report.
	s.send("alice", "alice@contoso.test", letter2("alice@contoso.test"), to("full@contoso.test", "alice@contoso.test")...)
	in := s.wait("alice", 2)
	if r := report(t, in[1], 1); r.Get("Status") != "5.2.2" || r.Get("Final-Recipient") != "rfc822;full@contoso.test" {
		t.Errorf("report: %q", r)
	}
}

func TestSendAs(t *testing.T) {
	s := newSite(t, "contoso.test", nil, func(s *site) {
		a := s.addUser("alice", s.guid)
		a.Addresses = []model.Address{addr("al@contoso.test")}
		s.addUser("bob", s.guid)
		boss := s.addUser("boss", s.guid)
		boss.SendOnBehalf = []model.GUID{a.GUID}
	})
	for _, tc := range []struct {
		envelope, from string
		mail, data     int
	}{
		{"alice@contoso.test", "alice@contoso.test", 250, 250},
		{"AL@contoso.test", "Al <al@contoso.test>", 250, 250},
		{"", "alice@contoso.test", 250, 250},
		{"boss@contoso.test", "boss@contoso.test", 250, 250},
		{"alice@contoso.test", "boss@contoso.test", 250, 250},
		{"bob@contoso.test", "alice@contoso.test", 550, 0},
		{"x@else.test", "alice@contoso.test", 550, 0},
		{"alice@contoso.test", "bob@contoso.test", 250, 550},
		{"alice@contoso.test", "x@else.test", 250, 550},
	} {
		c, nc := s.client()
		if err := c.Auth(loginAs("alice")); err != nil {
			t.Fatal(err)
		}
		res, err := c.Send(&wire.Envelope{From: addr(tc.envelope), Size: -1, Rcpts: to("bob@contoso.test")}, strings.NewReader("From: "+tc.from+"\r\n\r\nx\r\n"))
		if err != nil || res.Mail.Code != tc.mail || tc.data != 0 && res.Data.Code != tc.data {
			t.Errorf("%+v: %v, %+v %+v", tc, err, res.Mail, res.Data)
		}
		nc.Close()
	}
	in := s.inbox("bob")
	if len(in) != 5 || message.Header(in[4]).Get("Sender") != "Alice <alice@contoso.test>" || message.Header(in[0]).Get("Sender") != "" {
		t.Errorf("%d messages, last %q", len(in), in[len(in)-1])
	}
}

func TestBounceLoopsEnd(t *testing.T) {
	w := newWorld()
	s := newSite(t, "contoso.test", w, nil, "alice")
	// A report for mail that came from an address that does not exist either.
	if _, err := s.tr.Submit(t.Context(), addr("ghost@nowhere.test"), []model.Address{addr("x@gone.test")}, strings.NewReader(letter)); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(5 * time.Second); len(s.tr.Queues()) > 0; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("still queued: %+v", s.tr.Queues())
		}
	}
	if e := s.events.Recent(10, nil); len(e) != 1 || e[0].ID != transport.EventDoubleBounce {
		t.Errorf("events %+v", e)
	}
}

func TestLoops(t *testing.T) {
	w := newWorld()
	s := newSite(t, "contoso.test", w, nil, "alice")
	hops := strings.Repeat("Received: from a by b; x\r\n", 30)
	own := strings.Repeat("Received: from a\r\n by mail.contoso.test; x\r\n", 4)
	for _, h := range []string{hops, own} {
		c, _ := s.client()
		res, err := c.Send(&wire.Envelope{From: addr("x@x.test"), Size: -1, Rcpts: to("alice@contoso.test")}, strings.NewReader(h+letter))
		if err != nil || res.Data.Code != 554 || res.Data.Enhanced != "5.4.6" {
			t.Errorf("%v %+v", err, res.Data)
		}
	}
	// A domain whose exchanger is this server without it knowing.
	w.mu.Lock()
	w.mx["lost.test"] = w.mx["contoso.test"]
	w.mu.Unlock()
	s.send("alice", "alice@contoso.test", letter2("alice@contoso.test"), to("x@lost.test")...)
	if r := report(t, s.wait("alice", 1)[0], 1); r.Get("Status") != "5.3.5" {
		t.Errorf("report %q", r)
	}
}

func TestLargeMessage(t *testing.T) {
	w := newWorld()
	a := newSite(t, "a.test", w, func(s *site) { s.dir.Cfg.Organization.MaxSend, s.dir.Cfg.Organization.MaxReceive = 20<<20, 20<<20 }, "alice")
	b := newSite(t, "b.test", w, func(s *site) { s.dir.Cfg.Organization.MaxReceive = 20 << 20 }, "bob")
	body := strings.Repeat("0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\r\n", 100000)
	a.send("alice", "alice@a.test", "From: alice@a.test\r\n\r\n"+body, to("bob@b.test", "alice@a.test")...)
	for _, in := range []string{b.wait("bob", 1)[0], a.wait("alice", 1)[0]} {
		if !strings.HasSuffix(in, "\r\n\r\n"+body) {
			t.Errorf("%d octets, body changed", len(in))
		}
	}
}

func TestRestartKeepsQueue(t *testing.T) {
	w := newWorld()
	a := newSite(t, "a.test", w, nil, "alice")
	b := newSite(t, "b.test", w, nil, "bob")
	w.mu.Lock()
	port := w.ports["mail.b.test"]
	w.ports["mail.b.test"] = 1 // nothing answers there
	w.mu.Unlock()
	a.send("alice", "alice@a.test", letter2("alice@a.test"), to("bob@b.test")...)
	for end := time.Now().Add(5 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		q := a.tr.Queues()
		if len(q) == 1 && q[0].State == "retry" && q[0].Failures == 1 && q[0].Hop.String() == "domain:b.test" {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("queues %+v", q)
		}
	}
	m := a.tr.Messages(a.tr.Queues()[0].Hop, 0)
	if len(m) != 1 || m[0].Attempts != 1 {
		t.Fatalf("messages %+v", m)
	}
	if r, err := a.tr.Show(t.Context(), m[0].ID); err != nil || r.Rcpts[0].Status != "4.4.1" || r.Subject != "hello" {
		t.Fatalf("record %+v, %v", r, err)
	}
	w.mu.Lock()
	w.ports["mail.b.test"] = port
	w.mu.Unlock()
	a.restart(t) // retry times are not kept: everything is tried at once
	b.wait("bob", 1)
}
