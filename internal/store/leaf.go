package store

import (
	"rialto/internal/kv"
	"rialto/internal/mapi"
	"rialto/internal/model"
	"rialto/internal/store/content"
	"rialto/internal/store/layout"
)

// leaf encodes the item's rows; staged gathers what they refer to.
func (n *NewItem) leaf(staged *[]*content.Staged, depth int) (*layout.Leaf, error) {
	if depth > layout.MaxEmbedded {
		return nil, model.E("store.append", model.KindTooLarge, "embedded messages", nil)
	}
	l := &layout.Leaf{}
	refer := func(st *content.Staged) content.ID {
		*staged = append(*staged, st)
		l.IDs = append(l.IDs, st.ID)
		l.Size += st.Size
		return st.ID
	}
	s := Stream{Truth: n.Truth, Trace: n.Trace, Structure: n.Structure}
	if n.Content != nil {
		s.Content, s.Size = refer(n.Content), n.Content.Size
	}
	if s.Truth == 0 {
		s.Truth = TruthMAPI
		if n.Content != nil {
			s.Truth = TruthMIME
		}
	}
	l.Stream, l.Truth = s.Encode(nil), s.Truth
	var streams []StreamRef
	for _, v := range n.Streams {
		streams = append(streams, StreamRef{Tag: v.Tag, Content: refer(v.Content), Size: v.Content.Size})
	}
	var err error
	if l.Bag, err = layout.EncodeBag(n.Props, streams); err != nil {
		return nil, err
	}
	if l.Recipients, err = layout.EncodeRecipients(n.Recipients); err != nil {
		return nil, err
	}
	for i := range n.Attachments {
		a := &n.Attachments[i]
		at, err := a.leaf(staged, refer, uint32(i), depth)
		if err != nil {
			return nil, err
		}
		if at.Embedded != nil {
			l.Size += at.Embedded.Size
		}
		l.Attach = append(l.Attach, at)
	}
	return l, l.Weigh()
}

func (a *Attachment) leaf(staged *[]*content.Staged, refer func(*content.Staged) content.ID, n uint32, depth int) (at layout.LeafAttachment, err error) {
	at.Number = n
	if a.Content != nil {
		at.Content, at.Size = refer(a.Content), a.Content.Size
	}
	ok := true
	if at.Props, ok = mapi.AppendProperties(nil, a.Props); !ok {
		return at, model.E("store.append", model.KindInvalid, "attachment property", nil)
	}
	if a.Embedded != nil {
		if err := a.Embedded.check(); err != nil {
			return at, err
		}
		if at.Embedded, err = a.Embedded.leaf(staged, depth+1); err == nil {
			at.Size = at.Embedded.Size
		}
	}
	return at, err
}

func (t *txn) putLeaf(at RowID, l *layout.Leaf) { layout.PutLeaf(t.b, t.m.num, at, l, t.nextID) }

// dropLeaf removes the rows and references under a row id. l is what layout.ReadLeaf
// found there; the leaves of embedded messages are read from r.
func (t *txn) dropLeaf(r kv.Reader, at RowID, l *layout.Leaf, depth int) error {
	m := t.m.num
	t.b.Delete(m.ID(layout.SubBag, uint64(at)))
	for i := range l.Recipients {
		t.b.Delete(m.RecipientRow(at, i))
	}
	t.b.Delete(m.ID(layout.SubStream, uint64(at)))
	for _, a := range l.Attach {
		t.b.Delete(m.Attachment(at, a.Number))
	}
	for _, id := range l.IDs {
		t.m.db.content.DropRef(t.b, id, uint32(m), uint64(at))
	}
	for _, a := range l.Attach {
		if a.Child == 0 {
			continue
		}
		if depth > layout.MaxEmbedded {
			return layout.Corrupt("embedded messages")
		}
		c, err := layout.ReadLeaf(t.ctx, r, m, a.Child)
		if err != nil {
			return err
		}
		if err := t.dropLeaf(r, a.Child, c, depth+1); err != nil {
			return err
		}
	}
	return nil
}
