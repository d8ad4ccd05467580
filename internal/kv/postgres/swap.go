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
// take the new database for its own.
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
		epoch = max(epoch, d.formerEpoch(ctx, tx))
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

// formerEpoch reads the epoch of a database that may be damaged: one that cannot
// be read is taken for a high one.
func (d *DB) formerEpoch(ctx context.Context, tx pgx.Tx) (epoch int64) {
	sub, err := tx.Begin(ctx)
	if err == nil {
		err = sub.QueryRow(ctx, `SELECT epoch FROM `+d.sql.owner).Scan(&epoch)
		_ = sub.Rollback(ctx) // it only read; what is broken shows in the next statement
	}
	if err != nil {
		return promoted * promoted / 4
	}
	return epoch
}

// putAway renames the database.
func (d *DB) putAway(ctx context.Context, tx pgx.Tx, now time.Time) (string, error) {
	when := now.UTC().Format("_was20060102150405")
	former := d.opts.Schema[:min(len(d.opts.Schema), 63-len(when))] + when
	old := newStatements(former, nil)
	if _, err := tx.Exec(ctx, `ALTER SCHEMA `+d.sql.schema+` RENAME TO `+old.schema); err != nil {
		return "", err
	}
	_, err := tx.Exec(ctx, old.newFence)
	return former, err
}
