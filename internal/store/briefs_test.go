package store

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"sync"
	"testing"

	"rialto/internal/model"
	"rialto/internal/store/folderindex"
)

// sameAsRows compares what a view shows by way of the index with its rows.
func sameAsRows(t *testing.T, v *View, folder FolderID) {
	t.Helper()
	read := func(list func(func(Brief))) (out []Brief) {
		list(func(b Brief) {
			if len(b.Keywords) == 0 {
				b.Keywords = nil
			}
			out = append(out, b)
		})
		return out
	}
	want := read(func(add func(Brief)) {
		err := v.States(ctx, folder, 1, ^UID(0), func(s *State) bool {
			add(s.Brief())
			return true
		})
		if err != nil {
			t.Fatal(err)
		}
	})
	got := read(func(add func(Brief)) {
		err := v.Briefs(ctx, folder, 1, ^UID(0), func(b *Brief) bool {
			add(*b)
			return true
		})
		if err != nil {
			t.Fatal(err)
		}
	})
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("folder %d: index has\n%v\nrows are\n%v", folder, got, want)
	}
}

func view(t *testing.T, m *Mailbox) *View {
	t.Helper()
	v, err := m.View(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// cached returns what the cache has of a folder.
func cached(m *Mailbox, folder FolderID) *folderindex.Index {
	return m.db.indexes.Kept(m.num, folder)
}

// Changes of every kind, seen by new views and by views that are older than the
// index.
func TestIndexFollowsRows(t *testing.T) {
	f := newFixture(t)
	m := f.mailbox("alice")
	r := rand.New(rand.NewPCG(1, 2))
	folders := []FolderID{FolderInbox, FolderDrafts}
	var bodies []string
	for i := range 1300 { // more than two chunks
		bodies = append(bodies, fmt.Sprint("mail ", i))
	}
	for i := 0; i < len(bodies); i += 100 {
		f.append(m, FolderInbox, bodies[i:i+100]...)
	}
	var old *View
	for step := range 80 {
		lo := UID(r.IntN(1500) + 1)
		set := UIDSet{{From: lo, To: lo + UID(r.IntN(60))}}
		from := folders[r.IntN(2)]
		var err error
		switch r.IntN(8) {
		case 0:
			f.append(m, from, "new", "newer")
		case 1, 2:
			_, err = m.SetFlags(ctx, from, set, FlagChange{Set: Flags(r.IntN(64)), Clear: Flags(r.IntN(64)), SetKeywords: []string{fmt.Sprint("k", r.IntN(5))}})
		case 3:
			_, err = m.SetFlags(ctx, from, set, FlagChange{Replace: true})
		case 4:
			_, err = m.Move(ctx, from, set, folders[r.IntN(2)])
		case 5:
			_, err = m.Copy(ctx, from, set, folders[r.IntN(2)])
		case 6:
			_, err = m.Delete(ctx, from, set)
		case 7:
			if old != nil {
				old.Close()
			}
			old = view(t, m)
		}
		if err != nil {
			t.Fatal(err)
		}
		v := view(t, m)
		for _, fo := range folders {
			sameAsRows(t, v, fo)
			if old != nil {
				sameAsRows(t, old, fo)
			}
			if x := cached(m, fo); step > 0 && x == nil {
				t.Fatal("no index was kept")
			}
		}
		v.Close()
	}
	if old != nil {
		old.Close()
	}
}

func make100(word string) (out []string) {
	for i := range 100 {
		out = append(out, fmt.Sprint(word, i))
	}
	return out
}

// An index does not outlive its database: what a power cut took is not shown.
func TestIndexAfterPowerCut(t *testing.T) {
	f := newFixture(t)
	m := f.mailbox("alice")
	f.append(m, FolderInbox, make100("mail")...)
	v := view(t, m)
	sameAsRows(t, v, FolderInbox)
	v.Close()
	boxes, guids := []*Mailbox{m, m}, []model.GUID{m.GUID(), m.GUID()}
	for seed := range uint64(8) {
		crash(t, f, boxes, guids, rand.New(rand.NewPCG(seed, 1)))
		if cached(boxes[0], FolderInbox) != nil {
			t.Fatal("an index of a database that is closed")
		}
		f.append(boxes[0], FolderInbox, "after")
		v := view(t, boxes[0])
		sameAsRows(t, v, FolderInbox)
		v.Close()
	}
}

func TestIndexConcurrent(t *testing.T) {
	f := newFixture(t)
	m := f.mailbox("alice")
	f.append(m, FolderInbox, make100("mail")...)
	var busy sync.WaitGroup
	for i := range 4 {
		busy.Go(func() {
			for j := range 30 {
				if i == 0 {
					if _, err := m.SetFlags(ctx, FolderInbox, UIDs(UID(j+1)), FlagChange{Set: Read}); err != nil {
						t.Error(err)
					}
					continue
				}
				v, err := m.View(ctx)
				if err != nil {
					t.Error(err)
					return
				}
				n, unseen := 0, uint32(0)
				err = v.Briefs(ctx, FolderInbox, 1, ^UID(0), func(b *Brief) bool {
					if n++; b.Flags&Read == 0 {
						unseen++
					}
					return true
				})
				fo, _ := v.Folder(ctx, FolderInbox)
				if err != nil || n != 100 || unseen != fo.Counts.Unseen {
					t.Errorf("%d messages, %d unseen of %d, %v", n, unseen, fo.Counts.Unseen, err)
				}
				v.Close()
			}
		})
	}
	busy.Wait()
}
