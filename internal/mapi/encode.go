package mapi

import (
	"encoding/binary"
	"math"
	"time"

	"rialto/internal/model"
)

// encodingVersion is the first byte of an encoded set; see AppendProperties.
const encodingVersion = 1

// maxProperties bounds a decoded set.
const maxProperties = 1 << 16

// AppendProperties appends the stored form of p to b: a version byte, a count,
// then per property the tag (4 bytes, big endian) and the value. Integers are
// varints, times 100 ns ticks since 1601 (FILETIME), strings and binaries are
// preceded by their length. A value whose Go type is not the tag's is left out
// rather than stored wrong; ok says whether that happened to any.
func AppendProperties(b []byte, p Properties) (_ []byte, ok bool) {
	ok = true
	b = append(b, encodingVersion)
	mark := len(b)
	n := 0
	b = binary.BigEndian.AppendUint16(b, 0)
	for _, q := range p {
		start := len(b)
		b = binary.BigEndian.AppendUint32(b, uint32(q.Tag))
		var good bool
		if b, good = appendValue(b, q.Tag.Type(), q.Value); !good || n == maxProperties-1 {
			b, ok = b[:start], false
			continue
		}
		n++
	}
	binary.BigEndian.PutUint16(b[mark:], uint16(n))
	return b, ok
}

func appendValue(b []byte, t Type, v any) ([]byte, bool) {
	if t.Multi() {
		return appendMulti(b, t&^TypeMulti, v)
	}
	switch x := v.(type) {
	case int16:
		return binary.AppendVarint(b, int64(x)), t == TypeInt16
	case int32:
		return binary.AppendVarint(b, int64(x)), t == TypeInt32
	case int64:
		return binary.AppendVarint(b, x), t == TypeInt64 || t == TypeCurrency
	case uint32:
		return binary.AppendUvarint(b, uint64(x)), t == TypeError
	case float32:
		return binary.BigEndian.AppendUint32(b, math.Float32bits(x)), t == TypeFloat32
	case float64:
		return binary.BigEndian.AppendUint64(b, math.Float64bits(x)), t == TypeFloat64 || t == TypeAppTime
	case bool:
		if x {
			return append(b, 1), t == TypeBool
		}
		return append(b, 0), t == TypeBool
	case string:
		return append(binary.AppendUvarint(b, uint64(len(x))), x...), t == TypeString || t == TypeString8
	case []byte:
		return append(binary.AppendUvarint(b, uint64(len(x))), x...), octets(t)
	case time.Time:
		return binary.AppendVarint(b, int64(FileTime(x))), t == TypeTime
	case model.GUID:
		return append(b, x[:]...), t == TypeGUID
	}
	return b, false
}

// octets reports whether a value of t is a []byte.
func octets(t Type) bool {
	switch t {
	case TypeBinary, TypeObject, TypeServerID, TypeRestriction, TypeRuleActions:
		return true
	}
	return false
}

func appendMulti(b []byte, t Type, v any) ([]byte, bool) {
	switch x := v.(type) {
	case []int16:
		return appendEach(b, t, x)
	case []float32:
		return appendEach(b, t, x)
	case []float64:
		return appendEach(b, t, x)
	case []int32:
		return appendEach(b, t, x)
	case []int64:
		return appendEach(b, t, x)
	case []string:
		return appendEach(b, t, x)
	case [][]byte:
		return appendEach(b, t, x)
	case []time.Time:
		return appendEach(b, t, x)
	case []model.GUID:
		return appendEach(b, t, x)
	}
	return b, false
}

// multiple reports whether there is a multi-valued type of t.
func multiple(t Type) bool {
	switch t {
	case TypeInt16, TypeInt32, TypeFloat32, TypeFloat64, TypeCurrency, TypeAppTime, TypeInt64,
		TypeString8, TypeString, TypeTime, TypeGUID, TypeBinary:
		return true
	}
	return false
}

func appendEach[T any](b []byte, t Type, xs []T) ([]byte, bool) {
	b = binary.AppendUvarint(b, uint64(len(xs)))
	if !multiple(t) {
		return b, false
	}
	for _, x := range xs {
		var ok bool
		if b, ok = appendValue(b, t, x); !ok {
			return b, false
		}
	}
	return b, true
}

// FileTime returns t as a Windows FILETIME: 100 ns ticks since 1601-01-01 UTC,
// 0 for times before.
func FileTime(t time.Time) uint64 {
	s := t.Unix() + 11644473600
	if s < 0 {
		return 0
	}
	return uint64(s)*1e7 + uint64(t.Nanosecond()/100)
}

// FromFileTime is the reverse of FileTime, in UTC.
func FromFileTime(ft uint64) time.Time {
	return time.Unix(int64(ft/1e7)-11644473600, int64(ft%1e7)*100).UTC()
}
