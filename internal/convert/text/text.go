// Package text takes the searchable text out of a MIME message: header, texts,
// file names and what is within attachments of common kinds (plain, HTML, Rich
// Text, Office Open XML, OpenDocument). Nothing it is given is an error; errors
// are those of reading.
//
// Memory and time are bounded by the limits below whatever the message is. What
// is left out of the header or the texts is told, so that a search knows where
// it has to look itself; what is left out of other attachments is not: no
// protocol promises to find it. PDF is left out.
package text

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"rialto/internal/message"
)

// Kind is where in a message a text stands.
type Kind byte

// The kinds, in the order in which they come.
const (
	Header     Kind = iota // one field, "Name: text", decoded
	Subject                // the rest of the header as the envelope has it
	From                   // one address, "Name <local@host>"
	To                     //
	Cc                     //
	Bcc                    //
	Body                   // one text part in UTF-8, HTML without tags
	Attachment             // a file name, or the text of an attachment
)

// Limits of one message.
const (
	maxHeader     = 40 << 10  // octets of header; envelopes of more may have been shortened
	maxBody       = 1 << 20   // octets of all texts
	maxParts      = 1000      // parts looked at
	maxAttachment = 16 << 20  // octets of an attachment that is opened
	maxExtracted  = 512 << 10 // octets of the text of all attachments
)

// Source is a message.
type Source struct {
	Trace     string             // header lines before the message
	Header    message.Header     // of the message; "" if there is none
	Structure *message.Structure // nil: only the header is known
	Content   io.ReaderAt        // what Structure describes
}

// Extractor takes texts out of messages. It is for one goroutine; its buffers
// are used again.
type Extractor struct {
	buf  []byte
	add  func(Kind, []byte)
	body int // octets still taken of texts
	rest int // and of attachments
}

// Message calls add for every text of a message; the slice is valid during the
// call. whole is false if a limit kept some of the header or the texts out.
func (x *Extractor) Message(ctx context.Context, src *Source, add func(k Kind, text []byte)) (whole bool, err error) {
	x.add, x.body, x.rest = add, maxBody, maxExtracted
	whole = x.header(src)
	if src.Structure == nil {
		return whole, nil
	}
	parts := 0
	src.Structure.Walk(func(p *message.Part, _ int) bool {
		if err = ctx.Err(); err != nil {
			return false
		}
		if parts++; parts > maxParts {
			whole = false
			return false
		}
		if p.Type == "text" || p.IsMultipart() && len(p.Children) == 0 {
			var all bool
			all, err = x.text(src.Content, p)
			whole = whole && all
		} else if !p.IsMultipart() && !p.IsMessage() && err == nil {
			err = x.attachment(ctx, src.Content, p)
		}
		if name := p.Filename(); name != "" {
			x.add(Attachment, []byte(name))
		}
		return err == nil
	})
	return whole, err
}

// header adds the fields, and what the envelope makes of them.
func (x *Extractor) header(src *Source) bool {
	if len(src.Trace)+len(src.Header) > maxHeader {
		return false
	}
	for f := range message.Header(src.Trace + string(src.Header)).Fields() {
		x.buf = append(append(x.buf[:0], f.Name...), ": "...)
		x.buf = append(x.buf, message.DecodeText(message.Unfold(f.Value))...)
		x.add(Header, x.buf)
	}
	if src.Header == "" {
		return true
	}
	env := message.ReadEnvelope(src.Header)
	if env.Has&message.HasSubject != 0 {
		x.add(Subject, []byte(message.DecodeText(env.Subject)))
	}
	for i, list := range [][]message.Address{env.From, env.To, env.Cc, env.Bcc} {
		for k := range list {
			x.buf = appendAddress(x.buf[:0], &list[k])
			x.add(From+Kind(i), x.buf)
		}
	}
	return true
}

// appendAddress writes an address as people read it.
func appendAddress(b []byte, a *message.Address) []byte {
	if a.Name != "" {
		b = append(append(b, message.DecodeText(a.Name)...), ' ')
	}
	b = append(append(b, '<'), a.Local...)
	if a.Host != "" {
		b = append(append(b, '@'), a.Host...)
	}
	return append(b, '>')
}

// text adds a text part, or the first of it.
func (x *Extractor) text(content io.ReaderAt, p *message.Part) (whole bool, err error) {
	n, plain, err := x.verbatim(content, p)
	if err == nil && !plain {
		n, err = x.read(message.PlainReader(content, p), x.body+1)
	}
	if err != nil {
		return false, err
	}
	if n > x.body {
		n, whole = x.body, false
	} else {
		whole = true
	}
	x.body -= n
	x.add(Body, x.buf[:n])
	return whole, nil
}

// verbatim reads a part whose octets are its text into buf, as most plain texts
// are: not encoded, and UTF-8 or ASCII. ok is false if it is another part, or one
// of more octets than are taken.
func (x *Extractor) verbatim(content io.ReaderAt, p *message.Part) (n int, ok bool, err error) {
	size := p.Size()
	switch strings.ToLower(p.Encoding) {
	case "base64", "quoted-printable":
		return 0, false, nil
	}
	charset := strings.ToLower(p.Param("charset"))
	ascii := strings.HasPrefix(charset, "iso-8859-") || strings.HasPrefix(charset, "windows-125")
	if !ascii && charset != "" && charset != "utf-8" && charset != "us-ascii" || p.Subtype == "html" || size < 0 || size > int64(x.body) {
		return 0, false, nil
	}
	x.buf = slices.Grow(x.buf[:0], int(size))[:size]
	n, err = content.ReadAt(x.buf, p.BodyStart)
	if err != nil && err != io.EOF {
		return 0, false, err
	}
	x.buf = x.buf[:n]
	return n, !ascii && utf8.Valid(x.buf) || ascii && isASCII(x.buf), nil
}

func isASCII(b []byte) bool {
	for len(b) >= 8 {
		if binary.LittleEndian.Uint64(b)&0x8080808080808080 != 0 {
			return false
		}
		b = b[8:]
	}
	for _, c := range b {
		if c >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// read reads at most limit octets into buf.
func (x *Extractor) read(r io.Reader, limit int) (int, error) {
	x.buf = x.buf[:0]
	for len(x.buf) < limit {
		if cap(x.buf) == len(x.buf) {
			x.buf = append(x.buf, make([]byte, max(8<<10, len(x.buf)))...)[:len(x.buf)]
		}
		n, err := r.Read(x.buf[len(x.buf):min(cap(x.buf), limit)])
		x.buf = x.buf[:len(x.buf)+n]
		if err == io.EOF {
			break
		}
		if err != nil {
			return 0, err
		}
	}
	return len(x.buf), nil
}

// attachment adds the text within an attachment of a kind that is known.
func (x *Extractor) attachment(ctx context.Context, content io.ReaderAt, p *message.Part) error {
	f := formatOf(p)
	if f == unknown || x.rest <= 0 || p.Size() > maxAttachment*3/2 {
		return nil
	}
	raw, err := io.ReadAll(io.LimitReader(message.BodyReader(content, p), maxAttachment+1))
	if err != nil || len(raw) > maxAttachment {
		return err
	}
	out := &limited{left: x.rest}
	switch f {
	case plain:
		out.copy(message.NewCharsetReader(p.Param("charset"), bytes.NewReader(raw)))
	case html:
		out.copy(message.NewHTMLTextReader(message.NewCharsetReader(p.Param("charset"), bytes.NewReader(raw))))
	case richText:
		rtf(out, raw)
	case officeXML, openDocument:
		archive(ctx, out, raw, f)
	}
	x.rest -= len(out.b)
	if len(out.b) > 0 {
		x.add(Attachment, out.b)
	}
	return ctx.Err()
}

// limited gathers text up to a limit.
type limited struct {
	b    []byte
	left int
}

func (l *limited) full() bool { return l.left <= 0 }

func (l *limited) write(s []byte) {
	s = s[:min(len(s), l.left)]
	l.b = append(l.b, s...)
	l.left -= len(s)
}

func (l *limited) copy(r io.Reader) {
	buf := make([]byte, 8<<10)
	for !l.full() {
		n, err := r.Read(buf)
		l.write(buf[:n])
		if err != nil {
			return // what was read is what there is
		}
	}
}
