package pebble

import (
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/cockroachdb/pebble/v2/vfs"

	"rialto/internal/kv"
)

// segmentWriter appends to a segment. Its lock is only held for reading during
// a write or sync, so that the two overlap; Close takes it for writing.
type segmentWriter struct {
	s *segments
	n uint64

	mu  sync.RWMutex
	f   vfs.File
	err error // of the end, or the first failure
}

func (w *segmentWriter) usable() error {
	if w.err != nil {
		return w.err
	}
	return w.s.d.failure()
}

func (w *segmentWriter) broken(err error) {
	w.mu.Lock()
	if w.err == nil {
		w.err = err
	}
	w.mu.Unlock()
}

// Write implements io.Writer. After an error the segment takes no more: its
// tail is not known.
func (w *segmentWriter) Write(p []byte) (int, error) {
	w.mu.RLock()
	if err := w.usable(); err != nil {
		w.mu.RUnlock()
		return 0, err
	}
	n, err := w.f.Write(p)
	w.mu.RUnlock()
	if err != nil {
		if vfs.IsNoSpaceError(err) {
			w.s.d.noSpace()
		}
		err = spaceError(err)
		w.broken(err)
	}
	return n, err
}

// Sync implements kv.SegmentWriter. Its failure poisons the database: the disk
// is the same.
func (w *segmentWriter) Sync() error {
	w.mu.RLock()
	defer w.mu.RUnlock()
	if err := w.usable(); err != nil {
		return err
	}
	if err := w.f.SyncData(); err != nil {
		w.s.d.fail(fmt.Errorf("segment %d: %w", w.n, err))
		return w.s.d.failure()
	}
	return nil
}

// Close implements io.Closer.
func (w *segmentWriter) Close() error {
	w.s.mu.Lock()
	if w.s.writing[w.n] == w {
		delete(w.s.writing, w.n)
	}
	w.s.mu.Unlock()
	return w.end(kv.ErrClosed)
}

func (w *segmentWriter) end(why error) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.f == nil {
		return nil
	}
	f := w.f
	w.f, w.err = nil, why
	return f.Close()
}

// segmentReader reads a segment; it may outlive the file's name.
type segmentReader struct {
	d *DB
	f vfs.File
}

// ReadAt implements io.ReaderAt.
func (r *segmentReader) ReadAt(p []byte, off int64) (int, error) {
	if err := r.d.failure(); err != nil {
		return 0, err
	}
	n, err := r.f.ReadAt(p, off)
	if err == nil || errors.Is(err, io.EOF) {
		return n, err
	}
	return n, fmt.Errorf("segment: %w", err)
}

// Close implements io.Closer.
func (r *segmentReader) Close() error { return r.f.Close() }
