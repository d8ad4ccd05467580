package layout

import (
	"context"
	"encoding/binary"
	"errors"

	"rialto/internal/kv"
	"rialto/internal/model"
	"rialto/internal/store/content"
)

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

// Rows of a search folder, below 28 folder6:
//
//	00        definition; opaque to the store
//	01        how far it has come: SearchState
//	02 oid6   a member, with a bit for read
const (
	SearchVersion        = 1
	SearchSlotDefinition = 0
	SearchSlotState      = 1
	SearchSlotMember     = 2
)

// Encode returns the state row of a search folder.
func (s *SearchState) Encode() []byte {
	b := []byte{SearchVersion, 0}
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
	d := NewReader(b)
	if d.Byte() != SearchVersion {
		d.Bad = true
	}
	s := SearchState{Busy: d.Byte() != 0, Position: Seq(d.Uvarint())}
	s.Filling = Place{FolderID(d.Uvarint()), Space(d.Uvarint()), d.Uvarint()}
	s.Changes, s.Total, s.Unseen = d.Uvarint(), uint32(d.Uvarint()), uint32(d.Uvarint())
	return s, d.Err("search folder")
}

// Encode returns the value of a member.
func (x SearchMember) Encode() []byte {
	if x.Read {
		return []byte{SearchVersion, 1}
	}
	return []byte{SearchVersion, 0}
}

// Count counts a member in or out and reports whether the set has changed.
func (s *SearchState) Count(old []byte, x SearchMember) bool {
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

// ReadSearchState reads the state of a search folder, KindNotFound if it is none.
func ReadSearchState(ctx context.Context, r kv.Reader, m Number, f FolderID) (SearchState, error) {
	b, err := r.Get(ctx, m.Search(f, SearchSlotState))
	if errors.Is(err, kv.ErrNotFound) {
		return SearchState{}, model.E("store.search", model.KindNotFound, "search folder", nil)
	}
	if err != nil {
		return SearchState{}, content.Wrap("store.search", "search folder", err)
	}
	return decodeSearchState(b)
}
