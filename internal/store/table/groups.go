package table

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"sort"

	"rialto/internal/mapi"
)

// group is a category: its heading and what is below it.
type group struct {
	id       uint64 // of the heading; the same in every table of this order
	index    uint32 // of a lowest one: what its entries carry
	level    int
	key      []byte // of its column
	values   []any  // of the category columns, down to its own
	parent   *group
	children []*group
	lo, hi   int    // a lowest one's entries
	rank     []byte // comes before key in the order, if an extreme orders groups
	open     bool
	rows     int
	unread   int
	start    int // visible row of the heading, -1: below one that is closed
}

// segment is a stretch of visible rows: a heading, if there is one, then entries.
type segment struct {
	start int
	g     *group
	lo    int
	hi    int
}

// groups is the tree of headings.
type groups struct {
	byKey    map[string]*group // by the keys of all columns down to it
	lowest   []*group          // by index
	top      []*group
	segments []segment
	visible  int
	scratch  []byte
}

// begin prepares for entries made anew; headings keep their state.
func (gs *groups) begin() {
	for _, g := range gs.byKey {
		g.rows, g.unread = 0, 0
	}
}

// of returns the lowest group of a row, made if it is new.
func (gs *groups) of(o *order, r Row, inst int) (*group, error) {
	if gs.byKey == nil {
		gs.byKey = map[string]*group{}
	}
	var g *group
	var err error
	gs.scratch = gs.scratch[:0]
	for level := range o.Categories {
		mark := len(gs.scratch)
		if gs.scratch, err = o.append(gs.scratch, r, inst, level, level+1); err != nil {
			return nil, err
		}
		below := gs.byKey[string(gs.scratch)]
		if below == nil {
			if below, err = gs.make(o, r, inst, g, level, mark); err != nil {
				return nil, err
			}
		}
		g = below
	}
	return g, nil
}

// make makes the group whose keys are in scratch, its own from mark on.
func (gs *groups) make(o *order, r Row, inst int, parent *group, level, mark int) (*group, error) {
	g := &group{level: level, parent: parent, key: bytes.Clone(gs.scratch[mark:]), open: level < o.Expanded}
	sum := sha256.Sum256(gs.scratch)
	g.id = binary.BigEndian.Uint64(sum[:])
	if parent != nil {
		g.values = slices.Clone(parent.values)
	}
	v, err := r.Value(valueTag(o.Columns[level].Tag))
	if err != nil {
		return nil, err
	}
	if o.Columns[level].Tag.Type()&mapi.TypeInstance != 0 {
		v = nth(v, inst)
	}
	g.values = append(g.values, v)
	if level == o.Categories-1 {
		g.index = uint32(len(gs.lowest))
		gs.lowest = append(gs.lowest, g)
	}
	gs.byKey[string(gs.scratch)] = g
	return g, nil
}

// arrange makes the tree and the segments for entries that are in order.
func (gs *groups) arrange(t *Table) {
	if t.order.Categories == 0 {
		gs.segments, gs.visible = []segment{{0, nil, 0, len(t.entries)}}, len(t.entries)
		return
	}
	gs.begin()
	for _, g := range gs.byKey {
		g.children = g.children[:0]
		g.lo, g.hi = 0, 0
	}
	gs.top = gs.top[:0]
	for i := 0; i < len(t.entries); {
		g := gs.lowest[t.entries[i].group]
		g.lo = i
		for ; i < len(t.entries) && t.entries[i].group == g.index; i++ {
			g.rows++
			g.unread += int(t.entries[i].bits & entryUnread / entryUnread)
		}
		g.hi = i
		g.rank = t.rank(g)
		gs.hang(g)
	}
	gs.order(gs.top)
	gs.show()
}

// rank is what orders a lowest group before its key: the key of its entry with
// the extreme value.
func (t *Table) rank(g *group) []byte {
	i := t.order.Categories
	if i >= len(t.order.Columns) || t.order.Columns[i].Extreme == mapi.NoExtreme {
		return nil
	}
	c := t.order.Columns[i]
	e := &t.entries[g.hi-1]
	if (c.Extreme == mapi.Maximum) == c.Descending {
		e = &t.entries[g.lo]
	}
	kept := e.key()
	return bytes.Clone(kept[:firstKey(kept[:], c)])
}

// firstKey is how much of a kept key is its first column's. Of texts and octets
// no more than what is kept counts.
func firstKey(key []byte, c mapi.SortColumn) int {
	there := key[0] == 1
	if c.Descending {
		there = key[0] == 0xfe
	}
	switch t := valueTag(c.Tag).Type(); {
	case !there:
		return 1
	case t == mapi.TypeBool:
		return 2
	case t.Text(), t == mapi.TypeBinary, t == mapi.TypeServerID, t == mapi.TypeGUID, t.Multi():
		return len(key)
	}
	return 1 + 8
}

// hang puts a lowest group with rows into the tree.
func (gs *groups) hang(g *group) {
	rows, unread := g.rows, g.unread
	for g.parent != nil {
		p := g.parent
		p.children = append(p.children, g)
		hung := p.rows > 0
		p.rows += rows
		p.unread += unread
		if hung {
			for p = p.parent; p != nil; p = p.parent {
				p.rows += rows
				p.unread += unread
			}
			return
		}
		g = p
	}
	gs.top = append(gs.top, g)
}

func (gs *groups) order(list []*group) {
	slices.SortFunc(list, func(a, b *group) int {
		if c := bytes.Compare(a.rank, b.rank); c != 0 {
			return c
		}
		return bytes.Compare(a.key, b.key)
	})
	for _, g := range list {
		gs.order(g.children)
	}
}

// show makes the segments of what is open.
func (gs *groups) show() {
	gs.segments, gs.visible = gs.segments[:0], 0
	for _, g := range gs.byKey {
		g.start = -1
	}
	gs.showList(gs.top)
}

func (gs *groups) showList(list []*group) {
	for _, g := range list {
		s := segment{start: gs.visible, g: g}
		if g.open && len(g.children) == 0 {
			s.lo, s.hi = g.lo, g.hi
		}
		g.start = gs.visible
		gs.segments = append(gs.segments, s)
		gs.visible += 1 + s.hi - s.lo
		if g.open {
			gs.showList(g.children)
		}
	}
}

// segmentAt returns the segment of a visible row, which must exist.
func (gs *groups) segmentAt(visible int) *segment {
	i := sort.Search(len(gs.segments), func(i int) bool { return gs.segments[i].start > visible })
	return &gs.segments[i-1]
}

// line returns the heading or the index of the entry that is a visible row.
func (gs *groups) line(visible int) (heading *group, i int) {
	s := gs.segmentAt(visible)
	if s.g == nil {
		return nil, s.lo + visible - s.start
	}
	if visible == s.start {
		return s.g, 0
	}
	return nil, s.lo + visible - s.start - 1
}

// rowOf returns the visible row of an entry, or of the lowest heading that hides
// it (shown false).
func (t *Table) rowOf(i int) (visible int, shown bool) {
	if t.order.Categories == 0 {
		return i, true
	}
	g := t.groups.lowest[t.entries[i].group]
	if g.open && g.start >= 0 {
		return g.start + 1 + i - g.lo, true
	}
	for g.start < 0 {
		g = g.parent
	}
	return g.start, false
}
