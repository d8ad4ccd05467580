package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
)

// maxFetches is how many fetches of a generation are on their way at a time;
// what is asked for meanwhile shares the next one.
const maxFetches = 2

// fetch is a round trip that reads the keys of several callers.
type fetch struct {
	keys  map[string]struct{}
	found map[string][]byte // complete when done is closed, and then not written
	err   error
	done  chan struct{}
}

// fetch reads keys from the server. The values belong to all callers.
func (g *generation) fetch(ctx context.Context, keys map[string][]int) (map[string][]byte, error) {
	if err := g.enter(); err != nil {
		return nil, err
	}
	g.mu.Lock()
	f := g.next
	if f == nil {
		f = &fetch{keys: make(map[string]struct{}, len(keys)), done: make(chan struct{})}
		g.next = f
	}
	for k := range keys {
		f.keys[k] = struct{}{}
	}
	start := g.active < maxFetches
	if start {
		g.active++
	}
	g.mu.Unlock()
	if start {
		go g.fetchLoop()
	} else {
		g.leave() // those at work stay until the fetch is done
	}
	select {
	case <-f.done:
		return f.found, f.err
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-g.d.ctx.Done():
		return nil, g.d.failure()
	}
}

// fetchLoop makes round trips as long as keys are asked for.
func (g *generation) fetchLoop() {
	defer g.leave()
	for {
		g.mu.Lock()
		f := g.next
		g.next = nil
		if f == nil {
			g.active--
			g.mu.Unlock()
			return
		}
		g.mu.Unlock()
		f.err = g.do(func(ctx context.Context, c *pgx.Conn) error { return g.d.readKeys(ctx, c, f) })
		close(f.done)
	}
}

// readKeys is the round trip.
func (d *DB) readKeys(ctx context.Context, c *pgx.Conn, f *fetch) error {
	byTable := make([][][]byte, len(d.tables))
	for k := range f.keys {
		t := d.tableOf(k)
		byTable[t] = append(byTable[t], []byte(k))
	}
	f.found = make(map[string][]byte, len(f.keys))
	b := &pgx.Batch{}
	for t, ks := range byTable {
		if len(ks) > 0 {
			b.Queue(d.sql.tables[t].get, pgtype.FlatArray[[]byte](ks)).Query(func(rows pgx.Rows) error {
				return eachRow(rows, func(k, value []byte) { f.found[string(k)] = append([]byte{}, value...) })
			})
		}
	}
	return c.SendBatch(ctx, b).Close()
}

// eachRow calls f with the two columns of each row, valid until it returns.
func eachRow(rows pgx.Rows, f func(k, v []byte)) error {
	defer rows.Close()
	for rows.Next() {
		raw := rows.RawValues()
		f(raw[0], raw[1])
	}
	return rows.Err()
}
