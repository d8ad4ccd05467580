// Package mapi holds the store's own words: property tags, types and values
// (MS-OXCDATA 2.11, MS-OXPROPS). It does no I/O.
package mapi

import (
	"sort"
	"time"

	"rialto/internal/model"
)

// Type is a property type code (MS-OXCDATA 2.11.1).
type Type uint16

// Property types and the Go type of a Property's Value. A type with a shape of
// its own on the wire (server id, restriction, rule actions) is stored as octets
// by those who know it.
const (
	TypeUnspecified Type = 0x0000 // on the wire only: whatever type there is
	TypeNull        Type = 0x0001 // on the wire only: no value
	TypeInt16       Type = 0x0002 // int16
	TypeInt32       Type = 0x0003 // int32
	TypeFloat32     Type = 0x0004 // float32
	TypeFloat64     Type = 0x0005 // float64
	TypeCurrency    Type = 0x0006 // int64, ten-thousandths
	TypeAppTime     Type = 0x0007 // float64, days since 1899-12-30
	TypeError       Type = 0x000A // uint32
	TypeBool        Type = 0x000B // bool
	TypeObject      Type = 0x000D // []byte
	TypeInt64       Type = 0x0014 // int64
	TypeString8     Type = 0x001E // string, UTF-8 here
	TypeString      Type = 0x001F // string, UTF-8 here
	TypeTime        Type = 0x0040 // time.Time, 100 ns
	TypeGUID        Type = 0x0048 // model.GUID
	TypeServerID    Type = 0x00FB // []byte
	TypeRestriction Type = 0x00FD // []byte, AppendRestriction's
	TypeRuleActions Type = 0x00FE // []byte
	TypeBinary      Type = 0x0102 // []byte

	TypeMulti         Type = 0x1000                   // added to a type: a slice of its values
	TypeMultiInt16         = TypeMulti | TypeInt16    // []int16
	TypeMultiInt32         = TypeMulti | TypeInt32    // []int32
	TypeMultiFloat32       = TypeMulti | TypeFloat32  // []float32
	TypeMultiFloat64       = TypeMulti | TypeFloat64  // []float64
	TypeMultiCurrency      = TypeMulti | TypeCurrency // []int64
	TypeMultiAppTime       = TypeMulti | TypeAppTime  // []float64
	TypeMultiInt64         = TypeMulti | TypeInt64    // []int64
	TypeMultiString8       = TypeMulti | TypeString8  // []string
	TypeMultiString        = TypeMulti | TypeString   // []string
	TypeMultiTime          = TypeMulti | TypeTime     // []time.Time
	TypeMultiGUID          = TypeMulti | TypeGUID     // []model.GUID
	TypeMultiBinary        = TypeMulti | TypeBinary   // [][]byte

	// TypeInstance is added to a multi-valued type in a column: a row for each
	// value (MS-OXCTABL 2.2.2.2).
	TypeInstance Type = 0x2000
)

// Multi reports whether t is a type of several values.
func (t Type) Multi() bool { return t&TypeMulti != 0 }

// Base is the type of one value of t.
func (t Type) Base() Type { return t &^ (TypeMulti | TypeInstance) }

// Text reports whether one value of t is a string.
func (t Type) Text() bool { return t.Base() == TypeString || t.Base() == TypeString8 }

// Tag names a property: id in the upper 16 bits, type in the lower. Ids from
// 0x8000 are named properties, numbered per mailbox.
type Tag uint32

// MakeTag joins an id and a type.
func MakeTag(id uint16, t Type) Tag { return Tag(uint32(id)<<16 | uint32(t)) }

// ID returns the property id.
func (t Tag) ID() uint16 { return uint16(t >> 16) }

// Type returns the property type.
func (t Tag) Type() Type { return Type(t & 0xffff) }

// Named reports whether the id is one of a mailbox's named-property map.
func (t Tag) Named() bool { return t.ID() >= 0x8000 }

// Property is a tag and its value, of the Go type that the tag's type says.
type Property struct {
	Tag   Tag
	Value any
}

// Properties is a set of properties, sorted by tag, each tag at most once.
type Properties []Property

// Set adds or replaces the property.
func (p *Properties) Set(tag Tag, value any) {
	i := sort.Search(len(*p), func(i int) bool { return (*p)[i].Tag >= tag })
	if i < len(*p) && (*p)[i].Tag == tag {
		(*p)[i].Value = value
		return
	}
	*p = append(*p, Property{})
	copy((*p)[i+1:], (*p)[i:])
	(*p)[i] = Property{tag, value}
}

// Delete removes the property if it is there.
func (p *Properties) Delete(tag Tag) {
	for i := range *p {
		if (*p)[i].Tag == tag {
			*p = append((*p)[:i], (*p)[i+1:]...)
			return
		}
	}
}

// Get returns the value of tag.
func (p Properties) Get(tag Tag) (any, bool) {
	i := sort.Search(len(p), func(i int) bool { return p[i].Tag >= tag })
	if i < len(p) && p[i].Tag == tag {
		return p[i].Value, true
	}
	return nil, false
}

// Text returns a string property, "" if it is absent.
func (p Properties) Text(tag Tag) string {
	v, _ := p.Get(tag)
	s, _ := v.(string)
	return s
}

// Int32 returns an int32 property, 0 if it is absent.
func (p Properties) Int32(tag Tag) int32 {
	v, _ := p.Get(tag)
	n, _ := v.(int32)
	return n
}

// Bool returns a bool property, false if it is absent.
func (p Properties) Bool(tag Tag) bool {
	v, _ := p.Get(tag)
	b, _ := v.(bool)
	return b
}

// Time returns a time property, the zero time if it is absent.
func (p Properties) Time(tag Tag) time.Time {
	v, _ := p.Get(tag)
	t, _ := v.(time.Time)
	return t
}

// Binary returns a binary property, nil if it is absent.
func (p Properties) Binary(tag Tag) []byte {
	v, _ := p.Get(tag)
	b, _ := v.([]byte)
	return b
}

// PropertyName is the name behind a named property (MS-OXCDATA 2.6.1): a
// property set with either a string name or a numeric LID.
type PropertyName struct {
	Set  model.GUID
	Name string // used if not ""
	LID  uint32
}
