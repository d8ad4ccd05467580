package postgres

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"rialto/internal/kv"
	"rialto/internal/kv/memory"
)

// renewNow replaces the current generation.
func renewNow(db *DB) {
	db.mu.Lock()
	done := db.renew()
	db.mu.Unlock()
	<-done
}

// TestAgainstMemory runs random operations on this engine and on the memory
// engine, with snapshots of both kept open over new generations, cache hits
// and lost connections; all views must agree.
func TestAgainstMemory(t *testing.T) {
	for seed := range uint64(6) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 5))
			o := testOptions()
			w := &wire{}
			o.dial = w.dial
			p := &twins{t: t, rng: rng, pg: open(t, o), mem: memory.New(memory.Options{})}
			for range 300 {
				switch rng.IntN(12) {
				case 0, 1, 2, 3:
					p.commit()
				case 4:
					renewNow(p.pg)
				case 5:
					if len(p.snaps) < 6 {
						p.snapshot()
					}
				case 6:
					if len(p.snaps) > 0 {
						i := rng.IntN(len(p.snaps))
						p.snaps[i][0].Close()
						p.snaps[i][1].Close()
						p.snaps = append(p.snaps[:i], p.snaps[i+1:]...)
					}
				case 7:
					if rng.IntN(4) == 0 && len(p.snaps) == 0 {
						w.cut(false)
					}
				default:
					p.compare()
				}
			}
			for _, s := range p.snaps {
				s[0].Close()
			}
		})
	}
}

type twins struct {
	t     *testing.T
	rng   *rand.Rand
	pg    *DB
	mem   *memory.DB
	snaps [][2]kv.Snapshot
	ended int // snapshots whose connection had been cut before they were taken
}

func (p *twins) key() []byte {
	return fmt.Appendf(nil, "%c%d", "abkz"[p.rng.IntN(4)], p.rng.IntN(8))
}

func (p *twins) commit() {
	a, b := p.pg.NewBatch(), p.mem.NewBatch()
	for range 1 + p.rng.IntN(6) {
		k, v, l := p.key(), fmt.Appendf(nil, "%0*d", p.rng.IntN(20), p.rng.IntN(100)), p.key()
		for _, x := range []kv.Batch{a, b} {
			switch {
			case v[0]%10 == 8:
				x.DeleteRange(k, l)
			case v[0]%3 == 0:
				x.Delete(k)
			default:
				x.Set(k, v)
			}
		}
	}
	c, err := p.pg.Commit(context.Background(), a)
	if err == nil && p.rng.IntN(2) == 0 {
		err = c.Wait(context.Background())
	}
	if err == nil {
		_, err = p.mem.Commit(context.Background(), b)
	}
	if err != nil {
		p.t.Fatal(err)
	}
}

func (p *twins) snapshot() {
	a, err := p.pg.NewSnapshot("twins", time.Minute)
	if err != nil {
		p.t.Fatal(err)
	}
	b, err := p.mem.NewSnapshot("twins", time.Minute)
	if err != nil {
		p.t.Fatal(err)
	}
	p.snaps = append(p.snaps, [2]kv.Snapshot{a, b})
}

// end drops a snapshot that may not be read any more, which is allowed after a
// connection was cut, and seldom.
func (p *twins) end(i int) {
	p.t.Helper()
	p.snaps[i][0].Close()
	p.snaps[i][1].Close()
	p.snaps = append(p.snaps[:i], p.snaps[i+1:]...)
	if p.ended++; p.ended > 10 {
		p.t.Fatal("snapshots end without a reason")
	}
}

func (p *twins) compare() {
	p.t.Helper()
	var a, b kv.Reader = p.pg, p.mem
	n := p.rng.IntN(len(p.snaps) + 1)
	if n > 0 {
		a, b = p.snaps[n-1][0], p.snaps[n-1][1]
	}
	if p.rng.IntN(2) == 0 {
		keys := [][]byte{p.key(), p.key(), p.key()}
		x, err := a.GetMany(context.Background(), keys)
		if n > 0 && errors.Is(err, kv.ErrSnapshotExpired) {
			p.end(n - 1)
			return
		}
		if err != nil {
			p.t.Fatal(err)
		}
		y, _ := b.GetMany(context.Background(), keys) // of memory
		if fmt.Sprintf("%q", x) != fmt.Sprintf("%q", y) {
			p.t.Fatalf("%q: postgres %q, memory %q", keys, x, y)
		}
		return
	}
	r := kv.Range{Reverse: p.rng.IntN(2) == 0, Limit: p.rng.IntN(5), Prefetch: p.rng.IntN(4)}
	if p.rng.IntN(2) == 0 {
		r.Lower = p.key()
	}
	if p.rng.IntN(2) == 0 {
		r.Upper = p.key()
	}
	x, err := scanned(a, r)
	if n > 0 && errors.Is(err, kv.ErrSnapshotExpired) {
		p.end(n - 1)
		return
	}
	if err != nil {
		p.t.Fatal(err)
	}
	if y := dump(p.t, b, r); x != y {
		p.t.Fatalf("scan %+v\npostgres %s\nmemory   %s", r, x, y)
	}
}

// TestLostReaders: a snapshot outlives the connections it read through, unless
// something newer has reached the server.
func TestLostReaders(t *testing.T) {
	o := testOptions()
	w := &wire{}
	o.dial = w.dial
	o.Cache = -1
	db := open(t, o)
	wait(t, set(t, db, "a", "1"))
	s, err := db.NewSnapshot("test", time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	w.cut(false)
	if got := dump(t, s, kv.Range{}); got != "a=1 " {
		t.Fatalf("got %s", got)
	}
	wait(t, set(t, db, "a", "2"))
	w.cut(false)
	_, err = s.Get(t.Context(), []byte("x"))
	wantErr(t, "Get", err, kv.ErrSnapshotExpired)
	if got := dump(t, db, kv.Range{}); got != "a=2 " {
		t.Fatalf("got %s", got)
	}
}

// TestGenerationsAreBounded: snapshots that nobody closes do not use up the
// connections; the oldest is expired.
func TestGenerationsAreBounded(t *testing.T) {
	db := open(t, testOptions())
	var snaps []kv.Snapshot
	for i := range 3 * maxGenerations {
		wait(t, set(t, db, "a", fmt.Sprint(i)))
		s, err := db.NewSnapshot("test", time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		snaps = append(snaps, s)
		renewNow(db)
	}
	_, err := snaps[0].Get(t.Context(), []byte("x"))
	wantErr(t, "the oldest", err, kv.ErrSnapshotExpired)
	if got := dump(t, snaps[len(snaps)-1], kv.Range{}); got != fmt.Sprintf("a=%d ", len(snaps)-1) {
		t.Fatalf("the newest: %s", got)
	}
}

// TestManyPages: scans over page and table borders, both ways, under a hole.
func TestManyPages(t *testing.T) {
	db := open(t, testOptions())
	const n = 1500
	b := db.NewBatch()
	for i := range n {
		b.Set(fmt.Appendf(nil, "%c%04d", "abkz"[i%4], i), make([]byte, i%3*100))
	}
	c, err := db.Commit(t.Context(), b)
	if err != nil {
		t.Fatal(err)
	}
	wait(t, c)
	renewNow(db)
	b = db.NewBatch()
	b.DeleteRange([]byte("b0100"), []byte("k0500"))
	if _, err := db.Commit(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	for _, reverse := range []bool{false, true} {
		var last string
		got := 0
		it := db.Scan(t.Context(), kv.Range{Reverse: reverse})
		for it.Next() {
			k := string(it.Key())
			if k >= "b0100" && k < "k0500" || last != "" && (k < last) != reverse {
				t.Fatalf("%s after %s", k, last)
			}
			last = k
			got++
		}
		if err := it.Close(); err != nil {
			t.Fatal(err)
		}
		// b0101… (350 keys) and k0002…k0498 (125) are gone.
		if got != n-350-125 {
			t.Fatalf("%d keys, reverse=%v", got, reverse)
		}
	}
}

// TestCacheKeepsTheLatest: of a key that was cached and then written twice, the
// second time with a value too large for the cache, the first is not served.
func TestCacheKeepsTheLatest(t *testing.T) {
	db := open(t, testOptions())
	wait(t, set(t, db, "a", "1"))
	if _, err := db.Get(t.Context(), []byte("a")); err != nil {
		t.Fatal(err)
	}
	large := strings.Repeat("x", maxCached+1)
	set(t, db, "a", "2")
	wait(t, set(t, db, "a", large))
	renewNow(db)
	if got, err := db.Get(t.Context(), []byte("a")); err != nil || string(got) != large {
		t.Fatalf("got %.10q, %v", got, err)
	}
}

// TestRoundTrips: a page costs one round trip, and one more where nobody has
// read for a while.
func TestRoundTrips(t *testing.T) {
	o := testOptions()
	w := &wire{}
	o.dial, o.Sample = w.dial, time.Hour
	db := open(t, o)
	waitFor(t, "the first look at the size", func() bool { return db.space.used.Load() > 0 })
	wait(t, set(t, db, "b1", "1", "b2", "2"))
	page := func(want int64) {
		t.Helper()
		before := w.writes.Load()
		if got := dump(t, db, kv.Range{Lower: []byte("b"), Upper: []byte("c")}); got != "b1=1 b2=2 " {
			t.Fatalf("got %s", got)
		}
		if n := w.writes.Load() - before; n > want {
			t.Fatalf("%d round trips, want %d", n, want)
		}
	}
	page(100) // the server learns the statements
	page(1)
	db.mu.Lock()
	g := db.gen
	db.gen = nil
	db.unpin(g)
	db.mu.Unlock()
	waitFor(t, "the end of the generation", func() bool { return db.readers.Stat().AcquiredConns() == 0 })
	page(2)
}

// TestOnce: a key that is said to be new and is not costs a second try, nothing
// else; who is wrong often is not asked for a while.
func TestOnce(t *testing.T) {
	o := testOptions()
	o.Once = func([]byte) bool { return true }
	db := open(t, o)
	wait(t, set(t, db, "a", "1", "k2", "1"))
	if db.trust != (trust{}) {
		t.Fatalf("new keys: %+v", db.trust)
	}
	wait(t, set(t, db, "a", "2", "c", "1"))
	if db.trust.wait != 1 {
		t.Fatalf("an old key: %+v", db.trust)
	}
	for i := range 100 {
		wait(t, set(t, db, "a", fmt.Sprint(i), fmt.Sprint("k", i), "x"))
	}
	if db.trust.penalty < maxPenalty/2 || db.trust.penalty > maxPenalty {
		t.Fatalf("after many: %+v", db.trust)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	db = open(t, o)
	if got := dump(t, db, kv.Range{Upper: []byte("k0")}); got != "a=99 c=1 " {
		t.Fatalf("got %s", got)
	}
}

// TestFold: of a run of batches the last word counts, and a range takes what was
// set before it only.
func TestFold(t *testing.T) {
	at := func(kind opKind, key, value string) op { return op{kind, []byte(key), []byte(value)} }
	m := fold([]*layer{
		{ops: []op{at(opSet, "c", "1"), at(opSet, "a", "1"), at(opSet, "b", "1")}},
		{ops: []op{at(opDeleteRange, "b", "d"), at(opSet, "b", "2")}},
		{ops: []op{at(opDelete, "a", ""), at(opSet, "d", "1"), at(opSet, "d", "2")}},
	})
	var got []string
	for _, p := range m.points {
		got = append(got, fmt.Sprint(p.kind, string(p.key), string(p.value)))
	}
	if s := strings.Join(got, " "); s != "1a 0b2 0d2" || len(m.ranges) != 1 {
		t.Fatalf("points %s, %d ranges", s, len(m.ranges))
	}
}
