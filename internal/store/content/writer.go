package content

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"hash/crc32"
	"sync"

	"rialto/internal/kv"
	"rialto/internal/model"
)

// Writer takes one stream. Memory is one chunk and its compressed form,
// whatever the size. A Writer belongs to one goroutine and ends with Finish or
// Abort.
type Writer struct {
	s    *Store
	ctx  context.Context
	hash hash.Hash
	buf  []byte
	size int64
	id   ID
	locs []location
	rows int
	err  error
}

// MaxSize is the largest stream: its list of chunks must fit a value.
const MaxSize = int64(2) << 30

// maxChunksSure is a number of chunks whose list fits a value wherever they
// are. The largest streams fit unless many others were written at the time.
const maxChunksSure = kv.MaxValue / 16

// NewWriter begins a stream. ctx bounds the writes that it causes.
func (s *Store) NewWriter(ctx context.Context) *Writer {
	return &Writer{s: s, ctx: ctx, hash: sha256.New(), buf: s.chunks.get()}
}

// Write takes the next octets. A stream over MaxSize fails with KindTooLarge.
func (w *Writer) Write(p []byte) (int, error) {
	if w.err != nil {
		return 0, w.err
	}
	if w.size+int64(len(p)) > MaxSize {
		w.err = model.E("content.write", model.KindTooLarge, "message", nil)
		return 0, w.err
	}
	w.hash.Write(p)
	w.size += int64(len(p))
	for rest := p; len(rest) > 0; {
		n := copy(w.buf[len(w.buf):ChunkSize], rest)
		w.buf = w.buf[:len(w.buf)+n]
		rest = rest[n:]
		if len(w.buf) == ChunkSize && len(rest) > 0 {
			if w.err = Wrap("content.write", "content", w.flush()); w.err != nil {
				return 0, w.err
			}
		}
	}
	return len(p), nil
}

// Size is the number of octets taken so far.
func (w *Writer) Size() int64 { return w.size }

// flush stores the chunk gathered so far.
func (w *Writer) flush() error {
	if w.id == 0 {
		id, err := w.s.allocate(w.ctx)
		if err != nil {
			return err
		}
		w.id = id
	}
	rec := w.s.records.get()
	defer func() { w.s.records.put(rec) }()
	n := uint32(len(w.locs) + w.rows)
	rec = appendRecord(rec, w.s.codecs, w.id, n, w.buf)
	w.buf = w.buf[:0]
	if w.s.app != nil {
		loc, err := w.s.app.add(rec)
		if err == nil {
			w.locs = append(w.locs, loc)
		}
		return err
	}
	b := w.s.db.NewBatch()
	b.Set(chunkKey(w.id, n), rec)
	w.rows++
	_, err := w.s.db.Commit(w.ctx, b)
	return err
}

// Finish ends the stream. What comes back is not in the map yet: its AddTo puts
// it there in the caller's batch. If the same octets are stored already, the
// stream stands for those.
func (w *Writer) Finish(ctx context.Context) (*Staged, error) {
	st, err := w.finish(ctx)
	return st, Wrap("content.write", "content", err)
}

func (w *Writer) finish(ctx context.Context) (*Staged, error) {
	defer w.release()
	if w.err != nil {
		return nil, w.err
	}
	st := &Staged{s: w.s, Size: w.size}
	defer func() {
		if st.header == nil {
			w.discardRows()
			w.settle()
		}
	}()
	w.hash.Sum(st.hash[:0])
	id, ok, err := w.s.lookup(ctx, st.hash)
	if err != nil {
		return nil, err
	}
	if ok {
		// Chunks written under the fresh id stay behind unreferenced: the
		// segment's next collection drops them.
		st.ID, st.pinned = id, true
		return st, nil
	}
	h := &header{size: w.size, hash: st.hash}
	if w.id == 0 && len(w.buf) <= w.s.inlineMax() {
		if w.id, err = w.s.allocate(ctx); err != nil {
			return nil, err
		}
		st.row = w.inline(h)
	} else if err := w.finishChunks(h); err != nil {
		return nil, err
	}
	st.ID, st.header = w.id, h
	st.pinned = w.s.pin(st.ID)
	return st, nil
}

// inline makes h the header of a small stream and returns its row.
func (w *Writer) inline(h *header) []byte {
	room := w.s.records.get()
	h.kind = kindInline
	h.inline, h.codec = w.s.codecs.pack(room, w.buf)
	h.sum = crc32.Checksum(h.inline, castagnoli)
	row := h.encode()
	w.s.records.put(h.inline)
	h.inline = row[len(row)-len(h.inline):]
	return row
}

func (w *Writer) finishChunks(h *header) error {
	if len(w.buf) > 0 {
		if err := w.flush(); err != nil {
			return err
		}
	}
	if w.s.app == nil {
		h.kind, h.rows = kindRows, w.rows
		return nil
	}
	h.kind, h.chunks = kindSegments, w.locs
	if len(h.chunks) > maxChunksSure && len(h.encode()) > kv.MaxValue {
		return model.E("content.write", model.KindTooLarge, "message", nil)
	}
	return w.s.app.syncStream(w.locs)
}

// Abort drops the stream. After Finish it does nothing.
func (w *Writer) Abort() {
	if w.buf == nil {
		return
	}
	w.discardRows()
	w.settle()
	w.release()
}

// settle tells the appender that the records written are not coming.
func (w *Writer) settle() {
	if w.s.app != nil {
		w.s.app.settle(w.locs, false)
		w.locs = nil
	}
}

func (w *Writer) discardRows() {
	if w.rows == 0 {
		return
	}
	b := w.s.db.NewBatch()
	b.Reclaim()
	b.DeleteRange(chunkKey(w.id, 0), idKey(spaceChunk, w.id+1))
	// A stream is often given up because its sender went away.
	if _, err := w.s.db.Commit(context.WithoutCancel(w.ctx), b); err == nil {
		w.rows = 0
	}
}

func (w *Writer) release() {
	if w.buf != nil {
		w.s.chunks.put(w.buf)
		w.buf = nil
	}
	if w.err == nil {
		w.err = model.E("content.write", model.KindInvalid, "stream has ended", nil)
	}
}

// Staged is a finished stream on its way into the map, pinned until Release.
type Staged struct {
	ID     ID
	Size   int64
	s      *Store
	hash   [sha256.Size]byte
	header *header // nil if the stream was there already
	row    []byte  // the header's, if the stream is inline
	pinned bool
}

// AddTo writes the stream's rows into b. References are written beside it with
// AddRef. It may be called for several batches: the rows are the same.
func (st *Staged) AddTo(b kv.Batch) {
	if st.header == nil {
		return
	}
	row := st.row
	if row == nil {
		row = st.header.encode()
	}
	b.Set(headerKey(st.ID), row)
	b.Set(hashKey(st.hash), binary.BigEndian.AppendUint64(nil, uint64(st.ID)))
	for i, c := range st.header.chunks {
		v := binary.BigEndian.AppendUint64(nil, uint64(st.ID))
		v = binary.BigEndian.AppendUint32(v, uint32(c.length))
		b.Set(segmentKey(c.segment, c.offset), append(v, byte(min(i, 1))))
	}
	// Until a reference says otherwise it may be garbage.
	if st.header.kind != kindInline {
		now := uint64(st.s.opt.Clock().Unix())
		b.Set(idKey(spaceCandidate, st.ID), binary.BigEndian.AppendUint64(nil, now))
	}
}

// Weight is about how many octets AddTo adds to a batch, and not less.
func (st *Staged) Weight() int {
	if st.header == nil {
		return 0
	}
	return 256 + len(st.header.inline) + 48*len(st.header.chunks)
}

// Release lets the collector see the stream again; call it when the batch is
// ordered or given up.
func (st *Staged) Release() {
	if !st.pinned {
		return
	}
	st.pinned = false
	st.s.unpin(st.ID)
	if st.header != nil && st.s.app != nil {
		st.s.app.settle(st.header.chunks, st.header.kind == kindSegments)
	}
}

// bufferPool hands out byte slices of length 0.
type bufferPool struct{ p *sync.Pool }

func newBufferPool(size int) bufferPool {
	return bufferPool{&sync.Pool{New: func() any { b := make([]byte, 0, size); return &b }}}
}

func (p bufferPool) get() []byte { return (*p.p.Get().(*[]byte))[:0] }

func (p bufferPool) put(b []byte) { p.p.Put(&b) }

// Share returns a stream that is stored already, pinned like a staged one, so
// that more rows may refer to it. KindNotFound if it does not exist. While a
// collection looks at the stream it waits for what becomes of it.
func (s *Store) Share(ctx context.Context, id ID) (*Staged, error) {
	if err := s.pinDecided(ctx, id); err != nil {
		return nil, Wrap("content.share", "content", err)
	}
	h, err := s.header(ctx, id)
	if err != nil {
		s.unpin(id)
		return nil, Wrap("content.share", "content", err)
	}
	return &Staged{ID: id, Size: h.size, s: s, hash: h.hash, pinned: true}, nil
}
