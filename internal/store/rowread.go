package store

import (
	"context"

	"rialto/internal/kv"
	"rialto/internal/mapi"
)

// UIDSet is a set of UIDs as ascending, non-overlapping ranges, both ends
// included.
type UIDSet []UIDRange

// UIDRange is From to To, both included.
type UIDRange struct{ From, To UID }

// Contains reports whether u is in the set.
func (s UIDSet) Contains(u UID) bool {
	lo, hi := 0, len(s)
	for lo < hi {
		mid := (lo + hi) / 2
		if s[mid].To < u {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo < len(s) && s[lo].From <= u
}

// UIDs makes a set of single UIDs, which must ascend.
func UIDs(us ...UID) UIDSet {
	var s UIDSet
	for _, u := range us {
		if n := len(s); n > 0 && s[n-1].To+1 == u {
			s[n-1].To = u
		} else {
			s = append(s, UIDRange{u, u})
		}
	}
	return s
}

// scanStates calls fn for the state rows of a range, in order of UID or row id,
// until it returns false. The State is reused between calls.
func scanStates(ctx context.Context, r kv.Reader, m number, f FolderID, sp Space, from, to uint64, limit int, fn func(*State) bool) error {
	it := r.Scan(ctx, kv.Range{Lower: m.place(subState, Place{f, sp, from}), Upper: prefixEnd(m.place(subState, Place{f, sp, to})), Limit: limit})
	var s State
	for it.Next() {
		p, ok := parsePlace(it.Key())
		if !ok {
			it.Close()
			return corrupt("state key")
		}
		if err := s.decode(p, it.Value()); err != nil {
			it.Close()
			return err
		}
		if !fn(&s) {
			break
		}
	}
	return wrap("store.scan", "folder", it.Close())
}

// selected returns the states of the items of a set, at most limit, and the UID
// to go on from (0: all done).
func selected(ctx context.Context, r kv.Reader, m number, f FolderID, set UIDSet, from UID, limit int) (out []*State, next UID, err error) {
	for _, u := range set {
		if u.To < from {
			continue
		}
		err := scanStates(ctx, r, m, f, Normal, uint64(max(u.From, from)), uint64(u.To), limit+1-len(out), func(s *State) bool {
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

// fullItem is an item as it is stored.
type fullItem struct {
	state   *State
	summary []byte
	leaf    *leaf // nil if only the names were asked for
	msgID   string
	conv    []byte
	class   string
}

// part says how much of an item is read.
type part int

const (
	names part = iota // what finds it: for moving
	whole             // everything but embedded messages
)

// readFull reads items; two round trips for any number that has no attachments.
func readFull(ctx context.Context, r kv.Reader, m number, states []*State, what part) ([]*fullItem, error) {
	keys := make([][]byte, 0, len(states))
	for _, s := range states {
		keys = append(keys, m.place(subSummary, s.Place))
	}
	if what == whole {
		for _, s := range states {
			keys = append(keys, m.leafKeys(s.Row)...)
		}
	}
	vals, err := r.GetMany(ctx, keys)
	if err != nil {
		return nil, wrap("store.read", "item", err)
	}
	items := make([]*fullItem, len(states))
	for i, s := range states {
		it := &fullItem{state: s, summary: vals[i]}
		if err := it.interpret(); err != nil {
			return nil, err
		}
		if what == whole {
			at := len(states) + 3*i
			if it.leaf, err = makeLeaf(ctx, r, m, s.Row, vals[at:at+3], s.Flags&HasAttachments != 0); err != nil {
				return nil, err
			}
		}
		items[i] = it
	}
	return items, nil
}

// interpret finds the item's names in its summary.
func (it *fullItem) interpret() error {
	_, enc, err := splitSummary(it.summary)
	if err != nil {
		return err
	}
	props, err := mapi.DecodeProperties(enc)
	if err != nil {
		return err
	}
	it.msgID = props.Text(mapi.TagInternetMessageID)
	it.conv = props.Binary(mapi.TagConversationID)
	it.class = props.Text(mapi.TagMessageClass)
	return nil
}
