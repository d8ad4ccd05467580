package store

import (
	"fmt"
	"testing"

	"rialto/internal/model"
	"rialto/internal/store/layout"
)

// Derived rows are apart from those of other spaces and mailboxes, their batches
// are atomic, and a power cut leaves a whole earlier state.
func TestDerived(t *testing.T) {
	f := newFixture(t)
	a, b := f.mailbox("a"), f.mailbox("b")
	put := func(m *Mailbox, space byte, keys ...string) {
		t.Helper()
		batch := m.Derived(space).NewBatch()
		for _, k := range keys {
			batch.Set([]byte(k), []byte("v"+k))
		}
		if err := batch.Commit(ctx); err != nil {
			t.Fatal(err)
		}
	}
	rows := func(m *Mailbox, space byte, prefix string) (out string) {
		t.Helper()
		v, err := m.Derived(space).View(ctx)
		if err != nil {
			t.Fatal(err)
		}
		defer v.Close()
		err = v.Scan(ctx, []byte(prefix), func(k, val []byte) bool {
			out += fmt.Sprintf("%s=%s ", k, val)
			return true
		})
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	put(a, 1, "x1", "x2", "y")
	put(a, 2, "x1")
	put(b, 1, "z")
	if got := rows(a, 1, "x"); got != "1=vx1 2=vx2 " {
		t.Errorf("rows: %s", got)
	}
	if got := rows(a, 1, "") + rows(a, 2, "") + rows(b, 1, ""); got != "x1=vx1 x2=vx2 y=vy x1=vx1 z=vz " {
		t.Errorf("all rows: %s", got)
	}
	batch := a.Derived(1).NewBatch()
	batch.DeleteRange([]byte("x"), []byte("y"))
	if err := batch.Commit(ctx); err != nil {
		t.Fatal(err)
	}
	if got := rows(a, 1, "") + rows(a, 2, ""); got != "y=vy x1=vx1 " {
		t.Errorf("after DeleteRange: %s", got)
	}
	f.append(a, FolderInbox, "durable") // and so is everything before it
	put(a, 1, "late", "later")
	guid := a.GUID()
	f.eng.powerCut()
	f.reopen()
	a, err := f.db.Mailbox(ctx, guid)
	if err != nil {
		t.Fatal(err)
	}
	if got := rows(a, 1, ""); got != "y=vy " {
		t.Errorf("after a power cut: %s", got)
	}
	v, err := a.View(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	places, _, err := v.FindMany(ctx, []OID{9999, layout.FirstFreeID})
	if err != nil || places[0] != (Place{}) || places[1].Folder != FolderInbox {
		t.Errorf("FindMany: %v, %v", places, err)
	}
	f.db.Close()
	if _, err := a.Derived(1).View(ctx); !model.IsKind(err, model.KindUnavailable) {
		t.Errorf("after dismount: %v", err)
	}
}
