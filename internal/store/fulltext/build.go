package fulltext

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"math/rand/v2"
	"slices"

	"rialto/internal/store"
)

// builder gathers items and makes a run of them. It can be used again after
// reset; then it allocates little.
type builder struct {
	tok   tokenizer
	each  func([]byte) // b.word
	seed  [2]uint64    // nobody can write mail whose words collide
	slots []slot       // by hash
	terms []builtTerm
	since uint32 // hits from here on are of the present item
	text  []byte // of the terms, one after the other
	hits  []hit
	docs  []doc
	field Field
	bytes int // of text that came in

	queue     []queuedTerm // that were read and not looked up yet
	queueText []byte
	touched   uint64

	// Of write.
	keys, room []termKey
	short      [16]byte
	ends       []uint32
	lists      []posting
}

// slot is a place for a term, which most often is whole in it: then nothing else
// has to be looked at. The head is 0 if none is there.
type slot struct {
	head, tail uint64 // the first 16 octets, with zeros behind: no term has those
	term       uint32 // its number, with the field above
	hit        uint32 // the last
}

// fieldShift is where in slot.term the field begins.
const fieldShift = 28

// builtTerm is a term of a builder.
type builtTerm struct {
	head  uint64 // the first octets, as a number that sorts as they do
	from  uint32 // in text
	size  uint8
	field Field
}

// queuedTerm is a term of the present item and field. Terms are looked up some at
// a time: then the processor waits for the memory of all of them at once.
type queuedTerm struct {
	head, tail uint64 // as in slot
	hash       uint64
	from       uint32 // in queueText, if it has 16 octets or more
	size       uint8
}

const queueSize = 64

// hit is a term in an item.
type hit struct {
	term uint32
	posting
}

// newBuilder returns a builder with room for so many items of common size.
func newBuilder(items int) *builder {
	slots := 1 << bits.Len(uint(items)*128+256)
	b := &builder{seed: [2]uint64{rand.Uint64(), rand.Uint64()}, slots: make([]slot, slots),
		terms: make([]builtTerm, 0, slots/2), text: make([]byte, 0, 4*slots), hits: make([]hit, 0, items*256),
		queue: make([]queuedTerm, 0, queueSize)}
	b.each = b.word
	return b
}

// reset makes b as if it were new.
func (b *builder) reset() {
	clear(b.slots)
	b.terms, b.text, b.hits, b.docs, b.bytes = b.terms[:0], b.text[:0], b.hits[:0], b.docs[:0], 0
}

// begin starts an item. Items may come in any order of row ids.
func (b *builder) begin(r store.RowID, o store.OID) {
	b.docs = append(b.docs, doc{row: r, oid: o})
	b.since = uint32(len(b.hits))
}

// add takes a text of the present item.
func (b *builder) add(f Field, text []byte) {
	b.field = f
	b.bytes += len(text)
	b.tok.each(text, b.each)
	b.flush()
}

// loose says that the present item has text that was not added.
func (b *builder) loose() { b.docs[len(b.docs)-1].loose = true }

func (b *builder) word(term []byte) {
	q := queuedTerm{head: head(term), size: uint8(len(term))}
	var rest []byte
	if len(term) > 8 {
		q.tail = head(term[8:])
	}
	if len(term) >= 16 {
		rest = term[16:]
		q.from = uint32(len(b.queueText))
		b.queueText = append(b.queueText, term...)
	}
	q.hash = b.hash(q.head, q.tail, rest, b.field)
	b.queue = append(b.queue, q)
	if len(b.queue) == queueSize {
		b.flush()
	}
}

// flush notes the terms of the queue.
func (b *builder) flush() {
	d := uint32(len(b.docs))
	if b.field != Header {
		b.docs[d-1].words += uint32(len(b.queue))
	}
	mask := uint64(len(b.slots) - 1)
	for i := range b.queue {
		b.touched += b.slots[b.queue[i].hash&mask].head
	}
	for i := range b.queue {
		s, found := b.find(&b.queue[i])
		if found && s.hit >= b.since {
			if h := &b.hits[s.hit]; h.n < 255 {
				h.n++
			}
			continue
		}
		s.hit = uint32(len(b.hits))
		b.hits = append(b.hits, hit{s.term & (1<<fieldShift - 1), posting{d - 1, 1}})
	}
	b.queue, b.queueText = b.queue[:0], b.queueText[:0]
}

// head is the first eight octets of a term as a number, zeros behind it.
func head(term []byte) (n uint64) {
	if len(term) >= 8 {
		return binary.BigEndian.Uint64(term)
	}
	if cap(term) >= 8 { // what follows is cut off
		spare := 64 - 8*len(term)
		return binary.BigEndian.Uint64(term[:8]) >> spare << spare
	}
	for i, c := range term {
		n |= uint64(c) << (56 - 8*i)
	}
	return n
}

// hash is of a term and its field. rest is what follows the first 16 octets.
func (b *builder) hash(first, second uint64, rest []byte, field Field) uint64 {
	hi, lo := bits.Mul64(first^b.seed[0], second^uint64(field)^b.seed[1])
	for ; len(rest) > 0; rest = rest[min(8, len(rest)):] {
		hi, lo = bits.Mul64(hi^lo^b.seed[0], head(rest)^b.seed[1])
	}
	return hi ^ lo
}

// find returns the slot of a term of the queue, which is made if it is new.
func (b *builder) find(q *queuedTerm) (s *slot, found bool) {
	mask := uint64(len(b.slots) - 1)
	i := q.hash & mask
	for ; b.slots[i].head != 0; i = (i + 1) & mask {
		s = &b.slots[i]
		if s.head == q.head && s.tail == q.tail && Field(s.term>>fieldShift) == b.field &&
			(byte(q.tail) == 0 || bytes.Equal(b.termText(s.term&(1<<fieldShift-1)), b.queued(q))) {
			return s, true
		}
	}
	if 4*len(b.terms) > 3*len(b.slots) {
		b.grow()
		return b.find(q)
	}
	k := uint32(len(b.terms))
	b.terms = append(b.terms, builtTerm{head: q.head, from: uint32(len(b.text)), size: q.size, field: b.field})
	b.text = append(b.text, b.queued(q)...)
	s = &b.slots[i]
	*s = slot{q.head, q.tail, uint32(b.field)<<fieldShift | k, 0}
	return s, false
}

// queued returns a term of the queue, until the next call.
func (b *builder) queued(q *queuedTerm) []byte {
	if q.size < 16 {
		binary.BigEndian.PutUint64(b.short[:], q.head)
		binary.BigEndian.PutUint64(b.short[8:], q.tail)
		return b.short[:q.size]
	}
	return b.queueText[q.from : q.from+uint32(q.size)]
}

// grow makes room for four times as many terms. Their number does not reach
// the field: a step takes 4 MB of text.
func (b *builder) grow() {
	old := b.slots
	b.slots = make([]slot, 4*len(old))
	mask := uint64(len(b.slots) - 1)
	for _, s := range old {
		if s.head == 0 {
			continue
		}
		var rest []byte
		if byte(s.tail) != 0 {
			rest = b.termText(s.term & (1<<fieldShift - 1))[16:]
		}
		i := b.hash(s.head, s.tail, rest, Field(s.term>>fieldShift)) & mask
		for b.slots[i].head != 0 {
			i = (i + 1) & mask
		}
		b.slots[i] = s
	}
}

// write writes the run: items by row id, terms ascending.
func (b *builder) write(w *runWriter) (runInfo, error) {
	rank := make([]uint32, len(b.docs)) // number in the run, by order of coming
	order := make([]uint32, len(b.docs))
	for i := range order {
		order[i] = uint32(i)
	}
	slices.SortStableFunc(order, func(x, y uint32) int { return int(int64(b.docs[x].row) - int64(b.docs[y].row)) })
	sorted := make([]doc, len(b.docs))
	inOrder := true
	for n, i := range order {
		rank[i], sorted[n] = uint32(n), b.docs[i]
		inOrder = inOrder && n == int(i)
	}
	if err := w.docs(newDocTable(sorted)); err != nil {
		return w.info, err
	}
	b.gather(rank)
	keys, starts := b.sorted()
	for f := range fieldEnd {
		for _, k := range keys[starts[f]:starts[f+1]] {
			from := uint32(0)
			if k.term > 0 {
				from = b.ends[k.term-1]
			}
			list := b.lists[from:b.ends[k.term]]
			if !inOrder {
				slices.SortFunc(list, func(x, y posting) int { return int(x.doc) - int(y.doc) })
			}
			if err := w.term(f, b.termOf(k), list); err != nil {
				return w.info, err
			}
		}
	}
	return w.finish()
}

// gather makes lists: the hits by term, in order of coming; ends says where
// those of a term end.
func (b *builder) gather(rank []uint32) {
	b.ends = slices.Grow(b.ends[:0], len(b.terms))[:len(b.terms)]
	b.lists = slices.Grow(b.lists[:0], len(b.hits))[:len(b.hits)]
	clear(b.ends)
	for i := range b.hits {
		b.ends[b.hits[i].term]++
	}
	sum := uint32(0) // of the terms before
	for i, n := range b.ends {
		b.ends[i] = sum
		sum += n
	}
	for i := range b.hits {
		h := &b.hits[i]
		b.lists[b.ends[h.term]] = posting{rank[h.doc], h.n}
		b.ends[h.term]++
	}
}

// termOf returns a term until the next call. A short one is in its key: no term
// has a zero octet.
func (b *builder) termOf(k termKey) []byte {
	if byte(k.head) == 0 {
		binary.BigEndian.PutUint64(b.short[:], k.head)
		return b.short[:8-bits.TrailingZeros64(k.head)/8]
	}
	return b.termText(k.term)
}

func (b *builder) termText(i uint32) []byte {
	t := &b.terms[i]
	return b.text[t.from : t.from+uint32(t.size)]
}
