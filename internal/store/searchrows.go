package store

import (
	"context"
	"encoding/binary"
	"errors"

	"rialto/internal/kv"
	"rialto/internal/model"
)

// Rows of a search folder, below 28 folder6:
//
//	00        definition; opaque to the store
//	01        how far it has come: SearchState
//	02 oid6   a member, with a bit for read

// SearchState is how far a search folder has come.
type SearchState struct {
	// Position is the seq of the mailbox that the members answer to.
	Position Seq
	// Filling is the place in the mailbox from which the first filling goes on:
	// folder and item; zero when it is done.
	Filling Place
	Busy    bool // the first filling is not done
	// Changes counts how often the members have changed.
	Changes uint64
	Total   uint32
	Unseen  uint32
}

// SearchMember is an item found, or lost.
type SearchMember struct {
	OID  OID
	Read bool
	Gone bool
}

const (
	searchVersion    = 1
	searchDefinition = 0
	searchState      = 1
	searchMember     = 2
	maxSearchRow     = 128 << 10
)

func (m number) search(f FolderID, slot byte) []byte {
	return append(m.id(subSearch, uint64(f)), slot)
}

func (m number) member(f FolderID, o OID) []byte {
	return append48(m.search(f, searchMember), uint64(o))
}

func (s *SearchState) encode() []byte {
	b := []byte{searchVersion, 0}
	if s.Busy {
		b[1] = 1
	}
	for _, v := range []uint64{uint64(s.Position), uint64(s.Filling.Folder), uint64(s.Filling.Space), s.Filling.N,
		s.Changes, uint64(s.Total), uint64(s.Unseen)} {
		b = binary.AppendUvarint(b, v)
	}
	return b
}

func decodeSearchState(b []byte) (SearchState, error) {
	d := newReader(b)
	if d.Byte() != searchVersion {
		d.Bad = true
	}
	s := SearchState{Busy: d.Byte() != 0, Position: Seq(d.Uvarint())}
	s.Filling = Place{FolderID(d.Uvarint()), Space(d.Uvarint()), d.Uvarint()}
	s.Changes, s.Total, s.Unseen = d.Uvarint(), uint32(d.Uvarint()), uint32(d.Uvarint())
	return s, d.err("search folder")
}

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
		p := m.num.id(subSearch, uint64(f))
		if old, err := readSearchState(ctx, m.db.kv, m.num, f); err == nil {
			start.Changes += old.Changes + 1 // readers of the old members notice
		} else if !model.IsKind(err, model.KindNotFound) {
			return err
		}
		t.b.DeleteRange(p, prefixEnd(p))
		if definition == nil {
			return nil
		}
		t.b.Set(m.num.search(f, searchDefinition), append([]byte{searchVersion}, definition...))
		start.Total, start.Unseen = 0, 0
		t.b.Set(m.num.search(f, searchState), start.encode())
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
		now, err := readSearchState(ctx, m.db.kv, m.num, f)
		if err != nil {
			return err
		}
		if now != from {
			return model.E("store.search", model.KindConflict, "search folder", nil)
		}
		keys := make([][]byte, len(members))
		for i, x := range members {
			keys[i] = m.num.member(f, x.OID)
		}
		old, err := m.db.kv.GetMany(ctx, keys)
		if err != nil {
			return wrap("store.search", "members", err)
		}
		to.Changes, to.Total, to.Unseen = now.Changes, now.Total, now.Unseen
		changed := false
		for i, x := range members {
			changed = to.count(old[i], x) || changed
			if x.Gone {
				t.b.Delete(keys[i])
			} else {
				t.b.Set(keys[i], x.encode())
			}
		}
		if changed {
			to.Changes++
		}
		t.b.Set(m.num.search(f, searchState), to.encode())
		return nil
	})
}

func (x SearchMember) encode() []byte {
	if x.Read {
		return []byte{searchVersion, 1}
	}
	return []byte{searchVersion, 0}
}

// count counts a member in or out and reports whether the set has changed.
func (s *SearchState) count(old []byte, x SearchMember) bool {
	was, wasUnseen := len(old) == 2, len(old) == 2 && old[1] == 0
	if was {
		s.Total--
	}
	if wasUnseen {
		s.Unseen--
	}
	if !x.Gone {
		s.Total++
	}
	if !x.Gone && !x.Read {
		s.Unseen++
	}
	return was == x.Gone
}

func readSearchState(ctx context.Context, r kv.Reader, m number, f FolderID) (SearchState, error) {
	b, err := r.Get(ctx, m.search(f, searchState))
	if errors.Is(err, kv.ErrNotFound) {
		return SearchState{}, model.E("store.search", model.KindNotFound, "search folder", nil)
	}
	if err != nil {
		return SearchState{}, wrap("store.search", "search folder", err)
	}
	return decodeSearchState(b)
}

// Search returns the definition and the state of a search folder, KindNotFound
// if the folder is none.
func (v *View) Search(ctx context.Context, f FolderID) (definition []byte, s SearchState, err error) {
	if err := v.m.may("store.search", f, RightReadAny); err != nil {
		return nil, s, err
	}
	if s, err = readSearchState(ctx, v.snap, v.m.num, f); err != nil {
		return nil, s, err
	}
	b, err := v.snap.Get(ctx, v.m.num.search(f, searchDefinition))
	if err != nil {
		return nil, s, wrap("store.search", "definition", err)
	}
	if len(b) == 0 || b[0] != searchVersion {
		return nil, s, corrupt("search definition")
	}
	return b[1:], s, nil
}

// SearchMembers calls fn for the members of a search folder from an OID on,
// until it returns false.
func (v *View) SearchMembers(ctx context.Context, f FolderID, from OID, fn func(OID) bool) error {
	if err := v.m.may("store.search", f, RightReadAny); err != nil {
		return err
	}
	p := v.m.num.search(f, searchMember)
	it := v.snap.Scan(ctx, kv.Range{Lower: v.m.num.member(f, from), Upper: prefixEnd(p)})
	for it.Next() {
		if len(it.Key()) != len(p)+6 {
			it.Close()
			return corrupt("search member")
		}
		if !fn(OID(get48(it.Key()[len(p):]))) {
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
		keys[i] = v.m.num.member(f, o)
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
	p := v.m.num.key(subSearch)
	at := p
	for {
		it := v.snap.Scan(ctx, kv.Range{Lower: at, Upper: prefixEnd(p), Limit: 1})
		if !it.Next() {
			return out, wrap("store.search", "search folders", it.Close())
		}
		if len(it.Key()) < len(p)+7 {
			it.Close()
			return nil, corrupt("search folder key")
		}
		f := FolderID(get48(it.Key()[len(p):]))
		if err := it.Close(); err != nil {
			return nil, wrap("store.search", "search folders", err)
		}
		out, at = append(out, f), prefixEnd(v.m.num.id(subSearch, uint64(f)))
	}
}
