package postgres

import (
	"context"
	"errors"
	"fmt"
	"os"
)

// Drop removes a database with all that it holds, and its witness; one that is not there does no
// harm. kv.ErrLocked if it is open.
func Drop(ctx context.Context, o Options) error {
	d, err := attend(ctx, o, o.Schema)
	if err == nil {
		defer closeConn(d.conn)
		_, err = d.conn.Exec(ctx, `DROP SCHEMA IF EXISTS `+d.sql.schema+` CASCADE`)
	}
	if err == nil && o.Witness != "" {
		if e := os.Remove(o.Witness); !errors.Is(e, os.ErrNotExist) {
			err = e
		}
	}
	if err != nil {
		return fmt.Errorf("postgres: drop %s: %w", o.Schema, err)
	}
	return nil
}
