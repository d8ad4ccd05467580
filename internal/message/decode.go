package message

import (
	"encoding/binary"
	"slices"
)

// decoder reads the stored form. After the first fault bad is set and every
// read yields zero.
type decoder struct {
	s     string
	i     int
	bad   bool
	parts int
	words *[60]string
}

// num reads a number that fits an int64.
func (d *decoder) num() int64 {
	var v uint64
	for shift := 0; ; shift += 7 {
		if d.i >= len(d.s) || shift >= 7*(binary.MaxVarintLen64-1) {
			d.fail()
			return 0
		}
		c := d.s[d.i]
		d.i++
		v |= uint64(c&0x7f) << shift
		if c < 0x80 {
			return int64(v) // at most 63 bits
		}
	}
}

func (d *decoder) fail() { d.bad, d.i = true, len(d.s) }

// count reads the number of elements that take at least size bytes each.
func (d *decoder) count(size int) int {
	n := d.num()
	if n > int64((len(d.s)-d.i)/size) {
		d.fail()
		return 0
	}
	return int(n)
}

func (d *decoder) str() string {
	n := d.num()
	if n&1 == 1 {
		if n >>= 1; n < int64(len(d.words)) {
			return d.words[n]
		}
		d.fail()
		return ""
	}
	if n >>= 1; n > int64(len(d.s)-d.i) {
		d.fail()
		return ""
	}
	s := d.s[d.i : d.i+int(n)]
	d.i += int(n)
	return s
}

// strs reads a list into ss, which is empty.
func (d *decoder) strs(ss []string) []string {
	n := d.count(1)
	ss = slices.Grow(ss, n)[:n]
	for i := range ss {
		ss[i] = d.str()
	}
	return ss
}

func (d *decoder) params() []Param {
	n := d.count(2)
	if n == 0 {
		return nil
	}
	ps := make([]Param, n)
	for i := range ps {
		ps[i].Name = d.str()
		ps[i].Value = d.str()
	}
	return ps
}

// part reads a part that lies within [base, end).
func (d *decoder) part(base, end int64, depth int) *Part {
	p := &Part{}
	if d.parts++; d.parts > MaxParts || depth > MaxDepth {
		d.fail()
		return p
	}
	p.HeaderStart = d.offset(base, end)
	p.BodyStart = d.offset(p.HeaderStart, end)
	p.BodyEnd = d.offset(p.BodyStart, end)
	p.Lines = d.num()
	m := d.num()
	p.Type, p.Subtype, p.Encoding = d.str(), d.str(), d.str()
	if m&hasParams != 0 {
		p.Params = d.params()
	}
	if m&hasID != 0 {
		p.ID = d.str()
	}
	if m&hasDescription != 0 {
		p.Description = d.str()
	}
	if m&hasMD5 != 0 {
		p.MD5 = d.str()
	}
	if m&hasDisposition != 0 {
		p.Disposition = d.str()
		p.DispositionParams = d.params()
	}
	if m&hasLanguage != 0 {
		p.Language = d.strs(nil)
	}
	if m&hasLocation != 0 {
		p.Location = d.str()
	}
	if m&hasEnvelope != 0 {
		p.Envelope = d.envelope()
	}
	n := d.count(9)
	if d.bad || n == 0 {
		return p
	}
	p.Children = make([]*Part, 0, n)
	at := p.BodyStart
	for i := 0; i < n && !d.bad; i++ {
		c := d.part(at, p.BodyEnd, depth+1)
		at = c.BodyEnd
		p.Children = append(p.Children, c)
	}
	return p
}

// offset reads a distance from base, which must not lead beyond end.
func (d *decoder) offset(base, end int64) int64 {
	n := d.num()
	if n > end-base {
		d.fail()
		return base
	}
	return base + n
}

func (d *decoder) envelope() *Envelope {
	v := new(Envelope)
	d.envelopeInto(v)
	return v
}

// envelopeInto reads an envelope into v, whose slices are used again.
func (d *decoder) envelopeInto(v *Envelope) {
	*v = Envelope{From: v.From[:0], Sender: v.Sender[:0], ReplyTo: v.ReplyTo[:0],
		To: v.To[:0], Cc: v.Cc[:0], Bcc: v.Bcc[:0], References: v.References[:0]}
	if d.i >= len(d.s) {
		d.fail()
		return
	}
	v.Has = Present(d.s[d.i])
	d.i++
	for _, t := range v.texts() {
		if v.Has&t.bit != 0 {
			*t.text = d.str()
		}
	}
	for _, l := range v.lists() {
		*l = d.addresses(*l)
	}
	v.References = d.strs(v.References)
}

// addresses reads a list into as, which is empty.
func (d *decoder) addresses(as []Address) []Address {
	n := d.count(4)
	as = slices.Grow(as, n)[:n]
	for i := range as {
		a := &as[i]
		k := d.num()
		if k>>1 > int64(GroupEnd) {
			d.fail()
			return nil
		}
		*a = Address{Kind: AddressKind(k >> 1)}
		a.Name = d.str()
		if k&1 != 0 {
			a.Route = d.str()
		}
		a.Local = d.str()
		a.Host = d.str()
	}
	return as
}
