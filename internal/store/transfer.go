package store

import (
	"context"
	"io"

	"rialto/internal/mapi"
	"rialto/internal/model"
	"rialto/internal/store/content"
	"rialto/internal/store/layout"
)

// transfer makes items of one mailbox ready for another, in the same database
// or not. Streams are shared where they can be; property names keep their
// meaning, whatever id they have in the other mailbox.
type transfer struct {
	ctx    context.Context
	v      *View
	dst    *Mailbox
	ids    map[uint16]uint16 // of named properties
	staged []*content.Staged
}

// Portable returns an item as a new one for dst, with everything but its names:
// dst gives it UID, OID and MID of its own. release frees its streams once it
// is stored.
func (v *View) Portable(ctx context.Context, o OID, dst *Mailbox) (n *NewItem, release func(), err error) {
	it, err := v.Item(ctx, o)
	if err != nil {
		return nil, nil, err
	}
	x := &transfer{ctx: ctx, v: v, dst: dst, ids: map[uint16]uint16{}}
	if n, err = x.item(it, 0); err != nil {
		x.release()
		return nil, nil, err
	}
	s := &it.State
	n.Summary = it.Summary
	n.Flags, n.Keywords, n.Time, n.Modified = s.Flags&^DeletedMark, s.Keywords, s.Time, s.Modified
	n.Associated, n.Creator = s.Place.Space == Associated, s.Creator
	return n, x.release, nil
}

func (x *transfer) release() {
	for _, st := range x.staged {
		st.Release()
	}
}

func (x *transfer) item(it *Item, depth int) (*NewItem, error) {
	if depth > layout.MaxEmbedded {
		return nil, layout.Corrupt("embedded messages")
	}
	n := &NewItem{Truth: it.Stream.Truth, Trace: it.Stream.Trace, Structure: it.Stream.Structure}
	var err error
	if it.Stream.Content != 0 {
		if n.Content, err = x.stream(it.Stream.Content); err != nil {
			return nil, err
		}
	}
	if n.Props, err = x.props(it.Bag.Props); err != nil {
		return nil, err
	}
	for _, s := range it.Bag.Streams {
		st, err := x.stream(s.Content)
		if err != nil {
			return nil, err
		}
		tag, err := x.tag(s.Tag)
		if err != nil {
			return nil, err
		}
		if tag == 0 {
			continue
		}
		n.Streams = append(n.Streams, StreamValue{tag, st})
	}
	for _, r := range it.Recipients {
		p, err := x.props(r)
		if err != nil {
			return nil, err
		}
		n.Recipients = append(n.Recipients, p)
	}
	for i := range it.Attachments {
		a, err := x.attachment(&it.Attachments[i], depth)
		if err != nil {
			return nil, err
		}
		n.Attachments = append(n.Attachments, a)
	}
	return n, nil
}

func (x *transfer) attachment(r *AttachmentRow, depth int) (a Attachment, err error) {
	if a.Props, err = x.props(r.Props); err != nil {
		return a, err
	}
	if r.Content != 0 {
		if a.Content, err = x.stream(r.Content); err != nil {
			return a, err
		}
	}
	if r.Embedded == 0 {
		return a, nil
	}
	child, err := x.v.Embedded(x.ctx, r.Embedded)
	if err != nil {
		return a, err
	}
	a.Embedded, err = x.item(child, depth+1)
	return a, err
}

// stream shares or copies a stream for dst.
func (x *transfer) stream(id content.ID) (*content.Staged, error) {
	if x.dst.db == x.v.m.db {
		st, err := x.dst.db.content.Share(x.ctx, id)
		if err == nil {
			x.staged = append(x.staged, st)
		}
		return st, err
	}
	r, err := x.v.OpenContent(x.ctx, id)
	if err != nil {
		return nil, err
	}
	w := x.dst.db.NewContent(x.ctx)
	if _, err := io.Copy(w, io.NewSectionReader(r, 0, r.Size())); err != nil {
		w.Abort()
		return nil, err
	}
	st, err := w.Finish(x.ctx)
	if err == nil {
		x.staged = append(x.staged, st)
	}
	return st, err
}

// props gives named properties the ids they have in dst.
func (x *transfer) props(p mapi.Properties) (mapi.Properties, error) {
	var out mapi.Properties
	for _, q := range p {
		tag, err := x.tag(q.Tag)
		if err != nil {
			return nil, err
		}
		if tag == 0 {
			continue
		}
		out.Set(tag, q.Value)
	}
	return out, nil
}

// tag returns a property's tag in dst, 0 for one in the range of names that has
// none: nobody could tell what it is.
func (x *transfer) tag(t mapi.Tag) (mapi.Tag, error) {
	id := t.ID()
	if id < mapi.FirstFreeNamedID || x.dst.box == x.v.m.box {
		return t, nil
	}
	to, ok := x.ids[id]
	if !ok {
		names, err := x.v.PropertyNames(x.ctx, []uint16{id})
		if err != nil {
			return 0, err
		}
		if names[0] == (mapi.PropertyName{}) {
			x.ids[id] = 0
			return 0, nil
		}
		ids, err := x.dst.PropertyIDs(x.ctx, names)
		if err != nil {
			return 0, err
		}
		to = ids[0]
		x.ids[id] = to
	}
	if to == 0 {
		return 0, nil
	}
	return mapi.MakeTag(to, t.Type()), nil
}

// CopyTo copies items to a folder of another mailbox, which may be in another
// database, one after the other; it returns the new states of those that are
// stored, also when it fails midway.
func (m *Mailbox) CopyTo(ctx context.Context, oids []OID, dst *Mailbox, to FolderID) (out []State, err error) {
	if err := dst.may("store.copy", to, RightCreate); err != nil {
		return nil, err
	}
	for _, o := range dedupe(oids) {
		s, err := m.copyTo(ctx, o, dst, to)
		if err != nil {
			return out, err
		}
		out = append(out, *s)
	}
	return out, nil
}

func (m *Mailbox) copyTo(ctx context.Context, o OID, dst *Mailbox, to FolderID) (*State, error) {
	v, err := m.View(ctx)
	if err != nil {
		return nil, err
	}
	defer v.Close()
	n, release, err := v.Portable(ctx, o, dst)
	if err != nil {
		return nil, err
	}
	defer release()
	st, err := dst.Append(ctx, to, n)
	if err != nil {
		return nil, err
	}
	return st[0], nil
}

// moveTries is how often MoveTo copies an item that changes meanwhile.
const moveTries = 8

// MoveTo is CopyTo, and deletes each original for good once its copy is
// durable. Items that are not in folder are passed over. An item that changes
// meanwhile is copied again: no change is lost.
func (m *Mailbox) MoveTo(ctx context.Context, folder FolderID, oids []OID, dst *Mailbox, to FolderID) (out []State, err error) {
	if err := m.may("store.move", folder, RightDeleteAny|RightDeleteOwned); err != nil {
		return nil, err
	}
	if err := m.may("store.move", folder, RightReadAny); err != nil {
		return nil, err
	}
	if err := dst.may("store.move", to, RightCreate); err != nil {
		return nil, err
	}
	for _, o := range dedupe(oids) {
		s, err := m.moveTo(ctx, folder, o, dst, to)
		if s != nil {
			out = append(out, *s)
		}
		if err != nil {
			return out, err
		}
	}
	return out, nil
}

// moveTo returns nil for an item that is not in the folder.
func (m *Mailbox) moveTo(ctx context.Context, folder FolderID, o OID, dst *Mailbox, to FolderID) (*State, error) {
	for range moveTries {
		from, err := m.liveIn(ctx, folder, o)
		if from == nil || err != nil {
			return nil, err
		}
		if err := m.mayItem("store.move", from, RightDeleteAny, RightDeleteOwned); err != nil {
			return nil, err
		}
		s, err := m.copyTo(ctx, o, dst, to)
		if model.IsKind(err, model.KindNotFound) {
			continue // it may have gone elsewhere
		}
		if err != nil {
			return nil, err
		}
		n, err := m.deleteItems(ctx, folder, []OID{o}, true, func(now *State) bool { return now.Seq == from.Seq })
		if err != nil || n == 1 {
			return s, err
		}
		own := &Mailbox{box: dst.box} // the copy is ours, whatever the caller may there
		if _, err := own.DeleteItems(ctx, to, []OID{s.OID}, true); err != nil {
			return s, err
		}
	}
	return nil, model.E("store.move", model.KindConflict, "item", nil)
}

// liveIn returns the state of an item of a folder, nil if it is not there.
func (m *Mailbox) liveIn(ctx context.Context, folder FolderID, o OID) (*State, error) {
	v, err := m.View(ctx)
	if err != nil {
		return nil, err
	}
	defer v.Close()
	ps, there, err := v.FindMany(ctx, []OID{o})
	if err != nil || !there[0] || ps[0].Folder != folder || ps[0].Space == Deleted {
		return nil, err
	}
	states, err := v.StatesAt(ctx, ps)
	if err != nil {
		return nil, err
	}
	return states[0], nil
}
