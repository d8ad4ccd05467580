package message

import (
	"slices"
	"strconv"
	"strings"
)

// parseParams splits `value; name=value; …` (RFC 2045 5.1) and decodes RFC 2231
// continuations and charsets. value is returned as written, up to the first
// semicolon.
func parseParams(s string) (value string, ps []Param) {
	i := strings.IndexByte(s, ';')
	if i < 0 {
		return s, nil
	}
	value, s = s[:i], s[i+1:]
	extended := false
	for len(ps) < MaxParams {
		var p Param
		var ok bool
		if p, s, ok = nextParam(s); !ok {
			break
		}
		if p.Name == "" {
			continue
		}
		if strings.IndexByte(p.Name, '*') >= 0 {
			extended = true
		}
		if ps == nil {
			ps = make([]Param, 0, 2)
		}
		ps = append(ps, p)
	}
	if extended {
		ps = joinExtended(ps)
	}
	return value, ps
}

// nextParam takes one parameter off s; ok is false at the end.
func nextParam(s string) (p Param, rest string, ok bool) {
	for s = skipComments(s); s != "" && s[0] == ';'; {
		s = skipComments(s[1:])
	}
	if s == "" {
		return p, "", false
	}
	i := strings.IndexAny(s, "=;")
	if i < 0 || s[i] == ';' { // no value
		if i < 0 {
			return p, "", true
		}
		return p, s[i+1:], true
	}
	name := lower(strings.TrimRight(s[:i], " \t"))
	s = skipComments(s[i+1:])
	if s != "" && s[0] == '"' {
		p.Value, s = quotedString(s)
		if j := strings.IndexByte(s, ';'); j >= 0 {
			s = s[j+1:]
		} else {
			s = ""
		}
	} else {
		j := strings.IndexByte(s, ';')
		if j < 0 {
			j = len(s)
		}
		p.Value = unquotedValue(s[:j])
		s = s[min(j+1, len(s)):]
	}
	if strings.IndexByte(name, ' ') < 0 {
		p.Name = name
	}
	return p, s, true
}

// unquotedValue trims a value written without quotes. Some senders leave spaces
// in file names unquoted, so only a trailing comment ends it.
func unquotedValue(v string) string {
	if i := strings.Index(v, " ("); i >= 0 {
		v = v[:i]
	}
	return strings.Trim(v, " \t\r\n")
}

// quotedString reads the quoted string s begins with; a missing end quote ends
// it at the end of s.
func quotedString(s string) (value, rest string) {
	i := 1
	for i < len(s) && s[i] != '"' && s[i] != '\\' {
		i++
	}
	if i >= len(s) {
		return s[1:], ""
	}
	if s[i] == '"' {
		return s[1:i], s[i+1:]
	}
	b := append(make([]byte, 0, len(s)), s[1:i]...)
	for ; i < len(s) && s[i] != '"'; i++ {
		if s[i] == '\\' && i+1 < len(s) {
			i++
		}
		b = append(b, s[i])
	}
	return string(b), s[min(i+1, len(s)):]
}

// joinExtended puts name*0, name*1*, … and name* together (RFC 2231 3 and 4).
// An extended form wins over a plain parameter of the same name.
func joinExtended(in []Param) []Param {
	out := make([]Param, 0, len(in))
	var done []string // names whose extended form has been read
	for _, p := range in {
		base, _, ext := strings.Cut(p.Name, "*")
		at := indexParam(out, base)
		if !ext {
			if at < 0 {
				out = append(out, p)
			}
			continue
		}
		if slices.Contains(done, base) {
			continue
		}
		done = append(done, base)
		if v := extendedValue(in, base); at < 0 {
			out = append(out, Param{base, v})
		} else {
			out[at].Value = v
		}
	}
	return out
}

func indexParam(ps []Param, name string) int {
	for i := range ps {
		if ps[i].Name == name {
			return i
		}
	}
	return -1
}

// extendedValue decodes the extended parameter base.
func extendedValue(in []Param, base string) string {
	if i := indexParam(in, base+"*"); i >= 0 {
		charset, text := splitCharset(in[i].Value)
		return decodeBytes(charset, unpercent(text))
	}
	var charset string
	var b []byte
	for n := 0; n < len(in); n++ {
		name := base + "*" + strconv.Itoa(n)
		if i := indexParam(in, name+"*"); i >= 0 {
			v := in[i].Value
			if n == 0 {
				charset, v = splitCharset(v)
			}
			b = append(b, unpercent(v)...)
		} else if i := indexParam(in, name); i >= 0 {
			b = append(b, in[i].Value...)
		} else {
			break
		}
	}
	return decodeBytes(charset, b)
}

// splitCharset splits charset'language'text.
func splitCharset(v string) (charset, text string) {
	if a := strings.IndexByte(v, '\''); a >= 0 {
		if b := strings.IndexByte(v[a+1:], '\''); b >= 0 {
			return v[:a], v[a+b+2:]
		}
	}
	return "", v
}

// unpercent decodes %XX; what is no such sequence stays.
func unpercent(s string) []byte {
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			h, l := unhex(s[i+1]), unhex(s[i+2])
			if h >= 0 && l >= 0 {
				b = append(b, byte(h<<4|l))
				i += 2
				continue
			}
		}
		b = append(b, s[i])
	}
	return b
}

func unhex(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'A' && c <= 'F':
		return int(c-'A') + 10
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	}
	return -1
}

// Wire returns the parameter in ASCII as it may be sent: unchanged, or as the
// extended name*=utf-8”… of RFC 2231 4.
func (p Param) Wire() (name, value string) {
	ascii := true
	for i := 0; i < len(p.Value); i++ {
		if c := p.Value[i]; c >= 0x7f || c < ' ' {
			ascii = false
		}
	}
	if ascii {
		return p.Name, p.Value
	}
	const hex = "0123456789ABCDEF"
	b := append(make([]byte, 0, 7+3*len(p.Value)), "utf-8''"...)
	for i := 0; i < len(p.Value); i++ {
		c := p.Value[i]
		if isToken(c) && c < 0x7f && c != '*' && c != '\'' && c != '%' {
			b = append(b, c)
		} else {
			b = append(b, '%', hex[c>>4], hex[c&15])
		}
	}
	return p.Name + "*", string(b)
}
