package store

import (
	"context"
	"slices"

	"rialto/internal/kv"
	"rialto/internal/model"
	"rialto/internal/store/content"
	"rialto/internal/store/layout"
)

// Rendering returns the frozen rendering of an item, nil if there is none yet.
func (v *View) Rendering(ctx context.Context, at RowID, k RenderingKind) (*Rendering, error) {
	vals, err := v.snap.GetMany(ctx, [][]byte{v.m.num.Rendering(at, k)})
	if err != nil || vals[0] == nil {
		return nil, wrap("store.rendering", "item", err)
	}
	return layout.DecodeRendering(vals[0])
}

// Freeze keeps a rendering of an item, unless one is kept already: the first
// stands. base is the CN of what was rendered: an item that has changed since
// gives KindConflict, and is to be rendered again. It returns what is kept, when
// that is durable.
func (m *Mailbox) Freeze(ctx context.Context, o OID, base CN, k RenderingKind, st *content.Staged, structure, envelope []byte) (*Rendering, error) {
	if len(structure)+len(envelope) > kv.MaxValue-256 {
		return nil, model.E("store.freeze", model.KindTooLarge, "structure", nil)
	}
	var kept *Rendering
	err := m.update(ctx, "store.freeze", func(t *txn) error {
		s, err := t.stateOf(o)
		if err != nil {
			return err
		}
		if err := m.may("store.freeze", s.Place.Folder, RightReadAny); err != nil {
			return err
		}
		key := m.num.Rendering(s.Row, k)
		vals, err := m.db.kv.GetMany(ctx, [][]byte{key})
		if err != nil {
			return wrap("store.freeze", "item", err)
		}
		if vals[0] != nil {
			kept, err = layout.DecodeRendering(vals[0])
			return err
		}
		if s.CN != base {
			return model.E("store.freeze", model.KindConflict, "item", nil)
		}
		kept = &Rendering{Stream: Stream{Truth: TruthMIME, Content: st.ID, Size: st.Size, Structure: structure}, Envelope: envelope}
		st.AddTo(t.b)
		content.AddRef(t.b, st.ID, uint32(m.num), layout.RenderingRef(s.Row, k))
		t.b.Set(key, kept.Encode())
		return nil
	})
	return kept, err
}

// dropRendering removes the renderings of an item but for some kinds.
func (t *txn) dropRendering(at RowID, keep ...RenderingKind) error {
	m := t.m.num
	p := m.ID(layout.SubFrozen, uint64(at))
	it := t.m.db.kv.Scan(t.ctx, kv.Range{Lower: p, Upper: layout.PrefixEnd(p)})
	for it.Next() {
		r, err := layout.DecodeRendering(it.Value())
		if err != nil || len(it.Key()) != len(p)+1 {
			it.Close()
			return layout.Corrupt("rendering")
		}
		k := RenderingKind(it.Key()[len(p)])
		if slices.Contains(keep, k) {
			continue
		}
		t.m.db.content.DropRef(t.b, r.Stream.Content, uint32(m), layout.RenderingRef(at, k))
		t.b.Delete(m.Rendering(at, k))
	}
	return wrap("store.rendering", "item", it.Close())
}

// stateOf returns the state of an item by its OID.
func (t *txn) stateOf(o OID) (*State, error) {
	p, err := t.placeOf(layout.SubByOID, uint64(o))
	if err != nil {
		return nil, err
	}
	v, err := t.m.db.kv.Get(t.ctx, t.m.num.Place(layout.SubState, p))
	if err != nil {
		return nil, wrap("store.find", "item", err)
	}
	s := new(State)
	return s, s.Decode(p, v)
}

func (t *txn) placeOf(sub byte, id uint64) (Place, error) {
	v, err := t.m.db.kv.Get(t.ctx, t.m.num.ID(sub, id))
	if err != nil {
		return Place{}, wrap("store.find", "item", err)
	}
	return layout.DecodePlace(v)
}
