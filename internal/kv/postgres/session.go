package postgres

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"rialto/internal/kv"
)

var (
	errTimeline = errors.New("postgres: the server was replaced or promoted; the database must be opened afresh")
	errShrunk   = errors.New("postgres: the server has lost commits that it had answered")
	errStandby  = errors.New("postgres: the server is a standby")
)

// lease is what an open found and took.
type lease struct {
	epoch    int64
	timeline string
	system   string
	key      int64  // of the advisory lock
	pid      uint32 // of the backend that holds it
}

// statements are the texts for one schema.
type statements struct {
	schema, owner, position, classes string
	rewound                          string
	fence, newFence, advance, state  string
	size                             string
	tables                           []tableStatements
}

type tableStatements struct {
	upsert, insert, remove, removeRange, get, up, down string
}

// place is the server's timeline and identity; it fails on a standby.
const place = `substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8), (SELECT system_identifier::text FROM pg_control_system())`

func newStatements(schema string, tables []Table) statements {
	name := func(t string) string { return pgx.Identifier{schema, t}.Sanitize() }
	s := statements{schema: pgx.Identifier{schema}.Sanitize(), owner: name("owner"), position: name("position"), classes: name("classes"), rewound: name("rewound")}
	s.fence = `SELECT ` + name("fence") + `($1)`
	// Its body names the schema: it is made again when that is renamed.
	s.newFence = `CREATE OR REPLACE FUNCTION ` + name("fence") + `(mine bigint) RETURNS void LANGUAGE plpgsql AS $f$
		DECLARE now bigint;
		BEGIN
			SELECT epoch INTO STRICT now FROM ` + s.owner + ` FOR SHARE;
			IF now <> mine THEN
				RAISE EXCEPTION 'epoch % has taken the database from epoch %', now, mine USING ERRCODE = '` + fenceCode + `';
			END IF;
		END $f$`
	s.advance = `UPDATE ` + s.position + ` SET seq = $1`
	s.state = `SELECT o.epoch, p.seq, ` + place + ` FROM ` + s.owner + ` o, ` + s.position + ` p`
	s.size = `SELECT coalesce(sum(pg_total_relation_size(c.oid)), 0)::bigint FROM pg_class c
		JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relkind = 'r'`
	for _, t := range tables {
		n := name("r_" + t.Name)
		page := `SELECT k, v FROM ` + n + ` WHERE k >= $1 AND k < $2 ORDER BY k`
		insert := `INSERT INTO ` + n + ` (k, v) SELECT * FROM unnest($1::bytea[], $2::bytea[])`
		s.tables = append(s.tables, tableStatements{
			upsert:      insert + ` ON CONFLICT (k) DO UPDATE SET v = excluded.v`,
			insert:      insert,
			remove:      `DELETE FROM ` + n + ` WHERE k = ANY($1::bytea[])`,
			removeRange: `DELETE FROM ` + n + ` WHERE k >= $1 AND k < $2`,
			get:         `SELECT k, v FROM ` + n + ` WHERE k = ANY($1::bytea[])`,
			up:          page + ` LIMIT $3`,
			down:        page + ` DESC LIMIT $3`,
		})
	}
	return s
}

// settings are those of every session. Statement timeouts are ours, not the
// server's: a cancelled wait for a synchronous standby would look like success.
// Every statement has its index; the planner, which plans once and perhaps for
// an empty table, is kept from anything else.
func settings(p map[string]string) {
	for k, v := range map[string]string{
		"application_name": "rialto", "synchronous_commit": "on", "statement_timeout": "0",
		"idle_in_transaction_session_timeout": "0", "idle_session_timeout": "0", "lock_timeout": "0", "jit": "off",
		"default_transaction_isolation": "read committed", "default_transaction_read_only": "off",
		"enable_seqscan": "off", "enable_bitmapscan": "off", "enable_sort": "off", "plan_cache_mode": "force_generic_plan",
		"tcp_keepalives_idle": "5", "tcp_keepalives_interval": "3", "tcp_keepalives_count": "3",
	} {
		p[k] = v
	}
}

// lockKey names the owner's advisory lock.
func lockKey(schema string) int64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte("rialto:" + schema))
	return int64(h.Sum64())
}

// attach connects the committer anew and takes the lock; it returns the
// position of the server. Nothing of the old session is in flight then.
func (d *DB) attach(ctx context.Context) (at kv.Sequence, err error) {
	conn, err := pgx.ConnectConfig(ctx, d.connConfig())
	if err != nil {
		return 0, err
	}
	defer func() {
		if err != nil {
			closeConn(conn)
		}
	}()
	if err := d.check(ctx, conn, &at); err != nil {
		return 0, err
	}
	// Our own old backend may still hang; another owner's is left alone.
	_, err = conn.Exec(ctx, `SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND pid = $1
		AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) AND ((classid::bigint << 32) | objid::bigint) = $2 AND objsubid = 1`, int64(d.lease.pid), d.lease.key)
	if err != nil {
		return 0, err
	}
	got := false
	for wait := time.Millisecond; ; wait = min(2*wait, 100*time.Millisecond) {
		if err := conn.QueryRow(ctx, `SELECT pg_try_advisory_lock($1)`, d.lease.key).Scan(&got); err != nil || got {
			if err != nil {
				return 0, err
			}
			break
		}
		if err := d.check(ctx, conn, &at); err != nil {
			return 0, err
		}
		if err := pause(ctx, wait); err != nil {
			return 0, err
		}
	}
	if err := d.check(ctx, conn, &at); err != nil {
		return 0, err
	}
	teach(conn)
	d.conn, d.lease.pid = conn, conn.PgConn().PID()
	return at, nil
}

// check reads the server's state and compares it with the lease.
func (d *DB) check(ctx context.Context, q interface {
	QueryRow(context.Context, string, ...any) pgx.Row
}, at *kv.Sequence) error {
	return d.compare(q.QueryRow(ctx, d.sql.state), at)
}

// compare does what check says with the row that the server answered.
func (d *DB) compare(row pgx.Row, at *kv.Sequence) error {
	var epoch, seq int64
	var timeline, system string
	if err := row.Scan(&epoch, &seq, &timeline, &system); err != nil {
		if errors.Is(err, pgx.ErrNoRows) {
			return errShrunk // the row of the owner or of the position is gone
		}
		return standby(err)
	}
	*at = kv.Sequence(seq)
	switch {
	case timeline != d.lease.timeline || system != d.lease.system:
		return errTimeline
	case epoch > d.lease.epoch:
		return kv.ErrFenced
	case epoch < d.lease.epoch:
		return errShrunk
	}
	return nil
}

// standby names the error that a server in recovery answers.
func standby(err error) error {
	var pe *pgconn.PgError
	if errors.As(err, &pe) && pe.Code == "55000" && strings.Contains(pe.Message, "recovery") {
		return fmt.Errorf("%w: %w", errStandby, err)
	}
	return err
}

// fenceCode is the SQLSTATE that the schema's function fence raises.
const fenceCode = "RI001"

// notNew is the SQLSTATE of a violated key.
const notNew = "23505"

// code is the SQLSTATE of err, "" if the server did not answer.
func code(err error) string {
	var pe *pgconn.PgError
	if errors.As(err, &pe) {
		return pe.Code
	}
	return ""
}

// final reports errors that no new attempt will mend.
func final(err error) bool {
	if errors.Is(err, kv.ErrFenced) || errors.Is(err, errTimeline) || errors.Is(err, errShrunk) {
		return true
	}
	c := code(err)
	if c == "" || errors.Is(err, errStandby) {
		return false
	}
	switch c[:2] {
	case "08", "40", "53", "55", "57":
		return false
	}
	return c != "25006"
}

// damage marks what the server says of a page that failed its checksum or makes
// no sense, and of an index that does not fit its table.
func damage(err error) error {
	if c := code(err); strings.HasPrefix(c, "XX00") && c != "XX000" {
		return fmt.Errorf("%w: %w", kv.ErrCorrupt, err)
	}
	return err
}

// pause sleeps unless ctx ends.
func pause(ctx context.Context, t time.Duration) error {
	timer := time.NewTimer(t)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// closeConn ends a session without waiting long for the server.
func closeConn(c *pgx.Conn) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	_ = c.Close(ctx) // the connection is given up either way
}
