package message

import (
	"encoding/binary"
	"io"
	"unicode/utf8"
)

// filter turns bytes into others as they come. feed appends what src yields to
// dst; finish appends what was held back. Neither fails.
type filter interface {
	feed(dst, src []byte) []byte
	finish(dst []byte) []byte
}

// filterReader is a filter as an io.Reader.
type filterReader struct {
	r   io.Reader
	f   filter
	in  []byte
	out []byte
	pos int
	err error
}

func newFilterReader(r io.Reader, f filter) io.Reader {
	return &filterReader{r: r, f: f, in: make([]byte, 4<<10)}
}

func (fr *filterReader) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	for fr.pos == len(fr.out) {
		if fr.err != nil {
			return 0, fr.err
		}
		var n int
		n, fr.err = fr.r.Read(fr.in)
		fr.out, fr.pos = fr.f.feed(fr.out[:0], fr.in[:n]), 0
		if fr.err == io.EOF {
			fr.out = fr.f.finish(fr.out)
		}
	}
	n := copy(b, fr.out[fr.pos:])
	fr.pos += n
	return n, nil
}

// utf8Filter replaces invalid bytes by U+FFFD.
type utf8Filter struct{ held []byte }

func (u *utf8Filter) feed(dst, src []byte) []byte {
	if len(u.held) > 0 {
		src = append(u.held, src...)
		u.held = nil
	}
	for len(src) > 0 {
		if n := asciiPrefix(src); n > 0 {
			dst, src = append(dst, src[:n]...), src[n:]
			continue
		}
		if !utf8.FullRune(src) {
			u.held = append([]byte(nil), src...)
			break
		}
		r, n := utf8.DecodeRune(src)
		dst, src = utf8.AppendRune(dst, r), src[n:]
	}
	return dst
}

// asciiPrefix is how many octets of b are ASCII, up to the first that is not.
func asciiPrefix(b []byte) int {
	n := 0
	for len(b)-n >= 8 && binary.LittleEndian.Uint64(b[n:])&0x8080808080808080 == 0 {
		n += 8
	}
	for n < len(b) && b[n] < utf8.RuneSelf {
		n++
	}
	return n
}

func (u *utf8Filter) finish(dst []byte) []byte {
	for range u.held {
		dst = utf8.AppendRune(dst, utf8.RuneError)
	}
	u.held = nil
	return dst
}

// utf7Filter decodes UTF-7 (RFC 2152).
type utf7Filter struct {
	in    bool // within +…-
	first bool // just after the +
	acc   uint32
	bits  int
	high  rune // a high surrogate waiting for its other half
}

func (u *utf7Filter) feed(dst, src []byte) []byte {
	for _, c := range src {
		if !u.in {
			switch {
			case c == '+':
				*u = utf7Filter{in: true, first: true}
			case c < utf8.RuneSelf:
				dst = append(dst, c)
			default:
				dst = utf8.AppendRune(dst, utf8.RuneError)
			}
			continue
		}
		v := base64Value(c)
		if v < 0 {
			if c == '-' && u.first {
				dst = append(dst, '+')
			}
			u.in = false
			if c != '-' {
				dst = append(dst, c&0x7f)
			}
			continue
		}
		u.first = false
		u.acc = u.acc<<6 | uint32(v)
		if u.bits += 6; u.bits >= 16 {
			u.bits -= 16
			dst = u.unit(dst, rune(u.acc>>u.bits&0xffff))
		}
	}
	return dst
}

// unit takes one UTF-16 code unit.
func (u *utf7Filter) unit(dst []byte, c rune) []byte {
	high := u.high
	u.high = 0
	switch {
	case c >= 0xd800 && c < 0xdc00:
		u.high = c
		return dst
	case c >= 0xdc00 && c < 0xe000 && high != 0:
		c = (high-0xd800)<<10 + (c - 0xdc00) + 0x10000
	}
	return utf8.AppendRune(dst, c) // a lone half becomes U+FFFD
}

func (u *utf7Filter) finish(dst []byte) []byte { return dst }
