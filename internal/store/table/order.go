package table

import (
	"slices"

	"rialto/internal/mapi"
)

// order is a sort order made ready: how rows get their groups and keys.
type order struct {
	mapi.SortOrder
	need     []mapi.Tag
	instance int // the column that makes a row of each value, -1
	counted  bool
}

func newOrder(o mapi.SortOrder) *order {
	out := &order{SortOrder: o, instance: -1}
	for i, c := range o.Columns {
		out.need = append(out.need, valueTag(c.Tag))
		if c.Tag.Type()&mapi.TypeInstance != 0 && out.instance < 0 {
			out.instance = i
		}
	}
	if o.Categories > 0 {
		out.counted = true
		out.need = append(out.need, mapi.TagRead)
	}
	return out
}

// valueTag is the property behind a column: of an instance, all the values; a
// string of whatever kind is one.
func valueTag(t mapi.Tag) mapi.Tag {
	typ := t.Type() &^ mapi.TypeInstance
	if typ.Base() == mapi.TypeString8 {
		typ = mapi.TypeString | typ&mapi.TypeMulti
	}
	return mapi.MakeTag(t.ID(), typ)
}

// each calls fn for every instance of a row: once, or for each value of the
// instance column.
func (o *order) each(r Row, fn func(inst int) error) error {
	if o.instance < 0 {
		return fn(0)
	}
	n, err := instances(r, o.Columns[o.instance].Tag)
	for i := 0; i < max(n, 1) && err == nil; i++ {
		err = fn(i)
	}
	return err
}

// instances counts the values of a multi-valued property.
func instances(r Row, column mapi.Tag) (n int, err error) {
	v, err := r.Value(valueTag(column))
	if err == nil {
		mapi.Values(v, func(any) bool { n++; return n < maxInstance })
	}
	return n, err
}

// nth returns a value of a multi-valued one, nil if there are not so many.
func nth(v any, n int) (out any) {
	mapi.Values(v, func(x any) bool {
		if n == 0 {
			out = x
		}
		n--
		return n >= 0
	})
	return out
}

// appendKey appends the key of a row below its categories.
func (o *order) appendKey(b []byte, r Row, inst int) ([]byte, error) {
	return o.append(b, r, inst, o.Categories, len(o.Columns))
}

// append appends the keys of columns from to to.
func (o *order) append(b []byte, r Row, inst, from, to int) (_ []byte, err error) {
	for i := from; i < to; i++ {
		mark := len(b)
		if b, err = o.column(b, r, inst, i); err != nil {
			return b, err
		}
		if o.Columns[i].Descending {
			mapi.Reverse(b, mark)
		}
	}
	return b, nil
}

func (o *order) column(b []byte, r Row, inst, i int) ([]byte, error) {
	tag := valueTag(o.Columns[i].Tag)
	if o.Columns[i].Tag.Type()&mapi.TypeInstance != 0 {
		v, err := r.Value(tag)
		if err != nil {
			return b, err
		}
		return mapi.AppendSortKey(b, nth(v, inst), tag.Type().Base()), nil
	}
	raw, ok, err := r.Raw(tag)
	if err != nil {
		return b, err
	}
	if ok {
		return mapi.AppendRawKey(b, raw), nil
	}
	v, err := r.Value(tag)
	if err != nil {
		return b, err
	}
	return mapi.AppendSortKey(b, v, tag.Type()), nil
}

// union adds tags to a list, each once.
func union(list []mapi.Tag, tags ...mapi.Tag) []mapi.Tag {
	for _, t := range tags {
		if !slices.Contains(list, t) {
			list = append(list, t)
		}
	}
	return list
}
