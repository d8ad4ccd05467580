package pebble

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"rialto/internal/kv"
)

func TestFormat(t *testing.T) {
	h := newHarness(0)
	db, err := h.Open(t)
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	fs := h.mem
	if err := writeEpochFormat(fs, "data", formatVersion+1, 9); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Open(t); !errors.Is(err, kv.ErrFormat) {
		t.Fatalf("newer format: %v", err)
	}
	for _, bad := range []string{"", "rialto-kv 1 7 00000000\n", "something else"} {
		f, err := fs.Create("data/epoch", vfs.WriteCategoryUnspecified)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write([]byte(bad)); err != nil {
			t.Fatal(err)
		}
		_ = f.Close()
		if _, err := h.Open(t); !errors.Is(err, kv.ErrCorrupt) {
			t.Fatalf("epoch file %q: %v", bad, err)
		}
	}
	if err := fs.Remove("data/epoch"); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Open(t); !errors.Is(err, kv.ErrCorrupt) {
		t.Fatalf("no epoch file: %v", err)
	}
	// The failed opens gave the lock back.
	if err := writeEpoch(fs, "data", 40); err != nil {
		t.Fatal(err)
	}
	db, err = h.Open(t)
	if err != nil {
		t.Fatal(err)
	}
	if e := db.(kv.Leased).Epoch(); e != 41 {
		t.Fatalf("epoch %d", e)
	}
}

// An owner whose epoch file is overwritten stops by itself.
func TestFenced(t *testing.T) {
	h := newHarness(0)
	db, err := h.Open(t)
	if err != nil {
		t.Fatal(err)
	}
	if err := writeEpoch(h.mem, "data", h.db.epoch+1); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the fence", func() bool { return h.db.failure() != nil })
	if _, err := db.Get(t.Context(), []byte("a")); !errors.Is(err, kv.ErrFenced) || !errors.Is(err, kv.ErrPoisoned) {
		t.Fatalf("Get: %v", err)
	}
}

func TestDebt(t *testing.T) {
	h := newHarness(0)
	db, err := h.Open(t)
	if err != nil {
		t.Fatal(err)
	}
	h.db.space.behind.Store(true)
	b := db.NewBatch()
	b.Set([]byte("a"), nil)
	if _, err := db.Commit(t.Context(), b); !errors.Is(err, kv.ErrNoSpace) {
		t.Fatalf("Commit: %v", err)
	}
	waitFor(t, "the next sample", func() bool { return !h.db.space.behind.Load() })
	mustCommit(t, db, "b", "1")
}

// Bytes committed since the last sample count against the free space.
func TestRefusalBetweenSamples(t *testing.T) {
	var s space
	s.free.Store(100 << 20)
	if err := s.refusal(90 << 20); err != nil {
		t.Fatal(err)
	}
	s.since.Store(4 << 20)
	if err := s.refusal(90 << 20); !errors.Is(err, kv.ErrNoSpace) {
		t.Fatalf("refusal: %v", err)
	}
}

// Several databases share caches, compaction slots and the memtable budget.
func TestShared(t *testing.T) {
	sh := NewShared(SharedOptions{CacheBytes: 8 << 20, MemTableBudget: 4 << 20, Compactions: 1})
	defer sh.Close()
	h := newHarness(0)
	h.opts.Shared = sh
	var dbs []*DB
	for i := range 4 {
		db, err := Open(h.options(fmt.Sprint("data", i)))
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		dbs = append(dbs, db.(*DB))
	}
	value := strings.Repeat("0123456789abcdef", 4<<10)
	for n := range 60 {
		for i, db := range dbs {
			c := mustCommit(t, db, fmt.Sprintf("%d/%d", i, n), value)
			if err := c.Wait(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Millisecond)
	}
	waitFor(t, "the budget to be kept", func() bool {
		var total int64
		for _, db := range dbs {
			total += db.mem.total()
		}
		return total <= 5<<20
	})
	for i, db := range dbs {
		if m := db.Metrics(); m.CacheBytes > 8<<20 {
			t.Fatalf("cache %d", m.CacheBytes)
		}
		if err := db.p.Compact(t.Context(), []byte("0"), []byte("9"), true); err != nil {
			t.Fatal(err)
		}
		if v, err := db.Get(t.Context(), fmt.Appendf(nil, "%d/59", i)); err != nil || string(v) != value {
			t.Fatalf("database %d: %v", i, err)
		}
	}
	sh.slots.mu.Lock()
	running := sh.slots.running
	sh.slots.mu.Unlock()
	if running > 1 {
		t.Fatalf("%d compactions at once", running)
	}
}

func TestGather(t *testing.T) {
	d := &DB{opts: Options{}.withDefaults()}
	for range 100 {
		d.tookSync(400 * time.Microsecond)
	}
	for _, c := range []struct {
		group int64
		sync  time.Duration
		least time.Duration
		most  time.Duration
	}{
		{0, 0, 0, 0},
		{1, 0, 0, 0}, // a lone writer never waits
		{2, 0, 110 * time.Microsecond, 134 * time.Microsecond},
		{12, 0, 700 * time.Microsecond, 800 * time.Microsecond},
		{400, 0, 1100 * time.Microsecond, 1250 * time.Microsecond}, // three times a sync at most
		{8, time.Second, DefaultMaxGather, DefaultMaxGather},
	} {
		if c.sync > 0 {
			d.tookSync(c.sync)
		}
		d.group.Store(c.group)
		if g := d.gather(); g < c.least || g > c.most {
			t.Errorf("a group of %d gathers for %v", c.group, g)
		}
	}
	d.opts.MaxGather = -1
	if d.gather() != 0 {
		t.Error("gathers though it must not")
	}
}
