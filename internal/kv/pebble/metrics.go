package pebble

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"rialto/internal/kv"
)

// Space implements kv.Spacer. free is MaxUint64 where the file system cannot
// tell.
func (d *DB) Space() (free, used uint64, err error) {
	if err := d.enter(); err != nil {
		return 0, 0, err
	}
	defer d.life.RUnlock()
	free = math.MaxUint64
	if u, err := d.opts.FS.GetDiskUsage(d.opts.Dir); err == nil {
		free = u.AvailBytes
	} else if err != vfs.ErrUnsupported {
		return 0, 0, err
	}
	infos, err := d.segs.List()
	if err != nil {
		return 0, 0, err
	}
	m := d.p.Metrics()
	used = m.DiskSpaceUsage()
	if m.WAL.Size > m.WAL.PhysicalSize { // which leaves out the log that is being written
		used += m.WAL.Size - m.WAL.PhysicalSize
	}
	for _, s := range infos {
		used += uint64(s.Size)
	}
	return free, used, nil
}

// Metrics implements kv.Metered. After Close only the counters are filled in.
func (d *DB) Metrics() kv.Metrics {
	m := kv.Metrics{
		Commits:     d.count.commits.Load(),
		CommitBytes: d.count.bytes.Load(),
		Syncs:       d.count.syncs.Load(),
		SyncTime:    time.Duration(d.count.syncNanos.Load()),
		Refused:     d.count.refused.Load(),
	}
	d.open.Lock()
	for s := range d.open.snapshots {
		m.AddSnapshot(s.owner, time.Since(s.born))
	}
	d.open.Unlock()
	if d.enter() == nil {
		pm := d.p.Metrics()
		d.life.RUnlock()
		m.CompactionDebt = pm.Compact.EstimatedDebt
		m.CacheBytes = pm.BlockCache.Size
		m.DiskBytes = pm.DiskSpaceUsage()
	}
	return m
}

// Checkpoint implements kv.Checkpointer. Tables and finished segments are
// linked, the rest is copied; dir is on the same file system. The epoch file
// comes last: without it the copy does not open. When Checkpoint returns, all
// of it is on the disk.
func (d *DB) Checkpoint(ctx context.Context, dir string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := d.enter(); err != nil {
		return err
	}
	defer d.life.RUnlock()
	fs := d.opts.FS
	if _, err := fs.Stat(dir); err == nil {
		return fmt.Errorf("pebble: checkpoint: %s exists", dir)
	}
	if err := fs.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	// What the map refers to must not be unlinked before it is linked.
	release := d.segs.hold()
	defer release()
	if err := d.p.Checkpoint(fs.PathJoin(dir, "db"), pebble.WithFlushedWAL()); err != nil {
		return mapError(err)
	}
	if err := d.failure(); err != nil {
		return err
	}
	if err := d.segs.copyTo(ctx, fs.PathJoin(dir, "segments")); err != nil {
		return err
	}
	if err := writeEpoch(fs, dir, d.epoch); err != nil {
		return err
	}
	if err := syncDir(fs, fs.PathDir(dir)); err != nil {
		return err
	}
	return d.failure()
}
