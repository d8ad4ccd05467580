package postgres

import (
	"context"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"rialto/internal/kv"
	"rialto/internal/kv/treap"
)

// sequenceBits are the low bits of a sequence: commits since the open. The
// bits above are the epoch.
const sequenceBits = 42

// DB is a database. It implements kv.DB, kv.Leased, kv.Metered, kv.Rewinder and kv.Spacer.
type DB struct {
	opts    Options
	sql     statements
	tables  []Table
	lease   lease
	cache   *cache
	base    kv.Sequence // of the open
	ctx     context.Context
	cancel  context.CancelFunc
	conn    *pgx.Conn // the committer's; it alone uses it after Open
	trust   trust     // so is this
	warned  atomic.Bool
	readers *pgxpool.Pool
	extra   chan struct{} // one token per connection that a generation may add
	kick    chan struct{} // wakes the committer
	watch   chan struct{} // wakes the keeper
	quiet   chan struct{} // closed when the committer has ended: no answer follows
	loops   sync.WaitGroup
	reads   sync.WaitGroup // round trips of readers; Add under mu while err is nil

	floor  kv.Sequence // position of the witness as long as nothing was committed
	rewind atomic.Pointer[kv.Rewind]

	ended atomic.Pointer[error] // err, to be read without mu

	mu      sync.Mutex
	err     error // why no call is answered any more
	closed  bool
	last    kv.Sequence
	changed chan struct{} // closed at the next commit, at durability and at the end
	layers  []*layer      // ordered batches that the overlay consists of
	taken   int           // of them, those the committer took
	bytes   int64         // of layers
	pending int64         // of them, bytes that are not durable
	over    overlay
	edit    treap.Edit    // of over; ends when a view takes it
	gen     *generation   // nil: nobody reads
	opening chan struct{} // closed when the generation on its way is there
	genErr  error         // of the latest attempt
	alive   []*generation // oldest first
	snaps   map[*snapshot]struct{}

	durable  atomic.Uint64
	patience atomic.Int64 // Options.Deadline
	full     atomic.Bool  // the server's disk was full at the last try
	space    space
	count    counters
}

type counters struct {
	commits, bytes, syncs, syncNanos, refused atomic.Uint64
}

// layer is one ordered batch.
type layer struct {
	seq  kv.Sequence
	ops  []op
	size int64
}

var (
	_ kv.DB       = (*DB)(nil)
	_ kv.Leased   = (*DB)(nil)
	_ kv.Metered  = (*DB)(nil)
	_ kv.Rewinder = (*DB)(nil)
	_ kv.Spacer   = (*DB)(nil)
)

// Epoch implements kv.Leased.
func (d *DB) Epoch() uint64 { return uint64(d.lease.epoch) }

// fail poisons the database.
func (d *DB) fail(cause error) {
	err := fmt.Errorf("%w: %w", kv.ErrPoisoned, cause)
	d.mu.Lock()
	first := d.err == nil
	if first {
		d.end(err)
	}
	d.mu.Unlock()
	if f := d.opts.Events.Poisoned; first && f != nil {
		f(cause)
	}
}

// Abandon poisons the database at once, for an owner that learns from elsewhere
// that it has lost its lease: nothing is read or written any more, and what is
// not durable may or may not be there. Close is still to be called.
func (d *DB) Abandon(cause error) { d.fail(cause) }

// end sets why no call is answered from here on; the caller holds mu.
func (d *DB) end(err error) {
	d.err = err
	d.ended.Store(&err)
	d.cancel()
	d.notify()
}

// notify wakes all who wait for changes; the caller holds mu.
func (d *DB) notify() {
	close(d.changed)
	d.changed = make(chan struct{})
}

func (d *DB) failure() error {
	if err := d.ended.Load(); err != nil {
		return *err
	}
	return nil
}

// Close implements kv.DB.
func (d *DB) Close() error {
	d.mu.Lock()
	if d.closed {
		d.mu.Unlock()
		return kv.ErrClosed
	}
	d.closed = true
	last, err := d.last, d.err
	d.mu.Unlock()
	if err == nil {
		err = d.WaitDurable(context.Background(), last)
	}
	d.mu.Lock()
	d.end(kv.ErrClosed)
	d.mu.Unlock()
	d.loops.Wait()
	d.reads.Wait()
	d.mu.Lock()
	rest := d.alive
	d.alive, d.gen, d.over, d.layers = nil, nil, overlay{}, nil
	d.mu.Unlock()
	for _, g := range rest {
		g.close()
	}
	d.readers.Close()
	if d.conn != nil {
		closeConn(d.conn)
	}
	return err
}

// Durable implements kv.DB.
func (d *DB) Durable() kv.Sequence { return kv.Sequence(d.durable.Load()) }

// WaitDurable implements kv.DB.
func (d *DB) WaitDurable(ctx context.Context, s kv.Sequence) error {
	for {
		if d.Durable() >= s {
			return nil
		}
		d.mu.Lock()
		err, changed := d.err, d.changed
		d.mu.Unlock()
		if d.Durable() >= s {
			return nil
		}
		if err != nil {
			return err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Metrics implements kv.Metered.
func (d *DB) Metrics() kv.Metrics {
	m := kv.Metrics{
		Commits: d.count.commits.Load(), CommitBytes: d.count.bytes.Load(),
		Syncs: d.count.syncs.Load(), SyncTime: time.Duration(d.count.syncNanos.Load()),
		Refused: d.count.refused.Load(), CacheBytes: d.cache.size(), DiskBytes: d.space.used.Load(),
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for s := range d.snaps {
		m.AddSnapshot(s.owner, time.Since(s.born))
	}
	return m
}

// space is what is known of the server's disk.
type space struct {
	free, used atomic.Uint64
}

// Space implements kv.Spacer. Free is math.MaxInt64 where it is not known.
func (d *DB) Space() (free, used uint64, err error) {
	if err := d.failure(); err != nil {
		return 0, 0, err
	}
	return d.space.free.Load(), d.space.used.Load(), nil
}

// sampleSpace looks at the disk until the database ends.
func (d *DB) sampleSpace() {
	defer d.loops.Done()
	t := time.NewTicker(d.opts.Sample)
	defer t.Stop()
	for {
		d.lookAtSpace()
		select {
		case <-t.C:
		case <-d.ctx.Done():
			return
		}
	}
}

func (d *DB) lookAtSpace() {
	if d.opts.Free != nil {
		if n, err := d.opts.Free(); err == nil {
			d.space.free.Store(n)
		}
	}
	ctx, cancel := context.WithTimeout(d.ctx, d.deadline())
	defer cancel()
	var used int64
	if err := d.readers.QueryRow(ctx, d.sql.size, d.opts.Schema).Scan(&used); err == nil {
		d.space.used.Store(uint64(used))
	}
}

// refusal says why a commit that does not free space is not taken.
func (d *DB) refusal() error {
	if d.full.Load() {
		return fmt.Errorf("%w: the server's disk is full", kv.ErrNoSpace)
	}
	if free := d.space.free.Load(); free < d.opts.MinFree {
		return fmt.Errorf("%w: %d bytes free", kv.ErrNoSpace, free)
	}
	return nil
}

const unknownSpace = math.MaxInt64

func (d *DB) deadline() time.Duration { return time.Duration(d.patience.Load()) }
