package layout

import (
	"context"
	"encoding/binary"
	"slices"

	"rialto/internal/kv"
	"rialto/internal/mapi"
	"rialto/internal/model"
	"rialto/internal/store/content"
)

// Leaf is all that hangs on a row id: property bag, recipients, stream and
// attachments, with the leaves of embedded messages. In a leaf there are no row
// ids, so it can be written under any.
type Leaf struct {
	Bag        []byte
	Recipients [][]byte // rows of the recipients table, none over kv.MaxValue
	Stream     []byte
	Attach     []LeafAttachment
	Truth      Truth
	IDs        []content.ID // what these rows refer to, those of embedded messages apart
	Size       int64        // octets, for quotas
	Weight     int          // octets of a batch
}

// LeafAttachment is an attachment row before it has an embedded row id.
type LeafAttachment struct {
	Number   uint32
	Content  content.ID
	Size     int64  // of the content or the embedded message
	Props    []byte // encoded
	Child    RowID  // of the embedded message as it is stored; 0: none
	Embedded *Leaf  // the embedded message itself, for writing
}

const (
	bagVersion = 1
	bagStreams = 2 // with properties that are streams
	// attachmentLong is the version of rows with size and embedded message.
	attachmentLong = 2
	// recipientRow is when the recipients table goes on in another row.
	recipientRow = 128 << 10
)

// MaxEmbedded bounds messages within messages.
const MaxEmbedded = 32

// Weigh adds the leaf up and checks the size of its rows.
func (l *Leaf) Weigh() error {
	rows := append([][]byte{l.Bag, l.Stream}, l.Recipients...)
	for _, a := range l.Attach {
		rows = append(rows, a.Props)
		if a.Embedded != nil {
			l.Weight += a.Embedded.Weight
		}
	}
	for _, v := range rows {
		if len(v) > kv.MaxValue-64 {
			return model.E("store.append", model.KindTooLarge, "properties", nil)
		}
		l.Size += int64(len(v))
		l.Weight += len(v) + 64
	}
	l.Weight += 64 * len(l.IDs)
	return nil
}

// PutLeaf writes a leaf under a row id; embedded messages get the next ids.
func PutLeaf(b kv.Batch, m Number, at RowID, l *Leaf, next func() uint64) {
	if l.Bag != nil {
		b.Set(m.ID(SubBag, uint64(at)), l.Bag)
	}
	for i, v := range l.Recipients {
		b.Set(m.RecipientRow(at, i), v)
	}
	b.Set(m.ID(SubStream, uint64(at)), l.Stream)
	for _, a := range l.Attach {
		child := a.Child
		if a.Embedded != nil {
			child = RowID(next())
			PutLeaf(b, m, child, a.Embedded, next)
		}
		b.Set(m.Attachment(at, a.Number), a.Encode(child))
	}
	for _, id := range l.IDs {
		content.AddRef(b, id, uint32(m), uint64(at))
	}
}

// ReadLeaf reads the rows under a row id, those of embedded messages apart.
func ReadLeaf(ctx context.Context, r kv.Reader, m Number, at RowID) (*Leaf, error) {
	vals, err := r.GetMany(ctx, m.LeafKeys(at))
	if err != nil {
		return nil, content.Wrap("store.read", "item", err)
	}
	return MakeLeaf(ctx, r, m, at, vals, true)
}

// MakeLeaf completes a leaf whose first rows were read.
func MakeLeaf(ctx context.Context, r kv.Reader, m Number, at RowID, vals [][]byte, attached bool) (*Leaf, error) {
	l := &Leaf{Bag: vals[0], Stream: vals[2]}
	var err error
	if l.Recipients, err = MoreRecipients(ctx, r, m, at, vals[1]); err != nil {
		return nil, err
	}
	if attached {
		if err := l.ReadAttachments(ctx, r, m, at); err != nil {
			return nil, err
		}
	}
	return l, l.Refer()
}

// MoreRecipients completes a recipients table whose first row is given.
func MoreRecipients(ctx context.Context, r kv.Reader, m Number, at RowID, first []byte) ([][]byte, error) {
	if first == nil {
		return nil, nil
	}
	rows := [][]byte{first}
	if len(first) < recipientRow {
		return rows, nil
	}
	it := r.Scan(ctx, kv.Range{Lower: m.RecipientRow(at, 1), Upper: PrefixEnd(m.ID(SubRecipients, uint64(at)))})
	for it.Next() {
		rows = append(rows, slices.Clone(it.Value()))
	}
	return rows, content.Wrap("store.recipients", "item", it.Close())
}

// ReadAttachments adds the attachment rows under a row id to the leaf.
func (l *Leaf) ReadAttachments(ctx context.Context, r kv.Reader, m Number, at RowID) error {
	p := m.ID(SubAttachment, uint64(at))
	it := r.Scan(ctx, kv.Range{Lower: p, Upper: PrefixEnd(p)})
	for it.Next() {
		a, err := DecodeAttachment(it.Key(), len(p), it.Value())
		if err != nil {
			it.Close()
			return err
		}
		a.Props = slices.Clone(a.Props)
		l.Attach = append(l.Attach, a)
	}
	return content.Wrap("store.attachments", "item", it.Close())
}

// Encode returns the row of an attachment whose embedded message is under child.
func (a *LeafAttachment) Encode(child RowID) []byte {
	b := binary.AppendUvarint(binary.AppendUvarint([]byte{attachmentLong}, uint64(a.Content)), uint64(a.Size))
	return append(binary.AppendUvarint(b, uint64(child)), a.Props...)
}

// DecodeAttachment reads an attachment row, whose properties point into v. Its
// number follows n octets of key.
func DecodeAttachment(key []byte, n int, v []byte) (a LeafAttachment, err error) {
	if len(key) != n+4 {
		return a, Corrupt("attachment key")
	}
	a.Number = binary.BigEndian.Uint32(key[n:])
	d := NewReader(v)
	switch d.Byte() {
	case bagVersion:
		a.Content = content.ID(d.Uvarint())
	case attachmentLong:
		a.Content, a.Size, a.Child = content.ID(d.Uvarint()), int64(d.Uvarint()), RowID(d.Uvarint())
	default:
		d.Bad = true
	}
	if d.Bad {
		return a, Corrupt("attachment")
	}
	a.Props = d.B
	return a, nil
}

// Refer lists what the rows refer to.
func (l *Leaf) Refer() error {
	var st Stream
	if err := st.Decode(l.Stream); err != nil {
		return err
	}
	l.Truth, l.IDs = st.Truth, st.contents()
	if len(l.Bag) > 0 && l.Bag[0] == bagStreams {
		b, err := DecodeBag(l.Bag)
		if err != nil {
			return err
		}
		for _, s := range b.Streams {
			l.IDs = append(l.IDs, s.Content)
		}
	}
	for _, a := range l.Attach {
		if a.Content != 0 {
			l.IDs = append(l.IDs, a.Content)
		}
	}
	return nil
}

// Refers adds what a leaf and the new embedded messages in it refer to.
func (l *Leaf) Refers(to map[content.ID]bool) {
	for _, id := range l.IDs {
		to[id] = true
	}
	for _, a := range l.Attach {
		if a.Embedded != nil {
			a.Embedded.Refers(to)
		}
	}
}

// Settle lists again what the rows of a leaf refer to, and adds them up.
func (l *Leaf) Settle() error {
	if err := l.Refer(); err != nil {
		return err
	}
	l.Size, l.Weight = 0, 0
	if err := l.Weigh(); err != nil {
		return err
	}
	b, err := DecodeBag(l.Bag)
	for _, s := range b.Streams {
		l.Size += s.Size
	}
	for _, a := range l.Attach {
		l.Size += a.Size
	}
	return err
}

// Grow reads the leaves of embedded messages, so that l can be copied.
func (l *Leaf) Grow(ctx context.Context, r kv.Reader, m Number, depth int) error {
	for i := range l.Attach {
		a := &l.Attach[i]
		if a.Child == 0 {
			continue
		}
		if depth > MaxEmbedded {
			return Corrupt("embedded messages")
		}
		var err error
		if a.Embedded, err = ReadLeaf(ctx, r, m, a.Child); err != nil {
			return err
		}
		if err := a.Embedded.Grow(ctx, r, m, depth+1); err != nil {
			return err
		}
	}
	return l.Weigh()
}

// Refs are what a row refers to, and the number under which it does.
type Refs struct {
	Row uint64
	IDs []content.ID
}

// Referring reads the references of a row of a mailbox; nil for a row that has
// none, or is damaged.
func Referring(key, v []byte) *Refs {
	if len(key) < 12 {
		return nil
	}
	r := &Refs{Row: Get48(key[6:])}
	switch key[5] {
	case SubBag:
		streams, _, err := SplitBag(v)
		if err != nil {
			return nil
		}
		for _, s := range streams {
			r.IDs = append(r.IDs, s.Content)
		}
	case SubStream:
		var st Stream
		if st.Decode(v) != nil {
			return nil
		}
		r.IDs = st.contents()
	case SubAttachment:
		a, err := DecodeAttachment(key, 12, v)
		if err != nil || a.Content == 0 {
			return nil
		}
		r.IDs = []content.ID{a.Content}
	case SubFrozen:
		x, err := DecodeRendering(v)
		if err != nil || len(key) != 13 {
			return nil
		}
		r.Row, r.IDs = RenderingRef(RowID(r.Row), RenderingKind(key[12])), x.Stream.contents()
	default:
		return nil
	}
	return r
}

// AttachmentRow is a stored attachment.
type AttachmentRow struct {
	Number   uint32
	Props    mapi.Properties
	Content  content.ID // 0: the data is in Props
	Size     int64      // octets of Content; 0 in rows of the first version
	Embedded RowID      // of an embedded message, whose bag, recipients and attachments hang on it; 0: none
}

// Attachments decodes the attachment rows of the leaf.
func (l *Leaf) Attachments() ([]AttachmentRow, error) {
	var out []AttachmentRow
	for _, a := range l.Attach {
		p, err := mapi.DecodeProperties(a.Props)
		if err != nil {
			return nil, Corrupt("attachment")
		}
		out = append(out, AttachmentRow{a.Number, p, a.Content, a.Size, a.Child})
	}
	return out, nil
}
