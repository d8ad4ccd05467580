package message

import (
	"errors"

	"rialto/internal/model"
)

// envelopeVersion is the first byte of a stored Envelope.
const envelopeVersion = 1

// AppendBinary appends the stored form of e to b: a version byte, then the
// envelope as within a Structure.
func (e *Envelope) AppendBinary(b []byte) []byte {
	enc := encoder{b: append(b, envelopeVersion), words: wordList()}
	enc.envelope(e)
	return enc.b
}

// DecodeEnvelope reads what Envelope.AppendBinary wrote. Its strings share one
// copy of b. Damaged bytes are a KindCorrupt error.
func DecodeEnvelope(b []byte) (*Envelope, error) {
	e := new(Envelope)
	if err := e.Decode(string(b)); err != nil {
		return nil, err
	}
	return e, nil
}

// Decode is DecodeEnvelope into e, whose slices are used again: reading many
// envelopes takes no memory for each. The strings are parts of s. After an error
// e is empty.
func (e *Envelope) Decode(s string) error {
	if s == "" || s[0] != envelopeVersion {
		*e = Envelope{}
		return model.E("message.decode", model.KindCorrupt, "envelope", errors.New("unknown version"))
	}
	d := decoder{s: s, i: 1, words: wordList()}
	d.envelopeInto(e)
	if d.bad || d.i != len(d.s) {
		*e = Envelope{}
		return model.E("message.decode", model.KindCorrupt, "envelope", errCorrupt)
	}
	return nil
}
