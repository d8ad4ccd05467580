package transport

import (
	"net"
	"strings"
	"testing"
	"time"

	"rialto/internal/model"
	"rialto/internal/org"
	"rialto/internal/wire/smtp"
)

func TestSchedule(t *testing.T) {
	c := scheduleOf(org.SMTPSettings{})
	for _, tc := range []struct {
		attempt int
		jitter  float64
		want    time.Duration
	}{{0, 0, 10 * time.Minute}, {1, 0, 10 * time.Minute}, {3, 1, 11 * time.Minute}, {4, 0, 15 * time.Minute}, {400, 0.5, 15*time.Minute + 45*time.Second}} {
		if got := c.Next(tc.attempt, tc.jitter); got != tc.want {
			t.Errorf("Next(%d, %v) = %v, want %v", tc.attempt, tc.jitter, got, tc.want)
		}
	}
	start := time.Unix(1e9, 0)
	for _, tc := range []struct {
		age  time.Duration
		told bool
		want Verdict
	}{{0, false, Wait}, {12*time.Hour - 1, false, Wait}, {12 * time.Hour, false, TellDelay}, {13 * time.Hour, true, Wait}, {48 * time.Hour, true, GiveUp}, {99 * time.Hour, false, GiveUp}} {
		if got := c.Judge(start, start.Add(tc.age), tc.told); got != tc.want {
			t.Errorf("Judge(%v, %v) = %v, want %v", tc.age, tc.told, got, tc.want)
		}
	}
}

func TestWanted(t *testing.T) {
	for _, tc := range []struct {
		s    State
		n    smtp.Notify
		want bool
	}{
		{Failed, 0, true}, {Failed, smtp.NotifyNever, false}, {Failed, smtp.NotifySuccess, false}, {Failed, smtp.NotifyFailure, true},
		{Delivered, 0, false}, {Delivered, smtp.NotifySuccess, true}, {Relayed, smtp.NotifySuccess, true}, {Passed, smtp.NotifySuccess, false},
		{Expanded, smtp.NotifySuccess, true}, {Ready, smtp.NotifySuccess, false},
	} {
		if got := wanted(tc.s, tc.n); got != tc.want {
			t.Errorf("wanted(%v, %v) = %v", tc.s, tc.n, got)
		}
	}
	if !wantsDelay(0) || wantsDelay(smtp.NotifyFailure) || !wantsDelay(smtp.NotifyDelay|smtp.NotifySuccess) {
		t.Error("wantsDelay")
	}
}

func TestRoute(t *testing.T) {
	here, there, lost := guidOf("here"), guidOf("there"), guidOf("lost")
	cfg := &org.Config{
		Server: org.Server{GUID: guidOf("s1"), StorageGroups: []org.StorageGroup{{Stores: []org.Store{{GUID: here}}}}},
		Servers: []org.Server{{GUID: guidOf("s1"), FQDN: "one.test"},
			{GUID: guidOf("s2"), FQDN: "Two.test", StorageGroups: []org.StorageGroup{{Stores: []org.Store{{GUID: there}}}}}},
	}
	x := model.Address{Local: "x", Domain: "else.test"}
	smart := *cfg
	smart.Server.VirtualServers = []org.VirtualServer{{Protocol: org.SMTP, SMTP: org.SMTPSettings{SmartHost: "Relay.test:2525"}}}
	for _, tc := range []struct {
		cfg  *org.Config
		r    Rcpt
		want string
	}{
		{cfg, Rcpt{To: x}, "categorizer"},
		{cfg, Rcpt{To: x, State: Ready}, "domain:else.test"},
		{&smart, Rcpt{To: x, State: Ready}, "host:relay.test:2525"},
		{&smart, Rcpt{To: x, State: Ready, Mailbox: here, Store: here}, "store:" + here.String()},
		{cfg, Rcpt{State: Ready, Mailbox: here, Store: there}, "host:two.test"},
		{cfg, Rcpt{State: Ready, Mailbox: here, Store: lost}, "store:" + lost.String()},
	} {
		if got := route(tc.cfg, &tc.r).String(); got != tc.want {
			t.Errorf("route(%+v) = %s, want %s", tc.r, got, tc.want)
		}
	}
}

func TestOrderMX(t *testing.T) {
	parse := func(s string) (mx []*net.MX) {
		for w := range strings.FieldsSeq(s) {
			host, pref, _ := strings.Cut(w, "=")
			mx = append(mx, &net.MX{Host: host, Pref: uint16(len(pref))})
		}
		return mx
	}
	self := func(h string) bool { return h == "me" }
	last := func(n int) int { return n - 1 } // turns equals round
	for _, tc := range []struct{ in, want string }{
		{"b.=22 a.=1 c=333", "a b c"},
		{"a=1 b=1 c=1 z=", "z a b c"},
		{"a=1 me.=22 b=22 c=333", "a"},
		{"me=1 a=22", "5.3.5"},
		{".=", "5.1.10"},
		{"A.=1 a=1", "a"},
	} {
		hosts, bad := orderMX(parse(tc.in), self, last)
		got := strings.Join(hosts, " ")
		if bad != nil {
			got = bad.status
		}
		if got != tc.want {
			t.Errorf("%q: %q, want %q", tc.in, got, tc.want)
		}
	}
}

func TestParseHost(t *testing.T) {
	for _, tc := range []struct {
		in, host string
		port     int
	}{{"a.test", "a.test", 0}, {"a.test:2525", "a.test", 2525}, {"[10.0.0.1]", "10.0.0.1", 0}, {"[10.0.0.1]:26", "10.0.0.1", 26},
		{"[IPv6:::1]", "::1", 0}, {"[::1]:27", "::1", 27}, {"127.0.0.1:25", "127.0.0.1", 25}} {
		if h, p := parseHost(tc.in); h != tc.host || p != tc.port {
			t.Errorf("%q: %q %d", tc.in, h, p)
		}
	}
}

func TestHeaderEnd(t *testing.T) {
	for in, want := range map[string]int{"": -1, "\r\nx": 2, "A: b\r\n\r\nx": 8, "A: b\n\nx": 6, "A: b\r\n": -1, "A: b\r\n\r": -1} {
		if got := headerEnd([]byte(in), 0); got != want {
			t.Errorf("%q: %d, want %d", in, got, want)
		}
		// In pieces of one octet the end is found too.
		f := &fixer{}
		for i := range len(in) {
			if rest, ok := f.take([]byte{in[i]}); ok {
				if i+1 != want || len(rest) != 0 {
					t.Errorf("%q: in pieces at %d", in, i+1)
				}
				break
			}
		}
	}
}

func TestComplete(t *testing.T) {
	now := time.Date(2026, 11, 22, 13, 0, 0, 0, time.UTC)
	sender := &org.Recipient{Name: "Al", Primary: model.Address{Local: "al", Domain: "x.test"}}
	for _, tc := range []struct {
		in     string
		behalf bool
		want   string
	}{
		{"Date: x\r\nMessage-ID: <1@x>\r\nFrom: a@x\r\n\r\n", false, ""},
		{"Subject: x\r\n\r\n", false, "Date: Sun, 22 Nov 2026 13:00:00 +0000\r\nMessage-ID: <id@h>\r\nFrom: Al <al@x.test>\r\n"},
		{"Date: x\r\nMessage-ID: <1@x>\r\nFrom: boss@x\r\n\r\n", true, "Sender: Al <al@x.test>\r\n"},
		{"Date: x\r\nMessage-ID: <1@x>\r\nFrom: boss@x\r\nSender: al@x\r\n\r\n", true, ""},
	} {
		if got := complete(messageHeader(tc.in), model.Address{}, sender, tc.behalf, "id@h", now); string(got) != tc.want {
			t.Errorf("%q: %q, want %q", tc.in, got, tc.want)
		}
	}
}

func TestReceivedIsSafe(t *testing.T) {
	ses := &Session{Helo: "evil\r\nBcc: x (a) <b>;\"", Proto: "ESMTP"}
	got := string(received(ses, "me.test", "ID", &model.Address{Local: "a", Domain: "b.test"}, time.Unix(0, 0).UTC()))
	want := "Received: from evilBcc:xab\r\n\tby me.test with ESMTP id ID\r\n\tfor <a@b.test>;\r\n\tThu, 01 Jan 1970 00:00:00 +0000\r\n"
	if got != want {
		t.Errorf("%q", got)
	}
	if !byHost(got, "ME.test") || byHost(got, "you.test") {
		t.Error("byHost")
	}
}
