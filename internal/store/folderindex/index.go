package folderindex

import (
	"slices"
	"sort"
	"sync/atomic"

	"rialto/internal/store/layout"
)

// entry is a Brief without its keywords: 48 bytes and no pointer, so that
// the garbage collector does not look into indexes.
type entry struct {
	seq   layout.Seq
	size  int64
	row   layout.RowID
	oid   layout.OID
	ticks uint64
	uid   layout.UID
	flags layout.Flags
}

const (
	entryBytes   = 48
	chunkEntries = 512
	chunkBytes   = 128 // beside the entries
	// keywordBytes is about what an item with keywords costs beside them.
	keywordBytes = 64
)

// chunk is a piece of an index. It never changes but for columns that are
// added, and is shared by the indexes of states in which its items are the same.
type chunk struct {
	entries  []entry // ascending, not empty
	keywords map[layout.UID][]string
	columns  atomic.Pointer[[]*column] // see columns.go
}

func (c *chunk) last() layout.UID { return c.entries[len(c.entries)-1].uid }

// Index holds the briefs of the normal items of a folder as they are where
// its counts are these. It never changes.
type Index struct {
	counts layout.Counts
	chunks []*chunk
	n      int   // items
	bytes  int64 // of memory, about
}

// Each calls fn for the items with UIDs from from to to, both included and
// ascending, until it returns false. The Brief is reused.
func (x *Index) Each(from, to layout.UID, fn func(*layout.Brief) bool) {
	var b layout.Brief
	for _, c := range x.from(from) {
		es := c.entries
		if es[0].uid < from {
			es = es[sort.Search(len(es), func(i int) bool { return es[i].uid >= from }):]
		}
		for i := range es {
			e := &es[i]
			if e.uid > to {
				return
			}
			e.brief(c, &b)
			if !fn(&b) {
				return
			}
		}
	}
}

// Len is the number of items.
func (x *Index) Len() int { return x.n }

// Bounds returns the UIDs where up to n parts begin that are of about one size,
// the first 0.
func (x *Index) Bounds(n int) []layout.UID {
	out := []layout.UID{0}
	for i := 1; i < n; i++ {
		if at := x.chunks[i*len(x.chunks)/n:]; len(at) > 0 && at[0].entries[0].uid > out[len(out)-1] {
			out = append(out, at[0].entries[0].uid)
		}
	}
	return out
}

// from returns the chunks that have items with UIDs from uid on.
func (x *Index) from(uid layout.UID) []*chunk {
	return x.chunks[sort.Search(len(x.chunks), func(i int) bool { return x.chunks[i].last() >= uid }):]
}

// brief is the Brief of an entry of c.
func (e *entry) brief(c *chunk, b *layout.Brief) {
	b.UID, b.Flags, b.Seq, b.Size, b.Row, b.OID, b.Ticks = e.uid, e.flags, e.seq, e.size, e.row, e.oid, e.ticks
	b.Keywords = nil
	if c.keywords != nil {
		b.Keywords = c.keywords[e.uid]
	}
}

// builder makes an index of items in ascending order.
type builder struct {
	x     Index
	cur   *chunk
	words map[string]string // keywords, each kept once
}

func (b *builder) add(e entry, keywords []string) {
	if b.cur == nil || len(b.cur.entries) == chunkEntries {
		b.close()
		b.cur = &chunk{}
		if len(b.x.chunks) > 0 {
			b.cur.entries = make([]entry, 0, chunkEntries)
		}
	}
	b.cur.entries = append(b.cur.entries, e)
	if len(keywords) == 0 {
		return
	}
	if b.cur.keywords == nil {
		b.cur.keywords = map[layout.UID][]string{}
	}
	b.cur.keywords[e.uid] = keywords
}

// addState adds an item as its row has it.
func (b *builder) addState(s *layout.State) {
	v := s.Brief()
	kept := make([]string, 0, len(v.Keywords))
	for _, k := range v.Keywords {
		if b.words == nil {
			b.words = map[string]string{}
		}
		if _, ok := b.words[k]; !ok {
			b.words[k] = k
		}
		kept = append(kept, b.words[k])
	}
	b.add(entry{v.Seq, v.Size, v.Row, v.OID, v.Ticks, v.UID, v.Flags}, kept)
}

// share adds a chunk of another index as it is.
func (b *builder) share(c *chunk) {
	b.close()
	b.cur = c
	b.close()
}

// close ends the chunk under way.
func (b *builder) close() {
	c := b.cur
	if b.cur = nil; c == nil {
		return
	}
	b.x.chunks = append(b.x.chunks, c)
	b.x.n += len(c.entries)
	b.x.bytes += chunkBytes + int64(cap(c.entries))*entryBytes + c.columnBytes()
	for _, ks := range c.keywords {
		b.x.bytes += keywordBytes + int64(len(ks))*16
	}
}

func (b *builder) finish(c layout.Counts) *Index {
	b.close()
	b.x.counts = c
	return &b.x
}

// with returns the index after changes: items that are new or changed, and UIDs
// that have gone, both ascending. Chunks without changes are shared.
func (x *Index) with(c layout.Counts, changed []layout.State, gone []layout.UID) *Index {
	var b builder
	sparse := len(x.chunks) > 8+3*x.n/chunkEntries
	for _, ch := range x.chunks {
		last := ch.last()
		k := sort.Search(len(changed), func(i int) bool { return changed[i].UID() > last })
		g := sort.Search(len(gone), func(i int) bool { return gone[i] > last })
		if k == 0 && g == 0 && !sparse {
			b.share(ch)
			continue
		}
		b.merge(ch, changed[:k], gone[:g])
		changed, gone = changed[k:], gone[g:]
	}
	// New items go on in the last chunk while it has room.
	if n := len(b.x.chunks); n > 0 && b.cur == nil && len(changed) > 0 && len(b.x.chunks[n-1].entries) < chunkEntries {
		tail := b.x.chunks[n-1]
		b.drop()
		b.merge(tail, nil, nil)
	}
	for i := range changed {
		b.addState(&changed[i])
	}
	return b.finish(c)
}

// drop takes the last closed chunk off again.
func (b *builder) drop() {
	n := len(b.x.chunks) - 1
	c := b.x.chunks[n]
	b.x.chunks = b.x.chunks[:n]
	b.x.n -= len(c.entries)
	b.x.bytes -= chunkBytes + int64(cap(c.entries))*entryBytes + c.columnBytes()
	for _, ks := range c.keywords {
		b.x.bytes -= keywordBytes + int64(len(ks))*16
	}
}

// merge adds the items of a chunk, changed.
func (b *builder) merge(c *chunk, changed []layout.State, gone []layout.UID) {
	for _, e := range c.entries {
		for len(changed) > 0 && changed[0].UID() < e.uid {
			b.addState(&changed[0])
			changed = changed[1:]
		}
		if _, lost := slices.BinarySearch(gone, e.uid); lost {
			continue
		}
		if len(changed) > 0 && changed[0].UID() == e.uid {
			b.addState(&changed[0])
			changed = changed[1:]
			continue
		}
		b.add(e, c.keywords[e.uid])
	}
	for i := range changed {
		b.addState(&changed[i])
	}
}
