package mapi

import (
	"bytes"
	"strings"
	"time"
	"unicode/utf16"

	"rialto/internal/model"
)

// Getter is an object that a restriction is asked of. It fetches only what it
// is asked for. The type of a tag is never TypeString8: strings are strings.
type Getter interface {
	// Value returns a property, nil if there is none.
	Value(Tag) (any, error)
	// Each calls fn for the recipients or attachments until it returns false or
	// an error.
	Each(table Tag, fn func(Getter) (bool, error)) error
}

// RawGetter is a Getter that can show some values where they stand.
type RawGetter interface {
	Getter
	// Raw returns the stored form of a property, ok false if there may be a
	// value and Value has to be asked.
	Raw(Tag) (raw Raw, ok bool, err error)
}

// Eval reports whether r holds for item. r is checked first; see Matcher for
// one restriction and many items.
func Eval(r Restriction, item Getter) (bool, error) {
	m, err := Compile(r)
	if err != nil {
		return false, err
	}
	return m.Match(item)
}

// Matcher is a restriction made ready to be asked of many objects. It is for
// one goroutine at a time.
type Matcher struct {
	root   node
	text   []byte // scratch
	needle []byte
}

// Compile checks r and prepares it.
func Compile(r Restriction) (*Matcher, error) {
	if err := CheckRestriction(r); err != nil {
		return nil, err
	}
	return &Matcher{root: compile(r)}, nil
}

// Match reports whether the restriction holds for item.
func (m *Matcher) Match(item Getter) (bool, error) { return m.root.match(m, item) }

// node is a part of a prepared restriction.
type node interface {
	match(*Matcher, Getter) (bool, error)
}

type (
	junction struct {
		parts []node
		stop  bool // what ends the evaluation: false for AND, true for OR
	}
	negation struct{ n node }
	truth    struct{}
	contents struct {
		*Content
		tag    Tag
		fold   Fold
		needle []byte // folded
	}
	relation struct {
		*Comparison
		tag   Tag
		key   []byte // sort key of the value
		multi bool   // the value is a slice too
	}
	columns struct{ *Columns }
	bits    struct{ *Bits }
	size    struct{ *Size }
	exists  struct{ tag Tag }
	sub     struct {
		table Tag
		n     node
	}
)

// plain is the tag under which a value is asked for.
func plain(t Tag) Tag {
	typ := t.Type() &^ TypeInstance
	if typ.Base() == TypeString8 {
		typ = TypeString | typ&TypeMulti
	}
	return MakeTag(t.ID(), typ)
}

func compile(r Restriction) node {
	switch r := r.(type) {
	case And:
		return &junction{compileAll(r), false}
	case Or:
		return &junction{compileAll(r), true}
	case *Not:
		return &negation{compile(r.R)}
	case *Count:
		return compile(r.R)
	case *Comment:
		if r.R == nil {
			return truth{}
		}
		return compile(r.R)
	case *Content:
		c := &contents{Content: r, tag: plain(r.Tag), fold: r.Fold.fold()}
		switch v := r.Value.(type) {
		case string:
			c.needle = c.fold.Append(nil, v)
		case []byte:
			c.needle = v
		}
		return c
	case *Comparison:
		tag := plain(r.Tag)
		n := &relation{Comparison: r, tag: tag, multi: typed(r.Value, r.Tag.Type()&^TypeInstance) && tag.Type().Multi()}
		t := tag.Type()
		if !n.multi {
			t = t.Base()
		}
		n.key = AppendSortKey(nil, r.Value, t)
		return n
	case *Columns:
		return columns{r}
	case *Bits:
		return bits{r}
	case *Size:
		return size{r}
	case *Exists:
		return exists{plain(r.Tag)}
	case *Sub:
		return &sub{r.Table, compile(r.R)}
	}
	return truth{}
}

func compileAll(rs []Restriction) []node {
	out := make([]node, len(rs))
	for i, r := range rs {
		out[i] = compile(r)
	}
	return out
}

func (n *junction) match(m *Matcher, g Getter) (bool, error) {
	for _, p := range n.parts {
		ok, err := p.match(m, g)
		if err != nil || ok == n.stop {
			return ok, err
		}
	}
	return !n.stop, nil
}

func (n *negation) match(m *Matcher, g Getter) (bool, error) {
	ok, err := n.n.match(m, g)
	return !ok && err == nil, err
}

func (truth) match(*Matcher, Getter) (bool, error) { return true, nil }

// raw shows a value where it stands if g can; ok false: ask Value.
func raw(g Getter, tag Tag) (Raw, bool, error) {
	if rg, can := g.(RawGetter); can {
		return rg.Raw(tag)
	}
	return Raw{}, false, nil
}

func (n *contents) match(m *Matcher, g Getter) (bool, error) {
	r, ok, err := raw(g, n.tag)
	if err != nil || ok && !r.Found() {
		return false, err
	}
	if ok && !n.tag.Type().Multi() {
		return n.octets(m, r.Text(), n.tag.Type().Text()), nil
	}
	v, err := g.Value(n.tag)
	if err != nil {
		return false, err
	}
	switch v := v.(type) {
	case string:
		return n.text(m, v), nil
	case []byte:
		return n.octets(m, v, false), nil
	case []string:
		for _, s := range v {
			if n.text(m, s) {
				return true, nil
			}
		}
	case [][]byte:
		for _, b := range v {
			if n.octets(m, b, false) {
				return true, nil
			}
		}
	}
	return false, nil
}

func (n *contents) text(m *Matcher, s string) bool {
	if n.fold == FoldNone {
		switch n.Match {
		case Prefix:
			return strings.HasPrefix(s, string(n.needle))
		case Substring:
			return strings.Contains(s, string(n.needle))
		}
		return s == string(n.needle)
	}
	m.text = n.fold.Append(m.text[:0], s)
	return n.found(m.text)
}

// octets is text for what stands in a row.
func (n *contents) octets(m *Matcher, b []byte, text bool) bool {
	if text && n.fold != FoldNone {
		for i, c := range b {
			if c >= 0x80 {
				return n.text(m, string(b))
			}
			if i == 0 {
				m.text = m.text[:0]
			}
			if n.fold&FoldCase != 0 {
				c = lower(c)
			}
			m.text = append(m.text, c)
		}
		b = m.text[:len(b)]
	}
	return n.found(b)
}

func (n *contents) found(b []byte) bool {
	switch n.Match {
	case Prefix:
		return bytes.HasPrefix(b, n.needle)
	case Substring:
		return bytes.Contains(b, n.needle)
	}
	return bytes.Equal(b, n.needle)
}

func (n *relation) match(m *Matcher, g Getter) (bool, error) {
	t := n.tag.Type()
	r, ok, err := raw(g, n.tag)
	if err != nil || ok && !r.Found() {
		return false, err
	}
	if ok && !t.Multi() {
		m.text = AppendRawKey(m.text[:0], r)
		return n.Relation.holds(bytes.Compare(m.text, n.key)), nil
	}
	v, err := g.Value(n.tag)
	if err != nil || !typed(v, t) {
		return false, err
	}
	if !t.Multi() || n.multi {
		m.text = AppendSortKey(m.text[:0], v, t)
		return n.Relation.holds(bytes.Compare(m.text, n.key)), nil
	}
	found := false
	Values(v, func(x any) bool {
		m.text = AppendSortKey(m.text[:0], x, t.Base())
		found = n.Relation.holds(bytes.Compare(m.text, n.key))
		return !found
	})
	return found, nil
}

func (n columns) match(m *Matcher, g Getter) (bool, error) {
	left, right := plain(n.Left), plain(n.Right)
	a, err := g.Value(left)
	if err != nil || !typed(a, left.Type()) {
		return false, err
	}
	b, err := g.Value(right)
	if err != nil || !typed(b, right.Type()) {
		return false, err
	}
	m.text = AppendSortKey(m.text[:0], a, left.Type())
	m.needle = AppendSortKey(m.needle[:0], b, right.Type())
	return n.Relation.holds(bytes.Compare(m.text, m.needle)), nil
}

func (n bits) match(_ *Matcher, g Getter) (bool, error) {
	r, ok, err := raw(g, n.Tag)
	if err != nil || ok && !r.Found() {
		return false, err
	}
	var x int64
	if ok {
		x = r.Int()
	} else {
		v, err := g.Value(n.Tag)
		if err != nil {
			return false, err
		}
		switch v := v.(type) {
		case int16:
			x = int64(v)
		case int32:
			x = int64(v)
		case int64:
			x = v
		default:
			return false, nil
		}
	}
	return (uint32(x)&n.Mask == 0) == n.Zero, nil
}

func (n size) match(_ *Matcher, g Getter) (bool, error) {
	v, err := g.Value(plain(n.Tag))
	if err != nil || v == nil {
		return false, err
	}
	s := wireSize(v, n.Tag.Type())
	switch {
	case s < int64(n.Octets):
		return n.Relation.holds(-1), nil
	case s > int64(n.Octets):
		return n.Relation.holds(1), nil
	}
	return n.Relation.holds(0), nil
}

func (n exists) match(_ *Matcher, g Getter) (bool, error) {
	if r, ok, err := raw(g, n.tag); err != nil || ok {
		return r.Found(), err
	}
	v, err := g.Value(n.tag)
	return v != nil, err
}

func (n *sub) match(m *Matcher, g Getter) (found bool, err error) {
	err = g.Each(n.table, func(o Getter) (bool, error) {
		var err error
		found, err = n.n.match(m, o)
		return !found, err
	})
	return found && err == nil, err
}

// Values calls fn for the values of a multi-valued one until it returns false.
func Values(v any, fn func(any) bool) {
	switch v := v.(type) {
	case []int16:
		each1(v, fn)
	case []int32:
		each1(v, fn)
	case []int64:
		each1(v, fn)
	case []float32:
		each1(v, fn)
	case []float64:
		each1(v, fn)
	case []string:
		each1(v, fn)
	case [][]byte:
		each1(v, fn)
	case []time.Time:
		each1(v, fn)
	case []model.GUID:
		each1(v, fn)
	}
}

func each1[T any](xs []T, fn func(any) bool) {
	for _, x := range xs {
		if !fn(x) {
			return
		}
	}
}

// wireSize is how many octets a value takes in MAPI.
func wireSize(v any, t Type) (n int64) {
	switch x := v.(type) {
	case int16, bool:
		return 2
	case int32, float32, uint32:
		return 4
	case int64, float64, time.Time:
		return 8
	case model.GUID:
		return 16
	case []byte:
		return int64(len(x))
	case string:
		if t.Base() == TypeString8 {
			return int64(len(x)) + 1
		}
		for _, r := range x {
			n += 2 * int64(utf16.RuneLen(r))
		}
		return n + 2
	}
	Values(v, func(x any) bool { n += wireSize(x, t); return true })
	return n
}
