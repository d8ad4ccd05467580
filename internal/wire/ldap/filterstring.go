package ldap

import (
	"bytes"
	"strings"
	"unicode/utf8"
)

// ParseFilter reads the string form of RFC 4515. Like other servers' tools it
// also takes white space between parentheses and a filter without the outer
// ones. Depth and size are limited.
func ParseFilter(s string) (*Filter, error) {
	p := &filterParser{s: s}
	p.space()
	var f *Filter
	var err error
	if strings.HasPrefix(p.rest(), "(") {
		f, err = p.filter(0)
	} else {
		f, err = p.item(strings.TrimRight(p.rest(), " "))
		p.pos = len(s)
	}
	p.space()
	if err == nil && p.pos != len(s) {
		err = errTrailing
	}
	if err != nil {
		return nil, invalid("filter", err)
	}
	return f, nil
}

type filterParser struct {
	s     string
	pos   int
	nodes int
}

func (p *filterParser) rest() string { return p.s[p.pos:] }

func (p *filterParser) space() {
	for p.pos < len(p.s) && strings.IndexByte(" \t\r\n", p.s[p.pos]) >= 0 {
		p.pos++
	}
}

func (p *filterParser) peek() byte {
	if p.pos < len(p.s) {
		return p.s[p.pos]
	}
	return 0
}

// filter reads "(" … ")".
func (p *filterParser) filter(depth int) (*Filter, error) {
	if depth > maxFilterDepth {
		return nil, errDepth
	}
	if p.nodes++; p.nodes > maxFilterNodes {
		return nil, errCount
	}
	if p.peek() != '(' {
		return nil, errValue
	}
	p.pos++
	p.space()
	var f *Filter
	var err error
	switch p.peek() {
	case '&':
		f, err = p.list(FilterAnd, depth)
	case '|':
		f, err = p.list(FilterOr, depth)
	case '!':
		f, err = p.list(FilterNot, depth)
		if err == nil && len(f.Children) != 1 {
			err = errCount
		}
	default:
		end := strings.IndexByte(p.rest(), ')')
		if end < 0 {
			return nil, errTruncated
		}
		f, err = p.item(p.rest()[:end])
		p.pos += end
	}
	if err != nil {
		return nil, err
	}
	if p.peek() != ')' {
		return nil, errTruncated
	}
	p.pos++
	return f, nil
}

func (p *filterParser) list(kind FilterKind, depth int) (*Filter, error) {
	p.pos++
	f := &Filter{Kind: kind}
	for p.space(); p.peek() == '('; p.space() {
		c, err := p.filter(depth + 1)
		if err != nil {
			return nil, err
		}
		f.Children = append(f.Children, c)
	}
	return f, nil
}

// item reads what stands between the innermost parentheses.
func (p *filterParser) item(s string) (*Filter, error) {
	eq := strings.IndexByte(s, '=')
	if eq <= 0 {
		return nil, errValue
	}
	left, value := s[:eq], s[eq+1:]
	f := &Filter{}
	switch left[len(left)-1] {
	case '>':
		f.Kind = FilterGreaterOrEqual
	case '<':
		f.Kind = FilterLessOrEqual
	case '~':
		f.Kind = FilterApprox
	case ':':
		return extensible(left[:len(left)-1], value)
	default:
		return equality(left, value)
	}
	f.Attr = left[:len(left)-1]
	return simple(f, value)
}

// simple fills in the value of a comparison, in which "*" must be escaped.
func simple(f *Filter, value string) (*Filter, error) {
	if !validDescription(f.Attr) || strings.IndexByte(value, '*') >= 0 {
		return nil, errValue
	}
	var err error
	f.Value, err = unescape(value)
	return f, err
}

// equality reads attr=value, attr=* and attr=a*b*c.
func equality(attr, value string) (*Filter, error) {
	switch {
	case value == "*":
		if !validDescription(attr) {
			return nil, errValue
		}
		return Present(attr), nil
	case strings.IndexByte(value, '*') < 0:
		return simple(&Filter{Kind: FilterEqual, Attr: attr}, value)
	case !validDescription(attr):
		return nil, errValue
	}
	f := &Filter{Kind: FilterSubstrings, Attr: attr, Sub: &Substrings{}}
	parts := strings.Split(value, "*")
	if len(parts) > maxFilterNodes {
		return nil, errCount
	}
	for i, part := range parts {
		b, err := unescape(part)
		switch {
		case err != nil:
			return nil, err
		case len(b) == 0:
			// "a**b" is "a*b".
		case i == 0:
			f.Sub.Initial = b
		case i == len(parts)-1:
			f.Sub.Final = b
		default:
			f.Sub.Any = append(f.Sub.Any, b)
		}
	}
	if f.Sub.Initial == nil && f.Sub.Any == nil && f.Sub.Final == nil {
		return Present(attr), nil
	}
	return f, nil
}

// extensible reads [attr][:dn][:rule]:=value; left is what precedes ":=".
func extensible(left, value string) (*Filter, error) {
	f := &Filter{Kind: FilterExtensible}
	part := strings.Split(left, ":")
	f.Attr = part[0]
	part = part[1:]
	if len(part) > 0 && strings.EqualFold(part[0], "dn") {
		f.DNAttrs = true
		part = part[1:]
	}
	if len(part) == 1 && validDescription(part[0]) {
		f.Rule = part[0]
	} else if len(part) > 0 {
		return nil, errValue
	}
	if f.Attr == "" && f.Rule == "" || f.Attr != "" && !validDescription(f.Attr) {
		return nil, errValue
	}
	var err error
	f.Value, err = unescape(value)
	return f, err
}

// validDescription reports whether s looks like an attribute description or
// OID with options; the range option has a "*" or digits behind "=", which the
// string form cannot carry.
func validDescription(s string) bool {
	for i := 0; i < len(s); i++ {
		c := s[i] | 0x20
		if (c < 'a' || c > 'z') && (s[i] < '0' || s[i] > '9') && strings.IndexByte("-.;_", s[i]) < 0 {
			return false
		}
	}
	return s != ""
}

// unescape decodes \XX. Parentheses and zero bytes must be escaped; other
// bytes stand for themselves, UTF-8 or not. The result is never nil.
func unescape(s string) ([]byte, error) {
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		switch c := s[i]; c {
		case '\\':
			if i+2 >= len(s) {
				return nil, errValue
			}
			hi, lo := unhex(s[i+1]), unhex(s[i+2])
			if hi < 0 || lo < 0 {
				return nil, errValue
			}
			out = append(out, byte(hi<<4|lo))
			i += 2
		case '(', ')', 0:
			return nil, errValue
		default:
			out = append(out, c)
		}
	}
	return out, nil
}

func unhex(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c|0x20 >= 'a' && c|0x20 <= 'f':
		return int(c|0x20-'a') + 10
	}
	return -1
}

// EscapeFilter returns value as it must stand in a filter's string form.
func EscapeFilter(value string) string {
	var b strings.Builder
	escapeFilter(&b, []byte(value))
	return b.String()
}

func escapeFilter(b *strings.Builder, v []byte) {
	const hex = "0123456789abcdef"
	for len(v) > 0 {
		r, n := utf8.DecodeRune(v)
		if r == utf8.RuneError && n <= 1 || r < ' ' || r == 0x7f || bytes.IndexByte([]byte(`()*\`), v[0]) >= 0 {
			b.Write([]byte{'\\', hex[v[0]>>4], hex[v[0]&15]})
			n = 1
		} else {
			b.Write(v[:n])
		}
		v = v[n:]
	}
}

// String returns the form of RFC 4515. ParseFilter reads it back where the
// attribute descriptions are valid ones.
func (f *Filter) String() string {
	var b strings.Builder
	f.print(&b)
	return b.String()
}

func (f *Filter) print(b *strings.Builder) {
	b.WriteByte('(')
	switch f.Kind {
	case FilterAnd, FilterOr, FilterNot:
		b.WriteByte("&|!"[f.Kind])
		for _, c := range f.Children {
			c.print(b)
		}
	case FilterSubstrings:
		escapeFilter(b, []byte(f.Attr))
		b.WriteByte('=')
		escapeFilter(b, f.Sub.Initial)
		b.WriteByte('*')
		for _, a := range f.Sub.Any {
			escapeFilter(b, a)
			b.WriteByte('*')
		}
		escapeFilter(b, f.Sub.Final)
	case FilterExtensible:
		escapeFilter(b, []byte(f.Attr))
		if f.DNAttrs {
			b.WriteString(":dn")
		}
		if f.Rule != "" {
			b.WriteByte(':')
			escapeFilter(b, []byte(f.Rule))
		}
		b.WriteString(":=")
		escapeFilter(b, f.Value)
	case FilterPresent:
		escapeFilter(b, []byte(f.Attr))
		b.WriteString("=*")
	default:
		escapeFilter(b, []byte(f.Attr))
		b.WriteString(map[FilterKind]string{FilterEqual: "=", FilterGreaterOrEqual: ">=", FilterLessOrEqual: "<=", FilterApprox: "~="}[f.Kind])
		escapeFilter(b, f.Value)
	}
	b.WriteByte(')')
}
