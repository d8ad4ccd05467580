package imap

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// echoServer answers commands with what it read of them: enough to run the
// client against this package's own reader and writer.
type echoServer struct {
	r *Reader
	w *Writer
}

func (s *echoServer) serve(conn net.Conn) {
	defer conn.Close()
	s.r, s.w = NewReader(conn), NewWriter(conn)
	s.r.Continue = func() error { s.w.Status("+", "", "", "go on"); return s.w.Flush() }
	s.w.Status("*", "OK", "CAPABILITY IMAP4rev1", "ready")
	for s.w.Flush() == nil {
		s.w.Release()
		tag, name, err := s.r.Begin()
		if err == nil {
			err = s.command(name)
		}
		if serr := s.r.Skip(); serr != nil {
			return
		}
		switch {
		case IsSyntax(err):
			if tag == "" {
				tag = "*"
			}
			s.w.Status(tag, "BAD", "", SyntaxText(err))
		case err != nil:
			s.w.Status(tag, "NO", "TOOBIG", "no")
		default:
			s.w.Status(tag, "OK", "", name+" done")
		}
	}
}

var errTooBig = errors.New("too big")

func (s *echoServer) command(name string) error {
	switch name {
	case "APPEND":
		a, err := ReadAppend(s.r)
		for more := true; err == nil && more; {
			if a.Literal.Size > 1<<20 {
				return errTooBig
			}
			var src io.Reader
			if src, err = s.r.Accept(); err != nil {
				return err
			}
			b, rerr := io.ReadAll(src)
			if rerr != nil {
				return rerr
			}
			got := a
			more, err = a.Next(s.r)
			s.w.Raw("* 1 FETCH (MAILBOX ")
			s.w.Mailbox(got.Mailbox)
			s.w.Raw(" FLAGS ")
			s.w.Flags(got.Flags)
			s.w.Raw(" INTERNALDATE ")
			s.w.DateTime(got.Date)
			s.w.Raw(" BODY[] ")
			if werr := s.w.Literal(bytes.NewReader(b), int64(len(b))); werr != nil {
				return werr
			}
			s.w.Raw(")")
			s.w.CRLF()
		}
		return err
	case "LOGIN":
		l, err := ReadLogin(s.r)
		if err == nil {
			s.w.Raw("* ECHO ")
			s.w.String(l.User)
			s.w.SP()
			s.w.String(l.Password)
			s.w.CRLF()
		}
		return err
	}
	return ReadNone(s.r)
}

func TestClientWithOwnServer(t *testing.T) {
	a, b := net.Pipe()
	go new(echoServer).serve(b)
	a.SetDeadline(time.Now().Add(20 * time.Second))
	c, err := NewClient(a)
	if err != nil || c.Greeting.Code != "CAPABILITY IMAP4rev1" {
		t.Fatal(err)
	}
	for _, s := range []string{"plain", `q"uo\te`, "grün", "", strings.Repeat("x", 3000)} {
		res, err := c.Command("LOGIN", Quote(s), Literally{R: strings.NewReader(s + "\r\n"), Size: int64(len(s) + 2), NonSync: len(s)%2 == 0})
		if err != nil || len(res.Untagged) != 1 {
			t.Fatalf("%q: %v", s, err)
		}
		if d := res.Untagged[0].Data; len(d) != 3 || d[1].Str != s || d[2].Str != s+"\r\n" {
			t.Errorf("%q comes back as %v", s, d)
		}
	}
	body := strings.Repeat("line of a message\r\n", 20000)
	date := time.Date(2026, 3, 4, 5, 6, 7, 0, time.FixedZone("", -5*3600))
	var got *Response
	c.OnData = func(r *Response) { got = r }
	if _, err := c.Append("Entwürfe & mehr", []string{`\Seen`, "$a"}, date, strings.NewReader(body), int64(len(body))); err != nil {
		t.Fatal(err)
	}
	c.OnData = nil
	for key, want := range map[string]string{"MAILBOX": "Entw&APw-rfe &- mehr", "INTERNALDATE": "04-Mar-2026 05:06:07 -0500", "BODY[]": body} {
		if v, _ := got.Data[2].Get(key); v.Str != want {
			t.Errorf("%s is %.50q", key, v.Str)
		}
	}
	if v, _ := got.Data[2].Get("FLAGS"); v.String() != `(\Seen $a)` {
		t.Errorf("flags %v", v)
	}
	// Errors of every kind leave the connection usable.
	var se *ServerError
	if _, err := c.Append("x", nil, date, strings.NewReader(""), 2<<20); !errors.As(err, &se) || se.Code != "TOOBIG" {
		t.Errorf("too large: %v", err)
	}
	big := Literally{R: strings.NewReader(strings.Repeat("y", 2<<20)), Size: 2 << 20, NonSync: true}
	if _, err := c.Command("APPEND x", big); !errors.As(err, &se) || se.Code != "TOOBIG" {
		t.Errorf("too large without waiting: %v", err)
	}
	if _, err := c.Command("LOGIN ("); !errors.As(err, &se) || se.Cond != "BAD" {
		t.Errorf("bad syntax: %v", err)
	}
	if res, err := c.Command("NOOP"); err != nil || res.Text != "NOOP done" {
		t.Errorf("afterwards: %v", err)
	}
	c.Close()
}

// TestIdleMemory checks that a long command's buffers do not outlive it.
func TestIdleMemory(t *testing.T) {
	r, _ := newTest("a X " + strings.Repeat("x", 60<<10) + "\r\nb NOOP\r\n")
	begin(t, r, "a", "X")
	r.Skip()
	begin(t, r, "b", "NOOP")
	if cap(r.line) > 8<<10 {
		t.Errorf("%d bytes of line kept", cap(r.line))
	}
	w := NewWriter(io.Discard)
	w.Raw(strings.Repeat("x", 10000))
	w.Flush()
	if w.Release(); w.buf != nil {
		t.Error("the writer keeps its buffer")
	}
}

// TestCommandLimits checks that no command grows without bound.
func TestCommandLimits(t *testing.T) {
	for _, text := range []string{
		"STORE 1 FLAGS (" + strings.Repeat("a ", 2000) + "a)",
		"FETCH 1 (" + strings.Repeat("UID ", 2000) + "UID)",
		"LIST \"\" (" + strings.Repeat("a ", 2000) + "a)",
		"ID (" + strings.Repeat("\"a\" NIL ", 2000) + ")",
		"UID SEARCH " + strings.Repeat("OR ", 2000),
		"LOGIN " + strings.Repeat("{30000+}\r\n"+strings.Repeat("x", 30000)+" ", 3),
	} {
		r, _ := newTest(fmt.Sprintf("a %s\r\nb NOOP\r\n", text))
		_, name, err := r.Begin()
		if err == nil {
			err = readAny(r, name)
		}
		if !IsSyntax(err) {
			t.Errorf("%.30s: %v", text, err)
		}
		if err := r.Skip(); err != nil {
			t.Errorf("%.30s: %v", text, err)
		}
		begin(t, r, "b", "NOOP")
	}
}

func BenchmarkReadFetch(b *testing.B) {
	cmd := []byte("a1 UID FETCH 1:500,700:* (UID FLAGS MODSEQ RFC822.SIZE BODY.PEEK[HEADER.FIELDS (From To Subject Date)])\r\n")
	src := bytes.NewReader(nil)
	r := NewReader(src)
	b.ReportAllocs()
	for b.Loop() {
		src.Reset(cmd)
		r.Reset(src)
		if _, _, err := r.Begin(); err != nil {
			b.Fatal(err)
		}
		if _, err := ReadFetch(r); err != nil {
			b.Fatal(err)
		}
		r.Skip()
	}
}

func BenchmarkWriteFlags(b *testing.B) {
	w := NewWriter(io.Discard)
	flags := []string{`\Seen`, `\Answered`}
	b.ReportAllocs()
	for b.Loop() {
		w.Raw("* ")
		w.Number(12345)
		w.Raw(" FETCH (UID ")
		w.Number(67890)
		w.Raw(" FLAGS ")
		w.Flags(flags)
		w.Byte(')')
		w.CRLF()
	}
}
