package mapi

import (
	"encoding/binary"

	"rialto/internal/model"
	"rialto/internal/model/row"
)

const restrictionVersion = 1

// Codes of restrictions, those of the wire (MS-OXCDATA 2.12).
const (
	codeAnd     = 0x00
	codeOr      = 0x01
	codeNot     = 0x02
	codeContent = 0x03
	codeProp    = 0x04
	codeCompare = 0x05
	codeBits    = 0x06
	codeSize    = 0x07
	codeExists  = 0x08
	codeSub     = 0x09
	codeComment = 0x0A
	codeCount   = 0x0B
)

// AppendRestriction appends the stored form of r, which it checks first: a
// version byte, then per node its code and its fields.
func AppendRestriction(b []byte, r Restriction) ([]byte, error) {
	if err := CheckRestriction(r); err != nil {
		return b, err
	}
	out, ok := appendNode(append(b, restrictionVersion), r)
	if !ok {
		return b, invalid("value")
	}
	return out, nil
}

func appendNode(b []byte, r Restriction) (_ []byte, ok bool) {
	switch r := r.(type) {
	case And:
		return appendNodes(append(b, codeAnd), r)
	case Or:
		return appendNodes(append(b, codeOr), r)
	case *Not:
		return appendNode(append(b, codeNot), r.R)
	case *Content:
		b = appendTag(append(b, codeContent, byte(r.Match), byte(r.Fold)), r.Tag)
		return appendTyped(b, r.Value, r.Tag.Type())
	case *Comparison:
		b = appendTag(append(b, codeProp, byte(r.Relation)), r.Tag)
		return appendTyped(b, r.Value, r.Tag.Type())
	case *Columns:
		b = append(b, codeCompare, byte(r.Relation))
		return appendTag(appendTag(b, r.Left), r.Right), true
	case *Bits:
		b = append(b, codeBits, 0)
		if !r.Zero {
			b[len(b)-1] = 1
		}
		return binary.AppendUvarint(appendTag(b, r.Tag), uint64(r.Mask)), true
	case *Size:
		b = append(b, codeSize, byte(r.Relation))
		return binary.AppendUvarint(appendTag(b, r.Tag), uint64(r.Octets)), true
	case *Exists:
		return appendTag(append(b, codeExists), r.Tag), true
	case *Sub:
		return appendNode(appendTag(append(b, codeSub), r.Table), r.R)
	case *Count:
		return appendNode(binary.AppendUvarint(append(b, codeCount), uint64(r.Limit)), r.R)
	case *Comment:
		note, good := AppendProperties(nil, r.Note)
		b = row.AppendText(append(b, codeComment), string(note))
		if r.R == nil {
			return append(b, 0), good
		}
		b, ok = appendNode(append(b, 1), r.R)
		return b, ok && good
	}
	return b, false
}

func appendNodes(b []byte, rs []Restriction) (_ []byte, ok bool) {
	b, ok = binary.AppendUvarint(b, uint64(len(rs))), true
	for _, r := range rs {
		if b, ok = appendNode(b, r); !ok {
			return b, false
		}
	}
	return b, true
}

func appendTag(b []byte, t Tag) []byte { return binary.BigEndian.AppendUint32(b, uint32(t)) }

// appendTyped appends the type of v, which is t's or of one value of it, and v.
func appendTyped(b []byte, v any, t Type) ([]byte, bool) {
	t &^= TypeInstance
	if !typed(v, t) {
		t = t.Base()
	}
	return appendValue(binary.BigEndian.AppendUint16(b, uint16(t)), t, v)
}

// DecodeRestriction reads what AppendRestriction wrote, and checks it.
func DecodeRestriction(b []byte) (Restriction, error) {
	d := nodeDecoder{decoder: decoder{row.Reader{B: b}}}
	if d.Byte() != restrictionVersion {
		d.Bad = true
	}
	r := d.node(1)
	if !d.Done() {
		return nil, model.E("mapi.decode", model.KindCorrupt, "restriction", nil)
	}
	return r, CheckRestriction(r)
}

type nodeDecoder struct {
	decoder
	nodes int
}

func (d *nodeDecoder) tag() Tag { return Tag(d.Uint32()) }

func (d *nodeDecoder) typed() any { return d.value(Type(d.Uint16())) }

func (d *nodeDecoder) node(depth int) Restriction {
	if d.nodes++; d.nodes > maxNodes || depth > maxDepth {
		d.Bad = true
	}
	if d.Bad {
		return And(nil)
	}
	switch code := d.Byte(); code {
	case codeAnd:
		return And(d.list(depth))
	case codeOr:
		return Or(d.list(depth))
	case codeNot:
		return &Not{d.node(depth + 1)}
	case codeContent:
		m, f := d.Byte(), d.Byte()
		return &Content{Match: Match(m), Fold: Fuzzy(f), Tag: d.tag(), Value: d.typed()}
	case codeProp:
		return &Comparison{Relation: Relation(d.Byte()), Tag: d.tag(), Value: d.typed()}
	case codeCompare:
		return &Columns{Relation: Relation(d.Byte()), Left: d.tag(), Right: d.tag()}
	case codeBits:
		return &Bits{Zero: d.Byte() == 0, Tag: d.tag(), Mask: uint32(d.Uvarint())}
	case codeSize:
		return &Size{Relation: Relation(d.Byte()), Tag: d.tag(), Octets: uint32(d.Uvarint())}
	case codeExists:
		return &Exists{d.tag()}
	case codeSub:
		return &Sub{d.tag(), d.node(depth + 1)}
	case codeCount:
		return &Count{uint32(d.Uvarint()), d.node(depth + 1)}
	case codeComment:
		return d.comment(depth)
	}
	d.Bad = true
	return And(nil)
}

func (d *nodeDecoder) comment(depth int) Restriction {
	note, err := DecodeProperties(d.Bytes())
	if err != nil {
		d.Bad = true
		return And(nil)
	}
	c := &Comment{Note: note}
	if d.Byte() != 0 {
		c.R = d.node(depth + 1)
	}
	return c
}

func (d *nodeDecoder) list(depth int) []Restriction {
	n := d.Count()
	var out []Restriction
	for i := 0; i < n && !d.Bad; i++ {
		out = append(out, d.node(depth+1))
	}
	return out
}
