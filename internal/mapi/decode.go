package mapi

import (
	"math"
	"time"

	"rialto/internal/model"
	"rialto/internal/model/row"
)

// DecodeProperties reads what AppendProperties wrote. Strings and binaries are
// copied out of b. Damaged input gives a KindCorrupt error.
func DecodeProperties(b []byte) (Properties, error) {
	d := decoder{row.Reader{B: b}}
	if d.Byte() != encodingVersion {
		d.Bad = true
	}
	n := int(d.Uint16())
	if d.Bad || n > len(d.B) {
		return nil, model.E("mapi.decode", model.KindCorrupt, "properties", nil)
	}
	p := make(Properties, 0, n)
	for i := 0; i < n && !d.Bad; i++ {
		tag := Tag(d.Uint32())
		p = append(p, Property{tag, d.value(tag.Type())})
	}
	if d.Bad || len(d.B) != 0 {
		return nil, model.E("mapi.decode", model.KindCorrupt, "properties", nil)
	}
	return p, nil
}

// decoder reads properties.
type decoder struct{ row.Reader }

func (d *decoder) value(t Type) any {
	switch t {
	case TypeInt16:
		return int16(d.Varint())
	case TypeInt32:
		return int32(d.Varint())
	case TypeInt64, TypeCurrency:
		return d.Varint()
	case TypeError:
		return uint32(d.Uvarint())
	case TypeFloat32:
		return math.Float32frombits(d.Uint32())
	case TypeFloat64, TypeAppTime:
		return math.Float64frombits(d.Uint64())
	case TypeBool:
		return d.Byte() != 0
	case TypeString, TypeString8:
		return string(d.Bytes())
	case TypeBinary, TypeObject, TypeServerID, TypeRestriction, TypeRuleActions:
		return append([]byte{}, d.Bytes()...)
	case TypeTime:
		return FromFileTime(uint64(d.Varint()))
	case TypeGUID:
		return d.GUID()
	case TypeMultiInt16:
		return each[int16](d, TypeInt16)
	case TypeMultiInt32:
		return each[int32](d, TypeInt32)
	case TypeMultiInt64, TypeMultiCurrency:
		return each[int64](d, TypeInt64)
	case TypeMultiFloat32:
		return each[float32](d, TypeFloat32)
	case TypeMultiFloat64, TypeMultiAppTime:
		return each[float64](d, TypeFloat64)
	case TypeMultiString, TypeMultiString8:
		return each[string](d, TypeString)
	case TypeMultiBinary:
		return each[[]byte](d, TypeBinary)
	case TypeMultiTime:
		return each[time.Time](d, TypeTime)
	case TypeMultiGUID:
		return each[model.GUID](d, TypeGUID)
	}
	d.Bad = true
	return nil
}

func each[T any](d *decoder, t Type) []T {
	n := d.Uvarint()
	if n > uint64(len(d.B)) { // every value takes a byte at least
		d.Bad = true
		return nil
	}
	xs := make([]T, 0, n)
	for i := uint64(0); i < n && !d.Bad; i++ {
		if x, ok := d.value(t).(T); ok {
			xs = append(xs, x)
		}
	}
	return xs
}
