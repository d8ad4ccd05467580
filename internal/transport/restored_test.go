package transport_test

import (
	"maps"
	"strings"
	"testing"

	"rialto/internal/kv"
	"rialto/internal/kv/memory"
	"rialto/internal/mapi"
	"rialto/internal/model"
	"rialto/internal/org"
	"rialto/internal/store"
	"rialto/internal/store/rules"
)

// rows copies what a database holds.
func rows(t *testing.T, db kv.DB) *memory.DB {
	t.Helper()
	out := memory.New(memory.Options{})
	b := out.NewBatch()
	it := db.Scan(t.Context(), kv.Range{Lower: []byte{0}, Upper: []byte{0xff}})
	for it.Next() {
		b.Set(it.Key(), it.Value())
	}
	if err := it.Close(); err != nil {
		t.Fatal(err)
	}
	c, err := out.Commit(t.Context(), b)
	if err == nil {
		err = c.Wait(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// open mounts a disk as the first store, and puts it into the machine.
func (m *machine) open(disk *memory.DB) *store.Database {
	m.t.Helper()
	m.disks[1] = disk
	db, err := store.Open(m.t.Context(), disk, store.Options{GUID: m.stores[0], Name: "store 0"})
	if err != nil {
		m.t.Fatal(err)
	}
	m.dbs = map[model.GUID]*store.Database{m.stores[0]: db}
	return db
}

// close closes databases and makes their disks ready again, and that of the
// queue (0), which the transport has closed.
func (m *machine) close(disks ...int) {
	m.t.Helper()
	for _, i := range disks {
		var err error
		if i > 0 {
			err = m.dbs[m.stores[i-1]].Close()
		}
		if err == nil {
			m.disks[i], err = m.disks[i].Reopen()
		}
		if err != nil {
			m.t.Fatal(err)
		}
	}
}

// into delivers to a0 while no transport runs.
func (m *machine) into(db *store.Database, subject string) {
	m.t.Helper()
	w := db.NewContent(m.t.Context())
	if _, err := w.Write([]byte("From: a1@a.test\r\nTo: a0@a.test\r\nSubject: " + subject + "\r\n\r\nx\r\n")); err != nil {
		m.t.Fatal(err)
	}
	st, err := w.Finish(m.t.Context())
	if err != nil {
		m.t.Fatal(err)
	}
	defer st.Release()
	var p mapi.Properties
	p.Set(mapi.TagSubject, subject)
	a0 := m.boxes["a0"]
	res, err := db.Deliver(m.t.Context(), &store.Delivery{Item: store.NewItem{Content: st, Summary: store.Summary{Props: p}},
		Origin: store.Origin{Sender: m.boxes["a1"].Primary},
		To:     []store.DeliverTo{{Mailbox: a0.MailboxGUID, Owner: store.Party{Name: "a0", Address: a0.Primary}}}})
	if err != nil || res[0].Err != nil {
		m.t.Fatal(err, res)
	}
}

// TestRestoredOutbox: what was in the outbox when a backup was made is not sent
// again after it was brought back, what had never been sent is, and so is what
// comes later.
func TestRestoredOutbox(t *testing.T) {
	m := newMachine(t, 0)
	db := m.open(m.disks[1])
	m.rules("a0", rules.Rule{Actions: []rules.Action{m.sendOn("b1", 0)}})
	m.into(db, "one")
	m.into(db, "two")
	first := rows(t, m.disks[1])
	m.into(db, "three")
	second := rows(t, m.disks[1])
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	m.dir.Cfg.Server.StorageGroups = []org.StorageGroup{{Stores: []org.Store{{GUID: m.stores[0]}}}}
	for round, c := range []struct {
		disk *memory.DB
		more string // comes after the store is mounted
		want string
	}{
		{first, "", "one two"},
		{second, "four", "one two three four"},
		{rows(t, second), "five", "one two three four five"}, // four is lost to a0, and was sent
		{rows(t, first), "six", "one two three four five six"},
		{memory.New(memory.Options{}), "", "one two three four five six"},
		// Files that are put back by hand: their ids come again, and nothing is lost.
		{rows(t, second), "seven", "one one two two three three four five six seven"},
	} {
		db := m.open(c.disk)
		if round > 0 && round < 5 {
			if _, err := db.NewIncarnations(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		m.close(1)
		m.boot()
		db = m.dbs[m.stores[0]]
		empty := func() bool { l, err := db.Outbox(t.Context(), 0, 1); return err == nil && len(l) == 0 }
		m.tr.Mounted(m.stores[0])
		eventually(t, "empty outbox", empty)
		if c.more != "" {
			m.submit("a1", "a0", "From: a1@a.test\r\nTo: a0@a.test\r\nSubject: "+c.more+"\r\n\r\nx\r\n")
			eventually(t, "empty outbox", empty)
		}
		m.drain()
		want := map[string]int{}
		for s := range strings.FieldsSeq(c.want) {
			want["FW: "+s]++
		}
		if sent := m.copies("b1"); !maps.Equal(sent, want) {
			t.Errorf("%d: sent %v, want %v", round, sent, want)
		}
		if v, err := db.Verify(t.Context(), store.VerifyOptions{}); err != nil || len(v.Problems) > 0 {
			t.Errorf("%d: %v %v", round, v, err)
		}
		m.tr.Shutdown(t.Context())
		m.close(0, 1, 2)
	}
}
