package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"rialto/internal/kv"
)

// Salvaged says what of a database could be read.
type Salvaged struct {
	Rows   int
	Damage []string // what could not be read: pages, or values by key; the first thousand
}

// Salvage calls put for every row that can still be read of a database that
// nobody has open, in no order, and changes nothing there. Rows are read from
// the pages of the tables one by one: no index of them is trusted. A page
// that fails its checksum is lost whole; a value whose parts out of line
// cannot be read is lost alone. A server without data checksums finds only
// damage that makes no sense to it. kv.ErrLocked if the database is open;
// kv.ErrNotFound if it is not there.
func Salvage(ctx context.Context, o Options, put func(k, v []byte) error) (*Salvaged, error) {
	s := &salvage{put: put}
	var err error
	if s.d, err = attend(ctx, o, o.Schema); err == nil {
		err = s.tables(ctx)
	}
	if s.d != nil {
		closeConn(s.d.conn)
	}
	if err != nil {
		err = fmt.Errorf("postgres: salvage %s: %w", o.Schema, err)
	}
	return &s.Salvaged, err
}

// attend connects for work on databases that are not open, and keeps their
// owners away as long as the session lives.
func attend(ctx context.Context, o Options, schemas ...string) (*DB, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	if _, err := pgx.ParseConfig(o.URL); err != nil {
		return nil, errors.New("the connection string cannot be parsed") // it may have a password in it
	}
	d := &DB{opts: o, sql: newStatements(o.Schema, nil)}
	if d.conn, err = pgx.ConnectConfig(ctx, d.connConfig()); err != nil {
		return nil, fmt.Errorf("the server cannot be reached: %w", err)
	}
	err = d.suitable(ctx)
	for _, name := range schemas {
		d.lease.key = lockKey(name)
		if err == nil {
			err = d.lock(ctx)
		}
	}
	if err != nil {
		closeConn(d.conn)
		return nil, err
	}
	return d, nil
}

// salvage is one at work.
type salvage struct {
	Salvaged
	d   *DB
	put func(k, v []byte) error
}

func (s *salvage) lost(format string, args ...any) {
	if len(s.Damage) < 1000 {
		s.Damage = append(s.Damage, fmt.Sprintf(format, args...))
	}
}

// unreadable reports whether err speaks of stored data: damage, or a disk that
// cannot be read.
func unreadable(err error) bool {
	c := code(err)
	return strings.HasPrefix(c, "XX") || strings.HasPrefix(c, "58")
}

// tables reads all tables of pairs. Which there are, the server's catalog says.
func (s *salvage) tables(ctx context.Context) error {
	var version int
	err := s.d.conn.QueryRow(ctx, `SELECT format FROM `+s.d.sql.owner).Scan(&version)
	switch {
	case code(err) == "42P01":
		return kv.ErrNotFound
	case errors.Is(err, pgx.ErrNoRows) || unreadable(err):
		s.lost("the row of the owner: %v", err)
	case err != nil:
		return err
	case version > format:
		return kv.ErrFormat
	}
	rows, err := s.d.conn.Query(ctx, `SELECT c.relname::text, pg_relation_size(c.oid) / current_setting('block_size')::bigint
		FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE n.nspname = $1 AND c.relkind = 'r' AND c.relname LIKE 'r\_%'`, s.d.opts.Schema)
	if err != nil {
		return err
	}
	type table struct {
		Name  string
		Pages int64
	}
	all, err := pgx.CollectRows(rows, pgx.RowToStructByPos[table])
	for _, t := range all {
		for page := int64(0); err == nil && page < t.Pages; page++ {
			err = s.page(ctx, t.Name, page)
		}
	}
	return err
}

// page reads one page of a table.
func (s *salvage) page(ctx context.Context, table string, page int64) error {
	name := pgx.Identifier{s.d.opts.Schema, table}.Sanitize()
	from, to := fmt.Sprintf("(%d,0)", page), fmt.Sprintf("(%d,0)", page+1)
	const in = ` WHERE ctid >= $1::text::tid AND ctid < $2::text::tid`
	var found []pair
	err := s.read(ctx, func() error {
		found = found[:0]
		return s.each(ctx, `SELECT k, v FROM `+name+in, func(k, v []byte) {
			found = append(found, pair{append([]byte{}, k...), append([]byte{}, v...)})
		}, from, to)
	})
	if err == nil {
		return s.give(table, found)
	}
	if !unreadable(err) {
		return err
	}
	// The page, or a value that is not on it.
	var at []pair // the place of a row, and its key
	why := s.read(ctx, func() error {
		at = at[:0]
		return s.each(ctx, `SELECT ctid::text::bytea, k FROM `+name+in, func(place, k []byte) {
			at = append(at, pair{append([]byte{}, place...), append([]byte{}, k...)})
		}, from, to)
	})
	if unreadable(why) {
		s.lost("table %s, page %d: %v", table, page, why)
		return nil
	}
	if why != nil {
		return why
	}
	found = found[:0]
	for _, row := range at {
		err := s.read(ctx, func() error {
			var v []byte
			err := s.d.conn.QueryRow(ctx, `SELECT v FROM `+name+` WHERE ctid = $1::text::tid`, string(row.key)).Scan(&v)
			if err == nil {
				found = append(found, pair{row.value, v})
			}
			return err
		})
		if unreadable(err) {
			s.lost("table %s, the value of key %x: %v", table, row.value, err)
		} else if err != nil {
			return err
		}
	}
	return s.give(table, found)
}

func (s *salvage) each(ctx context.Context, sql string, f func(a, b []byte), args ...any) error {
	rows, err := s.d.conn.Query(ctx, sql, args...)
	if err != nil {
		return err
	}
	return eachRow(rows, f)
}

// read tries f again, on a new session, when the session ends; a second time, it
// is taken for damage.
func (s *salvage) read(ctx context.Context, f func() error) error {
	err := f()
	for try := 0; err != nil && s.d.conn.IsClosed() && ctx.Err() == nil; try++ {
		d, failed := s.d, error(nil)
		for end := time.Now().Add(d.opts.Deadline); ; {
			if s.d, failed = attend(ctx, d.opts, d.opts.Schema); failed == nil {
				break
			}
			s.d = d
			if time.Now().After(end) || errors.Is(failed, kv.ErrLocked) || pause(ctx, 100*time.Millisecond) != nil {
				return errors.Join(failed, err)
			}
		}
		if try > 0 {
			return &pgconn.PgError{Severity: "FATAL", Code: "XX000", Message: "the server ends the session when it reads this: " + err.Error()}
		}
		err = f()
	}
	return err
}

// give hands rows out; those over the limits are damage.
func (s *salvage) give(table string, found []pair) error {
	for _, p := range found {
		if n := len(p.key); n == 0 || n > kv.MaxKey || len(p.value) > kv.MaxValue {
			s.lost("table %s: a row with a key of %d bytes and a value of %d", table, n, len(p.value))
			continue
		}
		s.Rows++
		if err := s.put(p.key, p.value); err != nil {
			return err
		}
	}
	return nil
}
