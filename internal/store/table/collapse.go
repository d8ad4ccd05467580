package table

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"slices"

	"rialto/internal/mapi"
	"rialto/internal/model"
	"rialto/internal/model/row"
	"rialto/internal/store"
)

// category finds a category by the id of its heading.
func (t *Table) category(ctx context.Context, v *store.View, id uint64) (*group, error) {
	if t.order.Categories == 0 {
		return nil, bad("a table without categories")
	}
	if err := t.ready(ctx, v, -1); err != nil {
		return nil, err
	}
	for _, g := range t.groups.byKey {
		if g.id == id && g.rows > 0 {
			return g, nil
		}
	}
	return nil, model.E("table", model.KindNotFound, "category", nil)
}

// Expand opens a category and returns how many rows came to be seen below it,
// and up to n of them (MS-OXCTABL 2.2.2.17).
func (t *Table) Expand(ctx context.Context, v *store.View, id uint64, n int) (more int, rows []Values, err error) {
	g, err := t.category(ctx, v, id)
	if err != nil {
		return 0, nil, err
	}
	more = t.toggle(g, true)
	if g.start >= 0 && n > 0 {
		rows, err = t.values(ctx, v, g.start+1, g.start+1+min(more, n, maxRows))
	}
	return more, rows, err
}

// Collapse closes a category and returns how many rows are not seen any more.
func (t *Table) Collapse(ctx context.Context, v *store.View, id uint64) (less int, err error) {
	g, err := t.category(ctx, v, id)
	if err != nil {
		return 0, err
	}
	return -t.toggle(g, false), nil
}

// toggle opens or closes a heading and returns how many rows came. The cursor
// stays with its row, or goes to the heading that hides it.
func (t *Table) toggle(g *group, open bool) int {
	if g.open == open {
		return 0
	}
	a, before := t.anchorAt(t.cursor), t.groups.visible
	if g.open = open; a.g != nil && !open {
		for p := a.g.parent; p != nil; p = p.parent {
			if p == g {
				a = &anchor{g: g, last: g.start}
				break
			}
		}
	}
	t.groups.show()
	t.cursor, _ = t.where(a)
	return t.groups.visible - before
}

const collapseVersion = 1

// orderSum tells orders apart in a saved state.
func (t *Table) orderSum() []byte {
	sum := sha256.Sum256(mapi.AppendSortOrder(nil, &t.order.SortOrder))
	return sum[:8]
}

// CollapseState returns which headings are open, and a row, as octets that
// SetCollapseState understands in any later table of this order.
func (t *Table) CollapseState(ctx context.Context, v *store.View, id uint64, instance int) ([]byte, error) {
	if t.order.Categories == 0 {
		return nil, bad("a table without categories")
	}
	if err := t.ready(ctx, v, -1); err != nil {
		return nil, err
	}
	var turned []uint64
	for _, g := range t.groups.byKey {
		if g.open != (g.level < t.order.Expanded) {
			turned = append(turned, g.id)
		}
	}
	slices.Sort(turned)
	b := append([]byte{collapseVersion}, t.orderSum()...)
	b = binary.BigEndian.AppendUint64(b, id)
	b = binary.AppendUvarint(b, uint64(instance))
	b = binary.AppendUvarint(b, uint64(len(turned)))
	for _, x := range turned {
		b = binary.BigEndian.AppendUint64(b, x)
	}
	return b, nil
}

// SetCollapseState opens and closes headings as they were, and returns a
// bookmark of the row that was saved; Beginning if it is gone.
func (t *Table) SetCollapseState(ctx context.Context, v *store.View, state []byte) (Bookmark, error) {
	d := row.Reader{B: state}
	if d.Byte() != collapseVersion || t.order.Categories == 0 || string(d.Take(8)) != string(t.orderSum()) {
		return 0, bad("collapse state of another table")
	}
	id, inst := d.Uint64(), d.Uvarint()
	n := d.Count()
	if d.Bad || len(d.B) != 8*n || inst > maxInstance {
		return 0, bad("collapse state")
	}
	turned := make(map[uint64]bool, n)
	for range n {
		turned[d.Uint64()] = true
	}
	if err := t.ready(ctx, v, -1); err != nil {
		return 0, err
	}
	for _, g := range t.groups.byKey {
		g.open = (g.level < t.order.Expanded) != turned[g.id]
	}
	a := t.anchorAt(t.cursor)
	t.groups.show()
	t.cursor, _ = t.where(a)
	return t.markRow(id, int(inst))
}

// markRow makes a bookmark of a row or a heading.
func (t *Table) markRow(id uint64, inst int) (Bookmark, error) {
	var a *anchor
	for _, g := range t.groups.byKey {
		if g.id == id && g.rows > 0 {
			a = &anchor{g: g, entry: -1, last: g.start}
		}
	}
	for i := 0; a == nil && i < len(t.entries); i++ {
		if e := &t.entries[i]; e.id == id && e.instance() == inst {
			a = &anchor{entry: i, row: identity(e)}
		}
	}
	if a == nil {
		return Beginning, nil
	}
	if len(t.marks) >= maxBookmarks {
		return 0, model.E("table", model.KindTooLarge, "bookmarks", nil)
	}
	t.lastMark++
	t.marks[t.lastMark] = a
	return t.lastMark, nil
}
