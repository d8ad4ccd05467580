package layout

import (
	"encoding/binary"

	"rialto/internal/mapi"
	"rialto/internal/model"
	"rialto/internal/model/row"
	"rialto/internal/store/content"
)

// EncodeBag returns the row of a property bag, nil if it is empty.
func EncodeBag(p mapi.Properties, streams []StreamRef) ([]byte, error) {
	if len(p) == 0 && len(streams) == 0 {
		return nil, nil
	}
	b, ok := mapi.AppendProperties(AppendBag(streams, nil), p)
	if !ok {
		return nil, model.E("store.append", model.KindInvalid, "property", nil)
	}
	return b, nil
}

// AppendBag returns a bag row of streams and encoded properties.
func AppendBag(streams []StreamRef, props []byte) []byte {
	b := []byte{bagVersion}
	if len(streams) > 0 {
		b = binary.AppendUvarint([]byte{bagStreams}, uint64(len(streams)))
		for _, s := range streams {
			b = binary.BigEndian.AppendUint32(b, uint32(s.Tag))
			b = binary.AppendUvarint(binary.AppendUvarint(b, uint64(s.Content)), uint64(s.Size))
		}
	}
	return append(b, props...)
}

// BagProps returns the encoded properties of a bag row, which point into it.
func BagProps(v []byte) ([]byte, error) {
	_, props, err := SplitBag(v)
	return props, err
}

// DecodeBag reads a bag row; nil is an empty bag.
func DecodeBag(v []byte) (b Bag, err error) {
	if v == nil {
		return b, nil
	}
	var props []byte
	if b.Streams, props, err = SplitBag(v); err != nil {
		return b, err
	}
	b.Props, err = mapi.DecodeProperties(props)
	return b, err
}

// SplitBag reads what is before the properties of a bag row.
func SplitBag(v []byte) (streams []StreamRef, props []byte, err error) {
	d := NewReader(v)
	switch d.Byte() {
	case bagVersion:
	case bagStreams:
		for n := d.Uvarint(); n > 0 && !d.Bad; n-- {
			streams = append(streams, StreamRef{mapi.Tag(d.Uint32()), content.ID(d.Uvarint()), int64(d.Uvarint())})
		}
	default:
		d.Bad = true
	}
	if d.Bad {
		return nil, nil, Corrupt("property bag")
	}
	return streams, d.B, nil
}

// EncodeRecipients returns the rows of a recipients table.
func EncodeRecipients(rs []mapi.Properties) (rows [][]byte, err error) {
	for len(rs) > 0 {
		var body []byte
		n := 0
		for n < len(rs) && (n == 0 || len(body) < recipientRow) {
			p, ok := mapi.AppendProperties(nil, rs[n])
			if !ok {
				return nil, model.E("store.append", model.KindInvalid, "recipient property", nil)
			}
			body = row.AppendText(body, string(p))
			n++
		}
		rows = append(rows, append(binary.AppendUvarint([]byte{bagVersion}, uint64(n)), body...))
		rs = rs[n:]
	}
	return rows, nil
}

// DecodeRecipients reads the rows of a recipients table, in order.
func DecodeRecipients(rows [][]byte) (out []mapi.Properties, err error) {
	for _, v := range rows {
		d := NewReader(v)
		if d.Byte() != bagVersion {
			d.Bad = true
		}
		for n := d.Uvarint(); n > 0 && !d.Bad; n-- {
			p, err := mapi.DecodeProperties(d.Bytes())
			if err != nil {
				return nil, err
			}
			out = append(out, p)
		}
		if err := d.Err("recipients"); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// Bag is the properties of an item beyond its summary.
type Bag struct {
	Props   mapi.Properties
	Streams []StreamRef // those too large for Props, by tag
}

// StreamRef is a large property: a stream of UTF-8 or octets.
type StreamRef struct {
	Tag     mapi.Tag
	Content content.ID
	Size    int64
}
