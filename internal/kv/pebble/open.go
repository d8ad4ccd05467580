package pebble

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/vfs"

	"rialto/internal/kv"
)

const l0Stop = 24 // sublevels of L0 at which pebble stops writes

// Open opens the database in o.Dir, making it if there is none. Errors:
// kv.ErrLocked, kv.ErrFormat, kv.ErrCorrupt, and those of the file system. The
// result also implements kv.Checkpointer, Spacer, Metered, Leased, Segmented.
func Open(o Options) (kv.DB, error) {
	o = o.withDefaults()
	if err := o.FS.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, err
	}
	l, err := lock(o.FS, o.Dir)
	if err != nil {
		return nil, err
	}
	d := &DB{
		opts: o, shared: o.Shared, lockFile: l, fence: newFence(o.FS),
		poisoned: make(chan struct{}), synced: make(chan struct{}),
		slots: make(chan struct{}, maxInFlight), queue: make(chan pending, maxInFlight),
	}
	d.open.snapshots = make(map[*snapshot]struct{})
	if d.shared == nil {
		d.shared, d.ownShared = NewShared(SharedOptions{}), true
	}
	if err := d.start(); err != nil {
		if d.ownShared {
			d.shared.Close()
		}
		return nil, errors.Join(mapError(err), l.Close())
	}
	return d, nil
}

// start takes the next epoch and opens pebble.
func (d *DB) start() error {
	fs, dir := d.opts.FS, d.opts.Dir
	if err := d.takeEpoch(); err != nil {
		return err
	}
	segs, err := openSegments(d, fs.PathJoin(dir, "segments"))
	if err != nil {
		return err
	}
	d.segs = segs
	if err := syncDir(fs, dir); err != nil {
		return err
	}
	d.wireFence()
	if err := d.openPebble(); err != nil {
		return err
	}
	d.wait.durable.Store(uint64(d.sequence(0)))
	d.shared.join(d)
	d.fence.armed.Store(true)
	d.watch.kick = make(chan struct{}, 1)
	d.watch.stop, d.watch.done = make(chan struct{}), make(chan struct{})
	d.sample()
	go d.syncLoop()
	go d.watchLoop()
	return nil
}

func (d *DB) takeEpoch() error {
	fs, dir := d.opts.FS, d.opts.Dir
	epoch, err := readEpoch(fs, dir)
	if err != nil {
		return err
	}
	pdir := fs.PathJoin(dir, "db")
	if epoch == 0 {
		// The epoch is written before the database is made, and last in a checkpoint.
		if _, err := fs.Stat(pdir); err == nil {
			return fmt.Errorf("%w: %s has a database but no epoch file", kv.ErrCorrupt, dir)
		}
		if parent := fs.PathDir(dir); parent != "" {
			if err := syncDir(fs, parent); err != nil {
				return err
			}
		}
	}
	d.epoch = epoch + 1
	if d.epoch >= 1<<(64-sequenceBits) {
		return fmt.Errorf("%w: epoch %d", kv.ErrFormat, d.epoch)
	}
	if err := writeEpoch(fs, dir, d.epoch); err != nil {
		return err
	}
	return fs.MkdirAll(pdir, 0o700)
}

func (d *DB) wireFence() {
	d.fence.fail = d.fail
	d.fence.noSpace = d.noSpace
	d.fence.syncing = func() { d.group.Store(int64(len(d.slots))) }
	d.fence.synced = func(took time.Duration) {
		d.count.syncs.Add(1)
		d.tookSync(took)
		d.count.syncNanos.Add(uint64(took))
		if f := d.opts.Events.SlowSync; f != nil && took > time.Second {
			f(took)
		}
	}
}

// openPebble also finds the number pebble gives the next operation: an empty
// log record is numbered but uses no number up.
func (d *DB) openPebble() (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("pebble: open: %v", r)
		}
	}()
	p, err := pebble.Open(d.opts.FS.PathJoin(d.opts.Dir, "db"), d.pebbleOptions())
	if err != nil && strings.Contains(err.Error(), "format major version") {
		return fmt.Errorf("%w: %w", kv.ErrFormat, err)
	}
	if err != nil {
		return err
	}
	d.p = p
	probe := p.NewBatch()
	defer probe.Close()
	if err = probe.LogData([]byte("open"), nil); err == nil {
		err = p.Apply(probe, pebble.Sync)
	}
	d.first = uint64(probe.SeqNum())
	if err == nil {
		err = d.failure()
	}
	if err != nil {
		_ = p.Close()
	}
	return err
}

// pebbleOptions suit many small rows in ordered ranges with point reads of
// rows that often do not exist (look-ups by hash).
func (d *DB) pebbleOptions() *pebble.Options {
	o := &pebble.Options{
		FS:                          d.fence,
		Cache:                       d.shared.cache,
		FileCache:                   d.shared.files,
		FormatMajorVersion:          pebble.FormatNewest,
		MemTableSize:                uint64(d.opts.MemTable),
		MemTableStopWritesThreshold: 4,
		L0CompactionThreshold:       4,
		L0StopWritesThreshold:       l0Stop,
		LBaseMaxBytes:               64 << 20,
		MaxManifestFileSize:         16 << 20,
		WALMinSyncInterval:          d.gather,
		Logger:                      logger{d},
		EventListener:               d.listener(),
	}
	o.CompactionConcurrencyRange = func() (int, int) { return 1, d.shared.slots.limit }
	o.Experimental.CompactionScheduler = &member{s: d.shared.slots}
	// Snappy above, zstd in the two lowest levels, where nearly all data is.
	o.ApplyCompressionSettings(func() pebble.DBCompressionSettings { return pebble.DBCompressionBalanced })
	for i := range o.Levels {
		o.Levels[i].BlockSize = 8 << 10
		o.Levels[i].IndexBlockSize = 128 << 10
		o.Levels[i].FilterPolicy = bloom.FilterPolicy(10)
	}
	return o
}

// listener hears pebble's events; it may be called with pebble's locks held.
func (d *DB) listener() *pebble.EventListener {
	return &pebble.EventListener{
		BackgroundError: d.backgroundError,
		WriteStallBegin: func(i pebble.WriteStallBeginInfo) {
			d.stall.begin()
			if f := d.opts.Events.Stall; f != nil {
				f(i.Reason)
			}
		},
		WriteStallEnd: func() {
			d.stall.end()
			if f := d.opts.Events.Stall; f != nil {
				f("")
			}
		},
		// A new log goes with each new memtable.
		WALCreated: func(pebble.WALCreateInfo) {
			if d.fence.armed.Load() {
				d.mem.rotated()
			}
		},
		FlushBegin: func(pebble.FlushInfo) { d.mem.flushBegan() },
		FlushEnd:   func(i pebble.FlushInfo) { d.mem.flushEnded(i.Err) },
		// The default of pebble ends the process.
		DataCorruption: func(i pebble.DataCorruptionInfo) {
			if f := d.opts.Events.BackgroundError; f != nil {
				f(fmt.Errorf("%w: %s", kv.ErrCorrupt, i.Path))
			}
		},
	}
}

// backgroundError: a full disk is waited out, and damage to one table leaves
// the others readable; after anything else nothing pebble says can be relied on.
func (d *DB) backgroundError(err error) {
	if d.fence.turned.Load() {
		time.Sleep(10 * time.Millisecond) // pebble retries at once
		return
	}
	if f := d.opts.Events.BackgroundError; f != nil {
		f(mapError(err))
	}
	switch {
	case vfs.IsNoSpaceError(err):
		d.noSpace()
	case pebble.IsCorruptionError(err):
	default:
		d.fail(err)
	}
}

// logger passes pebble's lines on and survives its fatal errors.
type logger struct{ d *DB }

// Infof implements pebble.Logger.
func (l logger) Infof(format string, args ...any) { l.Errorf(format, args...) }

// Errorf implements pebble.Logger.
func (l logger) Errorf(format string, args ...any) {
	if f := l.d.opts.Events.Log; f != nil {
		f(fmt.Sprintf(format, args...))
	}
}

// Fatalf implements pebble.Logger; it must not return. A call of ours gets a
// panic that it recovers; a goroutine of pebble's ends.
func (l logger) Fatalf(format string, args ...any) {
	err := fmt.Errorf(format, args...)
	l.d.fail(err)
	if calledByUs() {
		panic(err)
	}
	runtime.Goexit()
}

// calledByUs reports whether this goroutine came through commit, open or close.
func calledByUs() bool {
	pcs := make([]uintptr, 128)
	frames := runtime.CallersFrames(pcs[:runtime.Callers(3, pcs)])
	for {
		f, more := frames.Next()
		if strings.HasPrefix(f.Function, "rialto/") {
			return true
		}
		if !more {
			return false
		}
	}
}

// quiet takes pebble's lines while a damaged database is read.
type quiet struct{}

// Infof implements pebble.Logger.
func (quiet) Infof(string, ...any) {}

// Errorf implements pebble.Logger.
func (quiet) Errorf(string, ...any) {}

// Fatalf implements pebble.Logger; it must not return.
func (quiet) Fatalf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }
