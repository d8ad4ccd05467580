package content

import (
	_ "embed"
	"runtime"
	"strings"

	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"

	"rialto/internal/model"
)

// Codec says how octets are stored. Numbers are never used again.
type Codec uint8

// The codecs. A change of the dictionary is a new codec beside the others.
const (
	CodecRaw   Codec = 0
	CodecS2    Codec = 1 // of earlier releases, small streams; read only
	CodecZstd  Codec = 2
	CodecMail1 Codec = 3 // zstd after dictionary 1, for small streams

	codecEnd Codec = 4
)

// dictionary1 is what is common in mail: words of several languages, phrases,
// HTML, names of header fields. The most frequent is at the end, where references
// to it are shortest. It was written, not derived from mail. It must never
// change: streams of CodecMail1 can not be read without it.
//
//go:embed dictionary1.txt
var dictionary1 string

// codecs holds the zstd state shared by the streams of a database. It is safe
// for concurrent use; as many streams are packed at a time as there are
// processors, others wait for their turn.
type codecs struct {
	enc  *zstd.Encoder
	mail *zstd.Encoder // with dictionary 1
	dec  *zstd.Decoder
}

func newCodecs() (*codecs, error) {
	width := min(max(runtime.GOMAXPROCS(0), 2), 8)
	opts := []zstd.EOption{zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(width),
		zstd.WithWindowSize(ChunkSize), zstd.WithEncoderCRC(false), zstd.WithLowerEncoderMem(true),
		zstd.WithAllLitEntropyCompression(true)} // base64 has no repetitions, but only six bits to the octet
	enc, err := zstd.NewWriter(nil, opts...)
	if err != nil {
		return nil, err
	}
	dict := []byte(strings.ReplaceAll(dictionary1, "\n", "\r\n"))
	mail, err := zstd.NewWriter(nil, append(opts, zstd.WithEncoderDictRaw(1, dict))...)
	if err != nil {
		return nil, err
	}
	dec, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(width), zstd.WithDecoderMaxMemory(4*ChunkSize),
		zstd.WithDecoderLowmem(true), zstd.WithDecoderDictRaw(1, dict))
	if err != nil {
		return nil, err
	}
	return &codecs{enc, mail, dec}, nil
}

// dictionaryMax is the size up to which the dictionary is used. It costs 15 µs of
// packing and, at 4 KB, 10 µs of unpacking; larger streams do well without it.
const dictionaryMax = 6 << 10

// inlineCodec returns the codec for a small stream.
func inlineCodec(raw []byte) Codec {
	if len(raw) > dictionaryMax || !looksLikeText(raw) {
		return CodecZstd
	}
	return CodecMail1
}

// looksLikeText samples whether there are spaces, at least one for 32 octets:
// then the words of the dictionary may occur.
func looksLikeText(raw []byte) bool {
	spaces, seen := 0, 0
	for i := 0; i < len(raw); i += 1 + len(raw)/512 {
		seen++
		if raw[i] == ' ' {
			spaces++
		}
	}
	return 32*spaces >= seen
}

// pack appends the smallest reasonable form of raw to dst.
func (c *codecs) pack(dst, raw []byte, codec Codec) ([]byte, Codec) {
	start := len(dst)
	switch codec {
	case CodecZstd:
		dst = c.enc.EncodeAll(raw, dst)
	case CodecMail1:
		dst = c.mail.EncodeAll(raw, dst)
	default:
		return append(dst, raw...), CodecRaw
	}
	if len(dst)-start >= len(raw)-len(raw)/32 {
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
	case CodecZstd, CodecMail1:
		raw, err = c.dec.DecodeAll(stored, room[:0])
	}
	if err != nil || len(raw) != want {
		return nil, model.E("content.unpack", model.KindCorrupt, "content", err)
	}
	return raw, nil
}
