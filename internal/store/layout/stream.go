package layout

import (
	"encoding/binary"

	"rialto/internal/kv"
	"rialto/internal/mapi"
	"rialto/internal/model/row"
	"rialto/internal/store/content"
)

// Summary is the row of an item that is written once: what lists show, and what
// IMAP's ENVELOPE needs. Envelope belongs to whoever writes MIME items; the
// store keeps it as it is.
type Summary struct {
	Props    mapi.Properties
	Envelope []byte
}

const summaryVersion = 1

// Encode appends the summary row; false if a property has no stored form.
func (s *Summary) Encode(b []byte) ([]byte, bool) {
	b = append(b, summaryVersion)
	b = row.AppendText(b, string(s.Envelope))
	return mapi.AppendProperties(b, s.Props)
}

// SplitSummary returns the envelope and the encoded properties of a row,
// pointing into b.
func SplitSummary(b []byte) (envelope, props []byte, err error) {
	d := NewReader(b)
	if d.Byte() != summaryVersion {
		d.Bad = true
	}
	envelope = d.Bytes()
	if d.Bad {
		return nil, nil, Corrupt("summary row")
	}
	return envelope, d.B, nil
}

// NextSummary takes the next summary row, which is that of p: an item has both.
func NextSummary(it kv.Iterator, p Place) ([]byte, error) {
	if !it.Next() {
		return nil, Corrupt("summary row")
	}
	if q, ok := ParsePlace(it.Key()); !ok || q != p {
		return nil, Corrupt("summary key")
	}
	_, props, err := SplitSummary(it.Value())
	return props, err
}

// Truth says which form of an item is the original.
type Truth uint8

// The truths. The stream of an item whose truth is not MAPI is
// kept as it came; properties beside it are an overlay.
const (
	TruthMIME  Truth = 1
	TruthMAPI  Truth = 2
	TruthICal  Truth = 3
	TruthVCard Truth = 4
)

// Stream is where the bytes of an item are: the trace headers that belong to
// this copy alone, then the content that copies share.
type Stream struct {
	Truth     Truth
	Content   content.ID // 0: none
	Size      int64      // octets of the content, without Trace
	Trace     []byte     // octets that come first
	Structure []byte     // the parsed form, offsets relative to the content; opaque
	// Evidence is the stream that was the truth until properties were written
	// over what it says; 0: none.
	Evidence content.ID
}

const (
	streamVersion  = 1
	streamEvidence = 2 // with the evidence
)

// Encode appends the stream row.
func (s *Stream) Encode(b []byte) []byte {
	if s.Evidence != 0 {
		b = binary.AppendUvarint(append(b, streamEvidence), uint64(s.Evidence))
	} else {
		b = append(b, streamVersion)
	}
	b = append(b, byte(s.Truth))
	b = binary.AppendUvarint(b, uint64(s.Content))
	b = binary.AppendUvarint(b, uint64(s.Size))
	b = row.AppendText(b, string(s.Trace))
	return row.AppendText(b, string(s.Structure))
}

// Decode reads a stream row. Trace and Structure point into b.
func (s *Stream) Decode(b []byte) error {
	d := NewReader(b)
	switch d.Byte() {
	case streamVersion:
	case streamEvidence:
		s.Evidence = content.ID(d.Uvarint())
	default:
		d.Bad = true
	}
	s.Truth = Truth(d.Byte())
	s.Content = content.ID(d.Uvarint())
	s.Size = int64(d.Uvarint())
	s.Trace = d.Bytes()
	s.Structure = d.Bytes()
	return d.Err("stream row")
}

// contents lists what the row refers to.
func (s *Stream) contents() (ids []content.ID) {
	for _, id := range []content.ID{s.Content, s.Evidence} {
		if id != 0 {
			ids = append(ids, id)
		}
	}
	return ids
}
