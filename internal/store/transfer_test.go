package store

import (
	"sync"
	"testing"
)

// TestMoveToPassesOver moves items that are not in the folder: nothing is
// doubled.
func TestMoveToPassesOver(t *testing.T) {
	f, g := newFixture(t), newFixture(t)
	m, to := f.mailbox("a"), g.mailbox("b")
	s := f.append(m, FolderInbox, "one", "two", "three")
	if _, err := m.Delete(ctx, FolderInbox, UIDs(s[1].UID())); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Move(ctx, FolderInbox, UIDs(s[2].UID()), FolderTasks); err != nil {
		t.Fatal(err)
	}
	got, err := m.MoveTo(ctx, FolderInbox, []OID{s[0].OID, s[1].OID, s[2].OID, s[0].OID}, to, FolderInbox)
	if err != nil || len(got) != 1 {
		t.Fatal(got, err)
	}
	if here, there := list(t, m, FolderInbox), list(t, to, FolderInbox); here != "" || there != "1:0" {
		t.Errorf("here %s, there %s", here, there)
	}
	verify(t, m)
	verify(t, to)
}

// TestMoveToBesideWriter moves items that another edits: the copy has what the
// last edit said that was accepted, and there is one of each.
func TestMoveToBesideWriter(t *testing.T) {
	f, g := newFixture(t), newFixture(t)
	m, to := f.mailbox("a"), g.mailbox("b")
	for range 20 {
		s, err := m.Create(ctx, FolderInbox, &NewItem{Props: props(tagCategories, []string{"0"})})
		if err != nil {
			t.Fatal(err)
		}
		var last string
		var wg sync.WaitGroup
		wg.Go(func() {
			for _, word := range []string{"1", "2", "3", "4", "5", "6"} {
				if _, err := m.Save(ctx, s.OID, &Edit{Set: props(tagCategories, []string{word})}); err != nil {
					return // it has gone
				}
				last = word
			}
		})
		got, err := m.MoveTo(ctx, FolderInbox, []OID{s.OID}, to, FolderInbox)
		wg.Wait()
		if err != nil || len(got) != 1 {
			t.Fatal(got, err)
		}
		if v, _ := g.load(to, got[0].OID).bag.Props.Get(tagCategories); last != "" && v.([]string)[0] != last {
			t.Fatalf("the copy says %v, the last edit %s", v, last)
		}
		if here := list(t, m, FolderInbox); here != "" {
			t.Fatal("the original is there")
		}
	}
	if n := len(collectOIDs(t, to)); n != 20 {
		t.Errorf("%d items came", n)
	}
	verify(t, to)
}

func collectOIDs(t *testing.T, m *Mailbox) (out []OID) {
	t.Helper()
	if err := m.look(func(v *View) error {
		return v.SpaceStates(ctx, FolderInbox, Normal, func(s *State) bool { out = append(out, s.OID); return true })
	}); err != nil {
		t.Fatal(err)
	}
	return out
}
