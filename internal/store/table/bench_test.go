package table

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"rialto/internal/kv/pebble"
	"rialto/internal/mapi"
	"rialto/internal/store"
)

// fill makes a folder of n messages as deliveries leave them: 500 octets of
// summary and a bag of 300.
func fill(tb testing.TB, n int) *box {
	tb.Helper()
	db, err := pebble.Open(pebble.Options{Dir: tb.TempDir(), FS: vfs.Default, MaxGather: -1, Ballast: -1})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { db.Close() })
	b := openBox(tb, db)
	r := rand.New(rand.NewPCG(1, 2))
	word := func() string { return fmt.Sprintf("w%x", r.Uint32N(5000)) }
	items := make([]*store.NewItem, 0, 500)
	for i := range n {
		it := &store.NewItem{Time: time.Unix(1e9+int64(i)*300+int64(r.Uint32N(3600)), 0)}
		p := &it.Summary.Props
		p.Set(mapi.TagSubject, "Re: "+word()+" "+word()+" "+word()+" "+word())
		p.Set(mapi.TagMessageClass, "IPM.Note")
		p.Set(mapi.TagImportance, int32(r.Uint32N(3)))
		p.Set(mapi.TagSenderName, "Sender "+word())
		p.Set(mapi.TagSenderAddress, word()+"@example.com")
		p.Set(mapi.TagSentRepresentingName, "Sender "+word())
		p.Set(mapi.TagDisplayTo, strings.Repeat("Somebody; ", 4))
		p.Set(mapi.TagConversationID, make([]byte, 16))
		p.Set(mapi.TagPreview, strings.Repeat(word()+" ", 30))
		it.Props.Set(tagNote, strings.Repeat(word()+" ", 40))
		if r.Uint32N(3) > 0 {
			it.Flags = store.Read
		}
		if items = append(items, it); len(items) == cap(items) || i == n-1 {
			if _, err := b.m.Append(ctx, store.FolderInbox, items...); err != nil {
				tb.Fatal(err)
			}
			items = items[:0]
		}
	}
	return b
}

func usual() []mapi.Tag {
	return []mapi.Tag{mapi.TagSubject, mapi.TagSenderName, mapi.TagMessageDeliveryTime, mapi.TagMessageSize, mapi.TagMessageFlags,
		mapi.TagImportance, mapi.TagHasAttachments, mapi.TagMID, mapi.TagEntryID, mapi.TagMessageClass, mapi.TagInstanceKey}
}

func open(tb testing.TB) *Table {
	t := New(&Contents{Folder: store.FolderInbox})
	if err := t.SetColumns(usual()); err != nil {
		tb.Fatal(err)
	}
	return t
}

// page reads a first screen on a view of its own.
func page(tb testing.TB, b *box, t *Table) {
	v := b.view()
	defer v.Close()
	if _, err := t.Count(ctx, v); err != nil {
		tb.Fatal(err)
	}
	if _, err := t.Rows(ctx, v, 50, true); err != nil {
		tb.Fatal(err)
	}
}

func BenchmarkTable(b *testing.B) {
	x := fill(b, 100_000)
	sortBy := func(tag mapi.Tag) func(*Table) error {
		return func(t *Table) error { return t.Sort(mapi.SortOrder{Columns: []mapi.SortColumn{{Tag: tag}}}) }
	}
	restrict := func(r mapi.Restriction) func(*Table) error {
		return func(t *Table) error { return t.Restrict(r) }
	}
	for _, c := range []struct {
		name string
		set  func(*Table) error
	}{
		{"first screen", func(*Table) error { return nil }},
		{"sort by subject", sortBy(mapi.TagSubject)},
		{"sort by size", sortBy(mapi.TagMessageSize)},
		{"sort by sender", sortBy(mapi.TagSenderName)},
		{"sort by bag property", sortBy(tagNote)},
		{"categories by sender", func(t *Table) error {
			return t.Sort(mapi.SortOrder{Columns: []mapi.SortColumn{{Tag: mapi.TagSenderName}, {Tag: mapi.TagMessageDeliveryTime, Descending: true}}, Categories: 1})
		}},
		{"restriction on row column", restrict(&mapi.Content{Tag: mapi.TagSubject, Match: mapi.Substring, Fold: mapi.IgnoreCase, Value: "W12"})},
		{"restriction on unread", restrict(&mapi.Bits{Zero: true, Tag: mapi.TagMessageFlags, Mask: 1})},
		{"restriction on bag", restrict(&mapi.Content{Tag: tagNote, Match: mapi.Substring, Fold: mapi.IgnoreCase, Value: "W12"})},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				t := open(b)
				if err := c.set(t); err != nil {
					b.Fatal(err)
				}
				page(b, x, t)
			}
		})
	}
	b.Run("one new message", func(b *testing.B) {
		t := open(b)
		if err := t.Sort(mapi.SortOrder{Columns: []mapi.SortColumn{{Tag: mapi.TagSubject}}}); err != nil {
			b.Fatal(err)
		}
		page(b, x, t)
		for b.Loop() {
			b.StopTimer()
			x.add(store.FolderInbox, letter{subject: "Re: w1 w2"})
			b.StartTimer()
			page(b, x, t)
		}
	})
}

// BenchmarkMillion reports what a sorted table of a million messages holds.
func BenchmarkMillion(b *testing.B) {
	x := fill(b, 1_000_000)
	var before, after runtime.MemStats
	for b.Loop() {
		runtime.GC()
		runtime.ReadMemStats(&before)
		t := open(b)
		if err := t.Sort(mapi.SortOrder{Columns: []mapi.SortColumn{{Tag: mapi.TagMessageDeliveryTime}, {Tag: mapi.TagMessageSize}}}); err != nil {
			b.Fatal(err)
		}
		page(b, x, t)
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/(1<<20), "MB-held")
		b.ReportMetric(float64(after.TotalAlloc-before.TotalAlloc)/(1<<20), "MB-allocated")
		runtime.KeepAlive(t)
	}
}
