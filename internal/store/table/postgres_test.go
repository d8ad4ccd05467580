package table

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"rialto/internal/kv/postgres"
	"rialto/internal/kv/postgres/pgtest"
	"rialto/internal/mapi"
	"rialto/internal/store"
)

// counted stands between a database and its server and counts round trips.
type counted struct {
	listener net.Listener
	trips    atomic.Int64
	wg       sync.WaitGroup
}

// between listens in a directory of its own for the server whose socket is at
// target.
func between(t *testing.T, target string) (*counted, string) {
	dir := t.TempDir()
	l, err := net.Listen("unix", filepath.Join(dir, filepath.Base(target)))
	if err != nil {
		t.Fatal(err)
	}
	c := &counted{listener: l}
	c.wg.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("unix", target)
			if err != nil {
				client.Close()
				continue
			}
			c.wg.Go(func() { c.serve(client, server) })
		}
	})
	t.Cleanup(func() { l.Close(); c.wg.Wait() })
	return c, dir
}

// serve passes octets on and counts the round trips: the server ends each with
// ReadyForQuery, 'Z'. Its messages are a letter and a length that counts itself.
func (c *counted) serve(client, server net.Conn) {
	pass := func(from, to net.Conn, seen func([]byte)) {
		defer to.Close()
		b := make([]byte, 64<<10)
		for {
			n, err := from.Read(b)
			if n > 0 {
				seen(b[:n])
				if _, err := to.Write(b[:n]); err != nil {
					return
				}
			}
			if err != nil {
				return
			}
		}
	}
	var head []byte // of the message that is passing
	left := 0       // of its octets
	var wg sync.WaitGroup
	wg.Go(func() { pass(client, server, func([]byte) {}) })
	wg.Go(func() {
		pass(server, client, func(b []byte) {
			for len(b) > 0 {
				if left > 0 {
					n := min(left, len(b))
					left, b = left-n, b[n:]
					continue
				}
				head, b = append(head, b[0]), b[1:]
				if len(head) == 5 {
					if head[0] == 'Z' {
						c.trips.Add(1)
					}
					left, head = int(binary.BigEndian.Uint32(head[1:]))-4, head[:0]
				}
			}
		})
	})
	wg.Wait()
}

// TestRoundTrips counts what pages of a table cost on a server, with nothing in
// memory at first.
func TestRoundTrips(t *testing.T) {
	server, err := pgtest.New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Remove)
	names, err := filepath.Glob(filepath.Join(server.Socket(), ".s.PGSQL.*"))
	if err != nil || len(names) == 0 {
		t.Fatal(names, err)
	}
	wire, dir := between(t, names[0])
	address := strings.Replace(server.URL(), url.QueryEscape(server.Socket()), url.QueryEscape(dir), 1)
	engine := func() *postgres.DB {
		db, err := postgres.Open(ctx, postgres.Options{URL: address, Schema: "trips", Sample: time.Hour})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { db.Close() })
		return db
	}
	b := openBox(t, engine())
	for i := range 4 {
		var ls []letter
		for k := range 500 {
			ls = append(ls, letter{subject: fmt.Sprint("subject ", i, k), at: 1e9 + int64(i*k*7919%9973), note: "note"})
		}
		b.add(store.FolderInbox, ls...)
	}
	guid, of := b.m.GUID(), b.d.GUID()
	if err := b.d.Close(); err != nil {
		t.Fatal(err)
	}
	d, err := store.Open(ctx, engine(), store.Options{GUID: of, Name: "Mailbox Store"})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	m, err := d.Mailbox(ctx, guid)
	if err != nil {
		t.Fatal(err)
	}
	b = &box{t, m, d}
	pages := func(tab *Table, n int) (trips []int64) {
		for range n {
			from := wire.trips.Load()
			v := b.view()
			rows, err := tab.Rows(ctx, v, 50, false)
			v.Close()
			if err != nil || len(rows) != 50 {
				t.Fatal(len(rows), err)
			}
			trips = append(trips, wire.trips.Load()-from)
		}
		return trips
	}
	for _, c := range []struct {
		name  string
		order mapi.SortOrder
		more  []mapi.Tag
	}{
		{name: "as they came"},
		{name: "again"},
		{name: "by subject", order: mapi.SortOrder{Columns: []mapi.SortColumn{{Tag: mapi.TagSubject}}}},
		{name: "with the bag", order: mapi.SortOrder{Columns: []mapi.SortColumn{{Tag: mapi.TagMessageDeliveryTime}}}, more: []mapi.Tag{tagNote}},
	} {
		tab := opened(t, &Contents{Folder: store.FolderInbox}, append(usual(), c.more...)...)
		if err := tab.Sort(c.order); err != nil {
			t.Fatal(err)
		}
		trips := pages(tab, 12)
		t.Log(c.name, trips)
		for i, n := range trips[1:] {
			if n > 2 {
				t.Errorf("%s: page %d took %d round trips", c.name, i+2, n)
			}
		}
	}
}
