package memory

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"rialto/internal/kv"
)

// errInjected is what FailSync makes a sync answer.
var errInjected = errors.New("memory: injected sync failure")

type opKind byte

const (
	opSet opKind = iota
	opDelete
	opDeleteRange
)

type op struct {
	kind opKind
	a, b []byte
}

type batch struct {
	db      *DB
	ops     []op
	size    int
	count   int
	reclaim bool
	closed  bool
	err     error
}

// NewBatch implements kv.DB.
func (d *DB) NewBatch() kv.Batch { return &batch{db: d} }

func (b *batch) take(n, m int) bool {
	b.count++
	b.size += n + m
	if n == 0 || n > kv.MaxKey || m > kv.MaxValue || b.size > kv.MaxBatch {
		b.err = kv.ErrTooLarge
	}
	return b.err == nil && !b.closed
}

// Set implements kv.Batch.
func (b *batch) Set(key, value []byte) {
	if b.take(len(key), len(value)) {
		b.ops = append(b.ops, op{opSet, bytes.Clone(key), append([]byte{}, value...)})
	}
}

// Delete implements kv.Batch.
func (b *batch) Delete(key []byte) {
	if b.take(len(key), 0) {
		b.ops = append(b.ops, op{opDelete, bytes.Clone(key), nil})
	}
}

// DeleteRange implements kv.Batch.
func (b *batch) DeleteRange(lower, upper []byte) {
	if len(lower) > kv.MaxKey || len(upper) > kv.MaxKey {
		b.err = kv.ErrTooLarge
	}
	if b.take(1, len(lower)+len(upper)-1) {
		b.ops = append(b.ops, op{opDeleteRange, bytes.Clone(lower), bytes.Clone(upper)})
	}
}

// Reclaim implements kv.Batch.
func (b *batch) Reclaim() { b.reclaim = true }

// Size implements kv.Batch.
func (b *batch) Size() int { return b.size }

// Count implements kv.Batch.
func (b *batch) Count() int { return b.count }

// Close implements kv.Batch.
func (b *batch) Close() { b.closed, b.ops = true, nil }

type commit struct {
	d   *DB
	seq kv.Sequence
}

// Sequence implements kv.Commit.
func (c *commit) Sequence() kv.Sequence { return c.seq }

// Wait implements kv.Commit.
func (c *commit) Wait(ctx context.Context) error { return c.d.WaitDurable(ctx, c.seq) }

// Commit implements kv.DB.
func (d *DB) Commit(ctx context.Context, kb kv.Batch) (kv.Commit, error) {
	defer kb.Close()
	b, ok := kb.(*batch)
	if !ok || b.db != d || b.closed {
		return nil, errors.New("memory: the batch is closed or of another database")
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.err != nil {
		return nil, d.err
	}
	if b.err != nil {
		return nil, b.err
	}
	if len(b.ops) == 0 {
		return &commit{d, d.last}, nil
	}
	if free := d.free.Load(); !b.reclaim && free < d.opts.MinFree {
		d.m.Refused++
		return nil, fmt.Errorf("%w: %d bytes free", kv.ErrNoSpace, free)
	}
	for _, o := range b.ops {
		switch o.kind {
		case opSet:
			d.root = d.root.Put(o.a, o.b)
		case opDelete:
			d.root = d.root.Delete(o.a)
		case opDeleteRange:
			d.root = d.root.DeleteRange(o.a, o.b)
		}
	}
	d.last++
	d.m.Commits++
	d.m.CommitBytes += uint64(b.size)
	close(d.changed)
	d.changed = make(chan struct{})
	return &commit{d, d.last}, nil
}

// Durable implements kv.DB.
func (d *DB) Durable() kv.Sequence { return kv.Sequence(d.durable.Load()) }

// WaitDurable implements kv.DB.
func (d *DB) WaitDurable(ctx context.Context, s kv.Sequence) error {
	for {
		if d.Durable() >= s {
			return nil
		}
		d.mu.RLock()
		last, err, changed := d.last, d.err, d.changed
		d.mu.RUnlock()
		switch {
		case err != nil:
			return err
		case last < s: // not even committed
			select {
			case <-changed:
			case <-ctx.Done():
				return ctx.Err()
			}
		default:
			if err := d.syncOnce(ctx, s); err != nil {
				return err
			}
		}
	}
}

// syncOnce waits for its turn to sync, and syncs unless s became durable.
func (d *DB) syncOnce(ctx context.Context, s kv.Sequence) error {
	select {
	case d.syncing <- struct{}{}:
		defer func() { <-d.syncing }()
	case <-ctx.Done():
		return ctx.Err()
	}
	if d.Durable() >= s {
		return nil
	}
	start := time.Now()
	if d.opts.SyncLatency > 0 {
		t := time.NewTimer(d.opts.SyncLatency)
		defer t.Stop()
		select {
		case <-t.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if n := d.fails.Load(); n > 0 && d.fails.Add(-1) == 0 {
		d.end(fmt.Errorf("%w: %w", kv.ErrPoisoned, errInjected))
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.err != nil {
		return d.err
	}
	d.disk.mu.Lock()
	d.disk.root = d.root
	d.disk.mu.Unlock()
	d.durable.Store(uint64(d.last))
	d.m.Syncs++
	d.m.SyncTime += time.Since(start)
	return nil
}
