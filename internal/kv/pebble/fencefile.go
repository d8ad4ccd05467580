package pebble

import (
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// fencedFile is a file on the disk, opened for writing through a fence.
type fencedFile struct {
	vfs.File
	f    *fence
	name string
	log  bool
}

func (f *fence) wrap(name string, file vfs.File) vfs.File {
	return &fencedFile{File: file, f: f, name: name, log: isLog(name)}
}

// Write implements vfs.File.
func (w *fencedFile) Write(p []byte) (int, error) {
	if w.f.turned.Load() {
		return len(p), nil
	}
	n, err := w.File.Write(p)
	if w.f.judge(w.name, err) {
		return len(p), nil
	}
	return n, err
}

// WriteAt implements vfs.File.
func (w *fencedFile) WriteAt(p []byte, off int64) (int, error) {
	if w.f.turned.Load() {
		return len(p), nil
	}
	n, err := w.File.WriteAt(p, off)
	if w.f.judge(w.name, err) {
		return len(p), nil
	}
	return n, err
}

// Preallocate implements vfs.File. Pebble treats it as a hint.
func (w *fencedFile) Preallocate(off, n int64) error {
	if w.f.turned.Load() {
		return nil
	}
	return w.File.Preallocate(off, n)
}

// Sync implements vfs.File.
func (w *fencedFile) Sync() error { return w.sync(w.File.Sync) }

// SyncData implements vfs.File.
func (w *fencedFile) SyncData() error { return w.sync(w.File.SyncData) }

func (w *fencedFile) sync(do func() error) error {
	if w.f.turned.Load() {
		return nil
	}
	if !w.log || !w.f.armed.Load() {
		err := do()
		if w.f.judge(w.name, err) {
			return nil
		}
		return err
	}
	w.f.syncing()
	start := time.Now()
	if err := do(); err != nil {
		// The poison is set before pebble can report the sync as done.
		w.f.judge(w.name, err)
		return nil
	}
	w.f.synced(time.Since(start))
	return nil
}

// SyncTo implements vfs.File.
func (w *fencedFile) SyncTo(n int64) (bool, error) {
	if w.f.turned.Load() {
		return false, nil
	}
	full, err := w.File.SyncTo(n)
	if w.f.judge(w.name, err) {
		return false, nil
	}
	return full, err
}

// Close implements vfs.File.
func (w *fencedFile) Close() error {
	err := w.File.Close()
	if w.f.judge(w.name, err) {
		return nil
	}
	return err
}
