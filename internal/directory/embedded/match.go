package embedded

import (
	"bytes"
	"context"
	"strings"

	"rialto/internal/directory"
	"rialto/internal/directory/schema"
	"rialto/internal/kv"
	"rialto/internal/model"
	"rialto/internal/wire/ldap"
)

// truth is the three-valued logic of filters (RFC 4511 4.5.1.7).
type truth uint8

const (
	no truth = iota
	yes
	undefined
)

func truthOf(b bool) truth {
	if b {
		return yes
	}
	return no
}

// matcher evaluates filters against objects of one state.
type matcher struct {
	d      *DB
	ctx    context.Context
	r      kv.Reader
	names  uint64 // generation of the name cache that r may use
	schema *schema.Schema
	p      directory.Principal
	err    error
	dns    map[string]dnt // DNs named in the filter
}

func (m *matcher) match(o *object, f *ldap.Filter) truth {
	switch f.Kind {
	case ldap.FilterAnd:
		res := yes
		for _, c := range f.Children {
			switch m.match(o, c) {
			case no:
				return no
			case undefined:
				res = undefined
			}
		}
		return res
	case ldap.FilterOr:
		res := no
		for _, c := range f.Children {
			switch m.match(o, c) {
			case yes:
				return yes
			case undefined:
				res = undefined
			}
		}
		return res
	case ldap.FilterNot:
		switch m.match(o, f.Children[0]) {
		case yes:
			return no
		case no:
			return yes
		}
		return undefined
	}
	return m.item(o, f)
}

func (m *matcher) item(o *object, f *ldap.Filter) truth {
	if strings.EqualFold(f.Attr, "anr") && f.Kind != ldap.FilterPresent {
		return truthOf(m.anr(o, f))
	}
	sa := m.schema.Attribute(f.Attr)
	if sa == nil || !readable(m.p, sa) {
		return undefined
	}
	if sa.Syntax == schema.SyntaxDN {
		return m.dnItem(o, sa, f)
	}
	values := m.values(o, sa)
	if f.Kind == ldap.FilterPresent {
		return truthOf(len(values) > 0)
	}
	if f.Kind == ldap.FilterExtensible && f.Rule != "" {
		return m.extensible(sa, values, f)
	}
	for _, v := range values {
		if matchValue(sa, sa.Normalize(v), f) {
			return yes
		}
	}
	return no
}

// values returns what an attribute that is no DN has, names included.
func (m *matcher) values(o *object, sa *schema.Attribute) [][]byte {
	if strings.EqualFold(sa.Name, o.rdn.Type) || sa.Name == "name" {
		return [][]byte{[]byte(o.rdn.Value)}
	}
	return o.get(sa.Name)
}

// matchValue compares a normalized value.
func matchValue(sa *schema.Attribute, v []byte, f *ldap.Filter) bool {
	switch f.Kind {
	case ldap.FilterEqual, ldap.FilterApprox, ldap.FilterExtensible:
		return bytes.Equal(v, sa.Normalize(f.Value))
	case ldap.FilterGreaterOrEqual:
		return bytes.Compare(v, sa.Normalize(f.Value)) >= 0
	case ldap.FilterLessOrEqual:
		return bytes.Compare(v, sa.Normalize(f.Value)) <= 0
	case ldap.FilterSubstrings:
		return matchSubstrings(sa, v, f.Sub)
	}
	return false
}

func matchSubstrings(sa *schema.Attribute, v []byte, s *ldap.Substrings) bool {
	fold := func(b []byte) []byte {
		if sa.Syntax == schema.SyntaxText || sa.Syntax == schema.SyntaxOID || sa.Syntax == schema.SyntaxDNText {
			return bytes.ToLower(b)
		}
		return b
	}
	if s.Initial != nil {
		p := fold(s.Initial)
		if !bytes.HasPrefix(v, p) {
			return false
		}
		v = v[len(p):]
	}
	for _, a := range s.Any {
		i := bytes.Index(v, fold(a))
		if i < 0 {
			return false
		}
		v = v[i+len(a):]
	}
	return s.Final == nil || bytes.HasSuffix(v, fold(s.Final))
}

// extensible handles the bitwise rules (MS-ADTS 3.1.1.3.4.4).
func (m *matcher) extensible(sa *schema.Attribute, values [][]byte, f *ldap.Filter) truth {
	mask, ok := schema.Integer(f.Value)
	if sa.Syntax != schema.SyntaxInt || !ok {
		return undefined
	}
	for _, v := range values {
		n, _ := schema.Integer(v)
		switch f.Rule {
		case "1.2.840.113556.1.4.803":
			return truthOf(n&mask == mask)
		case "1.2.840.113556.1.4.804":
			return truthOf(n&mask != 0)
		default:
			return undefined
		}
	}
	return no
}

// anr is ambiguous name resolution (MS-ADTS 3.1.1.3.1.3.4): the beginning of any
// attribute that takes part.
func (m *matcher) anr(o *object, f *ldap.Filter) bool {
	want := f.Value
	if f.Sub != nil {
		want = f.Sub.Initial
	}
	want = bytes.ToLower(bytes.TrimSpace(want))
	for _, a := range o.attrs {
		sa := m.schema.Attribute(a.name)
		if sa == nil || sa.Flags&4 == 0 || !readable(m.p, sa) {
			continue
		}
		for _, v := range a.values {
			if n := sa.Normalize(v); bytes.HasPrefix(n, want) || sa.Name == "proxyAddresses" && bytes.HasPrefix(n, append([]byte("smtp:"), want...)) {
				return true
			}
		}
	}
	return bytes.HasPrefix(bytes.ToLower([]byte(o.rdn.Value)), want)
}

// dnItem evaluates an attribute of DN syntax, linked or not.
func (m *matcher) dnItem(o *object, sa *schema.Attribute, f *ldap.Filter) truth {
	switch f.Kind {
	case ldap.FilterPresent:
		if sa.Link == 0 {
			return truthOf(o.get(sa.Name) != nil || sa.Name == "distinguishedName")
		}
		space, link := sideOf(sa)
		l, err := scanLinks(m.ctx, m.r, space, link, o.n)
		m.fail(err)
		return truthOf(len(l) > 0)
	case ldap.FilterEqual, ldap.FilterApprox:
	default:
		return undefined
	}
	want, ok := m.target(sa, string(f.Value))
	if !ok {
		return no
	}
	if sa.Name == "distinguishedName" {
		return truthOf(o.n == want)
	}
	if sa.Link != 0 {
		space, link := sideOf(sa)
		vals, err := m.r.GetMany(m.ctx, [][]byte{linkKey(space, link, o.n, want)})
		m.fail(err)
		return truthOf(err == nil && vals[0] != nil)
	}
	for _, v := range o.get(sa.Name) {
		if toDNT(v) == want {
			return yes
		}
	}
	return no
}

// sideOf returns where the values of a linked attribute stand.
func sideOf(sa *schema.Attribute) (space byte, link int) {
	if sa.BackLink() {
		return spaceBack, sa.Link - 1
	}
	return spaceLink, sa.Link
}

// target finds the object that a filter's value names; objectCategory may be
// given by the name of a class.
func (m *matcher) target(sa *schema.Attribute, v string) (dnt, bool) {
	if n, ok := m.dns[v]; ok {
		return n, n != 0
	}
	var n dnt
	var err error
	if c := m.schema.Class(v); sa.Name == "objectCategory" && c != nil {
		n, err = m.d.findDN(m.ctx, m.r, append(ldap.DN{{{Type: "CN", Value: c.Object}}}, mustParse(m.d.Root().Schema)...), errNotFound)
	} else {
		n, err = m.d.find(m.ctx, m.r, v)
	}
	if err != nil {
		n = 0
		if !model.IsKind(err, model.KindNotFound) && !model.IsKind(err, model.KindInvalid) {
			m.fail(err) // not knowing is no answer
		}
	}
	if m.dns == nil {
		m.dns = map[string]dnt{}
	}
	m.dns[v] = n
	return n, n != 0
}

func (m *matcher) fail(err error) {
	if err != nil && m.err == nil {
		m.err = err
	}
}
