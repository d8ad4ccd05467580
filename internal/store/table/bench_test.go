package table

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"rialto/internal/kv/pebble"
	"rialto/internal/mapi"
	"rialto/internal/store"
)

// inOrder and atRandom are times of delivery of message i of n.
func inOrder(r *rand.Rand, i, _ int) int64 { return int64(i)*300 + int64(r.Uint32N(3600)) }

func atRandom(r *rand.Rand, _, n int) int64 { return r.Int64N(int64(n) * 300) }

// fill makes a folder of n messages as deliveries leave them: 500 octets of
// summary and a bag of 300. reopen mounts the same database again, with nothing
// in memory but what the engine keeps.
func fill(tb testing.TB, n int, at func(r *rand.Rand, i, n int) int64) (b *box, reopen func() *box) {
	tb.Helper()
	db, err := pebble.Open(pebble.Options{Dir: tb.TempDir(), FS: vfs.Default, MaxGather: -1, Ballast: -1})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { db.Close() })
	b = openBox(tb, db)
	r := rand.New(rand.NewPCG(1, 2))
	word := func() string { return fmt.Sprintf("w%x", r.Uint32N(5000)) }
	items := make([]*store.NewItem, 0, 500)
	for i := range n {
		it := &store.NewItem{Time: time.Unix(1e9+at(r, i, n), 0)}
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
	return b, func() *box {
		d, err := store.Open(ctx, db, store.Options{GUID: b.d.GUID(), Name: "Mailbox Store"})
		if err != nil {
			tb.Fatal(err)
		}
		m, err := d.Mailbox(ctx, b.m.GUID())
		if err != nil {
			tb.Fatal(err)
		}
		return &box{tb, m, d}
	}
}

// cpuTime is what this process has used.
func cpuTime(tb testing.TB) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		tb.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// measure runs fn as often as b wants and reports its processor time too.
func measure(b *testing.B, before func(), fn func()) {
	b.ReportAllocs()
	var cpu time.Duration
	for b.Loop() {
		if before != nil {
			b.StopTimer()
			before()
			b.StartTimer()
		}
		from := cpuTime(b)
		fn()
		cpu += cpuTime(b) - from
	}
	b.ReportMetric(float64(cpu.Nanoseconds())/float64(b.N), "cpu-ns/op")
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

// setting is how a table of a benchmark is set.
type setting struct {
	name string
	set  func(*Table) error
}

func settings() []setting {
	sortBy := func(tag mapi.Tag) func(*Table) error {
		return func(t *Table) error { return t.Sort(mapi.SortOrder{Columns: []mapi.SortColumn{{Tag: tag}}}) }
	}
	restrict := func(r mapi.Restriction) func(*Table) error {
		return func(t *Table) error { return t.Restrict(r) }
	}
	return []setting{
		{"first screen", func(*Table) error { return nil }},
		{"sort by subject", sortBy(mapi.TagSubject)},
		{"sort by size", sortBy(mapi.TagMessageSize)},
		{"sort by sender", sortBy(mapi.TagSenderName)},
		{"sort by importance", sortBy(mapi.TagImportance)},
		{"sort by bag property", sortBy(tagNote)},
		{"categories by sender", func(t *Table) error {
			return t.Sort(mapi.SortOrder{Columns: []mapi.SortColumn{{Tag: mapi.TagSenderName}, {Tag: mapi.TagMessageDeliveryTime, Descending: true}}, Categories: 1})
		}},
		{"restriction on row column", restrict(&mapi.Content{Tag: mapi.TagSubject, Match: mapi.Substring, Fold: mapi.IgnoreCase, Value: "W12"})},
		{"restriction on unread", restrict(&mapi.Bits{Zero: true, Tag: mapi.TagMessageFlags, Mask: 1})},
		{"restriction on bag", restrict(&mapi.Content{Tag: tagNote, Match: mapi.Substring, Fold: mapi.IgnoreCase, Value: "W12"})},
	}
}

// BenchmarkTable shows the first rows of new tables over 100,000 messages: again
// and again in one mounted database, and as the first of a database just mounted.
func BenchmarkTable(b *testing.B) {
	for _, times := range []struct {
		name string
		at   func(*rand.Rand, int, int) int64
	}{{"in order", inOrder}, {"at random", atRandom}} {
		b.Run(times.name, func(b *testing.B) {
			x, reopen := fill(b, 100_000, times.at)
			for _, c := range settings() {
				show := func() {
					t := open(b)
					if err := c.set(t); err != nil {
						b.Fatal(err)
					}
					page(b, x, t)
				}
				b.Run(c.name, func(b *testing.B) { measure(b, nil, show) })
				b.Run(c.name+", just mounted", func(b *testing.B) { measure(b, func() { x = reopen() }, show) })
			}
		})
	}
}

// BenchmarkNewMessage brings a table in the order of subjects forward by one
// message.
func BenchmarkNewMessage(b *testing.B) {
	x, _ := fill(b, 100_000, inOrder)
	t := open(b)
	if err := t.Sort(mapi.SortOrder{Columns: []mapi.SortColumn{{Tag: mapi.TagSubject}}}); err != nil {
		b.Fatal(err)
	}
	page(b, x, t)
	measure(b, func() { x.add(store.FolderInbox, letter{subject: "Re: w1 w2"}) }, func() { page(b, x, t) })
}

// BenchmarkMillion reports what tables of a million messages hold, and at most
// held while they were made. The collector runs often, so that what is counted
// is not much more than what is in use.
func BenchmarkMillion(b *testing.B) {
	x, reopen := fill(b, 1_000_000, inOrder)
	defer debug.SetGCPercent(debug.SetGCPercent(5))
	for _, c := range settings()[:4] {
		b.Run(c.name, func(b *testing.B) {
			for b.Loop() {
				x = reopen()
				runtime.GC()
				before, held := heap(), uint64(0)
				peak := watch(func() {
					t := open(b)
					if err := c.set(t); err != nil {
						b.Fatal(err)
					}
					page(b, x, t)
					runtime.GC()
					held = heap()
					runtime.KeepAlive(t)
				})
				b.ReportMetric(float64(int64(held-before))/(1<<20), "MB-held")
				b.ReportMetric(float64(int64(peak-before))/(1<<20), "MB-peak")
			}
		})
	}
}

// heap is how many octets objects take.
func heap() uint64 {
	s := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(s)
	return s[0].Value.Uint64()
}

// watch returns the most that heap was during fn.
func watch(fn func()) (peak uint64) {
	end, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for tick := time.Tick(time.Millisecond); ; {
			select {
			case <-tick:
				peak = max(peak, heap())
			case <-end:
				return
			}
		}
	}()
	fn()
	close(end)
	<-done
	return peak
}
