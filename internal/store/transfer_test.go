package store

import (
	"sync"
	"testing"

	"rialto/internal/mapi"
	"rialto/internal/model"
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

// TestNamelessProperties copies properties whose ids were never given a name.
func TestNamelessProperties(t *testing.T) {
	f := newFixture(t)
	m, to := f.mailbox("a"), f.mailbox("b")
	one, two := mapi.MakeTag(mapi.FirstFreeNamedID+100, mapi.TypeInt32), mapi.MakeTag(mapi.FirstFreeNamedID+200, mapi.TypeInt32)
	s, err := m.Create(ctx, FolderInbox, &NewItem{Props: props(one, int32(1), two, int32(2), mapi.TagComment, "c")})
	if err != nil {
		t.Fatal(err)
	}
	got, err := m.CopyTo(ctx, []OID{s.OID}, to, FolderInbox)
	if err != nil {
		t.Fatal(err)
	}
	if p := f.load(to, got[0].OID).bag.Props; len(p) != 1 || p.Text(mapi.TagComment) != "c" {
		t.Errorf("%+v", p)
	}
}

// TestForeignNames bounds what others say of an item, and gives it up when the
// item is known by another MID.
func TestForeignNames(t *testing.T) {
	f := newFixture(t)
	m := f.mailbox("a")
	key := []byte("a source key of a foreign system")
	s, err := m.Create(ctx, FolderInbox, &NewItem{Foreign: Foreign{SourceKey: key}})
	if err != nil {
		t.Fatal(err)
	}
	large := Foreign{PCL: make([]byte, 300<<10)}
	if _, err := m.Save(ctx, s.OID, &Edit{Foreign: &large}); !model.IsKind(err, model.KindTooLarge) {
		t.Error(err)
	}
	if _, err := m.MoveItem(ctx, s.OID, FolderTasks, MoveAs{Foreign: large}); !model.IsKind(err, model.KindTooLarge) {
		t.Error(err)
	}
	if _, err := m.DeleteItems(ctx, FolderInbox, []OID{s.OID}, false); err != nil {
		t.Fatal(err)
	}
	again, err := m.Create(ctx, FolderInbox, &NewItem{Foreign: Foreign{SourceKey: key}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.Purge(ctx, FolderInbox, f.now.Add(1)); err != nil {
		t.Fatal(err)
	}
	if err := m.look(func(v *View) error {
		p, err := v.FindSourceKey(ctx, key)
		if p != again.Place {
			t.Errorf("the key leads to %+v", p)
		}
		return err
	}); err != nil {
		t.Error(err)
	}
}

// TestTombstones looks at what the mailbox's log keeps of items that are gone.
func TestTombstones(t *testing.T) {
	f := newFixture(t)
	m := f.mailbox("a")
	s := f.append(m, FolderInbox, "normal", "soft")
	fai, err := m.Create(ctx, FolderInbox, &NewItem{Associated: true})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.DeleteItems(ctx, FolderInbox, []OID{s[0].OID, fai.OID}, true); err != nil {
		t.Fatal(err)
	}
	if _, err := m.DeleteItems(ctx, FolderInbox, []OID{s[1].OID}, false); err != nil {
		t.Fatal(err)
	}
	got := map[OID]Change{}
	if err := m.look(func(v *View) error {
		_, err := v.MailboxChanges(ctx, 0, func(c *Change) bool {
			if c.Kind == ChangeGone {
				got[c.OID] = *c
			}
			return true
		})
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if len(got) != 3 || got[s[0].OID].UID != 1 || got[s[1].OID].UID != 2 || got[s[0].OID].Associated || !got[fai.OID].Associated {
		t.Errorf("%+v", got)
	}
}
