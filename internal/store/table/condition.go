package table

import (
	"context"
	"slices"

	"rialto/internal/mapi"
	"rialto/internal/store"
)

// condition is a restriction made ready for the rows of one view.
type condition struct {
	r       mapi.Restriction
	need    []mapi.Tag
	m       *mapi.Matcher
	hits    [][]uint64       // answers of the index, ids ascending
	used    mapi.Restriction // what m was made of: r, rewritten for the index
	indexed bool             // used is not r
}

// hitTag stands for "is among the hits of search i" in a rewritten restriction;
// no property has such an id.
func hitTag(i int) mapi.Tag { return mapi.MakeTag(uint16(0xffff-i), mapi.TypeBool) }

// maxHits is how many searches of one restriction go to the index.
const maxHits = 64

func newCondition(r mapi.Restriction) (*condition, error) {
	m, err := mapi.Compile(r)
	if err != nil {
		return nil, err
	}
	c := &condition{r: r, m: m, used: r}
	c.setNeed(r)
	return c, nil
}

func (c *condition) setNeed(r mapi.Restriction) {
	c.need = c.need[:0]
	mapi.Tags(r, func(t mapi.Tag) {
		if t.ID() <= 0xffff-maxHits {
			c.need = union(c.need, valueTag(t))
		}
	})
}

// prepare asks the index what it knows in v.
func (c *condition) prepare(ctx context.Context, v *store.View, src Source) error {
	s, ok := src.(Searching)
	if c == nil || !ok {
		return nil
	}
	c.hits = c.hits[:0]
	r, err := c.rewrite(c.r, func(x *mapi.Content) (mapi.Restriction, error) {
		if len(c.hits) == maxHits {
			return x, nil
		}
		ids, exact, ok, err := s.Search(ctx, v, x)
		if err != nil || !ok {
			return x, err
		}
		hit := &mapi.Exists{Tag: hitTag(len(c.hits))}
		if c.hits = append(c.hits, ids); exact {
			return hit, nil
		}
		return mapi.And{hit, x}, nil
	})
	if err != nil || len(c.hits) == 0 && !c.indexed {
		return err
	}
	c.indexed = len(c.hits) > 0
	if c.m, err = mapi.Compile(r); err != nil { // it grew over the limit: without the index
		c.m, err = mapi.Compile(c.r)
		r = c.r
	}
	c.used = r
	c.setNeed(r)
	return err
}

// clone is c for another goroutine.
func (c *condition) clone() (*condition, error) {
	if c == nil {
		return nil, nil
	}
	m, err := mapi.Compile(c.used)
	return &condition{r: c.r, need: c.need, m: m, hits: c.hits, used: c.used}, err
}

// rewrite returns r with the contents replaced; r is not changed.
func (c *condition) rewrite(r mapi.Restriction, fn func(*mapi.Content) (mapi.Restriction, error)) (mapi.Restriction, error) {
	all := func(rs []mapi.Restriction) ([]mapi.Restriction, error) {
		out := make([]mapi.Restriction, len(rs))
		for i := range rs {
			var err error
			if out[i], err = c.rewrite(rs[i], fn); err != nil {
				return nil, err
			}
		}
		return out, nil
	}
	switch r := r.(type) {
	case mapi.And:
		out, err := all(r)
		return mapi.And(out), err
	case mapi.Or:
		out, err := all(r)
		return mapi.Or(out), err
	case *mapi.Not:
		x, err := c.rewrite(r.R, fn)
		return &mapi.Not{R: x}, err
	case *mapi.Count:
		return c.rewrite(r.R, fn)
	case *mapi.Comment:
		if r.R == nil {
			return mapi.And{}, nil
		}
		return c.rewrite(r.R, fn)
	case *mapi.Content:
		return fn(r)
	}
	return r, nil
}

// holds reports whether a row is to be shown.
func (c *condition) holds(id uint64, r Row) (bool, error) {
	if c == nil {
		return true, nil
	}
	if len(c.hits) > 0 {
		r = hitRow{r, id, c}
	}
	return c.m.Match(r)
}

// hitRow answers for the index too.
type hitRow struct {
	Row
	id uint64
	c  *condition
}

func (h hitRow) Raw(t mapi.Tag) (mapi.Raw, bool, error) {
	if i := 0xffff - int(t.ID()); i < len(h.c.hits) {
		return mapi.Raw{}, false, nil
	}
	return h.Row.Raw(t)
}

func (h hitRow) Value(t mapi.Tag) (any, error) {
	if i := 0xffff - int(t.ID()); i < len(h.c.hits) {
		if _, hit := slices.BinarySearch(h.c.hits[i], h.id); hit {
			return true, nil
		}
		return nil, nil
	}
	return h.Row.Value(t)
}
