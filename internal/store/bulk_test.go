package store

import (
	"strings"
	"testing"

	"rialto/internal/model"
)

// TestBulkFailsMidway: what a bulk operation that fails in a later chunk tells is
// what it has done, no more and no less.
func TestBulkFailsMidway(t *testing.T) {
	f := newFixture(t)
	m := f.mailbox("alice")
	bodies := make([]string, chunkItems+100)
	for i := range bodies {
		bodies[i] = strings.Repeat("x", 100)
	}
	states := f.append(m, FolderInbox, bodies...)
	oids := make([]OID, len(states))
	for i, s := range states {
		oids[i] = s.OID
	}
	all := UIDSet{{From: 1, To: ^UID(0)}}
	size := states[0].Size
	left := func(folder FolderID) int { return len(strings.Fields(list(t, m, folder))) }
	for i, c := range []func() (int, error){
		func() (int, error) { l, err := m.Copy(ctx, FolderInbox, all, FolderDrafts); return len(l), err },
		func() (int, error) { l, err := m.CopyItems(ctx, FolderInbox, oids, FolderDrafts); return len(l), err },
	} {
		m.SetLimits(Limits{Hard: m.Size() + size*int64(chunkItems+50)})
		n, err := c()
		if !model.IsKind(err, model.KindQuota) || n != chunkItems || left(FolderDrafts) != (i+1)*chunkItems {
			t.Errorf("%d: told of %d, there are %d: %v", i, n, left(FolderDrafts), err)
		}
	}
}

// TestPanicFreesMailbox: a defect in one operation does not lock the mailbox for
// all others.
func TestPanicFreesMailbox(t *testing.T) {
	f := newFixture(t)
	m := f.mailbox("alice")
	func() {
		defer func() {
			if recover() == nil {
				t.Error("no panic")
			}
		}()
		_ = m.update(ctx, "test", func(*txn) error { panic("a defect") })
	}()
	if f.append(m, FolderInbox, "still takes mail"); list(t, m, FolderInbox) != "1:0" {
		t.Error(list(t, m, FolderInbox))
	}
}
