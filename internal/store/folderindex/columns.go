package folderindex

import (
	"context"
	"slices"

	"rialto/internal/kv"
	"rialto/internal/mapi"
	"rialto/internal/store/content"
	"rialto/internal/store/layout"
)

// maxColumnBytes is the most of one column of a chunk; a larger one is not kept.
const maxColumnBytes = chunkEntries * 120

// column is one property of the items of a chunk. It never changes.
type column struct {
	tag  mapi.Tag
	ends []uint16 // of the values in data; an empty one is not there
	data []byte
}

// at returns the value of item i of the chunk.
func (c *column) at(i int) mapi.Raw {
	from := uint16(0)
	if i > 0 {
		from = c.ends[i-1]
	}
	if to := c.ends[i]; to > from {
		return mapi.Raw{Tag: c.tag, B: c.data[from:to:to]}
	}
	return mapi.Raw{}
}

func (c *column) bytes() int64 { return int64(2*len(c.ends)+len(c.data)) + 64 }

// pick returns the columns of tags, nil if one is not there.
func (c *chunk) pick(tags []mapi.Tag, out []*column) []*column {
	have := c.columns.Load()
	if have == nil {
		return nil
	}
	out = out[:0]
	for _, t := range tags {
		i := slices.IndexFunc(*have, func(x *column) bool { return x.tag == t })
		if i < 0 {
			return nil
		}
		out = append(out, (*have)[i])
	}
	return out
}

// keep adds columns and returns how many octets they take.
func (c *chunk) keep(fresh []*column) (n int64) {
	for {
		old := c.columns.Load()
		var all []*column
		if old != nil {
			all = slices.Clone(*old)
		}
		n = 0
		for _, x := range fresh {
			if !slices.ContainsFunc(all, func(y *column) bool { return y.tag == x.tag }) {
				all = append(all, x)
				n += x.bytes()
			}
		}
		if n == 0 || c.columns.CompareAndSwap(old, &all) {
			return n
		}
	}
}

// columnBytes is what the columns of a chunk take.
func (c *chunk) columnBytes() (n int64) {
	if have := c.columns.Load(); have != nil {
		for _, x := range *have {
			n += x.bytes()
		}
	}
	return n
}

// room reports whether a folder may have columns of n octets more.
func (c *Cache) room(k key, n int64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.slots[k]
	return e != nil && e.Value.(*slot).bytes+n <= c.limit/2
}

// grew accounts for columns of a folder's index.
func (c *Cache) grew(k key, n int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e := c.slots[k]; e != nil {
		e.Value.(*slot).bytes += n
		c.bytes += n
		c.trim()
	}
}

// Items calls fn for the normal items of a folder with UIDs from from to to, both
// included and ascending, until it returns false: with what is in the briefs in
// the states and, in Columns, the values of tags in the summaries. x is what
// Index returned for the rows, nil included. The ItemRow is reused.
func (c *Cache) Items(ctx context.Context, x *Index, r Rows, from, to layout.UID, tags []mapi.Tag, fn func(*layout.ItemRow) bool) error {
	s := columnScan{cache: c, ctx: ctx, rows: r, to: to, tags: tags, fn: fn}
	s.item.Columns = make([]mapi.Raw, len(tags))
	defer s.leave()
	var err error
	if x == nil {
		err = s.scan(from)
	} else {
		err = s.chunks(x, from)
	}
	if e := s.leave(); err == nil {
		err = e
	}
	return err
}

// columnScan is one call of Items.
type columnScan struct {
	cache *Cache
	ctx   context.Context
	rows  Rows
	to    layout.UID
	tags  []mapi.Tag
	fn    func(*layout.ItemRow) bool

	item   layout.ItemRow
	state  layout.State
	rowsAt kv.Iterator // of summaries, at the next item; nil: none is open
	picked []*column
	made   []column // of the chunk that is read
}

// leave closes the rows.
func (s *columnScan) leave() error {
	if s.rowsAt == nil {
		return nil
	}
	err := s.rowsAt.Close()
	s.rowsAt = nil
	return content.Wrap("store.items", "folder", err)
}

// summary reads the summary of the item at p, the next or the first.
func (s *columnScan) summary(p layout.Place) error {
	if len(s.tags) == 0 {
		return nil
	}
	if s.rowsAt == nil {
		r := s.rows
		s.rowsAt = r.Reader.Scan(s.ctx, r.Box.Places(layout.SubSummary, p, r.place(s.to)))
	}
	props, err := layout.NextSummary(s.rowsAt, p)
	if err != nil {
		if e := s.leave(); e != nil { // it ended early, which is why
			err = e
		}
		return err
	}
	return mapi.LookupMany(props, s.tags, s.item.Columns)
}

// call hands out an item whose columns are there.
func (s *columnScan) call(b *layout.Brief) bool {
	s.item.Place = s.rows.place(b.UID)
	s.item.Summary, s.item.Bag = nil, nil
	s.state = layout.State{Place: s.item.Place, Flags: b.Flags, Seq: b.Seq, Row: b.Row, OID: b.OID, Size: b.Size, Time: b.Time(), Keywords: b.Keywords}
	s.item.State = &s.state
	return s.fn(&s.item)
}

// scan is Items without an index.
func (s *columnScan) scan(from layout.UID) error {
	var failed error
	err := s.rows.states(s.ctx, from, s.to, func(st *layout.State) bool {
		if failed = s.summary(st.Place); failed != nil {
			return false
		}
		b := st.Brief()
		return s.call(&b)
	})
	if err == nil {
		err = failed
	}
	return err
}

// chunks is Items with an index.
func (s *columnScan) chunks(x *Index, from layout.UID) error {
	var b layout.Brief
	for _, c := range x.from(from) {
		if c.entries[0].uid > s.to {
			break
		}
		s.picked = c.pick(s.tags, s.picked)
		stored := len(s.picked) == len(s.tags)
		if stored {
			if err := s.leave(); err != nil {
				return err
			}
		} else {
			s.begin()
		}
		for i := range c.entries {
			e := &c.entries[i]
			if e.uid < from {
				s.made = nil
				continue
			}
			if e.uid > s.to {
				return nil
			}
			e.brief(c, &b)
			for k := range s.tags {
				if !stored {
					break
				}
				s.item.Columns[k] = s.picked[k].at(i)
			}
			if !stored {
				if err := s.summary(s.rows.place(e.uid)); err != nil {
					return err
				}
				s.gather()
			}
			if !s.call(&b) {
				return nil
			}
		}
		if !stored {
			s.end(c)
		}
	}
	return nil
}

// begin gets ready for the columns of a chunk.
func (s *columnScan) begin() {
	if s.made == nil {
		s.made = make([]column, len(s.tags))
	}
	for i := range s.made {
		s.made[i].tag, s.made[i].ends, s.made[i].data = s.tags[i], s.made[i].ends[:0], s.made[i].data[:0]
	}
}

// gather adds the values of an item to the columns of its chunk.
func (s *columnScan) gather() {
	for i := range s.made {
		c := &s.made[i]
		if b := s.item.Columns[i].B; len(c.data)+len(b) <= maxColumnBytes {
			c.data = append(c.data, b...)
			c.ends = append(c.ends, uint16(len(c.data)))
		}
	}
}

// end keeps the columns of a chunk that was read whole.
func (s *columnScan) end(c *chunk) {
	var fresh []*column
	var n int64
	for i := range s.made {
		if m := &s.made[i]; len(m.ends) == len(c.entries) {
			fresh = append(fresh, &column{m.tag, slices.Clone(m.ends), slices.Clone(m.data)})
			n += m.bytes()
		}
	}
	if k := (key{s.rows.Box, s.rows.Folder}); len(fresh) > 0 && s.cache.room(k, n) {
		s.cache.grew(k, c.keep(fresh))
	}
}
