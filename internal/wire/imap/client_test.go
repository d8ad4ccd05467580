package imap

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	goimap "github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/emersion/go-imap/v2/imapserver/imapmemserver"
)

func TestWriter(t *testing.T) {
	var out bytes.Buffer
	w := NewWriter(&out)
	w.Raw("* ")
	w.Number(3)
	w.Raw(" FETCH (")
	w.Label(FetchItem{Kind: FetchSection, Section: Section{Specifier: "TEXT"}})
	w.SP()
	if err := w.Literal(strings.NewReader("hello"), 5); err != nil {
		t.Fatal(err)
	}
	w.SP()
	for _, s := range []string{`a"\b`, "grün", "a\r\nb", ""} {
		w.String(s)
	}
	w.NString("", false)
	w.SP()
	w.Mailbox("Entwürfe")
	w.SP()
	w.AString("nil")
	w.Flags([]string{`\Seen`, "bad flag", `\*`, "$x"})
	w.DateTime(time.Date(2006, 1, 2, 15, 4, 5, 0, time.FixedZone("", 3600)))
	w.SeqSet(NewSeqSet(1, 2))
	w.CRLF()
	w.Status("a1", "NO", "TRYCREATE", "no\r\n* BYE")
	w.UTF8 = true
	w.String("grün")
	w.Mailbox("Entwürfe & mehr")
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	want := "* 3 FETCH (BODY[TEXT] {5}\r\nhello \"a\\\"\\\\b\"{5}\r\ngrün{4}\r\na\r\nb\"\"NIL Entw&APw-rfe \"nil\"(\\Seen \\* $x)" +
		"\"02-Jan-2006 15:04:05 +0100\"1:2\r\na1 NO [TRYCREATE] no  * BYE\r\n\"grün\"\"Entwürfe & mehr\""
	if out.String() != want {
		t.Errorf("%q\nwant %q", out.String(), want)
	}
	if err := w.Literal(strings.NewReader("abc"), 5); err == nil || w.Flush() == nil {
		t.Error("a short literal goes unnoticed")
	}
}

func TestWriterLarge(t *testing.T) {
	var out bytes.Buffer
	w := NewWriter(&out)
	body := strings.Repeat("0123456789", 100000)
	if err := w.Literal(iotestReader{strings.NewReader(body)}, int64(len(body))); err != nil {
		t.Fatal(err)
	}
	w.CRLF()
	if err := w.Flush(); err != nil || out.String() != "{1000000}\r\n"+body+"\r\n" || cap(w.buf) > 64<<10 {
		t.Errorf("%v, %d bytes, %d buffered", err, out.Len(), cap(w.buf))
	}
}

// iotestReader hides WriteTo.
type iotestReader struct{ io.Reader }

func TestResponses(t *testing.T) {
	in := "* OK [UIDNEXT 5] hi there\r\n* 3 FETCH (FLAGS (\\Seen a) BODY[HEADER.FIELDS (From \"To\")]<0> {4}\r\na\r\nb X \"q\\\"\" Y NIL Z ((1 2) (3)))\r\n" +
		"* LIST () \"/\" &AOQ-\r\n+ go on\r\nA1 NO [ALERT \"]\"] no\r\n* SEARCH\r\n"
	p := responseReader{br: bufio.NewReader(strings.NewReader(in))}
	var rs []*Response
	for {
		r, err := p.read()
		if err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		rs = append(rs, r)
	}
	if len(rs) != 6 || rs[0].Code != "UIDNEXT 5" || rs[0].Text != "hi there" || rs[3].Text != "go on" || rs[4].Code != `ALERT "]"` || rs[5].Name() != "SEARCH" {
		t.Fatalf("%+v", rs)
	}
	items := rs[1].Data[2]
	if v, ok := items.Get(`body[header.fields (From "To")]<0>`); !ok || v.Str != "a\r\nb" || v.Kind != Text {
		t.Errorf("body %+v", items)
	}
	if v, _ := items.Get("Z"); v.String() != "((1 2) (3))" || rs[1].Name() != "FETCH" {
		t.Errorf("nested list %v", v)
	}
	if v, _ := items.Get("Y"); v.Kind != Nil {
		t.Errorf("NIL is %+v", v)
	}
}

func FuzzResponse(f *testing.F) {
	f.Add([]byte("* 1 FETCH (BODY[TEXT] {3}\r\nabc FLAGS (\\Seen))\r\n"))
	f.Add([]byte("* OK [A \"b\"] c\r\n+ \r\n* LIST (\\X) NIL \"a\\\"b\"\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		p := responseReader{br: bufio.NewReader(bytes.NewReader(b))}
		for range 100 {
			r, err := p.read()
			if err != nil {
				return
			}
			_ = r.Name()
			for _, v := range r.Data {
				_ = v.String()
			}
		}
	})
}

// TestClient runs the client against another's server.
func TestClient(t *testing.T) {
	mem := imapmemserver.New()
	user := imapmemserver.NewUser("alice", `p"w`)
	user.Create("INBOX", nil)
	mem.AddUser(user)
	srv := imapserver.New(&imapserver.Options{InsecureAuth: true, Caps: goimap.CapSet{goimap.CapIMAP4rev1: {}},
		NewSession: func(*imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
			return mem.NewSession(), nil, nil
		}})
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go srv.Serve(ln)
	defer srv.Close()
	conn, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	conn.SetDeadline(time.Now().Add(20 * time.Second))
	c, err := NewClient(conn)
	if err != nil {
		t.Fatal(err)
	}
	var se *ServerError
	if err := c.Login("alice", "wrong"); !errors.As(err, &se) || se.Cond != "NO" {
		t.Errorf("a wrong password: %v", err)
	}
	if err := c.Login("alice", `p"w`); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Command("CREATE", QuoteMailbox("Entwürfe")); err != nil {
		t.Fatal(err)
	}
	msg := "Subject: x\r\n\r\nhello\r\n"
	uid, err := c.Append("INBOX", []string{`\Seen`}, time.Unix(1e9, 0), strings.NewReader(msg), int64(len(msg)))
	if err != nil {
		t.Fatal(err, uid)
	}
	if _, err := c.Append("nowhere", nil, time.Time{}, strings.NewReader(msg), int64(len(msg))); !errors.As(err, &se) {
		t.Errorf("append to no mailbox: %v", err)
	}
	s, err := c.Select("INBOX")
	if err != nil || s.Exists != 1 || s.UIDNext == 0 || s.UIDValidity == 0 {
		t.Fatalf("%+v, %v", s, err)
	}
	fs, err := c.Fetch(false, "1:*", "(FLAGS INTERNALDATE ENVELOPE BODYSTRUCTURE BODY.PEEK[HEADER.FIELDS (Subject)] BODY[])")
	if err != nil || len(fs) == 0 || fs[0].Seq != 1 {
		t.Fatalf("%+v, %v", fs, err)
	}
	if v, _ := fs[0].Items.Get("BODY[]"); v.Str != msg {
		t.Errorf("body %q", v.Str)
	}
	res, err := c.Command("LIST", `""`, `"*"`)
	if err != nil || len(res.Find("LIST")) != 2 {
		t.Errorf("%v, %v", res, err)
	}
	if err := c.Logout(); err != nil {
		t.Error(err)
	}
}

func TestClientIdle(t *testing.T) {
	a, b := net.Pipe()
	go func() {
		br := bufio.NewReader(b)
		io.WriteString(b, "* OK hi\r\n")
		br.ReadString('\n')
		io.WriteString(b, "+ idling\r\n* 4 EXISTS\r\n* 5 EXISTS\r\n")
		if done, _ := br.ReadString('\n'); done == "DONE\r\n" {
			io.WriteString(b, "A1 OK\r\n")
		}
		b.Close()
	}()
	c, err := NewClient(a)
	if err != nil {
		t.Fatal(err)
	}
	var last uint64
	err = c.Idle(func(r *Response) bool { last = r.Data[0].Num(); return last < 5 })
	if err != nil || last != 5 {
		t.Errorf("%v, %d", err, last)
	}
}
