package service

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"rialto/internal/model"
)

// Errors of WaitInput and StartTLS.
var (
	// ErrDraining means the server is being stopped: say goodbye and return.
	ErrDraining = errors.New("service: server is stopping")
	// ErrWoken means Wake was called: look at what changed and wait again.
	ErrWoken = errors.New("service: woken")
	// ErrPlaintextBuffered means the client sent commands in clear after the
	// one that starts TLS. Obeying them later would let an attacker in the
	// middle inject commands (CVE-2011-0411), so the session must end.
	ErrPlaintextBuffered = errors.New("service: plain text after the start of TLS")
)

// Conn is one client connection. Its methods are for the one goroutine that
// runs the handler, except Wake, Close, Info and SetUser, which are safe from
// anywhere.
//
// Deadlines: WaitInput begins an operation. The reads that follow must
// together finish within Limits.ReadTimeout, and every byte received extends
// that by 1/MinRate seconds, so a slow but honest upload goes through and one
// byte a minute does not. Writes get WriteTimeout plus their length at MinRate.
//
// Buffers: Reader and Writer come from a pool when first used and go back in
// WaitInput when they are empty, so an idle connection owns neither. Do not
// keep either across WaitInput.
type Conn struct {
	srv    *Server
	run    *run
	id     uint64
	start  time.Time
	raw    net.Conn        // as accepted
	rc     syscall.RawConn // raw's descriptor, nil where it has none
	remote netip.Addr

	r *pooledReader // nil while idle
	w *bufio.Writer // nil while idle

	opStart  time.Time
	opBytes  int64
	deadline time.Time // last read deadline set

	in, out  atomic.Int64
	peeked   bool // first holds a byte that was read while waiting
	first    [1]byte
	tlsState *tls.ConnectionState

	mu      sync.Mutex
	nc      net.Conn // raw, or the TLS connection over it
	waiting bool     // inside WaitInput: Wake must interrupt
	woken   bool
	closed  bool
	user    string
}

func newConn(s *Server, r *run, nc net.Conn, id uint64, ip netip.Addr) *Conn {
	now := time.Now()
	c := &Conn{srv: s, run: r, id: id, start: now, opStart: now, raw: nc, nc: nc, remote: ip}
	if sc, ok := nc.(syscall.Conn); ok && canReadFD {
		if rc, err := sc.SyscallConn(); err == nil {
			c.rc = rc
		}
	}
	return c
}

// ID is unique within the server since it started.
func (c *Conn) ID() uint64 { return c.id }

// RemoteAddr returns the peer's address and port.
func (c *Conn) RemoteAddr() net.Addr { return c.raw.RemoteAddr() }

// LocalAddr returns our end.
func (c *Conn) LocalAddr() net.Addr { return c.raw.LocalAddr() }

// RemoteIP returns the peer's address without zone or 4-in-6 form; not valid
// on unix sockets.
func (c *Conn) RemoteIP() netip.Addr { return c.remote }

// Local reports whether the peer is on this machine: loopback or unix socket.
func (c *Conn) Local() bool { return !c.remote.IsValid() || c.remote.IsLoopback() }

// TLS reports whether the connection is encrypted.
func (c *Conn) TLS() bool { return c.tlsState != nil }

// TLSState returns what was negotiated, nil without TLS.
func (c *Conn) TLSState() *tls.ConnectionState { return c.tlsState }

// CanStartTLS reports whether StartTLS could work: a certificate is there and
// TLS has not begun.
func (c *Conn) CanStartTLS() bool {
	return c.tlsState == nil && c.srv.TLS != nil && c.srv.TLS() != nil
}

// Draining is closed when the server begins to stop.
func (c *Conn) Draining() <-chan struct{} { return c.run.drain }

// StartTLS makes the server side of a TLS handshake within Limits.TLSTimeout.
// Whatever was written before is flushed first. Buffered input is an error,
// ErrPlaintextBuffered. After an error the connection is of no use.
func (c *Conn) StartTLS(ctx context.Context) error {
	const op = "service.starttls"
	if c.tlsState != nil {
		return model.E(op, model.KindInvalid, "TLS is on already", nil)
	}
	var cfg *tls.Config
	if c.srv.TLS != nil {
		cfg = c.srv.TLS()
	}
	if cfg == nil {
		return model.E(op, model.KindUnsupported, "no certificate", nil)
	}
	if err := c.Flush(); err != nil {
		return err
	}
	if c.Buffered() > 0 {
		return ErrPlaintextBuffered
	}
	c.releaseReader()
	tc := tls.Server(counted{c.raw, c}, cfg)
	ctx, cancel := context.WithTimeout(ctx, c.run.lim.TLSTimeout)
	defer cancel()
	// The deadline of the last operation must not cut the handshake short.
	c.raw.SetDeadline(time.Now().Add(c.run.lim.TLSTimeout))
	err := tc.HandshakeContext(ctx)
	c.raw.SetDeadline(time.Time{})
	c.deadline = time.Time{}
	c.srv.Metrics.handshake(c.srv.Name, err)
	if err != nil {
		return model.E(op, model.KindOther, "", err)
	}
	st := tc.ConnectionState()
	c.tlsState = &st
	c.mu.Lock()
	c.nc = tc
	c.mu.Unlock()
	return nil
}

// Read reads from the connection without the buffer's help; the Reader uses it.
func (c *Conn) Read(p []byte) (int, error) {
	if c.peeked && len(p) > 0 {
		c.peeked = false
		p[0] = c.first[0]
		return 1, nil
	}
	c.extendRead()
	n, err := c.nc.Read(p)
	c.gotBytes(n)
	return n, err
}

func (c *Conn) gotBytes(n int) {
	c.opBytes += int64(n)
	if c.tlsState == nil {
		c.in.Add(int64(n))
	}
}

// extendRead sets the read deadline the operation has earned, sparing the
// timer when the one set is near enough.
func (c *Conn) extendRead() {
	lim := &c.run.lim
	if lim.ReadTimeout < 0 {
		return
	}
	now := time.Now()
	due := now.Add(lim.ReadTimeout)
	if lim.MinRate > 0 {
		earned := c.opStart.Add(lim.ReadTimeout + time.Duration(c.opBytes)*time.Second/time.Duration(lim.MinRate))
		if earned.Before(due) {
			due = earned
		}
	}
	if d := due.Sub(c.deadline); d < 0 || d > lim.ReadTimeout/8 {
		c.deadline = due
		c.nc.SetReadDeadline(due)
	}
}

// Write writes directly; the Writer uses it. Mixed use must Flush first.
func (c *Conn) Write(p []byte) (int, error) {
	lim := &c.run.lim
	if lim.WriteTimeout > 0 {
		due := lim.WriteTimeout
		if lim.MinRate > 0 {
			due += time.Duration(len(p)) * time.Second / time.Duration(lim.MinRate)
		}
		c.nc.SetWriteDeadline(time.Now().Add(due))
	}
	n, err := c.nc.Write(p)
	if c.tlsState == nil {
		c.out.Add(int64(n))
	}
	return n, err
}

// Flush sends what the Writer holds.
func (c *Conn) Flush() error {
	if c.w == nil {
		return nil
	}
	return c.w.Flush()
}

// Buffered returns the number of input bytes at hand without reading.
func (c *Conn) Buffered() int {
	n := 0
	if c.r != nil {
		n = c.r.Buffered()
	}
	if c.peeked {
		n++
	}
	return n
}

// Wake makes a WaitInput under way, or else the next one, return ErrWoken (or
// ErrDraining when the server stops).
func (c *Conn) Wake() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.woken = true
	if c.waiting && !c.closed {
		c.nc.SetReadDeadline(longAgo())
	}
}

// longAgo is a deadline that has passed.
func longAgo() time.Time { return time.Unix(1, 0) }

// WaitInput flushes, gives idle buffers back and waits until input is at hand
// (nil), for at most idle (0: no end). It then begins a new operation. Errors:
// os.ErrDeadlineExceeded when idle ran out, ErrDraining, ErrWoken, io.EOF when
// the peer left, or the connection's own. Input at hand comes before ErrWoken;
// ErrDraining comes before input, since commands may go on for ever.
func (c *Conn) WaitInput(idle time.Duration) error {
	if err := c.Flush(); err != nil {
		return err
	}
	select {
	case <-c.run.drain:
		return ErrDraining
	default:
	}
	defer c.beginOp()
	if c.Buffered() > 0 {
		return nil
	}
	c.releaseReader()
	c.releaseWriter()
	var due time.Time
	if idle > 0 {
		due = time.Now().Add(idle)
	}
	c.mu.Lock()
	if c.woken {
		c.woken = false
		c.mu.Unlock()
		return c.whyWoken()
	}
	c.waiting = true
	c.nc.SetReadDeadline(due)
	c.mu.Unlock()
	c.deadline = due
	err := c.awaitByte()
	c.mu.Lock()
	c.waiting = false
	woken := c.woken
	if woken {
		c.deadline = longAgo()
	}
	if err != nil {
		c.woken = false
	}
	c.mu.Unlock()
	if err != nil && woken && errors.Is(err, os.ErrDeadlineExceeded) {
		return c.whyWoken()
	}
	return err
}

func (c *Conn) whyWoken() error {
	select {
	case <-c.run.drain:
		return ErrDraining
	default:
		return ErrWoken
	}
}

func (c *Conn) beginOp() { c.opStart, c.opBytes = time.Now(), 0 }

// Close cuts the connection; reads and writes under way fail.
func (c *Conn) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil
	}
	c.closed = true
	return c.raw.Close()
}

// finish says goodbye in TLS, gives the buffers back and closes.
func (c *Conn) finish() {
	c.Flush()
	c.releaseReader()
	c.releaseWriter()
	if tc, ok := c.nc.(*tls.Conn); ok {
		tc.Close() // sends close_notify with its own short deadline
	}
	c.Close()
}

// counted counts wire bytes below TLS.
type counted struct {
	net.Conn
	c *Conn
}

func (n counted) Read(p []byte) (int, error) {
	k, err := n.Conn.Read(p)
	n.c.in.Add(int64(k))
	return k, err
}

func (n counted) Write(p []byte) (int, error) {
	k, err := n.Conn.Write(p)
	n.c.out.Add(int64(k))
	return k, err
}

var _ io.ReadWriteCloser = (*Conn)(nil)
