package imap

import (
	"encoding/hex"

	"rialto/internal/mapi"
	"rialto/internal/message"
	"rialto/internal/store"
	wire "rialto/internal/wire/imap"
)

// properties takes out of a summary what PREVIEW and THREADID show.
func (r *fetchRow) properties(row *store.Row) error {
	props, err := row.Props()
	if err != nil {
		return err
	}
	r.preview = props.Text(mapi.TagPreview)
	r.thread = props.Binary(mapi.TagConversationID)
	return nil
}

// structure decodes the stored structure once. An item without one is shown as
// an empty text.
func (r *fetchRow) structure() (*message.Structure, error) {
	if r.parsed == nil && r.parseErr == nil {
		if r.stream == nil || len(r.stream.Structure) == 0 {
			r.parsed = emptyStructure()
		} else {
			r.parsed, r.parseErr = message.DecodeStructure(r.stream.Structure)
		}
	}
	return r.parsed, r.parseErr
}

func emptyStructure() *message.Structure {
	return &message.Structure{Root: &message.Part{Type: "text", Subtype: "plain", Encoding: "7bit"}}
}

// fetchLine writes the FETCH response of one message.
func (s *session) fetchLine(w *wire.Writer, f *fetcher, r *fetchRow) error {
	w.Raw("* ")
	w.Number(uint64(r.i) + 1)
	w.Raw(" FETCH (")
	for k := range f.plan.items {
		if k > 0 {
			w.SP()
		}
		if err := s.fetchItem(w, f, r, &f.plan.items[k]); err != nil {
			return err
		}
	}
	if r.fresh && f.plan.sayFlags {
		w.Raw(" FLAGS ")
		writeFlags(w, &r.state)
	}
	if r.fresh && f.plan.sayModSeq {
		w.Raw(" MODSEQ (")
		w.Number(uint64(r.state.Seq))
		w.Byte(')')
	}
	w.Byte(')')
	w.CRLF()
	return nil
}

// fetchItem writes one data item. An error breaks the response.
func (s *session) fetchItem(w *wire.Writer, f *fetcher, r *fetchRow, it *wire.FetchItem) error {
	st := &r.state
	switch it.Kind {
	case wire.FetchFlags:
		w.Raw("FLAGS ")
		f.lines.writeFlags(w, st)
	case wire.FetchUID:
		w.Raw("UID ")
		w.Number(uint64(st.UID))
	case wire.FetchInternalDate:
		w.Raw("INTERNALDATE ")
		f.lines.writeDate(w, st.Time())
	case wire.FetchSize:
		w.Raw("RFC822.SIZE ")
		w.Number(uint64(st.Size))
	case wire.FetchModSeq:
		w.Raw("MODSEQ (")
		w.Number(uint64(st.Seq))
		w.Byte(')')
	case wire.FetchEmailID:
		w.Raw("EMAILID (")
		w.Raw(store.ObjectName('M', s.incarnation, uint64(st.OID)))
		w.Byte(')')
	case wire.FetchThreadID:
		w.Raw("THREADID ")
		if len(r.thread) == 0 {
			w.Nil()
		} else {
			w.Raw("(T" + hex.EncodeToString(r.thread) + ")")
		}
	case wire.FetchPreview:
		w.Raw("PREVIEW ")
		w.String(r.preview)
	case wire.FetchSaveDate:
		w.Raw("SAVEDATE ")
		w.Nil()
	case wire.FetchEnvelope:
		w.Raw("ENVELOPE ")
		writeEnvelope(w, f.envelope(r))
	default:
		return s.fetchBody(w, r, it)
	}
	return nil
}
