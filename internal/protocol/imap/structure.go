package imap

import (
	"rialto/internal/message"
	wire "rialto/internal/wire/imap"
)

// writeStructure writes a part as BODY, or with extension data as BODYSTRUCTURE
// (RFC 9051 7.5.2).
func writeStructure(w *wire.Writer, p *message.Part, extended bool) {
	switch {
	case p.IsMultipart():
		writeMultipart(w, p, extended)
	default:
		writeSinglePart(w, p, extended)
	}
}

func writeMultipart(w *wire.Writer, p *message.Part, extended bool) {
	w.Byte('(')
	for _, c := range p.Children {
		writeStructure(w, c, extended)
	}
	if len(p.Children) == 0 { // the grammar wants one
		w.Raw(`("text" "plain" NIL NIL NIL "7bit" 0 0)`)
	}
	w.SP()
	w.String(p.Subtype)
	if extended {
		w.SP()
		writeParams(w, p.Params)
		writeExtension(w, p)
	}
	w.Byte(')')
}

func writeSinglePart(w *wire.Writer, p *message.Part, extended bool) {
	w.Byte('(')
	w.String(p.Type)
	w.SP()
	w.String(p.Subtype)
	w.SP()
	writeParams(w, p.Params)
	w.SP()
	w.NString(p.ID, p.ID != "")
	w.SP()
	w.NString(p.Description, p.Description != "")
	w.SP()
	w.String(p.Encoding)
	w.SP()
	w.Number(uint64(p.Size()))
	switch {
	case p.IsMessage():
		inner := p.Children[0]
		env := inner.Envelope
		if env == nil {
			env = &message.Envelope{}
		}
		w.SP()
		writeEnvelope(w, env)
		w.SP()
		writeStructure(w, inner, extended)
		w.SP()
		w.Number(uint64(p.Lines))
	case p.Type == "message" && (p.Subtype == "rfc822" || p.Subtype == "global"): // beyond a limit of the parser
		w.Raw(` (NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL) ("text" "plain" NIL NIL NIL "7bit" 0 0) `)
		w.Number(uint64(p.Lines))
	case p.Type == "text":
		w.SP()
		w.Number(uint64(p.Lines))
	}
	if extended {
		w.SP()
		w.NString(p.MD5, p.MD5 != "")
		writeExtension(w, p)
	}
	w.Byte(')')
}

// writeExtension writes disposition, language and location.
func writeExtension(w *wire.Writer, p *message.Part) {
	w.SP()
	if p.Disposition == "" {
		w.Nil()
	} else {
		w.Byte('(')
		w.String(p.Disposition)
		w.SP()
		writeParams(w, p.DispositionParams)
		w.Byte(')')
	}
	w.SP()
	switch len(p.Language) {
	case 0:
		w.Nil()
	case 1:
		w.String(p.Language[0])
	default:
		w.Byte('(')
		for i, l := range p.Language {
			if i > 0 {
				w.SP()
			}
			w.String(l)
		}
		w.Byte(')')
	}
	w.SP()
	w.NString(p.Location, p.Location != "")
}

func writeParams(w *wire.Writer, ps []message.Param) {
	if len(ps) == 0 {
		w.Nil()
		return
	}
	w.Byte('(')
	for i, p := range ps {
		if i > 0 {
			w.SP()
		}
		name, value := p.Wire()
		w.String(name)
		w.SP()
		w.String(value)
	}
	w.Byte(')')
}
