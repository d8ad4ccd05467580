package table

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"rialto/internal/kv"
	"rialto/internal/kv/memory"
	"rialto/internal/mapi"
	"rialto/internal/store"
)

// TestSortKept compares the sort by octets with one by comparing.
func TestSortKept(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for _, c := range []struct {
		name string
		key  func() []byte
	}{
		{"few values", func() []byte { return []byte{1, byte(r.IntN(3))} }},
		{"one value", func() []byte { return []byte("the same for all of them") }},
		{"numbers", func() []byte { return mapi.AppendSortKey(nil, int32(r.IntN(5000)-2500), mapi.TypeInt32) }},
		{"texts", func() []byte { return []byte(fmt.Sprintf("\x01re: w%x w%x", r.IntN(50), r.IntN(5000))) }},
		{"anything", func() []byte {
			b := make([]byte, r.IntN(24))
			for i := range b {
				b[i] = byte(r.IntN(256))
			}
			return b
		}},
	} {
		for _, n := range []int{0, 1, 2, fewEntries, fewEntries + 1, 3000} {
			es := make([]entry, n)
			for i := range es {
				es[i] = entry{id: uint64(r.IntN(n)) << r.IntN(40), bits: uint16(r.IntN(5)) << instanceBit, group: uint32(r.IntN(3))}
				es[i].setKey(c.key())
				if r.IntN(2) == 0 {
					es[i].bits |= entryUnread // has no part in the order
				}
			}
			want := slices.Clone(es)
			slices.SortFunc(want, func(a, b entry) int { return compare(&a, &b) })
			sortKept(es)
			for i := range es {
				if compare(&es[i], &want[i]) != 0 {
					t.Fatalf("%s: %d of %d is %v, should be %v", c.name, i, n, es[i], want[i])
				}
			}
			slices.SortFunc(es, func(a, b entry) int { return byID(&a, &b) })
			slices.SortFunc(want, func(a, b entry) int { return byID(&a, &b) })
			for i := range es { // and nothing was lost
				if es[i].id != want[i].id || es[i].instance() != want[i].instance() {
					t.Fatalf("%s: %v is not among %d", c.name, want[i], n)
				}
			}
		}
	}
}

// TestTails keeps pieces of keys, joins them and finds them again.
func TestTails(t *testing.T) {
	text := func(id uint64, inst int) []byte {
		return []byte(strings.Repeat(fmt.Sprint(id, "/", inst, " "), int(id%40)))
	}
	all := &tails{size: tailSize, limit: 4 << 20}
	for part := range uint64(3) {
		one := &tails{size: tailSize, limit: 4 << 20}
		for id := part * 5000; id < part*5000+5000; id += 2 {
			for inst := range int(id % 3) {
				one.add(id, inst, text(id, inst))
			}
		}
		all.join(one)
	}
	if !all.complete() {
		t.Fatalf("%d octets are too many", all.used)
	}
	for id := range uint64(15100) {
		for inst := range 3 {
			var want []byte
			if id < 15000 && id%2 == 0 && inst < int(id%3) {
				want = text(id, inst)
			}
			w := all.of(&entry{id: id, bits: uint16(inst << instanceBit)})
			if string(w.key) != string(want[:min(len(want), tailSize)]) || w.more != (len(want) > tailSize) {
				t.Fatalf("%d/%d has %q, more %v, of %q", id, inst, w.key, w.more, want)
			}
		}
	}
	small := &tails{size: tailSize, limit: 1000}
	for id := range uint64(100) {
		small.add(id, 0, text(id, 0))
	}
	if small.complete() || len(small.list) > 0 || (*tails)(nil).complete() {
		t.Errorf("over its limit it has %d", len(small.list))
	}
	if all.join(small); all.complete() {
		t.Error("what is not complete made a complete one")
	}
}

// large makes a folder that is read in parts, whose subjects begin alike, and
// takes some items out of it again.
func large(t *testing.T) *box {
	b := newBox(t)
	r := rand.New(rand.NewPCG(7, 8))
	const n = 3 * partRows
	for i := 0; i < n; i += 512 {
		var ls []letter
		for range 512 {
			l := letter{subject: fmt.Sprintf("Re: the same beginning %s%03d", strings.Repeat("and on ", r.IntN(2)*(r.IntN(2)*60+1)), r.IntN(700)),
				imp: int32(r.IntN(3)), at: 1e9 + r.Int64N(1000), read: r.IntN(2) == 0}
			if r.IntN(2) == 0 {
				l.note = fmt.Sprintf("note %02d", r.IntN(90))
			}
			ls = append(ls, l)
		}
		b.add(store.FolderInbox, ls...)
	}
	if _, err := b.m.Delete(ctx, store.FolderInbox, store.UIDSet{{From: 3000, To: 3100}, {From: 9000, To: 9000}}); err != nil {
		t.Fatal(err)
	}
	return b
}

// TestParts compares tables that are read in parts, from rows and then from what
// is kept of them, with the model, and with tables that are read as one.
func TestParts(t *testing.T) {
	b := large(t)
	v := b.view()
	defer v.Close()
	rows := b.rowsOf(v, store.FolderInbox)
	text := &mapi.Content{Tag: mapi.TagSubject, Match: mapi.Substring, Fold: mapi.IgnoreCase, Value: "ON 12"}
	unread := &mapi.Bits{Zero: true, Tag: mapi.TagMessageFlags, Mask: 1}
	for name, c := range map[string]struct {
		order []mapi.SortColumn
		r     mapi.Restriction
		model mapi.Restriction // of the model, if it does not know the property
	}{
		"subject":           {order: []mapi.SortColumn{{Tag: mapi.TagSubject}}},
		"subject backwards": {order: []mapi.SortColumn{{Tag: mapi.TagSubject, Descending: true}, {Tag: mapi.TagImportance}}},
		"size, time":        {order: []mapi.SortColumn{{Tag: mapi.TagMessageSize}, {Tag: mapi.TagMessageDeliveryTime, Descending: true}}},
		"time":              {order: []mapi.SortColumn{{Tag: mapi.TagMessageDeliveryTime}}},
		"importance":        {order: []mapi.SortColumn{{Tag: mapi.TagImportance, Descending: true}}},
		"text":              {order: []mapi.SortColumn{{Tag: mapi.TagSubject}}, r: text},
		"unread": {order: []mapi.SortColumn{{Tag: mapi.TagImportance}}, r: unread,
			model: &mapi.Comparison{Tag: mapi.TagRead, Relation: mapi.Equal, Value: false}},
		"bag": {order: []mapi.SortColumn{{Tag: tagNote}, {Tag: mapi.TagSubject}}, r: &mapi.Exists{Tag: tagNote}},
	} {
		if c.model == nil {
			c.model = c.r
		}
		want := strings.Join(expect(t, slices.Clone(rows), mapi.SortOrder{Columns: c.order}, c.model, nil), " ")
		for _, readers := range []int{2, 2, 1} {
			tab := opened(t, &Contents{Folder: store.FolderInbox}, mapi.TagSubject)
			if err := tab.Sort(mapi.SortOrder{Columns: c.order}); err != nil {
				t.Fatal(err)
			}
			if err := tab.Restrict(c.r); err != nil {
				t.Fatal(err)
			}
			old := runtime.GOMAXPROCS(readers)
			bounds, err := tab.split(ctx, v, len(rows))
			if err != nil || (len(bounds) > 1) != (readers > 1) {
				t.Fatal(bounds, err)
			}
			got := strings.Join(shown(t, tab, v), " ")
			runtime.GOMAXPROCS(old)
			if got != want {
				t.Fatalf("%s, %d readers:\n%.300s\nshould be\n%.300s", name, readers, got, want)
			}
		}
	}
}

// TestLongKeys sorts by keys that are equal for longer than what a scan keeps,
// and by more of them than it may keep.
func TestLongKeys(t *testing.T) {
	b := newBox(t)
	var ls []letter
	for i := range 300 {
		ls = append(ls, letter{subject: strings.Repeat("x", keySize+tailSize+windowSize*(i%3)) + fmt.Sprint(i*7%300)})
	}
	b.add(store.FolderInbox, ls...)
	v := b.view()
	defer v.Close()
	o := mapi.SortOrder{Columns: []mapi.SortColumn{{Tag: mapi.TagSubject}}}
	want := expect(t, b.rowsOf(v, store.FolderInbox), o, nil, nil)
	tab := opened(t, &Contents{Folder: store.FolderInbox}, mapi.TagSubject)
	if err := tab.Sort(o); err != nil {
		t.Fatal(err)
	}
	if got := shown(t, tab, v); !slices.Equal(got, want) {
		t.Errorf("%v\nshould be %v", got, want)
	}
	es := slices.Clone(tab.entries)
	slices.Reverse(es)
	for _, known := range []*tails{nil, {size: tailSize, over: true}} { // read again
		if err := tab.sortEntries(ctx, v, es, known); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(es, tab.entries) {
			t.Errorf("read again, it is %v", es)
		}
	}
}

// TestUnannounced asks a row of columns for what was not announced.
func TestUnannounced(t *testing.T) {
	b := newBox(t)
	b.add(store.FolderInbox, letter{subject: "s", imp: 2, note: "n"}, letter{subject: "t", imp: 1})
	v := b.view()
	defer v.Close()
	var got []any
	err := (&Contents{Folder: store.FolderInbox}).Scan(ctx, v, []mapi.Tag{mapi.TagImportance}, func(_ uint64, r Row) error {
		for _, tag := range []mapi.Tag{mapi.TagImportance, mapi.TagSubject, tagNote, mapi.TagHasAttachments} {
			x, err := r.Value(tag)
			if err != nil {
				return err
			}
			got = append(got, x)
		}
		return nil
	})
	if want := []any{int32(2), "s", "n", false, int32(1), "t", nil, false}; err != nil || !slices.Equal(got, want) {
		t.Errorf("%v, %v", got, err)
	}
}

// fickle is an index of texts that knows one item, or does not know.
type fickle struct {
	item store.OID
	ok   bool
}

func (f *fickle) Candidates(context.Context, *store.View, store.FolderID, *mapi.Content) ([]store.OID, bool, bool, error) {
	return []store.OID{f.item}, true, f.ok, nil
}

// TestIndexGoesAway restricts by an index that does not know any more later.
func TestIndexGoesAway(t *testing.T) {
	b := newBox(t)
	st := b.add(store.FolderInbox, letter{subject: "a", note: "word"}, letter{subject: "b", note: "word"}, letter{subject: "c", note: "other"})
	text := &fickle{st[1].OID, true}
	tab := opened(t, &Contents{Folder: store.FolderInbox, Text: text}, mapi.TagSubject)
	r := &mapi.Content{Tag: tagNote, Match: mapi.Substring, Value: "word"}
	if err := tab.Restrict(r); err != nil {
		t.Fatal(err)
	}
	for i, c := range []struct {
		knows bool
		want  []string
	}{{true, []string{"2/0"}}, {false, []string{"1/0", "2/0", "4/0", "5/0"}}, {true, []string{"2/0"}}} {
		text.ok = c.knows
		b.add(store.FolderInbox, letter{subject: "new", note: "word", at: int64(i)})
		tab.loaded = false // it reads all again, with the condition it has
		v := b.view()
		got := shown(t, tab, v)
		v.Close()
		if slices.Sort(got); !slices.Equal(got, c.want) {
			t.Errorf("index knows %v: %v", c.knows, got)
		}
	}
}

// oldTimes is an engine whose index by delivery time does not say where items
// are, as it was once written.
type oldTimes struct{ kv.DB }

type oldSnapshot struct{ kv.Snapshot }

type oldIterator struct{ kv.Iterator }

func (o oldTimes) NewSnapshot(owner string, ttl time.Duration) (kv.Snapshot, error) {
	s, err := o.DB.NewSnapshot(owner, ttl)
	return oldSnapshot{s}, err
}

func (o oldSnapshot) Scan(ctx context.Context, r kv.Range) kv.Iterator {
	return oldIterator{o.Snapshot.Scan(ctx, r)}
}

func (o oldIterator) Value() []byte {
	if k := o.Key(); len(k) == 26 && k[0] == 0x10 && k[5] == 0x1d {
		return nil
	}
	return o.Iterator.Value()
}

// TestHeadOfOldRows reads a head from index rows of before.
func TestHeadOfOldRows(t *testing.T) {
	b := openBox(t, oldTimes{memory.New(memory.Options{})})
	b.add(store.FolderInbox, many(200)...)
	tab := opened(t, &Contents{Folder: store.FolderInbox}, mapi.TagSubject)
	v := b.view()
	defer v.Close()
	if rows := read(t, tab, v, 2); !tab.head || !slices.Equal(rows, []any{"subject 0199", "subject 0198"}) {
		t.Errorf("head %v: %v", tab.head, rows)
	}
}
