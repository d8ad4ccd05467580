package transport

import (
	"math/rand/v2"
	"slices"
	"testing"

	"rialto/internal/kv"
	"rialto/internal/model"
)

// TestTaken compares spans with a set.
func TestTaken(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		got, want := &taken{}, map[uint64]bool{}
		for range r.IntN(300) {
			id := 1 + r.Uint64N(200)
			got.add(id)
			want[id] = true
		}
		back, err := decodeTaken(got.encode())
		if err != nil || !slices.Equal(back.spans, got.spans) {
			t.Fatalf("%v: %v came back as %v", err, got, back)
		}
		for id := range uint64(202) {
			if back.has(id) != want[id] {
				t.Fatalf("%d in %v: %v", id, back.spans, back.has(id))
			}
		}
		for i, s := range got.spans {
			if s.first > s.last || i > 0 && s.first < got.spans[i-1].last+2 {
				t.Fatalf("spans %v", got.spans)
			}
		}
	}
	edge := &taken{}
	for _, id := range []uint64{^uint64(0), 0, ^uint64(0) - 1, 1} {
		edge.add(id)
	}
	if !slices.Equal(edge.spans, []span{{0, 1}, {^uint64(0) - 1, ^uint64(0)}}) {
		t.Errorf("at the ends: %v", edge.spans)
	}
}

// The oldest are forgotten, never one that was not taken invented.
func TestTakenIsBounded(t *testing.T) {
	k := &taken{}
	for i := range uint64(maxSpans + 10) {
		k.add(1<<40 + 3*i)
	}
	v := k.encode()
	if len(k.spans) != maxSpans || k.has(1<<40) || !k.has(1<<40+3*(maxSpans+9)) || k.has(1<<40+3*maxSpans+1) || len(v) > kv.MaxValue {
		t.Errorf("%d spans in %d octets", len(k.spans), len(v))
	}
	if _, err := decodeTaken(v); err != nil {
		t.Error(err)
	}
}

func FuzzTaken(f *testing.F) {
	k := &taken{}
	for _, id := range []uint64{1, 2, 9, 1 << 60} {
		k.add(id)
	}
	f.Add(k.encode())
	f.Add([]byte{takenVersion})
	f.Fuzz(func(t *testing.T, b []byte) {
		k, err := decodeTaken(b)
		if err != nil {
			if !model.IsKind(err, model.KindCorrupt) {
				t.Fatal(err)
			}
			return
		}
		again, err := decodeTaken(k.encode())
		if err != nil || !slices.Equal(again.spans, k.spans) {
			t.Fatalf("%v: %v, then %v", err, k, again)
		}
		for _, s := range k.spans {
			if !k.has(s.first) || !k.has(s.last) {
				t.Fatalf("%v is not in %v", s, k.spans)
			}
		}
	})
}
