package content

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"hash/crc32"
	"strings"
	"testing"

	"github.com/klauspost/compress/s2"

	"rialto/internal/kv"
	"rialto/internal/kv/memory"
	"rialto/internal/model"
)

// letter is a message of n octets without much repetition.
func letter(n int) []byte {
	b := []byte("From: Anna <anna@x.test>\r\nSubject: Report\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n")
	for i := uint32(1); len(b) < n; i++ {
		b = fmt.Appendf(b, "The %d offers of week %x were received with thanks. ", i*2654435761>>20, i*40503)
	}
	return b[:n]
}

func TestCodecs(t *testing.T) {
	c, err := newCodecs()
	if err != nil {
		t.Fatal(err)
	}
	base := []byte(base64.StdEncoding.EncodeToString(noise(2, 8000)))
	for _, x := range []struct {
		what  string
		raw   []byte
		codec Codec
		most  float64 // octets stored for each
	}{
		{"empty", nil, CodecRaw, 0}, {"noise", noise(1, 4000), CodecRaw, 1}, {"one", []byte(" "), CodecRaw, 1},
		{"short mail", letter(700), CodecZstd, 0.62}, {"mail", letter(5000), CodecZstd, 0.45}, {"larger mail", letter(16000), CodecZstd, 0.40},
		{"base64", base[:4000], CodecZstd, 0.78}, {"long base64", base, CodecZstd, 0.78},
	} {
		room := []byte("before")
		out, codec := c.pack(room, x.raw)
		stored := out[len(room):]
		if codec != x.codec || !bytes.HasPrefix(out, room) || float64(len(stored)) > x.most*float64(len(x.raw)) {
			t.Errorf("%s: codec %d, %d octets of %d", x.what, codec, len(stored), len(x.raw))
		}
		for _, into := range [][]byte{nil, make([]byte, len(x.raw))} {
			if got, err := c.unpack(into, stored, codec, len(x.raw)); err != nil || !bytes.Equal(got, x.raw) {
				t.Errorf("%s: %d octets, %v", x.what, len(got), err)
			}
		}
		if _, err := c.unpack(nil, stored, codec, len(x.raw)+1); !model.IsKind(err, model.KindCorrupt) {
			t.Errorf("%s, of another size: %v", x.what, err)
		}
	}
	if _, err := c.unpack(nil, []byte("x"), codecEnd, 1); !model.IsKind(err, model.KindCorrupt) {
		t.Errorf("unknown codec: %v", err)
	}
}

// What earlier releases wrote is read, and found again by its hash.
func TestEarlierCodecs(t *testing.T) {
	b := newBench(t, memory.New(memory.Options{}))
	c, err := newCodecs()
	if err != nil {
		t.Fatal(err)
	}
	for codec, raw := range map[Codec][]byte{CodecRaw: letter(100), CodecS2: letter(3000), CodecZstd: letter(2000)} {
		h := &header{kind: kindInline, codec: codec, size: int64(len(raw)), hash: sha256.Sum256(raw)}
		switch codec {
		case CodecRaw:
			h.inline = raw
		case CodecS2:
			h.inline = s2.Encode(nil, raw)
		default:
			h.inline, _ = c.pack(nil, raw)
		}
		h.sum = crc32.Checksum(h.inline, castagnoli)
		id, err := b.s.allocate(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		b.commit(func(batch kv.Batch) {
			(&Staged{s: b.s, ID: id, hash: h.hash, header: h}).AddTo(batch)
			AddRef(batch, id, 1, uint64(codec))
		})
		b.expect(id, raw)
		if again, _ := b.publish(raw); again != id {
			t.Errorf("codec %d: stored again", codec)
		}
		if row, err := b.db.Get(t.Context(), HeaderKey(id)); err != nil {
			t.Error(err)
		} else if why, err := b.s.CheckRow(t.Context(), b.db, HeaderKey(id), row); why != "" || err != nil {
			t.Errorf("codec %d: %s, %v", codec, why, err)
		}
	}
}

func FuzzUnpack(f *testing.F) {
	c, err := newCodecs()
	if err != nil {
		f.Fatal(err)
	}
	for _, n := range []int{100, 3000} {
		stored, codec := c.pack(nil, letter(n))
		f.Add(stored, byte(codec), n)
		f.Add(s2.Encode(nil, letter(n)), byte(CodecS2), n)
		f.Add(letter(n), byte(CodecRaw), n)
	}
	f.Fuzz(func(t *testing.T, stored []byte, codec byte, want int) {
		if want < 0 || want > ChunkSize {
			return
		}
		got, err := c.unpack(nil, stored, Codec(codec), want)
		if err == nil && len(got) != want || err != nil && !model.IsKind(err, model.KindCorrupt) {
			t.Errorf("%d octets for %d, %v", len(got), want, err)
		}
	})
}

func BenchmarkPack(b *testing.B) {
	c, err := newCodecs()
	if err != nil {
		b.Fatal(err)
	}
	for _, x := range []struct {
		what string
		raw  []byte
	}{{"mail-4K", letter(4 << 10)}, {"mail-8K", letter(8 << 10)}, {"noise-8K", noise(1, 8<<10)}, {"words-8K", []byte(strings.Repeat("word ", 1700))}} {
		b.Run(x.what, func(b *testing.B) {
			b.SetBytes(int64(len(x.raw)))
			b.ReportAllocs()
			var room []byte
			for b.Loop() {
				room, _ = c.pack(room[:0], x.raw)
			}
			b.ReportMetric(float64(len(room))/float64(len(x.raw)), "stored/octet")
		})
	}
}
