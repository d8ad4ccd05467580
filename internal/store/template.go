package store

import (
	"errors"

	"rialto/internal/kv"
	"rialto/internal/mapi"
	"rialto/internal/model"
	"rialto/internal/store/content"
	"rialto/internal/store/layout"
)

// template reads the text of a reply template into o: a message made of
// properties. It returns whom the template itself is addressed to.
func (t *txn) template(id MID, o *Outgoing) (to []Party, err error) {
	v, err := t.m.db.kv.Get(t.ctx, t.m.num.ID(layout.SubByMID, uint64(id)))
	if errors.Is(err, kv.ErrNotFound) {
		return nil, model.E("store.template", model.KindNotFound, "reply template", nil)
	}
	if err != nil {
		return nil, wrap("store.template", "reply template", err)
	}
	p, err := layout.DecodePlace(v)
	if err != nil {
		return nil, err
	}
	if p.Space == Deleted {
		return nil, model.E("store.template", model.KindNotFound, "reply template", nil)
	}
	state, err := t.m.db.kv.Get(t.ctx, t.m.num.Place(layout.SubState, p))
	if err != nil {
		return nil, wrap("store.template", "reply template", err)
	}
	it := new(Item)
	if err := it.State.Decode(p, state); err != nil {
		return nil, err
	}
	full, err := layout.ReadFull(t.ctx, t.m.db.kv, t.m.num, []*State{&it.State}, layout.Whole)
	if err == nil {
		err = it.fill(full[0])
	}
	if err != nil {
		return nil, err
	}
	if it.Stream.Truth != TruthMAPI {
		return nil, model.E("store.template", model.KindUnsupported, "reply template", nil)
	}
	if s := it.Summary.Props.Text(mapi.TagSubject); s != "" {
		o.Subject = s
	}
	if o.Text, o.HTML, err = t.templateText(it); err != nil {
		return nil, err
	}
	for _, r := range it.Recipients {
		addr := r.Text(mapi.TagSMTPAddress)
		if addr == "" {
			addr = r.Text(mapi.TagEmailAddress)
		}
		if a, err := model.ParseAddress(addr); err == nil && len(to) < layout.MaxOutgoingTo {
			to = append(to, Party{Name: r.Text(mapi.TagDisplayName), Address: a})
		}
	}
	return to, nil
}

// templateText is the body of a template: plain if it has one.
func (t *txn) templateText(it *Item) (text string, html bool, err error) {
	if s := it.Bag.Props.Text(mapi.TagBody); s != "" {
		return s, false, nil
	}
	if h := it.Bag.Props.Binary(mapi.TagBodyHTML); h != nil {
		return string(h), true, nil
	}
	for _, s := range it.Bag.Streams {
		if s.Tag == mapi.TagBody || s.Tag == mapi.TagBodyHTML {
			text, err = t.readText(s.Content, s.Size)
			return text, s.Tag == mapi.TagBodyHTML, err
		}
	}
	return "", false, nil
}

func (t *txn) readText(id content.ID, size int64) (string, error) {
	r, err := t.m.db.content.Open(t.ctx, t.m.db.kv, id)
	if err != nil {
		return "", err
	}
	b := make([]byte, min(size, r.Size(), layout.MaxOutgoingText))
	if _, err := r.ReadAt(b, 0); err != nil {
		return "", err
	}
	return string(b), nil
}
