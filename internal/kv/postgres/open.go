package postgres

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/sys/unix"

	"rialto/internal/kv"
)

// format is the version of the schema's layout.
const format = 1

// promoted is what the epoch grows by when the timeline has changed: owners
// that were in a lost tail used fewer.
const promoted = 1024

// Open opens the database, makes it if it does not exist, and takes it from an
// owner that is gone. kv.ErrLocked: it has another owner; kv.ErrFormat: it was
// written by a newer program.
func Open(ctx context.Context, o Options) (*DB, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	d := &DB{
		opts: o, cache: newCache(o.Cache), tables: o.Tables, edit: 1,
		kick: make(chan struct{}, 1), watch: make(chan struct{}, 1), quiet: make(chan struct{}), changed: make(chan struct{}),
		extra: make(chan struct{}, o.Readers-maxGenerations), snaps: make(map[*snapshot]struct{}),
	}
	d.patience.Store(int64(o.Deadline))
	d.sql = newStatements(o.Schema, nil)
	d.lease.key = lockKey(o.Schema)
	d.ctx, d.cancel = context.WithCancel(context.Background())
	if err := d.start(ctx); err != nil {
		d.cancel()
		if d.conn != nil {
			closeConn(d.conn)
		}
		return nil, fmt.Errorf("postgres: open %s: %w", o.Schema, err)
	}
	d.loops.Add(4)
	go d.commitLoop()
	go d.keepLoop()
	go d.sampleSpace()
	go d.witnessLoop()
	return d, nil
}

// start connects, takes the lease and makes the pool of readers.
func (d *DB) start(ctx context.Context) error {
	if _, err := pgx.ParseConfig(d.opts.URL); err != nil {
		return errors.New("the connection string cannot be parsed") // it may have a password in it
	}
	var err error
	if d.conn, err = pgx.ConnectConfig(ctx, d.connConfig()); err != nil {
		return fmt.Errorf("the server cannot be reached: %w", err)
	}
	teach(d.conn)
	d.lease.pid = d.conn.PgConn().PID()
	if err := d.suitable(ctx); err != nil {
		return err
	}
	if err := d.lock(ctx); err != nil {
		return err
	}
	if err := d.own(ctx); err != nil {
		return err
	}
	// Before anything is answered: a final one of before would speak for it.
	if err := d.testify(d.floor, false); err != nil {
		return err
	}
	d.space.free.Store(unknownSpace)
	d.localDisk(ctx)
	if d.opts.Free != nil {
		if n, err := d.opts.Free(); err == nil {
			d.space.free.Store(n)
		}
	}
	pc, err := pgxpool.ParseConfig(d.opts.URL)
	if err != nil {
		return errors.New("the connection string cannot be parsed")
	}
	pc.ConnConfig = d.connConfig()
	pc.MaxConns, pc.MinConns, pc.MaxConnIdleTime = int32(d.opts.Readers+2), 0, 30*time.Second
	d.readers, err = pgxpool.NewWithConfig(ctx, pc)
	return err
}

// connConfig is how each session is made. The URL was parsed before.
func (d *DB) connConfig() *pgx.ConnConfig {
	c, err := pgx.ParseConfig(d.opts.URL)
	if err != nil {
		return nil
	}
	settings(c.RuntimeParams)
	if c.ConnectTimeout == 0 {
		c.ConnectTimeout = 5 * time.Second
	}
	if c.ValidateConnect == nil && len(c.Fallbacks) > 0 {
		c.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsReadWrite // pass the standbys over
	}
	if d.opts.dial != nil {
		c.DialFunc = d.opts.dial
	}
	c.OnNotice = func(_ *pgconn.PgConn, n *pgconn.Notice) {
		if n.Routine == "SyncRepWaitForLSN" { // the message may be translated
			d.warned.Store(true)
		}
	}
	return c
}

// suitable refuses servers that cannot keep the contract.
func (d *DB) suitable(ctx context.Context) error {
	var version int
	var fsync string
	var recovery, blind bool
	err := d.conn.QueryRow(ctx, `SELECT current_setting('server_version_num')::int, current_setting('fsync'), pg_is_in_recovery(),
		'on' IN (current_setting('zero_damaged_pages'), current_setting('ignore_checksum_failure'))`).
		Scan(&version, &fsync, &recovery, &blind)
	switch {
	case err != nil:
		return err
	case version < MinVersion:
		return fmt.Errorf("the server is version %d.%d; at least %d is needed", version/10000, version%10000, MinVersion/10000)
	case recovery:
		return errStandby
	case fsync != "on":
		return errors.New("the server runs with fsync off: nothing would be durable")
	case blind:
		return errors.New("the server runs with zero_damaged_pages or ignore_checksum_failure on: damage would go unseen")
	}
	return nil
}

// lock takes the owner's lock, which lives as long as the session. The backend
// of an owner that was killed needs a moment to notice.
func (d *DB) lock(ctx context.Context) error {
	for end := time.Now().Add(d.opts.LockWait); ; {
		var got bool
		if err := d.conn.QueryRow(ctx, `SELECT pg_try_advisory_lock($1)`, d.lease.key).Scan(&got); err != nil || got {
			return err
		}
		if d.opts.Takeover {
			// The fence, not this, is what keeps the old owner out.
			_, err := d.conn.Exec(ctx, `SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND granted
				AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
				AND ((classid::bigint << 32) | objid::bigint) = $1 AND objsubid = 1 AND pid <> pg_backend_pid()`, d.lease.key)
			if err != nil {
				return err
			}
		}
		if time.Now().After(end) {
			return kv.ErrLocked
		}
		if err := pause(ctx, 20*time.Millisecond); err != nil {
			return err
		}
	}
}

// own makes what is missing and takes the next epoch, in one transaction.
func (d *DB) own(ctx context.Context) error {
	tx, err := d.conn.Begin(ctx)
	if err != nil {
		return err
	}
	defer tx.Rollback(ctx) //nolint:errcheck // after Commit it has nothing to do
	var exists bool
	if err := tx.QueryRow(ctx, `SELECT to_regclass($1) IS NOT NULL`, d.sql.owner).Scan(&exists); err != nil {
		return err
	}
	if !exists {
		if err := d.create(ctx, tx); err != nil {
			return err
		}
	}
	if err := d.loadTables(ctx, tx); err != nil {
		return err
	}
	w, werr := d.readWitness()
	if errors.Is(werr, kv.ErrFormat) {
		return werr
	}
	last, version, err := d.lastOpen(ctx, tx)
	if err != nil {
		return err
	}
	if version > format {
		return kv.ErrFormat
	}
	if err := tx.QueryRow(ctx, `SELECT `+place).Scan(&d.lease.timeline, &d.lease.system); err != nil {
		return standby(err)
	}
	var r *kv.Rewind
	if exists {
		r = judge(last, d.lease.timeline, d.lease.system, w, werr)
	}
	epoch := max(last.epoch, w.epochOr0()) + 1
	if r != nil || last.moved(d.lease.timeline, d.lease.system) {
		epoch += promoted
	}
	if epoch >= 1<<(63-sequenceBits) {
		return errors.New("all epochs are used up")
	}
	d.lease.epoch = epoch
	d.base = kv.Sequence(epoch << sequenceBits)
	d.last = d.base
	d.durable.Store(uint64(d.base))
	if _, err := tx.Exec(ctx, `UPDATE `+d.sql.owner+` SET epoch = $1, timeline = $2, system = $3`, epoch, d.lease.timeline, d.lease.system); err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, d.sql.advance, int64(d.base)); err != nil {
		return err
	}
	if r, err = d.sql.note(ctx, tx, r); err != nil {
		return err
	}
	d.rewind.Store(r)
	if d.floor = last.position; r != nil {
		d.floor = d.base // the note must not be lost either
	}
	err = tx.Commit(ctx)
	for err == nil && d.warned.Swap(false) { // as in try
		_, err = d.conn.Exec(ctx, d.sql.advance, int64(d.base))
	}
	return err
}

// testimony is what an open or a witness knows of the database.
type testimony struct {
	epoch            int64
	timeline, system string
	position         kv.Sequence
}

// moved reports whether the server is not the one of the testimony.
func (t *testimony) moved(timeline, system string) bool {
	return t.timeline != "" && (t.timeline != timeline || t.system != system)
}

// lastOpen reads what the last owner left, and its format.
func (d *DB) lastOpen(ctx context.Context, tx pgx.Tx) (last testimony, version int, err error) {
	var seq int64
	err = tx.QueryRow(ctx, `SELECT o.format, o.epoch, o.timeline, o.system, p.seq FROM `+d.sql.owner+` o, `+d.sql.position+` p FOR UPDATE OF o`).
		Scan(&version, &last.epoch, &last.timeline, &last.system, &seq)
	last.position = kv.Sequence(seq)
	return last, version, err
}

// create makes the schema. The owner's lock keeps others away.
func (d *DB) create(ctx context.Context, tx pgx.Tx) error {
	schema := d.sql.schema
	var b strings.Builder
	fmt.Fprintf(&b, `CREATE SCHEMA IF NOT EXISTS %s;
		CREATE TABLE %s (one bool PRIMARY KEY DEFAULT true CHECK (one), format int NOT NULL, epoch bigint NOT NULL,
			timeline text NOT NULL, system text NOT NULL) WITH (fillfactor = 10);
		INSERT INTO %s (format, epoch, timeline, system) VALUES (%d, 0, '', '');
		CREATE TABLE %s (one bool PRIMARY KEY DEFAULT true CHECK (one), seq bigint NOT NULL) WITH (fillfactor = 10);
		INSERT INTO %s (seq) VALUES (0);
		CREATE TABLE %s (name text PRIMARY KEY, first bytea NOT NULL UNIQUE);
		%s;
		`, schema, d.sql.owner, d.sql.owner, format, d.sql.position, d.sql.position, d.sql.classes, d.sql.newFence)
	for _, t := range d.opts.Tables {
		name := pgx.Identifier{d.opts.Schema, "r_" + t.Name}.Sanitize()
		// Rows of Append tables are never updated, others in place most of the time.
		// Two values of just under 4 KB fill a page; larger ones go out of line.
		with := "fillfactor = 80, autovacuum_vacuum_scale_factor = 0.05"
		if t.Append {
			with = "fillfactor = 100, autovacuum_vacuum_insert_scale_factor = 0.5, toast_tuple_target = 4080"
		}
		fmt.Fprintf(&b, `CREATE TABLE %s (k bytea PRIMARY KEY, v bytea NOT NULL) WITH (%s, autovacuum_vacuum_cost_delay = 0);
			ALTER TABLE %s ALTER k SET STORAGE PLAIN, ALTER v SET STORAGE EXTERNAL;
			INSERT INTO %s VALUES ('%s', '\x%x');
			`, name, with, name, d.sql.classes, t.Name, t.From)
	}
	_, err := tx.Exec(ctx, b.String(), pgx.QueryExecModeSimpleProtocol)
	return err
}

// loadTables takes the classes that the schema was made with.
func (d *DB) loadTables(ctx context.Context, tx pgx.Tx) error {
	rows, err := tx.Query(ctx, `SELECT name, first FROM `+d.sql.classes+` ORDER BY first`)
	if err != nil {
		return err
	}
	d.tables, err = pgx.CollectRows(rows, func(r pgx.CollectableRow) (t Table, err error) {
		err = r.Scan(&t.Name, &t.From)
		return t, err
	})
	if err == nil && (len(d.tables) == 0 || len(d.tables[0].From) > 0) {
		err = kv.ErrCorrupt
	}
	d.sql = newStatements(d.opts.Schema, d.tables)
	return err
}

// localDisk finds the server's disk if the server is on this machine.
func (d *DB) localDisk(ctx context.Context) {
	host := d.conn.Config().Host
	if d.opts.Free != nil || !strings.HasPrefix(host, "/") {
		return
	}
	var dir string
	if err := d.conn.QueryRow(ctx, `SHOW data_directory`).Scan(&dir); err != nil {
		return // not permitted to see it: the server's own refusal counts
	}
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return
	}
	d.opts.Free = func() (uint64, error) {
		var st unix.Statfs_t
		err := unix.Statfs(dir, &st)
		return min(st.Bavail*uint64(st.Bsize), math.MaxInt64), err
	}
}
