package message

import (
	"iter"
	"strings"
)

// Header is a header block as transmitted, with or without its empty line.
// Line ends may be CRLF or LF. It is iterated in place: nothing is copied.
type Header string

// Field is one header field.
type Field struct {
	Name  string // as written, without the colon
	Value string // raw: folded, without the last newline and leading space
	Raw   string // the whole field with its newlines
}

// Is compares the field's name without case.
func (f Field) Is(name string) bool { return strings.EqualFold(f.Name, name) }

// Fields yields the fields in order. Lines that are no fields are skipped.
func (h Header) Fields() iter.Seq[Field] {
	return func(yield func(Field) bool) {
		s := string(h)
		for len(s) > 0 {
			var f Field
			var ok, end bool
			if f, s, ok, end = cutField(s); end || ok && !yield(f) {
				return
			}
		}
	}
}

// cutField takes the first field with its continuation lines off s.
func cutField(s string) (f Field, rest string, ok, end bool) {
	n := fieldEnd(s)
	raw := s[:n]
	rest = s[n:]
	name := fieldName(raw)
	if name == 0 {
		return f, rest, false, raw == "\r\n" || raw == "\n"
	}
	f.Name = strings.TrimRight(raw[:name], " \t")
	f.Raw = raw
	v := strings.TrimLeft(raw[name+1:], " \t")
	v = strings.TrimSuffix(v, "\n")
	f.Value = strings.TrimSuffix(v, "\r")
	return f, rest, true, false
}

// fieldEnd returns the length of the first field of s: up to the first newline
// that is not followed by white space.
func fieldEnd(s string) int {
	for i := 0; ; {
		j := strings.IndexByte(s[i:], '\n')
		if j < 0 {
			return len(s)
		}
		i += j + 1
		if i >= len(s) || s[i] != ' ' && s[i] != '\t' {
			return i
		}
	}
}

// fieldName returns the offset of the colon that ends a field name, 0 if line
// does not begin with one. White space before the colon is let pass (RFC 5322 4.5).
func fieldName[T string | []byte](line T) int {
	space := false
	for i := 0; i < len(line); i++ {
		switch c := line[i]; {
		case c == ':':
			return i
		case c == ' ' || c == '\t':
			if i == 0 {
				return 0
			}
			space = true
		case c < 0x21 || c == 0x7f || space:
			return 0
		}
	}
	return 0
}

// Get returns the unfolded raw value of the first field called name, "" if
// there is none.
func (h Header) Get(name string) string {
	v, _ := h.Lookup(name)
	return v
}

// Lookup returns the unfolded raw value of the first field called name.
func (h Header) Lookup(name string) (string, bool) {
	for f := range h.Fields() {
		if f.Is(name) {
			return Unfold(f.Value), true
		}
	}
	return "", false
}

// Values returns the unfolded raw values of all fields called name.
func (h Header) Values(name string) []string {
	var vs []string
	for f := range h.Fields() {
		if f.Is(name) {
			vs = append(vs, Unfold(f.Value))
		}
	}
	return vs
}

// Text returns the decoded value of the first field called name, in UTF-8.
func (h Header) Text(name string) string { return DecodeText(h.Get(name)) }

// Unfold removes the newlines of folding (RFC 5322 2.2.3) and white space at
// both ends. It returns a part of s where there is nothing to remove.
func Unfold(s string) string {
	if strings.IndexByte(s, '\n') >= 0 || strings.IndexByte(s, '\r') >= 0 {
		b := make([]byte, 0, len(s))
		for i := 0; i < len(s); i++ {
			if s[i] != '\r' && s[i] != '\n' {
				b = append(b, s[i])
			}
		}
		s = string(b)
	}
	return strings.Trim(s, " \t")
}
