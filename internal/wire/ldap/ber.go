// Package ldap is the codec of LDAPv3 (RFC 4511): messages, controls, the
// string forms of filters (RFC 4515) and names (RFC 4514). It opens nothing
// and allocates little: what is decoded refers to the bytes of its message.
//
// Malformed input is model.KindInvalid; nothing decoded here is checked
// against a schema.
package ldap

import (
	"errors"
	"math"

	"rialto/internal/model"
)

// Universal tags used by LDAP, and the class bits of others.
const (
	TagBool        = 0x01
	TagInt         = 0x02
	TagOctets      = 0x04
	TagEnum        = 0x0a
	TagSequence    = 0x30
	TagSet         = 0x31
	Application    = 0x40
	Context        = 0x80
	Constructed    = 0x20
	tagUTF8String  = 0x0c
	tagPrintable   = 0x13
	tagIA5         = 0x16
	tagNumberMask  = 0x1f
	maxLengthBytes = 4
)

var (
	errTruncated = errors.New("element is cut short")
	errLength    = errors.New("length is not valid")
	errTag       = errors.New("unexpected tag")
	errValue     = errors.New("value is not valid")
	errTrailing  = errors.New("bytes left over")
	errDepth     = errors.New("nested too deep")
	errCount     = errors.New("too many elements")
)

func invalid(what string, err error) error {
	return model.E("ldap.decode", model.KindInvalid, what, err)
}

// Reader reads BER elements from a slice, in the subset of RFC 4511 5.1:
// definite lengths, tag numbers below 31. What it returns refers to the slice.
// Nested elements are read by further Readers, so depth is the caller's.
type Reader struct{ b []byte }

// NewReader returns a reader of b.
func NewReader(b []byte) *Reader { return &Reader{b} }

// Empty reports whether all was read.
func (r *Reader) Empty() bool { return len(r.b) == 0 }

// Peek returns the next tag, 0 at the end.
func (r *Reader) Peek() byte {
	if len(r.b) == 0 {
		return 0
	}
	return r.b[0]
}

// Next returns the next element's tag and contents.
func (r *Reader) Next() (tag byte, body []byte, err error) {
	tag, head, n, err := header(r.b)
	if err != nil {
		return 0, nil, err
	}
	if n > len(r.b)-head {
		return 0, nil, errTruncated
	}
	body = r.b[head : head+n : head+n]
	r.b = r.b[head+n:]
	return tag, body, nil
}

// header reads tag and length: n bytes follow the head.
func header(b []byte) (tag byte, head, n int, err error) {
	if len(b) < 2 {
		return 0, 0, 0, errTruncated
	}
	if tag = b[0]; tag&tagNumberMask == tagNumberMask {
		return 0, 0, 0, errTag
	}
	first := b[1]
	if first < 0x80 {
		return tag, 2, int(first), nil
	}
	k := int(first & 0x7f)
	if k == 0 || k > maxLengthBytes {
		return 0, 0, 0, errLength
	}
	if len(b) < 2+k {
		return 0, 0, 0, errTruncated
	}
	v := uint64(0)
	for _, c := range b[2 : 2+k] {
		v = v<<8 | uint64(c)
	}
	if v > math.MaxInt32 {
		return 0, 0, 0, errLength
	}
	return tag, 2 + k, int(v), nil
}

// Bytes returns the contents of the next element, which must have the tag.
func (r *Reader) Bytes(tag byte) ([]byte, error) {
	if r.Peek() != tag {
		if r.Empty() {
			return nil, errTruncated
		}
		return nil, errTag
	}
	_, b, err := r.Next()
	return b, err
}

// String is Bytes as a string.
func (r *Reader) String(tag byte) (string, error) {
	b, err := r.Bytes(tag)
	return string(b), err
}

// Seq returns a reader of the contents of the next, constructed element.
func (r *Reader) Seq(tag byte) (Reader, error) {
	b, err := r.Bytes(tag)
	return Reader{b}, err
}

// Int returns an INTEGER or ENUMERATED of at most 8 bytes.
func (r *Reader) Int(tag byte) (int64, error) {
	b, err := r.Bytes(tag)
	if err != nil {
		return 0, err
	}
	return intValue(b)
}

func intValue(b []byte) (int64, error) {
	if len(b) == 0 || len(b) > 8 {
		return 0, errValue
	}
	v := int64(int8(b[0]))
	for _, c := range b[1:] {
		v = v<<8 | int64(c)
	}
	return v, nil
}

// uint31 reads an INTEGER (0 .. maxInt) of RFC 4511.
func (r *Reader) uint31(tag byte) (int32, error) {
	b, err := r.Bytes(tag)
	if err != nil {
		return 0, err
	}
	return uint31Value(b)
}

func uint31Value(b []byte) (int32, error) {
	v, err := intValue(b)
	if err == nil && (v < 0 || v > math.MaxInt32) {
		err = errValue
	}
	return int32(v), err
}

// Bool returns a BOOLEAN.
func (r *Reader) Bool(tag byte) (bool, error) {
	b, err := r.Bytes(tag)
	if err == nil && len(b) != 1 {
		err = errValue
	}
	if err != nil {
		return false, err
	}
	return b[0] != 0, nil
}

// Writer appends BER elements with the shortest lengths.
type Writer struct{ B []byte }

// Begin starts an element whose length is not known yet; End with what it
// returned ends it. Elements nest.
func (w *Writer) Begin(tag byte) int {
	w.B = append(w.B, tag, 0)
	return len(w.B)
}

// End sets the length of the element begun at.
func (w *Writer) End(at int) {
	n := len(w.B) - at
	if n < 0x80 {
		w.B[at-1] = byte(n)
		return
	}
	k := lengthBytes(n)
	w.B = append(w.B, 0, 0, 0, 0)[:len(w.B)+k]
	copy(w.B[at+k:], w.B[at:at+n])
	w.B[at-1] = 0x80 | byte(k)
	for i := range k {
		w.B[at+i] = byte(n >> (8 * (k - 1 - i)))
	}
}

func lengthBytes(n int) int {
	k := 1
	for n > 0xff {
		n >>= 8
		k++
	}
	return k
}

func (w *Writer) head(tag byte, n int) {
	w.B = append(w.B, tag)
	if n < 0x80 {
		w.B = append(w.B, byte(n))
		return
	}
	k := lengthBytes(n)
	w.B = append(w.B, 0x80|byte(k))
	for i := k - 1; i >= 0; i-- {
		w.B = append(w.B, byte(n>>(8*i)))
	}
}

// Bytes writes a primitive element.
func (w *Writer) Bytes(tag byte, b []byte) {
	w.head(tag, len(b))
	w.B = append(w.B, b...)
}

// String writes a primitive element.
func (w *Writer) String(tag byte, s string) {
	w.head(tag, len(s))
	w.B = append(w.B, s...)
}

// Int writes an INTEGER or ENUMERATED.
func (w *Writer) Int(tag byte, v int64) {
	n := 1
	for x := v; x > 127 || x < -128; x >>= 8 {
		n++
	}
	w.head(tag, n)
	for i := n - 1; i >= 0; i-- {
		w.B = append(w.B, byte(v>>(8*i)))
	}
}

// Bool writes a BOOLEAN.
func (w *Writer) Bool(tag byte, v bool) {
	b := byte(0)
	if v {
		b = 0xff
	}
	w.B = append(w.B, tag, 1, b)
}
