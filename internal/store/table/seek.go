package table

import (
	"context"
	"slices"

	"rialto/internal/mapi"
	"rialto/internal/model"
	"rialto/internal/store"
)

// Bookmark names a place in a table (MS-OXCTABL 2.2.2.1.1).
type Bookmark uint32

// The bookmarks every table has; others come from Table.Bookmark.
const (
	Beginning Bookmark = 0
	Current   Bookmark = 1
	End       Bookmark = 2
)

// anchor is a place that moves with its row: a heading or an entry.
type anchor struct {
	g     *group
	entry int
	row   instanceID // of the entry
	end   bool       // behind the last row
	gone  bool       // its row went; the entry is the one that followed
	last  int        // the visible row it was at, for when nothing else is left
}

// anchorAt returns the anchor of a visible row or of the end.
func (t *Table) anchorAt(visible int) *anchor {
	if visible >= t.groups.visible {
		return &anchor{end: true, entry: len(t.entries), last: visible}
	}
	g, e := t.groups.line(visible)
	if g != nil {
		return &anchor{g: g, entry: -1, last: visible}
	}
	return &anchor{entry: e, row: identity(&t.entries[e]), last: visible}
}

// where returns the visible row of an anchor; exact is false if its row is not
// to be seen any more.
func (t *Table) where(a *anchor) (visible int, exact bool) {
	switch {
	case a.end && a.last == 0: // of an empty table: where it begins
		return 0, true
	case a.end:
		return t.groups.visible, true
	case a.g != nil:
		if g := a.g; g.rows > 0 && g.start >= 0 {
			return g.start, !a.gone
		}
		return min(a.last, t.groups.visible), false
	case a.entry >= len(t.entries):
		return t.groups.visible, false
	}
	visible, exact = t.rowOf(a.entry)
	return visible, exact && !a.gone
}

// Bookmark remembers the row at the cursor.
func (t *Table) Bookmark(ctx context.Context, v *store.View) (Bookmark, error) {
	if len(t.marks) >= maxBookmarks {
		return 0, model.E("table", model.KindTooLarge, "bookmarks", nil)
	}
	if err := t.ready(ctx, v, t.cursor); err != nil {
		return 0, err
	}
	t.lastMark++
	if t.head && t.cursor >= len(t.entries) {
		if err := t.load(ctx, v); err != nil {
			return 0, err
		}
	}
	t.marks[t.lastMark] = t.anchorAt(t.cursor)
	return t.lastMark, nil
}

// FreeBookmark forgets a bookmark.
func (t *Table) FreeBookmark(b Bookmark) { delete(t.marks, b) }

// origin returns the visible row a bookmark stands for.
func (t *Table) origin(ctx context.Context, v *store.View, b Bookmark) (row int, gone bool, err error) {
	upto := 0
	switch b {
	case Current:
		upto = t.cursor
	case End:
		upto = -1
	}
	if err := t.ready(ctx, v, upto); err != nil {
		return 0, false, err
	}
	switch b {
	case Beginning:
		return 0, false, nil
	case Current:
		return t.cursor, false, nil
	case End:
		return t.groups.visible, false, nil
	}
	a := t.marks[b]
	if a == nil {
		return 0, false, model.E("table", model.KindNotFound, "bookmark", nil)
	}
	row, exact := t.where(a)
	return row, !exact, nil
}

// Seek moves the cursor by rows from a bookmark, as far as there are any, and
// returns by how many it moved. gone: the bookmark's row is not to be seen any
// more, and the row that followed it was taken.
func (t *Table) Seek(ctx context.Context, v *store.View, from Bookmark, rows int) (moved int, gone bool, err error) {
	at, gone, err := t.origin(ctx, v, from)
	if err != nil {
		return 0, gone, err
	}
	rows = min(max(rows, -1<<31), 1<<31)
	to := max(at+rows, 0)
	if t.head && to > len(t.entries) {
		mark := t.cursor
		if err := t.ready(ctx, v, -1); err != nil {
			return 0, gone, err
		}
		t.cursor = mark
	}
	t.cursor = min(to, t.groups.visible)
	return t.cursor - at, gone, nil
}

// SeekFraction moves the cursor to num/den of the rows.
func (t *Table) SeekFraction(ctx context.Context, v *store.View, num, den uint32) error {
	if den == 0 {
		return bad("fraction")
	}
	upto := -1
	if num == 0 {
		upto = 0
	}
	if err := t.ready(ctx, v, upto); err != nil {
		return err
	}
	if num == 0 {
		t.cursor = 0
		return nil
	}
	t.cursor = int(min(uint64(t.groups.visible)*uint64(num)/uint64(den), uint64(t.groups.visible)))
	return nil
}

// findNear is how many rows Find looks at by id before it looks at all.
const findNear = 512

// Find looks for the first row for which r holds, from a bookmark on or,
// backward, before it, and puts the cursor on it. Headings are passed over.
// found is false if there is none; then the cursor stays.
func (t *Table) Find(ctx context.Context, v *store.View, r mapi.Restriction, from Bookmark, backward bool) (row Values, found, gone bool, err error) {
	if t.columns == nil {
		return row, false, false, bad("a table without columns")
	}
	c, err := newCondition(r)
	if err != nil {
		return row, false, false, err
	}
	at, gone, err := t.origin(ctx, v, from)
	if err == nil {
		err = t.ready(ctx, v, -1)
	}
	if err == nil {
		err = c.prepare(ctx, v, t.src)
	}
	if err != nil {
		return row, false, gone, err
	}
	hit, err := t.find(ctx, v, c, at, backward)
	if err != nil || hit < 0 {
		return row, false, gone, err
	}
	t.cursor = hit
	rows, err := t.values(ctx, v, hit, hit+1)
	if err != nil {
		return row, false, gone, err
	}
	return rows[0], true, gone, nil
}

// find returns the visible row of the hit, -1 if there is none.
func (t *Table) find(ctx context.Context, v *store.View, c *condition, at int, backward bool) (int, error) {
	step, end := 1, t.groups.visible
	if backward {
		at, step, end = at-1, -1, -1
	}
	near := end
	if (end-at)*step > findNear {
		near = at + findNear*step
	}
	var ids []uint64
	for i := at; i != near; i += step {
		if g, e := t.groups.line(i); g == nil {
			ids = append(ids, t.entries[e].id)
		}
	}
	hits, err := t.hits(ctx, v, c, ids)
	if err != nil {
		return -1, err
	}
	if i := t.firstOf(hits, at, near, step); i >= 0 || near == end {
		return i, nil
	}
	hits = map[uint64]bool{}
	err = t.src.Scan(ctx, v, c.need, func(id uint64, r Row) error {
		ok, err := c.holds(id, r)
		if ok {
			hits[id] = true
		}
		return err
	})
	if err != nil {
		return -1, err
	}
	return t.firstOf(hits, near, end, step), nil
}

// hits returns those of some rows for which c holds.
func (t *Table) hits(ctx context.Context, v *store.View, c *condition, ids []uint64) (map[uint64]bool, error) {
	out := map[uint64]bool{}
	for part := range slices.Chunk(ids, getRun) {
		err := t.src.Get(ctx, v, part, c.need, func(i int, r Row) error {
			ok, err := c.holds(part[i], r)
			if ok {
				out[part[i]] = true
			}
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (t *Table) firstOf(hits map[uint64]bool, from, to, step int) int {
	if len(hits) == 0 {
		return -1
	}
	for i := from; i != to; i += step {
		if g, e := t.groups.line(i); g == nil && hits[t.entries[e].id] {
			return i
		}
	}
	return -1
}
