package service

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"rialto/internal/model"
)

func selfSigned(t *testing.T) (*Certificates, *tls.Config) {
	t.Helper()
	cert, key, err := SelfSigned([]string{"mail.contoso.test", "127.0.0.1"})
	if err != nil {
		t.Fatal(err)
	}
	var cs Certificates
	if err := cs.Set(cert, key); err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(cert)
	return &cs, &tls.Config{RootCAs: roots}
}

// dialTLS upgrades a connection to an echo server.
func dialTLS(t *testing.T, addr string, cfg *tls.Config) *client {
	t.Helper()
	c := dial(t, addr)
	c.send("STARTTLS\r\n")
	c.expect("go")
	tc, err := (&Dialer{TLSConfig: cfg}).ClientTLS(t.Context(), c.Conn, "127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	return &client{tc, bufio.NewReader(tc), t}
}

func TestStartTLS(t *testing.T) {
	cs, cfg := selfSigned(t)
	s := &Server{TLS: cs.Config}
	addr := start(t, s)
	c := dial(t, addr)
	c.send("STARTTLS\r\n")
	c.expect("go")
	d := &Dialer{TLSConfig: cfg}
	tc, err := d.ClientTLS(t.Context(), c.Conn, "mail.contoso.test")
	if err != nil {
		t.Fatal(err)
	}
	c = &client{tc, bufio.NewReader(tc), t}
	for range 3 {
		c.send("hello\r\nagain\r\n")
		c.expect("hello")
		c.expect("again")
	}
	if l := s.Conns(); !l[0].TLS || l[0].BytesIn < 500 {
		t.Errorf("Conns = %+v", l)
	}
	// Commands sent in clear behind STARTTLS must never be obeyed.
	c = dial(t, addr)
	c.send("STARTTLS\r\ninjected\r\n")
	c.expect("go")
	c.expect(ErrPlaintextBuffered.Error())
	c.expectEOF()
}

func TestImplicitTLSAndReload(t *testing.T) {
	dir := t.TempDir()
	pair := KeyPair{filepath.Join(dir, "c.pem"), filepath.Join(dir, "k.pem")}
	write := func(host string) {
		cert, key, err := SelfSigned([]string{host})
		if err != nil {
			t.Fatal(err)
		}
		os.WriteFile(pair.CertFile, cert, 0o600)
		os.WriteFile(pair.KeyFile, key, 0o600)
	}
	var cs Certificates
	if cs.Config() != nil {
		t.Fatal("a configuration without certificate")
	}
	if err := cs.Load(pair); !model.IsKind(err, model.KindNotFound) {
		t.Fatalf("Load = %v", err)
	}
	write("one.test")
	if err := cs.Load(pair); err != nil {
		t.Fatal(err)
	}
	v := NewVirtualServer(&Server{Name: "ECHO", Handler: echo, TLS: cs.Config}, Binding{Address: "127.0.0.1:0", TLS: true})
	if err := v.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer v.Stop(t.Context())
	d := &Dialer{TLSConfig: &tls.Config{InsecureSkipVerify: true}}
	for _, host := range []string{"one.test", "two.test"} {
		write(host)
		if err := cs.Reload(); err != nil {
			t.Fatal(err)
		}
		tc, err := d.DialTLS(t.Context(), "tcp", v.Addrs()[0].String())
		if err != nil {
			t.Fatal(err)
		}
		if got := tc.ConnectionState().PeerCertificates[0].Subject.CommonName; got != host {
			t.Errorf("certificate of %s, want %s", got, host)
		}
		c := &client{tc, bufio.NewReader(tc), t}
		c.send("x\r\n")
		c.expect("x")
		tc.Close()
	}
	os.WriteFile(pair.CertFile, []byte("broken"), 0o600)
	if err := cs.Reload(); err == nil || cs.Config() == nil {
		t.Error("a broken file replaced the certificate")
	}
}

func TestWakeAndDrainUnderTLS(t *testing.T) {
	cs, cfg := selfSigned(t)
	var conn atomic.Pointer[Conn]
	s := &Server{TLS: cs.Config, Handler: func(ctx context.Context, c *Conn) { conn.Store(c); echo(ctx, c) }}
	c := dialTLS(t, start(t, s), cfg)
	for range 5 {
		c.send("x\r\n")
		c.expect("x")
		conn.Load().Wake()
		c.expect("* woken")
	}
	if !conn.Load().TLS() || conn.Load().CanStartTLS() || conn.Load().TLSState().Version != tls.VersionTLS13 {
		t.Error("state of the connection")
	}
	if err := s.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	c.expect("* BYE")
	c.expectEOF()
}

func TestStartTLSRefused(t *testing.T) {
	s := &Server{}
	c := dial(t, start(t, s))
	c.send("STARTTLS\r\n")
	c.expect("go")
	c.expect(model.E("service.starttls", model.KindUnsupported, "no certificate", nil).Error())
	cs, _ := selfSigned(t)
	s = &Server{TLS: cs.Config, Limits: Limits{TLSTimeout: 50 * time.Millisecond}}
	c = dial(t, start(t, s))
	c.send("STARTTLS\r\n")
	c.expect("go")
	if _, err := io.ReadAll(c.r); err != nil && !errors.Is(err, net.ErrClosed) {
		t.Logf("after a handshake that never came: %v", err)
	}
	waitConns(t, s, 0)
}

func TestSelfSignedNeedsHosts(t *testing.T) {
	if _, _, err := SelfSigned(nil); !model.IsKind(err, model.KindInvalid) {
		t.Errorf("err = %v", err)
	}
	var cs Certificates
	if err := cs.Set([]byte("x"), []byte("y")); !model.IsKind(err, model.KindInvalid) {
		t.Errorf("err = %v", err)
	}
	if err := cs.Reload(); err != nil {
		t.Errorf("nothing to reload: %v", err)
	}
}

// TestIdleMemoryTLS holds the goal of 40 KB for each idle connection with TLS.
// The client's side is in the same process and counted as well.
func TestIdleMemoryTLS(t *testing.T) {
	const n = 100
	cs, cfg := selfSigned(t)
	s := &Server{TLS: cs.Config, Limits: Limits{MaxConnsPerIP: -1}}
	addr := start(t, s)
	measure := func() uint64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc + m.StackInuse
	}
	before := measure()
	for range n {
		c := dialTLS(t, addr, cfg)
		c.send(strings.Repeat("x", 100) + "\r\n")
		c.expect(strings.Repeat("x", 100))
	}
	per := int64(measure()-before) / n
	t.Logf("%d bytes for both ends of an idle TLS connection", per)
	if per > 80<<10 {
		t.Errorf("%d bytes for both ends", per)
	}
}
