package table

import "sort"

const (
	tailSize   = 64      // of what a scan keeps of keys beyond the entries
	windowSize = 256     // of what is read again of equal keys at a time
	maxTails   = 8 << 20 // octets a scan keeps
	tailCost   = 16      // of each, beside its octets
	tailChunk  = 64 << 10
)

// tails are pieces of the sort keys of rows, by id and instance ascending: what
// a scan found beyond the kept beginnings, or what was read later. They are
// there to sort, not to stay.
type tails struct {
	size   int // most octets of one
	limit  int // octets of all, 0: any number
	used   int
	over   bool // there were more than limit: nothing is kept
	expect int  // how many will be joined, about
	list   []tail
	chunks [][]byte
}

// tail says where a piece is.
type tail struct {
	id   uint64
	at   uint32 // chunk and octet in it
	bits uint16 // whether the key goes on, then the instance
	n    uint16
}

// window is a piece of a key.
type window struct {
	key  []byte
	more bool
}

// newTails returns tails for a scan of about so many rows.
func newTails(rows int) *tails { return &tails{size: tailSize, limit: maxTails, expect: rows} }

// another returns tails for a part that will be joined to s, nil if s is over.
func (s *tails) another() *tails {
	if s.over {
		return nil
	}
	return &tails{size: s.size, limit: s.limit}
}

// add keeps the beginning of rest.
func (s *tails) add(id uint64, inst int, rest []byte) {
	n := min(len(rest), s.size)
	if s.used += n + tailCost; s.limit > 0 && s.used > s.limit {
		s.over, s.list, s.chunks = true, nil, nil
	}
	if s.over {
		return
	}
	last := len(s.chunks) - 1
	if last < 0 || len(s.chunks[last])+n > tailChunk {
		s.chunks = append(s.chunks, make([]byte, 0, tailChunk))
		last++
	}
	x := tail{id: id, at: uint32(last*tailChunk + len(s.chunks[last])), bits: uint16(inst << 1), n: uint16(n)}
	if len(rest) > n {
		x.bits |= 1
	}
	s.chunks[last] = append(s.chunks[last], rest[:n]...)
	s.list = append(s.list, x)
}

// join adds the tails of rows whose ids are all above.
func (s *tails) join(o *tails) {
	s.used += o.used
	if s.list == nil && len(o.list) > 0 {
		s.list = make([]tail, 0, min(s.expect, s.limit/tailCost))
	}
	if s.over = s.over || o.over || s.limit > 0 && s.used > s.limit; s.over {
		s.list, s.chunks = nil, nil
		return
	}
	base := uint32(len(s.chunks) * tailChunk)
	for _, x := range o.list {
		x.at += base
		s.list = append(s.list, x)
	}
	s.chunks = append(s.chunks, o.chunks...)
}

// complete reports whether all that was added was kept.
func (s *tails) complete() bool { return s != nil && !s.over }

// of returns the piece of an entry's key, an empty one if there is none.
func (s *tails) of(e *entry) window {
	i := sort.Search(len(s.list), func(i int) bool {
		x := &s.list[i]
		return x.id > e.id || x.id == e.id && int(x.bits>>1) >= e.instance()
	})
	if i == len(s.list) || s.list[i].id != e.id || int(s.list[i].bits>>1) != e.instance() {
		return window{}
	}
	x := &s.list[i]
	chunk, from := x.at/tailChunk, x.at%tailChunk
	return window{s.chunks[chunk][from : int(from)+int(x.n)], x.bits&1 != 0}
}
