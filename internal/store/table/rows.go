package table

import (
	"context"

	"rialto/internal/mapi"
	"rialto/internal/store"
)

// Values is one row as a table returns it.
type Values struct {
	ID       uint64 // the row's in its source; of a heading, the category's
	Instance int
	Heading  bool
	Values   []any // in the order of the columns, nil where the row has none
}

// Count is how many rows the table shows, headings of categories included.
func (t *Table) Count(ctx context.Context, v *store.View) (int, error) {
	if err := t.ready(ctx, v, 0); err != nil {
		return 0, err
	}
	if t.head {
		return t.total, nil
	}
	return t.groups.visible, nil
}

// Position is where the cursor is, and of how many rows.
func (t *Table) Position(ctx context.Context, v *store.View) (row, of int, err error) {
	of, err = t.Count(ctx, v)
	return t.cursor, of, err
}

// Rows returns up to n rows from the cursor on, or, n negative, before it: those
// too in the order of the table. The cursor goes behind them (before them),
// unless peek.
func (t *Table) Rows(ctx context.Context, v *store.View, n int, peek bool) ([]Values, error) {
	if t.columns == nil {
		return nil, bad("a table without columns")
	}
	n = min(max(n, -maxRows), maxRows)
	if err := t.ready(ctx, v, t.cursor+max(n, 0)); err != nil {
		return nil, err
	}
	from, to := t.cursor, t.cursor+n
	if n < 0 {
		from, to = max(to, 0), from
	}
	to = min(to, t.groups.visible)
	out, err := t.values(ctx, v, from, max(from, to))
	if err == nil && !peek {
		if t.cursor = to; n < 0 {
			t.cursor = from
		}
	}
	return out, err
}

// values reads visible rows from to to.
func (t *Table) values(ctx context.Context, v *store.View, from, to int) ([]Values, error) {
	out := make([]Values, to-from)
	var ids []uint64
	var at []int
	for i := range out {
		g, e := t.groups.line(from + i)
		if g != nil {
			out[i] = t.heading(g)
			continue
		}
		out[i] = Values{ID: t.entries[e].id, Instance: t.entries[e].instance(), Values: make([]any, len(t.columns))}
		ids, at = append(ids, t.entries[e].id), append(at, i)
	}
	if len(ids) == 0 {
		return out, nil
	}
	err := t.src.Get(ctx, v, ids, t.need, func(i int, r Row) error {
		return t.fill(&out[at[i]], r)
	})
	return out, err
}

// fill reads the columns of a row.
func (t *Table) fill(out *Values, r Row) error {
	for i, c := range t.columns {
		switch c {
		case mapi.TagRowType:
			out.Values[i] = int32(mapi.RowLeaf)
			continue
		case mapi.TagInstanceNum:
			out.Values[i] = int32(out.Instance)
			continue
		case mapi.TagDepth:
			if t.order.Categories > 0 {
				out.Values[i] = int32(t.order.Categories)
				continue
			}
		}
		x, err := r.Value(valueTag(c))
		if err != nil {
			return err
		}
		if c.Type()&mapi.TypeInstance != 0 {
			x = nth(x, t.instanceOf(c, out.Instance))
		}
		out.Values[i] = x
	}
	return nil
}

// instanceOf is which value of an instance column is shown: the row's own if the
// table has rows by it, otherwise the first.
func (t *Table) instanceOf(c mapi.Tag, inst int) int {
	if o := t.order; o.instance >= 0 && valueTag(o.Columns[o.instance].Tag) == valueTag(c) {
		return inst
	}
	return 0
}

// heading is the row of a category (MS-OXCTABL 2.2.1).
func (t *Table) heading(g *group) Values {
	out := Values{ID: g.id, Heading: true, Values: make([]any, len(t.columns))}
	for i, c := range t.columns {
		switch c {
		case mapi.TagRowType:
			if out.Values[i] = int32(mapi.RowCollapsed); g.open {
				out.Values[i] = int32(mapi.RowExpanded)
			}
		case mapi.TagDepth:
			out.Values[i] = int32(g.level)
		case mapi.TagContentCount:
			out.Values[i] = int32(g.rows)
		case mapi.TagContentUnreadCount:
			out.Values[i] = int32(g.unread)
		case mapi.TagInstID:
			out.Values[i] = int64(g.id)
		case mapi.TagInstanceNum:
			out.Values[i] = int32(0)
		default:
			for level, value := range g.values {
				if t.order.Columns[level].Tag.ID() == c.ID() {
					out.Values[i] = value
				}
			}
		}
	}
	return out
}
