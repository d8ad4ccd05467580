package transport

import (
	"context"
	"io"

	"rialto/internal/kv"
	"rialto/internal/model"
)

// chunkSize is how a body is cut, in octets. A message is never in memory
// whole: one chunk is.
const chunkSize = 128 << 10

// bodyWriter takes the body of a message that will be queued. Chunks are
// ordered as they fill up; the last one is left for the batch of the record,
// which being durable says that all are.
type bodyWriter struct {
	q    *queue
	ctx  context.Context
	id   uint64
	buf  []byte
	n    uint32
	size int64
	fail error // of a Write
}

// err returns what went wrong in some Write.
func (w *bodyWriter) err() error { return w.fail }

func (q *queue) newBody(ctx context.Context) (*bodyWriter, error) {
	id, err := q.allocate(ctx)
	if err != nil {
		return nil, err
	}
	return &bodyWriter{q: q, ctx: ctx, id: id}, nil
}

// Write implements io.Writer.
func (w *bodyWriter) Write(p []byte) (int, error) {
	total := len(p)
	w.size += int64(total)
	for len(p) > 0 {
		n := min(chunkSize-len(w.buf), len(p))
		w.buf = append(w.buf, p[:n]...)
		p = p[n:]
		if len(w.buf) == chunkSize {
			b := w.q.db.NewBatch()
			w.finish(b)
			if _, err := w.q.db.Commit(w.ctx, b); err != nil {
				w.fail = queueError("transport.body", err)
				return 0, w.fail
			}
		}
	}
	return total, nil
}

// finish writes what is left into b.
func (w *bodyWriter) finish(b kv.Batch) {
	if len(w.buf) > 0 {
		b.Set(partKey(spaceBody, w.id, w.n), w.buf)
		w.buf = w.buf[:0]
		w.n++
	}
}

// abort drops the body.
func (w *bodyWriter) abort() {
	if w.n > 0 {
		b := w.q.db.NewBatch()
		b.Reclaim()
		b.DeleteRange(idKey(spaceBody, w.id), idKey(spaceBody, w.id+1))
		_, _ = w.q.db.Commit(context.WithoutCancel(w.ctx), b) // else the next start does it
	}
	w.q.finished(context.WithoutCancel(w.ctx), w.id)
}

// bodyReader reads a queued body from its start.
type bodyReader struct {
	q    *queue
	ctx  context.Context
	id   uint64
	left int64
	n    uint32
	buf  []byte
}

func (q *queue) body(ctx context.Context, r *Record) io.Reader {
	return &bodyReader{q: q, ctx: ctx, id: r.ID, left: r.Size}
}

// Read implements io.Reader. A body that is shorter than its record says is
// KindCorrupt, so that no cut message is ever delivered.
func (r *bodyReader) Read(p []byte) (int, error) {
	if len(r.buf) == 0 {
		if r.left == 0 {
			return 0, io.EOF
		}
		v, err := r.q.db.Get(r.ctx, partKey(spaceBody, r.id, r.n))
		if err != nil {
			if model.IsKind(queueError("", err), model.KindNotFound) {
				return 0, corrupt("body")
			}
			return 0, queueError("transport.body", err)
		}
		if len(v) == 0 || int64(len(v)) > r.left {
			return 0, corrupt("body")
		}
		r.buf = v
		r.n++
	}
	n := copy(p, r.buf)
	r.buf = r.buf[n:]
	r.left -= int64(n)
	return n, nil
}
