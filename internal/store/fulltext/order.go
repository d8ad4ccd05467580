package fulltext

import (
	"bytes"
	"slices"
)

// termKey is what terms are sorted by: the first octets; field and the rest are
// looked at afterwards.
type termKey struct {
	head uint64
	term uint32
}

// sorted returns the terms by their octets, and where those of each field are. They are put into
// order by the first eight, which is a matter of counting; few terms share them.
func (b *builder) sorted() (keys []termKey, starts [fieldEnd + 1]int) {
	b.keys = slices.Grow(b.keys[:0], len(b.terms))[:len(b.terms)]
	var at [fieldEnd + 1]int
	for i := range b.terms {
		at[b.terms[i].field+1]++
	}
	for f := range fieldEnd {
		at[f+1] += at[f]
	}
	starts = at
	for i := range b.terms {
		t := &b.terms[i]
		b.keys[at[t.field]] = termKey{t.head, uint32(i)}
		at[t.field]++
	}
	b.room = slices.Grow(b.room[:0], len(b.terms))[:len(b.terms)]
	for f := range fieldEnd {
		part := b.keys[starts[f]:starts[f+1]]
		sortHeads(part, b.room)
		b.sortTails(part)
	}
	return b.keys, starts
}

// fewKeys are sorted by comparing them.
const fewKeys = 256

// sortHeads sorts by head, eleven bits at a time from the last on. room has at
// least as many keys.
func sortHeads(keys, room []termKey) {
	if len(keys) < fewKeys {
		slices.SortFunc(keys, func(x, y termKey) int {
			switch {
			case x.head < y.head:
				return -1
			case x.head > y.head:
				return 1
			}
			return 0
		})
		return
	}
	const width, digits = 11, 6
	var counts [digits][1 << width]uint32
	for i := range keys {
		h := keys[i].head
		for d := range counts {
			counts[d][h>>(width*d)&(1<<width-1)]++
		}
	}
	from, to := keys, room[:len(keys)]
	for d := range counts {
		c := &counts[d]
		sum := uint32(0)
		for i, n := range c {
			c[i] = sum
			sum += n
		}
		for i := range from {
			k := from[i].head >> (width * d) & (1<<width - 1)
			to[c[k]] = from[i]
			c[k]++
		}
		from, to = to, from
	} // an even number of times: the last was into keys
}

// sortTails puts terms that begin alike into order.
func (b *builder) sortTails(keys []termKey) {
	for i := 0; i < len(keys); {
		n := i + 1
		for n < len(keys) && keys[n].head == keys[i].head {
			n++
		}
		if n > i+1 {
			slices.SortFunc(keys[i:n], func(x, y termKey) int {
				return bytes.Compare(b.termText(x.term), b.termText(y.term))
			})
		}
		i = n
	}
}
