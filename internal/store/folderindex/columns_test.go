package folderindex

import (
	"bytes"
	"fmt"
	"testing"

	"rialto/internal/mapi"
	"rialto/internal/store/layout"
)

// columnsOf reads the values of tags of all items, and returns how many rows
// that took.
func columnsOf(t *testing.T, c *Cache, r Rows, tags []mapi.Tag, fn func(u layout.UID, v []mapi.Raw)) int {
	t.Helper()
	n := &counted{Reader: r.Reader}
	r.Reader = n
	x := whole(t, c, r)
	err := c.Items(ctx, x, r, 0, ^layout.UID(0), tags, func(it *layout.ItemRow) bool {
		fn(it.State.UID(), it.Columns)
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	return n.rows
}

// What was read once is not read again, and what did not change keeps its columns.
func TestColumnsSpareReading(t *testing.T) {
	w, c := newWriter(t), New(0)
	w.add(1200, subject)
	reads := func() int {
		t.Helper()
		next := layout.UID(1)
		n := columnsOf(t, c, w.rows(), []mapi.Tag{mapi.TagSubject}, func(u layout.UID, v []mapi.Raw) {
			if got, want := v[0].Value(), fmt.Sprint("subject ", u); got != want || u != next {
				t.Fatalf("item %d: %v", u, got)
			}
			next++
		})
		if next != 1201 {
			t.Fatalf("%d items", next-1)
		}
		return n
	}
	if n := reads(); n < 2400 {
		t.Fatalf("the first time %d rows were read", n)
	}
	if n := reads(); n != 0 {
		t.Errorf("the second time %d rows were read", n)
	}
	w.flag(600, layout.Flagged)
	if n := reads(); n < chunkEntries || n > chunkEntries+50 {
		t.Errorf("after a change of one item %d rows were read", n)
	}
}

// A part of a chunk is shown but not kept; without an index the rows are read.
func TestColumnsOfParts(t *testing.T) {
	w, c := newWriter(t), New(0)
	w.add(40, subject)
	r := w.rows()
	for name, x := range map[string]*Index{"an index": whole(t, c, r), "no index": nil} {
		var got []layout.UID
		err := c.Items(ctx, x, r, 10, 30, []mapi.Tag{mapi.TagSubject}, func(it *layout.ItemRow) bool {
			u := it.State.UID()
			if v := it.Columns[0].Value(); v != fmt.Sprint("subject ", u) {
				t.Errorf("%s: item %d: %v", name, u, v)
			}
			got = append(got, u)
			return u < 20
		})
		if err != nil || len(got) != 11 || got[0] != 10 {
			t.Errorf("%s: %v, %v", name, got, err)
		}
		if x != nil && x.chunks[0].columns.Load() != nil {
			t.Error("a part was kept")
		}
	}
}

// The cache knows what columns take and keeps below its limit; columns that are
// too large are not kept.
func TestColumnsBounds(t *testing.T) {
	w, c := newWriter(t), New(0)
	w.add(2*chunkEntries, func(i int) mapi.Properties {
		p := subject(i)
		p.Set(mapi.TagSenderName, string(bytes.Repeat([]byte("x"), 150)))
		p.Set(mapi.TagDisplayTo, fmt.Sprintf("%0100d", i))
		return p
	})
	list := func(tag mapi.Tag) {
		t.Helper()
		n := 0
		columnsOf(t, c, w.rows(), []mapi.Tag{tag}, func(u layout.UID, v []mapi.Raw) {
			if !v[0].Found() {
				t.Fatal("no value of", u)
			}
			n++
		})
		if n != 2*chunkEntries {
			t.Fatal(n)
		}
	}
	kept := func() (n int64) {
		for _, ch := range c.Kept(box, inbox).chunks {
			n += ch.columnBytes()
		}
		return n
	}
	list(mapi.TagSenderName)
	if n := kept(); n != 0 {
		t.Errorf("%d octets of a column that is too large", n)
	}
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
	w.flag(1, layout.Flagged)
	list(mapi.TagSubject)
	var sum int64
	for e := c.used.Front(); e != nil; e = e.Next() {
		sum += e.Value.(*slot).bytes
	}
	if want := slotBytes + c.Kept(box, inbox).bytes; sum != c.bytes || sum < want {
		t.Errorf("the cache has %d octets, its slots %d, the index %d", c.bytes, sum, want)
	}
}
