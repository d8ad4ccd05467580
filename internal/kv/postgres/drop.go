package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// Drop removes a database with all that it holds; one that is not there does no
// harm. kv.ErrLocked if it is open.
func Drop(ctx context.Context, o Options) error {
	o, err := o.withDefaults()
	if err != nil {
		return err
	}
	d := &DB{opts: o}
	d.lease.key = lockKey(o.Schema)
	if _, err := pgx.ParseConfig(o.URL); err != nil {
		return errors.New("postgres: the connection string cannot be parsed") // it may have a password in it
	}
	if d.conn, err = pgx.ConnectConfig(ctx, d.connConfig()); err != nil {
		return fmt.Errorf("postgres: drop %s: the server cannot be reached: %w", o.Schema, err)
	}
	defer closeConn(d.conn)
	if err = d.lock(ctx); err == nil {
		_, err = d.conn.Exec(ctx, `DROP SCHEMA IF EXISTS `+pgx.Identifier{o.Schema}.Sanitize()+` CASCADE`)
	}
	if err != nil {
		return fmt.Errorf("postgres: drop %s: %w", o.Schema, err)
	}
	return nil
}
