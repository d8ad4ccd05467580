package pebble

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"rialto/internal/kv"
)

// sequenceBits are the low bits of a sequence: operations since the open. The
// bits above are the epoch: four million opens, years of writing in each.
const sequenceBits = 42

// closeGrace is how long Close waits for a poisoned pebble before it leaves it
// behind its fence.
const closeGrace = 10 * time.Second

// DB is a database. It implements kv.DB, kv.Checkpointer, kv.Spacer,
// kv.Metered, kv.Leased and kv.Segmented.
type DB struct {
	opts      Options
	shared    *Shared
	ownShared bool
	p         *pebble.DB
	fence     *fence
	lockFile  io.Closer
	epoch     uint64
	first     uint64 // pebble's number of the first operation after the open

	// life is held for reading during every call, for writing by Close.
	life   sync.RWMutex
	closed bool

	poison   atomic.Pointer[error]
	poisoned chan struct{} // closed after poison is set

	announced atomic.Uint64 // operations given to pebble since the open, or about to be
	slots     chan struct{} // one per commit that is not durable yet
	queue     chan pending
	synced    chan struct{} // the sync loop has ended
	wait      waitlist
	group     atomic.Int64 // commits in flight when the last log sync began
	syncTime  atomic.Int64 // mean of the latest log syncs, in nanoseconds

	mem   memUse
	stall stallGate
	space space
	watch struct {
		kick, stop, done chan struct{}
	}

	open struct {
		sync.Mutex
		snapshots map[*snapshot]struct{}
		iterators iterList // those of DB.Scan
	}
	segs  *segments
	count counters
}

type counters struct {
	commits, bytes, syncs, syncNanos, refused atomic.Uint64
}

// memUse estimates the bytes in memtables.
type memUse struct {
	active   atomic.Int64 // in the mutable one
	sealed   atomic.Int64 // in those that wait for a flush; pebble gathers small ones
	flushing atomic.Int64 // of sealed, those in the flush at work
	asked    atomic.Bool  // a flush was asked for and has not ended
}

func (m *memUse) total() int64 { return m.active.Load() + m.sealed.Load() }

// rotated: a new memtable, and log, was begun.
func (m *memUse) rotated() { m.sealed.Add(m.active.Swap(0)) }

func (m *memUse) flushBegan() { m.flushing.Store(m.sealed.Load()) }

func (m *memUse) flushEnded(err error) {
	m.asked.Store(false)
	if n := m.flushing.Swap(0); err == nil {
		m.sealed.Add(-n)
	}
}

var (
	_ kv.DB           = (*DB)(nil)
	_ kv.Checkpointer = (*DB)(nil)
	_ kv.Spacer       = (*DB)(nil)
	_ kv.Metered      = (*DB)(nil)
	_ kv.Leased       = (*DB)(nil)
	_ kv.Segmented    = (*DB)(nil)
)

// Epoch implements kv.Leased.
func (d *DB) Epoch() uint64 { return d.epoch }

func (d *DB) sequence(ops uint64) kv.Sequence {
	return kv.Sequence(d.epoch<<sequenceBits | ops)
}

// enter begins a call; nil obliges the caller to call d.life.RUnlock.
func (d *DB) enter() error {
	d.life.RLock()
	var err error
	if d.closed {
		err = kv.ErrClosed
	} else if p := d.poison.Load(); p != nil {
		err = *p
	}
	if err != nil {
		d.life.RUnlock()
	}
	return err
}

// fail poisons the database: the disk is left alone from here on.
func (d *DB) fail(cause error) {
	err := fmt.Errorf("%w: %w", kv.ErrPoisoned, mapError(cause))
	first := d.poison.CompareAndSwap(nil, &err)
	// Only now: a sync that the turned fence lets succeed must find the poison.
	d.fence.turned.Store(true)
	if !first {
		return
	}
	close(d.poisoned)
	d.wait.fail(err)
	if f := d.opts.Events.Poisoned; f != nil {
		f(cause)
	}
}

// failure returns the poison, nil if there is none.
func (d *DB) failure() error {
	if p := d.poison.Load(); p != nil {
		return *p
	}
	return nil
}

// mapError gives pebble's errors the contract's names.
func mapError(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, pebble.ErrNotFound):
		return kv.ErrNotFound
	case pebble.IsCorruptionError(err):
		return fmt.Errorf("%w: %w", kv.ErrCorrupt, err)
	}
	return err
}

// Get implements kv.Reader.
func (d *DB) Get(ctx context.Context, key []byte) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := d.enter(); err != nil {
		return nil, err
	}
	defer d.life.RUnlock()
	return d.get(d.p, key)
}

// get copies a value out of r.
func (d *DB) get(r pebble.Reader, key []byte) ([]byte, error) {
	v, closer, err := r.Get(key)
	if err == pebble.ErrNotFound {
		return nil, kv.ErrNotFound
	}
	if err != nil {
		if p := d.failure(); p != nil {
			return nil, p
		}
		return nil, mapError(err)
	}
	out := make([]byte, len(v))
	copy(out, v)
	return out, closer.Close()
}

// GetMany implements kv.Reader. The values are those of one moment.
func (d *DB) GetMany(ctx context.Context, keys [][]byte) ([][]byte, error) {
	if err := d.enter(); err != nil {
		return nil, err
	}
	defer d.life.RUnlock()
	if len(keys) < 2 {
		return d.getMany(ctx, d.p, keys)
	}
	s := d.p.NewSnapshot()
	defer s.Close()
	return d.getMany(ctx, s, keys)
}

func (d *DB) getMany(ctx context.Context, r pebble.Reader, keys [][]byte) ([][]byte, error) {
	out := make([][]byte, len(keys))
	for i, k := range keys {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		v, err := d.get(r, k)
		if err != nil && err != kv.ErrNotFound {
			return nil, err
		}
		out[i] = v
	}
	return out, nil
}

// Close implements kv.DB. After a poison it returns the poison, and within
// closeGrace.
func (d *DB) Close() error {
	d.life.Lock()
	if d.closed {
		d.life.Unlock()
		return kv.ErrClosed
	}
	d.closed = true
	d.life.Unlock()

	close(d.watch.stop)
	<-d.watch.done
	close(d.queue)
	<-d.synced
	d.wait.fail(kv.ErrClosed)
	d.closeReaders()
	d.shared.leave(d)
	err := errors.Join(d.segs.close(), d.closePebble())
	if err2 := d.lockFile.Close(); err == nil {
		err = err2
	}
	if d.ownShared {
		d.shared.Close()
	}
	if p := d.failure(); p != nil {
		return p
	}
	return mapError(err)
}

// closeReaders ends the snapshots and iterators that are still open.
func (d *DB) closeReaders() {
	d.open.Lock()
	snaps := d.open.snapshots
	d.open.snapshots = nil
	d.open.Unlock()
	for s := range snaps {
		s.end(kv.ErrClosed)
	}
	d.open.iterators.end(kv.ErrClosed)
}

// closePebble does not wait for ever once the database is poisoned: behind the
// fence an abandoned pebble can do no harm but keep its memory.
func (d *DB) closePebble() error {
	done := make(chan error, 1)
	go func() {
		defer func() {
			if r := recover(); r != nil {
				done <- fmt.Errorf("pebble: close: %v", r)
			}
		}()
		done <- d.p.Close()
	}()
	select {
	case err := <-done:
		return err
	case <-d.poisoned:
	}
	grace := time.NewTimer(closeGrace)
	defer grace.Stop()
	select {
	case err := <-done:
		return err
	case <-grace.C:
		return os.ErrDeadlineExceeded
	}
}
