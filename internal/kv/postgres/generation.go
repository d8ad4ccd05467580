package postgres

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"rialto/internal/kv"
)

const (
	maxGenerations = 4
	tick           = 20 * time.Millisecond  // of the keeper
	youngBytes     = 4 << 20                // overlay worth a new generation
	maxBytes       = 32 << 20               // overlay worth ending the oldest generation
	maxAge         = 500 * time.Millisecond // of a generation that misses commits
	oldAge         = 5 * time.Second        // of any: the server cannot vacuum above it
	idleAge        = time.Second            // without readers
)

// errBroken is a generation whose connections are gone.
var errBroken = errors.New("postgres: the connection of a reader was lost")

// generation is a state of the server that readers share.
type generation struct {
	d      *DB
	at     kv.Sequence // the position it shows
	export string      // name of its snapshot
	born   time.Time
	idle   chan *pgxpool.Conn // its connections that nobody uses; room for all

	// Guarded by DB.mu.
	refs    int // views, and one while it is the current one
	work    int // round trips
	used    time.Time
	expired bool

	mu     sync.Mutex
	conns  int
	broken bool
	gone   chan struct{} // closed when broken
	next   *fetch        // gathers keys while others are on their way
	active int           // round trips of fetches
}

// begin makes a generation that shows at least floor.
func (d *DB) begin(ctx context.Context, floor kv.Sequence) (*generation, error) {
	c, err := d.readers.Acquire(ctx)
	if err != nil {
		return nil, err
	}
	g := &generation{d: d, born: time.Now(), conns: 1, gone: make(chan struct{}), idle: make(chan *pgxpool.Conn, d.opts.Readers)}
	g.used = g.born
	b := &pgx.Batch{}
	b.Queue(`BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY`)
	b.Queue(d.sql.state).QueryRow(func(r pgx.Row) error { return d.compare(r, &g.at) })
	b.Queue(`SELECT pg_export_snapshot()`).QueryRow(func(r pgx.Row) error { return r.Scan(&g.export) })
	if err = c.SendBatch(ctx, b).Close(); err == nil && g.at < floor {
		err = errShrunk
	}
	if err != nil {
		drop(c)
		return nil, err
	}
	g.idle <- c
	return g, nil
}

// drop closes a connection of the pool instead of giving it back.
func drop(c *pgxpool.Conn) {
	closeConn(c.Hijack())
}

// renew makes a new current generation; one at a time. The caller holds mu.
func (d *DB) renew() chan struct{} {
	if d.opening != nil {
		return d.opening
	}
	for len(d.alive) > maxGenerations && !d.alive[0].expired {
		d.expire(d.alive[0])
	}
	done := make(chan struct{})
	d.opening = done
	floor := d.Durable()
	d.reads.Add(1)
	go func() {
		defer d.reads.Done()
		defer close(done)
		ctx, cancel := context.WithTimeout(d.ctx, d.deadline())
		defer cancel()
		g, err := d.begin(ctx, floor)
		for wait := 5 * time.Millisecond; err != nil && !final(err) && pause(ctx, wait) == nil; wait = min(2*wait, 500*time.Millisecond) {
			g, err = d.begin(ctx, floor)
		}
		if err != nil && final(err) {
			d.fail(err)
		}
		d.mu.Lock()
		d.opening, d.genErr = nil, err
		if err == nil {
			d.install(g)
		}
		d.mu.Unlock()
	}()
	return done
}

// install makes g the current generation; the caller holds mu.
func (d *DB) install(g *generation) {
	old := d.gen
	d.gen, g.refs = g, 1
	d.alive = append(d.alive, g)
	d.trim(g.at)
	if old != nil {
		d.unpin(old)
	}
	wake(d.watch)
}

// unpin gives up a reference of g; the caller holds mu.
func (d *DB) unpin(g *generation) {
	g.refs--
	d.reap(g)
}

// reap closes g when nobody can use it any more; the caller holds mu.
func (d *DB) reap(g *generation) {
	if (g.refs > 0 && !g.expired) || g.work > 0 {
		return
	}
	for i, a := range d.alive {
		if a == g {
			d.alive = append(d.alive[:i:i], d.alive[i+1:]...)
			d.reads.Add(1)
			go func() {
				defer d.reads.Done()
				g.close()
			}()
			return
		}
	}
}

// expire ends g under its readers; the caller holds mu.
func (d *DB) expire(g *generation) {
	g.expired = true
	d.reap(g)
}

// close ends the transactions of g; nobody uses its connections.
func (g *generation) close() {
	g.mu.Lock()
	n, broken := g.conns, g.broken
	g.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	for i := range n {
		c := <-g.idle
		if broken || g.d.ctx.Err() != nil {
			drop(c)
		} else if _, err := c.Exec(ctx, `ROLLBACK`); err != nil {
			drop(c)
		} else {
			c.Release()
		}
		if i > 0 {
			<-g.d.extra
		}
	}
}

// enter begins work on g, which keeps its connections; leave ends it.
func (g *generation) enter() error {
	d := g.d
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.err != nil {
		return d.err
	}
	if g.expired {
		return kv.ErrSnapshotExpired
	}
	g.work++
	g.used = time.Now()
	d.reads.Add(1)
	return nil
}

func (g *generation) leave() {
	g.d.mu.Lock()
	g.work--
	g.d.reap(g)
	g.d.mu.Unlock()
	g.d.reads.Done()
}

// run makes a round trip on a connection of g. When ctx ends it is left behind.
func (g *generation) run(ctx context.Context, f func(context.Context, *pgx.Conn) error) error {
	if err := g.enter(); err != nil {
		return err
	}
	done := make(chan error, 1)
	go func() {
		defer g.leave()
		done <- g.do(f)
	}()
	return g.await(ctx, done)
}

// await waits for the end of a round trip, of ctx or of the database.
func (g *generation) await(ctx context.Context, done <-chan error) error {
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	case <-g.d.ctx.Done():
		return g.d.failure()
	}
}

// do waits for a connection and calls f with it.
func (g *generation) do(f func(context.Context, *pgx.Conn) error) error {
	ctx, cancel := context.WithTimeout(g.d.ctx, g.d.deadline())
	defer cancel()
	c, err := g.acquire(ctx)
	if err != nil {
		return err
	}
	err = f(ctx, c.Conn())
	closed := c.Conn().IsClosed() // looked at while it is ours
	g.idle <- c
	if closed || err != nil {
		g.fail()
		if err != nil && !final(err) {
			return errors.Join(errBroken, err)
		}
	}
	return err
}

// fail marks g as broken.
func (g *generation) fail() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.broken {
		g.broken = true
		close(g.gone)
	}
}

// acquire takes an idle connection, or a new one that sees the same, or waits.
func (g *generation) acquire(ctx context.Context) (*pgxpool.Conn, error) {
	select {
	case <-g.gone:
		return nil, errBroken
	case c := <-g.idle:
		return c, nil
	default:
	}
	select {
	case g.d.extra <- struct{}{}:
		if c, err := g.join(ctx); err == nil {
			return c, nil
		}
		<-g.d.extra
	default:
	}
	select {
	case c := <-g.idle:
		return c, nil
	case <-g.gone:
		return nil, errBroken
	case <-ctx.Done():
		return nil, errors.Join(errBroken, ctx.Err())
	}
}

// join opens one more transaction on the same snapshot.
func (g *generation) join(ctx context.Context) (*pgxpool.Conn, error) {
	c, err := g.d.readers.Acquire(ctx)
	if err != nil {
		return nil, err
	}
	// The name of a snapshot comes from the server; it needs no quoting.
	_, err = c.Exec(ctx, `BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET TRANSACTION SNAPSHOT '`+g.export+`'`, pgx.QueryExecModeSimpleProtocol)
	if err != nil {
		drop(c)
		return nil, err
	}
	g.mu.Lock()
	g.conns++
	g.mu.Unlock()
	return c, nil
}

// keepLoop is the keeper: it replaces the current generation as commits pile up
// above it, and gives it up when nobody reads.
func (d *DB) keepLoop() {
	defer d.loops.Done()
	t := time.NewTicker(tick)
	defer t.Stop()
	for {
		t.Stop() // nothing to keep
		select {
		case <-d.watch:
		case <-d.ctx.Done():
			return
		}
		t.Reset(tick)
		for d.keep() {
			select {
			case <-t.C:
			case <-d.ctx.Done():
				return
			}
		}
	}
}

// keep does what is due, and reports whether there is a current generation.
func (d *DB) keep() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	g := d.gen
	if g == nil || d.err != nil {
		return false
	}
	age, behind := time.Since(g.born), d.Durable() > g.at
	switch {
	case g.refs == 1 && time.Since(g.used) > idleAge && d.opening == nil:
		d.gen = nil
		d.unpin(g)
		d.trim(d.Durable())
		return false
	case len(d.alive) >= maxGenerations:
		if d.bytes > maxBytes || age > oldAge {
			d.expire(d.alive[0])
		}
	case behind && (d.bytes > youngBytes || age > maxAge), age > oldAge:
		d.renew()
	}
	return true
}
