package imap

import (
	"strings"
	"time"
)

// isAtomChar reports whether c may stand in an atom (RFC 9051 9, ATOM-CHAR).
func isAtomChar(c byte) bool {
	return c > ' ' && c < 0x7f && strings.IndexByte("(){%*\"\\]", c) < 0
}

// isAStringChar adds ], which astrings may hold, and 8-bit bytes, which some
// clients send without quotes.
func isAStringChar(c byte) bool { return isAtomChar(c) || c == ']' || c >= 0x80 }

func isTagChar(c byte) bool { return isAStringChar(c) && c != '+' && c < 0x80 }

func isListChar(c byte) bool { return isAStringChar(c) || c == '%' || c == '*' }

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// run takes the longest run of bytes that ok accepts.
func (r *Reader) run(ok func(byte) bool) string {
	i := r.pos
	for i < len(r.line) && ok(r.line[i]) {
		i++
	}
	s := string(r.line[r.pos:i])
	r.pos = i
	return s
}

// Peek returns the next byte, 0 at the end of the line.
func (r *Reader) Peek() byte {
	if r.pos < len(r.line) {
		return r.line[r.pos]
	}
	return 0
}

// Byte takes c if it comes next.
func (r *Reader) Byte(c byte) bool {
	if r.pos < len(r.line) && r.line[r.pos] == c {
		r.pos++
		return true
	}
	return false
}

// SP takes a space.
func (r *Reader) SP() error {
	if !r.Byte(' ') {
		return syntax("Expected a space")
	}
	return nil
}

// End checks that the command ends here; trailing spaces are let pass. Every
// Read function ends with it.
func (r *Reader) End() error {
	for r.Byte(' ') {
	}
	if r.pos < len(r.line) {
		return syntax("Unexpected text at the end of the command")
	}
	return nil
}

// Atom reads an atom.
func (r *Reader) Atom() (string, error) {
	if s := r.run(isAtomChar); s != "" {
		return s, nil
	}
	return "", syntax("Expected an atom")
}

// Keyword reads an atom in upper case.
func (r *Reader) Keyword() (string, error) {
	s, err := r.Atom()
	return upper(s), err
}

// String reads a quoted string or a literal.
func (r *Reader) String() (string, error) {
	switch r.Peek() {
	case '"':
		return r.quoted()
	case '{', '~':
		return r.literal()
	}
	return "", syntax("Expected a string")
}

// AString reads an atom or a string.
func (r *Reader) AString() (string, error) { return r.stringOr(isAStringChar, "Expected a string") }

func (r *Reader) stringOr(ok func(byte) bool, what string) (string, error) {
	if c := r.Peek(); c == '"' || c == '{' {
		return r.String()
	}
	if s := r.run(ok); s != "" {
		return s, nil
	}
	return "", syntax(what)
}

// NString reads a string or NIL; present is false for NIL.
func (r *Reader) NString() (s string, present bool, err error) {
	if c := r.Peek(); c != '"' && c != '{' && c != '~' {
		if upper(r.run(isAtomChar)) == "NIL" {
			return "", false, nil
		}
		return "", false, syntax("Expected a string or NIL")
	}
	s, err = r.String()
	return s, err == nil, err
}

func (r *Reader) quoted() (string, error) {
	r.pos++
	start := r.pos
	var b []byte
	for ; r.pos < len(r.line); r.pos++ {
		switch r.line[r.pos] {
		case '"':
			b = append(b, r.line[start:r.pos]...)
			r.pos++
			return string(b), nil
		case '\\':
			if r.pos+1 >= len(r.line) {
				return "", syntax("Unfinished quoted string")
			}
			b = append(b, r.line[start:r.pos]...)
			r.pos++
			start = r.pos
		case 0:
			return "", syntax("NUL in a quoted string")
		}
	}
	return "", syntax("Unfinished quoted string")
}

// Number reads a number of 63 bits.
func (r *Reader) Number() (uint64, error) {
	s := r.run(isDigit)
	if s == "" || len(s) > 18 {
		return 0, syntax("Expected a number")
	}
	var n uint64
	for i := 0; i < len(s); i++ {
		n = n*10 + uint64(s[i]-'0')
	}
	return n, nil
}

// Number32 reads a number of 32 bits.
func (r *Reader) Number32() (uint32, error) {
	n, err := r.Number()
	if err == nil && n > 1<<32-1 {
		err = syntax("Number too large")
	}
	return uint32(n), err
}

// List reads ( elements separated by spaces ), calling f for each; at most 1000.
func (r *Reader) List(f func() error) error {
	if !r.Byte('(') {
		return syntax("Expected a list")
	}
	for n := 0; !r.Byte(')'); n++ {
		if n > 0 {
			if err := r.SP(); err != nil {
				return err
			}
			if r.Byte(')') { // "(a )" is sent by some
				return nil
			}
		}
		if n >= maxList {
			return syntax("List too long")
		}
		if err := f(); err != nil {
			return err
		}
	}
	return nil
}

// Flag reads a flag or keyword: \Seen, $Forwarded.
func (r *Reader) Flag() (string, error) {
	prefix := ""
	if r.Byte('\\') {
		prefix = `\`
	}
	s, err := r.Atom()
	return prefix + s, err
}

// Flags reads a flag list in parentheses.
func (r *Reader) Flags() ([]string, error) {
	var fs []string
	err := r.List(func() error {
		f, err := r.Flag()
		fs = append(fs, f)
		return err
	})
	return fs, err
}

const (
	dateLayout     = "2-Jan-2006"
	dateTimeLayout = "_2-Jan-2006 15:04:05 -0700"
)

// Date reads a date as SEARCH has it, with or without quotes; it is midnight UTC.
func (r *Reader) Date() (time.Time, error) {
	s, err := r.AString()
	if err != nil {
		return time.Time{}, err
	}
	t, err := time.Parse(dateLayout, s)
	if err != nil {
		return time.Time{}, syntax("Expected a date")
	}
	return t, nil
}

// DateTime reads a date-time as APPEND has it.
func (r *Reader) DateTime() (time.Time, error) {
	s, err := r.String()
	if err != nil {
		return time.Time{}, err
	}
	t, err := time.Parse(dateTimeLayout, s)
	if err != nil {
		if t, err = time.Parse("2-Jan-2006 15:04:05 -0700", strings.TrimLeft(s, " ")); err != nil {
			return time.Time{}, syntax("Expected a date and time")
		}
	}
	return t, nil
}
