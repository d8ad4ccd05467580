package message

import (
	"io"
	"net/mail"
	"strings"
	"testing"
	"time"

	gomessage "github.com/emersion/go-message"
	"github.com/google/go-cmp/cmp"
)

func TestBuilderReport(t *testing.T) {
	var b Builder
	b.Date(time.Date(2006, 1, 2, 15, 4, 5, 0, time.FixedZone("", -7*3600)))
	b.Addresses("From", Address{Name: "System Administrator", Local: "postmaster", Host: "contoso.test"})
	b.Addresses("To", Address{Name: "Jürgen, M", Local: "j m", Host: "x.test"}, Address{Local: "b", Host: "y.test"})
	b.Field("Subject", "Undeliverable:\r\nX-Evil: ü "+strings.Repeat("long words ", 20))
	b.MessageID("1@contoso.test")
	b.Multipart("report", "=_r", Param{"report-type", "delivery-status"})
	b.Part()
	b.Text("text/plain", "Nicht zugestellt: ü\nEnde")
	b.Part()
	b.ContentType("message/delivery-status")
	b.Status([]Param{{"Reporting-MTA", "dns; mx.contoso.test"}}, []Param{{"Final-Recipient", "rfc822; x@y"}, {"Action", "failed"}})
	b.Part()
	b.ContentType("message/rfc822")
	b.Raw([]byte("Subject: original\r\n\r\nbody\r\n"))
	b.Part()
	b.ContentType("application/octet-stream")
	b.Disposition("attachment", Param{"filename", "ü x.bin"})
	b.Base64([]byte(strings.Repeat("\x00\xff", 100)))
	b.End()

	msg := string(b.Bytes())
	for line := range strings.SplitSeq(msg, "\r\n") {
		if len(line) > 78 || strings.Contains(line, "\n") || !isPlain(strings.ReplaceAll(line, "\t", "")) {
			t.Errorf("line %q", line)
		}
	}
	s := Parse([]byte(msg))
	want := "multipart/report\n text/plain\n message/delivery-status\n message/rfc822\n  text/plain\n application/octet-stream\n"
	var got strings.Builder
	s.Walk(func(p *Part, d int) bool {
		got.WriteString(strings.Repeat(" ", d) + p.MediaType() + "\n")
		return true
	})
	if d := cmp.Diff(want, got.String()); d != "" {
		t.Fatal(d, msg)
	}
	if n := s.Root.Children[3].Filename(); n != "ü x.bin" {
		t.Errorf("file name %q", n)
	}
	body, _ := io.ReadAll(TextReader(strings.NewReader(msg), s.Root.Children[0]))
	if string(body) != "Nicht zugestellt: ü\r\nEnde" {
		t.Errorf("text %q", body)
	}
	m, err := mail.ReadMessage(strings.NewReader(msg))
	if err != nil || m.Header.Get("X-Evil") != "" {
		t.Fatalf("%v, header %v", err, m.Header)
	}
	to, err := m.Header.AddressList("To")
	if err != nil || to[0].Name != "Jürgen, M" || to[0].Address != "j m@x.test" {
		t.Errorf("the standard library reads To as %v, %v", to, err)
	}
	if d, err := m.Header.Date(); err != nil || d.Unix() != 1136239445 {
		t.Errorf("date %v, %v", d, err)
	}
}

func TestBuilderSimple(t *testing.T) {
	var b Builder
	b.Addresses("To", Address{Kind: GroupStart, Local: "all"}, Address{Local: "a", Host: "x"}, Address{Local: "b", Host: "x"}, Address{Kind: GroupEnd})
	b.Field("Subject", "hi")
	b.Text("text/plain", "one\ntwo\n")
	want := crlfs("To: all: a@x, b@x;", "Subject: hi", "MIME-Version: 1.0", "Content-Type: text/plain; charset=us-ascii",
		"Content-Transfer-Encoding: 7bit", "", "one", "two", "")
	if d := cmp.Diff(want, string(b.Bytes())); d != "" {
		t.Error(d)
	}
}

// oracle renders a message as go-message sees it.
func oracle(t *testing.T, e *gomessage.Entity, depth int, b *strings.Builder) {
	typ, _, _ := e.Header.ContentType()
	b.WriteString(strings.Repeat(" ", depth) + typ)
	if mr := e.MultipartReader(); mr != nil {
		b.WriteString("\n")
		for {
			p, err := mr.NextPart()
			if err == io.EOF {
				return
			} else if err != nil {
				t.Fatal(err)
			}
			oracle(t, p, depth+1, b)
		}
	}
	body, err := io.ReadAll(e.Body)
	if err != nil {
		t.Fatal(err)
	}
	b.WriteString(" " + string(body) + "\n")
}

func TestAgainstGoMessage(t *testing.T) {
	for _, msg := range []string{
		string(alternative()),
		"Subject: x\r\n\r\nbody\r\n",
		crlfs("Content-Type: multipart/mixed; boundary=\"a b\"", "", "pre", "--a b", "Content-Type: multipart/related; boundary=i", "", "--i",
			"Content-Type: text/html", "Content-Transfer-Encoding: base64", "", "PGI+aGk8L2I+", "--i", "Content-Type: image/png", "", "png", "--i--", "",
			"--a b", "", "tail", "", "--a b--", ""),
	} {
		e, err := gomessage.Read(strings.NewReader(msg))
		if err != nil {
			t.Fatal(err)
		}
		var want, got strings.Builder
		oracle(t, e, 0, &want)
		Parse([]byte(msg)).Walk(func(p *Part, d int) bool {
			got.WriteString(strings.Repeat(" ", d) + p.MediaType())
			if !p.IsMultipart() {
				body, _ := io.ReadAll(BodyReader(strings.NewReader(msg), p))
				got.WriteString(" " + string(body))
			}
			got.WriteString("\n")
			return true
		})
		if d := cmp.Diff(want.String(), got.String()); d != "" {
			t.Error(d)
		}
	}
}
