package store

import (
	"slices"
	"sort"
	"sync/atomic"
)

// indexEntry is a Brief without its keywords: 48 bytes and no pointer, so that
// the garbage collector does not look into indexes.
type indexEntry struct {
	seq   Seq
	size  int64
	row   RowID
	oid   OID
	ticks uint64
	uid   UID
	flags Flags
}

const (
	entryBytes   = 48
	chunkEntries = 512
	chunkBytes   = 128 // beside the entries
	// keywordBytes is about what an item with keywords costs beside them.
	keywordBytes = 64
)

// indexChunk is a piece of an index. It never changes but for columns that are
// added, and is shared by the indexes of states in which its items are the same.
type indexChunk struct {
	entries  []indexEntry // ascending, not empty
	keywords map[UID][]string
	columns  atomic.Pointer[[]*column] // see columns.go
}

func (c *indexChunk) last() UID { return c.entries[len(c.entries)-1].uid }

// folderIndex holds the briefs of the normal items of a folder as they are where
// its counts are these. It never changes.
type folderIndex struct {
	counts Counts
	chunks []*indexChunk
	n      int   // items
	bytes  int64 // of memory, about
}

// each calls fn for the items with UIDs from from to to, both included and
// ascending, until it returns false. The Brief is reused.
func (x *folderIndex) each(from, to UID, fn func(*Brief) bool) {
	var b Brief
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

// from returns the chunks that have items with UIDs from uid on.
func (x *folderIndex) from(uid UID) []*indexChunk {
	return x.chunks[sort.Search(len(x.chunks), func(i int) bool { return x.chunks[i].last() >= uid }):]
}

// brief is the Brief of an entry of c.
func (e *indexEntry) brief(c *indexChunk, b *Brief) {
	b.UID, b.Flags, b.Seq, b.Size, b.Row, b.OID, b.Ticks = e.uid, e.flags, e.seq, e.size, e.row, e.oid, e.ticks
	b.Keywords = nil
	if c.keywords != nil {
		b.Keywords = c.keywords[e.uid]
	}
}

// indexBuilder makes an index of items in ascending order.
type indexBuilder struct {
	x     folderIndex
	cur   *indexChunk
	words map[string]string // keywords, each kept once
}

func (b *indexBuilder) add(e indexEntry, keywords []string) {
	if b.cur == nil || len(b.cur.entries) == chunkEntries {
		b.close()
		b.cur = &indexChunk{}
		if len(b.x.chunks) > 0 {
			b.cur.entries = make([]indexEntry, 0, chunkEntries)
		}
	}
	b.cur.entries = append(b.cur.entries, e)
	if len(keywords) == 0 {
		return
	}
	if b.cur.keywords == nil {
		b.cur.keywords = map[UID][]string{}
	}
	b.cur.keywords[e.uid] = keywords
}

// addState adds an item as its row has it.
func (b *indexBuilder) addState(s *State) {
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
	b.add(indexEntry{v.Seq, v.Size, v.Row, v.OID, v.Ticks, v.UID, v.Flags}, kept)
}

// share adds a chunk of another index as it is.
func (b *indexBuilder) share(c *indexChunk) {
	b.close()
	b.cur = c
	b.close()
}

// close ends the chunk under way.
func (b *indexBuilder) close() {
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

func (b *indexBuilder) finish(c Counts) *folderIndex {
	b.close()
	b.x.counts = c
	return &b.x
}

// with returns the index after changes: items that are new or changed, and UIDs
// that have gone, both ascending. Chunks without changes are shared.
func (x *folderIndex) with(c Counts, changed []State, gone []UID) *folderIndex {
	var b indexBuilder
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
func (b *indexBuilder) drop() {
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
func (b *indexBuilder) merge(c *indexChunk, changed []State, gone []UID) {
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
