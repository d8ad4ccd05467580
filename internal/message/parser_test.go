package message

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// outline renders the tree with the bodies it finds by offset.
func outline(msg string, s *Structure) string {
	var b strings.Builder
	s.Walk(func(p *Part, depth int) bool {
		fmt.Fprintf(&b, "%s%s %d", strings.Repeat(" ", depth), p.MediaType(), p.Lines)
		if len(p.Children) == 0 {
			fmt.Fprintf(&b, " %q", msg[p.BodyStart:p.BodyEnd])
		}
		b.WriteString("\n")
		return true
	})
	return b.String()
}

func crlfs(lines ...string) string { return strings.Join(lines, "\r\n") }

func TestParseShapes(t *testing.T) {
	for _, c := range []struct{ name, in, want string }{
		{"empty", "", "text/plain 0 \"\"\n"},
		{"plain", "Subject: x\r\n\r\nhello\r\n", "text/plain 1 \"hello\\r\\n\"\n"},
		{"bare LF", "Subject: x\n\nhello\nyou", "text/plain 1 \"hello\\nyou\"\n"},
		{"header only", "Subject: x\r\n", "text/plain 0 \"\"\n"},
		{"no header at all", "hello\r\nworld\r\n", "text/plain 2 \"hello\\r\\nworld\\r\\n\"\n"},
		{"one word", "hello", "text/plain 0 \"hello\"\n"},
		{"From line", "From bob Mon Jan 1 00:00:00 2001\nSubject: x\n\nhi\n", "text/plain 1 \"hi\\n\"\n"},
		{"odd line inside header", "Subject: x\r\nodd line\r\nContent-Type: text/html\r\n\r\nhi", "text/html 0 \"hi\"\n"},
		{"missing empty line", "Subject: x\r\nhi there\r\nyou: all\r\n", "text/plain 0 \"\"\n"},
		{"missing empty line, two lines", "Content-Type: text/html\r\nhi there\r\nand more\r\n", "text/html 2 \"hi there\\r\\nand more\\r\\n\"\n"},
		{"NULs", "Subject: a\x00b\r\n\r\n\x00\r\n", "text/plain 1 \"\\x00\\r\\n\"\n"},
		{"multipart", crlfs("Content-Type: multipart/mixed; boundary=b", "", "preamble", "--b", "", "one", "--b  ", "Content-Type: text/html", "", "two", "", "--b--", "epilogue", ""),
			"multipart/mixed 11\n text/plain 0 \"one\"\n text/html 1 \"two\\r\\n\"\n"},
		{"no end", "Content-Type: multipart/mixed; boundary=b\n\n--b\n\none\n--b\nContent-Type: text/html\n\ntwo\n",
			"multipart/mixed 7\n text/plain 0 \"one\"\n text/html 1 \"two\\n\"\n"},
		{"multipart without empty line", "Content-Type: multipart/mixed; boundary=b\r\n--b\r\n\r\none\r\n--b--\r\n",
			"multipart/mixed 4\n text/plain 0 \"one\"\n"},
		{"empty parts", "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n--b\r\nX: y\r\n--b\r\n\r\n--b--",
			"multipart/mixed 5\n text/plain 0 \"\"\n text/plain 0 \"\"\n text/plain 0 \"\"\n"},
		{"no boundary", "Content-Type: multipart/mixed\r\n\r\n--b\r\nx", "multipart/mixed 1 \"--b\\r\\nx\"\n"},
		{"outer boundary ends inner", crlfs("Content-Type: multipart/mixed; boundary=o", "", "--o", "Content-Type: multipart/alternative; boundary=i", "", "--i", "", "deep", "--o", "", "last", "--o--"),
			"multipart/mixed 9\n multipart/alternative 2\n  text/plain 0 \"deep\"\n text/plain 0 \"last\"\n"},
		{"same boundary inside", crlfs("Content-Type: multipart/mixed; boundary=o", "", "--o", "Content-Type: multipart/alternative; boundary=o", "", "--o", "", "deep", "--o--", "--o", "", "last", "--o--"),
			"multipart/mixed 10\n multipart/alternative 3\n  text/plain 0 \"deep\"\n text/plain 0 \"last\"\n"},
		{"message", crlfs("Content-Type: message/rfc822", "", "Subject: in", "Content-Type: text/html", "", "body", ""),
			"message/rfc822 4\n text/html 1 \"body\\r\\n\"\n"},
		{"digest", crlfs("Content-Type: multipart/digest; boundary=b", "", "--b", "", "Subject: in", "", "body", "--b--", ""),
			"multipart/digest 6\n message/rfc822 2\n  text/plain 0 \"body\"\n"},
		{"boundary is a prefix", "Content-Type: multipart/mixed; boundary=b\n\n--b\n\n--bb\n--b-\n--b--\n",
			"multipart/mixed 5\n text/plain 1 \"--bb\\n--b-\"\n"},
		{"type without subtype", "Content-Type: text\n\nx", "text/plain 0 \"x\"\n"},
		{"nonsense type", "Content-Type: @@@ ///\n\nx", "text/plain 0 \"x\"\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := Parse([]byte(c.in))
			if d := cmp.Diff(c.want, outline(c.in, s)); d != "" {
				t.Errorf("%q\n%s", c.in, d)
			}
			check(t, []byte(c.in))
		})
	}
}

// check asserts what must hold for every input.
func check(t *testing.T, in []byte) {
	t.Helper()
	s := Parse(in)
	if s.Size != int64(len(in)) || s.Root == nil {
		t.Fatalf("size %d of %d", s.Size, len(in))
	}
	nested(t, s.Root, 0, s.Size)
	for _, size := range []int{1, 3, 7, 1000} {
		var p Parser
		for rest := in; len(rest) > 0; {
			n := min(size, len(rest))
			p.Write(rest[:n])
			rest = rest[n:]
		}
		if d := cmp.Diff(s, p.Close()); d != "" {
			t.Fatalf("in pieces of %d, %q: %s", size, in, d)
		}
	}
	enc := s.AppendBinary(nil)
	back, err := DecodeStructure(enc)
	if err != nil {
		t.Fatalf("decode: %v", err)
	}
	if d := cmp.Diff(s, back); d != "" {
		t.Fatalf("round trip of %q: %s", in, d)
	}
	Preview(bytes.NewReader(in), s, 100)
}

func nested(t *testing.T, p *Part, from, to int64) {
	t.Helper()
	if p.HeaderStart < from || p.BodyStart < p.HeaderStart || p.BodyEnd < p.BodyStart || p.BodyEnd > to || p.Lines < 0 {
		t.Fatalf("%s: offsets %d %d %d within [%d, %d), %d lines", p.MediaType(), p.HeaderStart, p.BodyStart, p.BodyEnd, from, to, p.Lines)
	}
	at := p.BodyStart
	for _, c := range p.Children {
		nested(t, c, at, p.BodyEnd)
		at = c.BodyEnd
	}
}

func TestFields(t *testing.T) {
	in := crlfs(`content-type: Image/PNG; name="a b.png"; x=1 (note); title*0*=utf-8'en'%e2%82%ac; title*1=" rates"`,
		"Content-Transfer-Encoding: BASE64 (yes)", "Content-ID: <a@b>", "Content-Description: a\r\n b",
		"Content-Disposition: Attachment; filename*=iso-8859-1''f%fcr.png; filename=fur.png", "Content-Language: de, en",
		"Content-MD5: abc==", "Content-Location: http://x/\r\n y", "", "")
	p := Parse([]byte(in)).Root
	want := &Part{HeaderStart: 0, BodyStart: int64(len(in)), BodyEnd: int64(len(in)), Type: "image", Subtype: "png",
		Params:   []Param{{"name", "a b.png"}, {"x", "1"}, {"title", "€ rates"}},
		Encoding: "base64", ID: "<a@b>", Description: "a b", MD5: "abc==", Disposition: "attachment",
		DispositionParams: []Param{{"filename", "für.png"}}, Language: []string{"de", "en"}, Location: "http://x/y",
		Envelope: &Envelope{}}
	if d := cmp.Diff(want, p); d != "" {
		t.Error(d)
	}
	if p.Filename() != "für.png" {
		t.Errorf("file name %q", p.Filename())
	}
	if n, v := p.DispositionParams[0].Wire(); n != "filename*" || v != "utf-8''f%C3%BCr.png" {
		t.Errorf("wire form %s=%s", n, v)
	}
}

func TestFind(t *testing.T) {
	in := crlfs("Content-Type: multipart/mixed; boundary=o", "", "--o", "", "one", "--o", "Content-Type: message/rfc822", "",
		"Content-Type: multipart/mixed; boundary=i", "", "--i", "", "in one", "--i", "", "in two", "--i--", "--o",
		"Content-Type: message/rfc822", "", "Subject: leaf", "", "leaf", "--o--", "")
	s := Parse([]byte(in))
	for path, want := range map[string]string{"1": "one", "2.1": "in one", "2.2": "in two", "3.1": "leaf",
		"4": "", "1.1": "", "2.3": "", "3.2": "", "0": "", "3.1.1": ""} {
		var nums []int
		for _, f := range strings.Split(path, ".") {
			nums = append(nums, int(f[0]-'0'))
		}
		got := ""
		if p := s.Find(nums); p != nil {
			got = in[p.BodyStart:p.BodyEnd]
		}
		if got != want {
			t.Errorf("part %s is %q, want %q", path, got, want)
		}
	}
	if p := s.Find(nil); p != s.Root {
		t.Error("the empty path is not the root")
	}
	leaf := Parse([]byte("\r\nx"))
	if leaf.Find([]int{1}) != leaf.Root || leaf.Find([]int{2}) != nil || leaf.Find([]int{1, 1}) != nil {
		t.Error("sections of a message without parts")
	}
}

func TestLimits(t *testing.T) {
	t.Run("depth", func(t *testing.T) {
		var b strings.Builder
		for i := range 10000 {
			fmt.Fprintf(&b, "Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n", i, i)
		}
		s := Parse([]byte(b.String()))
		deepest := 0
		s.Walk(func(_ *Part, d int) bool { deepest = max(deepest, d); return true })
		if deepest != MaxDepth-1 || !s.Truncated {
			t.Errorf("depth %d, truncated %v", deepest, s.Truncated)
		}
		nested(t, s.Root, 0, s.Size)
	})
	t.Run("nested messages", func(t *testing.T) {
		s := Parse([]byte(strings.Repeat("Content-Type: message/rfc822\n\n", 10000)))
		deepest := 0
		s.Walk(func(_ *Part, d int) bool { deepest = max(deepest, d); return true })
		if deepest != MaxDepth-1 || !s.Truncated {
			t.Errorf("depth %d, truncated %v", deepest, s.Truncated)
		}
	})
	t.Run("parts", func(t *testing.T) {
		s := Parse([]byte("Content-Type: multipart/mixed; boundary=b\n\n" + strings.Repeat("--b\n\nx\n", 3*MaxParts)))
		if n := len(s.Root.Children); n != MaxParts-1 || !s.Truncated {
			t.Errorf("%d parts, truncated %v", n, s.Truncated)
		}
		if _, err := DecodeStructure(s.AppendBinary(nil)); err != nil {
			t.Error(err)
		}
	})
	t.Run("header bytes", func(t *testing.T) {
		var p Parser
		line := []byte("X-Long: " + strings.Repeat("x", 100<<10) + "\n")
		for range 100 {
			p.Write(line)
		}
		p.Write([]byte("\nbody"))
		s := p.Close()
		if len(p.Header()) > MaxHeaderBytes+1 || s.Root.Size() != 4 {
			t.Errorf("kept %d header bytes, body of %d", len(p.Header()), s.Root.Size())
		}
	})
	t.Run("endless line", func(t *testing.T) {
		var p Parser
		p.Write([]byte("Subject: x\n\n"))
		chunk := bytes.Repeat([]byte{'x'}, 64<<10)
		for range 1600 {
			p.Write(chunk)
		}
		if s := p.Close(); s.Root.Size() != 1600*64<<10 || cap(p.line) > 2*maxBodyLine {
			t.Errorf("body of %d, %d bytes held", s.Root.Size(), cap(p.line))
		}
	})
	t.Run("header total", func(t *testing.T) {
		big := "--b\nSubject: " + strings.Repeat("y", 900<<10) + "\n\nx\n"
		s := Parse([]byte("Content-Type: multipart/mixed; boundary=b\n\n" + strings.Repeat(big, 10) + "--b\nContent-Type: text/html\n\nz"))
		if c := s.Root.Children; len(c) != 11 || c[10].Subtype != "html" {
			t.Errorf("%d children", len(s.Root.Children))
		}
	})
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\none\r\n--b--\r\n"))
	f.Add([]byte("Content-Type: multipart/digest; boundary=\"b \"\n--b\n\nFrom: a@b\nodd\n--b\n--b--"))
	f.Add([]byte("Content-Type: message/rfc822\n\nodd\nodd\nTo: g: a@b, c;"))
	f.Add([]byte("From x\nSubject: =?utf-8?q?=C3?= =?utf-8?q?=A4?=\n cont\nDate: 1 Jan 99\n\n\x00"))
	f.Add([]byte("Content-Type: text/html; charset=utf-7\nContent-Transfer-Encoding: quoted-printable\n\n<p>=\n&am+AGE-"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 20000 {
			return
		}
		check(t, b)
		var p Parser
		p.Write(b)
		p.Close()
		p.Preview(50)
		for f := range p.Header().Fields() {
			DecodeText(f.Value)
			ParseDate(f.Value)
			for _, a := range ParseAddresses(f.Value) {
				_ = a.String()
			}
		}
	})
}

func FuzzDecodeStructure(f *testing.F) {
	for _, in := range []string{"", "From: a@b\nSubject: s\n\nx", "Content-Type: multipart/mixed; boundary=b\n\n--b\n\none\n--b--\n"} {
		f.Add(Parse([]byte(in)).AppendBinary(nil))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := DecodeStructure(b)
		if err != nil {
			return
		}
		nested(t, s.Root, 0, s.Size)
		back, err := DecodeStructure(s.AppendBinary(nil))
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(s, back); d != "" {
			t.Fatal(d)
		}
	})
}

func alternative() []byte {
	return []byte(crlfs("Received: from a by b; Mon, 2 Jan 2006 15:04:05 +0000", "Received: from c by d; Mon, 2 Jan 2006 15:04:05 +0000",
		"Date: Mon, 2 Jan 2006 15:04:05 +0000", "From: Alice Example <alice@contoso.test>", "To: Bob <bob@contoso.test>, carol@contoso.test",
		"Subject: The quarterly numbers", "Message-ID: <1234@contoso.test>", "In-Reply-To: <1233@contoso.test>",
		"References: <1231@contoso.test> <1233@contoso.test>", "MIME-Version: 1.0",
		`Content-Type: multipart/alternative; boundary="=_b1"`, "", "--=_b1", "Content-Type: text/plain; charset=utf-8", "",
		strings.Repeat("Some words of plain text that make a line of mail, as usual.\r\n", 25), "--=_b1",
		"Content-Type: text/html; charset=utf-8", "Content-Transfer-Encoding: quoted-printable", "",
		strings.Repeat("<p>Some words of HTML that make a line of mail, as usual.</p>=\r\n", 25), "--=_b1--", ""))
}

func BenchmarkParse4K(b *testing.B) {
	msg := alternative()
	var p Parser
	b.SetBytes(int64(len(msg)))
	b.ReportAllocs()
	for b.Loop() {
		p.Reset()
		p.Write(msg)
		p.Close()
	}
}

func BenchmarkParseBase64Body(b *testing.B) {
	msg := []byte("Content-Type: application/pdf\r\n\r\n" + strings.Repeat(strings.Repeat("A", 76)+"\r\n", 20000))
	b.SetBytes(int64(len(msg)))
	for b.Loop() {
		Parse(msg)
	}
}

func BenchmarkStructure(b *testing.B) {
	s := Parse(alternative())
	enc := s.AppendBinary(nil)
	b.Run("encode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			enc = s.AppendBinary(enc[:0])
		}
	})
	b.Run("decode", func(b *testing.B) {
		b.ReportMetric(float64(len(enc)), "stored-bytes")
		b.ReportAllocs()
		for b.Loop() {
			DecodeStructure(enc)
		}
	})
}
