package message

import (
	"encoding/binary"
	"errors"

	"rialto/internal/model"
)

// The stored form of a Structure. Version 1:
//
//	version byte, flags byte (1: truncated), size uvarint, root part
//	part:     start delta from the parent's body or the previous sibling's end,
//	          header length, body length, lines (uvarints); mask uvarint of the
//	          optional fields; type, subtype, encoding; the fields in mask order;
//	          number of children, children
//	string:   uvarint n<<1 and n bytes, or uvarint i<<1|1 for words[i]
//	address:  kind<<1|hasRoute, name, [route], local, host
const binaryVersion = 1

// wordList are the strings that nearly every message has. The list belongs to
// the stored format: append only.
func wordList() *[60]string { return &storedWords }

// storedWords is never written to.
var storedWords = [60]string{
	"", "text", "plain", "html", "multipart", "alternative", "mixed", "related", "report", "signed",
	"message", "rfc822", "delivery-status", "image", "jpeg", "png", "gif", "application", "octet-stream",
	"pdf", "7bit", "8bit", "base64", "quoted-printable", "binary", "charset", "utf-8", "UTF-8", "us-ascii",
	"iso-8859-1", "ISO-8859-1", "windows-1252", "Windows-1252", "boundary", "format", "flowed", "name",
	"filename", "inline", "attachment", "type", "micalg", "protocol", "delsp", "yes", "calendar", "method",
	"REQUEST", "ms-tnef", "rfc822-headers", "disposition-notification", "report-type",
	"vnd.openxmlformats-officedocument.wordprocessingml.document",
	"vnd.openxmlformats-officedocument.spreadsheetml.sheet", "zip", "csv", "xml", "size", "US-ASCII", "global",
}

// wordIndex returns the index of s in wordList, -1 if it is none.
func wordIndex(words *[60]string, s string) int {
	if len(s) > 60 {
		return -1
	}
	for i, w := range words {
		if len(w) == len(s) && w == s {
			return i
		}
	}
	return -1
}

// The optional fields of a part, by bit.
const (
	hasParams = 1 << iota
	hasID
	hasDescription
	hasMD5
	hasDisposition
	hasLanguage
	hasLocation
	hasEnvelope
)

type encoder struct {
	b     []byte
	words *[60]string
}

// AppendBinary appends the stored form of s to b.
func (s *Structure) AppendBinary(b []byte) []byte {
	e := encoder{b: append(b, binaryVersion), words: wordList()}
	var flags byte
	if s.Truncated {
		flags |= 1
	}
	e.b = append(e.b, flags)
	e.num(s.Size)
	e.part(s.Root, 0)
	return e.b
}

func (e *encoder) num(n int64) { e.b = binary.AppendUvarint(e.b, uint64(n)) }

func (e *encoder) str(s string) {
	if i := wordIndex(e.words, s); i >= 0 {
		e.num(int64(i)<<1 | 1)
		return
	}
	e.num(int64(len(s)) << 1)
	e.b = append(e.b, s...)
}

func (e *encoder) strs(ss []string) {
	e.num(int64(len(ss)))
	for _, s := range ss {
		e.str(s)
	}
}

func (e *encoder) params(ps []Param) {
	e.num(int64(len(ps)))
	for _, p := range ps {
		e.str(p.Name)
		e.str(p.Value)
	}
}

func (p *Part) mask() int64 {
	var m int64
	set := func(bit int64, has bool) {
		if has {
			m |= bit
		}
	}
	set(hasParams, len(p.Params) > 0)
	set(hasID, p.ID != "")
	set(hasDescription, p.Description != "")
	set(hasMD5, p.MD5 != "")
	set(hasDisposition, p.Disposition != "" || len(p.DispositionParams) > 0)
	set(hasLanguage, len(p.Language) > 0)
	set(hasLocation, p.Location != "")
	set(hasEnvelope, p.Envelope != nil)
	return m
}

// part writes p; its offsets are relative to base.
func (e *encoder) part(p *Part, base int64) {
	e.num(p.HeaderStart - base)
	e.num(p.BodyStart - p.HeaderStart)
	e.num(p.BodyEnd - p.BodyStart)
	e.num(p.Lines)
	m := p.mask()
	e.num(m)
	e.str(p.Type)
	e.str(p.Subtype)
	e.str(p.Encoding)
	if m&hasParams != 0 {
		e.params(p.Params)
	}
	if m&hasID != 0 {
		e.str(p.ID)
	}
	if m&hasDescription != 0 {
		e.str(p.Description)
	}
	if m&hasMD5 != 0 {
		e.str(p.MD5)
	}
	if m&hasDisposition != 0 {
		e.str(p.Disposition)
		e.params(p.DispositionParams)
	}
	if m&hasLanguage != 0 {
		e.strs(p.Language)
	}
	if m&hasLocation != 0 {
		e.str(p.Location)
	}
	if m&hasEnvelope != 0 {
		e.envelope(p.Envelope)
	}
	e.num(int64(len(p.Children)))
	base = p.BodyStart
	for _, c := range p.Children {
		e.part(c, base)
		base = c.BodyEnd
	}
}

func (e *encoder) envelope(v *Envelope) {
	e.b = append(e.b, byte(v.Has))
	for _, s := range v.texts() {
		if v.Has&s.bit != 0 {
			e.str(*s.text)
		}
	}
	for _, l := range v.lists() {
		e.num(int64(len(*l)))
		for _, a := range *l {
			k := int64(a.Kind) << 1
			if a.Route != "" {
				k |= 1
			}
			e.num(k)
			e.str(a.Name)
			if a.Route != "" {
				e.str(a.Route)
			}
			e.str(a.Local)
			e.str(a.Host)
		}
	}
	e.strs(v.References)
}

type envelopeText struct {
	bit  Present
	text *string
}

func (e *Envelope) texts() [4]envelopeText {
	return [4]envelopeText{{HasDate, &e.Date}, {HasSubject, &e.Subject},
		{HasInReplyTo, &e.InReplyTo}, {HasMessageID, &e.MessageID}}
}

func (e *Envelope) lists() [6]*[]Address {
	return [6]*[]Address{&e.From, &e.Sender, &e.ReplyTo, &e.To, &e.Cc, &e.Bcc}
}

var errCorrupt = errors.New("message: stored structure is damaged")

// HeaderEnd returns where the header of the message ends whose stored structure
// is b: BodyStart of its root, without decoding the rest. Damage is told as by
// DecodeStructure, as far as it is seen.
func HeaderEnd(b []byte) (int64, error) {
	if len(b) < 2 || b[0] != binaryVersion {
		_, err := DecodeStructure(b)
		return 0, err
	}
	at, failed := b[2:], false
	next := func() int64 {
		n, k := binary.Uvarint(at)
		if failed = failed || k <= 0 || n > 1<<62; failed {
			return 0
		}
		at = at[k:]
		return int64(n)
	}
	size, start, length := next(), next(), next()
	if failed || start > size || length > size-start {
		return 0, model.E("message.decode", model.KindCorrupt, "", errCorrupt)
	}
	return start + length, nil
}

// DecodeStructure reads what AppendBinary wrote. Its strings share one copy of
// b. Damaged bytes are a KindCorrupt error; a version from the future is
// KindUnsupported. Memory is bounded by a multiple of len(b).
func DecodeStructure(b []byte) (*Structure, error) {
	const op = "message.decode"
	if len(b) < 2 {
		return nil, model.E(op, model.KindCorrupt, "", errCorrupt)
	}
	if b[0] != binaryVersion {
		return nil, model.E(op, model.KindUnsupported, "structure version", nil)
	}
	d := decoder{s: string(b), i: 2, words: wordList()}
	s := &Structure{Truncated: b[1]&1 != 0}
	s.Size = d.num()
	s.Root = d.part(0, s.Size, 0)
	if d.bad || d.i != len(d.s) || s.Root.BodyEnd > s.Size {
		return nil, model.E(op, model.KindCorrupt, "", errCorrupt)
	}
	return s, nil
}
