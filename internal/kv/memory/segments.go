package memory

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"

	"rialto/internal/kv"
)

// segment is a file; the first synced bytes survive a power cut.
type segment struct {
	mu     sync.Mutex
	data   []byte
	synced int
}

type segments struct{ d *DB }

// Segments implements kv.Segmented.
func (d *DB) Segments() kv.Segments { return d.segs }

// find locks the disk and returns file n; the caller unlocks it in any case.
func (s *segments) find(n uint64) (*segment, error) {
	over := s.d.failure() // before the lock: a sync takes the two the other way round
	s.d.disk.mu.Lock()
	if over != nil {
		return nil, over
	}
	f := s.d.disk.segs[n]
	if f == nil {
		return nil, fmt.Errorf("%w: segment %d", kv.ErrNotFound, n)
	}
	return f, nil
}

// List implements kv.Segments.
func (s *segments) List() ([]kv.SegmentInfo, error) {
	if err := s.d.failure(); err != nil {
		return nil, err
	}
	k := s.d.disk
	k.mu.Lock()
	defer k.mu.Unlock()
	var out []kv.SegmentInfo
	for n, f := range k.segs {
		f.mu.Lock()
		out = append(out, kv.SegmentInfo{Number: n, Size: int64(len(f.data))})
		f.mu.Unlock()
	}
	slices.SortFunc(out, func(a, b kv.SegmentInfo) int {
		if a.Number < b.Number {
			return -1
		}
		return 1
	})
	return out, nil
}

// Create implements kv.Segments.
func (s *segments) Create(n uint64) (kv.SegmentWriter, error) {
	f, err := s.find(n)
	defer s.d.disk.mu.Unlock()
	if f != nil {
		return nil, fmt.Errorf("memory: segment %d: %w", n, os.ErrExist)
	}
	if !errors.Is(err, kv.ErrNotFound) {
		return nil, err
	}
	f = &segment{}
	s.d.disk.segs[n] = f
	return &segmentWriter{d: s.d, f: f}, nil
}

// Open implements kv.Segments.
func (s *segments) Open(n uint64) (kv.SegmentReader, error) {
	f, err := s.find(n)
	defer s.d.disk.mu.Unlock()
	if err != nil {
		return nil, err
	}
	return &segmentReader{s.d, f}, nil
}

// Truncate implements kv.Segments.
func (s *segments) Truncate(n uint64, size int64) error {
	f, err := s.find(n)
	defer s.d.disk.mu.Unlock()
	if err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.data = f.data[:min(int64(len(f.data)), size):min(int64(len(f.data)), size)]
	f.synced = len(f.data)
	return nil
}

// Remove implements kv.Segments.
func (s *segments) Remove(n uint64) error {
	_, err := s.find(n)
	defer s.d.disk.mu.Unlock()
	if err != nil {
		return err
	}
	delete(s.d.disk.segs, n)
	return nil
}

type segmentWriter struct {
	d      *DB
	f      *segment
	mu     sync.Mutex
	closed bool
}

func (w *segmentWriter) usable() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return kv.ErrClosed
	}
	return w.d.failure()
}

// Write implements io.Writer.
func (w *segmentWriter) Write(p []byte) (int, error) {
	if err := w.usable(); err != nil {
		return 0, err
	}
	w.f.mu.Lock()
	defer w.f.mu.Unlock()
	w.f.data = append(w.f.data, p...)
	return len(p), nil
}

// Sync implements kv.SegmentWriter.
func (w *segmentWriter) Sync() error {
	if err := w.usable(); err != nil {
		return err
	}
	w.f.mu.Lock()
	defer w.f.mu.Unlock()
	w.f.synced = len(w.f.data)
	return nil
}

// Close implements io.Closer.
func (w *segmentWriter) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = true
	return nil
}

type segmentReader struct {
	d *DB
	f *segment
}

// ReadAt implements io.ReaderAt.
func (r *segmentReader) ReadAt(p []byte, off int64) (int, error) {
	if err := r.d.failure(); err != nil {
		return 0, err
	}
	r.f.mu.Lock()
	defer r.f.mu.Unlock()
	if off >= int64(len(r.f.data)) {
		return 0, io.EOF
	}
	n := copy(p, r.f.data[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// Close implements io.Closer.
func (r *segmentReader) Close() error { return nil }
