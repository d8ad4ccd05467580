package store

import (
	"context"
	"encoding/binary"

	"rialto/internal/kv"
	"rialto/internal/mapi"
	"rialto/internal/model"
	"rialto/internal/store/layout"
)

// ReadState is what one user has read in a folder that many share: the change
// numbers of the items as they were when they were read. An item that changes
// is unread again. It has a clock of its own, so that reading does not tick
// everybody's.
type ReadState struct {
	Seq  uint64 // grows with every change of this state
	Read *mapi.IDSet[mapi.ReplID]
}

const readStateVersion = 1

// ReadState returns what a user has read in a folder.
func (v *View) ReadState(ctx context.Context, user [16]byte, f FolderID) (ReadState, error) {
	if err := v.m.may("store.readstate", f, RightReadAny); err != nil {
		return ReadState{}, err
	}
	return readStateOf(ctx, v.snap, v.m.num, user, f)
}

func readStateOf(ctx context.Context, r kv.Reader, m layout.Number, user [16]byte, f FolderID) (ReadState, error) {
	st := ReadState{Read: &mapi.IDSet[mapi.ReplID]{}}
	vals, err := r.GetMany(ctx, [][]byte{m.ReadState(user, f)})
	if err != nil || vals[0] == nil {
		return st, wrap("store.readstate", "folder", err)
	}
	d := layout.NewReader(vals[0])
	if d.Byte() != readStateVersion {
		d.Bad = true
	}
	st.Seq = d.Uvarint()
	if err := d.Err("read state"); err != nil {
		return st, err
	}
	st.Read, err = mapi.DecodeIDSet[mapi.ReplID](d.B)
	return st, err
}

// MarkRead changes what a user has read: the change numbers of items as the
// user saw them. It returns the state as it is now.
func (m *Mailbox) MarkRead(ctx context.Context, user [16]byte, f FolderID, read, unread []CN) (st ReadState, err error) {
	if err := m.may("store.readstate", f, RightReadAny); err != nil {
		return st, err
	}
	err = m.update(ctx, "store.readstate", func(t *txn) error {
		if _, err := t.folder(f); err != nil {
			return err
		}
		if st, err = readStateOf(ctx, m.db.kv, m.num, user, f); err != nil {
			return err
		}
		for _, c := range read {
			st.Read.Add(mapi.ReplID(c.Replica), c.Counter)
		}
		var gone mapi.IDSet[mapi.ReplID]
		for _, c := range unread {
			gone.Add(mapi.ReplID(c.Replica), c.Counter)
		}
		st.Read.Subtract(&gone)
		st.Seq++
		v := st.Read.Append(binary.AppendUvarint([]byte{readStateVersion}, st.Seq))
		if len(v) > kv.MaxValue {
			return model.E("store.readstate", model.KindTooLarge, "read state", nil)
		}
		t.b.Set(m.num.ReadState(user, f), v)
		return nil
	})
	return st, err
}

// Has reports whether an item, as it is now, has been read.
func (r *ReadState) Has(s *State) bool {
	return r.Read.Contains(mapi.ReplID(s.CN.Replica), s.CN.Counter)
}
