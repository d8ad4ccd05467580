package pop3

import (
	"bytes"
	"context"
	"crypto/tls"
	"flag"
	"io"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"rialto/internal/protocol/transcript"
	"rialto/internal/service"
	"rialto/internal/store"
	wire "rialto/internal/wire/pop3"
)

var update = flag.Bool("update", false, "write the servers' lines of the transcripts anew")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const trace = "Received: from a by b; Sun, 22 Nov 2026 12:00:00 +0000\r\n"

func newSite(t testing.TB) (*transcript.Site, func() net.Conn) {
	site := transcript.NewSite(t, nil, "alice", "nopop")
	site.Account("nopop").Protocols = map[string]bool{"pop3": false}
	srv := &Server{Auth: site.Auth, Stores: site, Config: func() Settings { return Settings{Host: "mail.contoso.test"} }}
	_, dial := site.Serve("POP3", srv.Handle, service.Limits{})
	site.Deliver("alice", trace, transcript.Mail("First", "bob@contoso.test", "Hello"),
		transcript.Mail("Second", "bob@contoso.test", ".dot\r\n..two\r\nlast"), transcript.Mail("Third", "bob@contoso.test", "x"))
	return site, dial
}

func TestTranscripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, f := range files {
		t.Run(strings.TrimSuffix(filepath.Base(f), ".txt"), func(t *testing.T) {
			_, dial := newSite(t)
			transcript.Run(t, f, dial, *update)
		})
	}
}

func client(t *testing.T, dial func() net.Conn) *wire.Client {
	t.Helper()
	nc := dial()
	nc.SetDeadline(time.Now().Add(10 * time.Second))
	c, err := wire.NewClient(nc)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// A client that leaves mail on the server sees the same names every time, also
// when the message was read, and deletes by QUIT only.
func TestClient(t *testing.T) {
	site, dial := newSite(t)
	names := func() map[int]string {
		c := client(t, dial)
		if err := c.Plain("alice@contoso.test", "pw"); err != nil {
			t.Fatal(err)
		}
		ids, err := c.UIDs()
		if err != nil {
			t.Fatal(err)
		}
		return ids
	}
	before := names()
	c := client(t, dial)
	if err := c.Login("alice", "pw"); err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := c.Retr(2, &b); err != nil {
		t.Fatal(err)
	}
	want := trace + transcript.Mail("Second", "bob@contoso.test", ".dot\r\n..two\r\nlast")
	if b.String() != want {
		t.Errorf("RETR = %q, want %q", b.String(), want)
	}
	if err := c.Dele(1); err != nil {
		t.Fatal(err)
	}
	if now := names(); len(now) != 3 || now[2] != before[2] {
		t.Errorf("names are %v, were %v", now, before)
	}
	if err := c.Quit(); err != nil {
		t.Fatal(err)
	}
	v, err := site.Box("alice").View(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	if f, err := v.Folder(t.Context(), store.FolderInbox); err != nil || f.Counts.Unseen != 1 {
		t.Errorf("after RETR 2 and DELE 1 the Inbox is %+v, %v", f, err)
	}
	if now := names(); len(now) != 2 || now[1] != before[2] || now[2] != before[3] {
		t.Errorf("names are %v, were %v", now, before)
	}
}

// What another client deletes meanwhile is answered with -ERR.
func TestDeletedMeanwhile(t *testing.T) {
	site, dial := newSite(t)
	c := client(t, dial)
	if err := c.Login("alice", "pw"); err != nil {
		t.Fatal(err)
	}
	if _, err := site.Box("alice").Delete(t.Context(), store.FolderInbox, store.UIDs(1, 2)); err != nil {
		t.Fatal(err)
	}
	if _, err := site.Box("alice").Purge(t.Context(), store.FolderInbox, time.Now().Add(1e6*time.Hour)); err != nil {
		t.Fatal(err)
	}
	for _, cmd := range []string{"RETR 1", "TOP 2 0"} {
		if err := c.Multi(cmd, io.Discard); err == nil || !strings.Contains(err.Error(), "No such message") {
			t.Errorf("%s: %v", cmd, err)
		}
	}
	if err := c.Retr(3, io.Discard); err != nil {
		t.Error(err)
	}
	if err := c.Dele(1); err != nil {
		t.Error(err)
	}
	if err := c.Quit(); err != nil {
		t.Error(err)
	}
}

// A server that stops says so and deletes nothing.
func TestShutdown(t *testing.T) {
	site := transcript.NewSite(t, nil, "alice")
	site.Deliver("alice", "", transcript.Mail("x", "a@b.test", "x"))
	head := &Server{Auth: site.Auth, Stores: site}
	srv, dial := site.Serve("POP3", head.Handle, service.Limits{})
	c := client(t, dial)
	if err := c.Login("alice", "pw"); err != nil {
		t.Fatal(err)
	}
	if err := c.Dele(1); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if err := srv.Shutdown(ctx); err != nil {
		t.Fatal(err)
	}
	v, err := site.Box("alice").View(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	if f, err := v.Folder(ctx, store.FolderInbox); err != nil || f.Counts.Total != 1 {
		t.Errorf("Inbox %+v, %v", f, err)
	}
}

// STLS; what was sent in clear after it ends the session.
func TestStartTLS(t *testing.T) {
	site := transcript.NewSite(t, nil, "alice")
	head := &Server{Auth: site.Auth, Stores: site}
	certPEM, keyPEM, err := service.SelfSigned([]string{"mail.contoso.test"})
	if err != nil {
		t.Fatal(err)
	}
	cert, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		t.Fatal(err)
	}
	srv := &service.Server{Name: "POP3", Handler: head.Handle, TLS: func() *tls.Config { return &tls.Config{Certificates: []tls.Certificate{cert}} }}
	ln, err := service.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { srv.Serve(context.Background(), ln); close(ended) }()
	defer func() { srv.Shutdown(t.Context()); <-ended }()
	dial := func() net.Conn {
		c, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		c.SetDeadline(time.Now().Add(10 * time.Second))
		return c
	}
	nc := dial()
	defer nc.Close()
	c, err := wire.NewClient(nc)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Command("STLS"); err != nil {
		t.Fatal(err)
	}
	c.Upgrade(tls.Client(nc, &tls.Config{InsecureSkipVerify: true}))
	if err := c.Login("alice", "pw"); err != nil {
		t.Fatal(err)
	}
	if n, _, err := c.Stat(); err != nil || n != 0 {
		t.Errorf("STAT: %d, %v", n, err)
	}
	nc = dial()
	defer nc.Close()
	io.WriteString(nc, "STLS\r\nCAPA\r\n")
	if out, _ := io.ReadAll(nc); strings.Contains(string(out), "SASL") || !strings.Contains(string(out), "-ERR") {
		t.Errorf("after injection: %q", out)
	}
}

func TestRefusal(t *testing.T) {
	for _, why := range []service.Reason{service.RefusedFull, service.RefusedPerIP, service.RefusedPaused, service.RefusedPeer} {
		if got := string(Refusal(why)); !strings.HasPrefix(got, "-ERR ") || !strings.HasSuffix(got, "\r\n") {
			t.Errorf("%s: %q", why, got)
		}
	}
}

// Whatever a client sends, the server answers or hangs up.
func FuzzSession(f *testing.F) {
	for _, s := range []string{"USER alice\r\nPASS pw\r\nRETR 1\r\nTOP 2 1\r\nUIDL\r\nDELE 1\r\nQUIT\r\n", "AUTH PLAIN AGFsaWNlAHB3\r\nLIST 9\r\n\x00\r\nLIST -1\r\n",
		"CAPA\r\nAUTH\r\nSTLS\r\nPASS\r\nUSER\r\n", "AUTH LOGIN\r\n*\r\nAUTH PLAIN\r\n=\r\n"} {
		f.Add([]byte(s))
	}
	_, dial := newSite(f)
	f.Fuzz(func(t *testing.T, in []byte) {
		c := dial()
		defer c.Close()
		c.SetDeadline(time.Now().Add(10 * time.Second))
		go func() {
			c.Write(in)
			c.(*net.TCPConn).CloseWrite()
		}()
		out, err := io.ReadAll(c)
		if err != nil && !strings.Contains(err.Error(), "reset") {
			t.Fatal(err)
		}
		if !bytes.HasPrefix(out, []byte("+OK ")) {
			t.Fatalf("greeting %q", out)
		}
	})
}
