package table

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"rialto/internal/kv"
	"rialto/internal/kv/memory"
	"rialto/internal/mapi"
	"rialto/internal/model"
	"rialto/internal/store"
)

const (
	tagColor = mapi.Tag(0x8001101F) // multi-valued, in the bag
	tagNote  = mapi.Tag(0x8002001F) // in the bag
)

// box is a mailbox for a test.
type box struct {
	t tester
	m *store.Mailbox
	d *store.Database
}

type tester interface {
	Helper()
	Fatal(...any)
	Fatalf(string, ...any)
}

func newBox(t testing.TB) *box {
	b := openBox(t, memory.New(memory.Options{}))
	return b
}

func openBox(t testing.TB, db kv.DB) *box {
	d, err := store.Open(context.Background(), db, store.Options{GUID: model.NewGUID(), Name: "Mailbox Store", Clock: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	m, err := d.CreateMailbox(context.Background(), model.NewGUID(), "ann")
	if err != nil {
		t.Fatal(err)
	}
	return &box{t, m, d}
}

func (b *box) view() *store.View {
	b.t.Helper()
	v, err := b.m.View(context.Background())
	if err != nil {
		b.t.Fatal(err)
	}
	return v
}

// letter describes an item.
type letter struct {
	subject string
	imp     int32
	at      int64
	read    bool
	colors  []string
	note    string
}

func (l letter) item() *store.NewItem {
	n := &store.NewItem{Time: time.Unix(l.at, 0).UTC()}
	n.Summary.Props.Set(mapi.TagSubject, l.subject)
	n.Summary.Props.Set(mapi.TagImportance, l.imp)
	if l.note != "" {
		n.Props.Set(tagNote, l.note)
	}
	if l.colors != nil {
		n.Props.Set(tagColor, l.colors)
	}
	if l.read {
		n.Flags = store.Read
	}
	var to mapi.Properties
	to.Set(mapi.TagDisplayName, "to "+l.subject)
	n.Recipients = []mapi.Properties{to}
	return n
}

func (b *box) add(f store.FolderID, ls ...letter) []*store.State {
	b.t.Helper()
	var items []*store.NewItem
	for _, l := range ls {
		items = append(items, l.item())
	}
	st, err := b.m.Append(context.Background(), f, items...)
	if err != nil {
		b.t.Fatal(err)
	}
	return st
}

// naive is a row as the model has it.
type naive struct {
	mapi.Properties
	id   uint64
	inst int
}

func (n naive) Value(t mapi.Tag) (any, error) {
	v, _ := n.Get(t)
	return v, nil
}

func (n naive) Each(mapi.Tag, func(mapi.Getter) (bool, error)) error { return nil }

// rowsOf reads a folder the plain way.
func (b *box) rowsOf(v *store.View, f store.FolderID) (out []naive) {
	b.t.Helper()
	sums := map[store.UID]mapi.Properties{}
	err := v.Summaries(ctx, f, 0, ^store.UID(0), func(r *store.Row) bool {
		p, err := r.Props()
		if err != nil {
			b.t.Fatal(err)
		}
		sums[r.UID] = p
		return true
	})
	if err != nil {
		b.t.Fatal(err)
	}
	err = v.States(ctx, f, 0, ^store.UID(0), func(s *store.State) bool {
		p := sums[s.UID()]
		bag, err := v.Props(ctx, s.Row)
		if err != nil {
			b.t.Fatal(err)
		}
		for _, q := range bag {
			p.Set(q.Tag, q.Value)
		}
		p.Set(mapi.TagMessageDeliveryTime, s.Time)
		p.Set(mapi.TagRead, s.Flags&store.Read != 0)
		p.Set(mapi.TagMessageSize, int32(s.Size))
		out = append(out, naive{p, uint64(s.UID()), 0})
		return true
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return out
}

var ctx = context.Background()

// expect is what a table over rows has to show: "id/instance" of rows, "#key" of
// headings.
func expect(t tester, rows []naive, o mapi.SortOrder, r mapi.Restriction, open map[string]bool) []string {
	t.Helper()
	o.Columns = slices.Clone(o.Columns)
	var shown []naive
	inst := slices.IndexFunc(o.Columns, func(c mapi.SortColumn) bool { return c.Tag.Type()&mapi.TypeInstance != 0 })
	for _, n := range rows {
		if r != nil {
			if ok, err := mapi.Eval(r, n); err != nil {
				t.Fatal(err)
			} else if !ok {
				continue
			}
		}
		if inst < 0 {
			shown = append(shown, n)
			continue
		}
		vs, _ := n.Properties.Get(tagColor)
		words, _ := vs.([]string)
		for i := range max(len(words), 1) {
			c := n
			c.Properties = slices.Clone(n.Properties)
			c.inst = i
			c.Delete(tagColor)
			if len(words) > 0 {
				c.Set(mapi.MakeTag(tagColor.ID(), mapi.TypeString), words[i])
			}
			shown = append(shown, c)
		}
	}
	if inst >= 0 {
		o.Columns[inst].Tag = mapi.MakeTag(tagColor.ID(), mapi.TypeString)
	}
	return lines(shown, o, 0, "", open)
}

func key(n naive, c mapi.SortColumn) []byte {
	v, _ := n.Get(c.Tag)
	k := mapi.AppendSortKey(nil, v, c.Tag.Type())
	if c.Descending {
		mapi.Reverse(k, 0)
	}
	return k
}

// lines orders and groups rows from a level on.
func lines(rows []naive, o mapi.SortOrder, level int, path string, open map[string]bool) (out []string) {
	slices.SortStableFunc(rows, func(a, b naive) int {
		for _, c := range o.Columns[level:] {
			if x := bytes.Compare(key(a, c), key(b, c)); x != 0 {
				return x
			}
		}
		if a.id != b.id {
			return int(a.id) - int(b.id)
		}
		return a.inst - b.inst
	})
	if level == o.Categories {
		for _, n := range rows {
			out = append(out, fmt.Sprintf("%d/%d", n.id, n.inst))
		}
		return out
	}
	type part struct {
		path string
		rows []naive
		rank []byte
	}
	var parts []*part
	for _, n := range rows {
		p := path + string(key(n, o.Columns[level]))
		if len(parts) == 0 || parts[len(parts)-1].path != p {
			parts = append(parts, &part{path: p})
		}
		parts[len(parts)-1].rows = append(parts[len(parts)-1].rows, n)
	}
	if c := level + 1; c == o.Categories && c < len(o.Columns) && o.Columns[c].Extreme != mapi.NoExtreme {
		for _, p := range parts {
			for i, n := range p.rows {
				k := key(n, o.Columns[c])
				first := (o.Columns[c].Extreme == mapi.Maximum) == o.Columns[c].Descending
				if x := bytes.Compare(k, p.rank); i == 0 || first && x < 0 || !first && x > 0 {
					p.rank = k
				}
			}
		}
		slices.SortStableFunc(parts, func(a, b *part) int { return bytes.Compare(a.rank, b.rank) })
	}
	for _, p := range parts {
		out = append(out, fmt.Sprintf("#%x", p.path))
		is, known := open[p.path]
		if !known {
			is = level < o.Expanded
		}
		if is {
			out = append(out, lines(p.rows, o, level+1, p.path, open)...)
		}
	}
	return out
}

// shown is the same of a table.
func shown(t tester, tab *Table, v *store.View) (out []string) {
	t.Helper()
	n, err := tab.Count(ctx, v)
	if err != nil {
		t.Fatal(err)
	}
	mark := tab.cursor
	if _, _, err := tab.Seek(ctx, v, Beginning, 0); err != nil {
		t.Fatal(err)
	}
	for len(out) < n {
		rows, err := tab.Rows(ctx, v, 50, false)
		if err != nil || len(rows) == 0 {
			t.Fatalf("%d of %d rows: %v", len(out), n, err)
		}
		for _, r := range rows {
			if !r.Heading {
				out = append(out, fmt.Sprintf("%d/%d", r.ID, r.Instance))
				continue
			}
			for k, g := range tab.groups.byKey {
				if g.id == r.ID {
					out = append(out, fmt.Sprintf("#%x", k))
				}
			}
		}
	}
	tab.cursor = mark
	return out
}

var (
	subjects = []string{"", "a", "A", "b", "Re: a long subject, the same at first", "re: A long subject, the same at first, then not", "ß", "SS", "Re: a long subject, the same at first, and on and on and on"}
	words    = []string{"red", "Green", "blue"}
)

func drawLetter(t *rapid.T) letter {
	l := letter{subject: rapid.SampledFrom(subjects).Draw(t, "subject"), imp: rapid.Int32Range(0, 2).Draw(t, "importance"),
		at: 1e9 + rapid.Int64Range(0, 5).Draw(t, "time"), read: rapid.Bool().Draw(t, "read")}
	if rapid.Bool().Draw(t, "has note") {
		l.note = rapid.SampledFrom(subjects[1:]).Draw(t, "note")
	}
	l.colors = rapid.SliceOfNDistinct(rapid.SampledFrom(words), 0, 3, rapid.ID).Draw(t, "colors")
	if len(l.colors) == 0 {
		l.colors = nil
	}
	return l
}

func drawOrder(t *rapid.T) mapi.SortOrder {
	cols := []mapi.Tag{mapi.TagSubject, mapi.TagImportance, mapi.TagMessageDeliveryTime, tagNote, mapi.TagRead, mapi.TagMessageSize, tagColor, tagColor | mapi.Tag(mapi.TypeInstance)}
	var o mapi.SortOrder
	for _, tag := range rapid.SliceOfNDistinct(rapid.SampledFrom(cols), 1, 3, mapi.Tag.ID).Draw(t, "columns") {
		o.Columns = append(o.Columns, mapi.SortColumn{Tag: tag, Descending: rapid.Bool().Draw(t, "descending")})
	}
	o.Categories = rapid.IntRange(0, min(2, len(o.Columns))).Draw(t, "categories")
	o.Expanded = rapid.IntRange(0, o.Categories).Draw(t, "expanded")
	if o.Categories > 0 && o.Categories < len(o.Columns) && o.Columns[o.Categories].Tag == mapi.TagMessageDeliveryTime {
		o.Columns[o.Categories].Extreme = mapi.Extreme(rapid.IntRange(0, 2).Draw(t, "extreme"))
	}
	return o
}

func drawRestriction(t *rapid.T) mapi.Restriction {
	text := rapid.SampledFrom([]string{"a", "long", "s", "then"})
	return rapid.OneOf(
		rapid.Just[mapi.Restriction](nil),
		rapid.Custom(func(t *rapid.T) mapi.Restriction {
			return &mapi.Content{Tag: mapi.TagSubject, Match: mapi.Substring, Fold: mapi.IgnoreCase, Value: text.Draw(t, "text")}
		}),
		rapid.Custom(func(t *rapid.T) mapi.Restriction {
			return mapi.Or{&mapi.Content{Tag: tagNote, Match: mapi.Prefix, Fold: mapi.Loose, Value: text.Draw(t, "text")},
				&mapi.Comparison{Relation: mapi.Equal, Tag: mapi.TagRead, Value: true}}
		}),
		rapid.Custom(func(t *rapid.T) mapi.Restriction {
			return &mapi.Not{R: &mapi.Comparison{Relation: mapi.Greater, Tag: mapi.TagImportance, Value: rapid.Int32Range(0, 2).Draw(t, "importance")}}
		}),
	).Draw(t, "restriction")
}

// TestTableAgainstModel changes a folder under an open table and compares what
// it shows with a plain reading, all the time.
func TestTableAgainstModel(t *testing.T) {
	b := newBox(t)
	n := 0
	rapid.Check(t, func(t *rapid.T) {
		b.t = t
		n++
		f, err := b.m.CreateFolder(ctx, store.FolderInbox, fmt.Sprint("f", n), "")
		if err != nil {
			t.Fatal(err)
		}
		tab := New(&Contents{Folder: f.ID})
		if err := tab.SetColumns([]mapi.Tag{mapi.TagSubject, mapi.TagRowType, tagColor | mapi.Tag(mapi.TypeInstance)}); err != nil {
			t.Fatal(err)
		}
		w := &world{box: b, t: t, f: f.ID, tab: tab, order: mapi.SortOrder{Columns: (&Contents{}).Default()}, open: map[string]bool{}}
		for range rapid.IntRange(0, 8).Draw(t, "first") {
			b.add(f.ID, drawLetter(t))
		}
		t.Repeat(map[string]func(*rapid.T){
			"": w.check, "add": w.add, "remove": w.remove, "flag": w.flag, "move": w.moveAway,
			"sort": w.sort, "restrict": w.restrict, "seek": w.seek, "find": w.find, "toggle": w.toggle, "mark": w.mark,
		})
	})
}

// world is a table, its folder, and what is known of both.
type world struct {
	*box
	t     tester
	f     store.FolderID
	tab   *Table
	order mapi.SortOrder
	r     mapi.Restriction
	open  map[string]bool
	marks map[Bookmark]string // what row each is of
}

func (w *world) want(v *store.View) []string {
	return expect(w.t, w.rowsOf(v, w.f), w.order, w.r, w.open)
}

func (w *world) check(t *rapid.T) {
	v := w.view()
	defer v.Close()
	want := w.want(v)
	if d := cmp.Diff(want, shown(t, w.tab, v)); d != "" {
		t.Fatalf("order %+v restriction %+v\n%s", w.order, w.r, d)
	}
	if w.tab.cursor > len(want) {
		t.Fatalf("cursor %d of %d", w.tab.cursor, len(want))
	}
	for b, row := range w.marks {
		a := w.tab.marks[b]
		at, exact := w.tab.where(a)
		i := slices.Index(want, row)
		if exact != (i >= 0) || exact && at != i || at > len(want) {
			t.Fatalf("bookmark of %s is at %d (exact %v), want %d of %v", row, at, exact, i, want)
		}
		if !exact { // it may come back, as another row; then it is one of its own
			delete(w.marks, b)
			w.tab.FreeBookmark(b)
		}
	}
}

func (w *world) add(t *rapid.T) { w.box.add(w.f, drawLetter(t)) }

// some draws a UID of the folder.
func (w *world) some(t *rapid.T) store.UIDSet {
	v := w.view()
	defer v.Close()
	rows := w.rowsOf(v, w.f)
	if len(rows) == 0 {
		return nil // changing nothing has to change nothing
	}
	return store.UIDs(store.UID(rows[rapid.IntRange(0, len(rows)-1).Draw(t, "row")].id))
}

func (w *world) remove(t *rapid.T) {
	if _, err := w.m.Delete(ctx, w.f, w.some(t)); err != nil {
		t.Fatal(err)
	}
}

func (w *world) flag(t *rapid.T) {
	ch := store.FlagChange{Set: store.Read}
	if rapid.Bool().Draw(t, "unread") {
		ch = store.FlagChange{Clear: store.Read}
	}
	if _, err := w.m.SetFlags(ctx, w.f, w.some(t), ch); err != nil {
		t.Fatal(err)
	}
}

func (w *world) moveAway(t *rapid.T) {
	if _, err := w.m.Move(ctx, w.f, w.some(t), rapid.SampledFrom([]store.FolderID{w.f, store.FolderDrafts}).Draw(t, "to")); err != nil {
		t.Fatal(err)
	}
}

func (w *world) sort(t *rapid.T) {
	w.order, w.open, w.marks = drawOrder(t), map[string]bool{}, nil
	if err := w.tab.Sort(w.order); err != nil {
		t.Fatal(err)
	}
}

func (w *world) restrict(t *rapid.T) {
	w.r, w.open, w.marks = drawRestriction(t), map[string]bool{}, nil
	if err := w.tab.Restrict(w.r); err != nil {
		t.Fatal(err)
	}
}

func (w *world) seek(t *rapid.T) {
	v := w.view()
	defer v.Close()
	n := len(w.want(v))
	from, by := rapid.SampledFrom([]Bookmark{Beginning, Current, End}).Draw(t, "from"), rapid.IntRange(-12, 12).Draw(t, "by")
	_, _, err := w.tab.Seek(ctx, v, Current, 0)
	at := map[Bookmark]int{Current: w.tab.cursor, End: n}[from]
	moved, gone, err2 := w.tab.Seek(ctx, v, from, by)
	want := min(max(at+by, 0), n)
	if err != nil || err2 != nil || gone || moved != want-at || w.tab.cursor != want {
		t.Fatalf("moved %d to %d of %d, want %d: %v %v", moved, w.tab.cursor, n, want, err, err2)
	}
	if num := rapid.Uint32Range(0, 5).Draw(t, "fifths"); err == nil {
		if err := w.tab.SeekFraction(ctx, v, num, 5); err != nil || w.tab.cursor != n*int(num)/5 {
			t.Fatalf("%d fifths of %d are %d: %v", num, n, w.tab.cursor, err)
		}
	}
}

func (w *world) find(t *rapid.T) {
	v := w.view()
	defer v.Close()
	r := drawRestriction(t)
	if r == nil {
		return
	}
	backward := rapid.Bool().Draw(t, "backward")
	want := w.want(v)
	shown(t, w.tab, v)
	_, _, err := w.tab.Seek(ctx, v, Current, 0)
	if err != nil {
		t.Fatal(err)
	}
	holds := map[string]bool{}
	for _, n := range w.rowsOf(v, w.f) {
		ok, err := mapi.Eval(r, n)
		if err != nil {
			t.Fatal(err)
		}
		holds[fmt.Sprint(n.id)] = ok
	}
	hit, at := -1, w.tab.cursor
	for i, row := range want {
		id, _, leaf := strings.Cut(row, "/")
		if leaf && holds[id] && (backward && i < at || !backward && i >= at && hit < 0) {
			hit = i
		}
	}
	row, found, gone, err := w.tab.Find(ctx, v, r, Current, backward)
	if err != nil || gone || found != (hit >= 0) || found && (w.tab.cursor != hit || fmt.Sprintf("%d/%d", row.ID, row.Instance) != want[hit]) {
		t.Fatalf("found %v %v at %d, want %d: %v", found, row.ID, w.tab.cursor, hit, err)
	}
}

func (w *world) toggle(t *rapid.T) {
	if w.order.Categories == 0 {
		return
	}
	v := w.view()
	defer v.Close()
	shown(t, w.tab, v)
	var paths []string
	for k, g := range w.tab.groups.byKey {
		if g.rows > 0 {
			paths = append(paths, k)
		}
	}
	if len(paths) == 0 {
		return
	}
	slices.Sort(paths)
	p := rapid.SampledFrom(paths).Draw(t, "heading")
	g, before := w.tab.groups.byKey[p], len(w.want(v))
	w.open[p] = !g.open
	var n int
	var err error
	if g.open {
		n, err = w.tab.Collapse(ctx, v, g.id)
		n = -n
	} else {
		n, _, err = w.tab.Expand(ctx, v, g.id, 10)
	}
	if err != nil || n != len(w.want(v))-before {
		t.Fatalf("%d rows came, want %d: %v", n, len(w.want(v))-before, err)
	}
	w.keepState(t, v)
}

// keepState carries what is open to another table of the same order.
func (w *world) keepState(t *rapid.T, v *store.View) {
	state, err := w.tab.CollapseState(ctx, v, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	other := New(&Contents{Folder: w.f})
	if err := other.SetColumns([]mapi.Tag{mapi.TagSubject}); err != nil {
		t.Fatal(err)
	}
	if err := other.Sort(w.order); err != nil {
		t.Fatal(err)
	}
	if err := other.Restrict(w.r); err != nil {
		t.Fatal(err)
	}
	if _, err := other.SetCollapseState(ctx, v, state); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(shown(t, w.tab, v), shown(t, other, v)); d != "" {
		t.Fatal(d)
	}
}

func (w *world) mark(t *rapid.T) {
	v := w.view()
	defer v.Close()
	want := w.want(v)
	if _, _, err := w.tab.Seek(ctx, v, Current, 0); err != nil {
		t.Fatal(err)
	}
	if w.tab.cursor >= len(want) {
		return
	}
	b, err := w.tab.Bookmark(ctx, v)
	if err != nil {
		t.Fatal(err)
	}
	if w.marks == nil {
		w.marks = map[Bookmark]string{}
	}
	w.marks[b] = want[w.tab.cursor]
}
