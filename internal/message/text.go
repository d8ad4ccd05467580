package message

import (
	"bytes"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxCapture bounds what a Parser keeps of a text for Preview. HTML begins with
// a style sheet more often than not.
const (
	maxCapturePlain = 2 << 10
	maxCaptureHTML  = 16 << 10
)

// RawReader returns the bytes of a part's body as transferred. r holds the whole
// message.
func RawReader(r io.ReaderAt, p *Part) *io.SectionReader {
	return io.NewSectionReader(r, p.BodyStart, p.Size())
}

// BodyReader returns a part's body with its transfer encoding undone.
func BodyReader(r io.ReaderAt, p *Part) io.Reader {
	return NewTransferReader(p.Encoding, RawReader(r, p))
}

// TextReader returns a text part's body in UTF-8: transfer encoding and charset
// undone; HTML stays HTML.
func TextReader(r io.ReaderAt, p *Part) io.Reader {
	return NewCharsetReader(p.Param("charset"), BodyReader(r, p))
}

// PlainReader is TextReader with HTML stripped: what search reads.
func PlainReader(r io.ReaderAt, p *Part) io.Reader {
	t := TextReader(r, p)
	if p.Subtype == "html" {
		return NewHTMLTextReader(t)
	}
	return t
}

// MainText returns the part that shows the message's text: the first text/plain
// that is no attachment, else the first text/html, else any other text; nil if
// there is none. Messages inside the message are not looked into.
func (s *Structure) MainText() *Part {
	var plain, htm, other *Part
	var visit func(p *Part)
	visit = func(p *Part) {
		switch {
		case p.IsMultipart() && len(p.Children) == 0:
			first(&other, p) // boundary unknown: its body is readable as text
		case p.IsMultipart():
			for _, c := range p.Children {
				visit(c)
			}
		case p.Type != "text" || p.Disposition == "attachment":
		case p.Subtype == "plain":
			first(&plain, p)
		case p.Subtype == "html":
			first(&htm, p)
		default:
			first(&other, p)
		}
	}
	visit(s.Root)
	switch {
	case plain != nil && plain.Size() > 2:
		return plain
	case htm != nil:
		return htm
	case plain != nil:
		return plain
	}
	return other
}

func first(dst **Part, p *Part) {
	if *dst == nil {
		*dst = p
	}
}

// Preview returns the first n characters of the message's text on one line. r
// holds the whole message.
func Preview(r io.ReaderAt, s *Structure, n int) string {
	p := s.MainText()
	if p == nil {
		return ""
	}
	limit := int64(maxCaptureHTML)
	t := PlainReader(io.NewSectionReader(r, 0, min(s.Size, p.BodyStart+4*limit)), p)
	b, _ := io.ReadAll(io.LimitReader(t, limit)) // a short read shows a short preview
	return squeeze(b, n)
}

// Preview is the package's Preview from what the parser saw of the text, at most
// a few KB; valid after Close.
func (p *Parser) Preview(n int) string {
	c := &p.plain
	if p.root == nil {
		return ""
	}
	if c.part == nil || len(bytes.TrimSpace(c.buf)) == 0 {
		c = &p.html
	}
	if c.part == nil {
		return ""
	}
	b := c.buf
	if f := transferFilter(c.part.Encoding); f != nil {
		b = f.finish(f.feed(nil, b))
	}
	t := NewCharsetReader(c.part.Param("charset"), bytes.NewReader(b))
	if c.part.Subtype == "html" {
		t = NewHTMLTextReader(t)
	}
	out, _ := io.ReadAll(t) // reading from memory cannot fail
	return squeeze(out, n)
}

// watch starts to keep the text of part if it is the first of its kind.
func (p *Parser) watch(part *Part) {
	if part.Disposition == "attachment" {
		return
	}
	for i := range p.frames { // not inside an attached message
		if p.frames[i].part.Type == "message" {
			return
		}
	}
	switch {
	case part.Subtype == "plain" && p.plain.part == nil:
		p.plain.part = part
	case part.Subtype == "html" && p.html.part == nil:
		p.html.part = part
	}
}

// capture keeps a line of a watched text.
func (p *Parser) capture(line []byte) {
	c, limit := &p.plain, maxCapturePlain
	switch p.frames[len(p.frames)-1].part {
	case p.plain.part:
	case p.html.part:
		c, limit = &p.html, maxCaptureHTML
	default:
		return
	}
	if c.full {
		return
	}
	if len(line) >= maxBodyLine { // the rest may be lost: keep nothing after a gap
		line, c.full = line[:maxBodyLine], true
	}
	if room := limit - len(c.buf); len(line) > room {
		line = line[:max(room, 0)]
	}
	c.buf = append(c.buf, line...)
}

// squeeze puts text on one line of at most n characters.
func squeeze(b []byte, n int) string {
	var out strings.Builder
	count, space := 0, false
	for len(b) > 0 && count < n {
		r, size := utf8.DecodeRune(b)
		b = b[size:]
		switch {
		case unicode.IsSpace(r):
			space = count > 0
			continue
		case unicode.IsControl(r) || r == '\u200b' || r == '\u200c' || r == '\ufeff' || r == '\u034f':
			continue
		}
		if space {
			if count++; count >= n {
				break
			}
			out.WriteByte(' ')
			space = false
		}
		out.WriteRune(r)
		count++
	}
	return out.String()
}
