package table

import (
	"context"
	"slices"

	"rialto/internal/mapi"
	"rialto/internal/model"
	"rialto/internal/store"
)

// Table is one open table; see the package comment.
type Table struct {
	src     Source
	columns []mapi.Tag
	need    []mapi.Tag // properties behind columns
	order   *order
	cond    *condition // nil: all rows
	limit   int        // most rows the restriction lets through, 0: all

	loaded  bool
	head    bool // entries are only the first rows
	total   int  // rows there are while head
	at      Position
	entries []entry
	groups  groups
	cursor  int // visible row

	marks    map[Bookmark]*anchor
	lastMark Bookmark
	notices  []Notice
	watching bool
}

// Limits of a table.
const (
	maxColumns   = 512
	maxBookmarks = 1024
	maxRows      = 4096 // a call returns
)

// New returns a table over a source, in its default order, without columns.
func New(src Source) *Table {
	t := &Table{src: src, marks: map[Bookmark]*anchor{}, lastMark: End}
	t.order = newOrder(mapi.SortOrder{Columns: src.Default()})
	return t
}

func bad(what string) error { return model.E("table", model.KindInvalid, what, nil) }

// SetColumns chooses what Rows returns.
func (t *Table) SetColumns(tags []mapi.Tag) error {
	if len(tags) == 0 || len(tags) > maxColumns {
		return bad("columns")
	}
	t.columns = slices.Clone(tags)
	t.need = nil
	for _, c := range tags {
		if c.Type()&mapi.TypeInstance != 0 && !c.Type().Multi() {
			return bad("column")
		}
		t.need = union(t.need, valueTag(c))
	}
	return nil
}

// Columns returns the column set.
func (t *Table) Columns() []mapi.Tag { return slices.Clone(t.columns) }

// Restrict shows only rows for which r holds; nil: all. The cursor goes to the
// beginning, and bookmarks are gone.
func (t *Table) Restrict(r mapi.Restriction) error {
	var c *condition
	limit := 0
	if r != nil {
		var err error
		if c, err = newCondition(r); err != nil {
			return err
		}
		limit = int(mapi.Limit(r))
	}
	t.cond, t.limit = c, limit
	t.reset()
	return nil
}

// Sort orders the table; without columns, as its source does by itself. The
// cursor goes to the beginning, and bookmarks are gone.
func (t *Table) Sort(o mapi.SortOrder) error {
	if err := o.Check(); err != nil {
		return err
	}
	instances := 0
	for _, c := range o.Columns {
		if c.Tag.Type()&mapi.TypeInstance != 0 {
			instances++
		}
	}
	if instances > 1 {
		return bad("more than one instance column")
	}
	if len(o.Columns) == 0 {
		o.Columns = t.src.Default()
	}
	t.order = newOrder(mapi.SortOrder{Columns: slices.Clone(o.Columns), Categories: o.Categories, Expanded: o.Expanded})
	t.reset()
	return nil
}

// reset forgets the rows.
func (t *Table) reset() {
	t.loaded, t.head, t.entries, t.groups, t.cursor = false, false, nil, groups{}, 0
	clear(t.marks)
	t.notices = nil
}

// headRows is how many rows a table begins with that stands in an index. It is
// many pages, so that none of them needs more than its own rows.
const headRows = 1024

// ready brings the table to v and has at least its first upto rows; negative:
// all.
func (t *Table) ready(ctx context.Context, v *store.View, upto int) error {
	if t.loaded {
		if err := t.catchUp(ctx, v); err != nil {
			return err
		}
		if !t.head || upto >= 0 && upto <= len(t.entries) {
			return nil
		}
		if ok, err := t.loadHead(ctx, v, upto); ok || err != nil {
			return err
		}
		return t.load(ctx, v) // the head is its beginning, so the cursor and bookmarks stay
	}
	if ok, err := t.loadHead(ctx, v, upto); ok || err != nil {
		return err
	}
	return t.load(ctx, v)
}

// loadHead reads only the first rows, if they stand in an index.
func (t *Table) loadHead(ctx context.Context, v *store.View, upto int) (bool, error) {
	src, ok := t.src.(Indexed)
	if !ok || upto < 0 || upto > headRows || t.cond != nil || t.order.Categories > 0 || t.order.instance >= 0 {
		return false, nil
	}
	at, total, err := t.src.Now(ctx, v)
	if err != nil || total <= upto {
		return false, err
	}
	rows, ok, err := src.First(ctx, v, t.order.Columns, headRows)
	if err != nil || !ok {
		return false, err
	}
	es := make([]entry, len(rows))
	var key []byte
	for i := range rows {
		key = t.indexedKey(key[:0], &rows[i])
		es[i].id = rows[i].ID
		es[i].setKey(key)
	}
	if err := t.sortEntries(ctx, v, es, nil); err != nil {
		return false, err
	}
	t.entries, t.at, t.total = es, at, total
	t.loaded, t.head = true, true
	t.groups.arrange(t)
	return true, nil
}

// indexedKey appends the key of a row of an index.
func (t *Table) indexedKey(key []byte, r *IndexedRow) []byte {
	for i, c := range t.order.Columns {
		mark := len(key)
		if key = mapi.AppendSortKey(key, r.Values[i], c.Tag.Type()); c.Descending {
			mapi.Reverse(key, mark)
		}
	}
	return key
}

// load reads all rows as they are in v.
func (t *Table) load(ctx context.Context, v *store.View) error {
	at, total, err := t.src.Now(ctx, v)
	if err != nil {
		return err
	}
	if err := t.cond.prepare(ctx, v, t.src); err != nil {
		return err
	}
	t.groups.begin()
	es, tails, err := t.scan(ctx, v, total)
	if err != nil {
		return err
	}
	t.entries = es // what sorting reads is judged by how many there are
	if err := t.sortEntries(ctx, v, es, tails); err != nil {
		t.loaded = false
		return err
	}
	t.at, t.loaded, t.head = at, true, false
	t.groups.arrange(t)
	return nil
}

// scanNeed is what a look at all rows asks of them.
func (t *Table) scanNeed() []mapi.Tag {
	need := slices.Clone(t.order.need)
	if t.cond != nil {
		need = union(need, t.cond.need...)
	}
	return need
}
