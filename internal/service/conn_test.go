package service

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"testing"
	"time"
)

func TestWakeIsNotLost(t *testing.T) {
	ready, woken := make(chan *Conn), make(chan struct{})
	s := &Server{Handler: func(ctx context.Context, c *Conn) {
		ready <- c
		<-woken // Wake comes while the handler is busy elsewhere
		if err := c.WaitInput(0); !errors.Is(err, ErrWoken) {
			t.Errorf("first wait: %v", err)
		}
		if err := c.WaitInput(10 * time.Millisecond); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("second wait: %v", err)
		}
		fmt.Fprint(c, "done\r\n")
	}}
	c := dial(t, start(t, s))
	(<-ready).Wake()
	close(woken)
	c.expect("done")
}

func TestIdleTimeoutAndPeerGone(t *testing.T) {
	errs := make(chan error, 2)
	s := &Server{Handler: func(ctx context.Context, c *Conn) { errs <- c.WaitInput(50 * time.Millisecond) }}
	addr := start(t, s)
	dial(t, addr)
	if err := <-errs; !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("idle: %v", err)
	}
	dial(t, addr).Close()
	if err := <-errs; !errors.Is(err, io.EOF) {
		t.Errorf("gone: %v", err)
	}
}

func TestDisconnectAndUser(t *testing.T) {
	s := &Server{Handler: func(ctx context.Context, c *Conn) {
		c.SetUser("alice")
		if !c.Local() || !c.RemoteIP().IsLoopback() || c.LocalAddr() == nil {
			t.Error("addresses are wrong")
		}
		echo(ctx, c)
	}}
	c := dial(t, start(t, s))
	c.send("x\r\n")
	c.expect("x")
	l := s.Conns()
	if len(l) != 1 || l[0].User != "alice" || l[0].Remote != c.LocalAddr().String() {
		t.Fatalf("Conns = %+v", l)
	}
	if s.Disconnect(l[0].ID+1) || !s.Disconnect(l[0].ID) {
		t.Error("Disconnect is wrong about what is there")
	}
	c.expectEOF()
	waitConns(t, s, 0)
}

func TestEndOfContextCuts(t *testing.T) {
	ln, err := Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{Name: "ECHO", Handler: echo}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, ln) }()
	c := dial(t, ln.Addr().String())
	c.send("x\r\n")
	c.expect("x")
	cancel()
	c.expectEOF()
	if err := <-done; !errors.Is(err, ErrServerStopped) {
		t.Errorf("Serve = %v", err)
	}
	if err := s.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestAcceptRateDelays(t *testing.T) {
	s := &Server{Limits: Limits{AcceptRate: 20}}
	addr := start(t, s)
	begin := time.Now()
	for range 24 {
		c := dial(t, addr)
		c.send("QUIT\r\n")
		c.expectEOF()
	}
	if d := time.Since(begin); d < 100*time.Millisecond {
		t.Errorf("24 connections in %v at 20 a second", d)
	}
}

func TestWriteToStalledPeer(t *testing.T) {
	got := make(chan error, 1)
	s := &Server{Limits: Limits{WriteTimeout: 50 * time.Millisecond, MinRate: 1 << 30}, Handler: func(ctx context.Context, c *Conn) {
		var err error
		for err == nil {
			_, err = c.Write(make([]byte, 1<<20))
		}
		got <- err
	}}
	dial(t, start(t, s)) // never reads
	select {
	case err := <-got:
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("Write = %v", err)
		}
	case <-time.After(5 * time.Second):
		t.Error("a peer that does not read holds the server")
	}
}

func BenchmarkRoundTrip(b *testing.B) {
	s := &Server{Name: "ECHO", Handler: echo}
	ln, err := Listen(b.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	done := make(chan struct{})
	go func() { s.Serve(context.Background(), ln); close(done) }()
	c, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	buf := make([]byte, 16)
	b.ReportAllocs()
	for b.Loop() {
		io.WriteString(c, "hello\r\n")
		if _, err := io.ReadFull(c, buf[:7]); err != nil {
			b.Fatal(err)
		}
	}
	c.Close()
	s.Shutdown(context.Background())
	<-done
}
