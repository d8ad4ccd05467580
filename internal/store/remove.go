package store

import (
	"context"
	"slices"
	"time"

	"rialto/internal/store/layout"
)

// Delete removes items from a folder. They stay recoverable until Purge. Items
// that do not exist are passed over. It returns the UIDs removed.
func (m *Mailbox) Delete(ctx context.Context, folder FolderID, set UIDSet) ([]UID, error) {
	return m.deleteIf(ctx, folder, set, func(*State) bool { return true })
}

// Expunge is Delete of those items that carry IMAP's \Deleted.
func (m *Mailbox) Expunge(ctx context.Context, folder FolderID, set UIDSet) ([]UID, error) {
	return m.deleteIf(ctx, folder, set, func(s *State) bool { return s.Flags&DeletedMark != 0 })
}

func (m *Mailbox) deleteIf(ctx context.Context, folder FolderID, set UIDSet, want func(*State) bool) ([]UID, error) {
	var out []UID
	err := m.inChunks(ctx, "store.delete", folder, set, func(t *txn, states []*State) (int, error) {
		telling(t, &out)
		var kept []*State
		for _, s := range states {
			if !want(s) {
				continue
			}
			if err := m.mayItem("store.delete", s, RightDeleteAny, RightDeleteOwned); err != nil {
				return 0, err
			}
			kept = append(kept, s)
		}
		t.b.Reclaim()
		n, err := t.eachFull(kept, layout.Names, func(it *layout.FullItem) error {
			_, err := t.rekey(it, Place{Folder: folder, Space: Deleted, N: uint64(it.State.Row)})
			out = append(out, it.State.UID())
			return err
		})
		if err != nil || n == len(kept) {
			return len(states), err
		}
		return slices.Index(states, kept[n]), nil
	})
	return out, err
}

// Recover brings recoverable items back into their folder, as new UIDs and
// OIDs (clients were told that the old ones are gone), in chunks. Items that do not exist are passed over.
func (m *Mailbox) Recover(ctx context.Context, folder FolderID, rows []RowID) ([]Copied, error) {
	var out []Copied
	if err := m.may("store.recover", folder, RightOwner|RightDeleteAny); err != nil {
		return nil, err
	}
	rest := slices.Compact(slices.Sorted(slices.Values(rows)))
	for len(rest) > 0 {
		err := m.update(ctx, "store.recover", func(t *txn) error {
			states, err := m.deletedStates(ctx, folder, rest[:min(len(rest), chunkItems)])
			if err != nil {
				return err
			}
			telling(t, &out)
			n, err := t.eachFull(states, layout.Names, func(it *layout.FullItem) error {
				if err := t.room(it.State.Size); err != nil {
					return err
				}
				n, err := t.nextUID(folder)
				if err != nil {
					return err
				}
				s, err := t.rekey(it, Place{Folder: folder, Space: Normal, N: uint64(n)})
				if err == nil {
					out = append(out, Copied{it.State.Origin, s.UID(), s.OID})
				}
				return err
			})
			if err != nil {
				return err
			}
			if n == len(states) {
				rest = rest[min(len(rest), chunkItems):]
			} else {
				rest = rest[slices.Index(rest, states[n].Row):]
			}
			return nil
		})
		if err != nil {
			return out, err
		}
	}
	return out, nil
}

func (m *Mailbox) deletedStates(ctx context.Context, folder FolderID, rows []RowID) ([]*State, error) {
	keys := make([][]byte, len(rows))
	for i, r := range rows {
		keys[i] = m.num.Place(layout.SubState, Place{Folder: folder, Space: Deleted, N: uint64(r)})
	}
	vals, err := m.db.kv.GetMany(ctx, keys)
	if err != nil {
		return nil, wrap("store.recover", "items", err)
	}
	var out []*State
	for i, v := range vals {
		if v == nil {
			continue
		}
		s := new(State)
		if err := s.Decode(Place{Folder: folder, Space: Deleted, N: uint64(rows[i])}, v); err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, nil
}

// Purge drops for good the recoverable items of a folder that were deleted
// before the given time, in chunks, and returns how many.
func (m *Mailbox) Purge(ctx context.Context, folder FolderID, before time.Time) (int, error) {
	total := 0
	if err := m.may("store.purge", folder, RightOwner|RightDeleteAny); err != nil {
		return 0, err
	}
	for from := uint64(1); from != 0; {
		n := 0
		err := m.update(ctx, "store.purge", func(t *txn) error {
			states, next, err := t.due(folder, from, before)
			if err != nil {
				return err
			}
			if n, err = t.removeItems(states); err != nil {
				return err
			}
			if from = next; n < len(states) {
				from = states[n].Place.N
			}
			return nil
		})
		if err != nil {
			return total, err
		}
		total += n
	}
	return total, nil
}

// maxLooked is how many recoverable items are looked at under the lock.
const maxLooked = 5000

// due returns recoverable items from row id from on that were deleted before a
// time, and where to go on, 0 at the end.
func (t *txn) due(folder FolderID, from uint64, before time.Time) (states []*State, next uint64, err error) {
	looked := 0
	err = layout.ScanStates(t.ctx, t.m.db.kv, t.m.num, folder, Deleted, from, layout.MaxN, 0, func(s *State) bool {
		if len(states) == chunkItems || looked == maxLooked {
			next = s.Place.N
			return false
		}
		looked++
		if s.Deleted.Before(before) {
			c := *s
			states = append(states, &c)
		}
		return true
	})
	return states, next, err
}

// removeItems drops every row of recoverable items, as many as the batch holds,
// and returns how many. Their log entries stay: they are tombstones already.
func (t *txn) removeItems(states []*State) (int, error) {
	if len(states) == 0 {
		return 0, nil
	}
	t.b.Reclaim()
	t.nextSeq() // the counts change
	return t.eachFull(states, layout.Whole, func(it *layout.FullItem) error {
		if err := t.dropRows(it); err != nil {
			return err
		}
		return t.count(it.State, -1)
	})
}

// dropRows removes an item's rows, names and references; not its log entries.
func (t *txn) dropRows(it *layout.FullItem) error {
	m, s := t.m.num, it.State
	t.b.Delete(m.Place(layout.SubState, s.Place))
	t.b.Delete(m.Place(layout.SubSummary, s.Place))
	t.dropIndexes(s, it.MessageID, it.Conversation)
	if err := t.dropRendering(s.Row); err != nil {
		return err
	}
	return t.dropLeaf(t.m.db.kv, s.Row, it.Leaf, 0)
}
