package store

import (
	"fmt"
	"strings"
	"testing"

	"rialto/internal/mapi"
	"rialto/internal/model"
)

// heavy returns an item whose rows take about n octets.
func heavy(n int) *NewItem {
	it := &NewItem{Props: props(mapi.TagSubject, "heavy")}
	for size := 0; size < n; size += 1000 {
		it.Recipients = append(it.Recipients, recipient(1, strings.Repeat("n", 970), fmt.Sprint(size)))
	}
	return it
}

// TestHeavyItems copies, moves and removes items that nearly fill a batch each,
// with small ones between.
func TestHeavyItems(t *testing.T) {
	f, g := newFixture(t), newFixture(t)
	m := f.mailbox("a")
	var oids []OID
	for i := range 6 {
		it := heavy(2800 << 10)
		if i%2 == 1 {
			it = heavy(1500 << 10)
		}
		s, err := m.Create(ctx, FolderDrafts, it)
		if err != nil {
			t.Fatal(err)
		}
		oids = append(oids, s.OID)
	}
	if got, err := m.Copy(ctx, FolderDrafts, UIDSet{{From: 1, To: ^UID(0)}}, FolderInbox); err != nil || len(got) != 6 {
		t.Fatal(len(got), err)
	}
	if got, err := m.CopyItems(ctx, FolderDrafts, oids, FolderTasks); err != nil || len(got) != 6 {
		t.Fatal(len(got), err)
	}
	if got, err := m.CopyTo(ctx, oids, g.mailbox("b"), FolderInbox); err != nil || len(got) != 6 {
		t.Fatal(len(got), err)
	}
	verify(t, m)
	moved, err := f.db.MoveMailbox(ctx, m.GUID(), g.db, nil)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := moved.DeleteItems(ctx, FolderDrafts, oids, true); n != 6 || err != nil {
		t.Fatal(n, err)
	}
	verify(t, moved)
}

// TestHeavyByEdits lets an item grow by edits: what can not be copied any more
// is refused, and the item stays as it was.
func TestHeavyByEdits(t *testing.T) {
	f := newFixture(t)
	m := f.mailbox("a")
	s, err := m.Create(ctx, FolderDrafts, &NewItem{})
	if err != nil {
		t.Fatal(err)
	}
	for n := uint32(0); ; n++ {
		next, err := m.Save(ctx, s.OID, &Edit{Attach: map[uint32]*Attachment{n: {Embedded: heavy(900 << 10)}}})
		if model.IsKind(err, model.KindTooLarge) && n >= 2 {
			break
		}
		if err != nil || n > 10 {
			t.Fatal(n, err)
		}
		s = next
	}
	if got, err := m.Copy(ctx, FolderDrafts, UIDs(s.UID()), FolderInbox); err != nil || len(got) != 1 {
		t.Fatal(got, err)
	}
	verify(t, m)
}
