package mapi

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"math"
	"time"

	"rialto/internal/model"
	"rialto/internal/model/row"
)

// SortColumn is one column of a sort order.
type SortColumn struct {
	Tag        Tag // TypeInstance set: one row for each value
	Descending bool
	// Extreme orders categories by the lowest or highest value of this column
	// among their rows; only on the column after the last category
	// (MS-OXCDATA 2.13.1, TABLE_SORT_MAXIMUM_CATEGORY and its kin).
	Extreme Extreme
}

// Extreme picks a value of a category's rows.
type Extreme uint8

// The extremes.
const (
	NoExtreme Extreme = iota
	Maximum
	Minimum
)

// SortOrder is the order of a table (MS-OXCDATA 2.13.2): the first Categories
// columns make levels of headings, of which the first Expanded begin open.
type SortOrder struct {
	Columns    []SortColumn
	Categories int
	Expanded   int
}

const (
	maxSortColumns    = 16
	maxSortCategories = 4 // the outermost levels a table has (MS-OXCTABL 2.2.2.3.1)
)

// Check refuses an order that no table can have: KindInvalid, or KindTooLarge.
func (o *SortOrder) Check() error {
	bad := func(k model.Kind, what string) error { return model.E("mapi.sort", k, what, nil) }
	if len(o.Columns) > maxSortColumns || o.Categories > maxSortCategories {
		return bad(model.KindTooLarge, "sort order")
	}
	if o.Categories < 0 || o.Expanded < 0 || o.Expanded > o.Categories || o.Categories > len(o.Columns) {
		return bad(model.KindInvalid, "categories")
	}
	for i, c := range o.Columns {
		t := c.Tag.Type()
		if t&TypeInstance != 0 {
			t &^= TypeInstance
			if !t.Multi() {
				return bad(model.KindInvalid, "instance of a single value")
			}
		}
		if !sortable(t) {
			return bad(model.KindUnsupported, "sort column type")
		}
		if c.Extreme > Minimum || c.Extreme != NoExtreme && (o.Categories == 0 || i != o.Categories) {
			return bad(model.KindInvalid, "extreme")
		}
	}
	return nil
}

// sortable reports whether values of t have an order.
func sortable(t Type) bool {
	if t.Multi() {
		return multiple(t.Base())
	}
	return multiple(t) || t == TypeBool || t == TypeError || t == TypeServerID
}

// Compare is the total order of values of type t: numbers, times and bools by
// size (NaN first), strings caselessly and, where that makes no difference, by
// octets, the rest by octets; of slices the first difference counts. A value
// that is missing (nil) or not of t's Go type is before all others.
func Compare(a, b any, t Type) int {
	if c := bytes.Compare(AppendSortKey(nil, a, t), AppendSortKey(nil, b, t)); c != 0 {
		return c
	}
	switch x := a.(type) {
	case string:
		y, _ := b.(string)
		return cmp.Compare(x, y)
	case []string:
		y, _ := b.([]string)
		for i := range min(len(x), len(y)) {
			if c := cmp.Compare(x[i], y[i]); c != 0 {
				return c
			}
		}
	}
	return 0
}

// AppendSortKey appends octets whose order is Compare's, except that strings
// which differ in case alone have the same key: tables order those by their
// next column. Keys are free of prefixes, so that keys of several columns may
// be joined. A missing value has a key, before all others.
func AppendSortKey(b []byte, v any, t Type) []byte {
	if !typed(v, t) {
		return append(b, 0)
	}
	b = append(b, 1)
	switch x := v.(type) {
	case []int16:
		return eachKey(b, x, t)
	case []int32:
		return eachKey(b, x, t)
	case []int64:
		return eachKey(b, x, t)
	case []float32:
		return eachKey(b, x, t)
	case []float64:
		return eachKey(b, x, t)
	case []string:
		return eachKey(b, x, t)
	case [][]byte:
		return eachKey(b, x, t)
	case []time.Time:
		return eachKey(b, x, t)
	case []model.GUID:
		return eachKey(b, x, t)
	}
	return appendKey(b, v)
}

func eachKey[T any](b []byte, xs []T, t Type) []byte {
	for _, x := range xs {
		b = AppendSortKey(b, x, t.Base())
	}
	return append(b, 0)
}

// typed reports whether v is a value of t that has an order.
func typed(v any, t Type) bool {
	if v == nil || !sortable(t&^TypeInstance) {
		return false
	}
	if t.Multi() {
		return typedSlice(v, t.Base())
	}
	switch v.(type) {
	case int16:
		return t == TypeInt16
	case int32:
		return t == TypeInt32
	case int64:
		return t == TypeInt64 || t == TypeCurrency
	case uint32:
		return t == TypeError
	case float32:
		return t == TypeFloat32
	case float64:
		return t == TypeFloat64 || t == TypeAppTime
	case bool:
		return t == TypeBool
	case string:
		return t == TypeString || t == TypeString8
	case []byte:
		return t == TypeBinary || t == TypeServerID
	case time.Time:
		return t == TypeTime
	case model.GUID:
		return t == TypeGUID
	}
	return false
}

// typedSlice reports whether v is a slice of values of t.
func typedSlice(v any, t Type) bool {
	switch v.(type) {
	case []int16:
		return t == TypeInt16
	case []int32:
		return t == TypeInt32
	case []int64:
		return t == TypeInt64 || t == TypeCurrency
	case []float32:
		return t == TypeFloat32
	case []float64:
		return t == TypeFloat64 || t == TypeAppTime
	case []string:
		return t == TypeString || t == TypeString8
	case [][]byte:
		return t == TypeBinary
	case []time.Time:
		return t == TypeTime
	case []model.GUID:
		return t == TypeGUID
	}
	return false
}

// appendKey appends the key of one value.
func appendKey(b []byte, v any) []byte {
	switch x := v.(type) {
	case int16:
		return intKey(b, int64(x))
	case int32:
		return intKey(b, int64(x))
	case int64:
		return intKey(b, x)
	case uint32:
		return intKey(b, int64(x))
	case float32:
		return floatKey(b, float64(x))
	case float64:
		return floatKey(b, x)
	case bool:
		if x {
			return append(b, 1)
		}
		return append(b, 0)
	case string:
		mark := len(b)
		b = FoldCase.Append(b, x)
		return escape(b, mark)
	case []byte:
		mark := len(b)
		return escape(append(b, x...), mark)
	case time.Time:
		return intKey(b, int64(FileTime(x)))
	case model.GUID:
		return append(b, x[:]...)
	}
	return b
}

func intKey(b []byte, n int64) []byte {
	return binary.BigEndian.AppendUint64(b, uint64(n)^1<<63)
}

func floatKey(b []byte, f float64) []byte {
	switch {
	case math.IsNaN(f):
		return binary.BigEndian.AppendUint64(b, 0)
	case f == 0:
		f = 0 // the negative zero is the same
	}
	u := math.Float64bits(f)
	if u>>63 != 0 {
		u = ^u
	} else {
		u |= 1 << 63
	}
	return binary.BigEndian.AppendUint64(b, u)
}

// escape ends the octets from mark on: a zero among them is followed by 0xff,
// and they are closed by two zeros, so that none is the beginning of another.
func escape(b []byte, mark int) []byte {
	zeros := bytes.Count(b[mark:], []byte{0})
	if zeros > 0 {
		raw := bytes.Clone(b[mark:])
		b = b[:mark]
		for _, c := range raw {
			if b = append(b, c); c == 0 {
				b = append(b, 0xff)
			}
		}
	}
	return append(b, 0, 0)
}

// AppendRawKey is AppendSortKey for a value where it stands in a row; it makes
// nothing beside b unless the value is a slice or a text outside ASCII.
func AppendRawKey(b []byte, r Raw) []byte {
	t := r.Tag.Type()
	if !r.Found() || !sortable(t) {
		return append(b, 0)
	}
	switch t {
	case TypeInt16, TypeInt32, TypeInt64, TypeCurrency, TypeTime, TypeError:
		return intKey(append(b, 1), r.Int())
	case TypeBool:
		return append(b, 1, byte(r.Int()))
	case TypeFloat32, TypeFloat64, TypeAppTime:
		return floatKey(append(b, 1), r.Float())
	case TypeGUID:
		return append(append(b, 1), r.B...)
	case TypeBinary, TypeServerID:
		mark := len(b) + 1
		return escape(append(append(b, 1), r.Text()...), mark)
	case TypeString, TypeString8:
		return rawTextKey(append(b, 1), r.Text())
	}
	return AppendSortKey(b, r.Value(), t)
}

func rawTextKey(b, s []byte) []byte {
	for _, c := range s {
		if c >= 0x80 || c == 0 {
			mark := len(b)
			return escape(FoldCase.Append(b, string(s)), mark)
		}
	}
	for _, c := range s {
		b = append(b, lower(c))
	}
	return append(b, 0, 0)
}

// Reverse turns the order of the key b[mark:] round.
func Reverse(b []byte, mark int) {
	for i := range b[mark:] {
		b[mark+i] ^= 0xff
	}
}

// Truncate puts the n octets of key from skip on into dst, filled up with
// zeros, and reports whether the key goes on after them. Two keys whose
// truncated forms differ are in the order of those.
func Truncate(dst, key []byte, skip int) (more bool) {
	key = key[min(skip, len(key)):]
	clear(dst[copy(dst, key):])
	return len(key) > len(dst)
}

const sortVersion = 1

// AppendSortOrder appends the stored form of o.
func AppendSortOrder(b []byte, o *SortOrder) []byte {
	b = append(b, sortVersion)
	b = binary.AppendUvarint(b, uint64(o.Categories))
	b = binary.AppendUvarint(b, uint64(o.Expanded))
	b = binary.AppendUvarint(b, uint64(len(o.Columns)))
	for _, c := range o.Columns {
		b = binary.BigEndian.AppendUint32(b, uint32(c.Tag))
		d := byte(c.Extreme) << 1
		if c.Descending {
			d |= 1
		}
		b = append(b, d)
	}
	return b
}

// DecodeSortOrder reads what AppendSortOrder wrote, and checks it.
func DecodeSortOrder(b []byte) (*SortOrder, error) {
	d := row.Reader{B: b}
	if d.Byte() != sortVersion {
		d.Bad = true
	}
	o := &SortOrder{Categories: d.Count(), Expanded: d.Count()}
	n := d.Count()
	for i := 0; i < n && !d.Bad; i++ {
		tag, bits := Tag(d.Uint32()), d.Byte()
		o.Columns = append(o.Columns, SortColumn{tag, bits&1 != 0, Extreme(bits >> 1)})
	}
	if !d.Done() {
		return nil, model.E("mapi.sort", model.KindCorrupt, "sort order", nil)
	}
	return o, o.Check()
}
