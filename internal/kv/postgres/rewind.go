package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"rialto/internal/kv"
)

// note keeps the finding r in the schema, and returns what is to be settled: r,
// or a finding of an open before, or nil.
func (s *statements) note(ctx context.Context, tx pgx.Tx, r *kv.Rewind) (*kv.Rewind, error) {
	var exists bool
	if err := tx.QueryRow(ctx, `SELECT to_regclass($1) IS NOT NULL`, s.rewound).Scan(&exists); err != nil {
		return nil, err
	}
	if exists {
		old := &kv.Rewind{}
		err := tx.QueryRow(ctx, `SELECT certain, found, why FROM `+s.rewound).Scan(&old.Certain, &old.Found, &old.Why)
		switch {
		case errors.Is(err, pgx.ErrNoRows):
		case err != nil:
			return nil, err
		case r == nil || old.Certain && !r.Certain:
			return old, nil
		}
	}
	if r == nil {
		return nil, nil
	}
	r.Found = time.Now()
	if !exists {
		if _, err := tx.Exec(ctx, `CREATE TABLE `+s.rewound+` (one bool PRIMARY KEY DEFAULT true CHECK (one),
			certain bool NOT NULL, found timestamptz NOT NULL, why text NOT NULL)`); err != nil {
			return nil, err
		}
	}
	_, err := tx.Exec(ctx, `INSERT INTO `+s.rewound+` (certain, found, why) VALUES ($1, $2, $3)
		ON CONFLICT (one) DO UPDATE SET certain = excluded.certain, found = excluded.found, why = excluded.why`, r.Certain, r.Found, r.Why)
	return r, err
}

// Rewound implements kv.Rewinder.
func (d *DB) Rewound(context.Context) (*kv.Rewind, error) {
	if err := d.failure(); err != nil {
		return nil, err
	}
	return d.rewind.Load(), nil
}

// Settle implements kv.Rewinder.
func (d *DB) Settle(ctx context.Context) error {
	d.mu.Lock()
	last, err := d.last, d.err
	if err == nil {
		d.reads.Add(1)
	}
	d.mu.Unlock()
	if err != nil {
		return err
	}
	defer d.reads.Done()
	if err := d.WaitDurable(ctx, last); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, d.deadline())
	defer cancel()
	defer context.AfterFunc(d.ctx, cancel)()
	err = pgx.BeginFunc(ctx, d.readers, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, d.sql.fence, d.lease.epoch); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `DROP TABLE IF EXISTS `+d.sql.rewound)
		return err
	})
	if code(err) == fenceCode {
		err = fmt.Errorf("%w: %w", kv.ErrFenced, err)
	}
	if err != nil {
		return fmt.Errorf("postgres: settle %s: %w", d.opts.Schema, err)
	}
	d.rewind.Store(nil)
	return nil
}
