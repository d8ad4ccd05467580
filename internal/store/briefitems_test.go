package store

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"testing"

	"rialto/internal/mapi"
	"rialto/internal/store/folderindex"
)

// someTags are columns that items have, have sometimes, and do not have.
var someTags = []mapi.Tag{mapi.TagSubject, mapi.TagImportance, mapi.TagSenderName}

// listed returns what BriefItems shows between two UIDs, or (rows) what stands
// in the summaries.
func listed(t *testing.T, v *View, f FolderID, from, to UID, rows bool) (out []string) {
	t.Helper()
	line := func(u UID, seq Seq, raws []mapi.Raw) {
		s := fmt.Sprint(u, " ", seq)
		for _, r := range raws {
			s += fmt.Sprintf(" %v:%x", r.Found(), r.B)
		}
		out = append(out, s)
	}
	var err error
	if rows {
		raws := make([]mapi.Raw, len(someTags))
		err = v.Items(ctx, Place{Folder: f, N: uint64(from)}, WantState|WantSummary, func(it *ItemRow) bool {
			if UID(it.Place.N) > to {
				return false
			}
			if err := mapi.LookupMany(it.Summary, someTags, raws); err != nil {
				t.Fatal(err)
			}
			line(UID(it.Place.N), it.State.Seq, raws)
			return true
		})
	} else {
		err = v.BriefItems(ctx, f, from, to, someTags, func(it *ItemRow) bool {
			line(it.State.UID(), it.State.Seq, it.Columns)
			return true
		})
	}
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func sameColumns(t *testing.T, v *View, f FolderID, from, to UID) {
	t.Helper()
	got, want := listed(t, v, f, from, to, false), listed(t, v, f, from, to, true)
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Fatalf("from %d to %d: columns have\n%.2000v\nrows are\n%.2000v", from, to, got, want)
	}
}

func subjects(from, n int) (items []*NewItem) {
	for i := from; i < from+n; i++ {
		it := &NewItem{}
		it.Summary.Props.Set(mapi.TagSubject, fmt.Sprint("subject ", i))
		if i%3 == 0 {
			it.Summary.Props.Set(mapi.TagImportance, int32(i))
		}
		items = append(items, it)
	}
	return items
}

// Columns show what the rows are, whatever happens to them, in new views and in
// older ones.
func TestColumnsFollowRows(t *testing.T) {
	f := newFixture(t)
	m := f.mailbox("alice")
	for i := range 15 { // more than two chunks
		if _, err := m.Append(ctx, FolderInbox, subjects(100*i, 100)...); err != nil {
			t.Fatal(err)
		}
	}
	r := rand.New(rand.NewPCG(5, 6))
	var old *View
	for range 60 {
		lo := UID(r.IntN(1600) + 1)
		set := UIDSet{{From: lo, To: lo + UID(r.IntN(40))}}
		var err error
		switch r.IntN(5) {
		case 0:
			_, err = m.Append(ctx, FolderInbox, subjects(r.IntN(1000), 3)...)
		case 1:
			_, err = m.SetFlags(ctx, FolderInbox, set, FlagChange{Set: Flags(r.IntN(64))})
		case 2:
			_, err = m.Move(ctx, FolderInbox, set, FolderDrafts)
		case 3:
			_, err = m.Delete(ctx, FolderInbox, set)
		case 4:
			if old != nil {
				old.Close()
			}
			old = view(t, m)
		}
		if err != nil {
			t.Fatal(err)
		}
		v := view(t, m)
		for _, x := range []*View{v, old} {
			if x == nil {
				continue
			}
			sameColumns(t, x, FolderInbox, lo, lo+UID(r.IntN(900))) // parts of chunks, which are not kept
			sameColumns(t, x, FolderInbox, 0, ^UID(0))
			sameColumns(t, x, FolderDrafts, 0, ^UID(0))
		}
		if cached(m, FolderInbox) == nil {
			t.Fatal("no index was kept")
		}
		v.Close()
	}
	if old != nil {
		old.Close()
	}
}

// Several readers make the columns of a folder while it changes.
func TestColumnsConcurrent(t *testing.T) {
	f := newFixture(t)
	m := f.mailbox("alice")
	for i := range 11 {
		if _, err := m.Append(ctx, FolderInbox, subjects(100*i, 100)...); err != nil {
			t.Fatal(err)
		}
	}
	var wg sync.WaitGroup
	for g := range 3 {
		wg.Go(func() {
			for range 10 {
				v, err := m.View(ctx)
				if err != nil {
					t.Error(err)
					return
				}
				err = v.BriefItems(ctx, FolderInbox, 0, ^UID(0), someTags[:1+g%3], func(it *ItemRow) bool {
					return bytes.HasPrefix(it.Columns[0].Text(), []byte("subject "))
				})
				if err != nil {
					t.Error(err)
				}
				v.Close()
			}
		})
	}
	for i := range 20 {
		if _, err := m.SetFlags(ctx, FolderInbox, UIDs(UID(1+50*i)), FlagChange{Set: Flagged}); err != nil {
			t.Fatal(err)
		}
	}
	wg.Wait()
	v := view(t, m)
	defer v.Close()
	sameColumns(t, v, FolderInbox, 0, ^UID(0))
	bounds, err := v.ItemBounds(ctx, FolderInbox, 3)
	if err != nil || len(bounds) != 3 || bounds[0] != 0 || bounds[1] >= bounds[2] {
		t.Error(bounds, err)
	}
}

// The index of a large folder is made in two halves.
func TestIndexInHalves(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(2))
	f := newFixture(t)
	m := f.mailbox("alice")
	const large = 16 * 512
	for i := range large/500 + 2 {
		if _, err := m.Append(ctx, FolderInbox, subjects(500*i, 500)...); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 { // then without some items of the first half
		m.db.indexes = folderindex.New(0)
		v := view(t, m)
		sameAsRows(t, v, FolderInbox)
		sameColumns(t, v, FolderInbox, 100, large)
		d, err := v.Folder(ctx, FolderInbox)
		if err != nil {
			t.Fatal(err)
		}
		if x := cached(m, FolderInbox); x == nil || x.Len() != int(d.Counts.Total) {
			t.Fatalf("index %v of %d items", x, d.Counts.Total)
		}
		v.Close()
		if _, err := m.Delete(ctx, FolderInbox, UIDSet{{From: 30, To: 600}}); err != nil {
			t.Fatal(err)
		}
	}
}
