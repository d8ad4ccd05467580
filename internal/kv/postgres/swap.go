package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"rialto/internal/kv"
)

// Swap puts the database of a schema, fresh, in the place of o.Schema, in one
// transaction. What was there is kept as another schema until somebody drops
// it; Swap returns its name, "" if there was nothing. Neither may be open:
// kv.ErrLocked. kv.ErrUnknown: the answer of the server was lost.
//
// The epoch goes on from the higher of both, so that an owner of before cannot
// take the new database for its own. A rewind of what was there, found or not
// yet, is a finding of the new database: what it holds came from there.
func Swap(ctx context.Context, o Options, fresh string, now time.Time) (former string, err error) {
	d, err := attend(ctx, o, o.Schema, fresh)
	if err == nil {
		former, err = d.swap(ctx, fresh, now)
		closeConn(d.conn)
	}
	if err != nil {
		return "", fmt.Errorf("postgres: put %s in the place of %s: %w", fresh, o.Schema, err)
	}
	return former, nil
}

func (d *DB) swap(ctx context.Context, fresh string, now time.Time) (former string, err error) {
	tx, err := d.conn.Begin(ctx)
	if err != nil {
		return "", err
	}
	defer tx.Rollback(ctx) //nolint:errcheck // after Commit it has nothing to do
	next := newStatements(fresh, nil)
	var epoch int64
	if err := tx.QueryRow(ctx, `SELECT epoch FROM `+next.owner+` FOR UPDATE`).Scan(&epoch); err != nil {
		return "", err
	}
	var exists bool
	if err := tx.QueryRow(ctx, `SELECT to_regnamespace($1) IS NOT NULL`, d.sql.schema).Scan(&exists); err != nil {
		return "", err
	}
	if exists {
		last, r, err := d.former(ctx, tx)
		if err != nil {
			return "", err
		}
		epoch = max(epoch, last)
		if _, err := next.note(ctx, tx, r); err != nil {
			return "", err
		}
		if former, err = d.putAway(ctx, tx, now); err != nil {
			return "", err
		}
	}
	epoch += promoted
	for _, do := range []func() error{
		func() error { _, err := tx.Exec(ctx, `UPDATE `+next.owner+` SET epoch = $1`, epoch); return err },
		func() error { _, err := tx.Exec(ctx, next.advance, epoch<<sequenceBits); return err },
		func() error {
			_, err := tx.Exec(ctx, `ALTER SCHEMA `+next.schema+` RENAME TO `+d.sql.schema)
			return err
		},
		func() error { _, err := tx.Exec(ctx, d.sql.newFence); return err },
	} {
		if err := do(); err != nil {
			return "", err
		}
	}
	if err := tx.Commit(ctx); err != nil {
		if code(err) == "" {
			err = errors.Join(kv.ErrUnknown, err)
		}
		return "", err
	}
	return former, nil
}

// former reads the epoch of a database that may be damaged, and whether it came
// back to an earlier state. One that cannot be read is taken for a high epoch,
// and nobody can say what it has lost.
func (d *DB) former(ctx context.Context, tx pgx.Tx) (epoch int64, r *kv.Rewind, err error) {
	w, werr := d.readWitness()
	if errors.Is(werr, kv.ErrFormat) {
		return 0, nil, werr
	}
	var timeline, system string
	if err := tx.QueryRow(ctx, `SELECT `+place).Scan(&timeline, &system); err != nil {
		return 0, nil, err
	}
	sub, err := tx.Begin(ctx)
	if err != nil {
		return 0, nil, err
	}
	last, _, err := d.lastOpen(ctx, sub)
	if err == nil {
		r, err = d.sql.note(ctx, sub, judge(last, timeline, system, w, werr))
	}
	_ = sub.Rollback(ctx) // nothing of it is to stay; what is broken shows in the next statement
	if err != nil {
		return max(promoted*promoted/4, w.epochOr0()), &kv.Rewind{Why: "what was answered before the repair cannot be told from what was lost: " + err.Error()}, nil
	}
	return max(last.epoch, w.epochOr0()), r, nil
}

// putAway renames the database.
func (d *DB) putAway(ctx context.Context, tx pgx.Tx, now time.Time) (string, error) {
	// Hundredths of a second: a repair and a restore may follow each other at once,
	// and a longer name does not fit.
	now = now.UTC()
	when := now.Format("_was060102150405") + fmt.Sprintf("%02d", now.Nanosecond()/1e7)
	former := d.opts.Schema[:min(len(d.opts.Schema), 63-len(when))] + when
	old := newStatements(former, nil)
	if _, err := tx.Exec(ctx, `ALTER SCHEMA `+d.sql.schema+` RENAME TO `+old.schema); err != nil {
		return "", err
	}
	_, err := tx.Exec(ctx, old.newFence)
	return former, err
}
