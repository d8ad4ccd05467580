package mapi

import (
	"slices"
	"sort"

	"rialto/internal/model"
)

// MaxCounter is the highest GLOBCNT: counters have 48 bits.
const MaxCounter = 1<<48 - 1

// CounterRange is From to To, both included.
type CounterRange struct{ From, To uint64 }

// GlobSet is a set of counters as ascending ranges that neither overlap nor
// touch (MS-OXCFXICS 2.2.2.6). The zero value is empty.
type GlobSet []CounterRange

// find returns the first range that ends at or after n.
func (s GlobSet) find(n uint64) int {
	return sort.Search(len(s), func(i int) bool { return s[i].To >= n })
}

// Contains reports whether n is in the set.
func (s GlobSet) Contains(n uint64) bool {
	i := s.find(n)
	return i < len(s) && s[i].From <= n
}

// Len is how many counters are in the set.
func (s GlobSet) Len() (n uint64) {
	for _, r := range s {
		n += r.To - r.From + 1
	}
	return n
}

// Add adds one counter.
func (s *GlobSet) Add(n uint64) { s.AddRange(n, n) }

// AddRange adds from to to, both included. An empty range adds nothing; what is
// over MaxCounter is left out.
func (s *GlobSet) AddRange(from, to uint64) {
	to = min(to, MaxCounter)
	if from > to {
		return
	}
	old := *s
	if n := len(old); n == 0 || from > old[n-1].To+1 { // the usual case: it grows at the end
		*s = append(old, CounterRange{from, to})
		return
	}
	i := old.find(max(from, 1) - 1)
	j := i
	for j < len(old) && old[j].From <= to+1 {
		from, to = min(from, old[j].From), max(to, old[j].To)
		j++
	}
	*s = slices.Replace(old, i, j, CounterRange{from, to})
}

// Union returns what is in either; neither is changed.
func (s GlobSet) Union(o GlobSet) GlobSet {
	out := make(GlobSet, 0, len(s)+len(o))
	for len(s) > 0 || len(o) > 0 {
		if len(o) == 0 || len(s) > 0 && s[0].From <= o[0].From {
			out, s = out.join(s[0]), s[1:]
		} else {
			out, o = out.join(o[0]), o[1:]
		}
	}
	return out
}

// join adds a range that begins at or after the last one's beginning.
func (s GlobSet) join(r CounterRange) GlobSet {
	if n := len(s); n > 0 && r.From <= s[n-1].To+1 {
		s[n-1].To = max(s[n-1].To, r.To)
		return s
	}
	return append(s, r)
}

// Subtract returns what is in s and not in o; neither is changed.
func (s GlobSet) Subtract(o GlobSet) (out GlobSet) {
	for _, r := range s {
		for len(o) > 0 && o[0].To < r.From {
			o = o[1:]
		}
		for k := 0; k < len(o) && o[k].From <= r.To; k++ {
			if o[k].From > r.From {
				out = append(out, CounterRange{r.From, o[k].From - 1})
			}
			r.From = o[k].To + 1
		}
		if r.From <= r.To {
			out = append(out, r)
		}
	}
	return out
}

// Commands of an encoded set (MS-OXCFXICS 2.2.2.6.1 to 2.2.2.6.5).
const (
	globEnd    = 0x00
	globBits   = 0x42
	globPop    = 0x50
	globRange  = 0x52
	globOctets = 6
)

// AppendGlobSet appends the wire form of s.
func AppendGlobSet(b []byte, s GlobSet) []byte {
	return append(appendRanges(b, s, 0), globEnd)
}

// octet is byte i of a counter, the highest first.
func octet(n uint64, i int) byte { return byte(n >> (8 * (globOctets - 1 - i))) }

func appendOctets(b []byte, n uint64, from, to int) []byte {
	for i := from; i < to; i++ {
		b = append(b, octet(n, i))
	}
	return b
}

// common is how many leading octets two counters share.
func common(x, y uint64) (n int) {
	for n < globOctets && octet(x, n) == octet(y, n) {
		n++
	}
	return n
}

// appendRanges appends ranges whose first k octets are on the stack.
func appendRanges(b []byte, s GlobSet, k int) []byte {
	for len(s) > 0 {
		if k == globOctets-1 {
			b, s = appendLow(b, s)
			continue
		}
		// What shares an octet more goes together.
		n := 0
		for n < len(s) && common(s[0].From, s[n].To) > k {
			n++
		}
		switch {
		case n == 0:
			b = append(b, globRange)
			b = appendOctets(appendOctets(b, s[0].From, k, globOctets), s[0].To, k, globOctets)
			s = s[1:]
		case n == 1 && s[0].From == s[0].To:
			b = appendOctets(append(b, byte(globOctets-k)), s[0].From, k, globOctets)
			s = s[1:]
		default:
			c := min(common(s[0].From, s[n-1].To), globOctets-1)
			b = appendOctets(append(b, byte(c-k)), s[0].From, k, c)
			b = append(appendRanges(b, s[:n], c), globPop)
			s = s[n:]
		}
	}
	return b
}

// appendLow appends the first ranges of s by their last octet.
func appendLow(b []byte, s GlobSet) ([]byte, GlobSet) {
	first := byte(s[0].From)
	var mask byte
	n := 0
	for ; n < len(s) && s[n].To-s[0].From <= 8; n++ {
		for v := s[n].From; v <= s[n].To; v++ {
			if v != s[0].From {
				mask |= 1 << (v - s[0].From - 1)
			}
		}
	}
	switch {
	case n > 1:
		return append(b, globBits, first, mask), s[n:]
	case s[0].From == s[0].To:
		return append(b, 1, first), s[1:]
	}
	return append(b, globRange, first, byte(s[0].To)), s[1:]
}

// maxRanges bounds a decoded set; a client that has more has no use of ranges.
const maxRanges = 1 << 20

// DecodeGlobSet reads an encoded set from the front of b and returns what is
// left. Bad input gives KindInvalid, too many ranges KindTooLarge.
func DecodeGlobSet(b []byte) (s GlobSet, rest []byte, err error) {
	d := globDecoder{b: b}
	for !d.done && !d.bad {
		if d.command(); len(d.ranges) > maxRanges {
			return nil, nil, model.E("mapi.globset", model.KindTooLarge, "set", nil)
		}
	}
	if d.bad {
		return nil, nil, model.E("mapi.globset", model.KindInvalid, "set", nil)
	}
	return normalize(d.ranges), d.b, nil
}

// normalize sorts and joins ranges.
func normalize(rs []CounterRange) (s GlobSet) {
	if !slices.IsSortedFunc(rs, byFrom) {
		slices.SortFunc(rs, byFrom)
	}
	for _, r := range rs {
		s = s.join(r)
	}
	return s
}

func byFrom(x, y CounterRange) int {
	switch {
	case x.From < y.From:
		return -1
	case x.From > y.From:
		return 1
	}
	return 0
}

// globDecoder runs the commands of a set.
type globDecoder struct {
	b         []byte
	stack     []byte // common octets
	pushed    []int  // how many came with each push
	ranges    []CounterRange
	done, bad bool
}

func (d *globDecoder) take(n int) []byte {
	if n > len(d.b) {
		d.bad = true
		return nil
	}
	x := d.b[:n]
	d.b = d.b[n:]
	return x
}

// counter is the common octets and low ones.
func (d *globDecoder) counter(low []byte) (n uint64) {
	for _, c := range d.stack {
		n = n<<8 | uint64(c)
	}
	for _, c := range low {
		n = n<<8 | uint64(c)
	}
	return n
}

func (d *globDecoder) command() {
	c := d.take(1)
	if d.bad {
		return
	}
	free := globOctets - len(d.stack)
	switch {
	case c[0] == globEnd:
		d.done, d.bad = true, len(d.stack) > 0
	case c[0] == globPop:
		if d.bad = len(d.pushed) == 0; !d.bad {
			last := len(d.pushed) - 1
			d.stack = d.stack[:len(d.stack)-d.pushed[last]]
			d.pushed = d.pushed[:last]
		}
	case c[0] == globRange:
		low, high := d.take(free), d.take(free)
		r := CounterRange{d.counter(low), d.counter(high)}
		if d.bad = d.bad || r.From > r.To; !d.bad {
			d.ranges = append(d.ranges, r)
		}
	case c[0] == globBits && free == 1:
		d.bitmask(d.take(2))
	case int(c[0]) <= free:
		// A push that fills the stack is a counter, and leaves it again.
		x := d.take(int(c[0]))
		if int(c[0]) == free {
			n := d.counter(x)
			d.ranges = append(d.ranges, CounterRange{n, n})
			return
		}
		d.stack, d.pushed = append(d.stack, x...), append(d.pushed, int(c[0]))
	default:
		d.bad = true
	}
}

func (d *globDecoder) bitmask(x []byte) {
	if d.bad {
		return
	}
	first := d.counter(x[:1])
	d.ranges = append(d.ranges, CounterRange{first, first})
	for i := range 8 {
		if x[1]&(1<<i) == 0 {
			continue
		}
		if int(x[0])+i+1 > 0xff {
			d.bad = true
			return
		}
		d.ranges = append(d.ranges, CounterRange{first + uint64(i) + 1, first + uint64(i) + 1})
	}
}
