package service

import (
	"context"
	"crypto/tls"
	"errors"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"time"

	"rialto/internal/model"
)

// Listen opens a listener. network is "tcp", "tcp4", "tcp6" or "unix". A unix
// socket is made for the owner only (mode 0600), and a file left by a dead
// process in its place is removed; one that is answered on is KindExists.
func Listen(ctx context.Context, network, addr string) (net.Listener, error) {
	const op = "service.listen"
	if network == "unix" {
		if err := removeStale(addr); err != nil {
			return nil, err
		}
	}
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, network, addr)
	if err != nil {
		return nil, model.E(op, model.KindUnavailable, addr, err)
	}
	if network == "unix" {
		if err := os.Chmod(addr, 0o600); err != nil {
			ln.Close()
			return nil, model.E(op, model.KindUnavailable, addr, err)
		}
	}
	return ln, nil
}

func removeStale(path string) error {
	fi, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil || fi.Mode()&fs.ModeSocket == 0 {
		return model.E("service.listen", model.KindExists, path, err)
	}
	if c, err := net.DialTimeout("unix", path, time.Second); err == nil {
		c.Close()
		return model.E("service.listen", model.KindExists, path, errors.New("another server answers there"))
	}
	return os.Remove(path)
}

// Dialer opens client connections. The zero value works.
type Dialer struct {
	Timeout   time.Duration // to connect, default 30 s
	OpTimeout time.Duration // for every single read or write on the result; 0 leaves deadlines to the caller
	LocalAddr net.Addr      // source address, nil lets the system choose
	TLSConfig *tls.Config   // base for DialTLS and ClientTLS; nil uses the system's roots

	// Resolver looks names up; nil uses the system's.
	Resolver *net.Resolver
}

// Dial connects to addr (host:port, or a path for "unix"). Failure is
// KindUnavailable.
func (d *Dialer) Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	nd := net.Dialer{Timeout: d.Timeout, LocalAddr: d.LocalAddr, Resolver: d.Resolver}
	if nd.Timeout == 0 {
		nd.Timeout = 30 * time.Second
	}
	c, err := nd.DialContext(ctx, network, addr)
	if err != nil {
		return nil, model.E("service.dial", model.KindUnavailable, addr, err)
	}
	if d.OpTimeout > 0 {
		c = &opTimeoutConn{c, d.OpTimeout}
	}
	return c, nil
}

// DialTLS is Dial followed by ClientTLS with addr's host as the server's name.
func (d *Dialer) DialTLS(ctx context.Context, network, addr string) (*tls.Conn, error) {
	c, err := d.Dial(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		host = addr
	}
	return d.ClientTLS(ctx, c, host)
}

// ClientTLS makes the client side of a handshake on c (for STARTTLS) and
// closes c when that fails.
func (d *Dialer) ClientTLS(ctx context.Context, c net.Conn, serverName string) (*tls.Conn, error) {
	cfg := &tls.Config{MinVersion: tls.VersionTLS12}
	if d.TLSConfig != nil {
		cfg = d.TLSConfig.Clone()
	}
	if cfg.ServerName == "" {
		cfg.ServerName = serverName
	}
	tc := tls.Client(c, cfg)
	if err := tc.HandshakeContext(ctx); err != nil {
		c.Close()
		return nil, model.E("service.tls", model.KindUnavailable, serverName, err)
	}
	return tc, nil
}

// opTimeoutConn sets a fresh deadline before every read and write.
type opTimeoutConn struct {
	net.Conn
	timeout time.Duration
}

func (c *opTimeoutConn) Read(p []byte) (int, error) {
	if err := c.Conn.SetReadDeadline(time.Now().Add(c.timeout)); err != nil {
		return 0, err
	}
	return c.Conn.Read(p)
}

func (c *opTimeoutConn) Write(p []byte) (int, error) {
	if err := c.Conn.SetWriteDeadline(time.Now().Add(c.timeout)); err != nil {
		return 0, err
	}
	return c.Conn.Write(p)
}

// peerIP returns the address of a, not valid when it has none.
func peerIP(a net.Addr) netip.Addr {
	if t, ok := a.(*net.TCPAddr); ok {
		return t.AddrPort().Addr().Unmap().WithZone("")
	}
	return netip.Addr{}
}

// limitKey is what connections are counted under: one IPv6 customer has a
// whole /64 to choose addresses from.
func limitKey(ip netip.Addr) netip.Addr {
	if ip.Is6() {
		if p, err := ip.Prefix(64); err == nil {
			return p.Addr()
		}
	}
	return ip
}
