package postgres

import (
	"rialto/internal/kv"
)

type opKind byte

const (
	opSet opKind = iota
	opDelete
	opDeleteRange
)

// op is one operation; of a DeleteRange, key and value are the bounds.
type op struct {
	kind       opKind
	key, value []byte
}

// batch gathers operations. The first broken limit is kept for Commit.
type batch struct {
	db      *DB
	ops     []op
	size    int
	count   int
	reclaim bool
	closed  bool
	err     error
	room    []byte // of small keys and values, to be cut off
}

const (
	roomSize  = 1 << 10
	maxInRoom = roomSize / 4
)

// copied returns a copy of p with no capacity beyond it.
func (b *batch) copied(p ...[]byte) []byte {
	n := 0
	for _, x := range p {
		n += len(x)
	}
	var out []byte
	if n > maxInRoom {
		out = make([]byte, 0, n)
	} else {
		if len(b.room) < n {
			b.room = make([]byte, roomSize)
		}
		out, b.room = b.room[:0:n], b.room[n:]
	}
	for _, x := range p {
		out = append(out, x...)
	}
	return out
}

// NewBatch implements kv.DB.
func (d *DB) NewBatch() kv.Batch { return &batch{db: d, ops: make([]op, 0, 16)} }

// take checks one operation of n bytes of key and m of value.
func (b *batch) take(n, m int) bool {
	b.count++
	b.size += n + m
	if n == 0 || n > kv.MaxKey || m > kv.MaxValue || b.size > kv.MaxBatch {
		b.err = kv.ErrTooLarge
		b.ops = nil
	}
	return b.err == nil && !b.closed
}

// Set implements kv.Batch.
func (b *batch) Set(key, value []byte) {
	if b.take(len(key), len(value)) {
		both := b.copied(key, value)
		b.ops = append(b.ops, op{opSet, both[:len(key):len(key)], both[len(key):]})
	}
}

// Delete implements kv.Batch.
func (b *batch) Delete(key []byte) {
	if b.take(len(key), 0) {
		b.ops = append(b.ops, op{opDelete, b.copied(key), nil})
	}
}

// DeleteRange implements kv.Batch.
func (b *batch) DeleteRange(lower, upper []byte) {
	if len(lower) > kv.MaxKey || len(upper) > kv.MaxKey {
		b.err = kv.ErrTooLarge
	}
	if b.take(1, len(lower)+len(upper)-1) && string(lower) < string(upper) {
		b.ops = append(b.ops, op{opDeleteRange, b.copied(lower), b.copied(upper)})
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
