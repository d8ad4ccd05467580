package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"rialto/internal/kv"
	"rialto/internal/kv/kvtest"
	"rialto/internal/kv/postgres/pgtest"
)

// cluster is the server of this test process.
var cluster *pgtest.Cluster

func TestMain(m *testing.M) {
	var err error
	if cluster, err = pgtest.New(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	cluster.Remove()
	if code == 0 {
		if err := goleak.Find(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

// names gives each database of this process its own schema.
var names atomic.Int64

func testOptions() Options {
	return Options{
		URL: cluster.URL(), Schema: fmt.Sprintf("kv_%d", names.Add(1)), LockWait: time.Second, Deadline: 20 * time.Second,
		Tables: []Table{{Name: "head"}, {Name: "lower", From: []byte("b")}, {Name: "upper", From: []byte("k1"), Append: true}},
		Once:   func(key []byte) bool { return key[len(key)-1]%2 == 0 }, // often wrong
	}
}

// wire is the network between a database and its server: it can break.
type wire struct {
	mu    sync.Mutex
	conns map[*wireConn]struct{}
	down  bool

	writes atomic.Int64
}

// wireConn is one connection. Armed, it breaks once: before its next request
// leaves, or when the answer to it has come.
type wireConn struct {
	net.Conn
	writes                  *atomic.Int64
	loseRequest, loseAnswer atomic.Bool
}

func (c *wireConn) Write(p []byte) (int, error) {
	if c.loseRequest.Swap(false) {
		_ = c.Conn.Close() // it is to break
		return 0, net.ErrClosed
	}
	c.writes.Add(1)
	return c.Conn.Write(p)
}

func (c *wireConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n > 0 && c.loseAnswer.Swap(false) {
		_ = c.Conn.Close() // it is to break
		return 0, io.EOF
	}
	return n, err
}

func (w *wire) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.down {
		return nil, errors.New("the network is down")
	}
	c, err := (&net.Dialer{}).DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	wc := &wireConn{Conn: c, writes: &w.writes}
	if w.conns == nil {
		w.conns = make(map[*wireConn]struct{})
	}
	w.conns[wc] = struct{}{}
	return wc, nil
}

// cut breaks all connections, and refuses new ones while down.
func (w *wire) cut(down bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.down = down
	for c := range w.conns {
		_ = c.Conn.Close() // it is to break
	}
	w.conns = nil
}

// harness is one schema of the server.
type harness struct {
	wire wire
	free atomic.Uint64
	opts Options
	db   *DB
}

func newHarness(testing.TB) kvtest.Harness {
	h := &harness{opts: testOptions()}
	h.free.Store(1 << 40)
	h.opts.MinFree, h.opts.Sample, h.opts.LockWait = 1<<20, 10*time.Millisecond, 300*time.Millisecond
	h.opts.Free = func() (uint64, error) { return h.free.Load(), nil }
	h.opts.dial = h.wire.dial
	return h
}

func (h *harness) Open(t testing.TB) (kv.DB, error) {
	h.wire.mu.Lock()
	h.wire.down = false
	h.wire.mu.Unlock()
	db, err := Open(context.Background(), h.opts)
	if err != nil {
		return nil, err
	}
	h.db = db
	t.Cleanup(func() { _ = db.Close() })
	return db, nil
}

// PowerCut takes the power of both machines.
func (h *harness) PowerCut(t testing.TB) {
	t.Helper()
	if err := cluster.Kill(); err != nil {
		t.Fatal(err)
	}
	h.db.fail(errors.New("the power failed"))
	_ = h.db.Close()
	if err := cluster.Start(); err != nil {
		t.Fatal(err)
	}
}

// FailSync: the server goes away for longer than the deadline.
func (h *harness) FailSync() {
	h.db.patience.Store(int64(200 * time.Millisecond))
	h.wire.cut(true)
}

func (h *harness) SetFree(t testing.TB, n uint64) {
	h.free.Store(n)
	waitFor(t, "the new free space", func() bool { return h.db.space.free.Load() == n })
}

func (h *harness) OpenCopy(testing.TB, string) (kv.DB, error) {
	return nil, errors.New("no checkpoints")
}

func waitFor(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

func TestConformance(t *testing.T) { kvtest.Run(t, newHarness) }
