package fulltext

import (
	"encoding/binary"
	"math/bits"

	"rialto/internal/model/row"
)

// posting is an item, by its number in the run, and how often it has the term.
type posting struct {
	doc uint32
	n   uint8
}

// Forms of a list.
const (
	listDeltas = 1 // uvarint of distance<<1, odd if the number of times follows
	listBitmap = 2 // of all items of the run: for terms that many have
)

// maxList is how many octets a list of deltas has at most: with the lists before
// it, it has to fit a row. A bitmap has no more, whatever the run.
const maxList = maxRunDocs / 8

// appendList writes a list, ascending, of a run of docs items.
func appendList(b []byte, list []posting, docs int) []byte {
	if len(list)*8 > docs && len(list) > 64 {
		return appendBitmap(b, list, docs)
	}
	from := len(b)
	b = append(b, listDeltas)
	next := uint32(0)
	for _, p := range list {
		v := uint64(p.doc-next) << 1
		if p.n > 1 {
			b = append(binary.AppendUvarint(b, v|1), p.n)
		} else {
			b = binary.AppendUvarint(b, v)
		}
		next = p.doc + 1
	}
	if len(b)-from > maxList {
		return appendBitmap(b[:from], list, docs)
	}
	return b
}

func appendBitmap(b []byte, list []posting, docs int) []byte {
	b = append(b, listBitmap)
	at := len(b)
	b = append(b, make([]byte, (docs+7)/8)...)
	for _, p := range list {
		b[at+int(p.doc/8)] |= 1 << (p.doc % 8)
	}
	return b
}

// decodeList appends to list one of count items of a run of docs; false if it is
// damaged. What a bitmap does not say of how often is told as once.
func decodeList(list []posting, d *row.Reader, count, docs int) ([]posting, bool) {
	switch d.Byte() {
	case listDeltas:
		next := uint64(0)
		b := d.B
		for range count {
			var v uint64
			if len(b) > 0 && b[0] < 0x80 {
				v, b = uint64(b[0]), b[1:]
			} else {
				var n int
				if v, n = binary.Uvarint(b); n <= 0 {
					return list, false
				}
				b = b[n:]
			}
			p := posting{n: 1}
			if v&1 != 0 {
				if len(b) == 0 {
					return list, false
				}
				p.n, b = b[0], b[1:]
			}
			if next += v >> 1; next >= uint64(docs) {
				return list, false
			}
			p.doc = uint32(next)
			list = append(list, p)
			next++
		}
		d.B = b
		return list, true
	case listBitmap:
		b := d.Take((docs + 7) / 8)
		for i, c := range b {
			for ; c != 0; c &= c - 1 {
				doc := i*8 + bits.TrailingZeros8(c)
				if count--; doc >= docs || count < 0 {
					return list, false
				}
				list = append(list, posting{uint32(doc), 1})
			}
		}
		return list, !d.Bad && count == 0
	}
	return list, false
}

// bitmap is a set of items of a run.
type bitmap []uint64

func newBitmap(n int) bitmap { return make(bitmap, (n+63)/64) }

func (b bitmap) set(i uint32)      { b[i/64] |= 1 << (i % 64) }
func (b bitmap) has(i uint32) bool { return b[i/64]&(1<<(i%64)) != 0 }

func (b bitmap) or(o bitmap) {
	for i := range b {
		b[i] |= o[i]
	}
}

func (b bitmap) and(o bitmap) {
	for i := range b {
		b[i] &= o[i]
	}
}

func (b bitmap) each(fn func(i uint32)) {
	for k, w := range b {
		for ; w != 0; w &= w - 1 {
			fn(uint32(k*64 + bits.TrailingZeros64(w)))
		}
	}
}
