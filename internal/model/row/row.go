// Package row reads stored rows: values are taken off the front of a slice, and
// damage is noticed once, at the end. Writers use encoding/binary's Append
// functions and AppendText.
package row

import (
	"encoding/binary"

	"rialto/internal/model"
)

// Reader takes values off the front of a row. After the first that is not there
// Bad is set, and stays set; everything read from then on is zero.
type Reader struct {
	B   []byte // what is left
	Bad bool
}

// Take returns the next n octets, which belong to the row.
func (r *Reader) Take(n int) []byte {
	if r.Bad || n < 0 || n > len(r.B) {
		r.Bad, r.B = true, nil
		return nil
	}
	x := r.B[:n:n]
	r.B = r.B[n:]
	return x
}

// Byte returns the next octet.
func (r *Reader) Byte() byte {
	if len(r.B) == 0 {
		r.Bad = true
		return 0
	}
	c := r.B[0]
	r.B = r.B[1:]
	return c
}

// Uint16 returns the next two octets as a big endian number.
func (r *Reader) Uint16() uint16 {
	if x := r.Take(2); x != nil {
		return binary.BigEndian.Uint16(x)
	}
	return 0
}

// Uint32 returns the next four octets as a big endian number.
func (r *Reader) Uint32() uint32 {
	if x := r.Take(4); x != nil {
		return binary.BigEndian.Uint32(x)
	}
	return 0
}

// Uint64 returns the next eight octets as a big endian number.
func (r *Reader) Uint64() uint64 {
	if x := r.Take(8); x != nil {
		return binary.BigEndian.Uint64(x)
	}
	return 0
}

// Uvarint returns the next unsigned varint.
func (r *Reader) Uvarint() uint64 {
	if len(r.B) > 0 && r.B[0] < 0x80 {
		v := r.B[0]
		r.B = r.B[1:]
		return uint64(v)
	}
	v, n := binary.Uvarint(r.B)
	if n <= 0 {
		r.Bad, r.B = true, nil
		return 0
	}
	r.B = r.B[n:]
	return v
}

// Varint returns the next signed varint.
func (r *Reader) Varint() int64 {
	v, n := binary.Varint(r.B)
	if n <= 0 {
		r.Bad, r.B = true, nil
		return 0
	}
	r.B = r.B[n:]
	return v
}

// Count returns the next uvarint as a number of things that take at least one
// octet each, so that a damaged row can not ask for memory it does not have.
func (r *Reader) Count() int {
	n := r.Uvarint()
	if n > uint64(len(r.B)) {
		r.Bad, r.B = true, nil
		return 0
	}
	return int(n)
}

// Bytes returns octets preceded by their number; they belong to the row.
func (r *Reader) Bytes() []byte { return r.Take(r.Count()) }

// Text returns a text preceded by its length, copied.
func (r *Reader) Text() string { return string(r.Bytes()) }

// GUID returns the next sixteen octets.
func (r *Reader) GUID() (g model.GUID) {
	copy(g[:], r.Take(len(g)))
	return g
}

// Done reports whether everything was there and nothing is left.
func (r *Reader) Done() bool { return !r.Bad && len(r.B) == 0 }

// AppendText appends the length of s and s.
func AppendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}
