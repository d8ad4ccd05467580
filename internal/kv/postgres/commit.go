package postgres

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"rialto/internal/kv"
)

// commit is an ordered batch.
type commit struct {
	d   *DB
	seq kv.Sequence
}

// Sequence implements kv.Commit.
func (c *commit) Sequence() kv.Sequence { return c.seq }

// Wait implements kv.Commit.
func (c *commit) Wait(ctx context.Context) error { return c.d.WaitDurable(ctx, c.seq) }

// Commit implements kv.DB. It waits only while too much is on its way already.
func (d *DB) Commit(ctx context.Context, kb kv.Batch) (kv.Commit, error) {
	b, ok := kb.(*batch)
	if !ok || b.db != d || b.closed {
		kb.Close()
		return nil, errors.New("postgres: the batch is closed or of another database")
	}
	defer b.Close()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for d.err == nil && d.pending >= maxPending && b.err == nil {
		changed := d.changed
		d.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			d.mu.Lock()
			return nil, ctx.Err()
		}
		d.mu.Lock()
	}
	if d.err != nil {
		return nil, d.err
	}
	if d.closed {
		return nil, kv.ErrClosed // Close waits for what was ordered before it
	}
	if b.err != nil {
		return nil, b.err
	}
	if len(b.ops) == 0 {
		return &commit{d, d.last}, nil
	}
	if err := d.refusal(); err != nil && !b.reclaim {
		d.count.refused.Add(1)
		return nil, err
	}
	if uint64(d.last+1-d.base) >= 1<<sequenceBits {
		err := fmt.Errorf("%w: sequences of this epoch are used up", kv.ErrPoisoned)
		d.end(err)
		return nil, err
	}
	return d.order(b), nil
}

// order puts b on the overlay; the caller holds mu.
func (d *DB) order(b *batch) *commit {
	d.last++
	for _, p := range b.ops {
		d.over = d.over.apply(d.edit, p)
		d.cache.written(p)
	}
	l := &layer{d.last, b.ops, int64(b.size + 64*len(b.ops))}
	d.layers = append(d.layers, l)
	d.bytes += l.size
	d.pending += l.size
	d.count.commits.Add(1)
	d.count.bytes.Add(uint64(b.size))
	wake(d.kick)
	return &commit{d, l.seq}
}

// take hands the committer the batches that wait, up to a size.
func (d *DB) take(limit int64) (group []*layer) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for size := int64(0); d.err == nil && d.taken < len(d.layers); d.taken++ {
		l := d.layers[d.taken]
		if size += l.size; size > limit && len(group) > 0 {
			break
		}
		group = append(group, l)
	}
	return group
}

// answered marks group durable.
func (d *DB) answered(group []*layer) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, l := range group {
		d.pending -= l.size
	}
	d.durable.Store(uint64(group[len(group)-1].seq))
	if d.gen == nil && d.opening == nil {
		d.trim(d.Durable())
	}
	d.notify()
}

// trim drops the batches that the server shows up to s, moves their values to
// the cache if they are wanted there and builds the overlay anew; the caller holds mu.
func (d *DB) trim(s kv.Sequence) {
	n := 0
	for n < len(d.layers) && d.layers[n].seq <= s {
		d.bytes -= d.layers[n].size
		n++
	}
	if n == 0 {
		return
	}
	gone := d.layers[:n]
	d.layers = append([]*layer(nil), d.layers[n:]...)
	d.taken = max(d.taken-n, 0)
	d.over = overlay{}
	for _, l := range d.layers {
		for _, p := range l.ops {
			d.over = d.over.apply(d.edit, p)
		}
	}
	for i := len(gone) - 1; i >= 0; i-- {
		for j := len(gone[i].ops) - 1; j >= 0; j-- {
			if p := gone[i].ops[j]; p.kind == opDeleteRange {
				return // what is below it may be deleted
			} else if _, known := d.over.get(p.key); !known {
				d.cache.landed(p.key, p.value, s)
			}
		}
	}
}

// merged is what a run of batches comes to: first the ranges go, then the points
// are set or deleted.
type merged struct {
	points []op // ascending by key, each key once
	ranges []op
}

// turn is an operation and its place in the run.
type turn struct {
	op
	n int
}

func fold(group []*layer) merged {
	count := 0
	for _, l := range group {
		count += len(l.ops)
	}
	points := make([]turn, 0, count)
	var ranges []turn
	for _, l := range group {
		for _, p := range l.ops {
			if t := (turn{p, len(points) + len(ranges)}); p.kind == opDeleteRange {
				ranges = append(ranges, t)
			} else {
				points = append(points, t)
			}
		}
	}
	slices.SortFunc(points, func(a, b turn) int {
		return cmp.Or(bytes.Compare(a.key, b.key), cmp.Compare(a.n, b.n))
	})
	m := merged{points: make([]op, 0, len(points))}
	for i, p := range points {
		later := i+1 < len(points) && bytes.Equal(points[i+1].key, p.key)
		if !later && !slices.ContainsFunc(ranges, p.goesWith) {
			m.points = append(m.points, p.op)
		}
	}
	for _, r := range ranges {
		m.ranges = append(m.ranges, r.op)
	}
	return m
}

// goesWith reports whether the range r deletes what p did before.
func (p turn) goesWith(r turn) bool {
	return r.n > p.n && string(r.key) <= string(p.key) && string(p.key) < string(r.value)
}

// wake sends on a channel with one place.
func wake(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
