package message

import (
	"bytes"
	"encoding/base64"
	"mime/quotedprintable"
	"strings"
	"time"
	"unicode/utf8"
)

const foldColumn = 76

// Builder writes a message: header fields folded, CRLF, text in encoded words
// where it is not ASCII. It decides nothing by clock or chance: date, message id
// and boundaries are the caller's, so the same calls give the same bytes. The
// order is fields, then one of Text, Base64, Raw or a multipart: Multipart, then
// for each part Part, fields and a body, at last End. Newlines in values
// become spaces, so no value can smuggle in a field.
type Builder struct {
	buf  []byte
	open []string // boundaries
}

// Bytes returns the message; it shares the Builder's memory.
func (b *Builder) Bytes() []byte { return b.buf }

// Field adds an unstructured field. value is UTF-8.
func (b *Builder) Field(name, value string) { b.fold(name, EncodeText(cleanText(value))) }

// RawField adds a field whose value is in wire form already; it is folded at spaces.
func (b *Builder) RawField(name, value string) { b.fold(name, cleanText(value)) }

// Date adds a Date field (RFC 5322 3.3) in the zone of t.
func (b *Builder) Date(t time.Time) { b.RawField("Date", FormatDate(t)) }

// FormatDate returns t as a Date field shows it.
func FormatDate(t time.Time) string { return t.Format("Mon, 02 Jan 2006 15:04:05 -0700") }

// MessageID adds a Message-ID field; id comes without angle brackets.
func (b *Builder) MessageID(id string) { b.RawField("Message-ID", "<"+id+">") }

// Addresses adds an address field; nothing if there are no addresses. Names are UTF-8.
func (b *Builder) Addresses(name string, as ...Address) {
	if len(as) == 0 {
		return
	}
	var v strings.Builder
	for i, a := range as {
		if i > 0 && a.Kind != GroupEnd && as[i-1].Kind != GroupStart {
			v.WriteString(", ")
		}
		if i > 0 && as[i-1].Kind == GroupStart {
			v.WriteByte(' ')
		}
		v.WriteString(a.String())
	}
	b.fold(name, v.String())
}

// String returns the address in wire form, its name in encoded words where it
// is not ASCII.
func (a Address) String() string {
	switch a.Kind {
	case GroupStart:
		return encodePhrase(a.Local) + ":"
	case GroupEnd:
		return ";"
	}
	spec := quoteLocal(a.Local)
	if a.Host != "" {
		spec += "@" + cleanText(a.Host)
	}
	if a.Name == "" {
		return spec
	}
	return encodePhrase(a.Name) + " <" + spec + ">"
}

func encodePhrase(s string) string {
	s = cleanText(s)
	if !isPlain(s) || strings.Contains(s, "=?") {
		// Not Q: most punctuation may not stand in a phrase (RFC 2047 5).
		return encodeB(s)
	}
	for i := 0; i < len(s); i++ {
		if c := s[i]; c != ' ' && !isAtom(c) {
			return quote(s)
		}
	}
	return s
}

func quoteLocal(s string) string {
	s = cleanText(s)
	for i := 0; i < len(s); i++ {
		if c := s[i]; !isAtom(c) && c != '.' {
			return quote(s)
		}
	}
	if s == "" {
		return `""`
	}
	return s
}

func isAtom(c byte) bool {
	return c > ' ' && c != 0x7f && strings.IndexByte("()<>[]:;@\\,.\"", c) < 0
}

func quote(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}

// fold writes a field, breaking at spaces so that lines stay within 76 columns
// where that is possible (RFC 5322 2.1.1).
func (b *Builder) fold(name, value string) {
	b.buf = append(b.buf, name...)
	b.buf = append(b.buf, ':')
	col := len(name) + 1
	for i, w := range strings.Split(strings.Trim(value, " "), " ") {
		// A line must not be of spaces alone, so an empty word never breaks. The
		// first word only does where it is an encoded one (RFC 2047 2).
		if w != "" && col+1+len(w) > foldColumn && (i > 0 || strings.HasPrefix(w, "=?")) {
			b.buf = append(b.buf, "\r\n"...)
			col = 0
		}
		b.buf = append(b.buf, ' ')
		b.buf = append(b.buf, w...)
		col += 1 + len(w)
	}
	b.buf = append(b.buf, "\r\n"...)
}

// ContentType adds Content-Type with its parameters, long ones in RFC 2231 form
// where they are not ASCII.
func (b *Builder) ContentType(media string, ps ...Param) {
	b.RawField("Content-Type", media+formatParams(ps))
}

// Disposition adds Content-Disposition.
func (b *Builder) Disposition(kind string, ps ...Param) {
	b.RawField("Content-Disposition", kind+formatParams(ps))
}

func formatParams(ps []Param) string {
	var s strings.Builder
	for _, p := range ps {
		name, value := p.Wire()
		s.WriteString("; " + name + "=")
		if name == p.Name && (value == "" || firstToken(value) != value) {
			value = quote(value)
		}
		s.WriteString(value)
	}
	return s.String()
}

// Multipart adds MIME-Version at the top level and the Content-Type of a
// multipart, and begins it. The boundary must not occur in the parts.
func (b *Builder) Multipart(subtype, boundary string, ps ...Param) {
	if len(b.open) == 0 {
		b.RawField("MIME-Version", "1.0")
	}
	b.ContentType("multipart/"+subtype, append(ps[:len(ps):len(ps)], Param{"boundary", boundary})...)
	b.buf = append(b.buf, "\r\n"...)
	b.open = append(b.open, boundary)
}

// Part begins the next part of the innermost multipart.
func (b *Builder) Part() { b.delimiter("") }

// End ends the innermost multipart.
func (b *Builder) End() {
	b.delimiter("--")
	b.open = b.open[:max(0, len(b.open)-1)]
}

func (b *Builder) delimiter(suffix string) {
	if len(b.open) == 0 {
		return
	}
	if !bytes.HasSuffix(b.buf, []byte("\r\n\r\n")) {
		b.buf = append(b.buf, "\r\n"...)
	}
	b.buf = append(b.buf, "--"+b.open[len(b.open)-1]+suffix+"\r\n"...)
}

// Text ends the header and adds a text body. media is "text/plain" or another
// text type; the encoding is chosen by what the text needs.
func (b *Builder) Text(media, text string) {
	if len(b.open) == 0 {
		b.RawField("MIME-Version", "1.0")
	}
	text = crlf(text)
	if isTextPlain(text) {
		b.ContentType(media, Param{"charset", "us-ascii"})
		b.RawField("Content-Transfer-Encoding", "7bit")
		b.Raw([]byte(text))
		return
	}
	if !utf8.ValidString(text) {
		text = decodeBytes("", []byte(text))
	}
	b.ContentType(media, Param{"charset", "utf-8"})
	b.RawField("Content-Transfer-Encoding", "quoted-printable")
	b.buf = append(b.buf, "\r\n"...)
	var out bytes.Buffer
	w := quotedprintable.NewWriter(&out)
	w.Write([]byte(text)) // writing to memory cannot fail
	w.Close()
	b.buf = append(b.buf, out.Bytes()...)
}

// Base64 ends the header and adds a body in base64.
func (b *Builder) Base64(body []byte) {
	b.RawField("Content-Transfer-Encoding", "base64")
	b.buf = append(b.buf, "\r\n"...)
	for len(body) > 0 {
		n := min(57, len(body))
		b.buf = base64.StdEncoding.AppendEncode(b.buf, body[:n])
		b.buf = append(b.buf, "\r\n"...)
		body = body[n:]
	}
}

// Raw ends the header and adds a body as it is.
func (b *Builder) Raw(body []byte) {
	b.buf = append(b.buf, "\r\n"...)
	b.buf = append(b.buf, body...)
}

// Status ends the header and adds groups of fields, as message/delivery-status
// and message/disposition-notification have them (RFC 3464 2.1): each group is
// followed by an empty line.
func (b *Builder) Status(groups ...[]Param) {
	b.buf = append(b.buf, "\r\n"...)
	for _, g := range groups {
		for _, f := range g {
			b.Field(f.Name, f.Value)
		}
		b.buf = append(b.buf, "\r\n"...)
	}
}

// crlf makes every newline CRLF.
func crlf(s string) string {
	s = strings.ReplaceAll(s, "\r\n", "\n")
	return strings.ReplaceAll(strings.ReplaceAll(s, "\r", "\n"), "\n", "\r\n")
}

// isTextPlain reports whether text may go as 7bit: ASCII in lines of at most
// 998 bytes. Lines that begin with "From " are encoded so that nothing escapes them.
func isTextPlain(text string) bool {
	for line := range strings.SplitSeq(text, "\r\n") {
		if len(line) > 998 || strings.HasPrefix(line, "From ") {
			return false
		}
		for i := 0; i < len(line); i++ {
			if c := line[i]; c >= 0x7f || c < ' ' && c != '\t' {
				return false
			}
		}
	}
	return true
}
