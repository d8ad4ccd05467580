package kvtest

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"

	"rialto/internal/kv"
)

// state is what a database holds.
type state map[string]string

func readAll(t testing.TB, db kv.DB) state {
	t.Helper()
	out := state{}
	it := db.Scan(bg, kv.Range{})
	for it.Next() {
		out[string(it.Key())] = string(it.Value())
	}
	if err := it.Close(); err != nil {
		t.Fatalf("scan: %v", err)
	}
	return out
}

// randomBatch fills b and applies the same to a copy of s.
func randomBatch(rng *rand.Rand, b kv.Batch, s state) state {
	next := maps.Clone(s)
	key := func() string { return fmt.Sprintf("k%02d", rng.IntN(40)) }
	for range 1 + rng.IntN(8) {
		switch k := key(); rng.IntN(10) {
		case 0:
			b.Delete([]byte(k))
			delete(next, k)
		case 1:
			to := fmt.Sprintf("k%02d", rng.IntN(40))
			b.DeleteRange([]byte(k), []byte(to))
			maps.DeleteFunc(next, func(x, _ string) bool { return x >= k && x < to })
		default:
			v := fmt.Sprintf("%x-%0*d", rng.Uint32(), rng.IntN(3000), 0)
			b.Set([]byte(k), []byte(v))
			next[k] = v
		}
	}
	return next
}

// testPowerCut: one writer, a power cut at a random point, again and again. The
// survivor is exactly one of the states from the last durable commit on.
func testPowerCut(t *testing.T, h Harness) {
	rng := rand.New(rand.NewPCG(7, 11))
	base, highest := state{}, kv.Sequence(0)
	for round := range 12 {
		db := open(t, h)
		states := []state{base}
		durable := 0
		for range 1 + rng.IntN(40) {
			b := db.NewBatch()
			next := randomBatch(rng, b, states[len(states)-1])
			c, err := db.Commit(bg, b)
			if err != nil {
				t.Fatal(err)
			}
			if b.Count() > 0 && c.Sequence() < highest {
				t.Fatalf("round %d: sequence %d was passed already (%d)", round, c.Sequence(), highest)
			}
			highest = max(highest, c.Sequence())
			states = append(states, next)
			if rng.IntN(4) == 0 {
				wait(t, c)
				durable = len(states) - 1
			}
		}
		h.PowerCut(t)
		db = open(t, h)
		if d := db.Durable(); d < highest {
			t.Fatalf("round %d: opened at %d, sequence %d was given before", round, d, highest)
		}
		highest = db.Durable()
		got := readAll(t, db)
		found := -1
		for i := len(states) - 1; i >= durable; i-- {
			if maps.Equal(got, states[i]) {
				found = i
				break
			}
		}
		if found < 0 {
			t.Fatalf("round %d: the survivor is none of the states %d..%d", round, durable, len(states)-1)
		}
		base = got
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// testPowerCutConcurrent: writers count in their own key and wait; the power
// fails while they do. Each survivor is at least what its writer was told.
func testPowerCutConcurrent(t *testing.T, h Harness) {
	const writers = 6
	var acked [writers]atomic.Int64
	var given sync.Map // sequences, over all rounds
	for round := range 4 {
		db := open(t, h)
		var wg sync.WaitGroup
		started := make(chan struct{}, writers)
		for w := range writers {
			wg.Add(1)
			go func() {
				defer wg.Done()
				for n := acked[w].Load() + 1; ; n++ {
					b := db.NewBatch()
					v := fmt.Appendf(nil, "%d", n)
					b.Set(fmt.Appendf(nil, "a%d", w), v)
					b.Set(fmt.Appendf(nil, "z%d", w), v)
					c, err := db.Commit(bg, b)
					if err == nil {
						if _, dup := given.LoadOrStore(c.Sequence(), true); dup {
							t.Errorf("sequence %d twice", c.Sequence())
						}
						err = c.Wait(bg)
					}
					if err != nil {
						if !ended(err) {
							t.Errorf("writer %d: %v", w, err)
						}
						return
					}
					acked[w].Store(n)
					if n%10 == 3 {
						select {
						case started <- struct{}{}:
						default:
						}
					}
				}
			}()
		}
		for range writers {
			<-started
		}
		var told [writers]int64
		for w := range writers {
			told[w] = acked[w].Load()
		}
		h.PowerCut(t)
		wg.Wait()
		db = open(t, h)
		for w := range writers {
			got := counter(t, db, "a", w)
			if z := counter(t, db, "z", w); z != got {
				t.Fatalf("round %d: half a commit: %d and %d", round, got, z)
			}
			if got < told[w] {
				t.Fatalf("round %d: writer %d was told %d, the disk has %d", round, w, told[w], got)
			}
			acked[w].Store(got)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func counter(t testing.TB, db kv.DB, kind string, w int) (n int64) {
	t.Helper()
	v, err := db.Get(bg, fmt.Appendf(nil, "%s%d", kind, w))
	if errors.Is(err, kv.ErrNotFound) {
		return 0
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Sscan(string(v), &n); err != nil {
		t.Fatal(err)
	}
	return n
}

func testSegments(t *testing.T, h Harness) {
	db := open(t, h)
	g := db.(kv.Segmented)
	segs := g.Segments()
	if l, err := segs.List(); err != nil || len(l) != 0 {
		t.Fatalf("list = %v, %v", l, err)
	}
	for _, n := range []uint64{12, 3, 123456789} {
		w, err := segs.Create(n)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := segs.Create(n); err == nil {
			t.Fatal("created twice")
		}
		if _, err := fmt.Fprintf(w, "hello %d", n); err != nil {
			t.Fatal(err)
		}
		if got := readSegment(t, db, n); got != fmt.Sprintf("hello %d", n) {
			t.Fatalf("while written: %q", got)
		}
		if err := errors.Join(w.Sync(), w.Close(), w.Close()); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte("x")); !errors.Is(err, kv.ErrClosed) {
			t.Fatalf("write after close: %v", err)
		}
	}
	l, err := segs.List()
	want := []kv.SegmentInfo{{Number: 3, Size: 7}, {Number: 12, Size: 8}, {Number: 123456789, Size: 15}}
	if err != nil || fmt.Sprint(l) != fmt.Sprint(want) {
		t.Fatalf("list = %v, %v", l, err)
	}
	if err := segs.Truncate(12, 5); err != nil {
		t.Fatal(err)
	}
	if got := readSegment(t, db, 12); got != "hello" {
		t.Fatalf("truncated: %q", got)
	}
	r, err := segs.Open(3)
	if err != nil {
		t.Fatal(err)
	}
	if err := segs.Remove(3); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 5)
	if n, err := r.ReadAt(buf, 2); n != 5 || string(buf) != "llo 3" {
		t.Fatalf("read after remove: %q, %v", buf[:n], err)
	}
	_ = r.Close()
	_, err = segs.Open(3)
	wantErr(t, "Open", err, kv.ErrNotFound)
	wantErr(t, "Remove", segs.Remove(3), kv.ErrNotFound)
	wantErr(t, "Truncate", segs.Truncate(3, 0), kv.ErrNotFound)
}

// testSegmentsPowerCut: what Sync covered survives, byte for byte.
func testSegmentsPowerCut(t *testing.T, h Harness) {
	db := open(t, h)
	segs := db.(kv.Segmented).Segments()
	w, err := segs.Create(1)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := segs.Create(2); err != nil {
		t.Fatal(err)
	}
	var synced []byte
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range 30 {
		p := make([]byte, 1+rng.IntN(9000))
		for j := range p {
			p[j] = byte(i + 1)
		}
		if _, err := w.Write(append([]byte(nil), p...)); err != nil {
			t.Fatal(err)
		}
		if i < 20 {
			synced = append(synced, p...)
		}
		if i == 19 {
			if err := w.Sync(); err != nil {
				t.Fatal(err)
			}
		}
	}
	h.PowerCut(t)
	if _, err := w.Write([]byte("late")); err == nil {
		t.Fatal("wrote without power")
	}
	_ = w.Close()
	db = open(t, h)
	got := readSegment(t, db, 1)
	if len(got) < len(synced) || got[:len(synced)] != string(synced) {
		t.Fatalf("%d bytes survive of %d synced", len(got), len(synced))
	}
	if got := readSegment(t, db, 2); got != "" {
		t.Fatalf("an empty segment holds %q", got)
	}
}
