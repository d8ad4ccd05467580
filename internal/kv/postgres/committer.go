package postgres

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"rialto/internal/kv"
)

// commitLoop is the committer: it merges what waits into one transaction at a
// time. After a transaction of several batches it waits a quarter of what a
// transaction takes, so that those who were just answered come back and share
// the next one; a lone writer is never kept.
func (d *DB) commitLoop() {
	defer d.loops.Done()
	defer close(d.quiet)
	var mean time.Duration
	crowd := false
	for {
		select {
		case <-d.kick:
		case <-d.ctx.Done():
			return
		}
		for {
			if crowd {
				_ = pause(d.ctx, min(mean/4, maxGather)) // an ended ctx shows below
			}
			group := d.take(maxGroup)
			if len(group) == 0 {
				break
			}
			start := time.Now()
			if err := d.write(group); err != nil {
				d.fail(err)
				return
			}
			took := time.Since(start)
			mean += (took - mean) / 8
			crowd = len(group) > 1
			d.count.syncs.Add(1)
			d.count.syncNanos.Add(uint64(took))
			d.answered(group)
		}
	}
}

// write makes group durable, whatever it takes until the deadline.
func (d *DB) write(group []*layer) error {
	ctx, cancel := context.WithTimeout(d.ctx, d.deadline())
	defer cancel()
	n := fold(group)
	seq := group[len(group)-1].seq
	for wait := 5 * time.Millisecond; ; wait = min(2*wait, 500*time.Millisecond) {
		err := d.try(ctx, n, seq)
		if err == nil {
			d.full.Store(false)
			return nil
		}
		if final(err) {
			return damage(err)
		}
		if code(err) == "53100" {
			d.full.Store(true)
			err = fmt.Errorf("%w: %w", kv.ErrNoSpace, err)
		}
		if pause(ctx, wait) != nil {
			if d.full.Load() && !errors.Is(err, kv.ErrNoSpace) {
				err = fmt.Errorf("%w: %w", kv.ErrNoSpace, err)
			}
			return fmt.Errorf("postgres: no commit until the deadline: %w", err)
		}
	}
}

// try sends the transaction once, after a reconnect if that is needed.
func (d *DB) try(ctx context.Context, n merged, seq kv.Sequence) error {
	if d.conn == nil {
		at, err := d.attach(ctx)
		if err != nil {
			return err
		}
		happened := at == seq
		if !happened && at != d.Durable() {
			return errShrunk
		}
		if f := d.opts.Events.Resolved; f != nil {
			f(happened)
		}
		if happened {
			n = merged{}
		}
	}
	d.warned.Store(false)
	err := d.send(ctx, n, seq, d.trust.guess())
	if code(err) == notNew {
		d.trust.wrong()
		err = d.send(ctx, n, seq, false)
	}
	for err == nil && d.warned.Swap(false) {
		// A cancelled wait for a standby is a warning only; ask again.
		err = d.send(ctx, merged{}, seq, false)
	}
	if err != nil && (d.conn.IsClosed() || code(err) == "") {
		if f := d.opts.Events.Lost; f != nil {
			f(err)
		}
		closeConn(d.conn)
		d.conn = nil
	}
	if code(err) == fenceCode {
		return fmt.Errorf("%w: %w", kv.ErrFenced, err)
	}
	return err
}

// send is the merged transaction, in one round trip: a pipeline up to its Sync
// is a transaction of its own. With guess, keys that are thought to be new are
// inserted; the server refuses the transaction if one is not.
func (d *DB) send(ctx context.Context, n merged, seq kv.Sequence, guess bool) error {
	b := &pgx.Batch{}
	b.Queue(d.sql.fence, d.lease.epoch)
	for _, r := range n.ranges {
		for i, s := range d.sql.tables {
			if lower, upper, ok := d.within(i, r.key, r.value); ok {
				b.Queue(s.removeRange, lower, upper)
			}
		}
	}
	points := n.points
	for i, s := range d.sql.tables {
		end := len(points)
		if i+1 < len(d.tables) {
			end, _ = slices.BinarySearchFunc(points, d.tables[i+1].From, func(p op, from []byte) int { return bytes.Compare(p.key, from) })
		}
		d.queue(b, s, points[:end], guess)
		points = points[end:]
	}
	b.Queue(d.sql.advance, int64(seq))
	return d.conn.SendBatch(ctx, b).Close()
}

// pairs are the parameters of an insertion.
type pairs struct{ keys, values byteaArray }

// queue adds what the transaction does to one table.
func (d *DB) queue(b *pgx.Batch, s tableStatements, points []op, guess bool) {
	var gone byteaArray
	var set, fresh pairs
	for _, p := range points {
		switch {
		case p.kind == opDelete:
			gone = append(gone, p.key)
		case guess && d.opts.Once != nil && d.opts.Once(p.key):
			fresh.keys, fresh.values = append(fresh.keys, p.key), append(fresh.values, p.value)
		default:
			set.keys, set.values = append(set.keys, p.key), append(set.values, p.value)
		}
	}
	if len(gone) > 0 {
		b.Queue(s.remove, gone)
	}
	if len(fresh.keys) > 0 {
		b.Queue(s.insert, fresh.keys, fresh.values)
	}
	if len(set.keys) > 0 {
		b.Queue(s.upsert, set.keys, set.values)
	}
}

// trust says whether Options.Once is believed. A transaction that was refused
// for it costs twice; the more often that happens, the longer it is not asked.
type trust struct{ wait, penalty int }

const maxPenalty = 1 << 10

func (t *trust) guess() bool {
	if t.wait > 0 {
		t.wait--
		return false
	}
	t.penalty -= t.penalty / 16
	return true
}

func (t *trust) wrong() {
	t.penalty = min(2*t.penalty+16, maxPenalty)
	t.wait = t.penalty / 16
}

// within cuts [lower, upper) to the keys of table i; upper nil is no bound.
func (d *DB) within(i int, lower, upper []byte) (lo, hi []byte, ok bool) {
	lo, hi = lower, upper
	if hi == nil {
		hi = topKey
	}
	if from := d.tables[i].From; string(lo) < string(from) {
		lo = from
	}
	if i+1 < len(d.tables) && string(d.tables[i+1].From) < string(hi) {
		hi = d.tables[i+1].From
	}
	if lo == nil {
		lo = []byte{}
	}
	return lo, hi, string(lo) < string(hi)
}

// topKey is above all keys.
var topKey = []byte(strings.Repeat("\xff", kv.MaxKey+1))
