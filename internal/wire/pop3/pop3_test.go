package pop3

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"rialto/internal/model"
)

func TestCommand(t *testing.T) {
	r := NewReader(strings.NewReader("user alice\r\nPASS two words \nNOOP\r\n\r\nX " + strings.Repeat("x", 20<<10) + "\r\nA\x00\r\ntop 1 10\r\nQUI"))
	for _, want := range []Command{
		{"USER", []string{"alice"}, "alice"}, {"PASS", []string{"two", "words"}, "two words "}, {Name: "NOOP"}, {},
	} {
		got, err := r.Command()
		if err != nil || got.Name != want.Name || got.Rest != want.Rest || len(got.Args) != len(want.Args) {
			t.Errorf("%+v, %v; want %+v", got, err, want)
		}
	}
	for range 2 {
		if _, err := r.Command(); !model.IsKind(err, model.KindInvalid) {
			t.Errorf("a bad line: %v", err)
		}
	}
	if c, err := r.Command(); err != nil || c.Name != "TOP" || cmp.Diff([]string{"1", "10"}, c.Args) != "" {
		t.Errorf("%+v, %v", c, err)
	}
	if _, err := r.Command(); err != io.ErrUnexpectedEOF {
		t.Errorf("a cut line: %v", err)
	}
	endless := NewReader(io.LimitReader(neverEnding('x'), 1<<30))
	if _, err := endless.Command(); !model.IsKind(err, model.KindTooLarge) {
		t.Errorf("an endless line: %v", err)
	}
}

type neverEnding byte

func (n neverEnding) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = byte(n)
	}
	return len(b), nil
}

func TestWriter(t *testing.T) {
	var out bytes.Buffer
	w := NewWriter(&out)
	w.OK("hi\r\n-ERR")
	w.OK("")
	w.Err("IN-USE", "busy")
	w.Continue("")
	w.Line(".x")
	w.Number(1, 120)
	w.End()
	w.Flush()
	want := "+OK hi  -ERR\r\n+OK\r\n-ERR [IN-USE] busy\r\n+ \r\n..x\r\n1 120\r\n.\r\n"
	if out.String() != want {
		t.Errorf("%q", out.String())
	}
}

func TestMessage(t *testing.T) {
	for in, want := range map[string]string{
		"":                  ".\r\n",
		".\r\n..a\r\n":      "..\r\n...a\r\n.\r\n",
		"a\n.b":             "a\r\n..b\r\n.\r\n",
		"a\r":               "a\r\n.\r\n",
		"a\rb\r\n\r\n.\r\n": "a\rb\r\n\r\n..\r\n.\r\n",
	} {
		for _, r := range []io.Reader{strings.NewReader(in), iotest.OneByteReader(strings.NewReader(in))} {
			var out bytes.Buffer
			w := NewWriter(&out)
			if err := w.Message(r); err != nil || w.Flush() != nil || out.String() != want {
				t.Errorf("%q is sent as %q, %v; want %q", in, out.String(), err, want)
			}
		}
	}
	w := NewWriter(io.Discard)
	if err := w.Message(iotest.ErrReader(io.ErrNoProgress)); err != io.ErrNoProgress {
		t.Errorf("a read error is lost: %v", err)
	}
}

func TestTop(t *testing.T) {
	msg := "A: 1\r\nB: 2\n\r\none\r\n.two\r\n\r\nfour"
	for n, want := range map[int]string{
		0:  "A: 1\r\nB: 2\r\n\r\n.\r\n",
		2:  "A: 1\r\nB: 2\r\n\r\none\r\n..two\r\n.\r\n",
		99: "A: 1\r\nB: 2\r\n\r\none\r\n..two\r\n\r\nfour\r\n.\r\n",
	} {
		var out bytes.Buffer
		w := NewWriter(&out)
		if err := w.Top(strings.NewReader(msg), n); err != nil || w.Flush() != nil || out.String() != want {
			t.Errorf("TOP %d is %q, %v", n, out.String(), err)
		}
	}
	var out bytes.Buffer
	w := NewWriter(&out)
	w.Top(strings.NewReader("A: "+strings.Repeat("x", 100<<10)+"\r\n\r\nbody\r\nmore"), 1)
	if w.Flush(); !strings.HasSuffix(out.String(), "x\r\n\r\nbody\r\n.\r\n") {
		t.Errorf("TOP after a long header line ends in %q", out.String()[out.Len()-20:])
	}
}

// serve answers the client with a small mailbox made of this package's parts.
func serve(conn net.Conn, msgs []string) {
	defer conn.Close()
	r, w := NewReader(conn), NewWriter(conn)
	w.OK("ready")
	for w.Flush() == nil {
		c, err := r.Command()
		if err != nil {
			return
		}
		switch c.Name {
		case "PASS":
			if c.Rest != "p w" {
				w.Err("AUTH", "no")
				continue
			}
			w.OK("")
		case "STAT":
			w.OK("2 99")
		case "UIDL":
			w.OK("")
			w.Line("1 a")
			w.Line("2 b")
			w.End()
		case "RETR":
			w.OK("")
			w.Message(strings.NewReader(msgs[c.Args[0][0]-'1']))
		case "QUIT":
			w.OK("bye")
			w.Flush()
			return
		default:
			w.OK("")
		}
	}
}

func TestClient(t *testing.T) {
	a, b := net.Pipe()
	big := strings.Repeat(strings.Repeat(".", 20000)+"\r\n", 3)
	go serve(b, []string{"A: 1\r\n\r\n.\r\nx\r\n", big})
	c, err := NewClient(a)
	if err != nil || c.Greeting != "ready" {
		t.Fatal(c, err)
	}
	var se ServerError
	if err := c.Login("u", "wrong"); !errors.As(err, &se) || se != "[AUTH] no" {
		t.Errorf("a wrong password: %v", err)
	}
	if err := c.Login("u", "p w"); err != nil {
		t.Fatal(err)
	}
	if n, size, err := c.Stat(); n != 2 || size != 99 || err != nil {
		t.Errorf("%d, %d, %v", n, size, err)
	}
	ids, err := c.UIDs()
	if d := cmp.Diff(map[int]string{1: "a", 2: "b"}, ids); d != "" || err != nil {
		t.Error(d, err)
	}
	for n, want := range map[int]string{1: "A: 1\r\n\r\n.\r\nx\r\n", 2: big} {
		var out bytes.Buffer
		if err := c.Retr(n, &out); err != nil || out.String() != want {
			t.Errorf("message %d: %d bytes, %v", n, out.Len(), err)
		}
	}
	if _, err := c.Command("X\r\nDELE 1"); err == nil {
		t.Error("a newline is sent in a command")
	}
	if err := c.Dele(1); err != nil {
		t.Error(err)
	}
	if err := c.Quit(); err != nil {
		t.Error(err)
	}
}

func FuzzRoundTrip(f *testing.F) {
	f.Add([]byte(".\r\n..a\n\r\n.b"), 2)
	f.Add([]byte("\r\r\n.\r.\n"), 0)
	f.Fuzz(func(t *testing.T, b []byte, n int) {
		NewReader(bytes.NewReader(b)).Command()
		var out bytes.Buffer
		w := NewWriter(&out)
		w.OK("")
		w.Message(iotest.HalfReader(bytes.NewReader(b)))
		w.OK("next")
		w.Flush()
		c := &Client{rwc: nopStream{}, br: bufio.NewReader(&out)}
		var got bytes.Buffer
		if err := c.Multi("RETR 1", &got); err != nil {
			t.Fatal(err)
		}
		norm := func(s string) string { return strings.TrimRight(strings.ReplaceAll(s, "\r", ""), "\n") }
		if norm(got.String()) != norm(string(b)) {
			t.Fatalf("%q arrives as %q", b, got.String())
		}
		if text, err := c.reply(); err != nil || text != "next" {
			t.Fatalf("the next reply is %q, %v", text, err)
		}
		w.Top(bytes.NewReader(b), n%10)
	})
}

type nopStream struct{}

func (nopStream) Read([]byte) (int, error)    { return 0, io.EOF }
func (nopStream) Write(b []byte) (int, error) { return len(b), nil }
func (nopStream) Close() error                { return nil }
