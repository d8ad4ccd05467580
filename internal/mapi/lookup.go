package mapi

import (
	"encoding/binary"
	"math"

	"rialto/internal/model"
	"rialto/internal/model/row"
)

// Raw is one value of an encoded set where it stands, so that a scan of many
// rows can look at a value without making anything. It is valid as long as the
// row is. The zero Raw is a value that is not there.
type Raw struct {
	Tag Tag
	B   []byte // as AppendProperties wrote it; nil: absent
}

// Found reports whether there is a value.
func (r Raw) Found() bool { return r.B != nil }

// Value decodes the value. A damaged one is nil.
func (r Raw) Value() any {
	d := decoder{row.Reader{B: r.B}}
	v := d.value(r.Tag.Type())
	if !d.Done() {
		return nil
	}
	return v
}

// Text returns the octets of a string or a binary, which belong to the row.
func (r Raw) Text() []byte {
	d := row.Reader{B: r.B}
	return d.Bytes()
}

// Int returns an integer, a bool (0 or 1), a currency, or a time as FILETIME.
func (r Raw) Int() int64 {
	d := row.Reader{B: r.B}
	switch r.Tag.Type() {
	case TypeBool:
		return int64(min(d.Byte(), 1))
	case TypeError:
		return int64(uint32(d.Uvarint()))
	}
	return d.Varint()
}

// Float returns a floating value.
func (r Raw) Float() float64 {
	d := row.Reader{B: r.B}
	if r.Tag.Type() == TypeFloat32 {
		return float64(math.Float32frombits(d.Uint32()))
	}
	return math.Float64frombits(d.Uint64())
}

// Lookup finds one value in an encoded set without decoding the others. Damage
// before the value gives a KindCorrupt error.
func Lookup(enc []byte, tag Tag) (Raw, error) {
	var out [1]Raw
	err := LookupMany(enc, []Tag{tag}, out[:])
	return out[0], err
}

// LookupMany is Lookup for several tags, in any order, in one pass: out[i] is
// the value of tags[i]. The set need not be sorted.
func LookupMany(enc []byte, tags []Tag, out []Raw) error {
	for i := range out {
		out[i] = Raw{}
	}
	if len(enc) < 3 || enc[0] != encodingVersion {
		return model.E("mapi.lookup", model.KindCorrupt, "properties", nil)
	}
	n, left := int(binary.BigEndian.Uint16(enc[1:])), len(tags)
	enc = enc[3:]
	for ; n > 0 && left > 0; n-- {
		if len(enc) < 4 {
			return model.E("mapi.lookup", model.KindCorrupt, "properties", nil)
		}
		tag := Tag(binary.BigEndian.Uint32(enc))
		enc = enc[4:]
		size := valueSize(enc, tag.Type())
		if size < 0 {
			return model.E("mapi.lookup", model.KindCorrupt, "property", nil)
		}
		for i, t := range tags {
			if t == tag && out[i].B == nil {
				out[i] = Raw{tag, enc[:size:size]}
				left--
			}
		}
		enc = enc[size:]
	}
	return nil
}

// valueSize is how many octets the value at the front of b takes, -1 if it is
// damaged.
func valueSize(b []byte, t Type) int {
	fixed := 0
	switch t {
	case TypeInt16, TypeInt32, TypeInt64, TypeCurrency, TypeError, TypeTime:
		return varintSize(b)
	case TypeString, TypeString8, TypeBinary, TypeObject, TypeServerID, TypeRestriction, TypeRuleActions:
		n, k := binary.Uvarint(b)
		if k <= 0 || n > uint64(len(b)-k) {
			return -1
		}
		return k + int(n)
	case TypeBool:
		fixed = 1
	case TypeFloat32:
		fixed = 4
	case TypeFloat64, TypeAppTime:
		fixed = 8
	case TypeGUID:
		fixed = 16
	default:
		return multiSize(b, t)
	}
	if fixed > len(b) {
		return -1
	}
	return fixed
}

func varintSize(b []byte) int {
	for i := 0; i < len(b) && i < binary.MaxVarintLen64; i++ {
		if b[i] < 0x80 {
			return i + 1
		}
	}
	return -1
}

func multiSize(b []byte, t Type) int {
	base := t &^ TypeMulti
	n, k := binary.Uvarint(b)
	if !t.Multi() || !multiple(base) || k <= 0 || n > uint64(len(b)-k) {
		return -1
	}
	for ; n > 0; n-- {
		s := valueSize(b[k:], base)
		if s < 0 {
			return -1
		}
		k += s
	}
	return k
}
