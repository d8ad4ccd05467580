// Package service is the listener skeleton of every protocol head, written
// once: accepting, TLS, limits, deadlines, draining, events and metrics. It is
// also the only package that opens sockets, in either direction.
//
// A head supplies a Handler that speaks its protocol over a *Conn. The Server
// owns the connection: it closes it when the handler returns.
//
// Lock order: VirtualServer.mu, then Server.mu, then Conn.mu. No lock is held
// while reading, writing or calling a handler.
package service

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"rialto/internal/model"
)

// Handler speaks one protocol on one connection and returns when the session
// is over. ctx ends when the connection must go now (hard stop); a gentle stop
// is told by Conn.Draining and by ErrDraining from Conn.WaitInput.
type Handler func(ctx context.Context, c *Conn)

// Limits bound what strangers can cost. A zero field means its default, a
// negative one no limit.
type Limits struct {
	MaxConns      int           // open connections in all; default 20000
	MaxConnsPerIP int           // per IPv4 address or IPv6 /64; default 200
	AcceptRate    float64       // accepted connections per second, the rest wait in the backlog; default no limit
	ReadTimeout   time.Duration // to finish one operation, extended by progress at MinRate; default 1 min
	WriteTimeout  time.Duration // to hand over one write, extended by its length at MinRate; default 1 min
	MinRate       int           // bytes per second below which a peer is too slow; default 512
	TLSTimeout    time.Duration // for one TLS handshake; default 20 s
}

func (l Limits) withDefaults() Limits {
	def := func(v *int, d int) {
		if *v == 0 {
			*v = d
		}
	}
	dur := func(v *time.Duration, d time.Duration) {
		if *v == 0 {
			*v = d
		}
	}
	def(&l.MaxConns, 20000)
	def(&l.MaxConnsPerIP, 200)
	def(&l.MinRate, 512)
	dur(&l.ReadTimeout, time.Minute)
	dur(&l.WriteTimeout, time.Minute)
	dur(&l.TLSTimeout, 20*time.Second)
	return l
}

// Reason says why a connection was refused right after it was accepted.
type Reason string

// The reasons.
const (
	RefusedFull   Reason = "full"   // MaxConns reached
	RefusedPerIP  Reason = "per-ip" // MaxConnsPerIP reached
	RefusedPaused Reason = "paused" // the server is paused
	RefusedPeer   Reason = "peer"   // the access list says no
)

// ErrServerStopped is returned by Serve after Shutdown or the end of its context.
var ErrServerStopped = errors.New("service: server stopped")

// Server runs one protocol. Name and Handler must be set; the other fields
// have useful zero values. Fields must not change once Serve was called.
type Server struct {
	Name    string
	Handler Handler

	// TLS returns the configuration for the next handshake, nil while there
	// is no certificate. It is asked each time, so certificates can change.
	TLS    func() *tls.Config
	Limits Limits

	// Refuse returns what to tell a refused client ("421 …\r\n"); may be nil.
	Refuse func(Reason) []byte
	// Admit decides by peer address (access lists); nil admits all.
	Admit func(netip.Addr) bool

	Log     *slog.Logger // nil discards
	Events  Log          // nil discards
	Metrics *Metrics     // nil counts nothing

	nextID atomic.Uint64
	mu     sync.Mutex
	run    *run // nil until the first Serve; replaced after Shutdown
	paused bool
}

// run is what lives from the first Serve to the end of Shutdown.
type run struct {
	lim       Limits
	limiter   *rate.Limiter
	drain     chan struct{} // closed when draining begins
	draining  bool
	listeners map[net.Listener]struct{}
	conns     map[*Conn]struct{}
	perIP     map[netip.Addr]int
	wg        sync.WaitGroup // accepted connections
	bufs      buffers
}

// begin returns the current run, starting one if none is.
func (s *Server) begin(ln net.Listener) (*run, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.run == nil {
		lim := s.Limits.withDefaults()
		r := &run{
			lim: lim, drain: make(chan struct{}),
			listeners: map[net.Listener]struct{}{}, conns: map[*Conn]struct{}{}, perIP: map[netip.Addr]int{},
		}
		if lim.AcceptRate > 0 {
			r.limiter = rate.NewLimiter(rate.Limit(lim.AcceptRate), max(1, int(lim.AcceptRate)))
		}
		s.run = r
	}
	if s.run.draining {
		return nil, ErrServerStopped
	}
	s.run.listeners[ln] = struct{}{}
	return s.run, nil
}

// Serve accepts connections from ln until ctx ends, ln is closed or Shutdown is
// called, and closes ln. It may be called for several listeners at once. It
// returns ErrServerStopped, or nil when only this listener was closed. Ending
// ctx closes the connections accepted by this call at once; Shutdown drains.
func (s *Server) Serve(ctx context.Context, ln net.Listener) error {
	return s.serve(ctx, ln, false)
}

// serve is Serve; implicit says that TLS comes first, as on ports 993 and 465.
func (s *Server) serve(ctx context.Context, ln net.Listener, implicit bool) error {
	defer ln.Close()
	r, err := s.begin(ln)
	if err != nil {
		return err
	}
	defer func() {
		s.mu.Lock()
		delete(r.listeners, ln)
		s.mu.Unlock()
	}()
	defer context.AfterFunc(ctx, func() { ln.Close() })()
	var delay time.Duration
	for {
		if r.limiter != nil && r.limiter.Wait(ctx) != nil {
			return ErrServerStopped
		}
		nc, err := ln.Accept()
		if err == nil {
			delay = 0
			s.admit(ctx, r, nc, implicit)
			continue
		}
		if s.isDraining(r) || ctx.Err() != nil {
			return ErrServerStopped
		}
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		// Out of file descriptors, or the peer was gone before we looked:
		// neither may stop the service.
		delay = min(max(2*delay, 5*time.Millisecond), time.Second)
		s.logger().Warn("accept failed", "server", s.Name, "err", err, "retry", delay)
		select {
		case <-time.After(delay):
		case <-ctx.Done():
		case <-r.drain:
		}
	}
}

func (s *Server) isDraining(r *run) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return r.draining
}

// admit applies the limits to a fresh connection and starts its handler.
func (s *Server) admit(ctx context.Context, r *run, nc net.Conn, implicit bool) {
	ip := peerIP(nc.RemoteAddr())
	key := limitKey(ip)
	refused := Reason("")
	s.mu.Lock()
	switch {
	case r.draining:
		s.mu.Unlock()
		nc.Close()
		return
	case s.paused:
		refused = RefusedPaused
	case s.Admit != nil && ip.IsValid() && !s.Admit(ip):
		refused = RefusedPeer
	case r.lim.MaxConns > 0 && len(r.conns) >= r.lim.MaxConns:
		refused = RefusedFull
	case r.lim.MaxConnsPerIP > 0 && ip.IsValid() && r.perIP[key] >= r.lim.MaxConnsPerIP:
		refused = RefusedPerIP
	}
	if refused != "" {
		s.mu.Unlock()
		s.refuse(nc, refused, implicit)
		return
	}
	c := newConn(s, r, nc, s.nextID.Add(1), ip)
	r.conns[c] = struct{}{}
	if ip.IsValid() {
		r.perIP[key]++
	}
	r.wg.Add(1)
	s.mu.Unlock()
	go s.handle(ctx, r, c, implicit)
}

// refuse says why, as far as one small write goes, and hangs up.
func (s *Server) refuse(nc net.Conn, why Reason, implicit bool) {
	s.Metrics.refused(s.Name, why)
	s.logger().Info("connection refused", "server", s.Name, "remote", nc.RemoteAddr().String(), "reason", string(why))
	if s.Refuse != nil && !implicit {
		nc.SetWriteDeadline(time.Now().Add(time.Second))
		nc.Write(s.Refuse(why))
	}
	nc.Close()
}

// handle runs one connection from handshake to close. A handler that panics
// costs its own connection only.
func (s *Server) handle(ctx context.Context, r *run, c *Conn, implicit bool) {
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(ctx, func() { c.Close() })
	s.Metrics.opened(s.Name)
	defer func() {
		if p := recover(); p != nil {
			stack := string(debug.Stack())
			s.logger().Error("handler panic", "server", s.Name, "conn", c.id, "panic", fmt.Sprint(p), "stack", stack)
			s.report(ctx, Event{ID: EventHandlerFailed, Level: slog.LevelError, Category: "General",
				Message: "A session ended because of an internal error.", Attrs: []slog.Attr{slog.Uint64("conn", c.id)}})
		}
		stop()
		cancel()
		c.finish()
		s.mu.Lock()
		delete(r.conns, c)
		if key := limitKey(c.remote); c.remote.IsValid() {
			if r.perIP[key]--; r.perIP[key] <= 0 {
				delete(r.perIP, key)
			}
		}
		s.mu.Unlock()
		s.Metrics.closed(s.Name, c)
		r.wg.Done()
	}()
	if implicit {
		if err := c.StartTLS(ctx); err != nil {
			s.logger().Debug("handshake failed", "server", s.Name, "conn", c.id, "remote", c.remote.String(), "err", err)
			return
		}
	}
	s.Handler(ctx, c)
}

// Shutdown stops accepting, tells every connection to finish, and closes what
// is left when ctx ends. It returns nil when all left by themselves, otherwise
// an error of KindCanceled. Afterwards Serve may be called again.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	r := s.run
	if r == nil {
		s.mu.Unlock()
		return nil
	}
	if !r.draining {
		r.draining = true
		close(r.drain)
	}
	for ln := range r.listeners {
		ln.Close()
	}
	conns := r.list()
	s.mu.Unlock()
	for _, c := range conns {
		c.Wake()
	}
	done := make(chan struct{})
	go func() { r.wg.Wait(); close(done) }()
	var err error
	select {
	case <-done:
	case <-ctx.Done():
		s.mu.Lock()
		left := r.list()
		s.mu.Unlock()
		for _, c := range left {
			c.Close()
		}
		err = model.E("service.shutdown", model.KindCanceled, fmt.Sprintf("%s: %d connections cut", s.Name, len(left)), ctx.Err())
		<-done
	}
	s.mu.Lock()
	if s.run == r {
		s.run = nil
	}
	s.mu.Unlock()
	return err
}

// list returns the open connections; the caller holds Server.mu.
func (r *run) list() []*Conn {
	l := make([]*Conn, 0, len(r.conns))
	for c := range r.conns {
		l = append(l, c)
	}
	return l
}

// Pause refuses new connections and leaves the open ones alone, as pausing a
// virtual server does.
func (s *Server) Pause() { s.setPaused(true) }

// Resume ends Pause.
func (s *Server) Resume() { s.setPaused(false) }

func (s *Server) setPaused(p bool) {
	s.mu.Lock()
	s.paused = p
	s.mu.Unlock()
}

func (s *Server) logger() *slog.Logger {
	if s.Log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return s.Log
}

func (s *Server) report(ctx context.Context, e Event) {
	if s.Events == nil {
		return
	}
	e.Source = s.Name
	s.Events.Report(ctx, e)
}
