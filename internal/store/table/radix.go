package table

import (
	"math/bits"
	"slices"
)

// Entries are strings of octets of one length to the sort: group, kept key, id,
// instance. It goes from the first octet that differs to the next and needs no
// memory beside the entries.

// Octets of an entry as it is sorted.
const (
	atKey      = 4
	atID       = atKey + keySize
	atInstance = atID + 8
	octets     = atInstance + 2
)

// fewEntries are sorted by comparing.
const fewEntries = 40

// octet returns one octet of an entry's string.
func (e *entry) octet(at int) byte {
	switch {
	case at < atKey:
		return byte(e.group >> (24 - 8*at))
	case at < atKey+8:
		return byte(e.k0 >> (56 - 8*(at-atKey)))
	case at < atKey+16:
		return byte(e.k1 >> (56 - 8*(at-atKey-8)))
	case at < atID:
		return byte(e.k2 >> (8 - 8*(at-atKey-16)))
	case at < atInstance:
		return byte(e.id >> (56 - 8*(at-atID)))
	}
	return byte(e.instance() >> (8 - 8*(at-atInstance)))
}

// differ returns the first octet in which entries differ; sorted if they are in
// order as they stand.
func differ(es []entry) (at int, sorted bool) {
	a := &es[0]
	var group uint32
	var k0, k1, id uint64
	var k2, inst uint16
	sorted = true
	for i := 1; i < len(es); i++ {
		e := &es[i]
		group |= a.group ^ e.group
		k0 |= a.k0 ^ e.k0
		k1 |= a.k1 ^ e.k1
		k2 |= a.k2 ^ e.k2
		id |= a.id ^ e.id
		inst |= (a.bits ^ e.bits) >> instanceBit
		sorted = sorted && compare(&es[i-1], e) <= 0
	}
	switch {
	case group != 0:
		return bits.LeadingZeros32(group) / 8, sorted
	case k0 != 0:
		return atKey + bits.LeadingZeros64(k0)/8, sorted
	case k1 != 0:
		return atKey + 8 + bits.LeadingZeros64(k1)/8, sorted
	case k2 != 0:
		return atKey + 16 + bits.LeadingZeros16(k2)/8, sorted
	case id != 0:
		return atID + bits.LeadingZeros64(id)/8, sorted
	case inst != 0:
		return atInstance + bits.LeadingZeros16(inst)/8, sorted
	}
	return octets, sorted
}

// compare orders entries by all that is kept of them.
func compare(a, b *entry) int {
	if c := byBeginning(a, b); c != 0 {
		return c
	}
	return byID(a, b)
}

// sortKept sorts entries by what is kept of them.
func sortKept(es []entry) {
	if len(es) <= fewEntries {
		slices.SortFunc(es, func(a, b entry) int { return compare(&a, &b) })
		return
	}
	at, sorted := differ(es)
	if sorted {
		return
	}
	ends := spread(es, at)
	from := 0
	for _, end := range ends {
		if end-from > 1 {
			sortKept(es[from:end])
		}
		from = end
	}
}

// spread puts entries in the order of one octet and returns where those of each
// value end.
func spread(es []entry, at int) (ends [256]int) {
	var next [256]int
	for i := range es {
		ends[es[i].octet(at)]++
	}
	sum := 0
	for c, n := range ends {
		next[c] = sum
		sum += n
		ends[c] = sum
	}
	for c := range ends {
		for i := next[c]; i < ends[c]; i = next[c] {
			to := es[i].octet(at)
			if int(to) == c {
				next[c]++
				continue
			}
			k := next[to]
			next[to]++
			es[i], es[k] = es[k], es[i]
		}
	}
	return ends
}
