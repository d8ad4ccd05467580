package store

import (
	"context"
	"errors"
	"slices"

	"rialto/internal/kv"
	"rialto/internal/store/layout"
)

// FlagChange says how the flags and keywords of items change. Set and Clear are
// applied to what is there, unless Replace says that Set and SetKeywords are
// all there shall be.
type FlagChange struct {
	Set, Clear     Flags
	SetKeywords    []string
	ClearKeywords  []string
	Replace        bool
	UnchangedSince Seq  // leave items alone that changed after it; 0 without Conditional
	Conditional    bool // whether UnchangedSince counts
}

// FlagResult is what became of a flag change.
type FlagResult struct {
	States   []*State // of all items that exist and passed the condition, as they are now
	Conflict []UID    // items that changed after UnchangedSince
}

// chunkItems is how many items one batch changes: more would hold the mailbox
// too long.
const chunkItems = 500

// SetFlags changes the flags of the items of a folder, in chunks; it returns
// when all is durable. Items that do not exist are passed over. When it fails
// midway the result tells what was done.
func (m *Mailbox) SetFlags(ctx context.Context, folder FolderID, set UIDSet, ch FlagChange) (FlagResult, error) {
	var res FlagResult
	if err := checkKeywords(ch.SetKeywords); err != nil {
		return res, err
	}
	ch.SetKeywords, ch.ClearKeywords = sortedKeywords(ch.SetKeywords), sortedKeywords(ch.ClearKeywords)
	err := m.inChunks(ctx, "store.flags", folder, set, func(t *txn, states []*State) (int, error) {
		return t.flagItems(states, &ch, &res)
	})
	return res, err
}

// flagItems changes the flags of items until the batch is full, and returns how
// many it has dealt with.
func (t *txn) flagItems(states []*State, ch *FlagChange, res *FlagResult) (int, error) {
	telling(t, &res.States)
	telling(t, &res.Conflict)
	for i, s := range states {
		if t.full() {
			return i, nil
		}
		if ch.Conditional && s.Seq > ch.UnchangedSince {
			res.Conflict = append(res.Conflict, s.UID())
			continue
		}
		anyone, own := RightEditAny, RightEditOwned
		if ch.onlyRead() {
			anyone = RightReadAny | RightEditAny
		}
		if err := t.m.mayItem("store.flags", s, anyone, own); err != nil {
			return i, err
		}
		if err := t.setFlags(s, ch); err != nil {
			return i, err
		}
		res.States = append(res.States, s)
	}
	return len(states), nil
}

// onlyRead reports whether the change is of the read state alone.
func (c *FlagChange) onlyRead() bool {
	return !c.Replace && (c.Set|c.Clear)&^Read == 0 && len(c.SetKeywords)+len(c.ClearKeywords) == 0
}

// full reports whether the batch should be ended before it breaks its limit.
func (t *txn) full() bool { return t.b.Size() > kv.MaxBatch-(1<<20) }

// inChunks runs fn on the items of a set, at most chunkItems to a batch. fn
// returns how many it has dealt with; the others come in the next batch.
func (m *Mailbox) inChunks(ctx context.Context, op string, folder FolderID, set UIDSet, fn func(*txn, []*State) (int, error)) error {
	for from := UID(1); from != 0; {
		err := m.update(ctx, op, func(t *txn) error {
			if _, err := t.folder(folder); err != nil {
				return err
			}
			states, next, err := layout.Selected(ctx, m.db.kv, m.num, folder, set, from, chunkItems)
			if err != nil {
				return err
			}
			n, err := fn(t, states)
			if from = next; err == nil && n < len(states) {
				from = states[n].UID()
			}
			return err
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

// setFlags applies ch to s and writes it if it changed.
func (t *txn) setFlags(s *State, ch *FlagChange) error {
	flags, kw := s.Flags, s.Keywords
	if ch.Replace {
		flags = flags&^layout.FlagsClient | ch.Set&layout.FlagsClient
		kw = ch.SetKeywords
	} else {
		flags = flags&^(ch.Clear&layout.FlagsClient) | ch.Set&layout.FlagsClient
		kw = mergeKeywords(kw, ch.SetKeywords, ch.ClearKeywords)
	}
	changed := flags ^ s.Flags
	if changed == 0 && slices.Equal(kw, s.Keywords) {
		return nil
	}
	if err := checkKeywords(kw); err != nil {
		return err
	}
	old := *s
	s.Seq = t.nextSeq()
	s.Flags, s.Keywords = flags, kw
	if changed&Read != 0 {
		s.ReadCN = CN{Replica: 1, Counter: uint64(s.Seq)}
	}
	if changed&^(Read|layout.FlagsSeqOnly) != 0 {
		s.CN, s.Modified, s.Foreign.ChangeKey = CN{Replica: 1, Counter: uint64(s.Seq)}, t.now, nil
	}
	t.b.Set(t.m.num.Place(layout.SubState, s.Place), s.Encode(make([]byte, 0, 64)))
	layout.LogItem(t.b, t.m.num, &old, s, 0)
	f, err := t.touch(s.Place.Folder)
	if err != nil {
		return err
	}
	switch {
	case changed&Read == 0 || s.Place.Space != Normal:
	case s.Flags&Read == 0:
		f.Counts.CountUnseen(s.UID(), 1)
	default:
		f.Counts.CountUnseen(s.UID(), -1)
	}
	return nil
}

func mergeKeywords(have, set, clear []string) []string {
	if len(set) == 0 && len(clear) == 0 {
		return have
	}
	out := make([]string, 0, len(have)+len(set))
	for _, k := range have {
		if _, gone := slices.BinarySearch(clear, k); !gone {
			out = append(out, k)
		}
	}
	return sortedKeywords(append(out, set...))
}

// readAtOnce is how many items' rows are in memory while they are copied.
const readAtOnce = 32

// errFull says that an item does not fit a batch any more; nothing of it was
// written.
var errFull = errors.New("store: the batch is full")

// eachFull calls fn with the rows of each item until the batch is full, and
// returns how many it has dealt with.
func (t *txn) eachFull(states []*State, what layout.Part, fn func(*layout.FullItem) error) (int, error) {
	for i := 0; i < len(states); i += readAtOnce {
		items, err := layout.ReadFull(t.ctx, t.m.db.kv, t.m.num, states[i:min(i+readAtOnce, len(states))], what)
		if err != nil {
			return i, err
		}
		for j, it := range items {
			if t.full() {
				return i + j, nil
			}
			if err := fn(it); err == errFull {
				return i + j, nil
			} else if err != nil {
				return i + j, err
			}
		}
	}
	return len(states), nil
}
