package content

import (
	"context"
	"errors"
	"hash/crc32"
	"io"

	"rialto/internal/kv"
	"rialto/internal/model"
)

// Reader reads one stream. It keeps the chunk it read last; ReadAt is for one
// goroutine at a time.
type Reader struct {
	s     *Store
	r     kv.Reader
	ctx   context.Context
	id    ID
	h     *header
	chunk int // index of buf, -1: none
	buf   []byte
	room  *Room // shared with others; nil: buf is its own
}

// Open opens a stream as r (the database or a snapshot) has it. The octets stay
// readable while the reader is in use even if the stream becomes garbage, as
// long as the collector's grace time.
func (s *Store) Open(ctx context.Context, r kv.Reader, id ID) (*Reader, error) {
	raw, err := r.Get(ctx, headerKey(id))
	if errors.Is(err, kv.ErrNotFound) {
		return nil, model.E("content.open", model.KindCorrupt, "content is missing", err)
	}
	if err != nil {
		return nil, Wrap("content.open", "content", err)
	}
	h, err := decodeHeader(raw)
	if err != nil {
		return nil, err
	}
	return &Reader{s: s, r: s.db, ctx: ctx, id: id, h: h, chunk: -1}, nil
}

// OpenStaged opens a stream whose rows are not written yet.
func (s *Store) OpenStaged(ctx context.Context, st *Staged) (*Reader, error) {
	if st.header == nil {
		return s.Open(ctx, s.db, st.ID)
	}
	return &Reader{s: s, r: s.db, ctx: ctx, id: st.ID, h: st.header, chunk: -1}, nil
}

// Size is the number of octets of the stream.
func (r *Reader) Size() int64 { return r.h.size }

// ReadAt implements io.ReaderAt.
func (r *Reader) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, model.E("content.read", model.KindInvalid, "negative offset", nil)
	}
	done := 0
	for done < len(p) {
		if off >= r.h.size {
			return done, io.EOF
		}
		c := int(off / ChunkSize)
		if r.h.kind == kindInline {
			c = 0
		}
		if err := r.load(c); err != nil {
			return done, err
		}
		n := copy(p[done:], r.buf[off-int64(c)*ChunkSize:])
		done += n
		off += int64(n)
	}
	return done, nil
}

// WriteRange copies octets [off, off+n) to w without an extra buffer.
func (r *Reader) WriteRange(w io.Writer, off, n int64) error {
	if off < 0 {
		return model.E("content.read", model.KindInvalid, "negative offset", nil)
	}
	n = min(n, r.h.size-off)
	for n > 0 {
		c := int(off / ChunkSize)
		if r.h.kind == kindInline {
			c = 0
		}
		if err := r.load(c); err != nil {
			return err
		}
		part := r.buf[off-int64(c)*ChunkSize:]
		part = part[:min(int64(len(part)), n)]
		if _, err := w.Write(part); err != nil {
			return err
		}
		off += int64(len(part))
		n -= int64(len(part))
	}
	return nil
}

// load makes chunk c the current one.
func (r *Reader) load(c int) error {
	if r.chunk == c && (r.room == nil || r.room.owner == r) {
		return nil
	}
	r.chunk = -1 // what fails half way leaves nothing
	want := int(min(r.h.size-int64(c)*ChunkSize, ChunkSize))
	var err error
	switch r.h.kind {
	case kindInline:
		if crc32.Checksum(r.h.inline, castagnoli) != r.h.sum {
			return model.E("content.read", model.KindCorrupt, "content checksum", nil)
		}
		r.buf, err = r.s.codecs.unpack(r.room.take(r, want), r.h.inline, r.h.codec, want)
	case kindSegments:
		if c >= len(r.h.chunks) {
			return model.E("content.read", model.KindCorrupt, "content chunk", nil)
		}
		loc := r.h.chunks[c]
		rec := make([]byte, loc.length)
		if r.s.open == nil {
			return model.E("content.read", model.KindCorrupt, "engine has no segments", nil)
		}
		err = r.s.open.readAt(loc, rec)
		for try := 0; errors.Is(err, kv.ErrNotFound) && try < maxMoves; try++ {
			err = r.moved(c, &rec)
		}
		if err == nil {
			r.buf, err = r.unpackRecord(rec, c, want)
		}
	case kindRows:
		var rec []byte
		if rec, err = r.r.Get(r.ctx, chunkKey(r.id, uint32(c))); err == nil {
			r.buf, err = r.unpackRecord(rec, c, want)
		}
	}
	if errors.Is(err, kv.ErrNotFound) {
		return model.E("content.read", model.KindCorrupt, "content is missing", err)
	}
	if err != nil {
		return Wrap("content.read", "content", err)
	}
	r.chunk = c
	return nil
}

// maxMoves is how often a record may move while it is being looked for.
const maxMoves = 4

func (r *Reader) unpackRecord(rec []byte, c, want int) ([]byte, error) {
	stored, codec, raw, err := checkRecord(rec, r.id, uint32(c))
	if err != nil {
		return nil, err
	}
	if raw != want {
		return nil, model.E("content.read", model.KindCorrupt, "content chunk size", nil)
	}
	return r.s.codecs.unpack(r.room.take(r, want), stored, codec, want)
}

// moved reads chunk c where a collection has put it since the stream was opened.
func (r *Reader) moved(c int, rec *[]byte) error {
	h, err := r.s.header(r.ctx, r.id)
	if err != nil {
		return err
	}
	if h.size != r.h.size || c >= len(h.chunks) {
		return model.E("content.read", model.KindCorrupt, "content chunk", nil)
	}
	r.h = h
	*rec = make([]byte, h.chunks[c].length)
	return r.s.open.readAt(h.chunks[c], *rec)
}

func (s *Store) header(ctx context.Context, id ID) (*header, error) {
	raw, err := s.db.Get(ctx, headerKey(id))
	if err != nil {
		return nil, err
	}
	return decodeHeader(raw)
}
