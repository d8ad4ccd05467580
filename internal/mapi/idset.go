package mapi

import (
	"bytes"
	"encoding/binary"
	"slices"

	"rialto/internal/model"
)

// ReplID is the short number of a replica GUID in one mailbox (REPLID).
type ReplID uint16

// Replica is what tells apart the counters of an IDSet.
type Replica interface{ ReplID | model.GUID }

// IDSet is a set of ids or change numbers (IDSET, CNSET; MS-OXCFXICS 2.2.2.3 and
// 2.2.2.4): a set of counters for each replica, named by its GUID or its REPLID.
// The zero value is empty.
type IDSet[R Replica] struct {
	sets map[R]GlobSet
}

// Set returns the counters of one replica, which belong to s.
func (s *IDSet[R]) Set(r R) GlobSet { return s.sets[r] }

// Put replaces the counters of one replica.
func (s *IDSet[R]) Put(r R, g GlobSet) {
	if len(g) == 0 {
		delete(s.sets, r)
		return
	}
	if s.sets == nil {
		s.sets = map[R]GlobSet{}
	}
	s.sets[r] = g
}

// Add adds one counter of a replica.
func (s *IDSet[R]) Add(r R, n uint64) { s.AddRange(r, n, n) }

// AddRange adds counters from to to, both included.
func (s *IDSet[R]) AddRange(r R, from, to uint64) {
	g := s.sets[r]
	g.AddRange(from, to)
	s.Put(r, g)
}

// Contains reports whether counter n of a replica is in the set.
func (s *IDSet[R]) Contains(r R, n uint64) bool { return s.sets[r].Contains(n) }

// Empty reports whether nothing is in the set.
func (s *IDSet[R]) Empty() bool { return len(s.sets) == 0 }

// Union adds what is in o.
func (s *IDSet[R]) Union(o *IDSet[R]) {
	for r, g := range o.sets {
		s.Put(r, s.sets[r].Union(g))
	}
}

// Subtract removes what is in o.
func (s *IDSet[R]) Subtract(o *IDSet[R]) {
	for r, g := range s.sets {
		if without := o.sets[r]; len(without) > 0 {
			s.Put(r, g.Subtract(without))
		}
	}
}

// Clone returns a copy.
func (s *IDSet[R]) Clone() *IDSet[R] {
	var out IDSet[R]
	for r, g := range s.sets {
		out.Put(r, slices.Clone(g))
	}
	return &out
}

// Iterate calls fn for every range, the replicas in the order of their octets,
// until it returns false.
func (s *IDSet[R]) Iterate(fn func(r R, from, to uint64) bool) {
	for _, r := range s.replicas() {
		for _, g := range s.sets[r] {
			if !fn(r, g.From, g.To) {
				return
			}
		}
	}
}

// replicas returns the replicas in the order of the wire.
func (s *IDSet[R]) replicas() []R {
	out := make([]R, 0, len(s.sets))
	for r := range s.sets {
		out = append(out, r)
	}
	slices.SortFunc(out, func(a, b R) int {
		return bytes.Compare(appendReplica(nil, a), appendReplica(nil, b))
	})
	return out
}

func appendReplica[R Replica](b []byte, r R) []byte {
	switch r := any(r).(type) {
	case model.GUID:
		return append(b, r[:]...)
	case ReplID:
		return binary.LittleEndian.AppendUint16(b, uint16(r))
	}
	return b
}

// Append appends the wire form of the set: for each replica its GUID or REPLID,
// then the GLOBSET.
func (s *IDSet[R]) Append(b []byte) []byte {
	for _, r := range s.replicas() {
		b = AppendGlobSet(appendReplica(b, r), s.sets[r])
	}
	return b
}

// maxReplicas bounds a decoded set.
const maxReplicas = 4096

// DecodeIDSet reads what Append wrote, or a client. Bad input gives KindInvalid,
// too many replicas or ranges KindTooLarge.
func DecodeIDSet[R Replica](b []byte) (*IDSet[R], error) {
	var s IDSet[R]
	for len(b) > 0 {
		r, rest, ok := takeReplica[R](b)
		if !ok {
			return nil, model.E("mapi.idset", model.KindInvalid, "set", nil)
		}
		g, rest, err := DecodeGlobSet(rest)
		if err != nil {
			return nil, err
		}
		if s.Put(r, s.sets[r].Union(g)); len(s.sets) > maxReplicas {
			return nil, model.E("mapi.idset", model.KindTooLarge, "set", nil)
		}
		b = rest
	}
	return &s, nil
}

func takeReplica[R Replica](b []byte) (r R, rest []byte, ok bool) {
	switch p := any(&r).(type) {
	case *model.GUID:
		if len(b) < len(p) {
			return r, nil, false
		}
		return r, b[copy(p[:], b):], true
	case *ReplID:
		if len(b) < 2 {
			return r, nil, false
		}
		*p = ReplID(binary.LittleEndian.Uint16(b))
		return r, b[2:], true
	}
	return r, nil, false
}
