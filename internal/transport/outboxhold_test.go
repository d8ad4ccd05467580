package transport_test

import (
	"context"
	"strings"
	"testing"

	"rialto/internal/model"
	"rialto/internal/org"
	"rialto/internal/store"
	"rialto/internal/store/rules"
	"rialto/internal/transport"
)

// doubtful is a directory in which nobody can say whose an address is until that
// is settled.
type doubtful struct {
	org.Directory
	address model.Address
	settled chan struct{}
}

func (d *doubtful) Resolve(ctx context.Context, a model.Address) (*org.Recipient, error) {
	select {
	case <-d.settled:
	default:
		if a.Key() == d.address.Key() {
			return nil, model.E("org.resolve", model.KindUnavailable, "several objects", nil)
		}
	}
	return d.Directory.Resolve(ctx, a)
}

// TestOutboxGoesOn: what one message of an outbox has to wait for does not hold
// up those behind it, and it is sent once that is there.
func TestOutboxGoesOn(t *testing.T) {
	m := newMachine(t, 0)
	m.boot()
	m.tr.Shutdown(t.Context())
	dir := &doubtful{m.dir, m.boxes["a0"].Primary, make(chan struct{})}
	var err error
	if m.disks[0], err = m.disks[0].Reopen(); err != nil {
		t.Fatal(err)
	}
	if m.tr, err = transport.New(t.Context(), transport.Options{Org: dir, Stores: m, Queue: m.disks[0]}); err != nil {
		t.Fatal(err)
	}
	if err := m.tr.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	db := m.dbs[m.stores[0]]
	for _, name := range []string{"a0", "b0"} {
		r := m.boxes[name]
		m.rules(name, rules.Rule{Actions: []rules.Action{m.sendOn("b1", 0)}})
		w := db.NewContent(t.Context())
		if _, err := w.Write([]byte("From: x@a.test\r\nSubject: of " + name + "\r\n\r\ntext\r\n")); err != nil {
			t.Fatal(err)
		}
		st, err := w.Finish(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		dv := &store.Delivery{QueueID: name, Item: store.NewItem{Content: st}, Origin: store.Origin{Sender: m.boxes["a1"].Primary},
			To: []store.DeliverTo{{Mailbox: r.MailboxGUID, Key: name, Owner: store.Party{Name: name, Address: r.Primary}}}}
		if res, err := db.Deliver(t.Context(), dv); err != nil || res[0].Err != nil {
			t.Fatal(res, err)
		}
		st.Release()
	}
	m.tr.Mounted(m.stores[0])
	eventually(t, "the second message is sent", func() bool { l, err := db.Outbox(t.Context(), 0, 9); return err == nil && len(l) == 1 })
	close(dir.settled)
	m.tr.Mounted(m.stores[0])
	eventually(t, "the first message is sent", func() bool { l, err := db.Outbox(t.Context(), 0, 9); return err == nil && len(l) == 0 })
	m.drain()
	if got := m.raw("b1"); len(got) != 2 || !strings.Contains(got[0]+got[1], "a0@a.test") || !strings.Contains(got[0]+got[1], "b0@a.test") {
		t.Errorf("%q", got)
	}
	m.tr.Shutdown(t.Context())
}
