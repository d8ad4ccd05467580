package pebble

import (
	"io"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// fence is the file system pebble sees. While it stands open, everything goes
// to the disk, and a write that fails is reported to fail. Once fail has been
// called it is turned: writes to open files are dropped, new files live in
// memory, and all of it succeeds, so that pebble can be closed in peace while
// the disk keeps exactly what it had.
type fence struct {
	vfs.FS
	turned  atomic.Bool
	armed   atomic.Bool // false during open: errors go to pebble and to Open's caller
	ghost   *vfs.MemFS
	fail    func(err error)           // poisons the database
	noSpace func()                    // tells of ENOSPC outside the log
	syncing func()                    // a log sync begins
	synced  func(took time.Duration)  // a log sync succeeded
	pause   func(after time.Duration) // slows pebble's retries on a full disk
}

func newFence(fs vfs.FS) *fence {
	return &fence{FS: fs, ghost: vfs.NewMem(), pause: time.Sleep}
}

// Unwrap hides nothing: pebble asks for the root only to read ahead.
func (f *fence) Unwrap() vfs.FS { return f.FS }

// Lock does nothing: the database's own LOCK is held one directory up, and
// must stay releasable when pebble cannot be closed.
func (f *fence) Lock(string) (io.Closer, error) { return io.NopCloser(nil), nil }

// judge decides what pebble learns of a failed write. A full disk outside the
// log and the manifest is something pebble survives; anything else poisons.
func (f *fence) judge(name string, err error) (swallow bool) {
	if err == nil || !f.armed.Load() {
		return false
	}
	if f.turned.Load() {
		return true
	}
	if vfs.IsNoSpaceError(err) && !isLog(name) && !strings.Contains(name, "MANIFEST") {
		f.noSpace()
		f.pause(50 * time.Millisecond)
		return false
	}
	f.fail(err)
	return true
}

func isLog(name string) bool { return strings.HasSuffix(name, ".log") }

// inGhost makes sure the directory of name exists in memory.
func (f *fence) inGhost(name string) (vfs.FS, error) {
	return f.ghost, f.ghost.MkdirAll(f.PathDir(name), 0o755)
}

func (f *fence) creating(name string, make func(vfs.FS) (vfs.File, error)) (vfs.File, error) {
	if !f.turned.Load() {
		file, err := make(f.FS)
		if err == nil {
			return f.wrap(name, file), nil
		}
		if !f.judge(name, err) {
			return nil, err
		}
	}
	g, err := f.inGhost(name)
	if err != nil {
		return nil, err
	}
	return make(g)
}

// Create implements vfs.FS.
func (f *fence) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return f.creating(name, func(fs vfs.FS) (vfs.File, error) { return fs.Create(name, c) })
}

// OpenReadWrite implements vfs.FS.
func (f *fence) OpenReadWrite(name string, c vfs.DiskWriteCategory, o ...vfs.OpenOption) (vfs.File, error) {
	return f.creating(name, func(fs vfs.FS) (vfs.File, error) { return fs.OpenReadWrite(name, c, o...) })
}

// ReuseForWrite implements vfs.FS.
func (f *fence) ReuseForWrite(old, name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return f.creating(name, func(fs vfs.FS) (vfs.File, error) {
		if fs == vfs.FS(f.ghost) {
			return fs.Create(name, c)
		}
		return fs.ReuseForWrite(old, name, c)
	})
}

// OpenDir implements vfs.FS.
func (f *fence) OpenDir(name string) (vfs.File, error) {
	file, err := f.FS.OpenDir(name)
	if err != nil {
		return nil, err
	}
	return f.wrap(name, file), nil
}

// Open implements vfs.FS.
func (f *fence) Open(name string, o ...vfs.OpenOption) (vfs.File, error) {
	if f.turned.Load() {
		if file, err := f.ghost.Open(name, o...); err == nil {
			return file, nil
		}
	}
	return f.FS.Open(name, o...)
}

// Stat implements vfs.FS.
func (f *fence) Stat(name string) (vfs.FileInfo, error) {
	if f.turned.Load() {
		if info, err := f.ghost.Stat(name); err == nil {
			return info, nil
		}
	}
	return f.FS.Stat(name)
}

// change runs an operation on names; once turned it only touches memory.
func (f *fence) change(name string, do func(vfs.FS) error) error {
	if !f.turned.Load() {
		err := do(f.FS)
		if os.IsNotExist(err) || os.IsExist(err) || !f.judge(name, err) {
			return err
		}
	}
	if err := do(f.ghost); err != nil && !os.IsNotExist(err) {
		return err
	}
	return nil
}

// Link implements vfs.FS.
func (f *fence) Link(old, name string) error {
	return f.change(name, func(fs vfs.FS) error { return fs.Link(old, name) })
}

// Rename implements vfs.FS.
func (f *fence) Rename(old, name string) error {
	return f.change(name, func(fs vfs.FS) error { return fs.Rename(old, name) })
}

// MkdirAll implements vfs.FS.
func (f *fence) MkdirAll(dir string, perm os.FileMode) error {
	return f.change(dir, func(fs vfs.FS) error { return fs.MkdirAll(dir, perm) })
}

// Remove implements vfs.FS. A file that cannot be removed loses nothing.
func (f *fence) Remove(name string) error {
	if f.turned.Load() {
		_ = f.ghost.Remove(name)
		return nil
	}
	return f.FS.Remove(name)
}

// RemoveAll implements vfs.FS.
func (f *fence) RemoveAll(name string) error {
	if f.turned.Load() {
		return f.ghost.RemoveAll(name)
	}
	return f.FS.RemoveAll(name)
}
