package mapi

import (
	"encoding/binary"
	"math"
	"time"

	"rialto/internal/model"
)

// DecodeProperties reads what AppendProperties wrote. Strings and binaries are
// copied out of b. Damaged input gives a KindCorrupt error.
func DecodeProperties(b []byte) (Properties, error) {
	d := decoder{b: b}
	if d.byte() != encodingVersion {
		d.bad = true
	}
	n := int(d.uint16())
	if d.bad || n > len(d.b) {
		return nil, model.E("mapi.decode", model.KindCorrupt, "properties", nil)
	}
	p := make(Properties, 0, n)
	for i := 0; i < n && !d.bad; i++ {
		tag := Tag(d.uint32())
		p = append(p, Property{tag, d.value(tag.Type())})
	}
	if d.bad || len(d.b) != 0 {
		return nil, model.E("mapi.decode", model.KindCorrupt, "properties", nil)
	}
	return p, nil
}

// decoder takes values off the front of b; bad is set, and stays set, at the
// first that is not there.
type decoder struct {
	b   []byte
	bad bool
}

func (d *decoder) take(n int) []byte {
	if d.bad || n < 0 || n > len(d.b) {
		d.bad = true
		return nil
	}
	x := d.b[:n]
	d.b = d.b[n:]
	return x
}

func (d *decoder) byte() byte {
	if x := d.take(1); x != nil {
		return x[0]
	}
	return 0
}

func (d *decoder) uint16() uint16 {
	if x := d.take(2); x != nil {
		return binary.BigEndian.Uint16(x)
	}
	return 0
}

func (d *decoder) uint32() uint32 {
	if x := d.take(4); x != nil {
		return binary.BigEndian.Uint32(x)
	}
	return 0
}

func (d *decoder) uint64() uint64 {
	if x := d.take(8); x != nil {
		return binary.BigEndian.Uint64(x)
	}
	return 0
}

func (d *decoder) uvarint() uint64 {
	v, n := binary.Uvarint(d.b)
	if n <= 0 {
		d.bad = true
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) varint() int64 {
	v, n := binary.Varint(d.b)
	if n <= 0 {
		d.bad = true
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) bytes() []byte {
	n := d.uvarint()
	if n > uint64(len(d.b)) {
		d.bad = true
		return nil
	}
	return d.take(int(n))
}

func (d *decoder) value(t Type) any {
	switch t {
	case TypeInt16:
		return int16(d.varint())
	case TypeInt32:
		return int32(d.varint())
	case TypeInt64, TypeCurrency:
		return d.varint()
	case TypeError:
		return uint32(d.uvarint())
	case TypeFloat32:
		return math.Float32frombits(d.uint32())
	case TypeFloat64, TypeAppTime:
		return math.Float64frombits(d.uint64())
	case TypeBool:
		return d.byte() != 0
	case TypeString, TypeString8:
		return string(d.bytes())
	case TypeBinary, TypeObject:
		return append([]byte{}, d.bytes()...)
	case TypeTime:
		return FromFileTime(uint64(d.varint()))
	case TypeGUID:
		var g model.GUID
		copy(g[:], d.take(16))
		return g
	case TypeMultiInt32:
		return each[int32](d, TypeInt32)
	case TypeMultiInt64:
		return each[int64](d, TypeInt64)
	case TypeMultiString:
		return each[string](d, TypeString)
	case TypeMultiBinary:
		return each[[]byte](d, TypeBinary)
	case TypeMultiTime:
		return each[time.Time](d, TypeTime)
	case TypeMultiGUID:
		return each[model.GUID](d, TypeGUID)
	}
	d.bad = true
	return nil
}

func each[T any](d *decoder, t Type) []T {
	n := d.uvarint()
	if n > uint64(len(d.b)) { // every value takes a byte at least
		d.bad = true
		return nil
	}
	xs := make([]T, 0, n)
	for i := uint64(0); i < n && !d.bad; i++ {
		if x, ok := d.value(t).(T); ok {
			xs = append(xs, x)
		}
	}
	return xs
}
