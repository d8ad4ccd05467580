package content

import (
	"runtime"

	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"

	"rialto/internal/model"
)

// Codec says how octets are stored. Numbers are never used again.
type Codec uint8

// The codecs.
const (
	CodecRaw  Codec = 0
	CodecS2   Codec = 1 // of earlier releases, small streams; read only
	CodecZstd Codec = 2

	codecEnd Codec = 3
)

// codecs holds the zstd state shared by the streams of a database. It is safe
// for concurrent use; as many streams are packed at a time as there are
// processors, others wait for their turn.
type codecs struct {
	enc *zstd.Encoder
	dec *zstd.Decoder
}

func newCodecs() (*codecs, error) {
	width := min(max(runtime.GOMAXPROCS(0), 2), 8)
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(width),
		zstd.WithWindowSize(ChunkSize), zstd.WithEncoderCRC(false), zstd.WithLowerEncoderMem(true),
		zstd.WithAllLitEntropyCompression(true)) // base64 has no repetitions, but only six bits to the octet
	if err != nil {
		return nil, err
	}
	dec, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(width), zstd.WithDecoderMaxMemory(4*ChunkSize), zstd.WithDecoderLowmem(true))
	if err != nil {
		return nil, err
	}
	return &codecs{enc, dec}, nil
}

// pack appends the smallest reasonable form of raw to dst.
func (c *codecs) pack(dst, raw []byte) ([]byte, Codec) {
	start := len(dst)
	dst = c.enc.EncodeAll(raw, dst)
	if len(dst)-start >= len(raw)-len(raw)/32 {
		return append(dst[:start], raw...), CodecRaw
	}
	return dst, CodecZstd
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
