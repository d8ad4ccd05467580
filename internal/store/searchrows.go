package store

import (
	"context"

	"rialto/internal/kv"
	"rialto/internal/model"
	"rialto/internal/store/layout"
)

const (
	maxSearchRow = 128 << 10
)

// SetSearch makes a folder a search folder, or gives it another definition: it
// begins without members. A nil definition makes it an ordinary folder again.
func (m *Mailbox) SetSearch(ctx context.Context, f FolderID, definition []byte, start SearchState) error {
	if len(definition) > maxSearchRow {
		return model.E("store.search", model.KindTooLarge, "definition", nil)
	}
	if err := m.mayAll("store.search"); err != nil {
		return err
	}
	return m.update(ctx, "store.search", func(t *txn) error {
		if _, err := t.folder(f); err != nil && definition != nil {
			return err
		}
		p := m.num.ID(layout.SubSearch, uint64(f))
		if old, err := layout.ReadSearchState(ctx, m.db.kv, m.num, f); err == nil {
			start.Changes += old.Changes + 1 // readers of the old members notice
		} else if !model.IsKind(err, model.KindNotFound) {
			return err
		}
		t.b.DeleteRange(p, layout.PrefixEnd(p))
		if definition == nil {
			return nil
		}
		t.b.Set(m.num.Search(f, layout.SearchSlotDefinition), append([]byte{layout.SearchVersion}, definition...))
		start.Total, start.Unseen = 0, 0
		t.b.Set(m.num.Search(f, layout.SearchSlotState), start.Encode())
		return nil
	})
}

// AdvanceSearch puts members in and out and moves the state from one position
// to the next, in one batch. KindConflict: another has moved it meanwhile, and
// nothing was changed. Members that are there, or gone, already make no
// difference. At most chunkItems members.
func (m *Mailbox) AdvanceSearch(ctx context.Context, f FolderID, from, to SearchState, members []SearchMember) error {
	if len(members) > chunkItems {
		return model.E("store.search", model.KindTooLarge, "members", nil)
	}
	if err := m.mayAll("store.search"); err != nil {
		return err
	}
	return m.update(ctx, "store.search", func(t *txn) error {
		now, err := layout.ReadSearchState(ctx, m.db.kv, m.num, f)
		if err != nil {
			return err
		}
		if now != from {
			return model.E("store.search", model.KindConflict, "search folder", nil)
		}
		keys := make([][]byte, len(members))
		for i, x := range members {
			keys[i] = m.num.Member(f, x.OID)
		}
		old, err := m.db.kv.GetMany(ctx, keys)
		if err != nil {
			return wrap("store.search", "members", err)
		}
		to.Changes, to.Total, to.Unseen = now.Changes, now.Total, now.Unseen
		changed := false
		for i, x := range members {
			changed = to.Count(old[i], x) || changed
			if x.Gone {
				t.b.Delete(keys[i])
			} else {
				t.b.Set(keys[i], x.Encode())
			}
		}
		if changed {
			to.Changes++
		}
		t.b.Set(m.num.Search(f, layout.SearchSlotState), to.Encode())
		return nil
	})
}

// Search returns the definition and the state of a search folder, KindNotFound
// if the folder is none.
func (v *View) Search(ctx context.Context, f FolderID) (definition []byte, s SearchState, err error) {
	if err := v.m.may("store.search", f, RightReadAny); err != nil {
		return nil, s, err
	}
	if s, err = layout.ReadSearchState(ctx, v.snap, v.m.num, f); err != nil {
		return nil, s, err
	}
	b, err := v.snap.Get(ctx, v.m.num.Search(f, layout.SearchSlotDefinition))
	if err != nil {
		return nil, s, wrap("store.search", "definition", err)
	}
	if len(b) == 0 || b[0] != layout.SearchVersion {
		return nil, s, layout.Corrupt("search definition")
	}
	return b[1:], s, nil
}

// SearchMembers calls fn for the members of a search folder from an OID on,
// until it returns false.
func (v *View) SearchMembers(ctx context.Context, f FolderID, from OID, fn func(OID) bool) error {
	if err := v.m.may("store.search", f, RightReadAny); err != nil {
		return err
	}
	p := v.m.num.Search(f, layout.SearchSlotMember)
	it := v.snap.Scan(ctx, kv.Range{Lower: v.m.num.Member(f, from), Upper: layout.PrefixEnd(p)})
	for it.Next() {
		if len(it.Key()) != len(p)+6 {
			it.Close()
			return layout.Corrupt("search member")
		}
		if !fn(OID(layout.Get48(it.Key()[len(p):]))) {
			break
		}
	}
	return wrap("store.search", "members", it.Close())
}

// SearchHas reports which items are members of a search folder.
func (v *View) SearchHas(ctx context.Context, f FolderID, os []OID) ([]bool, error) {
	if err := v.m.may("store.search", f, RightReadAny); err != nil {
		return nil, err
	}
	keys, out := make([][]byte, len(os)), make([]bool, len(os))
	for i, o := range os {
		keys[i] = v.m.num.Member(f, o)
	}
	vals, err := v.snap.GetMany(ctx, keys)
	if err != nil {
		return nil, wrap("store.search", "members", err)
	}
	for i, b := range vals {
		out[i] = b != nil
	}
	return out, nil
}

// Searches returns the search folders of the mailbox, by id.
func (v *View) Searches(ctx context.Context) (out []FolderID, err error) {
	p := v.m.num.Key(layout.SubSearch)
	at := p
	for {
		it := v.snap.Scan(ctx, kv.Range{Lower: at, Upper: layout.PrefixEnd(p), Limit: 1})
		if !it.Next() {
			return out, wrap("store.search", "search folders", it.Close())
		}
		if len(it.Key()) < len(p)+7 {
			it.Close()
			return nil, layout.Corrupt("search folder key")
		}
		f := FolderID(layout.Get48(it.Key()[len(p):]))
		if err := it.Close(); err != nil {
			return nil, wrap("store.search", "search folders", err)
		}
		out, at = append(out, f), layout.PrefixEnd(v.m.num.ID(layout.SubSearch, uint64(f)))
	}
}
