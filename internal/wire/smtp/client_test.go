package smtp

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	gosmtp "github.com/emersion/go-smtp"

	"rialto/internal/model"
)

func TestReplyAppendAndRead(t *testing.T) {
	for _, c := range []struct {
		r    *Reply
		want string
	}{
		{Replyf(220, "", "mail.test ESMTP"), "220 mail.test ESMTP\r\n"},
		{Replyf(250, "2.1.0", "one\ntwo"), "250-2.1.0 one\r\n250 2.1.0 two\r\n"},
		{Replyf(550, "5.1.1", "no\r250 2.0.0 forged"), "550 5.1.1 no 250 2.0.0 forged\r\n"},
		{&Reply{Code: 354}, "354 \r\n"},
	} {
		b := c.r.Append(nil)
		if string(b) != c.want {
			t.Errorf("%q, want %q", b, c.want)
		}
		got, err := ReadReply(bufio.NewReader(bytes.NewReader(b)))
		if err != nil || got.Code != c.r.Code || got.Enhanced != c.r.Enhanced || !bytes.Equal(got.Append(nil), b) {
			t.Errorf("%q read as %+v, %v", b, got, err)
		}
	}
	for _, in := range []string{"x\r\n", "25\r\n", "250x\r\n", "250-a\r\n251 b\r\n", "999 a\r\n", strings.Repeat("250-a\r\n", 1000), "250 " + strings.Repeat("x", 9999) + "\r\n"} {
		if r, err := ReadReply(bufio.NewReader(strings.NewReader(in))); !errors.Is(err, ErrBadReply) {
			t.Errorf("%.20q: %+v, %v", in, r, err)
		}
	}
	long := Replyf(550, "5.1.1", "%s", strings.Repeat("é", 1000)).Append(nil)
	if len(long) > 512 || !strings.Contains(string(long), "é\r\n") {
		t.Errorf("%d bytes: %q", len(long), long[len(long)-9:])
	}
}

func FuzzReply(f *testing.F) {
	f.Add("250-2.1.0 a\r\n250 2.1.0 b\r\n")
	f.Add("550 5.x.1 a\n")
	f.Fuzz(func(t *testing.T, s string) {
		r, err := ReadReply(bufio.NewReader(strings.NewReader(s)))
		if err != nil {
			return
		}
		again, err := ReadReply(bufio.NewReader(bytes.NewReader(r.Append(nil))))
		if err != nil || again.Code != r.Code || len(again.Lines) != len(r.Lines) {
			t.Fatalf("%q -> %+v -> %+v, %v", s, r, again, err)
		}
	})
}

func TestXtext(t *testing.T) {
	const s = "a+b=c d\u00e9~"
	if e := EncodeXtext(s); e != "a+2Bb+3Dc+20d+C3+A9~" {
		t.Errorf("%q", e)
	} else if d, err := DecodeXtext(e); d != s || err != nil {
		t.Errorf("%q, %v", d, err)
	}
	for _, bad := range []string{"+", "+2", "+2x", "a+0Ab", "a\x01"} {
		if d, err := DecodeXtext(bad); err == nil {
			t.Errorf("%q: %q", bad, d)
		}
	}
}

// peer is an independent server that records what it was given.
type peer struct {
	from string
	mopt *gosmtp.MailOptions
	rcpt []string
	ropt []*gosmtp.RcptOptions
	data string
}

func (p *peer) NewSession(*gosmtp.Conn) (gosmtp.Session, error) { return p, nil }
func (p *peer) Reset()                                          {}
func (p *peer) Logout() error                                   { return nil }
func (p *peer) Mail(from string, o *gosmtp.MailOptions) error {
	if from == "bad@x.test" {
		return &gosmtp.SMTPError{Code: 550, EnhancedCode: gosmtp.EnhancedCode{5, 7, 1}, Message: "no"}
	}
	p.from, p.mopt, p.rcpt, p.ropt, p.data = from, o, nil, nil, ""
	return nil
}
func (p *peer) Rcpt(to string, o *gosmtp.RcptOptions) error {
	if strings.HasPrefix(to, "nobody") {
		return &gosmtp.SMTPError{Code: 550, EnhancedCode: gosmtp.EnhancedCode{5, 1, 1}, Message: "no such user"}
	}
	p.rcpt, p.ropt = append(p.rcpt, to), append(p.ropt, o)
	return nil
}
func (p *peer) Data(r io.Reader) error {
	b, err := io.ReadAll(r)
	p.data = string(b)
	return err
}

func startPeer(t *testing.T) (*Client, *peer) {
	t.Helper()
	p := &peer{}
	s := gosmtp.NewServer(p)
	s.Domain, s.EnableDSN, s.EnableSMTPUTF8, s.MaxMessageBytes = "peer.test", true, true, 4<<20
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go s.Serve(ln)
	t.Cleanup(func() { s.Close() })
	conn, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	c := NewClient(conn)
	if _, err := c.Greet(); err != nil {
		t.Fatal(err)
	}
	if err := c.Hello("client.test"); err != nil {
		t.Fatal(err)
	}
	return c, p
}

func rcpts(names ...string) (l []Rcpt) {
	for _, n := range names {
		l = append(l, Rcpt{To: model.Address{Local: n, Domain: "x.test"}})
	}
	return l
}

func TestClientSend(t *testing.T) {
	c, p := startPeer(t)
	body := "Subject: x\r\n\r\n.dot\r\n..\r\nend\r\n"
	for _, chunked := range []bool{false, true} {
		e := &Envelope{From: model.Address{Local: "a", Domain: "x.test"}, Size: int64(len(body)), Ret: "HDRS", EnvID: "id+1",
			Rcpts: rcpts("bob", "nobody", "eve"), Chunked: chunked, Bare: ConvertBare}
		e.Rcpts[0].Notify, e.Rcpts[0].ORcptType, e.Rcpts[0].ORcpt = NotifyFailure|NotifyDelay, "rfc822", "Bob+x@old.test"
		res, err := c.Send(e, strings.NewReader(body))
		if err != nil || res.Data.Code != 250 || res.Rcpts[0].Code != 250 || res.Rcpts[1].Enhanced != "5.1.1" || res.Rcpts[2].Code != 250 {
			t.Fatalf("%+v, %v", res, err)
		}
		if p.from != "a@x.test" || strings.Join(p.rcpt, " ") != "bob@x.test eve@x.test" || p.data != body {
			t.Errorf("peer got %s, %v, %q", p.from, p.rcpt, p.data)
		}
		if p.mopt.EnvelopeID != "id+1" || p.mopt.Return != gosmtp.DSNReturnHeaders || p.mopt.Size != int64(len(body)) ||
			len(p.ropt[0].Notify) != 2 || p.ropt[0].OriginalRecipient != "Bob+x@old.test" {
			t.Errorf("options %+v, %+v", p.mopt, p.ropt[0])
		}
	}
}

func TestClientRefusals(t *testing.T) {
	c, p := startPeer(t)
	from := model.Address{Local: "a", Domain: "x.test"}
	res, err := c.Send(&Envelope{From: from, Size: -1, Rcpts: rcpts("nobody", "nobody2")}, strings.NewReader("x"))
	if err != nil || res.Data != nil || res.Rcpts[1].Code != 550 {
		t.Fatalf("no recipient: %+v, %v", res, err)
	}
	res, err = c.Send(&Envelope{From: model.Address{Local: "bad", Domain: "x.test"}, Size: -1, Rcpts: rcpts("bob")}, strings.NewReader("x"))
	if err != nil || res.Mail.Code != 550 || res.Rcpts[0] != nil || res.Data != nil {
		t.Fatalf("sender: %+v, %v", res, err)
	}
	res, err = c.Send(&Envelope{From: from, Size: 5 << 20, Rcpts: rcpts("bob")}, strings.NewReader("x"))
	if err != nil || res.Mail.Code != 552 {
		t.Fatalf("size: %+v, %v", res, err)
	}
	var many []string
	for i := range 40 {
		many = append(many, fmt.Sprintf("u%d", i))
	}
	big := strings.Repeat("0123456789abcde\n", 50_000)
	res, err = c.Send(&Envelope{Size: -1, Rcpts: rcpts(many...), Chunked: true}, strings.NewReader(big))
	if err != nil || res.Data.Code != 250 || len(p.rcpt) != 40 || p.data != big || p.from != "" {
		t.Fatalf("after refusals: %v, %d recipients, %d bytes", err, len(p.rcpt), len(p.data))
	}
	if err := errors.Join(c.Noop(), c.Reset(), c.Quit()); err != nil {
		t.Error(err)
	}
	if _, err := c.Cmd(250, "NOOP %s", "a\r\nDATA"); !model.IsKind(err, model.KindInvalid) {
		t.Errorf("injected command: %v", err)
	}
}

// script is a server that sends fixed text, whatever it is told.
type script struct {
	io.Reader
	bytes.Buffer
}

func (s *script) Read(p []byte) (int, error) { return s.Reader.Read(p) }

type fixedSASL struct{ fail bool }

func (fixedSASL) Name() string           { return "X" }
func (fixedSASL) Start() ([]byte, error) { return []byte{}, nil }
func (f fixedSASL) Next(ch []byte) ([]byte, error) {
	if f.fail {
		return nil, errors.New("no")
	}
	return append(ch, '!'), nil
}

func TestClientAuthAndOldServers(t *testing.T) {
	s := &script{Reader: strings.NewReader("502 what\r\n250 hi\r\n334 YWJj\r\n235 2.7.0 ok\r\n334 YWJj\r\n501 cancelled\r\n220 go\r\n250 injected\r\n")}
	c := NewClient(s)
	if err := c.Hello("me"); err != nil || c.Extensions() != nil {
		t.Fatalf("HELO: %v", err)
	}
	if err := c.Auth(fixedSASL{}); err != nil {
		t.Fatal(err)
	}
	if err := c.Auth(fixedSASL{fail: true}); err == nil {
		t.Fatal("failed mechanism passed")
	}
	if err := c.StartTLS(func() (io.ReadWriter, error) { return s, nil }); !errors.Is(err, ErrBadReply) {
		t.Errorf("injection behind STARTTLS: %v", err)
	}
	if got, want := s.String(), "EHLO me\r\nHELO me\r\nAUTH X =\r\nYWJjIQ==\r\nAUTH X =\r\n*\r\nSTARTTLS\r\n"; got != want {
		t.Errorf("sent %q", got)
	}
}
