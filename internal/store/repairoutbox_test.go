package store

import (
	"strings"
	"testing"

	"rialto/internal/store/content"
	"rialto/internal/store/layout"
	"rialto/internal/store/rules"
)

// What is to be sent outlives a repair, whatever of it was damaged; what does not
// is named.
func TestRepairOutbox(t *testing.T) {
	f := newFixture(t)
	m := f.mailbox("alice")
	f.setRules(m, rules.Rule{Actions: []rules.Action{fwd(0), rules.Delete{}}})
	for _, name := range []string{"good", "unreferenced", "sourceless", "damaged"} {
		f.arrive(m, name, Origin{})
	}
	mail, err := f.db.Outbox(ctx, 0, 10)
	f.ok(err)
	rows, err := m.Purge(ctx, FolderInbox, f.now.Add(1e12))
	if err != nil || rows != 4 {
		t.Fatal(rows, err)
	}
	b := f.db.kv.NewBatch()
	b.Delete(content.RefKey(mail[1].Content, layout.OutboxMailbox, uint64(mail[1].ID)))
	b.Delete(content.HeaderKey(mail[2].Content))
	b.Set(layout.OutboxKey(mail[3].ID), []byte{1})
	b.Delete(layout.FactKey("outbox"))
	f.ok(f.db.commit(ctx, b))
	rep, err := Repair(ctx, f.db.kv, Options{GUID: f.guid, Name: "Mailbox Store", Clock: f.db.opt.Clock, Content: f.opt})
	f.ok(err)
	if len(rep.Problems) > 0 {
		t.Errorf("%q", rep.Problems)
	}
	if len(rep.Losses) != 2 || !strings.Contains(rep.Losses[0].What, "is lost") || rep.Losses[1].Subject != "sourceless" {
		t.Errorf("%+v", rep.Losses)
	}
	f.open()
	if got := f.outgoing(); got != "1>c@c.test |1>c@c.test " {
		t.Errorf("outbox holds %q", got)
	}
	if id, err := f.db.outboxID(ctx); err != nil || id <= mail[3].ID {
		t.Errorf("%d is given again: %v", id, err)
	}
}
