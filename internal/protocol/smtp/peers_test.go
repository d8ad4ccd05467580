package smtp

import (
	"crypto/tls"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	gosmtp "github.com/emersion/go-smtp"

	"rialto/internal/auth"
	"rialto/internal/model"
	"rialto/internal/org"
	wire "rialto/internal/wire/smtp"
)

// saslClient is our SASL client with the methods of another library's.
type saslClient struct{ c *auth.PasswordClient }

func (s saslClient) Start() (string, []byte, error) {
	ir, err := s.c.Start()
	return s.c.Mechanism, ir, err
}

func (s saslClient) Next(ch []byte) ([]byte, error) { return s.c.Next(ch) }

// TestIndependentClient talks to the head with a client of another make.
func TestIndependentClient(t *testing.T) {
	s := newSite(t, "contoso.test", nil, func(s *site) { s.selfSigned() }, "alice", "bob")
	c, err := gosmtp.DialStartTLS(s.addr, &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Auth(saslClient{loginAs("alice")}); err != nil {
		t.Fatal(err)
	}
	for _, ext := range []string{"PIPELINING", "8BITMIME", "CHUNKING", "DSN", "ENHANCEDSTATUSCODES"} {
		if ok, _ := c.Extension(ext); !ok {
			t.Error("no", ext)
		}
	}
	if err := c.SendMail("alice@contoso.test", []string{"bob@contoso.test"}, strings.NewReader("From: alice@contoso.test\r\n\r\nHi\r\n")); err != nil {
		t.Fatal(err)
	}
	if err := c.Mail("alice@contoso.test", &gosmtp.MailOptions{Size: 2 << 20}); err == nil {
		t.Error("a message over the limit was not refused")
	} else if e := new(gosmtp.SMTPError); !errors.As(err, &e) || e.Code != 552 || e.EnhancedCode != (gosmtp.EnhancedCode{5, 3, 4}) {
		t.Error(err)
	}
	if err := c.Quit(); err != nil {
		t.Error(err)
	}
	if in := s.inbox("bob"); len(in) != 1 || !strings.Contains(in[0], "with ESMTPSA (TLS") {
		t.Errorf("%q", in)
	}
}

func TestTooLargeData(t *testing.T) {
	s := newSite(t, "contoso.test", nil, nil, "alice")
	c, _ := s.client()
	for _, chunked := range []bool{false, true} {
		res, err := c.Send(&wire.Envelope{From: addr("a@x.test"), Size: -1, Rcpts: to("alice@contoso.test"), Chunked: chunked}, strings.NewReader(strings.Repeat("x\r\n", 1<<20)))
		if err != nil || res.Data.Code != 552 {
			t.Fatalf("chunked %v: %v %+v", chunked, err, res.Data)
		}
	}
	res, err := c.Send(&wire.Envelope{From: addr("a@x.test"), Size: -1, Rcpts: to("alice@contoso.test")}, strings.NewReader(letter))
	if err != nil || res.Data.Code != 250 {
		t.Fatalf("the session did not go on: %v", err)
	}
	if n := len(s.inbox("alice")); n != 1 {
		t.Errorf("%d messages", n)
	}
}

// TestHangUp leaves nothing behind when the client goes in the middle.
func TestHangUp(t *testing.T) {
	s := newSite(t, "contoso.test", nil, nil, "alice")
	for _, text := range []string{"DATA\r\nSubject: half\r\n\r\nx", "BDAT 100\r\nSubject: half", "DATA\r\nSubject: half\r\n\r\nx\r\n.\n"} {
		c, nc := s.client()
		c.Cmd(250, "MAIL FROM:<a@x.test>")
		c.Cmd(250, "RCPT TO:<alice@contoso.test>")
		io.WriteString(nc, text)
		nc.Close()
	}
	time.Sleep(50 * time.Millisecond)
	if n := len(s.inbox("alice")); n != 0 || len(s.tr.Queues()) != 0 {
		t.Errorf("%d messages from half ones", n)
	}
}

// TestSmuggling sends what some servers take for the end of the message.
func TestSmuggling(t *testing.T) {
	s := newSite(t, "contoso.test", nil, nil, "alice")
	c, nc := s.client()
	c.Cmd(250, "MAIL FROM:<a@x.test>")
	c.Cmd(250, "RCPT TO:<alice@contoso.test>")
	c.Cmd(354, "DATA")
	io.WriteString(nc, "Subject: x\r\n\r\none\n.\nMAIL FROM:<evil@x.test>\r\n\r.\r\nmore\r\n.\r\n")
	if _, err := c.Cmd(250, "NOOP"); err != nil { // the answer to the data
		t.Fatal(err)
	}
	if in := s.inbox("alice"); len(in) != 1 || !strings.Contains(in[0], "one\n.\nMAIL FROM:<evil@x.test>\r\n") {
		t.Errorf("%q", in)
	}
}

func TestSettingsAreLive(t *testing.T) {
	s := newSite(t, "contoso.test", nil, nil, "alice")
	c, _ := s.client()
	if n := c.Extensions().MaxSize(); n != 1<<20 {
		t.Errorf("SIZE %d", n)
	}
	if _, err := c.Cmd(250, "MAIL FROM:<a@x.test>"); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Cmd(250, "RCPT TO:<x@else.test>"); err == nil {
		t.Fatal("open relay")
	}
	s.edit(func(c *org.Config) {
		c.Server.VirtualServers[0].SMTP = org.SMTPSettings{MaxMessageSize: 5000, RelayFor: []string{"127.0.0.0/8"}, SmartHost: "127.0.0.1:1"}
	})
	c, _ = s.client()
	if n := c.Extensions().MaxSize(); n != 5000 {
		t.Errorf("SIZE %d", n)
	}
	c.Cmd(250, "MAIL FROM:<a@x.test>")
	if _, err := c.Cmd(250, "RCPT TO:<x@else.test>"); err != nil {
		t.Errorf("listed address may not relay: %v", err)
	}
	s.edit(func(c *org.Config) { c.Server.VirtualServers[0].SMTP.Submission = true })
	c, _ = s.client()
	if _, err := c.Cmd(530, "MAIL FROM:<a@x.test>"); err != nil {
		t.Errorf("a stranger on a submission server: %v", err)
	}
}

func TestDirectoryDown(t *testing.T) {
	down := false
	s := newSite(t, "contoso.test", nil, func(s *site) { s.dir.Down = func() bool { return down } }, "alice")
	c, _ := s.client()
	c.Cmd(250, "MAIL FROM:<a@x.test>")
	down = true
	r, err := c.Cmd(250, "RCPT TO:<nobody@contoso.test>")
	if err == nil || r.Code != 451 {
		t.Errorf("an uncertain answer became %+v", r)
	}
	down = false
}

func TestKindTable(t *testing.T) {
	for k := model.KindOther; k <= model.KindExpired; k++ {
		r := replyOf(k)
		if r.Code < 400 || r.Enhanced == "" || int(r.Enhanced[0]-'0') != r.Code/100 || len(r.Lines) != 1 {
			t.Errorf("%v: %+v", k, r)
		}
	}
}

// TestDrain tells idle clients that the server stops.
func TestDrain(t *testing.T) {
	s := newSite(t, "contoso.test", nil, nil, "alice")
	_, nc := s.client()
	go s.srv.Shutdown(t.Context())
	b, err := io.ReadAll(nc)
	if err != nil || !strings.HasPrefix(string(b), "421 4.3.2 ") {
		t.Errorf("%q, %v", b, err)
	}
}
