package kvtest

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"rialto/internal/kv"
)

func testBatch(t *testing.T, h Harness) {
	db := open(t, h)
	commit(t, db, func(b kv.Batch) {
		b.Set([]byte("a"), []byte("1"))
		b.Set([]byte("a"), []byte("2"))
		b.Delete([]byte("b"))
		b.Set([]byte("b"), []byte("3"))
		b.Set([]byte("c"), []byte("4"))
		b.Delete([]byte("c"))
		if b.Count() != 6 || b.Size() != 10 {
			t.Fatalf("count %d, size %d", b.Count(), b.Size())
		}
	})
	wantList(t, db, kv.Range{}, "a=2 b=3")
	dropped := db.NewBatch()
	dropped.Set([]byte("x"), []byte("x"))
	dropped.Close()
	dropped.Close()
	wantNone(t, db, "x")
}

func testDeleteRange(t *testing.T, h Harness) {
	db := open(t, h)
	set(t, db, "a", "1", "b", "1", "c", "1", "d", "1", "e", "1")
	commit(t, db, func(b kv.Batch) {
		b.Set([]byte("bb"), []byte("2"))
		b.DeleteRange([]byte("b"), []byte("d"))
		b.Set([]byte("c"), []byte("2"))
	})
	wantList(t, db, kv.Range{}, "a=1 c=2 d=1 e=1")
	commit(t, db, func(b kv.Batch) {
		b.DeleteRange([]byte("d"), []byte("d"))
		b.DeleteRange([]byte("e"), []byte("a"))
		b.DeleteRange([]byte("a"), nil)
	})
	wantList(t, db, kv.Range{}, "a=1 c=2 d=1 e=1")
	commit(t, db, func(b kv.Batch) { b.DeleteRange(nil, []byte("d")) })
	wantList(t, db, kv.Range{}, "d=1 e=1")
	wantList(t, db, kv.Range{Reverse: true}, "e=1 d=1")
	wantNone(t, db, "a")
}

func testSplitCommit(t *testing.T, h Harness) {
	db := open(t, h)
	before := db.Durable()
	c := set(t, db, "a", "1")
	wantGet(t, db, "a", "1")
	if c.Sequence() <= before {
		t.Fatalf("sequence %d after durable %d", c.Sequence(), before)
	}
	// Wait may be called by many, and again.
	var wg sync.WaitGroup
	for range 4 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			if err := c.Wait(bg); err != nil {
				t.Errorf("wait: %v", err)
			}
		}()
	}
	wg.Wait()
	wait(t, c)
	if db.Durable() < c.Sequence() {
		t.Fatalf("durable %d after Wait of %d", db.Durable(), c.Sequence())
	}
	// A Wait covers all that was ordered before.
	first := set(t, db, "b", "1")
	second := set(t, db, "c", "1")
	wait(t, second)
	if db.Durable() < first.Sequence() {
		t.Fatal("the later commit is durable and the earlier is not")
	}
	if err := db.WaitDurable(bg, first.Sequence()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(bg, 20*time.Millisecond)
	defer cancel()
	wantErr(t, "WaitDurable of the future", db.WaitDurable(ctx, second.Sequence()+1000), context.DeadlineExceeded)
	canceled, cancel2 := context.WithCancel(bg)
	cancel2()
	third := set(t, db, "d", "1")
	if err := third.Wait(canceled); err != nil {
		wantErr(t, "Wait", err, context.Canceled)
	}
	wait(t, third)
}

func testEmptyCommit(t *testing.T, h Harness) {
	db := open(t, h)
	wait(t, commit(t, db, func(kv.Batch) {}))
	c := set(t, db, "a", "1")
	barrier := commit(t, db, func(kv.Batch) {})
	if barrier.Sequence() < c.Sequence() {
		t.Fatalf("barrier %d before %d", barrier.Sequence(), c.Sequence())
	}
	wait(t, barrier)
	if db.Durable() < c.Sequence() {
		t.Fatal("a barrier did not wait for what was before it")
	}
}

func testSequence(t *testing.T, h Harness) {
	db := open(t, h)
	last := db.Durable()
	for round := range 3 {
		for i := range 5 {
			c := set(t, db, fmt.Sprint(i), "x", "y", "z")
			if c.Sequence() <= last {
				t.Fatalf("round %d: sequence %d after %d", round, c.Sequence(), last)
			}
			last = c.Sequence()
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		if d := db.Durable(); d < last {
			t.Fatalf("closed with durable %d before %d", d, last)
		}
		db = open(t, h)
		if db.Durable() < last {
			t.Fatalf("round %d: opened with durable %d before %d", round, db.Durable(), last)
		}
	}
}

// testManyOperations: a batch of very many small operations, which an engine may
// treat apart, has its place among the others, also in a database that has seen
// more before it was opened.
func testManyOperations(t *testing.T, h Harness) {
	const n = 100_000
	for round := range 3 {
		db := open(t, h)
		before := set(t, db, "before", "1")
		many := commit(t, db, func(b kv.Batch) {
			for i := range uint64(n) {
				b.Set(binary.BigEndian.AppendUint64([]byte{'m', byte(round)}, i), nil)
			}
		})
		after := set(t, db, "after", "1")
		if !(before.Sequence() < many.Sequence() && many.Sequence() < after.Sequence()) {
			t.Fatalf("round %d: sequences %d, %d, %d", round, before.Sequence(), many.Sequence(), after.Sequence())
		}
		wait(t, many)
		if d := db.Durable(); d < many.Sequence() || d > after.Sequence() {
			t.Fatalf("round %d: durable up to %d; the last is %d", round, d, after.Sequence())
		}
		wait(t, after)
		h.PowerCut(t)
	}
	left := 0
	it := open(t, h).Scan(bg, kv.Range{Lower: []byte("m"), Upper: []byte("n")})
	for it.Next() {
		left++
	}
	if err := it.Close(); err != nil || left != 3*n {
		t.Fatalf("%d of %d left: %v", left, 3*n, err)
	}
}

// testSnapshotSequence: writers count up; a snapshot that shows commit n must
// state at least its sequence, and must show what was committed before it.
func testSnapshotSequence(t *testing.T, h Harness) {
	db := open(t, h)
	var mu sync.Mutex
	seqs := map[uint64]kv.Sequence{}
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for n := uint64(1); ; n++ {
			select {
			case <-stop:
				return
			default:
			}
			b := db.NewBatch()
			b.Set([]byte("n"), binary.BigEndian.AppendUint64(nil, n))
			c, err := db.Commit(bg, b)
			if err != nil {
				t.Errorf("commit: %v", err)
				return
			}
			mu.Lock()
			seqs[n] = c.Sequence()
			mu.Unlock()
			if n%100 == 0 {
				_ = c.Wait(bg)
			}
		}
	}()
	type seen struct {
		n   uint64
		seq kv.Sequence
	}
	var all []seen
	for range 300 {
		mu.Lock()
		committed := uint64(len(seqs))
		mu.Unlock()
		s := snap(t, db)
		v, err := s.Get(bg, []byte("n"))
		if err == nil {
			all = append(all, seen{binary.BigEndian.Uint64(v), s.Sequence()})
		} else if !errors.Is(err, kv.ErrNotFound) {
			t.Error(err)
		}
		if committed > 0 && (err != nil || binary.BigEndian.Uint64(v) < committed) {
			t.Errorf("a snapshot misses commit %d", committed)
		}
		s.Close()
	}
	close(stop)
	<-done
	for _, a := range all {
		if seqs[a.n] > a.seq {
			t.Fatalf("a snapshot stating %d shows commit %d of sequence %d", a.seq, a.n, seqs[a.n])
		}
	}
}

// testConcurrent: writers with their own keys; every commit is atomic to
// readers, and sequences are unique and follow each writer's order.
func testConcurrent(t *testing.T, h Harness) {
	db := open(t, h)
	const writers, each = 8, 60
	var mu sync.Mutex
	given := map[kv.Sequence]bool{}
	var wg sync.WaitGroup
	for w := range writers {
		wg.Add(1)
		go func() {
			defer wg.Done()
			last := kv.Sequence(0)
			for i := range each {
				b := db.NewBatch()
				v := []byte(fmt.Sprint(i))
				b.Set(fmt.Appendf(nil, "w%d/a", w), v)
				b.Set(fmt.Appendf(nil, "w%d/b", w), v)
				c, err := db.Commit(bg, b)
				if err == nil {
					err = c.Wait(bg)
				}
				if err != nil {
					t.Errorf("writer %d: %v", w, err)
					return
				}
				mu.Lock()
				if given[c.Sequence()] || c.Sequence() <= last || db.Durable() < c.Sequence() {
					t.Errorf("sequence %d after %d, durable %d", c.Sequence(), last, db.Durable())
				}
				given[c.Sequence()] = true
				mu.Unlock()
				last = c.Sequence()
				got, err := db.GetMany(bg, [][]byte{fmt.Appendf(nil, "w%d/a", (w+1)%writers), fmt.Appendf(nil, "w%d/b", (w+1)%writers)})
				if err != nil || string(got[0]) != string(got[1]) {
					t.Errorf("half a commit: %q, %v", got, err)
				}
			}
		}()
	}
	wg.Wait()
	for w := range writers {
		wantGet(t, db, fmt.Sprintf("w%d/b", w), fmt.Sprint(each-1))
	}
}
