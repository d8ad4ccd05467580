package content

import (
	"encoding/binary"
	"hash/crc32"

	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"

	"rialto/internal/model"
)

// Codec says how octets are stored.
type Codec uint8

// The codecs. s2 is quick on small streams, zstd smaller on large ones.
const (
	CodecRaw  Codec = 0
	CodecS2   Codec = 1
	CodecZstd Codec = 2
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
	b := make([]byte, 0, 64+len(h.inline)+6*len(h.chunks))
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

// codecs holds the zstd state shared by the streams of a database; both halves
// are safe for concurrent use.
type codecs struct {
	enc *zstd.Encoder
	dec *zstd.Decoder
}

func newCodecs() (*codecs, error) {
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(2),
		zstd.WithWindowSize(ChunkSize), zstd.WithEncoderCRC(false), zstd.WithLowerEncoderMem(true),
		zstd.WithAllLitEntropyCompression(true)) // base64 has no repetitions, but only six bits to the octet
	if err != nil {
		return nil, err
	}
	dec, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(2), zstd.WithDecoderMaxMemory(4*ChunkSize), zstd.WithDecoderLowmem(true))
	if err != nil {
		return nil, err
	}
	return &codecs{enc, dec}, nil
}

// pack appends the smallest reasonable form of raw to dst.
func (c *codecs) pack(dst, raw []byte, codec Codec) ([]byte, Codec) {
	start := len(dst)
	switch codec {
	case CodecS2:
		dst = append(dst, make([]byte, s2.MaxEncodedLen(len(raw)))...)
		dst = dst[:start+len(s2.Encode(dst[start:], raw))]
	case CodecZstd:
		dst = c.enc.EncodeAll(raw, dst)
	}
	if codec == CodecRaw || len(dst)-start >= len(raw)-len(raw)/32 {
		return append(dst[:start], raw...), CodecRaw
	}
	return dst, codec
}

// unpack returns the octets of a stored form, in room if that is not nil; want is
// their number, and room's.
func (c *codecs) unpack(room, stored []byte, codec Codec, want int) ([]byte, error) {
	var raw []byte
	var err error
	if room == nil && codec != CodecRaw {
		room = make([]byte, want)
	}
	switch codec {
	case CodecRaw:
		raw = stored
	case CodecS2:
		var n int
		if n, err = s2.DecodedLen(stored); err == nil && n == want {
			raw, err = s2.Decode(room, stored)
		}
	case CodecZstd:
		raw, err = c.dec.DecodeAll(stored, room[:0])
	}
	if err != nil || len(raw) != want {
		return nil, model.E("content.unpack", model.KindCorrupt, "content", err)
	}
	return raw, nil
}
