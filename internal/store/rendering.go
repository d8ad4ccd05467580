package store

import (
	"context"
	"slices"

	"rialto/internal/kv"
	"rialto/internal/model"
	"rialto/internal/model/row"
	"rialto/internal/store/content"
)

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

func (m number) rendering(r RowID, k RenderingKind) []byte {
	return append(m.id(subFrozen, uint64(r)), byte(k))
}

// Rendering returns the frozen rendering of an item, nil if there is none yet.
func (v *View) Rendering(ctx context.Context, at RowID, k RenderingKind) (*Rendering, error) {
	vals, err := v.snap.GetMany(ctx, [][]byte{v.m.num.rendering(at, k)})
	if err != nil || vals[0] == nil {
		return nil, wrap("store.rendering", "item", err)
	}
	return decodeRendering(vals[0])
}

func (r *Rendering) encode() []byte {
	b := row.AppendText([]byte{renderingVersion}, string(r.Envelope))
	return r.Stream.encode(b)
}

func decodeRendering(v []byte) (*Rendering, error) {
	d := newReader(v)
	if d.Byte() != renderingVersion {
		d.Bad = true
	}
	r := &Rendering{Envelope: d.Bytes()}
	if d.Bad {
		return nil, corrupt("rendering")
	}
	return r, r.Stream.decode(d.B)
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
		key := m.num.rendering(s.Row, k)
		vals, err := m.db.kv.GetMany(ctx, [][]byte{key})
		if err != nil {
			return wrap("store.freeze", "item", err)
		}
		if vals[0] != nil {
			kept, err = decodeRendering(vals[0])
			return err
		}
		if s.CN != base {
			return model.E("store.freeze", model.KindConflict, "item", nil)
		}
		kept = &Rendering{Stream: Stream{Truth: TruthMIME, Content: st.ID, Size: st.Size, Structure: structure}, Envelope: envelope}
		st.AddTo(t.b)
		content.AddRef(t.b, st.ID, uint32(m.num), renderingRef(s.Row, k))
		t.b.Set(key, kept.encode())
		return nil
	})
	return kept, err
}

// renderingRef is the row id under which a rendering refers to its content:
// beyond all rows, so that an item may refer to the same content itself.
func renderingRef(r RowID, k RenderingKind) uint64 {
	return uint64(k)<<44 | uint64(r)
}

// dropRendering removes the renderings of an item but for some kinds.
func (t *txn) dropRendering(at RowID, keep ...RenderingKind) error {
	m := t.m.num
	p := m.id(subFrozen, uint64(at))
	it := t.m.db.kv.Scan(t.ctx, kv.Range{Lower: p, Upper: prefixEnd(p)})
	for it.Next() {
		r, err := decodeRendering(it.Value())
		if err != nil || len(it.Key()) != len(p)+1 {
			it.Close()
			return corrupt("rendering")
		}
		k := RenderingKind(it.Key()[len(p)])
		if slices.Contains(keep, k) {
			continue
		}
		t.m.db.content.DropRef(t.b, r.Stream.Content, uint32(m), renderingRef(at, k))
		t.b.Delete(m.rendering(at, k))
	}
	return wrap("store.rendering", "item", it.Close())
}

// stateOf returns the state of an item by its OID.
func (t *txn) stateOf(o OID) (*State, error) {
	p, err := t.placeOf(subByOID, uint64(o))
	if err != nil {
		return nil, err
	}
	v, err := t.m.db.kv.Get(t.ctx, t.m.num.place(subState, p))
	if err != nil {
		return nil, wrap("store.find", "item", err)
	}
	s := new(State)
	return s, s.decode(p, v)
}

func (t *txn) placeOf(sub byte, id uint64) (Place, error) {
	v, err := t.m.db.kv.Get(t.ctx, t.m.num.id(sub, id))
	if err != nil {
		return Place{}, wrap("store.find", "item", err)
	}
	return decodePlace(v)
}
