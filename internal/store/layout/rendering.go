package layout

import "rialto/internal/model/row"

// RenderingKind is a form of an item that was derived from another.
type RenderingKind uint8

// The renderings.
const (
	RenderingMIME  RenderingKind = 1
	RenderingICal  RenderingKind = 2
	RenderingVCard RenderingKind = 3
)

// Rendering is a derived form as a client first saw it. That of MIME never
// changes while the item has its UID: sizes and octets under a UID stay. The
// others stay while no edit changes the item.
type Rendering struct {
	Stream   Stream // content, its size and structure; no trace
	Envelope []byte
}

const renderingVersion = 1

// Encode returns the row of the rendering.
func (r *Rendering) Encode() []byte {
	b := row.AppendText([]byte{renderingVersion}, string(r.Envelope))
	return r.Stream.Encode(b)
}

// DecodeRendering reads the row of a rendering.
func DecodeRendering(v []byte) (*Rendering, error) {
	d := NewReader(v)
	if d.Byte() != renderingVersion {
		d.Bad = true
	}
	r := &Rendering{Envelope: d.Bytes()}
	if d.Bad {
		return nil, Corrupt("rendering")
	}
	return r, r.Stream.Decode(d.B)
}

// RenderingRef is the row id under which a rendering refers to its content:
// beyond all rows, so that an item may refer to the same content itself.
func RenderingRef(r RowID, k RenderingKind) uint64 {
	return uint64(k)<<44 | uint64(r)
}
