package message

import (
	"bufio"
	"bytes"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/wlynxg/chardet"
	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/htmlindex"
	"golang.org/x/text/encoding/ianaindex"
	"golang.org/x/text/transform"
)

// sniffBytes is how much of a text is looked at to guess its charset.
const sniffBytes = 4 << 10

// minHigh is the number of 8-bit bytes below which the detector only invents.
const minHigh = 4

// NewCharsetReader returns r's text in UTF-8. An unknown or absent charset, and
// one that the text contradicts, is guessed from the first bytes.
func NewCharsetReader(charset string, r io.Reader) io.Reader {
	charset = lower(strings.Trim(charset, " \t\"'"))
	if isUTF7(charset) {
		return newFilterReader(r, &utf7Filter{})
	}
	br := bufio.NewReaderSize(r, sniffBytes)
	head, _ := br.Peek(sniffBytes)
	if enc := findEncoding(charset, head); enc != nil {
		return transform.NewReader(br, enc.NewDecoder())
	}
	return newFilterReader(br, &utf8Filter{})
}

// decodeBytes returns b in UTF-8.
func decodeBytes(charset string, b []byte) string {
	if isUTF7(charset) {
		var u utf7Filter
		return string(u.finish(u.feed(nil, b)))
	}
	enc := findEncoding(charset, b)
	if enc == nil {
		return strings.ToValidUTF8(string(b), "\uFFFD")
	}
	out, err := enc.NewDecoder().Bytes(b)
	if err != nil {
		return strings.ToValidUTF8(string(b), "\uFFFD")
	}
	return string(out)
}

func isUTF7(charset string) bool {
	return charset == "utf-7" || charset == "unicode-1-1-utf-7" || charset == "x-unicode-2-0-utf-7"
}

// findEncoding returns the encoding of a text labelled charset that begins with
// head; nil means UTF-8.
func findEncoding(charset string, head []byte) encoding.Encoding {
	if enc := namedEncoding(charset); enc != nil {
		return enc
	}
	return guess(head)
}

// namedEncoding returns the encoding called charset (lower case). It is nil for
// UTF-8, ASCII and unknown names: for these the bytes decide.
func namedEncoding(charset string) encoding.Encoding {
	switch charset {
	case "", "us-ascii", "ascii", "ansi_x3.4-1968", "utf-8", "utf8", "unknown-8bit", "x-unknown", "unknown", "default":
		return nil
	case "cp-850", "ibm850", "cp850":
		return charmap.CodePage850
	case "cp437", "ibm437":
		return charmap.CodePage437
	case "ks_c_5601-1987", "ks_c_5601":
		charset = "euc-kr"
	case "gb2312", "gb_2312-80", "gbk", "cp936", "x-gbk":
		charset = "gb18030" // the superset: senders use its characters under the older names
	}
	if enc, err := htmlindex.Get(charset); err == nil {
		if name, _ := htmlindex.Name(enc); name == "replacement" || name == "utf-8" {
			return nil
		}
		return enc
	}
	if strings.HasPrefix(charset, "cp") {
		if enc, err := htmlindex.Get("windows-" + strings.TrimPrefix(charset[2:], "-")); err == nil {
			return enc
		}
	}
	if enc, err := ianaindex.MIME.Encoding(charset); err == nil {
		return enc // nil for names that are known and not supported
	}
	return nil
}

// guess looks at the bytes. What is valid UTF-8, up to a character cut at the
// end, is UTF-8; else the detector decides, and windows-1252 where it cannot.
func guess(head []byte) encoding.Encoding {
	if len(head) < sniffBytes { // the whole text
		if utf8.Valid(head) {
			return nil
		}
	} else if head = head[:sniffBytes]; validPrefix(head) {
		return nil
	}
	high := 0
	for _, c := range head {
		if c >= utf8.RuneSelf {
			high++
		}
	}
	if high < minHigh {
		return charmap.Windows1252
	}
	r := chardet.Detect(head)
	enc, err := htmlindex.Get(lower(r.Encoding))
	if err != nil || r.Confidence < 0.5 {
		return charmap.Windows1252
	}
	name, _ := htmlindex.Name(enc)
	text, err := enc.NewDecoder().Bytes(head)
	if err != nil || name == "replacement" || name == "utf-8" || bytes.Contains(text[:max(0, len(text)-3)], []byte("\uFFFD")) {
		return charmap.Windows1252
	}
	return enc
}

// validPrefix reports whether b is UTF-8 but for a character cut at its end.
func validPrefix(b []byte) bool {
	for len(b) > 0 {
		if b[0] < utf8.RuneSelf {
			b = b[1:]
			continue
		}
		r, n := utf8.DecodeRune(b)
		if r == utf8.RuneError && n == 1 {
			return !utf8.FullRune(b)
		}
		b = b[n:]
	}
	return true
}
