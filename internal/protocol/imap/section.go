package imap

import (
	"fmt"
	"io"
	"strings"

	"rialto/internal/message"
	"rialto/internal/store"
	wire "rialto/internal/wire/imap"
)

// fetchBody writes the data items that need the structure or the octets.
func (s *session) fetchBody(w *wire.Writer, r *fetchRow, it *wire.FetchItem) error {
	switch it.Kind {
	case wire.FetchBody, wire.FetchBodyStructure:
		st, err := r.structure()
		if err != nil {
			st = emptyStructure() // damaged: the message can still be read whole
		}
		w.Label(*it)
		w.SP()
		writeStructure(w, st.Root, it.Kind == wire.FetchBodyStructure)
		return nil
	case wire.FetchSection, wire.FetchRFC822, wire.FetchRFC822Header, wire.FetchRFC822Text:
	default:
		return fmt.Errorf("%w: data item %d", errBroken, it.Kind)
	}
	w.Label(*it)
	w.SP()
	sec := it.Section
	switch it.Kind {
	case wire.FetchRFC822Header:
		sec.Specifier = "HEADER"
	case wire.FetchRFC822Text:
		sec.Specifier = "TEXT"
	}
	if r.body == nil {
		w.Nil()
		return nil
	}
	if err := writeSection(w, r, sec, it.Partial); err != nil {
		return fmt.Errorf("%w: %w", errBroken, err)
	}
	return nil
}

// extent is a range of a message's octets, trace headers included.
type extent struct{ from, to int64 }

// writeSection writes a section as a literal, NIL if the message has none such.
func writeSection(w *wire.Writer, r *fetchRow, sec wire.Section, part *wire.Partial) error {
	e, found, err := r.locate(sec)
	if err != nil {
		return err
	}
	if !found {
		w.Nil()
		return nil
	}
	if strings.HasPrefix(sec.Specifier, "HEADER.FIELDS") {
		b, err := r.fields(e, sec)
		if err != nil {
			return err
		}
		lo, hi := cut(int64(len(b)), part)
		w.LiteralHeader(hi - lo)
		_, err = w.Write(b[lo:hi])
		return err
	}
	lo, hi := cut(e.to-e.from, part)
	w.LiteralHeader(hi - lo)
	if hi == lo {
		return w.Err()
	}
	return r.body.WriteRange(w, e.from+lo, hi-lo)
}

// cut applies a partial to a length.
func cut(n int64, p *wire.Partial) (lo, hi int64) {
	if p == nil {
		return 0, n
	}
	lo = min(int64(p.Offset), n)
	return lo, min(lo+int64(p.Count), n)
}

// locate finds where a section's octets are. The whole message needs no
// structure.
func (r *fetchRow) locate(sec wire.Section) (e extent, found bool, err error) {
	size, trace := r.body.Size(), r.body.TraceSize()
	if len(sec.Part) == 0 && sec.Specifier == "" {
		return extent{0, size}, true, nil
	}
	if len(sec.Part) == 0 {
		end := int64(0)
		if r.stream != nil && len(r.stream.Structure) > 0 {
			if end, err = message.HeaderEnd(r.stream.Structure); err != nil {
				return e, false, err
			}
		}
		body := min(trace+end, size)
		if sec.Specifier == "TEXT" {
			return extent{body, size}, true, nil
		}
		return extent{0, body}, true, nil
	}
	st, err := r.structure()
	if err != nil {
		return e, false, err
	}
	p := st.Find(sec.Part)
	if p == nil {
		return e, false, nil
	}
	switch sec.Specifier {
	case "":
		e = extent{p.BodyStart, p.BodyEnd}
	case "MIME":
		e = extent{p.HeaderStart, p.BodyStart}
	default: // of a message within
		if !p.IsMessage() {
			return e, false, nil
		}
		inner := p.Children[0]
		e = extent{inner.HeaderStart, inner.BodyStart}
		if sec.Specifier == "TEXT" {
			e = extent{inner.BodyStart, inner.BodyEnd}
		}
	}
	e.from, e.to = e.from+trace, e.to+trace
	if p == st.Root && sec.Specifier == "MIME" {
		e.from = 0
	}
	return e, e.to <= size, nil
}

// fields returns the header fields a section names, or all but those, and the
// empty line (RFC 9051 6.4.5.1).
func (r *fetchRow) fields(e extent, sec wire.Section) ([]byte, error) {
	h, err := readHeader(r.body, e)
	if err != nil {
		return nil, err
	}
	not := sec.Specifier == "HEADER.FIELDS.NOT"
	out := make([]byte, 0, min(len(h), 1024))
	for f := range h.Fields() {
		named := false
		for _, n := range sec.Fields {
			if f.Is(n) {
				named = true
				break
			}
		}
		if named == not {
			continue
		}
		out = append(out, f.Raw...)
		if !strings.HasSuffix(f.Raw, "\n") {
			out = append(out, "\r\n"...)
		}
	}
	return append(out, "\r\n"...), nil
}

// readHeader reads the header in an extent, at most as much of it as was parsed.
func readHeader(body *store.Body, e extent) (message.Header, error) {
	n := min(e.to-e.from, message.MaxHeaderBytes)
	var b strings.Builder
	b.Grow(int(n))
	if err := body.WriteRange(&b, e.from, n); err != nil {
		return "", err
	}
	if int64(b.Len()) < n {
		return "", io.ErrUnexpectedEOF
	}
	return message.Header(b.String()), nil
}
