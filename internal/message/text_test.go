package message

import (
	"bytes"
	"io"
	"mime"
	"strings"
	"testing"
	"testing/iotest"
)

func TestDecodeText(t *testing.T) {
	for in, want := range map[string]string{
		"plain":                                 "plain",
		"=?utf-8?Q?J=C3=BCrgen_M?=":             "Jürgen M",
		"=?UTF-8?B?SsO8cmdlbg==?=":              "Jürgen",
		"=?iso-8859-1?q?f=FCr?= dich":           "für dich",
		"a =?utf-8?q?b?= =?utf-8?q?c?= d":       "a bc d",
		"=?utf-8?b?4oI=?= =?utf-8?b?rA==?=":     "€", // a character cut between two words
		"=?utf-8?b?4oI=?=\r\n =?utf-8?b?rA==?=": "€",
		"=?utf-8*de?q?f=C3=BCr?=":               "für",
		"=?utf-8?q?with space?=":                "with space",
		"=?utf-8?q?what??=":                     "what?",
		"=?broken":                              "=?broken",
		"=?utf-8?x?abc?=":                       "=?utf-8?x?abc?=",
		"=?utf-8?q?abc":                         "=?utf-8?q?abc",
		"f\xfcr":                                "für",
		"für":                                   "für",
		"=?utf-7?q?f+APw-r?=":                   "für",
		"=?gb2312?B?xOO6ww==?=":                 "你好",
		"=?iso-2022-jp?B?GyRCJDMbKEI=?=":        "こ",
		"=?unknown-thing?q?a=E4?=":              "aä",
		"=?utf-8?q?a=0D=0AX:_y?=":               "a  X: y",
		"a\x00b":                                "ab",
	} {
		if got := DecodeText(in); got != want {
			t.Errorf("%q = %q, want %q", in, got, want)
		}
	}
	bomb := strings.Repeat("\xe4\xe4\xe4\xe4=?", 200<<10) // guessing at each piece would take minutes
	if got := DecodeText(bomb); len(got) > 4*64<<10 {
		t.Errorf("%d bytes decoded", len(got))
	}
	DecodeText(strings.Repeat("=?zz?q?=E4=E4=E4=E4=E4?= ", 40<<10))
	DecodeText(strings.Repeat("=?a?q?", 200<<10)) // linear, or the test times out
	DecodeText(strings.Repeat("=?a?q??", 200<<10))
	DecodeText(strings.Repeat("?", 200<<10) + strings.Repeat("=?", 200<<10))
}

func TestEncodeText(t *testing.T) {
	for _, s := range []string{"", "plain", "Jürgen", strings.Repeat("日本語 ", 40), "a =?utf-8?q?b?= c", strings.Repeat("ü", 200)} {
		enc := EncodeText(s)
		if got := DecodeText(enc); got != s {
			t.Errorf("%q -> %q -> %q", s, enc, got)
		}
		if !isPlain(enc) {
			t.Errorf("%q is not ASCII", enc)
		}
		if got, err := new(mime.WordDecoder).DecodeHeader(enc); err != nil || got != s {
			t.Errorf("the standard library reads %q as %q, %v", enc, got, err)
		}
	}
}

func TestTransfer(t *testing.T) {
	for _, c := range []struct{ enc, in, want string }{
		{"base64", "aGVs\r\nbG8=", "hello"},
		{"base64", "aGVsbG8", "hello"},
		{"base64", "aGV*s bG8=\r\naGVsbG8=", "hellohello"},
		{"BASE64", "", ""},
		{"quoted-printable", "a=3D=C3=BC=\r\nb  \r\nc =\n\td", "a=ü" + "b\r\nc \td"},
		{"quoted-printable", "100=% =zz = x=", "100=% =zz = x"},
		{"quoted-printable", "soft=  \r\nbreak", "softbreak"},
		{"quoted-printable", "a=4", "a=4"},
		{"8bit", "\xff", "\xff"},
		{"x-unknown", "=41", "=41"},
	} {
		for _, r := range []io.Reader{strings.NewReader(c.in), iotest.OneByteReader(strings.NewReader(c.in))} {
			got, err := io.ReadAll(NewTransferReader(c.enc, r))
			if err != nil || string(got) != c.want {
				t.Errorf("%s %q = %q, %v; want %q", c.enc, c.in, got, err, c.want)
			}
		}
	}
	if _, err := io.ReadAll(NewTransferReader("base64", iotest.ErrReader(io.ErrUnexpectedEOF))); err != io.ErrUnexpectedEOF {
		t.Errorf("a read error is lost: %v", err)
	}
}

func TestCharset(t *testing.T) {
	for _, c := range []struct{ charset, in, want string }{
		{"utf-8", "grün", "grün"},
		{"utf-8", "gr\xfcn", "grün"}, // mislabelled
		{"us-ascii", "grün", "grün"},
		{"iso-8859-1", "\x80 gr\xfcn", "€ grün"},
		{"windows-1251", "\xcf\xf0\xe8", "При"},
		{"koi8-r", "\xf0\xd2\xc9", "При"},
		{"utf-16le", "h\x00i\x00", "hi"},
		{"utf-7", "+AOk-t+AOk- 1+-1", "été 1+1"},
		{"utf-7", "+2DzfUg-", "🍒"},
		{"cp1252", "\x80", "€"},
		{"shift_jis", "\x82\xb1", "こ"},
		{"", "plain", "plain"},
	} {
		got, err := io.ReadAll(NewCharsetReader(c.charset, iotest.OneByteReader(strings.NewReader(c.in))))
		if err != nil || string(got) != c.want {
			t.Errorf("%s %q = %q, %v; want %q", c.charset, c.in, got, err, c.want)
		}
	}
}

func TestHTMLText(t *testing.T) {
	for in, want := range map[string]string{
		"<html><head><title>T</title><style>p>a{}</style></head><body><p>Hello &amp; <b>good</b>bye&nbsp;all</p>": "Hello & goodbye all",
		"a<!-- x > y -->b<!-->c":               "abc",
		"1 < 2 &unknown; &#228; &lt;b&gt; & c": "1 < 2 &unknown; ä <b> & c",
		"<script>if (a<b) '</p>'</script>x":    "x",
		`<a title="a > b" href='x>y'>link</a>`: "link",
		"<td>a</td><td>b</td>":                 "a b",
		"one<br>two<BR/>three":                 "one two three",
		"open <b":                              "open",
		"end &am":                              "end &am",
		strings.Repeat("<", 1000) + "x":        strings.Repeat("<", 99),
	} {
		got, err := io.ReadAll(NewHTMLTextReader(strings.NewReader(in)))
		if s := squeeze(got, 99); err != nil || strings.TrimSpace(s) != want {
			t.Errorf("%q = %q, %v; want %q", in, s, err, want)
		}
	}
}

func TestPreview(t *testing.T) {
	for _, c := range []struct{ name, in, want string }{
		{"plain", "Subject: x\n\n  Hello,\r\n\r\n\tworld ", "Hello, world"},
		{"cut", "\n" + strings.Repeat("ü", 100), strings.Repeat("ü", 20)},
		{"html only", "Content-Type: text/html; charset=iso-8859-1\nContent-Transfer-Encoding: quoted-printable\n\n<p>f=FCr=\n dich", "für dich"},
		{"base64", "Content-Transfer-Encoding: base64\n\naGVs\nbG8=\n", "hello"},
		{"alternative", "Content-Type: multipart/alternative; boundary=b\n\n--b\n\nplain text\n--b\nContent-Type: text/html\n\n<b>html</b>\n--b--", "plain text"},
		{"empty plain", "Content-Type: multipart/alternative; boundary=b\n\n--b\n\n\n--b\nContent-Type: text/html\n\n<b>html</b>\n--b--", "html"},
		{"attachment first", "Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Disposition: attachment\n\nfile\n--b\n\ntext\n--b--", "text"},
		{"no text", "Content-Type: image/png\n\nx", ""},
	} {
		var p Parser
		p.Write([]byte(c.in))
		s := p.Close()
		if got := p.Preview(20); got != c.want {
			t.Errorf("%s: the parser's preview is %q, want %q", c.name, got, c.want)
		}
		if got := Preview(bytes.NewReader([]byte(c.in)), s, 20); got != c.want {
			t.Errorf("%s: preview is %q, want %q", c.name, got, c.want)
		}
	}
}
