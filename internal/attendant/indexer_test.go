package attendant

import (
	"context"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"rialto/internal/convert"
	"rialto/internal/mapi"
	"rialto/internal/message"
	"rialto/internal/model"
	"rialto/internal/org"
	"rialto/internal/store"
	"rialto/internal/store/fulltext"
)

// deliver puts a message into the Inbox.
func deliver(t *testing.T, m *store.Mailbox, mail string) *store.State {
	t.Helper()
	ctx := context.Background()
	w, p := m.Database().NewContent(ctx), new(message.Parser)
	if _, err := io.WriteString(io.MultiWriter(w, p), mail); err != nil {
		t.Fatal(err)
	}
	st, err := w.Finish(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer st.Release()
	proj := convert.FromMIME(p, p.Close())
	states, err := m.Append(ctx, store.FolderInbox, &store.NewItem{Content: st, Structure: proj.Structure, Trace: []byte("Received: trace\r\n"),
		Summary: store.Summary{Props: proj.Summary, Envelope: proj.Envelope}})
	if err != nil {
		t.Fatal(err)
	}
	return states[0]
}

// verdict is what the index says of an item.
func verdict(t *testing.T, x *fulltext.Indexes, m *store.Mailbox, s *store.State, text string, f fulltext.Field) fulltext.Verdict {
	t.Helper()
	h, err := x.Find(context.Background(), m, text, f)
	if err != nil {
		t.Fatal(err)
	}
	if h == nil {
		return fulltext.Maybe
	}
	return h.Test(s.Row, s.OID)
}

// The indexer finds stores, mailboxes and mail by itself, rests, and lets go of
// what is dismounted.
func TestIndexer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(context.Background())
		s, _, guid := setup(t)
		first := &org.Recipient{Name: "a", MailboxGUID: model.NewGUID(), StoreGUID: guid}
		a, err := s.Mailbox(ctx, first)
		if err != nil {
			t.Fatal(err)
		}
		old := deliver(t, a, "Subject: old\r\n\r\nkangaroo")
		indexes := fulltext.New(fulltext.Options{Extract: ItemText(), Pace: Rest()})
		x := NewIndexer(IndexerOptions{Stores: s, Indexes: indexes, Quiet: time.Second})
		ended := make(chan struct{})
		go func() { x.Run(ctx); close(ended) }()
		time.Sleep(5 * time.Second) // of the bubble's clock
		if v := verdict(t, indexes, a, old, "angaro", fulltext.Body); v != fulltext.Yes {
			t.Errorf("mail from before: %v", v)
		}
		b, err := s.Mailbox(ctx, &org.Recipient{Name: "b", MailboxGUID: model.NewGUID(), StoreGUID: guid})
		if err != nil {
			t.Fatal(err)
		}
		mail := deliver(t, a, "Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\nFrom: Bob <bob@x.test>\r\n\r\nwallaby")
		other := deliver(t, b, "Subject: b\r\n\r\nwombat")
		time.Sleep(2*lookInterval + 5*time.Second)
		for _, c := range []struct {
			box   *store.Mailbox
			item  *store.State
			text  string
			field fulltext.Field
			want  fulltext.Verdict
		}{
			{a, mail, "WALLABY", fulltext.Body, fulltext.Yes}, {a, old, "wallaby", fulltext.Body, fulltext.No}, {b, other, "omba", fulltext.Body, fulltext.Yes},
			{a, mail, "grüße", fulltext.Subject, fulltext.Yes}, {a, mail, "bob", fulltext.From, fulltext.Yes}, {a, mail, "trace", fulltext.Header, fulltext.Yes},
			{a, mail, "trace", fulltext.Body, fulltext.No}, {a, mail, "bob@x", fulltext.From, fulltext.Maybe},
		} {
			if v := verdict(t, indexes, c.box, c.item, c.text, c.field); v != c.want {
				t.Errorf("%q: %v, want %v", c.text, v, c.want)
			}
		}
		if err := s.Dismount(ctx, guid); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Second)
		if err := s.Mount(ctx, guid); err != nil {
			t.Fatal(err)
		}
		if a, err = s.Mailbox(ctx, first); err != nil {
			t.Fatal(err)
		}
		late := deliver(t, a, "Subject: late\r\n\r\nechidna")
		time.Sleep(2*lookInterval + 5*time.Second)
		if v := verdict(t, indexes, a, late, "echidna", fulltext.Body); v != fulltext.Yes {
			t.Errorf("after a dismount: %v", v)
		}
		cancel()
		<-ended
		if got := gathered(t, x); got["rialto_index_items_total"] != 4 || got["rialto_index_waiting_mailboxes"] != 0 || got["rialto_index_failures_total"] != 0 {
			t.Errorf("metrics %v", got)
		}
		s.Close(context.Background())
	})
}

func gathered(t *testing.T, c prometheus.Collector) map[string]float64 {
	t.Helper()
	r := prometheus.NewRegistry()
	r.MustRegister(c)
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]float64{}
	for _, f := range families {
		m := f.GetMetric()[0]
		out[f.GetName()] = m.GetCounter().GetValue() + m.GetGauge().GetValue()
	}
	return out
}

// Items made of properties are found by their words; for exact searches they are
// candidates.
func TestItemTextOfProperties(t *testing.T) {
	ctx := context.Background()
	s, _, guid := setup(t)
	m, err := s.Mailbox(ctx, &org.Recipient{Name: "a", MailboxGUID: model.NewGUID(), StoreGUID: guid})
	if err != nil {
		t.Fatal(err)
	}
	var sum, bag, to mapi.Properties
	sum.Set(mapi.TagSubject, "numbat")
	sum.Set(mapi.TagSentRepresentingName, "Bilby")
	bag.Set(mapi.TagBody, "the quokka smiles")
	to.Set(mapi.TagRecipientType, int32(2))
	to.Set(mapi.TagDisplayName, "Quoll")
	states, err := m.Append(ctx, store.FolderInbox, &store.NewItem{Summary: store.Summary{Props: sum}, Props: bag, Recipients: []mapi.Properties{to}})
	if err != nil {
		t.Fatal(err)
	}
	x := fulltext.New(fulltext.Options{Extract: ItemText()})
	if _, err := x.Feed(ctx, m); err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]int{"subject:numbat": 1, "from:bilby": 1, "body:smiling": 1, "cc:quoll": 1, "to:quoll": 0, "dingo": 0} {
		q, err := fulltext.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		if res, err := x.Search(ctx, m, q, fulltext.Scope{}); err != nil || res.Total != want {
			t.Errorf("%s: %d, %v", text, res.Total, err)
		}
	}
	if v := verdict(t, x, m, states[0], "dingo", fulltext.Body); v != fulltext.Maybe {
		t.Errorf("exact search: %v", v)
	}
}

// A pace rests as long as was worked, and ends with its context.
func TestRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pace := Rest()
		for _, worked := range []time.Duration{0, 20 * time.Millisecond, time.Hour} {
			time.Sleep(worked)
			began := time.Now()
			if err := pace(t.Context()); err != nil {
				t.Fatal(err)
			}
			if got := time.Since(began); got != min(worked, maxRest) {
				t.Errorf("rests %v after %v", got, worked)
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		time.Sleep(time.Millisecond)
		if err := pace(ctx); err == nil || !strings.Contains(err.Error(), "stopped") {
			t.Errorf("cancelled: %v", err)
		}
	})
}
