package pebble

import (
	"github.com/cockroachdb/pebble/v2"

	"rialto/internal/kv"
)

// batch is pebble's batch with the contract's limits. The first broken limit
// is kept for Commit, and nothing more is taken.
type batch struct {
	db      *DB
	p       *pebble.Batch
	size    int
	count   int
	reclaim bool
	err     error
}

// NewBatch implements kv.DB.
func (d *DB) NewBatch() kv.Batch {
	return &batch{db: d, p: d.p.NewBatch()}
}

// take checks one operation of n bytes of key and m of value.
func (b *batch) take(n, m int) bool {
	b.count++
	b.size += n + m
	if n == 0 || n > kv.MaxKey || m > kv.MaxValue || b.size > kv.MaxBatch || b.p == nil {
		b.err = kv.ErrTooLarge
	}
	return b.err == nil
}

// Set implements kv.Batch.
func (b *batch) Set(key, value []byte) {
	if b.take(len(key), len(value)) {
		b.keep(b.p.Set(key, value, nil))
	}
}

// Delete implements kv.Batch.
func (b *batch) Delete(key []byte) {
	if b.take(len(key), 0) {
		b.keep(b.p.Delete(key, nil))
	}
}

// DeleteRange implements kv.Batch.
func (b *batch) DeleteRange(lower, upper []byte) {
	if len(lower) > kv.MaxKey || len(upper) > kv.MaxKey {
		b.err = kv.ErrTooLarge
	}
	if !b.take(1, len(lower)+len(upper)-1) || string(lower) >= string(upper) {
		return
	}
	b.keep(b.p.DeleteRange(lower, upper, nil))
}

func (b *batch) keep(err error) {
	if err != nil && b.err == nil {
		b.err = mapError(err)
	}
}

// Reclaim implements kv.Batch.
func (b *batch) Reclaim() { b.reclaim = true }

// Size implements kv.Batch.
func (b *batch) Size() int { return b.size }

// Count implements kv.Batch.
func (b *batch) Count() int { return b.count }

// Close implements kv.Batch.
func (b *batch) Close() {
	if b.p != nil {
		_ = b.p.Close()
		b.p = nil
	}
}
