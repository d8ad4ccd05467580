package store

import (
	"context"

	"rialto/internal/mapi"
	"rialto/internal/store/content"
)

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

// Bag returns the property bag of an item, without its summary.
func (v *View) Bag(ctx context.Context, row RowID) (Bag, error) {
	vals, err := v.snap.GetMany(ctx, [][]byte{v.m.num.id(subBag, uint64(row))})
	if err != nil {
		return Bag{}, wrap("store.props", "item", err)
	}
	return decodeBag(vals[0])
}

// Props is Bag without large properties.
func (v *View) Props(ctx context.Context, row RowID) (mapi.Properties, error) {
	b, err := v.Bag(ctx, row)
	return b.Props, err
}

// Recipients returns the recipients table of an item.
func (v *View) Recipients(ctx context.Context, row RowID) ([]mapi.Properties, error) {
	m := v.m.num
	vals, err := v.snap.GetMany(ctx, [][]byte{m.recipientKey(row, 0)})
	if err != nil {
		return nil, wrap("store.recipients", "item", err)
	}
	rows, err := moreRecipients(ctx, v.snap, m, row, vals[0])
	if err != nil {
		return nil, err
	}
	return decodeRecipients(rows)
}

// AttachmentRow is a stored attachment.
type AttachmentRow struct {
	Number   uint32
	Props    mapi.Properties
	Content  content.ID // 0: the data is in Props
	Size     int64      // octets of Content; 0 in rows of the first version
	Embedded RowID      // of an embedded message, whose bag, recipients and attachments hang on it; 0: none
}

// Attachments returns the attachments of an item.
func (v *View) Attachments(ctx context.Context, row RowID) ([]AttachmentRow, error) {
	var l leaf
	if err := l.readAttachments(ctx, v.snap, v.m.num, row); err != nil {
		return nil, err
	}
	var out []AttachmentRow
	for _, a := range l.attach {
		p, err := mapi.DecodeProperties(a.props)
		if err != nil {
			return nil, corrupt("attachment")
		}
		out = append(out, AttachmentRow{a.number, p, a.content, a.size, a.child})
	}
	return out, nil
}
