package kvtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"testing"
	"time"

	"rialto/internal/kv"
)

func testClosed(t *testing.T, h Harness) {
	db := open(t, h)
	c := set(t, db, "a", "1", "b", "2")
	s := snap(t, db)
	it := db.Scan(bg, kv.Range{})
	its := s.Scan(bg, kv.Range{})
	if !it.Next() || !its.Next() {
		t.Fatal("nothing to scan")
	}
	unused := db.NewBatch()
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if err := c.Wait(bg); err != nil {
		t.Fatalf("Close did not make the commits durable: %v", err)
	}
	if it.Next() || its.Next() {
		t.Fatal("an iterator outlived the database")
	}
	wantErr(t, "iterator", it.Close(), kv.ErrClosed)
	wantErr(t, "snapshot's iterator", its.Close(), kv.ErrClosed)
	_, err := s.Get(bg, []byte("a"))
	wantErr(t, "snapshot", err, kv.ErrClosed)
	s.Close()
	wantAll(t, db, unused, kv.ErrClosed)
	wantErr(t, "second Close", db.Close(), kv.ErrClosed)
	wantGet(t, open(t, h), "a", "1")
}

// wantAll checks that every call of db answers want.
func wantAll(t testing.TB, db kv.DB, b kv.Batch, want error) {
	t.Helper()
	_, err := db.Get(bg, []byte("a"))
	wantErr(t, "Get", err, want)
	_, err = db.GetMany(bg, [][]byte{[]byte("a"), []byte("b")})
	wantErr(t, "GetMany", err, want)
	it := db.Scan(bg, kv.Range{})
	if it.Next() {
		t.Fatal("Scan went on")
	}
	wantErr(t, "Scan", it.Close(), want)
	_, err = db.NewSnapshot("late", time.Minute)
	wantErr(t, "NewSnapshot", err, want)
	_, err = db.Commit(bg, b)
	wantErr(t, "Commit", err, want)
	if g, ok := db.(kv.Segmented); ok {
		_, err = g.Segments().List()
		wantErr(t, "Segments.List", err, want)
	}
}

// testPoison: after a failed sync nothing is answered, and a new open shows a
// prefix of the commits with everything that was durable.
func testPoison(t *testing.T, h Harness) {
	db := open(t, h)
	wait(t, set(t, db, "safe", "1"))
	durable := db.Durable()
	s := snap(t, db)
	it := s.Scan(bg, kv.Range{})
	h.FailSync()
	c := set(t, db, "lost", "1")
	wantErr(t, "Wait", c.Wait(bg), kv.ErrPoisoned)
	wantErr(t, "Wait again", c.Wait(bg), kv.ErrPoisoned)
	wantErr(t, "WaitDurable", db.WaitDurable(bg, c.Sequence()), kv.ErrPoisoned)
	if err := db.WaitDurable(bg, durable); err != nil {
		t.Fatalf("what was durable is not: %v", err)
	}
	if db.Durable() >= c.Sequence() {
		t.Fatal("a failed sync moved the watermark")
	}
	_, err := s.Get(bg, []byte("safe"))
	wantErr(t, "snapshot", err, kv.ErrPoisoned)
	if it.Next() {
		t.Fatal("an iterator went on")
	}
	wantErr(t, "iterator", it.Close(), kv.ErrPoisoned)
	b := db.NewBatch()
	b.Set([]byte("more"), []byte("1"))
	b.Reclaim()
	wantAll(t, db, b, kv.ErrPoisoned)
	s.Close()
	if err := db.Close(); err != nil {
		wantErr(t, "Close", err, kv.ErrPoisoned)
	}
	h.PowerCut(t)
	db = open(t, h)
	wantGet(t, db, "safe", "1")
	wantNone(t, db, "more")
	wait(t, set(t, db, "after", "1"))
}

func testNoSpace(t *testing.T, h Harness) {
	db := open(t, h)
	wait(t, set(t, db, "a", "1", "b", "2"))
	h.SetFree(t, 1000)
	b := db.NewBatch()
	b.Set([]byte("c"), []byte("3"))
	_, err := db.Commit(bg, b)
	wantErr(t, "Commit on a full disk", err, kv.ErrNoSpace)
	wantNone(t, db, "c")
	wantGet(t, db, "a", "1")
	wait(t, commit(t, db, func(b kv.Batch) { b.Delete([]byte("a")); b.Reclaim() }))
	wantNone(t, db, "a")
	if m, ok := db.(kv.Metered); ok && m.Metrics().Refused != 1 {
		t.Fatalf("refused = %d", m.Metrics().Refused)
	}
	if s, ok := db.(kv.Spacer); ok {
		if free, _, err := s.Space(); err != nil || free != 1000 {
			t.Fatalf("free = %d, %v", free, err)
		}
	}
	h.SetFree(t, 1<<40)
	wait(t, set(t, db, "c", "3"))
}

func testLease(t *testing.T, h Harness) {
	var last uint64
	for range 3 {
		db := open(t, h)
		_, err := h.Open(t)
		wantErr(t, "second Open", err, kv.ErrLocked)
		if l, ok := db.(kv.Leased); ok {
			if l.Epoch() <= last {
				t.Fatalf("epoch %d after %d", l.Epoch(), last)
			}
			last = l.Epoch()
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func testMetrics(t *testing.T, h Harness) {
	db := open(t, h)
	m := db.(kv.Metered)
	for i := range 3 {
		wait(t, set(t, db, fmt.Sprint("key", i), "value"))
	}
	s := snap(t, db)
	time.Sleep(2 * time.Millisecond)
	got := m.Metrics()
	if got.Commits != 3 || got.CommitBytes != 27 || got.Syncs < 1 || got.Snapshots != 1 ||
		got.OldestOwner != "test" || got.OldestAge <= 0 {
		t.Fatalf("metrics = %+v", got)
	}
	s.Close()
	if n := m.Metrics().Snapshots; n != 0 {
		t.Fatalf("%d snapshots open", n)
	}
}

// testCheckpoint copies the database while writers are at work: the copy opens
// and has every commit that was ordered before the call.
func testCheckpoint(t *testing.T, h Harness) {
	db := open(t, h)
	cp := db.(kv.Checkpointer)
	segs := db.(kv.Segmented).Segments()
	var writers []kv.SegmentWriter
	for n := uint64(1); n <= 2; n++ {
		w, err := segs.Create(n)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := fmt.Fprintf(w, "segment %d", n); err != nil {
			t.Fatal(err)
		}
		if err := w.Sync(); err != nil {
			t.Fatal(err)
		}
		writers = append(writers, w)
	}
	if err := writers[0].Close(); err != nil {
		t.Fatal(err)
	}
	stop := make(chan struct{})
	var wg sync.WaitGroup
	var mu sync.Mutex
	done := map[int]int{}
	for w := range 3 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				b := db.NewBatch()
				b.Set(fmt.Appendf(nil, "%d/%06d", w, i), bytes.Repeat([]byte("x"), 1000))
				c, err := db.Commit(bg, b)
				if err != nil {
					t.Errorf("commit: %v", err)
					return
				}
				mu.Lock()
				done[w] = i + 1
				mu.Unlock()
				_ = c.Wait(bg)
			}
		}()
	}
	time.Sleep(50 * time.Millisecond)
	mu.Lock()
	before := map[int]int{0: done[0], 1: done[1], 2: done[2]}
	mu.Unlock()
	err := cp.Checkpoint(bg, "copy")
	close(stop)
	wg.Wait()
	if err != nil {
		t.Fatal(err)
	}
	if err := cp.Checkpoint(bg, "copy"); err == nil {
		t.Fatal("a checkpoint went over another")
	}
	// What happens to the original later does not touch the copy.
	if _, err := writers[1].Write([]byte(" and more")); err != nil {
		t.Fatal(err)
	}
	if err := segs.Truncate(1, 3); err != nil {
		t.Fatal(err)
	}
	twin, err := h.OpenCopy(t, "copy")
	if err != nil {
		t.Fatal(err)
	}
	defer twin.Close()
	for w, n := range before {
		for i := range n {
			if _, err := twin.Get(bg, fmt.Appendf(nil, "%d/%06d", w, i)); err != nil {
				t.Fatalf("the copy misses %d/%d of %d: %v", w, i, n, err)
			}
		}
	}
	for n := uint64(1); n <= 2; n++ {
		if got := readSegment(t, twin, n); got != fmt.Sprintf("segment %d", n) {
			t.Fatalf("segment %d of the copy holds %q", n, got)
		}
	}
}

func readSegment(t testing.TB, db kv.DB, n uint64) string {
	t.Helper()
	r, err := db.(kv.Segmented).Segments().Open(n)
	if err != nil {
		t.Fatalf("segment %d: %v", n, err)
	}
	defer r.Close()
	data, err := io.ReadAll(io.NewSectionReader(r, 0, 1<<20))
	if err != nil {
		t.Fatalf("segment %d: %v", n, err)
	}
	return string(data)
}

// ended reports an error that a dead database may answer.
func ended(err error) bool {
	return errors.Is(err, kv.ErrPoisoned) || errors.Is(err, kv.ErrClosed) || errors.Is(err, context.Canceled)
}
