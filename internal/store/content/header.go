package content

import (
	"encoding/binary"
	"hash/crc32"

	"rialto/internal/model"
)

// header is the row of a stream.
//
//	version 1 · kind 1 · size uvarint · hash 32 · then by kind
//	inline:   codec 1 · checksum 4 · stored octets
//	segments: count uvarint · per chunk: segment, offset, stored length (uvarints,
//	          segment and offset as differences to where the last chunk ended)
//	rows:     count uvarint
type header struct {
	kind   byte
	size   int64
	hash   [32]byte
	codec  Codec
	sum    uint32
	inline []byte
	chunks []location
	rows   int
}

const (
	headerVersion = 1
	kindInline    = 1
	kindSegments  = 2
	kindRows      = 3
)

// location is one record of a segment.
type location struct {
	segment uint64
	offset  int64
	length  int64 // of the record
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func (h *header) encode() []byte {
	b := make([]byte, 0, 50+len(h.inline)+6*len(h.chunks))
	b = append(b, headerVersion, h.kind)
	b = binary.AppendUvarint(b, uint64(h.size))
	b = append(b, h.hash[:]...)
	switch h.kind {
	case kindInline:
		b = append(b, byte(h.codec))
		b = binary.BigEndian.AppendUint32(b, h.sum)
		b = append(b, h.inline...)
	case kindSegments:
		b = binary.AppendUvarint(b, uint64(len(h.chunks)))
		var last location
		for _, c := range h.chunks {
			b = binary.AppendVarint(b, int64(c.segment-last.segment))
			b = binary.AppendVarint(b, c.offset-(last.offset+last.length))
			b = binary.AppendUvarint(b, uint64(c.length))
			last = c
		}
	case kindRows:
		b = binary.AppendUvarint(b, uint64(h.rows))
	}
	return b
}

func decodeHeader(b []byte) (*header, error) {
	bad := model.E("content.header", model.KindCorrupt, "content header", nil)
	if len(b) < 2 || b[0] != headerVersion {
		return nil, bad
	}
	h := &header{kind: b[1]}
	d := b[2:]
	uv := func() uint64 {
		v, n := binary.Uvarint(d)
		if n <= 0 {
			d = nil
			return 1 << 62
		}
		d = d[n:]
		return v
	}
	v := func() int64 {
		v, n := binary.Varint(d)
		if n <= 0 {
			d = nil
			return 1 << 62
		}
		d = d[n:]
		return v
	}
	h.size = int64(uv())
	if h.size < 0 || h.size >= 1<<62 || len(d) < 32 {
		return nil, bad
	}
	copy(h.hash[:], d)
	d = d[32:]
	switch h.kind {
	case kindInline:
		if len(d) < 5 || h.size > ChunkSize {
			return nil, bad
		}
		h.codec, h.sum, h.inline = Codec(d[0]), binary.BigEndian.Uint32(d[1:]), d[5:]
		return h, nil
	case kindRows:
		n := uv()
		if n > uint64(h.size/ChunkSize+1) {
			return nil, bad
		}
		h.rows = int(n)
		return h, nil
	case kindSegments:
		n := uv()
		if n > uint64(h.size/ChunkSize+1) || n > uint64(len(d)) {
			return nil, bad
		}
		h.chunks = make([]location, 0, n)
		var last location
		for i := uint64(0); i < n; i++ {
			c := location{segment: last.segment + uint64(v()), offset: last.offset + last.length + v(), length: int64(uv())}
			if c.offset < 0 || c.length <= recordHeader || c.length > maxRecord {
				return nil, bad
			}
			h.chunks = append(h.chunks, c)
			last = c
		}
		return h, nil
	}
	return nil, bad
}
