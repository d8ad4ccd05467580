package store

import (
	"context"

	"rialto/internal/store/layout"
)

// OIDs are operated on like UIDs; associated items have no other name that is
// theirs alone. Items that are not in the folder are passed over.

// itemsOf returns the states of those of the items that are in a folder.
func (t *txn) itemsOf(folder FolderID, oids []OID) ([]*State, error) {
	keys := make([][]byte, len(oids))
	for i, o := range oids {
		keys[i] = t.m.num.ID(layout.SubByOID, uint64(o))
	}
	vals, err := t.m.db.kv.GetMany(t.ctx, keys)
	if err != nil {
		return nil, wrap("store.find", "items", err)
	}
	var places []Place
	keys = keys[:0]
	for _, v := range vals {
		if v == nil {
			continue
		}
		p, err := layout.DecodePlace(v)
		if err != nil {
			return nil, err
		}
		if p.Folder == folder && p.Space != Deleted {
			places, keys = append(places, p), append(keys, t.m.num.Place(layout.SubState, p))
		}
	}
	if vals, err = t.m.db.kv.GetMany(t.ctx, keys); err != nil {
		return nil, wrap("store.find", "items", err)
	}
	var out []*State
	for i, v := range vals {
		s := new(State)
		if err := s.Decode(places[i], v); err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, nil
}

// inItems runs fn on items of a folder, at most chunkItems to a batch. fn
// returns how many it has dealt with; the others come in the next batch.
func (m *Mailbox) inItems(ctx context.Context, op string, folder FolderID, oids []OID, fn func(*txn, []*State) (int, error)) error {
	rest := dedupe(oids)
	for len(rest) > 0 {
		err := m.update(ctx, op, func(t *txn) error {
			if _, err := t.folder(folder); err != nil {
				return err
			}
			chunk := rest[:min(len(rest), chunkItems)]
			states, err := t.itemsOf(folder, chunk)
			if err != nil {
				return err
			}
			n, err := fn(t, states)
			if err != nil {
				return err
			}
			rest = rest[len(chunk):]
			for _, s := range states[n:] {
				rest = append(rest, s.OID)
			}
			return nil
		})
		if err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return wrap(op, "folder", err)
		}
	}
	return nil
}

func dedupe(oids []OID) []OID {
	seen := make(map[OID]bool, len(oids))
	out := make([]OID, 0, len(oids))
	for _, o := range oids {
		if !seen[o] {
			seen[o] = true
			out = append(out, o)
		}
	}
	return out
}

// SetItemFlags is SetFlags by OID.
func (m *Mailbox) SetItemFlags(ctx context.Context, folder FolderID, oids []OID, ch FlagChange) (res FlagResult, err error) {
	if err := checkKeywords(ch.SetKeywords); err != nil {
		return res, err
	}
	ch.SetKeywords, ch.ClearKeywords = sortedKeywords(ch.SetKeywords), sortedKeywords(ch.ClearKeywords)
	err = m.inItems(ctx, "store.flags", folder, oids, func(t *txn, states []*State) (int, error) {
		return t.flagItems(states, &ch, &res)
	})
	return res, err
}

// CopiedItem pairs an item with what became of it.
type CopiedItem struct {
	From OID
	To   State
}

func copiedItem(from, now *State) CopiedItem { return CopiedItem{from.OID, *now} }

// CopyItems is Copy by OID; associated items stay associated.
func (m *Mailbox) CopyItems(ctx context.Context, folder FolderID, oids []OID, to FolderID) (out []CopiedItem, err error) {
	if err := m.may("store.copy", folder, RightReadAny); err != nil {
		return nil, err
	}
	if err := m.may("store.copy", to, RightCreate); err != nil {
		return nil, err
	}
	err = m.inItems(ctx, "store.copy", folder, oids, putting(&out, layout.Whole, (*txn).copyItem, to, copiedItem))
	return out, err
}

// MoveItems is Move by OID; associated items stay associated.
func (m *Mailbox) MoveItems(ctx context.Context, folder FolderID, oids []OID, to FolderID) (out []CopiedItem, err error) {
	if err := m.may("store.move", to, RightCreate); err != nil {
		return nil, err
	}
	err = m.inItems(ctx, "store.move", folder, oids, putting(&out, layout.Names, (*txn).moveItem, to, copiedItem))
	return out, err
}

// DeleteItems removes items by OID and returns how many. Soft deletion keeps
// normal items recoverable; associated ones, and all with hard, are gone.
func (m *Mailbox) DeleteItems(ctx context.Context, folder FolderID, oids []OID, hard bool) (n int, err error) {
	return m.deleteItems(ctx, folder, oids, hard, func(*State) bool { return true })
}

// deleteItems is DeleteItems of those items that are as wanted.
func (m *Mailbox) deleteItems(ctx context.Context, folder FolderID, oids []OID, hard bool, want func(*State) bool) (n int, err error) {
	err = m.inItems(ctx, "store.delete", folder, oids, func(t *txn, states []*State) (int, error) {
		t.b.Reclaim()
		before := n
		t.undo = append(t.undo, func() { n = before })
		for _, s := range states {
			if err := m.mayItem("store.delete", s, RightDeleteAny, RightDeleteOwned); err != nil {
				return 0, err
			}
		}
		return t.eachFull(states, layout.Whole, func(it *layout.FullItem) error {
			if !want(it.State) {
				return nil
			}
			n++
			if !hard && it.State.Place.Space == Normal {
				_, err := t.rekey(it, Place{Folder: folder, Space: Deleted, N: uint64(it.State.Row)})
				return err
			}
			return t.removeItem(it)
		})
	})
	return n, err
}

// removeItem drops a live item for good.
func (t *txn) removeItem(it *layout.FullItem) error {
	at := t.nextSeq()
	layout.LogGone(t.b, t.m.num, it.State, at, it.Class)
	s := *it.State
	s.Seq = at
	layout.LogDeleted(t.b, t.m.num, &s, it.Class)
	if err := t.dropRows(it); err != nil {
		return err
	}
	return t.count(it.State, -1)
}

// moveItem moves an item within the mailbox.
func (t *txn) moveItem(it *layout.FullItem, to FolderID) (*State, error) {
	if err := t.m.mayItem("store.move", it.State, RightDeleteAny, RightDeleteOwned); err != nil {
		return nil, err
	}
	p, err := t.placeIn(to, it.State)
	if err != nil {
		return nil, err
	}
	return t.rekey(it, p)
}

// placeIn draws a place in a folder for an item as it is.
func (t *txn) placeIn(to FolderID, s *State) (Place, error) {
	if s.Place.Space == Associated {
		if _, err := t.edit(to); err != nil {
			return Place{}, err
		}
		return Place{Folder: to, Space: Associated, N: uint64(s.Row)}, nil
	}
	n, err := t.nextUID(to)
	return Place{Folder: to, Space: Normal, N: uint64(n)}, err
}
