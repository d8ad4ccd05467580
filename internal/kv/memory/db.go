// Package memory is the kv engine for tests: a persistent treap in memory with
// a "disk" beside it that has only what was synced. It can lose power, fail a
// sync, be slow and be full.
//
// A commit replaces the root. A Wait syncs: the first waiter sleeps the
// latency and makes the then newest root durable, the others find it done; so
// several commits share a sync, and nothing becomes durable on its own.
package memory

import (
	"context"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"rialto/internal/kv"
	"rialto/internal/kv/treap"
)

// sequenceBits are the low bits of a sequence; the epoch is above them.
const sequenceBits = 42

// Options say how a database behaves.
type Options struct {
	SyncLatency time.Duration // of each sync of the log
	MinFree     uint64        // low watermark of free space
}

// tree is one state of the map.
type tree = treap.Tree[[]byte]

// disk is what survives a power cut.
type disk struct {
	mu    sync.Mutex
	owned bool
	epoch uint64
	root  tree
	segs  map[uint64]*segment
}

// DB is a database. It implements kv.DB, kv.Leased, kv.Metered, kv.Spacer and
// kv.Segmented.
type DB struct {
	opts  Options
	disk  *disk
	epoch uint64
	free  atomic.Uint64
	fails atomic.Int64 // syncs until one fails; 0: none will

	mu      sync.RWMutex
	root    tree
	last    kv.Sequence
	err     error         // ErrClosed or a poison
	changed chan struct{} // closed at the next commit or end
	snaps   map[*snapshot]struct{}
	m       kv.Metrics

	durable atomic.Uint64
	syncing chan struct{} // holds one token while a waiter syncs
	segs    *segments
}

var (
	_ kv.DB        = (*DB)(nil)
	_ kv.Leased    = (*DB)(nil)
	_ kv.Metered   = (*DB)(nil)
	_ kv.Spacer    = (*DB)(nil)
	_ kv.Segmented = (*DB)(nil)
)

// New returns an open database on an empty disk of its own.
func New(o Options) *DB {
	d := &disk{segs: make(map[uint64]*segment)}
	return d.open(o)
}

func (k *disk) open(o Options) *DB {
	k.owned = true
	k.epoch++
	d := &DB{
		opts: o, disk: k, epoch: k.epoch, root: k.root,
		changed: make(chan struct{}), syncing: make(chan struct{}, 1),
		snaps: make(map[*snapshot]struct{}),
	}
	d.last = kv.Sequence(k.epoch << sequenceBits)
	d.durable.Store(uint64(d.last))
	d.free.Store(math.MaxUint64)
	d.segs = &segments{d: d}
	return d
}

// Reopen opens what the disk holds, once d is closed or has lost power.
// kv.ErrLocked before that.
func (d *DB) Reopen() (*DB, error) {
	k := d.disk
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.owned {
		return nil, kv.ErrLocked
	}
	return k.open(d.opts), nil
}

// Copy returns an open database on a disk of its own whose map is that of d now,
// without the segments. States are shared, so it costs nothing: fixtures that are
// dear to make are made once.
func (d *DB) Copy() *DB {
	k := &disk{root: d.current(), segs: make(map[uint64]*segment)}
	return k.open(d.opts)
}

// PowerCut drops everything that is not durable, in the map and in segments.
// d and all it gave out answer kv.ErrPoisoned from here on.
func (d *DB) PowerCut() {
	d.end(fmt.Errorf("%w: the power failed", kv.ErrPoisoned))
	d.disk.release(d, true)
}

// FailSync makes the n-th sync from now fail, 1 being the next.
func (d *DB) FailSync(n int) { d.fails.Store(int64(n)) }

// SetFree sets the free space that admission sees; at first it is endless.
func (d *DB) SetFree(bytes uint64) { d.free.Store(bytes) }

// release gives the disk up; a power cut also loses unsynced segments.
func (k *disk) release(d *DB, lost bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.epoch != d.epoch || !k.owned {
		return
	}
	k.owned = false
	if !lost {
		return
	}
	for _, s := range k.segs {
		s.mu.Lock()
		s.data = append([]byte(nil), s.data[:s.synced]...)
		s.mu.Unlock()
	}
}

// end sets why no call is answered any more; the first reason stays, but a
// poison may turn into ErrClosed.
func (d *DB) end(why error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.err == nil {
		d.err = why
		close(d.changed)
	}
}

func (d *DB) failure() error {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.err
}

// Epoch implements kv.Leased.
func (d *DB) Epoch() uint64 { return d.epoch }

// Close implements kv.DB.
func (d *DB) Close() error {
	d.mu.RLock()
	last, err := d.last, d.err
	d.mu.RUnlock()
	if err == kv.ErrClosed {
		return err
	}
	if err == nil {
		err = d.WaitDurable(context.Background(), last)
	}
	d.end(kv.ErrClosed)
	d.mu.Lock()
	d.err = kv.ErrClosed
	d.mu.Unlock()
	// Closing does not sync segments, and what the page cache holds survives.
	d.disk.release(d, false)
	return err
}

// Space implements kv.Spacer.
func (d *DB) Space() (free, used uint64, err error) {
	if err := d.failure(); err != nil {
		return 0, 0, err
	}
	for c := d.current().Cursor(nil, nil, false); ; c.Next() {
		key, value, ok := c.Pair()
		if !ok {
			return d.free.Load(), used, nil
		}
		used += uint64(len(key) + len(value))
	}
}

func (d *DB) current() tree {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.root
}

// Metrics implements kv.Metered.
func (d *DB) Metrics() kv.Metrics {
	d.mu.RLock()
	defer d.mu.RUnlock()
	m := d.m
	for s := range d.snaps {
		m.AddSnapshot(s.owner, time.Since(s.born))
	}
	return m
}
