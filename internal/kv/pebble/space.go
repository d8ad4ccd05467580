package pebble

import (
	"errors"
	"fmt"
	"math"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"rialto/internal/kv"
)

// space is what admission knows of the disk, as of the last sample.
type space struct {
	free   atomic.Uint64 // bytes; MaxUint64 where the file system cannot tell
	since  atomic.Uint64 // bytes committed since
	full   atomic.Bool   // pebble met a full disk
	debt   atomic.Uint64 // bytes compaction is behind
	behind atomic.Bool   // debt is over the bound
	deep   atomic.Bool   // L0 is near the point where pebble stops writes

	told    atomic.Bool // Events.Space was last told of a refusal
	ballast atomic.Bool // the file exists
}

// resampleBytes of commits call for a new look at the disk.
const resampleBytes = 16 << 20

// refusal says why an ordinary batch is not taken now; nil: it is. A committed
// byte can take three on the disk before the next sample: log, table, and
// table again.
func (s *space) refusal(minFree uint64) error {
	free := s.free.Load()
	switch {
	case s.full.Load():
		return fmt.Errorf("%w: the disk is full", kv.ErrNoSpace)
	case free != math.MaxUint64 && free < minFree+3*s.since.Load():
		return fmt.Errorf("%w: %d bytes free, watermark %d", kv.ErrNoSpace, free, minFree)
	case s.behind.Load():
		return fmt.Errorf("%w: compaction is %d bytes behind", kv.ErrNoSpace, s.debt.Load())
	}
	return nil
}

func (s *space) taken(n uint64, d *DB) {
	now := s.since.Add(n)
	if now/resampleBytes != (now-n)/resampleBytes {
		d.kick()
	}
}

// kick asks for a sample soon.
func (d *DB) kick() {
	select {
	case d.watch.kick <- struct{}{}:
	default:
	}
}

func (d *DB) noSpace() {
	d.space.full.Store(true)
	d.kick()
}

// watchLoop samples, keeps the ballast and the memtable budget, and sees when
// another owner has taken the directory.
func (d *DB) watchLoop() {
	defer close(d.watch.done)
	tick := time.NewTicker(d.opts.Sample)
	defer tick.Stop()
	for {
		select {
		case <-d.watch.stop:
			return
		case <-tick.C:
			d.checkOwner()
		case <-d.watch.kick:
			// Refusals kick too; a full disk must not make this spin.
			select {
			case <-d.watch.stop:
				return
			case <-time.After(d.opts.Sample / 20):
			}
		}
		if d.poison.Load() != nil {
			continue
		}
		d.sample()
		if victim := d.shared.overBudget(); victim != nil {
			victim.flush()
		}
	}
}

// flush starts writing out the memtables, unless that was asked for already.
func (d *DB) flush() {
	if d.stall.closed.Load() != nil || d.enter() != nil {
		return
	}
	defer d.life.RUnlock()
	if d.mem.asked.CompareAndSwap(false, true) {
		_, _ = d.p.AsyncFlush()
	}
}

// sample looks at the disk and at pebble's backlog.
func (d *DB) sample() {
	s := &d.space
	s.since.Store(0)
	free := uint64(math.MaxUint64)
	if u, err := d.opts.FS.GetDiskUsage(d.opts.Dir); err == nil {
		free = u.AvailBytes
	}
	m := d.p.Metrics()
	s.debt.Store(m.Compact.EstimatedDebt)
	s.behind.Store(m.Compact.EstimatedDebt > d.opts.MaxDebt)
	s.deep.Store(m.Levels[0].Sublevels >= l0Stop*2/3)
	wasFull := s.full.Load()
	d.trimBallast(free, wasFull)
	s.free.Store(free)
	if wasFull && free >= d.opts.MinFree {
		s.full.Store(false)
	}
	why := s.refusal(d.opts.MinFree)
	if s.told.Swap(why != nil) != (why != nil) && d.opts.Events.Space != nil {
		d.opts.Events.Space(why)
	}
}

// trimBallast gives the ballast back when the disk is nearly full, so that
// batches that free space, and the compactions after them, can be written. It
// makes the ballast anew when there is ample room.
func (d *DB) trimBallast(free uint64, full bool) {
	if d.opts.Ballast <= 0 {
		return
	}
	fs, name := d.opts.FS, d.opts.FS.PathJoin(d.opts.Dir, "ballast")
	switch {
	case full || free < d.opts.MinFree/4:
		d.space.ballast.Store(false)
		if err := fs.Remove(name); err == nil {
			_ = syncDir(fs, d.opts.Dir)
		}
	case free != math.MaxUint64 && free > d.opts.MinFree+2*uint64(d.opts.Ballast) && !d.space.ballast.Load():
		if err := fillBallast(fs, name, d.opts.Ballast); err != nil {
			_ = fs.Remove(name)
			return
		}
		d.space.ballast.Store(true)
	}
}

// fillBallast makes the file unless it is there already, by writing: only on
// some file systems does preallocation take the space.
func fillBallast(fs vfs.FS, name string, size int64) error {
	if info, err := fs.Stat(name); err == nil && info.Size() == size {
		return nil
	}
	f, err := fs.Create(name, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	if err = f.Preallocate(0, size); err == nil {
		chunk := make([]byte, 1<<20)
		for left := size; left > 0 && err == nil; left -= int64(len(chunk)) {
			clear(chunk)
			_, err = f.Write(chunk[:min(left, int64(len(chunk)))])
		}
	}
	return errors.Join(err, f.Close())
}

// checkOwner poisons the database when its epoch file is of a newer owner, or
// has gone with the directory.
func (d *DB) checkOwner() {
	epoch, err := readEpoch(d.opts.FS, d.opts.Dir)
	if errors.Is(err, kv.ErrFormat) || (err == nil && epoch != d.epoch) {
		d.fail(fmt.Errorf("%w: epoch %d, ours is %d", kv.ErrFenced, epoch, d.epoch))
	}
}
