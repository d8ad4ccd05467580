package server

import (
	"context"
	"io"
	"sync"
	"testing"
	"time"

	"rialto/internal/model"
	"rialto/internal/org"
	"rialto/internal/service"
)

// silent is an event log that nobody reads.
type silent struct{}

func (silent) Report(context.Context, service.Event) {}

func testServices(handler func(ctx context.Context, c *service.Conn)) *services {
	return &services{host: "127.0.0.1", events: silent{}, m: map[model.GUID]*running{}, build: func(*org.VirtualServer) *service.Server {
		return &service.Server{Name: "test", Handler: handler}
	}}
}

func configOf(vs ...org.VirtualServer) *org.Config {
	c := &org.Config{}
	c.Server.VirtualServers = vs
	return c
}

// The directory changes bindings while administrators look.
func TestReconcileBesideReaders(t *testing.T) {
	ctx := context.Background()
	s := testServices(func(context.Context, *service.Conn) {})
	v := org.VirtualServer{GUID: model.NewGUID(), Name: "Default", Protocol: org.IMAP, Enabled: true, Bindings: []org.Binding{{}}}
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				s.List()
				s.endpoints()
			}
		}
	})
	for i := range 20 {
		v.Bindings = make([]org.Binding, i%3+1)
		for j := range v.Bindings {
			v.Bindings[j].Address = []string{"127.0.0.1", "127.0.0.2", "127.0.0.3"}[j]
		}
		s.reconcile(ctx, configOf(v))
	}
	close(stop)
	wg.Wait()
	if l := s.List(); len(l) != 1 || len(l[0].Address) != 2 || l[0].Error != "" {
		t.Errorf("%+v", l)
	}
	if err := s.Stop(ctx, "default"); err != nil {
		t.Fatal(err)
	}
	s.reconcile(ctx, configOf(v))
	if l := s.List(); l[0].State != string(service.Stopped) {
		t.Errorf("what an administrator stopped is %s", l[0].State)
	}
	s.reconcile(ctx, configOf())
	if l := s.List(); len(l) != 0 {
		t.Errorf("a virtual server that is gone: %+v", l)
	}
}

// A session that does not leave must not keep the server from stopping while
// the directory has its virtual server stopped.
func TestStopBesideReconcile(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	s := testServices(func(_ context.Context, c *service.Conn) { _, _ = io.Copy(io.Discard, c) })
	v := org.VirtualServer{GUID: model.NewGUID(), Name: "Default", Protocol: org.IMAP, Enabled: true, Bindings: []org.Binding{{}}}
	s.reconcile(ctx, configOf(v))
	d := service.Dialer{}
	c, err := d.Dial(ctx, "tcp", s.m[v.GUID].vs.Addrs()[0].String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for len(s.m[v.GUID].vs.Server().Conns()) == 0 {
		time.Sleep(time.Millisecond)
	}
	v.Enabled = false
	done := make(chan struct{})
	go func() { s.reconcile(ctx, configOf(v)); close(done) }()
	time.Sleep(50 * time.Millisecond)
	cancel() // as Shutdown does first
	limit, end := context.WithTimeout(context.Background(), 5*time.Second)
	defer end()
	s.stop(limit)
	<-done
	if limit.Err() != nil {
		t.Error("the stop took all its time")
	}
}

// A start that failed has been taken down already; whoever started it may end it
// once more.
func TestShutdownTwice(t *testing.T) {
	cfg := &Config{Version: 1, Server: "mail", DNSDomain: "contoso.test", DataDir: t.TempDir()}
	s, err := Open(t.Context(), cfg, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Prepare(t.Context()); err == nil {
		t.Error("prepared without an organization")
	}
	for range 2 {
		if err := s.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
	}
}
