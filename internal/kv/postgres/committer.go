package postgres

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"rialto/internal/kv"
)

// commitLoop is the committer: it merges what waits into one transaction at a
// time. After a transaction of several batches it waits a quarter of what a
// transaction takes, so that those who were just answered come back and share
// the next one; a lone writer is never kept.
func (d *DB) commitLoop() {
	defer d.loops.Done()
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
	err := d.send(ctx, n, seq)
	for err == nil && d.warned.Swap(false) {
		// A cancelled wait for a standby is a warning only; ask again.
		err = d.send(ctx, merged{}, seq)
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
// is a transaction of its own.
func (d *DB) send(ctx context.Context, n merged, seq kv.Sequence) error {
	b := &pgx.Batch{}
	b.Queue(d.sql.fence, d.lease.epoch)
	for _, r := range n.ranges {
		for i, s := range d.sql.tables {
			if lower, upper, ok := d.within(i, r.key, r.value); ok {
				b.Queue(s.removeRange, lower, upper)
			}
		}
	}
	keys := slices.Sorted(maps.Keys(n.points))
	for i, s := range d.sql.tables {
		end := len(keys)
		if i+1 < len(d.tables) {
			end, _ = slices.BinarySearch(keys, string(d.tables[i+1].From))
		}
		var sets, values, gone pgtype.FlatArray[[]byte]
		for _, k := range keys[:end] {
			if p := n.points[k]; p.kind == opSet {
				sets, values = append(sets, p.key), append(values, p.value)
			} else {
				gone = append(gone, p.key)
			}
		}
		keys = keys[end:]
		if len(gone) > 0 {
			b.Queue(s.remove, gone)
		}
		if len(sets) > 0 {
			b.Queue(s.upsert, sets, values)
		}
	}
	b.Queue(d.sql.advance, int64(seq))
	return d.conn.SendBatch(ctx, b).Close()
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
