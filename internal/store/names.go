package store

import (
	"context"
	"encoding/binary"

	"rialto/internal/kv"
	"rialto/internal/mapi"
	"rialto/internal/model"
	"rialto/internal/store/layout"
)

// maxPropertyName is in octets of UTF-8 (MS-OXCDATA 2.6.1 counts 254 of UTF-16).
const maxPropertyName = 762

// wellKnown are the names that have the same id in every mailbox.
type wellKnown struct {
	ids   map[mapi.PropertyName]uint16
	names []mapi.PropertyName
}

func newWellKnown() wellKnown {
	w := wellKnown{map[mapi.PropertyName]uint16{}, mapi.WellKnownNames()}
	for i, n := range w.names {
		w.ids[n] = uint16(mapi.FirstNamedID + i)
	}
	return w
}

// id returns the id of a name that needs no mailbox.
func (w *wellKnown) id(n mapi.PropertyName) (uint16, bool) {
	if n.Set == mapi.PSMAPI.GUID() && n.Name == "" && n.LID < mapi.FirstNamedID {
		return uint16(n.LID), true
	}
	id, ok := w.ids[n]
	return id, ok
}

// PropertyIDs returns the ids of named properties, 0 for a name that has none
// in this mailbox.
func (v *View) PropertyIDs(ctx context.Context, names []mapi.PropertyName) ([]uint16, error) {
	return propertyIDs(ctx, v.snap, v.m.box, names)
}

func propertyIDs(ctx context.Context, r kv.Reader, b *box, names []mapi.PropertyName) ([]uint16, error) {
	ids := make([]uint16, len(names))
	var keys [][]byte
	var at []int
	for i, n := range names {
		var ok bool
		if ids[i], ok = b.db.wellKnown.id(n); !ok {
			keys, at = append(keys, b.num.PropByName(layout.FoldProperty(n))), append(at, i)
		}
	}
	if len(keys) == 0 {
		return ids, nil
	}
	vals, err := r.GetMany(ctx, keys)
	if err != nil {
		return nil, wrap("store.names", "mailbox", err)
	}
	for i, v := range vals {
		if len(v) == 3 {
			ids[at[i]] = binary.BigEndian.Uint16(v[1:])
		}
	}
	return ids, nil
}

// PropertyIDs returns the ids of named properties; names the mailbox does not
// know get one. KindQuota when there are no more ids.
func (m *Mailbox) PropertyIDs(ctx context.Context, names []mapi.PropertyName) ([]uint16, error) {
	for _, n := range names {
		if len(n.Name) > maxPropertyName || n.Name != "" && n.LID != 0 {
			return nil, model.E("store.names", model.KindInvalid, "property name", nil)
		}
	}
	ids, err := propertyIDs(ctx, m.db.kv, m.box, names)
	if err != nil {
		return nil, err
	}
	missing := 0
	for _, id := range ids {
		if id == 0 {
			missing++
		}
	}
	if missing == 0 {
		return ids, wrap("store.names", "mailbox", m.durable(ctx, ^kv.Sequence(0)))
	}
	if m.caller != nil && m.caller.SID == nil {
		return nil, model.E("store.names", model.KindPermission, "mailbox", nil)
	}
	err = m.update(ctx, "store.names", func(t *txn) (err error) {
		ids, err = t.addNames(names)
		return err
	})
	return ids, err
}

func (t *txn) addNames(names []mapi.PropertyName) ([]uint16, error) {
	m := t.m
	ids, err := propertyIDs(t.ctx, m.db.kv, m.box, names)
	if err != nil {
		return nil, err
	}
	next, err := t.lastName()
	if err != nil {
		return nil, err
	}
	added := map[mapi.PropertyName]uint16{}
	for i, n := range names {
		if ids[i] != 0 {
			continue
		}
		n = layout.FoldProperty(n)
		if id, ok := added[n]; ok {
			ids[i] = id
			continue
		}
		if next >= mapi.LastNamedID {
			return nil, model.E("store.names", model.KindQuota, "named properties", nil)
		}
		next++
		ids[i], added[n] = next, next
		t.b.Set(m.num.NamedProp(next), layout.EncodeName(n))
		t.b.Set(m.num.PropByName(n), binary.BigEndian.AppendUint16([]byte{1}, next))
	}
	return ids, nil
}

// lastName returns the highest id in use, or the one before the first.
func (t *txn) lastName() (uint16, error) {
	p := t.m.num.Key(layout.SubNamedProp)
	it := t.m.db.kv.Scan(t.ctx, kv.Range{Lower: p, Upper: layout.PrefixEnd(p), Reverse: true, Limit: 1})
	last := uint16(mapi.FirstFreeNamedID - 1)
	for it.Next() {
		if k := it.Key(); len(k) == len(p)+2 {
			last = binary.BigEndian.Uint16(k[len(p):])
		}
	}
	return last, wrap("store.names", "mailbox", it.Close())
}

// PropertyNames returns the names of ids; the zero name where there is none.
func (v *View) PropertyNames(ctx context.Context, ids []uint16) ([]mapi.PropertyName, error) {
	names := make([]mapi.PropertyName, len(ids))
	var keys [][]byte
	var at []int
	known := v.m.db.wellKnown.names
	for i, id := range ids {
		switch k := int(id) - mapi.FirstNamedID; {
		case k < 0:
			names[i] = mapi.PropertyName{Set: mapi.PSMAPI.GUID(), LID: uint32(id)}
		case k < len(known):
			names[i] = known[k]
		default:
			keys, at = append(keys, v.m.num.NamedProp(id)), append(at, i)
		}
	}
	vals, err := v.snap.GetMany(ctx, keys)
	if err != nil {
		return nil, wrap("store.names", "mailbox", err)
	}
	for i, b := range vals {
		if b == nil {
			continue
		}
		if names[at[i]], err = layout.DecodeName(b); err != nil {
			return nil, err
		}
	}
	return names, nil
}
