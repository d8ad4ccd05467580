package service

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"rialto/internal/model"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// echo is a small line protocol: STARTTLS, PANIC, QUIT, anything else comes back.
func echo(ctx context.Context, c *Conn) {
	for {
		switch err := c.WaitInput(time.Minute); {
		case errors.Is(err, ErrDraining):
			fmt.Fprint(c.Writer(), "* BYE\r\n")
			return
		case errors.Is(err, ErrWoken):
			fmt.Fprint(c.Writer(), "* woken\r\n")
			continue
		case err != nil:
			return
		}
		line, err := c.Reader().ReadString('\n')
		if err != nil {
			fmt.Fprintf(c.Writer(), "* %v\r\n", errors.Is(err, os.ErrDeadlineExceeded))
			return
		}
		switch strings.TrimSpace(line) {
		case "STARTTLS":
			fmt.Fprint(c.Writer(), "go\r\n")
			if err := c.StartTLS(ctx); err != nil {
				fmt.Fprintf(c.Writer(), "%v\r\n", err)
				return
			}
		case "PANIC":
			panic("asked to")
		case "QUIT":
			return
		default:
			fmt.Fprintf(c.Writer(), "%s", line)
		}
	}
}

// start serves s on a free port and stops it with the test.
func start(t *testing.T, s *Server) string {
	t.Helper()
	if s.Name == "" {
		s.Name = "ECHO"
	}
	if s.Handler == nil {
		s.Handler = echo
	}
	ln, err := Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- s.Serve(context.Background(), ln) }()
	t.Cleanup(func() {
		ln.Close()
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		s.Shutdown(ctx)
		<-done
	})
	return ln.Addr().String()
}

type client struct {
	net.Conn
	r *bufio.Reader
	t *testing.T
}

func dial(t *testing.T, addr string) *client {
	t.Helper()
	c, err := new(Dialer).Dial(t.Context(), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(10 * time.Second))
	return &client{c, bufio.NewReader(c), t}
}

func (c *client) send(s string) { io.WriteString(c, s) }

func (c *client) expect(want string) {
	c.t.Helper()
	line, err := c.r.ReadString('\n')
	if strings.TrimSpace(line) != want {
		c.t.Fatalf("got %q, %v; want %q", line, err, want)
	}
}

func (c *client) expectEOF() {
	c.t.Helper()
	if b, err := c.r.ReadByte(); err == nil {
		c.t.Fatalf("got %q, want the end", b)
	}
}

func TestEchoPipelinedAndQuit(t *testing.T) {
	s := &Server{}
	c := dial(t, start(t, s))
	c.send("one\r\ntwo\r\nthr")
	c.expect("one")
	c.expect("two")
	c.send("ee\r\n")
	c.expect("three")
	// What was written is counted after the peer can have it.
	l := s.Conns()
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end) && len(l) == 1 && l[0].BytesOut < 17; l = s.Conns() {
		time.Sleep(time.Millisecond)
	}
	if len(l) != 1 || l[0].BytesIn != 17 || l[0].BytesOut != 17 {
		t.Errorf("Conns = %+v", l)
	}
	c.send("QUIT\r\n")
	c.expectEOF()
}

func TestDrain(t *testing.T) {
	s := &Server{}
	addr := start(t, s)
	c := dial(t, addr)
	c.send("x\r\n")
	c.expect("x")
	if err := s.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	c.expect("* BYE")
	c.expectEOF()
	if _, err := net.DialTimeout("tcp", addr, time.Second); err == nil {
		t.Error("still listening")
	}
}

func TestShutdownCutsAtDeadline(t *testing.T) {
	s := &Server{Handler: func(ctx context.Context, c *Conn) { c.Reader().ReadByte() }}
	c := dial(t, start(t, s))
	waitConns(t, s, 1)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := s.Shutdown(ctx); !model.IsKind(err, model.KindCanceled) {
		t.Errorf("Shutdown = %v", err)
	}
	c.expectEOF()
}

func waitConns(t *testing.T, s *Server, n int) {
	t.Helper()
	for range 500 {
		if len(s.Conns()) == n {
			return
		}
		time.Sleep(2 * time.Millisecond)
	}
	t.Fatalf("%d connections, want %d", len(s.Conns()), n)
}

func TestWake(t *testing.T) {
	var conn atomic.Pointer[Conn]
	s := &Server{Handler: func(ctx context.Context, c *Conn) { conn.Store(c); echo(ctx, c) }}
	c := dial(t, start(t, s))
	c.send("x\r\n")
	c.expect("x")
	for range 3 {
		conn.Load().Wake()
		c.expect("* woken")
		c.send("still here\r\n")
		c.expect("still here")
	}
}

func TestLimits(t *testing.T) {
	refuse := func(r Reason) []byte { return []byte("421 " + r + "\r\n") }
	s := &Server{Refuse: refuse, Limits: Limits{MaxConns: 3, MaxConnsPerIP: 2}}
	addr := start(t, s)
	a, b := dial(t, addr), dial(t, addr)
	a.send("a\r\n")
	a.expect("a")
	b.send("b\r\n")
	b.expect("b")
	dial(t, addr).expect("421 per-ip")
	a.send("QUIT\r\n")
	a.expectEOF()
	waitConns(t, s, 1)
	s.Pause()
	dial(t, addr).expect("421 paused")
	s.Resume()
	c := dial(t, addr)
	c.send("c\r\n")
	c.expect("c")

	s = &Server{Refuse: refuse, Limits: Limits{MaxConns: 1, MaxConnsPerIP: -1}, Admit: func(netip.Addr) bool { return true }}
	addr = start(t, s)
	dial(t, addr)
	waitConns(t, s, 1)
	dial(t, addr).expect("421 full")
	s = &Server{Refuse: refuse, Admit: func(a netip.Addr) bool { return !a.IsLoopback() }}
	dial(t, start(t, s)).expect("421 peer")
}

func TestSlowClientIsCut(t *testing.T) {
	s := &Server{Limits: Limits{ReadTimeout: 100 * time.Millisecond, MinRate: 1 << 20}}
	c := dial(t, start(t, s))
	begin := time.Now()
	for i := 0; i < 100 && time.Since(begin) < 400*time.Millisecond; i++ {
		c.send("x") // a byte now and then is not progress
		time.Sleep(10 * time.Millisecond)
	}
	c.expect("* true")
	c.expectEOF()
}

func TestSteadyUploadOutlivesTimeout(t *testing.T) {
	s := &Server{Limits: Limits{ReadTimeout: 150 * time.Millisecond, MinRate: 10}}
	c := dial(t, start(t, s))
	for range 30 {
		c.send("0123456789")
		time.Sleep(10 * time.Millisecond)
	}
	c.send("\n")
	c.expect(strings.Repeat("0123456789", 30))
}

func TestPanicCostsOneConnection(t *testing.T) {
	events := NewEventLog(nil, 10)
	s := &Server{Events: events}
	addr := start(t, s)
	a, b := dial(t, addr), dial(t, addr)
	a.send("PANIC\r\n")
	a.expectEOF()
	b.send("fine\r\n")
	b.expect("fine")
	if l := events.Recent(5, nil); len(l) != 1 || l[0].ID != EventHandlerFailed || l[0].Source != "ECHO" {
		t.Errorf("events: %+v", l)
	}
}

func TestMetrics(t *testing.T) {
	reg := prometheus.NewRegistry()
	s := &Server{Metrics: NewMetrics(reg)}
	NewMetrics(reg) // a second server on the same registry
	c := dial(t, start(t, s))
	c.send("QUIT\r\n")
	c.expectEOF()
	waitConns(t, s, 0)
	got := map[string]float64{}
	// The last counter moves just after the connection has left the list.
	for range 100 {
		fams, err := reg.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range fams {
			for _, m := range f.GetMetric() {
				got[f.GetName()] += m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
		if got["rialto_connections_bytes_total"] > 0 {
			break
		}
		clear(got)
		time.Sleep(2 * time.Millisecond)
	}
	if got["rialto_connections_accepted_total"] != 1 || got["rialto_connections_open"] != 0 || got["rialto_connections_bytes_total"] != 6 {
		t.Errorf("metrics: %v", got)
	}
}

// TestIdleMemory holds the goal of 15 KB for each idle connection.
func TestIdleMemory(t *testing.T) {
	const n = 300
	s := &Server{Limits: Limits{MaxConnsPerIP: -1}}
	addr := start(t, s)
	conns := make([]net.Conn, n)
	measure := func() uint64 {
		runtime.GC()
		runtime.GC() // the second one empties the buffer pools
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc + m.StackInuse
	}
	before := measure()
	for i := range conns {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		conns[i] = c
		io.WriteString(c, "hello\r\n")
		if _, err := io.ReadFull(c, make([]byte, 7)); err != nil {
			t.Fatal(err)
		}
	}
	waitConns(t, s, n)
	per := int64(measure()-before) / n
	t.Logf("%d bytes for one idle connection, client side included", per)
	if per > 15<<10 {
		t.Errorf("%d bytes for one idle connection", per)
	}
}
