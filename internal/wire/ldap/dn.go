package ldap

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// Limits of a name in string form.
const (
	maxDNLength = 16 << 10
	maxRDNs     = 256
)

// DN is a distinguished name, the entry's own RDN first. The empty DN is the
// root DSE's.
type DN []RDN

// RDN is one component of a name, of one or more attribute values.
type RDN []AVA

// AVA is an attribute type and its value, decoded.
type AVA struct{ Type, Value string }

// ParseDN reads the string form of RFC 4514, and what RFC 2253 wants accepted
// from older programs: spaces around separators, ";" between components and
// quoted values.
func ParseDN(s string) (DN, error) {
	if len(s) > maxDNLength {
		return nil, invalid("name", errLength)
	}
	p := &dnParser{s: s}
	p.space()
	if p.pos == len(s) {
		return DN{}, nil
	}
	var dn DN
	for rdn := (RDN)(nil); ; {
		ava, err := p.ava()
		if err != nil {
			return nil, invalid("name", err)
		}
		rdn = append(rdn, ava)
		p.space()
		if p.pos < len(s) && s[p.pos] == '+' {
			p.pos++
			continue
		}
		dn = append(dn, rdn)
		rdn = nil
		switch {
		case len(dn) > maxRDNs:
			return nil, invalid("name", errCount)
		case p.pos == len(s):
			return dn, nil
		case s[p.pos] != ',' && s[p.pos] != ';':
			return nil, invalid("name", errValue)
		}
		p.pos++
	}
}

type dnParser struct {
	s   string
	pos int
}

func (p *dnParser) space() {
	for p.pos < len(p.s) && strings.IndexByte(" \r\n", p.s[p.pos]) >= 0 {
		p.pos++
	}
}

func (p *dnParser) ava() (a AVA, err error) {
	eq := strings.IndexByte(p.s[p.pos:], '=')
	if eq < 0 {
		return a, errTruncated
	}
	a.Type = strings.Trim(p.s[p.pos:p.pos+eq], " \r\n")
	if len(a.Type) > 4 && strings.EqualFold(a.Type[:4], "OID.") {
		a.Type = a.Type[4:]
	}
	if !validDescription(a.Type) || strings.IndexByte(a.Type, ';') >= 0 {
		return a, errValue
	}
	p.pos += eq + 1
	p.space()
	switch {
	case p.pos < len(p.s) && p.s[p.pos] == '#':
		a.Value, err = p.hexValue()
	case p.pos < len(p.s) && p.s[p.pos] == '"':
		a.Value, err = p.quoted()
	default:
		a.Value, err = p.value()
	}
	return a, err
}

// value reads up to an unescaped separator; unescaped trailing spaces do not
// count.
func (p *dnParser) value() (string, error) {
	var b strings.Builder
	keep := 0 // length without trailing spaces
	for p.pos < len(p.s) {
		switch c := p.s[p.pos]; c {
		case ',', ';', '+':
			return b.String()[:keep], nil
		case '"', 0, '<', '>':
			return "", errValue
		case '\\':
			if err := p.escape(&b); err != nil {
				return "", err
			}
			keep = b.Len()
		default:
			p.pos++
			b.WriteByte(c)
			if c != ' ' && c != '\r' && c != '\n' {
				keep = b.Len()
			}
		}
	}
	return b.String()[:keep], nil
}

// escape reads a backslash and what belongs to it: two hexadecimal digits, or
// one special character.
func (p *dnParser) escape(b *strings.Builder) error {
	rest := p.s[p.pos+1:]
	switch {
	case len(rest) >= 2 && unhex(rest[0]) >= 0 && unhex(rest[1]) >= 0:
		b.WriteByte(byte(unhex(rest[0])<<4 | unhex(rest[1])))
		p.pos += 3
	case rest != "" && strings.IndexByte(` "#+,;<=>\/`, rest[0]) >= 0:
		b.WriteByte(rest[0])
		p.pos += 2
	default:
		return errValue
	}
	return nil
}

func (p *dnParser) quoted() (string, error) {
	var b strings.Builder
	for p.pos++; p.pos < len(p.s); {
		switch c := p.s[p.pos]; c {
		case '"':
			p.pos++
			return b.String(), nil
		case '\\':
			if err := p.escape(&b); err != nil {
				return "", err
			}
		default:
			b.WriteByte(c)
			p.pos++
		}
	}
	return "", errTruncated
}

// hexValue reads "#" and the BER encoding of a string.
func (p *dnParser) hexValue() (string, error) {
	var ber []byte
	for p.pos++; p.pos+1 < len(p.s); p.pos += 2 {
		hi, lo := unhex(p.s[p.pos]), unhex(p.s[p.pos+1])
		if hi < 0 || lo < 0 {
			break
		}
		ber = append(ber, byte(hi<<4|lo))
	}
	r := Reader{ber}
	tag, body, err := r.Next()
	if err != nil || !r.Empty() {
		return "", errValue
	}
	switch tag {
	case TagOctets, tagUTF8String, tagPrintable, tagIA5:
		return string(body), nil
	}
	return "", errTag
}

// EscapeDN returns value as it must stand in a name (RFC 4514 2.4).
func EscapeDN(value string) string {
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	for i := 0; i < len(value); {
		r, n := utf8.DecodeRuneInString(value[i:])
		c := value[i]
		switch {
		case strings.IndexByte(`"+,;<>\`, c) >= 0,
			c == ' ' && (i == 0 || i == len(value)-1), c == '#' && i == 0:
			b.WriteByte('\\')
			b.WriteByte(c)
		case r == utf8.RuneError && n <= 1, c < ' ', c == 0x7f:
			b.Write([]byte{'\\', hex[c>>4], hex[c&15]})
			n = 1
		default:
			b.WriteString(value[i : i+n])
		}
		i += n
	}
	return b.String()
}

// String returns the form of RFC 4514.
func (d DN) String() string {
	var b strings.Builder
	for i, r := range d {
		if i > 0 {
			b.WriteByte(',')
		}
		r.print(&b)
	}
	return b.String()
}

// String returns the form of RFC 4514.
func (r RDN) String() string {
	var b strings.Builder
	r.print(&b)
	return b.String()
}

func (r RDN) print(b *strings.Builder) {
	for j, a := range r {
		if j > 0 {
			b.WriteByte('+')
		}
		b.WriteString(a.Type + "=" + EscapeDN(a.Value))
	}
}

// Normalize returns the name for comparison, as the directory does it: types
// and values in lower case, runs of spaces as one, none at the ends, the values
// of an RDN sorted, and the OIDs of RFC 4514 replaced by their names.
func (d DN) Normalize() DN {
	out := make(DN, len(d))
	for i, r := range d {
		out[i] = make(RDN, len(r))
		for j, a := range r {
			t := strings.ToLower(a.Type)
			if name := shortName(t); name != "" {
				t = name
			}
			out[i][j] = AVA{t, strings.Join(strings.FieldsFunc(strings.ToLower(a.Value), func(r rune) bool { return r == ' ' }), " ")}
		}
		slices.SortFunc(out[i], func(a, b AVA) int {
			if c := strings.Compare(a.Type, b.Type); c != 0 {
				return c
			}
			return strings.Compare(a.Value, b.Value)
		})
	}
	return out
}

// shortName maps the types of RFC 4514 3 to their names.
func shortName(t string) string {
	switch t {
	case "2.5.4.3", "commonname":
		return "cn"
	case "2.5.4.7", "localityname":
		return "l"
	case "2.5.4.8":
		return "st"
	case "2.5.4.10", "organizationname":
		return "o"
	case "2.5.4.11", "organizationalunitname":
		return "ou"
	case "2.5.4.6", "countryname":
		return "c"
	case "2.5.4.9":
		return "street"
	case "0.9.2342.19200300.100.1.25", "domaincomponent":
		return "dc"
	case "0.9.2342.19200300.100.1.1", "userid":
		return "uid"
	}
	return ""
}

// Key is the normalized name as a string: equal names have equal keys.
func (d DN) Key() string { return d.Normalize().String() }

// Equal reports whether both name the same entry.
func (d DN) Equal(o DN) bool { return len(d) == len(o) && d.Key() == o.Key() }

// Parent returns the name without its first component; the root's is itself.
func (d DN) Parent() DN {
	if len(d) == 0 {
		return d
	}
	return d[1:]
}

// Under reports whether d is below base, or base itself.
func (d DN) Under(base DN) bool {
	return len(d) >= len(base) && d[len(d)-len(base):].Equal(base)
}

// Child returns the name of an entry below d.
func (d DN) Child(attr, value string) DN {
	return append(DN{{{attr, value}}}, d...)
}
