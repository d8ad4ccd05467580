package store

import (
	"encoding/binary"
	"strings"
	"testing"
	"time"

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

// Ids of the outbox are not given twice, whatever history is lost.
func TestOutboxIDsAfterLoss(t *testing.T) {
	id := func(f *fixture) OutboxID {
		id, err := f.db.outboxID(ctx)
		f.ok(err)
		return id
	}
	for name, lose := range map[string]func(f *fixture){
		"power cut": func(f *fixture) {},
		"restore": func(f *fixture) {
			_, err := f.db.NewIncarnations(ctx)
			f.ok(err)
		},
		"another database": func(f *fixture) {
			f.eng = newEngine(f.t)
			f.open()
		},
		"repair": func(f *fixture) {
			f.db.Close()
			f.ok(f.eng.reopen())
			_, err := Repair(ctx, f.eng.db(), Options{GUID: f.guid, Clock: func() time.Time { return f.now }, Content: f.opt})
			f.ok(err)
			f.ok(f.eng.db().Close())
			f.reopen()
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			f.mailbox("alice")
			early := id(f)
			given := early
			for range 3 * layout.OutboxBlock {
				given = id(f)
			}
			f.mailbox("bob") // what was reserved is on the disk
			if name != "power cut" {
				// As a backup brings it.
				b := f.db.kv.NewBatch()
				b.Set(layout.FactKey("outbox"), binary.BigEndian.AppendUint64(nil, uint64(early)+layout.OutboxBlock))
				f.ok(f.db.commit(ctx, b))
			}
			f.eng.powerCut()
			f.db.Close()
			f.reopen()
			f.now = f.now.Add(time.Hour)
			lose(f)
			next, floor := id(f), f.db.RestoredBelow()
			if next <= given {
				t.Errorf("%d is given after %d", next, given)
			}
			if back := name == "restore" || name == "repair"; back != (floor > given) || floor > next || !back && floor != 0 {
				t.Errorf("came back below %d, after %d and before %d", floor, given, next)
			}
			f.eng.powerCut()
			f.db.Close()
			f.reopen()
			if f.db.RestoredBelow() != floor {
				t.Errorf("came back below %d, not %d", f.db.RestoredBelow(), floor)
			}
			if next := id(f); next <= given {
				t.Errorf("%d is given after %d and another power cut", next, given)
			}
		})
	}
}
