package pebble

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"syscall"

	"github.com/cockroachdb/pebble/v2/vfs"

	"rialto/internal/kv"
)

// formatVersion is that of the directory's layout and of what we ask of
// pebble. A program opens its own version and every lower one.
const formatVersion = 1

const epochFile = "epoch"

// lock takes the directory for this process.
func lock(fs vfs.FS, dir string) (io.Closer, error) {
	name := fs.PathJoin(dir, "LOCK")
	if fs == vfs.Default {
		// The process's own table of locks goes by name.
		if abs, err := filepath.Abs(name); err == nil {
			name = abs
		}
		if real, err := filepath.EvalSymlinks(filepath.Dir(name)); err == nil {
			name = filepath.Join(real, "LOCK")
		}
	}
	c, err := fs.Lock(name)
	if err == nil {
		return c, nil
	}
	if errors.Is(err, os.ErrNotExist) || (errors.Is(err, os.ErrPermission) && !errors.Is(err, syscall.EACCES)) {
		return nil, err
	}
	return nil, fmt.Errorf("%w: %s: %v", kv.ErrLocked, dir, err)
}

// readEpoch returns 0 if there is no epoch file.
func readEpoch(fs vfs.FS, dir string) (uint64, error) {
	f, err := fs.Open(fs.PathJoin(dir, epochFile))
	if errors.Is(err, os.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	defer f.Close()
	buf, err := io.ReadAll(io.LimitReader(f, 4096))
	if err != nil {
		return 0, err
	}
	var format, epoch uint64
	var sum uint32
	if n, err := fmt.Sscanf(string(buf), "rialto-kv %d %d %08x\n", &format, &epoch, &sum); n != 3 || err != nil {
		return 0, fmt.Errorf("%w: %s/%s cannot be read", kv.ErrCorrupt, dir, epochFile)
	}
	if crc32.ChecksumIEEE(epochBody(format, epoch)) != sum {
		return 0, fmt.Errorf("%w: %s/%s", kv.ErrCorrupt, dir, epochFile)
	}
	if format > formatVersion {
		return 0, fmt.Errorf("%w: format %d, known are up to %d", kv.ErrFormat, format, formatVersion)
	}
	return epoch, nil
}

func epochBody(format, epoch uint64) []byte {
	return fmt.Appendf(nil, "rialto-kv %d %d", format, epoch)
}

// writeEpoch makes epoch durable. The rename means that a crash leaves the old
// file or the new one.
func writeEpoch(fs vfs.FS, dir string, epoch uint64) error {
	return writeEpochFormat(fs, dir, formatVersion, epoch)
}

func writeEpochFormat(fs vfs.FS, dir string, format, epoch uint64) error {
	body := epochBody(format, epoch)
	body = fmt.Appendf(body, " %08x\n", crc32.ChecksumIEEE(body))
	tmp := fs.PathJoin(dir, epochFile+".tmp")
	f, err := fs.Create(tmp, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	if _, err = f.Write(body); err == nil {
		err = f.Sync()
	}
	if err2 := f.Close(); err == nil {
		err = err2
	}
	if err == nil {
		err = fs.Rename(tmp, fs.PathJoin(dir, epochFile))
	}
	if err != nil {
		return err
	}
	return syncDir(fs, dir)
}

func syncDir(fs vfs.FS, dir string) error {
	d, err := fs.OpenDir(dir)
	if err != nil {
		return err
	}
	err = d.Sync()
	if err2 := d.Close(); err == nil {
		err = err2
	}
	return err
}
