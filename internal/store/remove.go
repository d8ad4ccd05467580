package store

import (
	"context"
	"slices"
	"time"

	"rialto/internal/model"
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
		var kept []*State
		for _, s := range states {
			if want(s) {
				kept = append(kept, s)
			}
		}
		t.b.Reclaim()
		n, err := t.eachFull(kept, false, func(it *fullItem) error {
			_, err := t.rekey(it, Place{folder, Deleted, uint64(it.state.Row)})
			out = append(out, it.state.UID())
			return err
		})
		if err != nil || n == len(kept) {
			return len(states), err
		}
		return slices.Index(states, kept[n]), nil
	})
	return out, err
}

// logDeleted writes the mailbox's log entry of an item that nobody sees any
// more but who looks at recoverable items.
func (t *txn) logDeleted(s *State, class string) {
	c := Change{Folder: s.Place.Folder, OID: s.OID, MID: s.MID, Row: s.Row, UID: s.Origin, Created: s.Created, Class: class}
	t.b.Set(t.m.num.logKey(s.Seq, ChangeItem), append([]byte{byte(ChangeGone)}, c.encode()...))
}

// Recover brings recoverable items back into their folder, as new UIDs.
func (m *Mailbox) Recover(ctx context.Context, folder FolderID, rows []RowID) ([]Copied, error) {
	var out []Copied
	err := m.update(ctx, "store.recover", func(t *txn) error {
		states, err := m.deletedStates(ctx, folder, rows)
		if err != nil {
			return err
		}
		items, err := readFull(ctx, m.db.kv, m.num, states, false)
		if err != nil {
			return err
		}
		for _, it := range items {
			n, err := t.nextUID(folder)
			if err != nil {
				return err
			}
			s, err := t.rekey(it, Place{folder, Normal, uint64(n)})
			if err != nil {
				return err
			}
			out = append(out, Copied{it.state.Origin, s.UID(), s.OID})
		}
		return nil
	})
	return out, err
}

func (m *Mailbox) deletedStates(ctx context.Context, folder FolderID, rows []RowID) ([]*State, error) {
	if len(rows) > chunkItems {
		return nil, model.E("store.recover", model.KindTooLarge, "too many items at once", nil)
	}
	keys := make([][]byte, len(rows))
	for i, r := range rows {
		keys[i] = m.num.place(subState, Place{folder, Deleted, uint64(r)})
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
		if err := s.decode(Place{folder, Deleted, uint64(rows[i])}, v); err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, nil
}

// Purge drops for good the recoverable items of a folder that were deleted
// before the given time, in chunks, and returns how many.
func (m *Mailbox) Purge(ctx context.Context, folder FolderID, before time.Time) (int, error) {
	n, from := 0, uint64(1)
	for from != 0 {
		err := m.update(ctx, "store.purge", func(t *txn) error {
			var states []*State
			start := from
			from = 0
			err := scanStates(ctx, m.db.kv, m.num, folder, Deleted, start, 1<<48-1, 0, func(s *State) bool {
				if len(states) == chunkItems {
					from = s.Place.N
					return false
				}
				if s.Deleted.Before(before) {
					c := *s
					states = append(states, &c)
				}
				return true
			})
			if err != nil {
				return err
			}
			n += len(states)
			return t.removeItems(states)
		})
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// removeItems drops every row of recoverable items. Their log entries stay:
// they are tombstones already.
func (t *txn) removeItems(states []*State) error {
	if len(states) == 0 {
		return nil
	}
	t.b.Reclaim()
	items, err := readFull(t.ctx, t.m.db.kv, t.m.num, states, false)
	if err != nil {
		return err
	}
	t.nextSeq() // the counts change
	for _, it := range items {
		t.dropRows(it)
		if err := t.count(it.state, -1); err != nil {
			return err
		}
	}
	return nil
}

// dropRows removes an item's rows, names and references; not its log entries.
func (t *txn) dropRows(it *fullItem) {
	m, s, row := t.m.num, it.state, uint64(it.state.Row)
	t.b.Delete(m.place(subState, s.Place))
	t.b.Delete(m.place(subSummary, s.Place))
	t.b.Delete(m.id(subBag, row))
	t.b.Delete(m.id(subRecipients, row))
	t.b.Delete(m.id(subStream, row))
	for i := range it.attach {
		t.b.Delete(m.attachment(s.Row, uint32(i)))
	}
	t.dropIndexes(s, it.msgID, it.conv)
	for _, id := range it.ids {
		t.m.db.content.DropRef(t.b, id, uint32(m), row)
	}
}
