package service

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"rialto/internal/model"
)

// RotatingFile appends to a file that is renamed to NAME.1, NAME.2, … when it
// is full. One Write is never split. Safe for concurrent use.
type RotatingFile struct {
	path string
	max  int64
	keep int

	mu   sync.Mutex
	f    *os.File // nil after Close, or when reopening failed
	size int64
	shut bool
}

// OpenRotating opens path for appending, making its folder if need be. It
// rotates at maxSize bytes and keeps that many old files.
func OpenRotating(path string, maxSize int64, keep int) (*RotatingFile, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return nil, model.E("service.log", model.KindUnavailable, path, err)
	}
	r := &RotatingFile{path: path, max: maxSize, keep: keep}
	if err := r.open(); err != nil {
		return nil, model.E("service.log", model.KindUnavailable, path, err)
	}
	return r, nil
}

func (r *RotatingFile) open() error {
	f, err := os.OpenFile(r.path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o640)
	if err != nil {
		return err
	}
	fi, err := f.Stat()
	if err != nil {
		f.Close()
		return err
	}
	r.f, r.size = f, fi.Size()
	return nil
}

// Write implements io.Writer.
func (r *RotatingFile) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.shut {
		return 0, fs.ErrClosed
	}
	if r.f == nil {
		if err := r.open(); err != nil {
			return 0, err
		}
	}
	if r.size > 0 && r.max > 0 && r.size+int64(len(p)) > r.max {
		if err := r.rotate(); err != nil {
			return 0, err
		}
	}
	n, err := r.f.Write(p)
	r.size += int64(n)
	return n, err
}

func (r *RotatingFile) rotate() error {
	r.f.Close()
	r.f = nil
	old := func(i int) string { return fmt.Sprintf("%s.%d", r.path, i) }
	if r.keep <= 0 {
		if err := os.Remove(r.path); err != nil {
			return err
		}
		return r.open()
	}
	for i := r.keep - 1; i >= 1; i-- {
		if err := os.Rename(old(i), old(i+1)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if err := os.Rename(r.path, old(1)); err != nil {
		return err
	}
	return r.open()
}

// Close closes the file; later writes fail.
func (r *RotatingFile) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.shut = true
	if r.f == nil {
		return nil
	}
	err := r.f.Close()
	r.f = nil
	return err
}
