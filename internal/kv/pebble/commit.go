package pebble

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/batchrepr"

	"rialto/internal/kv"
)

// maxInFlight bounds the commits that are not durable yet. Pebble's own queue
// of log syncs has 511 places and blocks without a context when it is full.
const maxInFlight = 480

// commit is an ordered batch.
type commit struct {
	d   *DB
	seq kv.Sequence
}

// Sequence implements kv.Commit.
func (c *commit) Sequence() kv.Sequence { return c.seq }

// Wait implements kv.Commit.
func (c *commit) Wait(ctx context.Context) error { return c.d.wait.until(ctx, c.seq) }

// Commit implements kv.DB. A stalled engine is waited for outside, where ctx
// counts; a batch already inside when the stall begins, while memtables are
// queueing, is left to a goroutine, so that ctx still ends the call.
func (d *DB) Commit(ctx context.Context, kb kv.Batch) (kv.Commit, error) {
	b, ok := kb.(*batch)
	if !ok || b.db != d || (b.p == nil && b.err == nil) {
		kb.Close()
		return nil, errors.New("pebble: the batch is closed or of another database")
	}
	if err := d.enter(); err != nil {
		b.Close()
		return nil, err
	}
	if b.err == nil && b.count > 0 {
		if err := d.admit(ctx, b); err != nil {
			d.life.RUnlock()
			b.Close()
			return nil, err
		}
	}
	if b.err != nil || b.p.Count() == 0 {
		d.life.RUnlock()
		err := b.err
		b.Close()
		if err != nil {
			return nil, err
		}
		return &commit{d, d.sequence(d.announced.Load())}, nil
	}
	return d.order(ctx, b)
}

// admit waits for and takes all that b needs to go to the engine, but the slot
// of a batch without operations.
func (d *DB) admit(ctx context.Context, b *batch) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if !b.reclaim {
		if err := d.space.refusal(d.opts.MinFree); err != nil {
			d.count.refused.Add(1)
			d.kick()
			return err
		}
	}
	if err := d.stall.pass(ctx, d.poisoned); err != nil {
		return err
	}
	if b.p.Count() == 0 {
		return nil
	}
	select {
	case d.slots <- struct{}{}:
		return nil
	default:
	}
	select {
	case d.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-d.poisoned:
		return d.failure()
	}
}

// order gives b to pebble; the caller holds d.life, which order releases.
func (d *DB) order(ctx context.Context, b *batch) (kv.Commit, error) {
	if d.mem.sealed.Load() < int64(d.opts.MemTable) && !d.space.deep.Load() {
		seq, err := d.apply(b)
		d.life.RUnlock()
		if err != nil {
			return nil, err
		}
		return &commit{d, seq}, nil
	}
	type result struct {
		seq kv.Sequence
		err error
	}
	done := make(chan result, 1)
	go func() {
		seq, err := d.apply(b)
		d.life.RUnlock()
		done <- result{seq, err}
	}()
	select {
	case r := <-done:
		if r.err != nil {
			return nil, r.err
		}
		return &commit{d, r.seq}, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("%w: %w", kv.ErrUnknown, ctx.Err())
	case <-d.poisoned:
		return nil, d.failure()
	}
}

// apply orders b, makes it visible and hands it to the sync loop. Whatever
// goes wrong here has left pebble in an unknown state: poison.
func (d *DB) apply(b *batch) (seq kv.Sequence, err error) {
	defer func() {
		if r := recover(); r != nil {
			d.fail(fmt.Errorf("pebble: commit: %v", r))
			err = d.failure()
		}
	}()
	ops := uint64(b.p.Count())
	if d.announced.Add(ops) >= 1<<sequenceBits {
		d.fail(errors.New("pebble: sequences of this epoch are used up"))
		return 0, d.failure()
	}
	// Pebble writes the number it gives into the head of the batch. Of a batch
	// that is large beside a memtable it keeps the octets and the batch forgets
	// them: SeqNum would be 0, and the watermark that follows from it anything.
	head := b.p.Repr()
	if err := d.p.ApplyNoSyncWait(b.p, pebble.Sync); err != nil {
		d.fail(err)
		return 0, d.failure()
	}
	n := uint64(batchrepr.ReadSeqNum(head))
	if n < d.first {
		d.fail(fmt.Errorf("pebble: a batch has number %d, before %d", n, d.first))
		return 0, d.failure()
	}
	seq = d.sequence(n + ops - d.first)
	d.count.commits.Add(1)
	d.count.bytes.Add(uint64(b.size))
	// A memtable entry costs about 64 bytes beside its key and value.
	d.mem.active.Add(int64(b.size + 64*b.count))
	d.space.taken(uint64(b.size), d)
	d.queue <- pending{b.p, seq}
	b.p = nil
	return seq, nil
}

// stallGate keeps commits out while pebble has stopped writes.
type stallGate struct {
	closed atomic.Pointer[chan struct{}]
}

func (g *stallGate) begin() {
	c := make(chan struct{})
	g.closed.CompareAndSwap(nil, &c)
}

func (g *stallGate) end() {
	if c := g.closed.Swap(nil); c != nil {
		close(*c)
	}
}

// pass waits for the end of a stall, of ctx or of the database.
func (g *stallGate) pass(ctx context.Context, poisoned <-chan struct{}) error {
	for {
		c := g.closed.Load()
		if c == nil {
			return nil
		}
		select {
		case <-*c:
		case <-ctx.Done():
			return ctx.Err()
		case <-poisoned:
			return kv.ErrPoisoned
		}
	}
}
