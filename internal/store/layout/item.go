package layout

import (
	"context"

	"rialto/internal/kv"
	"rialto/internal/mapi"
	"rialto/internal/store/content"
)

// PutRows writes the two rows of an item where it is.
func PutRows(b kv.Batch, m Number, s *State, summary []byte) {
	b.Set(m.Place(SubState, s.Place), s.Encode(make([]byte, 0, 64)))
	b.Set(m.Place(SubSummary, s.Place), summary)
}

// PutIndexes writes what finds the item by its names.
func PutIndexes(b kv.Batch, m Number, s *State, msgID string, conv []byte) {
	place := EncodePlace(s.Place)
	b.Set(m.ID(SubByOID, uint64(s.OID)), place)
	b.Set(m.ID(SubByMID, uint64(s.MID)), place)
	if s.Foreign.SourceKey != nil {
		b.Set(m.SourceKey(s.Foreign.SourceKey), place)
	}
	if msgID != "" {
		b.Set(m.Hashed(SubByMessageID, MessageIDHash(msgID), uint64(s.OID)), nil)
	}
	if len(conv) == 16 {
		b.Set(m.Hashed(SubConversation, [16]byte(conv), uint64(s.OID)), nil)
	}
	if s.Place.Space == Normal {
		b.Set(m.ByTime(s.Place.Folder, mapi.FileTime(s.Time), s.OID), EncodeTimed(s.UID()))
	}
}

// DropIndexes removes what PutIndexes wrote.
func DropIndexes(b kv.Batch, m Number, s *State, msgID string, conv []byte) {
	b.Delete(m.ID(SubByOID, uint64(s.OID)))
	b.Delete(m.ID(SubByMID, uint64(s.MID)))
	if s.Foreign.SourceKey != nil {
		b.Delete(m.SourceKey(s.Foreign.SourceKey))
	}
	if msgID != "" {
		b.Delete(m.Hashed(SubByMessageID, MessageIDHash(msgID), uint64(s.OID)))
	}
	if len(conv) == 16 {
		b.Delete(m.Hashed(SubConversation, [16]byte(conv), uint64(s.OID)))
	}
	if s.Place.Space == Normal {
		b.Delete(m.ByTime(s.Place.Folder, mapi.FileTime(s.Time), s.OID))
	}
}

// ScanStates calls fn for the state rows of a range, in order of UID or row id,
// until it returns false. The State is reused between calls.
func ScanStates(ctx context.Context, r kv.Reader, m Number, f FolderID, sp Space, from, to uint64, limit int, fn func(*State) bool) error {
	span := m.Places(SubState, Place{f, sp, from}, Place{f, sp, to})
	span.Limit = limit
	it := r.Scan(ctx, span)
	var s State
	for it.Next() {
		p, ok := ParsePlace(it.Key())
		if !ok {
			it.Close()
			return Corrupt("state key")
		}
		if err := s.Decode(p, it.Value()); err != nil {
			it.Close()
			return err
		}
		if !fn(&s) {
			break
		}
	}
	return content.Wrap("store.scan", "folder", it.Close())
}

// Selected returns the states of the items of a set, at most limit, and the UID
// to go on from (0: all done).
func Selected(ctx context.Context, r kv.Reader, m Number, f FolderID, set UIDSet, from UID, limit int) (out []*State, next UID, err error) {
	for _, u := range set {
		if u.To < from {
			continue
		}
		err := ScanStates(ctx, r, m, f, Normal, uint64(max(u.From, from)), uint64(u.To), limit+1-len(out), func(s *State) bool {
			if len(out) == limit {
				next = s.UID()
				return false
			}
			c := *s
			out = append(out, &c)
			return true
		})
		if err != nil || next != 0 {
			return out, next, err
		}
		if from = u.To + 1; from == 0 {
			break // it was the highest UID
		}
	}
	return out, 0, nil
}

// ItemRow is an item where its rows stand. Summary and Bag are encoded properties
// (mapi.Lookup), empty if there are none or they were not asked for.
type ItemRow struct {
	Place   Place
	State   *State // nil if not asked for
	Summary []byte
	Bag     []byte
	Columns []mapi.Raw // values of properties asked for by tag, in that order
}

// FullItem is an item as it is stored.
type FullItem struct {
	State        *State
	Summary      []byte
	Leaf         *Leaf // nil if only the names were asked for
	MessageID    string
	Conversation []byte
	Class        string
}

// Part says how much of an item is read.
type Part int

// How much of an item is read.
const (
	Names Part = iota // what finds it: for moving
	Whole             // everything but embedded messages
)

// ReadFull reads items; two round trips for any number that has no attachments.
func ReadFull(ctx context.Context, r kv.Reader, m Number, states []*State, what Part) ([]*FullItem, error) {
	keys := make([][]byte, 0, len(states))
	for _, s := range states {
		keys = append(keys, m.Place(SubSummary, s.Place))
	}
	if what == Whole {
		for _, s := range states {
			keys = append(keys, m.LeafKeys(s.Row)...)
		}
	}
	vals, err := r.GetMany(ctx, keys)
	if err != nil {
		return nil, content.Wrap("store.read", "item", err)
	}
	items := make([]*FullItem, len(states))
	for i, s := range states {
		it := &FullItem{State: s, Summary: vals[i]}
		if err := it.Interpret(); err != nil {
			return nil, err
		}
		if what == Whole {
			at := len(states) + 3*i
			if it.Leaf, err = MakeLeaf(ctx, r, m, s.Row, vals[at:at+3], s.Flags&HasAttachments != 0); err != nil {
				return nil, err
			}
		}
		items[i] = it
	}
	return items, nil
}

// Interpret finds the item's names in its summary.
func (it *FullItem) Interpret() error {
	_, enc, err := SplitSummary(it.Summary)
	if err != nil {
		return err
	}
	props, err := mapi.DecodeProperties(enc)
	if err != nil {
		return err
	}
	it.MessageID = props.Text(mapi.TagInternetMessageID)
	it.Conversation = props.Binary(mapi.TagConversationID)
	it.Class = props.Text(mapi.TagMessageClass)
	return nil
}
