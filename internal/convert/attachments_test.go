package convert

import (
	"fmt"
	"strings"
	"testing"

	"rialto/internal/mapi"
	"rialto/internal/message"
)

func TestAttachments(t *testing.T) {
	part := func(head, body string) string { return "--b\r\n" + head + "\r\n\r\n" + body + "\r\n" }
	multi := func(kind string, parts ...string) string {
		return "Content-Type: multipart/" + kind + "; boundary=b\r\n\r\n" + strings.Join(parts, "") + "--b--\r\n"
	}
	words := func(r mapi.Properties) string {
		s := fmt.Sprintf("%d %s %q", r.Int32(mapi.TagAttachMethod), r.Text(mapi.TagAttachMimeTag), r.Text(mapi.TagAttachLongFilename))
		for _, tag := range []mapi.Tag{mapi.TagDisplayName, mapi.TagAttachFilename, mapi.TagAttachExtension, mapi.TagAttachContentID, mapi.TagAttachContentLocation} {
			if v := r.Text(tag); v != "" && v != r.Text(mapi.TagAttachLongFilename) {
				s += " " + v
			}
		}
		if r.Bool(mapi.TagAttachmentHidden) {
			s += fmt.Sprint(" shown ", r.Int32(mapi.TagAttachFlags))
		}
		return s
	}
	text := part("Content-Type: text/plain", "hello")
	for name, c := range map[string]struct {
		mail string
		want []string
		size int32
	}{
		"a text":               {mail: "Subject: x\r\n\r\nhello\r\n"},
		"alternatives":         {mail: multi("alternative", text, part("Content-Type: text/html", "<p>hello"))},
		"a file":               {mail: multi("mixed", text, part("Content-Type: application/PDF\r\nContent-Disposition: attachment; filename=\"a plan.2026.pdf\"", "xyz")), want: []string{`1 application/pdf "a plan.2026.pdf" aplan2~1.pdf .pdf`}, size: 3},
		"a coded name, a path": {mail: multi("mixed", part("Content-Type: application/msword; name=\"=?utf-8?q?C:\\\\t\\\\gr=C3=BC=C3=9Fe.docx?=\"\r\nContent-Transfer-Encoding: base64", "aGVs\r\nbG8h")), want: []string{`1 application/msword "grüße.docx" grüße.doc .docx`}, size: 6},
		"an attached text":     {mail: multi("mixed", text, part("Content-Disposition: attachment", "x")), want: []string{`1 text/plain ""`}, size: 1},
		"a named text":         {mail: multi("mixed", text, part("Content-Type: text/csv; name=list.csv", "x")), want: []string{`1 text/csv "list.csv" .csv`}, size: 1},
		"a picture in the body": {mail: multi("related", part("Content-Type: text/html", "x"), part("Content-Type: image/png\r\nContent-ID: <logo@x>", "xx"), part("Content-Type: image/gif\r\nContent-Location: http://x/y", "xx")),
			want: []string{`1 image/png "" logo@x shown 4`, `1 image/gif "" http://x/y shown 4`}, size: 2},
		"a picture beside it": {mail: multi("mixed", text, part("Content-Type: image/png\r\nContent-ID: <p@x>", "x")), want: []string{`1 image/png "" p@x`}, size: 1},
		"a message":           {mail: multi("mixed", text, part("Content-Type: message/rfc822", "Subject: =?utf-8?q?in=C3=BCer?=\r\n"+multi("mixed", part("Content-Disposition: attachment; filename=deep.txt", "y")))), want: []string{`5 message/rfc822 "" inüer`}},
		"a message itself":    {mail: "Content-Type: image/png; name=x.png\r\n\r\nxxx", want: []string{`1 image/png "x.png" .png`}, size: 3},
		"a report":            {mail: multi("report", text, part("Content-Type: message/delivery-status", "Status: 5.0.0"))},
		"signed":              {mail: multi("signed", text, part("Content-Type: application/pkcs7-signature; name=smime.p7s", "x")), want: []string{`1 multipart/signed "smime.p7m" .p7m`}},
		"encrypted":           {mail: "Content-Type: application/pkcs7-mime\r\n\r\nx", want: []string{`1 application/pkcs7-mime "smime.p7m" .p7m`}, size: 1},
		"signed within":       {mail: multi("mixed", text, part("Content-Type: application/pgp-signature; name=sig.asc", "x"))},
	} {
		t.Run(name, func(t *testing.T) {
			rows := Attachments(message.Parse([]byte(c.mail)))
			if len(rows) != len(c.want) {
				t.Fatalf("%d rows, want %q", len(rows), c.want)
			}
			for i, r := range rows {
				if got := words(r); got != c.want[i] {
					t.Errorf("%s, want %s", got, c.want[i])
				}
				if r.Int32(mapi.TagAttachNumber) != int32(i) || c.size > 0 && r.Int32(mapi.TagAttachSize) != c.size {
					t.Errorf("row %d is number %d of %d octets, want %d", i, r.Int32(mapi.TagAttachNumber), r.Int32(mapi.TagAttachSize), c.size)
				}
				if _, ok := mapi.AppendProperties(nil, r); !ok {
					t.Error("the row can not be stored")
				}
			}
		})
	}
	var parts []string
	for range maxAttachmentRows + 5 {
		parts = append(parts, part("Content-Type: image/png", ""))
	}
	if n := len(Attachments(message.Parse([]byte(multi("mixed", parts...))))); n != maxAttachmentRows {
		t.Errorf("%d rows of too many", n)
	}
}
