package folderindex

import (
	"context"
	"errors"
	"slices"
	"testing"

	"rialto/internal/kv"
	"rialto/internal/model"
	"rialto/internal/store/layout"
)

// same compares an index with the rows that it stands for.
func same(t *testing.T, x *Index, r Rows) {
	t.Helper()
	var want, got []layout.Brief
	err := r.states(ctx, 0, ^layout.UID(0), func(s *layout.State) bool {
		want = append(want, s.Brief())
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	x.Each(0, ^layout.UID(0), func(b *layout.Brief) bool {
		got = append(got, *b)
		return true
	})
	if len(got) != x.Len() || !slices.EqualFunc(got, want, func(a, b layout.Brief) bool {
		ka, kb := a.Keywords, b.Keywords
		return a.UID == b.UID && a.Flags == b.Flags && a.Seq == b.Seq && a.Size == b.Size && a.Row == b.Row && a.OID == b.OID && a.Ticks == b.Ticks && slices.Equal(ka, kb)
	}) {
		t.Fatalf("index has\n%v\nrows are\n%v", got, want)
	}
}

// An index that follows the log is not made anew, and shares what did not change.
func TestIndexShares(t *testing.T) {
	w, c := newWriter(t), New(0)
	w.add(1200, subject)
	before := whole(t, c, w.rows())
	if before.n != 1200 || len(before.chunks) != 3 {
		t.Fatalf("%d items in %d chunks", before.n, len(before.chunks))
	}
	old := w.rows()
	w.flag(600, layout.Flagged)
	w.drop(601)
	w.add(1, subject)
	r := w.rows()
	n := &counted{Reader: r.Reader}
	r.Reader = n
	after := whole(t, c, r)
	if after == before || after.n != 1200 || n.rows > 3 {
		t.Fatalf("index was not brought forward: %d items, %d rows read", after.n, n.rows)
	}
	if after.chunks[0] != before.chunks[0] || after.chunks[1] == before.chunks[1] {
		t.Error("chunks are not shared as they should be")
	}
	if before.n != 1200 || before.chunks[1].entries[600-513].flags&layout.Flagged != 0 {
		t.Error("the old index has changed")
	}
	same(t, before, old)
	same(t, after, w.rows())
	if x := whole(t, c, old); x != nil {
		t.Error("older rows were given a later index")
	}
	if whole(t, c, w.rows()) != after || c.Kept(box, inbox) != after {
		t.Error("the index was not kept")
	}
}

// The log is at odds with the rows, or does not go back so far: the rows count.
func TestIndexWithoutLog(t *testing.T) {
	for name, change := range map[string]func(w *writer, b kv.Batch){
		"a tombstone is missing": func(w *writer, b kv.Batch) { b.Delete(box.FolderLogAt(inbox, w.seq)) },
		"an entry has no item": func(w *writer, b kv.Batch) {
			ch := layout.Change{Folder: inbox, UID: 9}
			b.Set(box.FolderLogAt(inbox, w.seq), append([]byte{byte(layout.ChangeItem)}, ch.Encode()...))
		},
		"the log was cut": func(w *writer, b kv.Batch) {
			b.Set(box.ID(layout.SubHorizon, uint64(inbox)), layout.HorizonRow(uint64(w.seq)))
		},
	} {
		t.Run(name, func(t *testing.T) {
			w, c := newWriter(t), New(0)
			w.add(20, subject)
			same(t, whole(t, c, w.rows()), w.rows())
			w.drop(9)
			w.change(func(b kv.Batch) { change(w, b) })
			w.add(1, subject)
			same(t, whole(t, c, w.rows()), w.rows())
		})
	}
}

// The cache keeps within its limit, makes no index for single items, and none
// that is too large.
func TestIndexBounds(t *testing.T) {
	w, c := newWriter(t), New(12000)
	w.add(100, subject)
	r := w.rows()
	one := func() *Index {
		x, err := c.Index(ctx, r, 50, 50)
		if err != nil {
			t.Fatal(err)
		}
		return x
	}
	if one() != nil {
		t.Error("an index for one message")
	}
	for range 50 {
		one()
	}
	if one() == nil {
		t.Error("no index after many reads")
	}
	c.find(key{2, inbox}) // slots of other folders
	for i := range 20 {
		c.find(key{3, layout.FolderID(300 + i)})
	}
	if c.Kept(box, inbox) != nil || c.bytes > c.limit {
		t.Errorf("nothing was dropped: %d bytes of %d", c.bytes, c.limit)
	}
	c.limit = 6000
	if whole(t, c, r) != nil || c.Kept(box, inbox) != nil {
		t.Error("an index over half the limit")
	}
	if x, err := c.Index(ctx, Rows{Reader: r.Reader, Box: box, Folder: 999}, 0, 9); x != nil || err != nil {
		t.Errorf("a folder that does not exist: %v, %v", x, err)
	}
}

func TestBounds(t *testing.T) {
	w, c := newWriter(t), New(0)
	w.add(4*chunkEntries, subject)
	if got := whole(t, c, w.rows()).Bounds(3); len(got) != 3 || got[0] != 0 || got[1] >= got[2] {
		t.Error(got)
	}
	if got := new(Index).Bounds(3); !slices.Equal(got, []layout.UID{0}) {
		t.Errorf("of nothing: %v", got)
	}
}

// Who waits for an index gives up when its time is over.
func TestIndexWaits(t *testing.T) {
	w, c := newWriter(t), New(0)
	w.add(10, subject)
	s, _ := c.find(key{box, inbox})
	s.build <- struct{}{}
	gone, cancel := context.WithCancel(ctx)
	cancel()
	r := w.rows()
	if _, err := c.Index(gone, r, 0, ^layout.UID(0)); !model.IsKind(err, model.KindCanceled) && !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	<-s.build
	same(t, whole(t, c, r), r)
}
