package imap

import (
	"strconv"
)

// Range is a range of message numbers or UIDs, in either order; 0 stands for *.
type Range struct{ From, To uint32 }

// SeqSet is a sequence-set (RFC 9051 9), or the saved result of a search ($).
type SeqSet struct {
	Ranges []Range
	Saved  bool
}

// SeqSet reads a sequence-set. The line's length limits the number of ranges.
func (r *Reader) SeqSet() (SeqSet, error) {
	var s SeqSet
	if r.Byte('$') {
		s.Saved = true
		return s, nil
	}
	for {
		from, err := r.seqNumber()
		if err != nil {
			return s, err
		}
		to := from
		if r.Byte(':') {
			if to, err = r.seqNumber(); err != nil {
				return s, err
			}
		}
		s.Ranges = append(s.Ranges, Range{from, to})
		if !r.Byte(',') {
			return s, nil
		}
	}
}

func (r *Reader) seqNumber() (uint32, error) {
	if r.Byte('*') {
		return 0, nil
	}
	n, err := r.Number32()
	if err == nil && n == 0 || err != nil {
		err = syntax("Bad sequence set")
	}
	return n, err
}

// Bounds returns the range in order with * as max. Where the mailbox is empty
// (max 0) * contains nothing and ok is false.
func (g Range) Bounds(max uint32) (from, to uint32, ok bool) {
	from, to = g.From, g.To
	if from == 0 {
		from = max
	}
	if to == 0 {
		to = max
	}
	if from > to {
		from, to = to, from
	}
	return from, to, from > 0
}

// Contains reports whether n is in the set, * being max.
func (s SeqSet) Contains(n, max uint32) bool {
	for _, g := range s.Ranges {
		if from, to, ok := g.Bounds(max); ok && n >= from && n <= to {
			return true
		}
	}
	return false
}

// Append appends the set in wire form.
func (s SeqSet) Append(b []byte) []byte {
	if s.Saved {
		return append(b, '$')
	}
	for i, g := range s.Ranges {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendSeqNumber(b, g.From)
		if g.To != g.From {
			b = appendSeqNumber(append(b, ':'), g.To)
		}
	}
	return b
}

func appendSeqNumber(b []byte, n uint32) []byte {
	if n == 0 {
		return append(b, '*')
	}
	return strconv.AppendUint(b, uint64(n), 10)
}

// String returns the set in wire form.
func (s SeqSet) String() string { return string(s.Append(nil)) }

// Add puts n at the end of the set, extending the last range where n follows it.
func (s *SeqSet) Add(n uint32) {
	if k := len(s.Ranges); k > 0 && s.Ranges[k-1].To != 0 && s.Ranges[k-1].To+1 == n {
		s.Ranges[k-1].To = n
		return
	}
	s.Ranges = append(s.Ranges, Range{n, n})
}

// NewSeqSet returns the set of ascending numbers.
func NewSeqSet(nums ...uint32) SeqSet {
	var s SeqSet
	for _, n := range nums {
		s.Add(n)
	}
	return s
}

// ParseSeqSet reads a set from text.
func ParseSeqSet(text string) (SeqSet, error) {
	r := Reader{line: []byte(text)}
	s, err := r.SeqSet()
	if err == nil {
		err = r.End()
	}
	return s, err
}
