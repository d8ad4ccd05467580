package server_test

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"rialto/internal/admin"
	"rialto/internal/directory"
	"rialto/internal/message"
	"rialto/internal/model"
	"rialto/internal/org"
	"rialto/internal/server"
	"rialto/internal/setup"
	"rialto/internal/transport"
	"rialto/internal/wire/imap"
	"rialto/internal/wire/smtp"
	"rialto/test/ports"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// dns is the name service of a test: every domain's mail exchanger is "mail." and
// its name.
type dns struct {
	mu    sync.Mutex
	ports map[string]int // of SMTP, by host
}

func (d *dns) LookupMX(_ context.Context, domain string) ([]*net.MX, error) {
	if d.port("mail."+domain) == 0 {
		return nil, &net.DNSError{Err: "no such host", Name: domain, IsNotFound: true}
	}
	return []*net.MX{{Host: "mail." + domain + ".", Pref: 10}}, nil
}

func (d *dns) LookupHost(_ context.Context, host string) ([]string, error) {
	if d.port(host) == 0 {
		return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
	}
	return []string{"127.0.0.1"}, nil
}

func (d *dns) port(host string) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.ports[host]
}

func (d *dns) set(host string, port int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.ports[host] = port
}

// site is one organization with one server.
type site struct {
	t       *testing.T
	cfg     *server.Config
	dns     *dns
	srv     *server.Server
	running bool
}

// newSite describes a server of its own organization in a new directory.
func newSite(t *testing.T, domain string, names *dns) *site {
	t.Helper()
	s := &site{t: t, dns: names, cfg: &server.Config{DataDir: t.TempDir(), Server: "mail", DNSDomain: domain, Host: "127.0.0.1", PortOffset: ports.Offset(t)}}
	if err := s.cfg.Save(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.stop)
	return s
}

func (s *site) open() *server.Server {
	s.t.Helper()
	srv, err := server.Open(s.t.Context(), s.cfg, server.Options{Log: slog.New(slog.NewTextHandler(s.t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn})),
		Transport: func(o *transport.Options) {
			o.Resolver, o.Port = s.dns, s.dns.port
		}})
	if err != nil {
		s.t.Fatal(err)
	}
	s.srv, s.running = srv, true
	return srv
}

// start runs what the directory holds; install puts an organization there first.
func (s *site) start(install bool, users ...string) {
	s.t.Helper()
	ctx := s.t.Context()
	srv := s.open()
	if install {
		err := setup.Run(ctx, srv.Directory(), setup.Plan{ForestPrep: true, DomainPrep: true, Install: true, Organization: "Test", Server: "MAIL",
			FQDN: "mail." + s.cfg.DNSDomain, DataDir: s.cfg.DataDir, Enable: []org.Protocol{org.IMAP, org.POP}}, nil)
		if err != nil {
			s.t.Fatal(err)
		}
	}
	if err := srv.Prepare(ctx); err != nil {
		s.t.Fatal(err)
	}
	for _, u := range users {
		if _, err := srv.Admin().CreateUser(ctx, local(), admin.NewUser{Account: u, Password: "pw-" + u}); err != nil {
			s.t.Fatal(err)
		}
	}
	if err := srv.Listen(ctx); err != nil {
		s.t.Fatal(err)
	}
	if f := srv.Failed(); len(f) > 0 {
		s.t.Fatal(f)
	}
	_, port, _ := net.SplitHostPort(srv.Endpoints()["smtp"])
	n, err := strconv.Atoi(port)
	if err != nil {
		s.t.Fatal(err)
	}
	s.dns.set("mail."+s.cfg.DNSDomain, n)
}

func local() admin.Caller {
	return admin.Caller{Principal: directory.AsSystem, Name: "test", From: "local"}
}

func (s *site) stop() {
	if !s.running {
		return
	}
	s.running = false
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := s.srv.Shutdown(ctx); err != nil {
		s.t.Error(err)
	}
	if ctx.Err() != nil {
		s.t.Error("the server did not stop in time")
	}
	if _, err := os.Stat(filepath.Join(s.cfg.DataDir, "endpoints.json")); !os.IsNotExist(err) {
		s.t.Error("endpoints.json outlives the server")
	}
}

func (s *site) dial(endpoint string) net.Conn {
	s.t.Helper()
	c, err := net.Dial("tcp", s.srv.Endpoints()[endpoint])
	if err != nil {
		s.t.Fatal(err)
	}
	_ = c.SetDeadline(time.Now().Add(20 * time.Second)) // a socket that is open
	return c
}

// send submits a message as a user of the site.
func (s *site) send(from, subject string, to ...string) {
	s.t.Helper()
	nc := s.dial("submission")
	defer nc.Close()
	c := smtp.NewClient(nc)
	if _, err := c.Greet(); err != nil {
		s.t.Fatal(err)
	}
	sender := from + "@" + s.cfg.DNSDomain
	body := "From: " + sender + "\r\nSubject: " + subject + "\r\n\r\ntext of " + subject + "\r\n"
	env := &smtp.Envelope{From: address(s.t, sender), Size: int64(len(body))}
	for _, a := range to {
		env.Rcpts = append(env.Rcpts, smtp.Rcpt{To: address(s.t, a)})
	}
	err := c.Hello("client.test")
	if err == nil {
		err = c.Auth(plain{from, "pw-" + from})
	}
	if err != nil {
		s.t.Fatal(err)
	}
	res, err := c.Send(env, strings.NewReader(body))
	if err != nil || res.Data == nil || !res.Data.Positive() {
		s.t.Fatalf("%s: %+v %v", subject, res, err)
	}
}

func address(t *testing.T, s string) model.Address {
	t.Helper()
	a, err := model.ParseAddress(s)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

type plain struct{ user, password string }

func (plain) Name() string                { return "PLAIN" }
func (p plain) Start() ([]byte, error)    { return []byte("\x00" + p.user + "\x00" + p.password), nil }
func (plain) Next([]byte) ([]byte, error) { return nil, nil }

// inbox waits until a user has n messages and returns them.
func (s *site) inbox(user string, n int) []string {
	s.t.Helper()
	nc := s.dial("imap")
	defer nc.Close()
	c, err := imap.NewClient(nc)
	if err == nil {
		err = c.Plain(user, "pw-"+user)
	}
	if err != nil {
		s.t.Fatal(err)
	}
	var sel imap.Selected
	for end := time.Now().Add(15 * time.Second); time.Now().Before(end) && int(sel.Exists) < n; time.Sleep(20 * time.Millisecond) {
		if sel, err = c.Select("INBOX"); err != nil {
			s.t.Fatal(err)
		}
	}
	if int(sel.Exists) != n {
		s.t.Fatalf("%s has %d messages, want %d", user, sel.Exists, n)
	}
	if n == 0 {
		return nil
	}
	got, err := c.Fetch(false, "1:*", "(BODY.PEEK[])")
	if err != nil {
		s.t.Fatal(err)
	}
	var out []string
	for _, f := range got {
		v, _ := f.Items.Get("BODY[]")
		out = append(out, v.Str)
	}
	return out
}

// wants checks that a text has what it should.
func wants(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, p := range parts {
		if !strings.Contains(text, p) {
			t.Errorf("%q is not in:\n%s", p, text)
		}
	}
}

// TestTwoOrganizations: two servers in one process write to each other.
func TestTwoOrganizations(t *testing.T) {
	names := &dns{ports: map[string]int{}}
	contoso, fabrikam := newSite(t, "contoso.test", names), newSite(t, "fabrikam.test", names)
	contoso.start(true, "alice", "bob")
	fabrikam.start(true, "carol")

	contoso.send("alice", "there", "carol@fabrikam.test", "bob@contoso.test")
	there := fabrikam.inbox("carol", 1)[0]
	wants(t, there, "Return-Path: <alice@contoso.test>", "Subject: there", "text of there", "by mail.contoso.test", "by mail.fabrikam.test", "with ESMTPS")
	wants(t, contoso.inbox("bob", 1)[0], "Subject: there")
	fabrikam.send("carol", "and back", "alice@contoso.test")
	wants(t, contoso.inbox("alice", 1)[0], "Return-Path: <carol@fabrikam.test>", "text of and back")

	// The other side refuses one of two recipients.
	contoso.send("alice", "half", "carol@fabrikam.test", "nobody@fabrikam.test")
	wants(t, fabrikam.inbox("carol", 2)[1], "Subject: half")
	bounce := contoso.inbox("alice", 2)[1]
	st := message.Parse([]byte(bounce))
	if st.Root.MediaType() != "multipart/report" || len(st.Root.Children) != 3 {
		t.Fatalf("no report:\n%s", bounce)
	}
	wants(t, bounce, "Return-Path: <>", "Final-Recipient: rfc822;nobody@fabrikam.test", "Action: failed", "Status: 5.1.1", "Subject: half")
	if strings.Contains(bounce, "rfc822;carol@") {
		t.Error("the report names a recipient who got the message")
	}
	// No such domain: nobody is asked.
	contoso.send("alice", "nowhere", "x@nowhere.test")
	wants(t, contoso.inbox("alice", 3)[2], "rfc822;x@nowhere.test", "Action: failed", "Status: 5.")

	// What is on its way when the other server stops waits for it.
	fabrikam.stop()
	contoso.send("alice", "patience", "carol@fabrikam.test")
	time.Sleep(200 * time.Millisecond)
	contoso.stop()
	fabrikam.start(false)
	contoso.start(false) // tries everything at once
	wants(t, fabrikam.inbox("carol", 3)[2], "text of patience")
	contoso.inbox("alice", 3)
}

// TestStartAgain: a data directory outlives its server; nobody else can open it
// meanwhile.
func TestStartAgain(t *testing.T) {
	s := newSite(t, "contoso.test", &dns{ports: map[string]int{}})
	s.start(true, "alice", "bob")
	s.send("alice", "first", "bob@contoso.test")
	if other, err := server.Open(t.Context(), s.cfg, server.Options{}); err == nil {
		t.Error("the data directory was opened twice")
		_ = other.Shutdown(t.Context()) // the test has failed
	}
	wants(t, s.inbox("bob", 1)[0], "text of first")
	s.stop()
	s.start(false)
	s.send("bob", "second", "alice@contoso.test", "bob@contoso.test")
	wants(t, s.inbox("bob", 2)[1], "text of second")
	wants(t, s.inbox("alice", 1)[0], "text of second")
	// A session that says nothing does not hold the end up.
	idle := s.dial("imap")
	defer idle.Close()
	began := time.Now()
	s.stop()
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("stopping took %v", took)
	}
}

// TestFailedStart: what stands is taken down again.
func TestFailedStart(t *testing.T) {
	s := newSite(t, "contoso.test", &dns{ports: map[string]int{}})
	srv := s.open()
	s.running = false
	if err := srv.Prepare(t.Context()); err == nil {
		t.Error("a server without an organization was prepared")
	}
	s.start(true, "alice")
	s.stop()

	// A port of the directory service is taken.
	ln, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", 389+s.cfg.PortOffset))
	if err != nil {
		t.Fatal(err)
	}
	srv = s.open()
	s.running = false
	if err := srv.Prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := srv.Listen(t.Context()); err == nil || !strings.Contains(err.Error(), "Directory") {
		t.Errorf("a port is taken: %v", err)
	}
	ln.Close()

	// One of a virtual server is: the others run, and Failed tells.
	ln, err = net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", 110+s.cfg.PortOffset))
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	srv = s.open()
	if err := srv.Prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := srv.Listen(t.Context()); err != nil {
		t.Fatal(err)
	}
	if f := srv.Failed(); len(f) != 1 || !strings.Contains(f[0], "POP3") {
		t.Errorf("failed: %q", f)
	}
	s.inbox("alice", 0)
}
