package message

import "io"

// NewTransferReader undoes a Content-Transfer-Encoding (RFC 2045 6). Unknown
// encodings pass bytes through. Broken input is decoded as far as it makes sense.
func NewTransferReader(encoding string, r io.Reader) io.Reader {
	if f := transferFilter(encoding); f != nil {
		return newFilterReader(r, f)
	}
	return r
}

func transferFilter(encoding string) filter {
	switch lower(encoding) {
	case "base64":
		return &base64Filter{}
	case "quoted-printable":
		return &qpFilter{}
	}
	return nil
}

// base64Filter skips what is not of the alphabet. Padding ends a group, not the
// text: some mailers join encoded pieces.
type base64Filter struct {
	acc  uint32
	bits int
}

func (d *base64Filter) feed(dst, src []byte) []byte {
	for _, c := range src {
		v := base64Value(c)
		if v < 0 {
			if c == '=' {
				d.acc, d.bits = 0, 0
			}
			continue
		}
		d.acc = d.acc<<6 | uint32(v)
		if d.bits += 6; d.bits >= 8 {
			d.bits -= 8
			dst = append(dst, byte(d.acc>>d.bits))
		}
	}
	return dst
}

func (d *base64Filter) finish(dst []byte) []byte { return dst }

func base64Value(c byte) int {
	switch {
	case c >= 'A' && c <= 'Z':
		return int(c - 'A')
	case c >= 'a' && c <= 'z':
		return int(c-'a') + 26
	case c >= '0' && c <= '9':
		return int(c-'0') + 52
	case c == '+':
		return 62
	case c == '/':
		return 63
	}
	return -1
}

// qpFilter decodes quoted-printable. White space before a newline is dropped
// (RFC 2045 6.7 rule 3); an = that starts nothing valid stands for itself.
type qpFilter struct {
	space []byte // white space that may end the line
	esc   []byte // an = and what followed it
}

func (q *qpFilter) feed(dst, src []byte) []byte {
	for _, c := range src {
		if len(q.esc) > 0 {
			var again bool
			if dst, again = q.escape(dst, c); !again {
				continue
			}
		}
		switch c {
		case '=':
			dst = append(dst, q.space...)
			q.space = q.space[:0]
			q.esc = append(q.esc[:0], c)
		case ' ', '\t':
			if len(q.space) >= 1000 {
				dst = append(dst, q.space...)
				q.space = q.space[:0]
			}
			q.space = append(q.space, c)
		case '\r', '\n':
			q.space = q.space[:0]
			dst = append(dst, c)
		default:
			dst = append(dst, q.space...)
			q.space = q.space[:0]
			dst = append(dst, c)
		}
	}
	return dst
}

// escape takes a byte after =; again asks for the byte to be read as text.
func (q *qpFilter) escape(dst []byte, c byte) (out []byte, again bool) {
	switch n := len(q.esc); {
	case c == '\n': // soft line break
		q.esc = q.esc[:0]
		return dst, false
	case (c == '\r' || c == ' ' || c == '\t') && (n == 1 || q.esc[n-1] <= ' ') && n < 100:
		q.esc = append(q.esc, c)
		return dst, false
	case n == 1 && unhex(c) >= 0:
		q.esc = append(q.esc, c)
		return dst, false
	case n == 2 && unhex(q.esc[1]) >= 0 && unhex(c) >= 0:
		dst = append(dst, byte(unhex(q.esc[1])<<4|unhex(c)))
		q.esc = q.esc[:0]
		return dst, false
	}
	dst = append(dst, q.esc...)
	q.esc = q.esc[:0]
	return dst, true
}

func (q *qpFilter) finish(dst []byte) []byte {
	if len(q.esc) > 1 {
		dst = append(dst, q.esc...)
	}
	q.esc, q.space = q.esc[:0], q.space[:0]
	return dst
}
