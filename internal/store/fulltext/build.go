package fulltext

import (
	"bytes"
	"encoding/binary"
	"hash/maphash"
	"math/bits"
	"slices"

	"rialto/internal/store"
)

// builder gathers items and makes a run of them.
type builder struct {
	tok   tokenizer
	seed  maphash.Seed
	slots []uint32 // number of the term + 1, by hash
	terms []builtTerm
	text  []byte // field and term, one after the other
	hits  []hit
	docs  []doc
	field Field
	bytes int // of text that came in
}

// builtTerm is a term of a builder.
type builtTerm struct {
	hash uint32
	from uint32 // in text
	size uint8
	last uint32 // the item that had it last, + 1
	hit  uint32 // and its hit
}

// hit is a term in an item.
type hit struct {
	term uint32
	posting
}

// newBuilder returns a builder with room for so many items of common size.
func newBuilder(items int) *builder {
	slots := 1 << bits.Len(uint(items)*256+256)
	return &builder{seed: maphash.MakeSeed(), slots: make([]uint32, slots), terms: make([]builtTerm, 0, slots/4), text: make([]byte, 0, 2*slots), hits: make([]hit, 0, items*256)}
}

// begin starts an item. Items may come in any order of row ids.
func (b *builder) begin(r store.RowID, o store.OID) {
	b.docs = append(b.docs, doc{row: r, oid: o})
}

// add takes a text of the present item.
func (b *builder) add(f Field, text []byte) {
	b.field = f
	b.bytes += len(text)
	b.tok.each(text, b.word)
}

// loose says that the present item has text that was not added.
func (b *builder) loose() { b.docs[len(b.docs)-1].loose = true }

func (b *builder) word(term []byte) {
	d := uint32(len(b.docs))
	if b.field != Header {
		b.docs[d-1].words++
	}
	i := b.find(term)
	t := &b.terms[i]
	if t.last == d {
		if h := &b.hits[t.hit]; h.n < 255 {
			h.n++
		}
		return
	}
	t.last, t.hit = d, uint32(len(b.hits))
	b.hits = append(b.hits, hit{i, posting{d - 1, 1}})
}

// find returns the number of a term, which is made if it is new.
func (b *builder) find(term []byte) uint32 {
	long := maphash.Bytes(b.seed, term)
	h := uint32(long) ^ uint32(long>>32) ^ uint32(b.field)*0x9e3779b1
	mask := uint32(len(b.slots) - 1)
	i := h & mask
	for ; b.slots[i] != 0; i = (i + 1) & mask {
		t := &b.terms[b.slots[i]-1]
		if t.hash == h && b.text[t.from] == byte(b.field) && bytes.Equal(b.text[t.from+1:t.from+uint32(t.size)], term) {
			return b.slots[i] - 1
		}
	}
	b.terms = append(b.terms, builtTerm{hash: h, from: uint32(len(b.text)), size: uint8(len(term) + 1)})
	b.text = append(append(b.text, byte(b.field)), term...)
	b.slots[i] = uint32(len(b.terms))
	if 2*len(b.terms) > len(b.slots) {
		b.grow()
	}
	return uint32(len(b.terms) - 1)
}

func (b *builder) grow() {
	b.slots = make([]uint32, 4*len(b.slots))
	mask := uint32(len(b.slots) - 1)
	for k := range b.terms {
		i := b.terms[k].hash & mask
		for b.slots[i] != 0 {
			i = (i + 1) & mask
		}
		b.slots[i] = uint32(k + 1)
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
	ends := make([]uint32, len(b.terms)+1) // hits by term, each ascending
	for i := range b.hits {
		ends[b.hits[i].term+1]++
	}
	for i := range b.terms {
		ends[i+1] += ends[i]
	}
	lists := make([]posting, len(b.hits))
	next := slices.Clone(ends)
	for _, h := range b.hits {
		lists[next[h.term]] = posting{rank[h.doc], h.n}
		next[h.term]++
	}
	for _, t := range b.sortedTerms() {
		list := lists[ends[t]:ends[t+1]]
		if !inOrder {
			slices.SortFunc(list, func(x, y posting) int { return int(x.doc) - int(y.doc) })
		}
		text := b.termText(t)
		if err := w.term(Field(text[0]), text[1:], list); err != nil {
			return w.info, err
		}
	}
	return w.finish()
}

func (b *builder) sortedTerms() []uint32 {
	type keyed struct {
		head uint64 // the first octets
		term uint32
	}
	ks := make([]keyed, len(b.terms))
	for i := range ks {
		var head [8]byte
		copy(head[:], b.termText(uint32(i)))
		ks[i] = keyed{binary.BigEndian.Uint64(head[:]), uint32(i)}
	}
	slices.SortFunc(ks, func(x, y keyed) int {
		switch {
		case x.head < y.head:
			return -1
		case x.head > y.head:
			return 1
		}
		return bytes.Compare(b.termText(x.term), b.termText(y.term))
	})
	out := make([]uint32, len(ks))
	for i := range ks {
		out[i] = ks[i].term
	}
	return out
}

// termText is the field and the term.
func (b *builder) termText(i uint32) []byte {
	t := &b.terms[i]
	return b.text[t.from : t.from+uint32(t.size)]
}
