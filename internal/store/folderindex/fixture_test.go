package folderindex

import (
	"context"
	"fmt"
	"testing"
	"time"

	"rialto/internal/kv"
	"rialto/internal/kv/memory"
	"rialto/internal/mapi"
	"rialto/internal/store/layout"
)

var ctx = context.Background()

const (
	box   = layout.Number(1)
	inbox = layout.FolderInbox
)

// writer writes the rows of one folder as the store does.
type writer struct {
	t      *testing.T
	kv     kv.DB
	seq    layout.Seq
	counts layout.Counts
	states map[layout.UID]*layout.State
}

func newWriter(t *testing.T) *writer {
	db := memory.New(memory.Options{})
	t.Cleanup(func() { db.Close() })
	return &writer{t: t, kv: db, counts: layout.Counts{NextUID: 1}, states: map[layout.UID]*layout.State{}}
}

// change commits what build writes and the counts after it.
func (w *writer) change(build func(b kv.Batch)) {
	w.t.Helper()
	b := w.kv.NewBatch()
	build(b)
	w.counts.Seq = w.seq
	b.Set(box.ID(layout.SubCounts, uint64(inbox)), w.counts.Encode())
	c, err := w.kv.Commit(ctx, b)
	if err == nil {
		err = c.Wait(ctx)
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

// add puts n items into the folder, with the properties that of gives them.
func (w *writer) add(n int, of func(i int) mapi.Properties) {
	w.t.Helper()
	w.change(func(b kv.Batch) {
		for range n {
			w.seq++
			u := w.counts.NextUID
			id := uint64(u) + 1000
			s := &layout.State{Place: layout.Place{Folder: inbox, Space: layout.Normal, N: uint64(u)}, Seq: w.seq, Created: w.seq,
				Row: layout.RowID(id), OID: layout.OID(id), MID: layout.MID(id), Size: int64(u), Time: time.Unix(int64(1e9+u), 0)}
			if u%7 == 0 {
				s.Keywords = []string{"seventh"}
			}
			sum, ok := (&layout.Summary{Props: of(int(u))}).Encode(nil)
			if !ok {
				w.t.Fatal("summary")
			}
			layout.PutRows(b, box, s, sum)
			layout.LogItem(b, box, nil, s, 0)
			w.counts.Take(s)
			w.states[u] = s
		}
	})
}

// flag sets flags of an item.
func (w *writer) flag(u layout.UID, f layout.Flags) {
	w.t.Helper()
	w.change(func(b kv.Batch) {
		s := w.states[u]
		old := *s
		w.counts.Add(&old, -1)
		w.seq++
		s.Seq, s.Flags = w.seq, s.Flags|f
		b.Set(box.Place(layout.SubState, s.Place), s.Encode(nil))
		layout.LogItem(b, box, &old, s, 0)
		w.counts.Add(s, 1)
	})
}

// drop removes an item.
func (w *writer) drop(u layout.UID) {
	w.t.Helper()
	w.change(func(b kv.Batch) {
		s := w.states[u]
		w.seq++
		b.Delete(box.Place(layout.SubState, s.Place))
		b.Delete(box.Place(layout.SubSummary, s.Place))
		layout.LogGone(b, box, s, w.seq, "IPM.Note")
		w.counts.Add(s, -1)
		delete(w.states, u)
	})
}

// rows are those of the folder now.
func (w *writer) rows() Rows {
	w.t.Helper()
	snap, err := w.kv.NewSnapshot("test", time.Minute)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(snap.Close)
	return Rows{Reader: snap, Box: box, Folder: inbox}
}

func subject(i int) (p mapi.Properties) {
	p.Set(mapi.TagSubject, fmt.Sprint("subject ", i))
	return p
}

// whole returns the index for who reads all.
func whole(t *testing.T, c *Cache, r Rows) *Index {
	t.Helper()
	x, err := c.Index(ctx, r, 0, ^layout.UID(0))
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// counted counts the rows that iterators hand out.
type counted struct {
	kv.Reader
	rows int
}

type countedIterator struct {
	kv.Iterator
	of *counted
}

func (i countedIterator) Next() bool {
	ok := i.Iterator.Next()
	if ok {
		i.of.rows++
	}
	return ok
}

func (c *counted) Scan(ctx context.Context, r kv.Range) kv.Iterator {
	return countedIterator{c.Reader.Scan(ctx, r), c}
}
