package table

import (
	"context"
	"math"
	"slices"

	"rialto/internal/mapi"
	"rialto/internal/store"
)

// Searcher finds items by text: a full-text index.
type Searcher interface {
	// Candidates returns the items of a folder for which c may hold: all for which
	// it does and, if exact, no others. ok false: the index does not know.
	Candidates(ctx context.Context, v *store.View, f store.FolderID, c *mapi.Content) (items []store.OID, exact, ok bool, err error)
}

// Contents is the Source of the normal, associated or recoverable items of a
// folder. Ids are UIDs in the normal space and row ids in the others.
type Contents struct {
	Folder store.FolderID
	Space  store.Space
	Text   Searcher // nil: bodies are looked for in the bags
	names  *names
}

// Default implements Source: the newest first.
func (c *Contents) Default() []mapi.SortColumn {
	return []mapi.SortColumn{{Tag: mapi.TagMessageDeliveryTime, Descending: true}}
}

// Now implements Source.
func (c *Contents) Now(ctx context.Context, v *store.View) (Position, int, error) {
	f, err := v.Folder(ctx, c.Folder)
	if err != nil {
		return Position{}, 0, err
	}
	n := f.Counts.Total
	switch c.Space {
	case store.Associated:
		n = f.Counts.Associated
	case store.Deleted:
		n = f.Counts.Deleted
	}
	return Position{Seq: f.Counts.Seq}, int(n), nil
}

func (c *Contents) row(ctx context.Context, v *store.View, p store.ItemParts) (*itemRow, error) {
	if c.names == nil {
		n, err := readNames(ctx, v)
		if err != nil {
			return nil, err
		}
		c.names = n
	}
	return &itemRow{ctx: ctx, v: v, names: c.names, bagged: p&store.WantBag != 0}, nil
}

// Scan implements Source.
func (c *Contents) Scan(ctx context.Context, v *store.View, need []mapi.Tag, fn func(uint64, Row) error) error {
	p := parts(need)
	if p == 0 {
		p = store.WantState
	}
	r, err := c.row(ctx, v, p)
	if err != nil {
		return err
	}
	return c.scan(r, 0, math.MaxUint64, need, p, fn)
}

// scan hands out the items with ids from from to to.
func (c *Contents) scan(r *itemRow, from, to uint64, need []mapi.Tag, p store.ItemParts, fn func(uint64, Row) error) error {
	var failed error
	visit := func(it *store.ItemRow) bool {
		r.ItemRow, r.bagged = it, p&store.WantBag != 0
		failed = fn(it.Place.N, r)
		return failed == nil
	}
	var err error
	if c.Space == store.Normal && p&store.WantBag == 0 && brief(need) {
		// The index of the folder that is kept in memory spares reading and decoding rows.
		r.columns = columns(need)
		err = r.v.BriefItems(r.ctx, c.Folder, store.UID(min(from, math.MaxUint32)), store.UID(min(to, math.MaxUint32)), r.columns, visit)
	} else {
		err = r.v.ItemsTo(r.ctx, store.Place{Folder: c.Folder, Space: c.Space, N: from}, to, p, visit)
	}
	if err == nil {
		err = failed
	}
	return err
}

// Parts implements Parted.
func (c *Contents) Parts(ctx context.Context, v *store.View, n int) (ids []uint64, err error) {
	if c.Space != store.Normal {
		return nil, nil
	}
	if _, err = c.row(ctx, v, 0); err != nil { // reads the names, before there are several goroutines
		return nil, err
	}
	uids, err := v.ItemBounds(ctx, c.Folder, n)
	for _, u := range uids {
		ids = append(ids, uint64(u))
	}
	return ids, err
}

// ScanPart implements Parted.
func (c *Contents) ScanPart(ctx context.Context, v *store.View, from, to uint64, need []mapi.Tag, fn func(uint64, Row) error) error {
	p := parts(need) | store.WantState
	r, err := c.row(ctx, v, p)
	if err != nil {
		return err
	}
	r.names = r.names.clone()
	return c.scan(r, from, to, need, p, fn)
}

// columns returns the properties of the summary that are behind some.
func columns(need []mapi.Tag) (out []mapi.Tag) {
	for _, t := range need {
		switch {
		case t == mapi.TagMessageFlags:
			out = union(out, mapi.TagHasAttachments)
		case mixed(t), !computed(t):
			out = union(out, t)
		}
	}
	return out
}

// brief reports whether what is needed of the state row is in its brief.
func brief(need []mapi.Tag) bool {
	for _, t := range need {
		switch t {
		case mapi.TagMessageFlags, mapi.TagMessageSize, mapi.TagMessageSizeExtended, mapi.TagMessageDeliveryTime, mapi.TagRead,
			mapi.TagFlagStatus, mapi.TagIconIndex, mapi.TagLastVerbExecuted, mapi.TagHasAttachments, mapi.TagMessageStatus:
		default:
			if computed(t) {
				return false
			}
		}
	}
	return true
}

// Get implements Source.
func (c *Contents) Get(ctx context.Context, v *store.View, ids []uint64, need []mapi.Tag, fn func(int, Row) error) error {
	places := make([]store.Place, len(ids))
	for i, id := range ids {
		places[i] = store.Place{Folder: c.Folder, Space: c.Space, N: id}
	}
	return getItems(ctx, v, c, places, need, fn)
}

// getItems hands out the items at places.
func getItems(ctx context.Context, v *store.View, c *Contents, places []store.Place, need []mapi.Tag, fn func(int, Row) error) error {
	p := parts(need) | store.WantState
	r, err := c.row(ctx, v, p)
	if err != nil {
		return err
	}
	items, err := v.ItemsAt(ctx, places, p)
	if err != nil {
		return err
	}
	for i := range items {
		if items[i].State == nil {
			continue
		}
		r.ItemRow, r.bagged = &items[i], p&store.WantBag != 0
		if err := fn(i, r); err != nil {
			return err
		}
	}
	return nil
}

// Changes implements Source.
func (c *Contents) Changes(ctx context.Context, v *store.View, since Position) (Delta, error) {
	now, _, err := c.Now(ctx, v)
	d := Delta{Now: now}
	if err != nil || now == since {
		return d, err
	}
	if c.Space == store.Deleted { // the log does not tell of recoverable items
		d.Whole = true
		return d, nil
	}
	complete, err := v.Changes(ctx, c.Folder, since.Seq, func(x *store.Change) bool {
		if x.Associated != (c.Space == store.Associated) {
			return true
		}
		id := uint64(x.UID)
		if x.Associated {
			id = uint64(x.Row)
		}
		switch x.Kind {
		case store.ChangeItem:
			d.Changed = append(d.Changed, id)
		case store.ChangeGone:
			d.Gone = append(d.Gone, id)
		}
		return true
	})
	d.Whole = !complete
	return d, err
}

// maxEqual is how many items of one time First looks through beyond what was
// asked for.
const maxEqual = 1024

// First implements Indexed, for the order of delivery times.
func (c *Contents) First(ctx context.Context, v *store.View, o []mapi.SortColumn, n int) (rows []IndexedRow, ok bool, err error) {
	if c.Space != store.Normal || len(o) != 1 || o[0].Tag != mapi.TagMessageDeliveryTime || o[0].Extreme != mapi.NoExtreme {
		return nil, false, nil
	}
	oids, times := make([]store.OID, 0, n), make([]uint64, 0, n)
	values := make([]any, 0, n)
	rows = make([]IndexedRow, 0, n)
	ok, whole := true, true
	err = v.ByTime(ctx, c.Folder, o[0].Descending, n+1, func(ticks uint64, oid store.OID, u store.UID) bool {
		if len(oids) >= n && ticks != times[len(times)-1] {
			return false
		}
		ok, whole = len(oids) < n+maxEqual, whole && u != 0
		oids, times = append(oids, oid), append(times, ticks)
		values = append(values, mapi.FromFileTime(ticks))
		rows = append(rows, IndexedRow{uint64(u), values[len(values)-1 : len(values) : len(values)]})
		return ok
	})
	if err != nil || !ok {
		return nil, false, err
	}
	if whole {
		return rows, true, nil
	}
	places, there, err := v.FindMany(ctx, oids)
	for i, p := range places {
		ok = ok && there[i] && p.Folder == c.Folder && p.Space == c.Space
		rows[i].ID = p.N
	}
	return rows, ok && err == nil, err
}

// Search implements Searching: what is not in the rows may be in an index.
func (c *Contents) Search(ctx context.Context, v *store.View, x *mapi.Content) (ids []uint64, exact, ok bool, err error) {
	if _, text := x.Value.(string); !text || c.Text == nil || c.Space != store.Normal || x.Match != mapi.Substring || store.InSummary(x.Tag) {
		return nil, false, false, nil
	}
	oids, exact, ok, err := c.Text.Candidates(ctx, v, c.Folder, x)
	if err != nil || !ok {
		return nil, false, false, err
	}
	places, there, err := v.FindMany(ctx, oids)
	for i, p := range places {
		if there[i] && p.Folder == c.Folder && p.Space == c.Space {
			ids = append(ids, p.N)
		}
	}
	slices.Sort(ids)
	return ids, exact, true, err
}
