package store

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"testing"

	"rialto/internal/kv"
	"rialto/internal/mapi"
	"rialto/internal/store/layout"
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

// columnChunks counts the chunks of a folder's index that have columns.
func columnChunks(m *Mailbox, f FolderID) (n, of int) {
	x := cached(m, f)
	if x == nil {
		return 0, 0
	}
	for _, c := range x.chunks {
		if c.columns.Load() != nil {
			n++
		}
	}
	return n, len(x.chunks)
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
		if n, of := columnChunks(m, FolderInbox); n == 0 || n != of {
			t.Fatalf("%d of %d chunks have columns", n, of)
		}
		v.Close()
	}
	if old != nil {
		old.Close()
	}
}

// What was read once is not read again, and what did not change keeps its columns.
func TestColumnsSpareReading(t *testing.T) {
	f := newFixture(t)
	m := f.mailbox("alice")
	for i := range 12 {
		if _, err := m.Append(ctx, FolderInbox, subjects(100*i, 100)...); err != nil {
			t.Fatal(err)
		}
	}
	reads := func() int {
		v := view(t, m)
		defer v.Close()
		c := &countedScans{Snapshot: v.snap}
		v.snap = c
		sameSubjects(t, v, 1200)
		return c.rows
	}
	if n := reads(); n < 2400 {
		t.Fatalf("the first time %d rows were read", n)
	}
	if n := reads(); n != 0 {
		t.Errorf("the second time %d rows were read", n)
	}
	if _, err := m.SetFlags(ctx, FolderInbox, layout.UIDs(600), FlagChange{Set: Flagged}); err != nil {
		t.Fatal(err)
	}
	if n := reads(); n < chunkEntries || n > chunkEntries+50 {
		t.Errorf("after a change of one item %d rows were read", n)
	}
}

func sameSubjects(t *testing.T, v *View, n int) {
	t.Helper()
	i := 0
	err := v.BriefItems(ctx, FolderInbox, 0, ^UID(0), []mapi.Tag{mapi.TagSubject}, func(it *ItemRow) bool {
		if got, want := it.Columns[0].Value(), fmt.Sprint("subject ", i); got != want {
			t.Fatalf("item %d: %v", i, got)
		}
		i++
		return true
	})
	if err != nil || i != n {
		t.Fatal(i, err)
	}
}

// countedScans counts the rows that iterators hand out.
type countedScans struct {
	kv.Snapshot
	rows int
}

type countedIterator struct {
	kv.Iterator
	of *countedScans
}

func (i countedIterator) Next() bool {
	ok := i.Iterator.Next()
	if ok {
		i.of.rows++
	}
	return ok
}

func (c *countedScans) Scan(ctx context.Context, r kv.Range) kv.Iterator {
	return countedIterator{c.Snapshot.Scan(ctx, r), c}
}

// The cache knows what columns take and keeps below its limit; columns that are
// too large are not kept.
func TestColumnsBounds(t *testing.T) {
	f := newFixture(t)
	m := f.mailbox("alice")
	items := subjects(0, 2*chunkEntries)
	for i, it := range items {
		it.Summary.Props.Set(mapi.TagSenderName, string(bytes.Repeat([]byte("x"), 150)))
		it.Summary.Props.Set(mapi.TagDisplayTo, fmt.Sprintf("%0100d", i))
	}
	for i := 0; i < len(items); i += 128 {
		if _, err := m.Append(ctx, FolderInbox, items[i:i+128]...); err != nil {
			t.Fatal(err)
		}
	}
	list := func(tags ...mapi.Tag) {
		t.Helper()
		v := view(t, m)
		defer v.Close()
		n := 0
		err := v.BriefItems(ctx, FolderInbox, 0, ^UID(0), tags, func(it *ItemRow) bool {
			if !it.Columns[0].Found() {
				t.Fatal("no value of", it.Place)
			}
			n++
			return true
		})
		if err != nil || n != len(items) {
			t.Fatal(n, err)
		}
	}
	kept := func() (n int64) {
		for _, c := range cached(m, FolderInbox).chunks {
			n += c.columnBytes()
		}
		return n
	}
	list(mapi.TagSenderName)
	if n := kept(); n != 0 {
		t.Errorf("%d octets of a column that is too large", n)
	}
	c := m.db.indexes
	before := c.bytes
	list(mapi.TagSubject)
	if n := kept(); n == 0 || c.bytes != before+n {
		t.Errorf("%d octets of columns, %d accounted for", n, c.bytes-before)
	}
	c.limit = 2 * (c.bytes + 1000)
	before = kept()
	list(mapi.TagDisplayTo) // 50 KB a chunk: no room
	if n := kept(); n != before {
		t.Errorf("%d octets of columns over the limit", n-before)
	}
	if _, err := m.SetFlags(ctx, FolderInbox, layout.UIDs(1), FlagChange{Set: Flagged}); err != nil {
		t.Fatal(err)
	}
	list(mapi.TagSubject)
	var sum int64
	for e := c.used.Front(); e != nil; e = e.Next() {
		sum += e.Value.(*indexSlot).bytes
	}
	if want := slotBytes + cached(m, FolderInbox).bytes; sum != c.bytes || sum < want {
		t.Errorf("the cache has %d octets, its slots %d, the index %d", c.bytes, sum, want)
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
		if _, err := m.SetFlags(ctx, FolderInbox, layout.UIDs(UID(1+50*i)), FlagChange{Set: Flagged}); err != nil {
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
	for i := range splitIndex/500 + 2 {
		if _, err := m.Append(ctx, FolderInbox, subjects(500*i, 500)...); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 { // then without some items of the first half
		m.db.indexes = newIndexCache(0)
		v := view(t, m)
		sameAsRows(t, v, FolderInbox)
		sameColumns(t, v, FolderInbox, 100, splitIndex)
		d, err := v.Folder(ctx, FolderInbox)
		if err != nil {
			t.Fatal(err)
		}
		if x := cached(m, FolderInbox); x == nil || x.n != int(d.Counts.Total) {
			t.Fatalf("index %v of %d items", x, d.Counts.Total)
		}
		v.Close()
		if _, err := m.Delete(ctx, FolderInbox, UIDSet{{From: 30, To: 600}}); err != nil {
			t.Fatal(err)
		}
	}
}
