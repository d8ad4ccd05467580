package transport_test

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"rialto/internal/mapi"
	"rialto/internal/model"
	"rialto/internal/org"
	"rialto/internal/store"
	"rialto/internal/store/rules"
)

// raw returns the messages of an Inbox.
func (m *machine) raw(name string) (out []string) {
	m.t.Helper()
	v, err := m.box(name).View(m.t.Context())
	if err != nil {
		m.t.Fatal(err)
	}
	defer v.Close()
	var rows []store.RowID
	v.States(m.t.Context(), store.FolderInbox, 1, 1<<32-1, func(s *store.State) bool { rows = append(rows, s.Row); return true })
	streams, err := v.Streams(m.t.Context(), rows)
	if err != nil {
		m.t.Fatal(err)
	}
	for _, st := range streams {
		b, err := v.Open(m.t.Context(), st)
		if err != nil {
			m.t.Fatal(err)
		}
		raw, err := io.ReadAll(io.NewSectionReader(b, 0, b.Size()))
		if err != nil {
			m.t.Fatal(err)
		}
		out = append(out, string(raw))
	}
	return out
}

// box opens a mailbox, which is made if need be.
func (m *machine) box(name string) *store.Mailbox {
	m.t.Helper()
	r := m.boxes[name]
	db := m.dbs[r.StoreGUID]
	b, err := db.Mailbox(context.Background(), r.MailboxGUID)
	if model.IsKind(err, model.KindNotFound) {
		if b, err = db.CreateMailbox(context.Background(), r.MailboxGUID, r.Name); model.IsKind(err, model.KindExists) {
			b, err = db.Mailbox(context.Background(), r.MailboxGUID) // a delivery has made it meanwhile
		}
	}
	if err != nil {
		m.t.Fatal(err)
	}
	return b
}

func (m *machine) rules(name string, list ...rules.Rule) {
	m.t.Helper()
	var ch []store.RuleChange
	for i, r := range list {
		r.Sequence, r.State = int32(i), rules.Enabled
		ch = append(ch, store.RuleChange{Op: store.RuleAdd, Rule: r})
	}
	if _, err := m.box(name).ModifyRules(m.t.Context(), store.FolderInbox, true, ch...); err != nil {
		m.t.Fatal(err)
	}
}

func (m *machine) sendOn(to string, flavor uint32) rules.Action {
	return rules.Forward{Flavor: flavor, To: []rules.Recipient{{Name: to, Address: m.boxes[to].Primary}}}
}

func subject(s string) mapi.Restriction {
	return &mapi.Content{Tag: mapi.TagSubject, Match: mapi.Substring, Value: s}
}

func (m *machine) submit(from, to, text string) {
	m.t.Helper()
	if _, err := m.tr.Submit(m.t.Context(), m.boxes[from].Primary, []model.Address{m.boxes[to].Primary}, strings.NewReader(text)); err != nil {
		m.t.Fatal(err)
	}
}

func TestOutgoingForms(t *testing.T) {
	m := newMachine(t, 0)
	m.boot()
	defer m.tr.Shutdown(t.Context())
	m.rules("a0", rules.Rule{Condition: subject("inline"), Actions: []rules.Action{m.sendOn("b1", 0)}},
		rules.Rule{Condition: subject("attach"), Actions: []rules.Action{m.sendOn("b1", rules.AsAttachment)}},
		rules.Rule{Condition: subject("redirect"), Actions: []rules.Action{m.sendOn("b1", rules.PreserveSender|rules.DoNotChange)}},
		rules.Rule{Condition: &mapi.Content{Tag: mapi.TagBody, Match: mapi.Substring, Value: "bounce me"}, Actions: []rules.Action{rules.Bounce{Code: rules.BounceTooLarge}}},
		rules.Rule{Condition: subject("reply"), Actions: []rules.Action{rules.Reply{Flavor: rules.ReplyStock}}})
	head := "From: a1@a.test\r\nTo: a0@a.test\r\nMessage-ID: <src@a.test>\r\nReferences: <root@a.test>\r\nMIME-Version: 1.0\r\nContent-Type: text/plain;\r\n charset=utf-8\r\n"
	for i, c := range []struct {
		subject, body, at string
		has, hasNot       []string
	}{
		{"inline", "grüße", "b1", []string{"Return-Path: <a0@a.test>", "From: a0 <a0@a.test>", "Subject: FW: inline\r\n", "References: <root@a.test> <src@a.test>", "Content-Type: text/plain; charset=utf-8\r\n",
			"Auto-Submitted: auto-generated", "X-MS-Exchange-Inbox-Rules-Loop: a0@a.test\r\n", "\r\n\r\ngrüße\r\n"}, []string{"From: a1", "Message-ID: <src"}},
		{"attach", "text", "b1", []string{"Content-Type: multipart/mixed;", "Content-Type: message/rfc822\r\n\r\nReceived:", "Message-ID: <src@a.test>\r\n", "\r\n\r\ntext\r\n"}, []string{"<a1@a.test>\r\nReceived"}},
		{"redirect", "text", "b1", []string{"Resent-From: a0 <a0@a.test>\r\n", "Resent-To: b1 <b1@a.test>", "Resent-Date: ", "Resent-Message-ID: <", "From: a1@a.test\r\n", "Message-ID: <src@a.test>"}, []string{"<a1@a.test>\r\nReceived"}},
		{"x", "please bounce me", "a1", []string{"Return-Path: <>", "Content-Type: multipart/report;", "Final-Recipient: rfc822;a0@a.test", "Status: 5.2.3", "please bounce me"}, nil},
		{"reply", "text", "a1", []string{"Return-Path: <>", "In-Reply-To: <src@a.test>\r\n", "References: <root@a.test> <src@a.test>", "Auto-Submitted: auto-replied", "Subject: Re: reply"}, nil},
	} {
		before := len(m.raw(c.at))
		m.submit("a1", "a0", head+"Subject: "+c.subject+"\r\n\r\n"+c.body+"\r\n")
		eventually(t, c.subject, func() bool { return len(m.raw(c.at)) == before+1 })
		got := m.raw(c.at)[before]
		for _, s := range c.has {
			if !strings.Contains(got, s) {
				t.Errorf("%d: no %q in\n%s", i, s, got)
			}
		}
		for _, s := range c.hasNot {
			if strings.Contains(got, s) {
				t.Errorf("%d: %q in\n%s", i, s, got)
			}
		}
	}
	if n := len(m.raw("a0")); n != 4 { // all but the one that was returned
		t.Errorf("%d messages stayed", n)
	}
}

// Two mailboxes that send everything to each other, and answer everything, come
// to rest.
func TestNoLoops(t *testing.T) {
	m := newMachine(t, 0)
	m.boot()
	defer m.tr.Shutdown(t.Context())
	for _, p := range [][2]string{{"a0", "a1"}, {"a1", "b1"}, {"b1", "a0"}} {
		m.rules(p[0], rules.Rule{Actions: []rules.Action{m.sendOn(p[1], 0), m.sendOn(p[1], 3), rules.Reply{Flavor: rules.ReplyStock}}})
		if err := m.box(p[0]).SetOOF(t.Context(), store.OOF{On: true, Internal: "away", External: "away", Audience: store.AudienceAll}); err != nil {
			t.Fatal(err)
		}
	}
	m.submit("b0", "a0", "From: b0@a.test\r\nTo: a0@a.test\r\nSubject: round\r\n\r\nx\r\n")
	// The answer and the absence from a0, each once.
	eventually(t, "rest", func() bool { return len(m.raw("b0")) >= 2 && len(m.raw("a0")) == 9 && len(m.tr.Queues()) == 0 })
	for _, db := range m.dbs {
		eventually(t, "empty outbox", func() bool { l, err := db.Outbox(t.Context(), 0, 1); return err == nil && len(l) == 0 })
	}
	if got := len(m.raw("b0")); got != 2 {
		t.Errorf("b0 got %d messages:\n%s", got, strings.Join(m.raw("b0"), "\n--\n"))
	}
}

// TestOutboxPowerCuts lets a mailbox forward and answer while the power fails
// again and again: each accepted message is sent on exactly once, the sender is
// told once that the owner is away.
func TestOutboxPowerCuts(t *testing.T) {
	m := newMachine(t, 200*time.Microsecond)
	m.boot()
	m.rules("a0", rules.Rule{Actions: []rules.Action{m.sendOn("b1", 0)}})
	if err := m.box("a0").SetOOF(t.Context(), store.OOF{On: true, External: "away", Audience: store.AudienceAll}); err != nil {
		t.Fatal(err)
	}
	var accepted []string
	for n := range 60 {
		s := fmt.Sprint("m", n)
		text := "From: a1@a.test\r\nTo: a0@a.test\r\nSubject: " + s + "\r\n\r\n" + strings.Repeat("x", rand.IntN(60000)) + "\r\n"
		if _, err := m.tr.Submit(context.Background(), m.boxes["a1"].Primary, []model.Address{m.boxes["a0"].Primary}, strings.NewReader(text)); err == nil {
			accepted = append(accepted, s)
		}
		if n%3 == 2 {
			time.Sleep(time.Duration(rand.IntN(4)) * time.Millisecond)
			m.cut()
			m.boot()
		}
	}
	db := m.dbs[m.stores[0]]
	// Without a list of stores the transport learns of an outbox by mail.
	m.dir.Cfg.Server.StorageGroups = []org.StorageGroup{{Stores: []org.Store{{GUID: m.stores[0]}}}}
	m.tr.Mounted(m.stores[0])
	eventually(t, "empty outbox", func() bool { l, err := db.Outbox(t.Context(), 0, 1); return err == nil && len(l) == 0 })
	m.drain()
	sent := m.copies("b1")
	for _, s := range accepted {
		if sent["FW: "+s] != 1 {
			t.Errorf("%s was sent on %d times", s, sent["FW: "+s])
		}
	}
	for s, n := range sent {
		if n > 1 {
			t.Errorf("%s came %d times", s, n)
		}
	}
	away := m.raw("a1")
	if len(accepted) == 0 || len(away) != 1 || !strings.Contains(away[0], "Out of Office AutoReply: ") {
		t.Errorf("%d accepted, answers: %q", len(accepted), away)
	}
	if !slices.Contains(accepted, "m0") {
		t.Log("the first was not accepted")
	}
	m.tr.Shutdown(t.Context())
}
