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
	if len(b) == 0 || b[0] != envelopeVersion {
		return nil, model.E("message.decode", model.KindCorrupt, "envelope", errors.New("unknown version"))
	}
	d := decoder{s: string(b), i: 1, words: wordList()}
	e := d.envelope()
	if d.bad || d.i != len(d.s) {
		return nil, model.E("message.decode", model.KindCorrupt, "envelope", errCorrupt)
	}
	return e, nil
}
