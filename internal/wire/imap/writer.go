package imap

import (
	"io"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"rialto/internal/model"
)

// flushAt is the number of buffered bytes at which a Writer writes.
const flushAt = 16 << 10

// Writer writes responses. It buffers until Flush, or until 16 KB have gathered;
// the first error of the stream is kept and returned by Flush. Its methods
// append; spaces, parentheses and CRLF between values are the caller's.
type Writer struct {
	w   io.Writer
	buf []byte
	err error

	// UTF8 says that the client enabled IMAP4rev2 or UTF8=ACCEPT: quoted strings
	// may hold UTF-8, and mailbox names are not encoded.
	UTF8 bool
}

// NewWriter returns a Writer on w.
func NewWriter(w io.Writer) *Writer { return &Writer{w: w} }

// Reset makes w write to dst, as after STARTTLS; what was buffered is dropped.
func (w *Writer) Reset(dst io.Writer) { w.w, w.buf, w.err = dst, w.buf[:0], nil }

// Flush writes what is buffered and returns the first error so far.
func (w *Writer) Flush() error {
	if w.err == nil && len(w.buf) > 0 {
		_, w.err = w.w.Write(w.buf)
	}
	const keep = 64 << 10
	if cap(w.buf) > keep {
		w.buf = nil
	}
	w.buf = w.buf[:0]
	return w.err
}

// Release gives the buffer back after Flush: call it when the connection goes
// idle.
func (w *Writer) Release() {
	if len(w.buf) == 0 {
		w.buf = nil
	}
}

// Err returns the first error of the stream so far.
func (w *Writer) Err() error { return w.err }

func (w *Writer) spill() {
	if len(w.buf) >= flushAt && w.err == nil {
		_, w.err = w.w.Write(w.buf)
		w.buf = w.buf[:0]
	} else if w.err != nil {
		w.buf = w.buf[:0]
	}
}

// Raw appends s as it is: keywords, spaces, parentheses.
func (w *Writer) Raw(s string) { w.buf = append(w.buf, s...) }

// Byte appends one byte.
func (w *Writer) Byte(c byte) { w.buf = append(w.buf, c) }

// SP appends a space.
func (w *Writer) SP() { w.buf = append(w.buf, ' ') }

// CRLF ends a line.
func (w *Writer) CRLF() {
	w.buf = append(w.buf, "\r\n"...)
	w.spill()
}

// Number appends a decimal number.
func (w *Writer) Number(n uint64) { w.buf = strconv.AppendUint(w.buf, n, 10) }

// Nil appends NIL.
func (w *Writer) Nil() { w.buf = append(w.buf, "NIL"...) }

// String appends s as a quoted string, or as a literal where it holds what
// quotes may not: newlines, NUL, 8-bit bytes (but UTF-8 after ENABLE), or more
// than 1000 bytes.
func (w *Writer) String(s string) {
	if w.quotable(s) {
		w.buf = appendQuoted(w.buf, s)
		return
	}
	w.LiteralHeader(int64(len(s)))
	w.buf = append(w.buf, s...)
	w.spill()
}

// NString appends s as String does, or NIL where it is absent.
func (w *Writer) NString(s string, present bool) {
	if !present {
		w.Nil()
		return
	}
	w.String(s)
}

func (w *Writer) quotable(s string) bool {
	const maxQuoted = 1000
	if len(s) > maxQuoted {
		return false
	}
	high := false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == 0 || c == '\r' || c == '\n':
			return false
		case c >= 0x80:
			high = true
		}
	}
	return !high || w.UTF8 && utf8.ValidString(s)
}

func appendQuoted(b []byte, s string) []byte {
	b = append(b, '"')
	for i := 0; i < len(s); i++ {
		if s[i] == '"' || s[i] == '\\' {
			b = append(b, '\\')
		}
		b = append(b, s[i])
	}
	return append(b, '"')
}

// appendAString appends an atom, or a quoted string.
func appendAString(b []byte, s string) []byte {
	if isAtom(s) && upper(s) != "NIL" {
		return append(b, s...)
	}
	return appendQuoted(b, s)
}

func isAtom(s string) bool {
	for i := 0; i < len(s); i++ {
		if !isAtomChar(s[i]) {
			return false
		}
	}
	return s != ""
}

// AString appends s as an atom where that is possible, else as String.
func (w *Writer) AString(s string) {
	if isAtom(s) && upper(s) != "NIL" {
		w.buf = append(w.buf, s...)
		return
	}
	w.String(s)
}

// Mailbox appends a mailbox name, in modified UTF-7 unless UTF8 is set.
func (w *Writer) Mailbox(name string) {
	if !w.UTF8 {
		name = EncodeUTF7(name)
	}
	w.AString(name)
}

// Flags appends a flag list in parentheses. What is no flag is left out.
func (w *Writer) Flags(flags []string) {
	w.buf = append(w.buf, '(')
	n := 0
	for _, f := range flags {
		if atom := strings.TrimPrefix(f, `\`); !isAtom(atom) && f != `\*` {
			continue
		}
		if n++; n > 1 {
			w.buf = append(w.buf, ' ')
		}
		w.buf = append(w.buf, f...)
	}
	w.buf = append(w.buf, ')')
}

// DateTime appends t as a quoted date-time in its own zone.
func (w *Writer) DateTime(t time.Time) {
	w.buf = append(w.buf, '"')
	w.buf = t.AppendFormat(w.buf, "02-Jan-2006 15:04:05 -0700")
	w.buf = append(w.buf, '"')
}

// SeqSet appends a sequence-set.
func (w *Writer) SeqSet(s SeqSet) { w.buf = s.Append(w.buf) }

// Label appends the name of a FETCH data item as the client asked for it.
func (w *Writer) Label(it FetchItem) { w.buf = it.AppendLabel(w.buf) }

// LiteralHeader appends {n} and CRLF; n bytes must follow by Write.
func (w *Writer) LiteralHeader(n int64) {
	w.buf = append(w.buf, '{')
	w.buf = strconv.AppendInt(w.buf, n, 10)
	w.buf = append(w.buf, "}\r\n"...)
}

// Write appends bytes of a literal. Large ones go straight to the stream.
func (w *Writer) Write(b []byte) (int, error) {
	n := len(b)
	if len(w.buf)+len(b) >= flushAt {
		if w.err == nil && len(w.buf) > 0 {
			_, w.err = w.w.Write(w.buf)
		}
		w.buf = w.buf[:0]
		if w.err == nil && len(b) >= flushAt/2 {
			_, w.err = w.w.Write(b)
			b = nil
		}
	}
	w.buf = append(w.buf, b...)
	return n, w.err
}

// Literal appends a literal of n bytes from r. A reader that ends early or
// fails breaks the stream, since the client has been told n: the connection must
// be closed then.
func (w *Writer) Literal(r io.Reader, n int64) error {
	w.LiteralHeader(n)
	got, err := io.Copy(w, io.LimitReader(r, n))
	if err == nil && got < n {
		err = io.ErrUnexpectedEOF
	}
	if err != nil && w.err == nil {
		w.err = model.E("imap.write", model.KindCorrupt, "literal", err)
	}
	return w.err
}

// Status writes a whole status response: tag ("*" if untagged, "+" to go on),
// condition (OK, NO, BAD, BYE, PREAUTH, "" with +), response code without
// brackets or "", and text for people, from which control characters are removed.
func (w *Writer) Status(tag, cond, code, text string) {
	w.buf = append(w.buf, tag...)
	if cond != "" {
		w.buf = append(append(w.buf, ' '), cond...)
	}
	w.buf = append(w.buf, ' ')
	if code != "" {
		w.buf = append(append(append(w.buf, '['), code...), "] "...)
	}
	for _, c := range text {
		switch {
		case c < ' ' || c == 0x7f:
			w.buf = append(w.buf, ' ')
		case c >= 0x80 && !w.UTF8:
			w.buf = append(w.buf, '?')
		default:
			w.buf = utf8.AppendRune(w.buf, c)
		}
	}
	if text == "" {
		w.buf = append(w.buf, "Done"...)
	}
	w.CRLF()
}
