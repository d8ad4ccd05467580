package mapi

import "rialto/internal/model"

// Restriction is a condition on an object (MS-OXCDATA 2.12): one of And, Or,
// Not, Content, Comparison, Columns, Bits, Size, Exists, Sub, Count and Comment.
// What holds of a property that an object has not got is false, whatever the
// comparison; Not turns that into true. Restrictions are not changed once made.
type Restriction interface{ restriction() }

// And holds if all do; empty, it holds.
type And []Restriction

// Or holds if any does; empty, it does not hold.
type Or []Restriction

// Not holds if R does not.
type Not struct{ R Restriction }

// Content compares a string or binary property (MS-OXCDATA 2.12.4). With a
// multi-valued Tag and a single Value, it holds if it does for any value.
type Content struct {
	Tag   Tag
	Match Match
	Fold  Fuzzy
	Value any // string or []byte
}

// Match is which part of a property has to be the value: the low half of a
// fuzzy level.
type Match uint16

// The matches.
const (
	FullString Match = 0
	Substring  Match = 1
	Prefix     Match = 2
)

// Fuzzy is the high half of a fuzzy level.
type Fuzzy uint16

// The fuzzy levels; they add up. Loose is both others.
const (
	IgnoreCase     Fuzzy = 1
	IgnoreNonSpace Fuzzy = 2
	Loose          Fuzzy = 4
)

func (f Fuzzy) fold() (out Fold) {
	if f&(IgnoreCase|Loose) != 0 {
		out |= FoldCase
	}
	if f&(IgnoreNonSpace|Loose) != 0 {
		out |= FoldMarks
	}
	return out
}

// Relation is a relational operator (MS-OXCDATA 2.12.5).
type Relation uint8

// The relations. MatchesRegexp and MemberOf are on the wire and not offered.
const (
	Less           Relation = 0
	LessOrEqual    Relation = 1
	Greater        Relation = 2
	GreaterOrEqual Relation = 3
	Equal          Relation = 4
	NotEqual       Relation = 5
	MatchesRegexp  Relation = 6
	MemberOf       Relation = 100
)

// holds says what a relation makes of a comparison's result.
func (r Relation) holds(c int) bool {
	switch r {
	case Less:
		return c < 0
	case LessOrEqual:
		return c <= 0
	case Greater:
		return c > 0
	case GreaterOrEqual:
		return c >= 0
	case Equal:
		return c == 0
	case NotEqual:
		return c != 0
	}
	return false
}

// Comparison holds if the property stands in the relation to Value, of the type of
// Tag, or of one value of it: then it holds if it does for any. Strings are
// compared caselessly.
type Comparison struct {
	Relation Relation
	Tag      Tag
	Value    any
}

// Columns compares two properties of one type.
type Columns struct {
	Relation    Relation
	Left, Right Tag
}

// Bits tests an integer property against a mask.
type Bits struct {
	Zero bool // holds if none of the bits is set; otherwise if any is
	Tag  Tag
	Mask uint32
}

// Size compares how many octets a property has: strings as UTF-16 with their
// terminator.
type Size struct {
	Relation Relation
	Tag      Tag
	Octets   uint32
}

// Exists holds if there is a value.
type Exists struct{ Tag Tag }

// Sub holds if R does for any recipient (Table is TagMessageRecipients) or
// attachment (TagMessageAttachments).
type Sub struct {
	Table Tag
	R     Restriction
}

// Count is R, for the first Limit objects of a table that it holds for. Of one
// object it is R.
type Count struct {
	Limit uint32
	R     Restriction
}

// Comment carries what a client noted beside R; nil R holds.
type Comment struct {
	Note Properties
	R    Restriction
}

func (And) restriction()         {}
func (Or) restriction()          {}
func (*Not) restriction()        {}
func (*Content) restriction()    {}
func (*Comparison) restriction() {}
func (*Columns) restriction()    {}
func (*Bits) restriction()       {}
func (*Size) restriction()       {}
func (*Exists) restriction()     {}
func (*Sub) restriction()        {}
func (*Count) restriction()      {}
func (*Comment) restriction()    {}

// Limits of a restriction.
const (
	maxNodes = 10000
	maxDepth = 256
	maxNote  = 1 << 10 // properties of a comment
)

// CheckRestriction refuses what can not be evaluated: KindTooLarge over 10,000
// nodes or a depth of 256, KindUnsupported for regular expressions and
// membership of a list, KindInvalid for what makes no sense.
func CheckRestriction(r Restriction) error {
	c := checker{}
	return c.check(r, 1)
}

type checker struct{ nodes int }

func (c *checker) check(r Restriction, depth int) error {
	if c.nodes++; c.nodes > maxNodes || depth > maxDepth {
		return model.E("mapi.restriction", model.KindTooLarge, "restriction", nil)
	}
	switch r := r.(type) {
	case And:
		return c.all(r, depth)
	case Or:
		return c.all(r, depth)
	case *Not:
		return c.check(r.R, depth+1)
	case *Count:
		return c.check(r.R, depth+1)
	case *Comment:
		if len(r.Note) > maxNote {
			return model.E("mapi.restriction", model.KindTooLarge, "comment", nil)
		}
		if r.R == nil {
			return nil
		}
		return c.check(r.R, depth+1)
	case *Sub:
		if r.Table != TagMessageRecipients && r.Table != TagMessageAttachments {
			return invalid("sub-object")
		}
		return c.check(r.R, depth+1)
	}
	return checkLeaf(r)
}

func (c *checker) all(rs []Restriction, depth int) error {
	for _, r := range rs {
		if err := c.check(r, depth+1); err != nil {
			return err
		}
	}
	return nil
}

func checkLeaf(r Restriction) error {
	switch r := r.(type) {
	case *Content:
		return r.check()
	case *Comparison:
		if err := checkRelation(r.Relation); err != nil {
			return err
		}
		t := r.Tag.Type() &^ TypeInstance
		if !typed(r.Value, t) && !typed(r.Value, t.Base()) {
			return invalid("value")
		}
		return nil
	case *Columns:
		if r.Left.Type() != r.Right.Type() && !(r.Left.Type().Text() && r.Right.Type().Text()) {
			return invalid("properties of two types")
		}
		return checkRelation(r.Relation)
	case *Bits:
		switch r.Tag.Type() {
		case TypeInt32, TypeInt16, TypeInt64:
			return nil
		}
		return invalid("bits of something else than an integer")
	case *Size:
		return checkRelation(r.Relation)
	case *Exists:
		return nil
	}
	return invalid("restriction")
}

func (r *Content) check() error {
	if r.Match > Prefix || r.Fold > IgnoreCase|IgnoreNonSpace|Loose {
		return invalid("fuzzy level")
	}
	t := r.Tag.Type().Base()
	switch r.Value.(type) {
	case string:
		if t == TypeString || t == TypeString8 {
			return nil
		}
	case []byte:
		if t == TypeBinary || t == TypeObject {
			return nil
		}
	}
	return invalid("content of something else than text or octets")
}

func checkRelation(r Relation) error {
	switch {
	case r <= NotEqual:
		return nil
	case r == MatchesRegexp, r == MemberOf:
		return model.E("mapi.restriction", model.KindUnsupported, "relation", nil)
	}
	return invalid("relation")
}

func invalid(what string) error { return model.E("mapi.restriction", model.KindInvalid, what, nil) }

// Limit returns the limit of a Count that is the restriction of a table, 0 if
// there is none.
func Limit(r Restriction) uint32 {
	switch r := r.(type) {
	case *Count:
		if n := Limit(r.R); n != 0 {
			return min(n, r.Limit)
		}
		return r.Limit
	case *Comment:
		return Limit(r.R)
	}
	return 0
}

// Tags calls fn for every property of the object itself that r looks at.
func Tags(r Restriction, fn func(Tag)) {
	switch r := r.(type) {
	case And:
		for _, x := range r {
			Tags(x, fn)
		}
	case Or:
		for _, x := range r {
			Tags(x, fn)
		}
	case *Not:
		Tags(r.R, fn)
	case *Count:
		Tags(r.R, fn)
	case *Comment:
		Tags(r.R, fn)
	case *Content:
		fn(r.Tag)
	case *Comparison:
		fn(r.Tag)
	case *Columns:
		fn(r.Left)
		fn(r.Right)
	case *Bits:
		fn(r.Tag)
	case *Size:
		fn(r.Tag)
	case *Exists:
		fn(r.Tag)
	}
}
