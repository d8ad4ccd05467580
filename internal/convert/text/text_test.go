package text

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"rialto/internal/message"
)

// texts extracts a message and writes what was found, one text a line.
func texts(t testing.TB, ctx context.Context, mail string) (string, bool, error) {
	t.Helper()
	p := new(message.Parser)
	if _, err := io.WriteString(p, mail); err != nil {
		t.Fatal(err)
	}
	st := p.Close()
	src := &Source{Trace: "Received: here\r\n", Header: message.Header(mail[:st.Root.BodyStart]), Structure: st, Content: strings.NewReader(mail)}
	var out strings.Builder
	whole, err := new(Extractor).Message(ctx, src, func(k Kind, b []byte) {
		fmt.Fprintf(&out, "%s=%s\n", [...]string{"header", "subject", "from", "to", "cc", "bcc", "body", "attachment"}[k],
			strings.Join(strings.Fields(string(b)), " "))
	})
	return out.String(), whole, err
}

func TestMessage(t *testing.T) {
	got, whole, err := texts(t, t.Context(), "From: =?utf-8?q?J=C3=BCrgen?= <j@x.test>\r\nTo: a@x.test, \"B, C\" <b@x.test>\r\nCc: c@x.test\r\nBcc: d@x.test\r\n"+
		"Subject: =?iso-8859-1?q?Gr=FC=DFe?=\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/html\r\n\r\n<p>a<b>b</b><script>x</script>&amp;\r\n"+
		"--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: inner\r\n\r\ninner text\r\n--b\r\nContent-Type: application/octet-stream; name=\"r.rtf\"\r\n\r\n"+
		`{\rtf1\ansi\ansicpg1250{\fonttbl{\f0 Arial;}}{\*\gen x}Hello \b World\b0\par \'9elu\u357?\u228\'e4 \{x\}}`+"\r\n--b\r\nContent-Type: image/png; name=\"p.png\"\r\n\r\nx\r\n--b--\r\n")
	want := "header=Received: here\nheader=From: Jürgen <j@x.test>\nheader=To: a@x.test, \"B, C\" <b@x.test>\nheader=Cc: c@x.test\nheader=Bcc: d@x.test\n" +
		"header=Subject: Grüße\nheader=Content-Type: multipart/mixed; boundary=b\nsubject=Grüße\nfrom=Jürgen <j@x.test>\nto=<a@x.test>\nto=B, C <b@x.test>\ncc=<c@x.test>\nbcc=<d@x.test>\n" +
		"body=ab&\nbody=inner text\nattachment=Hello World žluťä {x}\nattachment=r.rtf\nattachment=p.png\n"
	if got != want || !whole || err != nil {
		t.Errorf("%v, %v\n%s\nwant\n%s", whole, err, got, want)
	}
}

// What is read without decoding is what decoding gives.
func TestVerbatim(t *testing.T) {
	for _, c := range []struct {
		fields, body string
		verbatim     bool
	}{
		{"", "plain\r\n", true}, {"Content-Type: text/plain; charset=UTF-8\r\nContent-Transfer-Encoding: 8BIT", "Grüße", true},
		{"Content-Type: text/plain; charset=iso-8859-1", strings.Repeat("long enough ", 9), true}, {"Content-Type: text/plain; charset=iso-8859-1", "Gr\xfc\xdfe", false},
		{"Content-Type: text/plain; charset=utf-8", "not \xff UTF-8", false}, {"", "Gr\xfc\xdfe, wie sch\xf6n f\xfcr uns alle", false},
		{"Content-Type: text/html", "<p>a", false}, {"Content-Transfer-Encoding: Quoted-Printable", "=41", false}, {"Content-Transfer-Encoding: base64", "QQ==", false},
		{"Content-Type: text/plain; charset=utf-7", "+AOQ-", false}, {"Content-Type: text/plain; charset=utf-16le", "a\x00", false}, {"Content-Type: text/plain; charset=iso-2022-jp", "\x1b$B8!:w\x1b(B", false},
	} {
		mail := c.fields + "\r\n\r\n" + c.body
		p := new(message.Parser)
		if _, err := io.WriteString(p, mail); err != nil {
			t.Fatal(err)
		}
		part, content := p.Close().Root, strings.NewReader(mail)
		want, err := io.ReadAll(message.PlainReader(content, part))
		if err != nil {
			t.Fatal(err)
		}
		x := &Extractor{body: maxBody}
		n, ok, err := x.verbatim(content, part)
		if ok != c.verbatim || err != nil || ok && string(x.buf[:n]) != string(want) {
			t.Errorf("%q %q: %q, %v, %v; want %q", c.fields, c.body, x.buf[:n], ok, err, want)
		}
	}
}

// attached is a message with one attachment.
func attached(name, mediaType string, content []byte) string {
	return "Subject: x\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: " + mediaType + "\r\nContent-Disposition: attachment; filename=\"" + name +
		"\"\r\nContent-Transfer-Encoding: base64\r\n\r\n" + base64.StdEncoding.EncodeToString(content) + "\r\n--b--\r\n"
}

func zipped(t testing.TB, files ...string) []byte {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for i := 0; i < len(files); i += 2 {
		w, err := z.Create(files[i])
		if err == nil {
			_, err = io.WriteString(w, files[i+1])
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestAttachments(t *testing.T) {
	const octets = "application/octet-stream"
	for _, c := range []struct {
		name, mediaType string
		content         []byte
		want            string
	}{
		{"a.docx", octets, zipped(t, "word/document.xml", `<w:document><w:p><w:r><w:t>Hel</w:t></w:r><w:r><w:t>lo</w:t></w:r></w:p><w:p><w:t>B</w:t><w:tab/><w:t>C</w:t></w:p></w:document>`,
			"word/styles.xml", `<t>no</t>`, "word/footnotes.xml", `<w:t>note</w:t>`), "Hello B C note"},
		{"noname", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", zipped(t, "xl/sharedStrings.xml", `<sst><si><t>one</t></si><si><t>two</t></si></sst>`,
			"xl/worksheets/sheet1.xml", `<row><c t="inlineStr"><is><t>three</t></is></c><c><v>42</v></c></row>`), "one two three"},
		{"a.pptx", octets, zipped(t, "ppt/slides/slide1.xml", `<a:p><a:t>slide</a:t></a:p>`), "slide"},
		{"a.odt", octets, zipped(t, "content.xml", `<office:body><text:h>Head</text:h><text:p>a<text:s/>b<text:span>c</text:span></text:p></office:body>`, "styles.xml", "<text:p>no</text:p>"), "Head a bc"},
		{"a.csv", octets, []byte("x;y\r\n1;2"), "x;y 1;2"}, {"a.HTM", octets, []byte("<p>text</p>"), "text"}, {"a.json", "application/json", []byte(`{"k":1}`), `{"k":1}`},
		{"a.docx", octets, []byte("no archive"), ""}, {"a.docx", octets, zipped(t, "word/document.xml", `<w:t>cut <x`), "cut"}, {"a.exe", octets, []byte("MZ text"), ""},
		{"a.rtf", octets, []byte(`{\rtf1 a{\pict b}c\'`), "ac"}, {"a.rtf", octets, []byte(strings.Repeat("{", 1000) + `deep` + strings.Repeat("}", 1000) + `\bin3 xyz shown`), "shown"},
		{"a.rtf", octets, []byte(`\uc2\u-10179\'3f\'3f\u-8704\'3f\'3f!\uc0\u65B`), "😀!AB"},
	} {
		got, whole, err := texts(t, t.Context(), attached(c.name, c.mediaType, c.content))
		_, got, _ = strings.Cut(got, "subject=x\n")
		want := "attachment=" + c.name + "\n"
		if c.want != "" {
			want = "attachment=" + c.want + "\n" + want
		}
		if got != want || !whole || err != nil {
			t.Errorf("%s: %q, %v, %v; want %q", c.name, got, whole, err, want)
		}
	}
}

// What is too large is cut, and said to be where a search relies on it.
func TestLimits(t *testing.T) {
	bomb := zipped(t, "word/document.xml", "<w:t>"+strings.Repeat("A", 3*maxExtracted)+"</w:t>", "word/header1.xml", strings.Repeat("<x/>", 1<<20))
	for _, c := range []struct {
		what, mail string
		whole      bool
		most       int
	}{
		{"text", "Subject: x\r\n\r\n" + strings.Repeat("word ", maxBody/4), false, maxBody + 100},
		{"text at the limit", "Subject: x\r\n\r\n" + strings.Repeat("a", maxBody), true, maxBody + 100},
		{"header", "Subject: " + strings.Repeat("x", maxHeader) + "\r\n\r\ntext", false, 100},
		{"archive", attached("a.docx", "application/x", bomb), true, maxExtracted + 1000},
		{"parts", "Content-Type: multipart/mixed; boundary=b\r\n\r\n" + strings.Repeat("--b\r\n\r\nx\r\n", maxParts+10) + "--b--\r\n", false, 20 * maxParts},
	} {
		got, whole, err := texts(t, t.Context(), c.mail)
		if whole != c.whole || err != nil || len(got) > c.most {
			t.Errorf("%s: %d octets, %v, %v", c.what, len(got), whole, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := texts(t, ctx, "Subject: x\r\n\r\ntext"); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// failing is content that can not be read.
type failing struct{}

func (failing) ReadAt([]byte, int64) (int, error) { return 0, io.ErrUnexpectedEOF }

func TestReadError(t *testing.T) {
	st := &message.Structure{Root: &message.Part{Type: "text", Subtype: "plain", BodyEnd: 10}}
	_, err := new(Extractor).Message(t.Context(), &Source{Structure: st, Content: failing{}}, func(Kind, []byte) {})
	if !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("%v", err)
	}
}

func FuzzMessage(f *testing.F) {
	f.Add("Subject: x\r\nContent-Type: text/html\r\n\r\n<p>x")
	f.Add(attached("a.docx", "application/x", zipped(f, "word/document.xml", "<w:t>x</w:t>")))
	f.Add(attached("a.rtf", "application/rtf", []byte(`{\rtf1\u8364?\'80\bin2 {}}`)))
	f.Fuzz(func(t *testing.T, mail string) {
		if got, _, err := texts(t, t.Context(), mail); err != nil || len(got) > 10*(maxBody+maxExtracted) {
			t.Errorf("%d octets, %v", len(got), err)
		}
	})
}

// FuzzAttachment reads attachments of every format.
func FuzzAttachment(f *testing.F) {
	f.Add([]byte(`{\rtf1\ansi\uc1\u1?{\*\x y}\'e4\par}`), "a.rtf")
	f.Add(zipped(f, "word/document.xml", "<w:p><w:t>a</w:t></w:p>"), "a.docx")
	f.Add(zipped(f, "content.xml", "<text:p>a</text:p>"), "a.odt")
	f.Add([]byte("<p>a"), "a.html")
	f.Fuzz(func(t *testing.T, b []byte, name string) {
		p := &message.Part{Type: "application", Subtype: "octet-stream", BodyEnd: int64(len(b)), Encoding: "binary",
			DispositionParams: []message.Param{{Name: "filename", Value: name}}}
		x := &Extractor{rest: maxExtracted}
		n := 0
		x.add = func(_ Kind, text []byte) { n += len(text) }
		if err := x.attachment(t.Context(), bytes.NewReader(b), p); err != nil || n > maxExtracted {
			t.Errorf("%d octets, %v", n, err)
		}
	})
}

func BenchmarkMessage(b *testing.B) {
	mail := "From: Bob <bob@x.test>\r\nTo: a@x.test\r\nSubject: report\r\nMessage-ID: <1@x>\r\n\r\n" + strings.Repeat("All work and no play makes Jack a dull boy, said nobody.\r\n", 70)
	p := new(message.Parser)
	if _, err := io.WriteString(p, mail); err != nil {
		b.Fatal(err)
	}
	st := p.Close()
	src := &Source{Header: message.Header(mail[:st.Root.BodyStart]), Structure: st, Content: strings.NewReader(mail)}
	var x Extractor
	b.ReportAllocs()
	b.SetBytes(int64(len(mail)))
	for b.Loop() {
		if _, err := x.Message(context.Background(), src, func(Kind, []byte) {}); err != nil {
			b.Fatal(err)
		}
	}
}
