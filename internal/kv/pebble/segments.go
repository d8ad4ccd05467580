package pebble

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"

	"github.com/cockroachdb/pebble/v2/vfs"

	"rialto/internal/kv"
)

// segments are the files of kv.Segmented. They use the disk itself, not the
// fence: their owner must hear of every error.
type segments struct {
	d   *DB
	fs  vfs.FS
	dir string

	mu      sync.Mutex
	writing map[uint64]*segmentWriter
	holding sync.RWMutex // read by checkpoints, written by Truncate and Remove
}

func openSegments(d *DB, dir string) (*segments, error) {
	s := &segments{d: d, fs: d.opts.FS, dir: dir, writing: make(map[uint64]*segmentWriter)}
	if err := s.fs.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	return s, nil
}

// Segments implements kv.Segmented.
func (d *DB) Segments() kv.Segments { return d.segs }

func (s *segments) path(n uint64) string {
	return s.fs.PathJoin(s.dir, fmt.Sprintf("%08d.seg", n))
}

// begin begins a call, as DB.enter does.
func (s *segments) begin() error { return s.d.enter() }

// List implements kv.Segments.
func (s *segments) List() ([]kv.SegmentInfo, error) {
	if err := s.begin(); err != nil {
		return nil, err
	}
	defer s.d.life.RUnlock()
	return s.list()
}

func (s *segments) list() ([]kv.SegmentInfo, error) {
	names, err := s.fs.List(s.dir)
	if err != nil {
		return nil, err
	}
	var out []kv.SegmentInfo
	for _, name := range names {
		var n uint64
		if c, err := fmt.Sscanf(name, "%d.seg", &n); c != 1 || err != nil || s.fs.PathBase(s.path(n)) != name {
			continue // a temporary file of Truncate
		}
		info, err := s.fs.Stat(s.path(n))
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		out = append(out, kv.SegmentInfo{Number: n, Size: info.Size()})
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
	if err := s.begin(); err != nil {
		return nil, err
	}
	defer s.d.life.RUnlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, err := s.fs.Stat(s.path(n)); err == nil {
		return nil, fmt.Errorf("pebble: segment %d: %w", n, os.ErrExist)
	}
	f, err := s.fs.Create(s.path(n), vfs.WriteCategoryUnspecified)
	if err != nil {
		return nil, spaceError(err)
	}
	if err := syncDir(s.fs, s.dir); err != nil {
		_ = f.Close()
		s.d.fail(err)
		return nil, s.d.failure()
	}
	w := &segmentWriter{s: s, n: n, f: f}
	s.writing[n] = w
	return w, nil
}

// Open implements kv.Segments.
func (s *segments) Open(n uint64) (kv.SegmentReader, error) {
	if err := s.begin(); err != nil {
		return nil, err
	}
	defer s.d.life.RUnlock()
	f, err := s.fs.Open(s.path(n), vfs.RandomReadsOption)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("%w: segment %d", kv.ErrNotFound, n)
	}
	if err != nil {
		return nil, err
	}
	return &segmentReader{s.d, f}, nil
}

// Truncate implements kv.Segments. It writes a new file: a checkpoint may hold
// a link to the old one.
func (s *segments) Truncate(n uint64, size int64) error {
	if err := s.begin(); err != nil {
		return err
	}
	defer s.d.life.RUnlock()
	s.holding.Lock()
	defer s.holding.Unlock()
	s.mu.Lock()
	_, busy := s.writing[n]
	s.mu.Unlock()
	if busy {
		return fmt.Errorf("pebble: segment %d is being written", n)
	}
	tmp := s.path(n) + ".tmp"
	if err := copyFile(s.fs, s.path(n), tmp, size); err != nil {
		if errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("%w: segment %d", kv.ErrNotFound, n)
		}
		return spaceError(err)
	}
	if err := s.fs.Rename(tmp, s.path(n)); err != nil {
		return err
	}
	return syncDir(s.fs, s.dir)
}

// Remove implements kv.Segments.
func (s *segments) Remove(n uint64) error {
	if err := s.begin(); err != nil {
		return err
	}
	defer s.d.life.RUnlock()
	s.holding.Lock()
	defer s.holding.Unlock()
	_, err := s.fs.Stat(s.path(n)) // not every file system minds a missing file
	if err == nil {
		err = s.fs.Remove(s.path(n))
	}
	if errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("%w: segment %d", kv.ErrNotFound, n)
	}
	return err
}

// hold keeps all files in place until release is called.
func (s *segments) hold() (release func()) {
	s.holding.RLock()
	return s.holding.RUnlock
}

// copyTo links finished segments into dir and copies those being written.
func (s *segments) copyTo(ctx context.Context, dir string) error {
	if err := s.fs.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	infos, err := s.list()
	if err != nil {
		return err
	}
	for _, info := range infos {
		if err := ctx.Err(); err != nil {
			return err
		}
		to := s.fs.PathJoin(dir, s.fs.PathBase(s.path(info.Number)))
		s.mu.Lock()
		_, busy := s.writing[info.Number]
		s.mu.Unlock()
		if busy {
			err = copyFile(s.fs, s.path(info.Number), to, info.Size)
		} else {
			err = s.fs.Link(s.path(info.Number), to)
		}
		if err != nil {
			return spaceError(err)
		}
	}
	return syncDir(s.fs, dir)
}

// close ends the writers.
func (s *segments) close() error {
	s.mu.Lock()
	open := s.writing
	s.writing = make(map[uint64]*segmentWriter)
	s.mu.Unlock()
	var errs []error
	for _, w := range open {
		errs = append(errs, w.end(kv.ErrClosed))
	}
	return errors.Join(errs...)
}

// copyFile copies the first size bytes and syncs them.
func copyFile(fs vfs.FS, from, to string, size int64) error {
	in, err := fs.Open(from, vfs.SequentialReadsOption)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := fs.Create(to, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	_, err = io.Copy(onlyWriter{out}, io.LimitReader(in, size))
	if err == nil {
		err = out.Sync()
	}
	return errors.Join(err, out.Close())
}

// onlyWriter hides what else a file can do from io.Copy.
type onlyWriter struct{ io.Writer }

func spaceError(err error) error {
	if vfs.IsNoSpaceError(err) {
		return fmt.Errorf("%w: %w", kv.ErrNoSpace, err)
	}
	return err
}
