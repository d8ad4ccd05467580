package store

import (
	"context"
	"time"

	"rialto/internal/kv"
	"rialto/internal/model"
	"rialto/internal/store/layout"
)

// Copied pairs an item with what became of it.
type Copied struct {
	From, To UID
	OID      OID
}

func copied(from, now *State) Copied { return Copied{from.UID(), now.UID(), now.OID} }

// putting is what a bulk operation does with a chunk of items: it puts each into
// a folder, and adds to out what pair makes of what it was and is.
func putting[T any](out *[]T, need layout.Part, put func(*txn, *layout.FullItem, FolderID) (*State, error), to FolderID,
	pair func(from, now *State) T) func(*txn, []*State) (int, error) {
	return func(t *txn, states []*State) (int, error) {
		telling(t, out)
		return t.eachFull(states, need, func(it *layout.FullItem) error {
			s, err := put(t, it, to)
			if err == nil {
				*out = append(*out, pair(it.State, s))
			}
			return err
		})
	}
}

// Copy copies items to a folder of the same mailbox, all or none up to
// chunkItems, then in chunks. Copies are new items that share the content.
func (m *Mailbox) Copy(ctx context.Context, folder FolderID, set UIDSet, to FolderID) ([]Copied, error) {
	var out []Copied
	if err := m.may("store.copy", folder, RightReadAny); err != nil {
		return nil, err
	}
	if err := m.may("store.copy", to, RightCreate); err != nil {
		return nil, err
	}
	err := m.inChunks(ctx, "store.copy", folder, m.upto(folder, set), putting(&out, layout.Whole, (*txn).copyItem, to, copied))
	return out, err
}

// upto bounds a set by the UIDs that exist now, so that copying a folder onto
// itself ends.
func (m *Mailbox) upto(folder FolderID, set UIDSet) UIDSet {
	m.mu.Lock()
	defer m.mu.Unlock()
	f := m.folders[folder]
	if f == nil {
		return nil
	}
	var out UIDSet
	for _, r := range set {
		if r.To = min(r.To, f.Counts.NextUID-1); r.From <= r.To {
			out = append(out, r)
		}
	}
	return out
}

func (t *txn) copyItem(it *layout.FullItem, to FolderID) (*State, error) {
	m := t.m.num
	if err := it.Leaf.Grow(t.ctx, t.m.db.kv, m, 0); err != nil {
		return nil, err
	}
	if t.b.Count() > 0 && t.b.Size()+rowsOfItem+len(it.Summary)+it.Leaf.Weight > kv.MaxBatch {
		return nil, errFull
	}
	place, err := t.placeIn(to, it.State)
	if err != nil {
		return nil, err
	}
	if err := t.room(it.State.Size); err != nil {
		return nil, err
	}
	id, seq := t.nextID(), t.nextSeq()
	s := *it.State
	if s.Place = place; place.Space == Associated {
		s.Place.N = id
	}
	s.Flags &^= DeletedMark
	s.Seq, s.CN, s.ReadCN, s.Created = seq, CN{Replica: 1, Counter: uint64(seq)}, CN{Replica: 1, Counter: uint64(seq)}, seq
	s.Row, s.OID, s.MID = RowID(id), OID(id), MID(id)
	s.Foreign = Foreign{}
	t.putRows(&s, it.Summary)
	t.putLeaf(s.Row, it.Leaf)
	t.putIndexes(&s, it.MessageID, it.Conversation)
	layout.LogItem(t.b, m, nil, &s, 0)
	return &s, t.count(&s, 1)
}

// Move moves items to another folder of the mailbox: they keep their row and
// OID, and get a new MID and UID. Moving to the same folder gives new UIDs.
func (m *Mailbox) Move(ctx context.Context, folder FolderID, set UIDSet, to FolderID) ([]Copied, error) {
	var out []Copied
	if err := m.may("store.move", to, RightCreate); err != nil {
		return nil, err
	}
	err := m.inChunks(ctx, "store.move", folder, m.upto(folder, set), putting(&out, layout.Names, (*txn).moveItem, to, copied))
	return out, err
}

// nextUID draws a UID of a folder.
func (t *txn) nextUID(folder FolderID) (UID, error) {
	f, err := t.edit(folder)
	if err != nil {
		return 0, err
	}
	if f.Counts.NextUID == ^UID(0) {
		return 0, model.E("store.uid", model.KindQuota, "folder has used up its UIDs", nil)
	}
	f.Counts.NextUID++
	return f.Counts.NextUID - 1, nil
}

// rekey puts an item in another place: the one operation behind moves, soft
// deletion and recovery.
func (t *txn) rekey(it *layout.FullItem, to Place) (*State, error) { return t.rekeyAs(it, to, nil) }

// MoveAs is what a client that moved its own copy calls the moved item.
type MoveAs struct {
	MID     MID // reserved; 0: the next one
	Foreign Foreign
}

// MoveItem moves an item to another folder under a name that a client gave.
func (m *Mailbox) MoveItem(ctx context.Context, o OID, to FolderID, as MoveAs) (*State, error) {
	var out *State
	if err := m.may("store.move", to, RightCreate); err != nil {
		return nil, err
	}
	if err := as.Foreign.Check(); err != nil {
		return nil, err
	}
	err := m.update(ctx, "store.move", func(t *txn) error {
		s, err := t.stateOf(o)
		if err != nil {
			return err
		}
		if s.Place.Space == Deleted {
			return model.E("store.move", model.KindNotFound, "item", nil)
		}
		if err := m.mayItem("store.move", s, RightDeleteAny, RightDeleteOwned); err != nil {
			return err
		}
		if as.MID != 0 {
			if err := t.reserved(as.MID); err != nil {
				return err
			}
		}
		items, err := layout.ReadFull(ctx, m.db.kv, m.num, []*State{s}, layout.Names)
		if err != nil {
			return err
		}
		p, err := t.placeIn(to, s)
		if err == nil {
			out, err = t.rekeyAs(items[0], p, &as)
		}
		return err
	})
	return out, err
}

func (t *txn) rekeyAs(it *layout.FullItem, to Place, as *MoveAs) (*State, error) {
	m, old := t.m.num, *it.State
	layout.LogGone(t.b, m, &old, t.nextSeq(), it.Class)
	if err := t.count(&old, -1); err != nil {
		return nil, err
	}
	t.b.Delete(m.Place(layout.SubState, old.Place))
	t.b.Delete(m.Place(layout.SubSummary, old.Place))
	t.dropIndexes(&old, it.MessageID, it.Conversation)
	s := old
	s.Place, s.Seq = to, t.nextSeq()
	s.CN, s.ReadCN, s.Created = CN{Replica: 1, Counter: uint64(s.Seq)}, CN{Replica: 1, Counter: uint64(s.Seq)}, s.Seq
	s.MID = MID(t.nextID())
	s.Deleted, s.Origin, s.Foreign.ChangeKey = time.Time{}, 0, nil
	s.Foreign.SourceKey = nil // it named the item where it was; the new MID makes a new one
	if old.Place.Space == Deleted && to.Space != Deleted {
		s.OID = OID(t.nextID())
		layout.LogDeleted(t.b, t.m.num, &old, it.Class) // the former one is gone for good
	}
	if to.Folder != old.Place.Folder || to.Space != old.Place.Space {
		s.Foreign.Href = "" // it may be taken where the item comes to
	}
	if as != nil {
		if s.Foreign = as.Foreign; as.MID != 0 {
			s.MID = as.MID
		}
	}
	switch {
	case to.Space == Deleted && old.Place.Space == Deleted:
		s.Deleted, s.Origin = old.Deleted, old.Origin
	case to.Space == Deleted:
		s.Deleted, s.Origin = t.now, old.UID()
	}
	t.putRows(&s, it.Summary)
	t.putIndexes(&s, it.MessageID, it.Conversation)
	if to.Space == Deleted {
		layout.LogDeleted(t.b, t.m.num, &s, it.Class)
	} else {
		layout.LogItem(t.b, m, nil, &s, old.Place.Folder)
	}
	return &s, t.count(&s, 1)
}
