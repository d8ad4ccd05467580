package pebble

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"rialto/internal/kv"
)

// hammer commits and waits from several goroutines until the database refuses,
// and returns what each writer was told is durable.
func hammer(t *testing.T, db kv.DB, writers, size int) []int {
	t.Helper()
	told := make([]int, writers)
	var wg sync.WaitGroup
	for w := range writers {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for n := 1; n < 1_000_000; n++ {
				b := db.NewBatch()
				b.Set(fmt.Appendf(nil, "w%d", w), fmt.Appendf(nil, "%d", n))
				b.Set(fmt.Appendf(nil, "pad%d/%d", w, n), bytes.Repeat([]byte{byte(n)}, size))
				ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
				c, err := db.Commit(ctx, b)
				if err == nil {
					err = c.Wait(ctx)
				}
				cancel()
				if err != nil {
					if !errors.Is(err, kv.ErrPoisoned) {
						t.Errorf("writer %d: %v", w, err)
					}
					return
				}
				told[w] = n
			}
		}()
	}
	wg.Wait()
	return told
}

// Every kind of failed write poisons, once, lets Close return, and keeps what
// was told to be durable.
func TestPoison(t *testing.T) {
	kinds := map[string]func(errorfs.Op) bool{
		"log sync":     func(op errorfs.Op) bool { return isLog(op.Path) && isSync(op) },
		"log write":    func(op errorfs.Op) bool { return isLog(op.Path) && op.Kind == errorfs.OpFileWrite },
		"log rotation": func(op errorfs.Op) bool { return isLog(op.Path) && op.Kind == errorfs.OpCreate },
		"table write":  func(op errorfs.Op) bool { return isTable(op.Path) && op.Kind == errorfs.OpFileWrite },
		"table sync":   func(op errorfs.Op) bool { return isTable(op.Path) && isSync(op) },
		"table create": func(op errorfs.Op) bool { return isTable(op.Path) && op.Kind == errorfs.OpCreate },
		"manifest write": func(op errorfs.Op) bool {
			return strings.Contains(op.Path, "MANIFEST") && op.Kind == errorfs.OpFileWrite
		},
		"manifest sync": func(op errorfs.Op) bool { return strings.Contains(op.Path, "MANIFEST") && isSync(op) },
	}
	for name, match := range kinds {
		t.Run(name, func(t *testing.T) {
			h := newHarness(0)
			causes := make(chan error, 10)
			h.opts.Events.Poisoned = func(err error) { causes <- err }
			h.opts.MemTable = 16 << 20
			db, err := h.Open(t)
			if err != nil {
				t.Fatal(err)
			}
			go func() {
				time.Sleep(30 * time.Millisecond)
				h.f.set(func(op errorfs.Op) error {
					if match(op) {
						return errDisk
					}
					return nil
				})
			}()
			told := hammer(t, db, 8, 100<<10)
			if _, err := db.Get(t.Context(), []byte("w0")); !errors.Is(err, kv.ErrPoisoned) || !errors.Is(err, errDisk) {
				t.Fatalf("Get after: %v", err)
			}
			start := time.Now()
			if err := db.Close(); !errors.Is(err, kv.ErrPoisoned) {
				t.Fatalf("Close: %v", err)
			}
			if took := time.Since(start); took > closeGrace/2 {
				t.Fatalf("Close took %v", took)
			}
			if len(causes) != 1 || !errors.Is(<-causes, errDisk) {
				t.Fatalf("told %d times", len(causes)+1)
			}
			h.PowerCut(t)
			db, err = h.Open(t)
			if err != nil {
				t.Fatal(err)
			}
			for w, n := range told {
				v, err := db.Get(t.Context(), fmt.Appendf(nil, "w%d", w))
				var got int
				_, _ = fmt.Sscan(string(v), &got)
				if n > 0 && (err != nil || got < n) {
					t.Fatalf("writer %d was told %d, the disk has %d (%v)", w, n, got, err)
				}
			}
		})
	}
}

// The sync is never tried again, and nothing is written after a failure.
func TestNothingAfterFailure(t *testing.T) {
	h := newHarness(0)
	db, err := h.Open(t)
	if err != nil {
		t.Fatal(err)
	}
	h.f.logSyncs(1)
	c := mustCommit(t, db, "a", "1")
	if err := c.Wait(t.Context()); !errors.Is(err, kv.ErrPoisoned) {
		t.Fatalf("Wait: %v", err)
	}
	var mu sync.Mutex
	var after []string
	h.f.set(func(op errorfs.Op) error {
		if op.Kind == errorfs.OpFileWrite || isSync(op) || op.Kind == errorfs.OpCreate || op.Kind == errorfs.OpRename || op.Kind == errorfs.OpRemove {
			mu.Lock()
			after = append(after, op.Path)
			mu.Unlock()
		}
		return nil
	})
	b := db.NewBatch()
	b.Set([]byte("b"), []byte("2"))
	if _, err := db.Commit(t.Context(), b); !errors.Is(err, kv.ErrPoisoned) {
		t.Fatalf("Commit: %v", err)
	}
	if err := db.Close(); !errors.Is(err, kv.ErrPoisoned) {
		t.Fatalf("Close: %v", err)
	}
	if len(after) != 0 {
		t.Fatalf("written after the failure: %q", after)
	}
}

// Fatal errors of pebble end neither the process nor the caller.
func TestFatal(t *testing.T) {
	h := newHarness(0)
	if _, err := h.Open(t); err != nil {
		t.Fatal(err)
	}
	done := make(chan bool, 1)
	go func() {
		defer func() { done <- recover() != nil }()
		logger{h.db}.Fatalf("broken: %d", 7)
	}()
	if !<-done {
		t.Fatal("a goroutine of ours was ended and not panicked")
	}
	_, err := h.db.Get(t.Context(), []byte("a"))
	if !errors.Is(err, kv.ErrPoisoned) || !strings.Contains(err.Error(), "broken: 7") {
		t.Fatalf("Get: %v", err)
	}
}

func TestSegmentSyncPoisons(t *testing.T) {
	h := newHarness(0)
	db, err := h.Open(t)
	if err != nil {
		t.Fatal(err)
	}
	w, err := db.(kv.Segmented).Segments().Create(1)
	if err != nil {
		t.Fatal(err)
	}
	h.f.set(func(op errorfs.Op) error {
		switch {
		case strings.HasSuffix(op.Path, ".seg") && isSync(op):
			return errDisk
		}
		return nil
	})
	if _, err := w.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if err := w.Sync(); !errors.Is(err, kv.ErrPoisoned) {
		t.Fatalf("Sync: %v", err)
	}
	if _, err := w.Write([]byte("x")); !errors.Is(err, kv.ErrPoisoned) {
		t.Fatalf("Write: %v", err)
	}
	_ = w.Close()
}

// A full disk under a flush is no failure: commits are refused, the ballast
// goes, and when there is room again work goes on.
func TestDiskFull(t *testing.T) {
	h := newHarness(0)
	db, err := h.Open(t)
	if err != nil {
		t.Fatal(err)
	}
	ballast := "data/ballast"
	if _, err := h.mem.Stat(ballast); err != nil {
		t.Fatalf("no ballast: %v", err)
	}
	mustCommit(t, db, "a", "1")
	h.f.set(func(op errorfs.Op) error {
		if isTable(op.Path) && op.Kind == errorfs.OpFileWrite {
			return syscall.ENOSPC
		}
		return nil
	})
	h.free.Store(1000)
	if _, err := h.db.p.AsyncFlush(); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "a full disk", func() bool { return h.db.space.full.Load() })
	b := db.NewBatch()
	b.Set([]byte("b"), []byte("2"))
	if _, err := db.Commit(t.Context(), b); !errors.Is(err, kv.ErrNoSpace) {
		t.Fatalf("Commit: %v", err)
	}
	waitFor(t, "the ballast to go", func() bool { _, err := h.mem.Stat(ballast); return err != nil })
	h.f.set(nil)
	h.free.Store(1 << 40)
	waitFor(t, "the ballast to come back", func() bool { _, err := h.mem.Stat(ballast); return err == nil })
	waitFor(t, "room", func() bool { return !h.db.space.full.Load() })
	if err := mustCommit(t, db, "c", "3").Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	if v, err := db.Get(t.Context(), []byte("a")); err != nil || string(v) != "1" {
		t.Fatalf("Get: %q, %v", v, err)
	}
}

// While the engine is stalled, ctx ends a Commit; so does a poison.
func TestStall(t *testing.T) {
	h := newHarness(0)
	db, err := h.Open(t)
	if err != nil {
		t.Fatal(err)
	}
	h.db.stall.begin()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	b := db.NewBatch()
	b.Set([]byte("a"), []byte("1"))
	if _, err := db.Commit(ctx, b); !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, kv.ErrUnknown) {
		t.Fatalf("Commit: %v", err)
	}
	time.AfterFunc(10*time.Millisecond, h.db.stall.end)
	mustCommit(t, db, "b", "2")
	if _, err := db.Get(t.Context(), []byte("a")); !errors.Is(err, kv.ErrNotFound) {
		t.Fatalf("a dropped batch is there: %v", err)
	}
}

// A stall inside the engine: flushes hang until the memtables are full. Commit
// keeps to its ctx, reads go on, and when the flushes go on so do commits.
func TestStallInside(t *testing.T) {
	for _, poison := range []bool{false, true} {
		t.Run(fmt.Sprintf("poison=%v", poison), func(t *testing.T) {
			h := newHarness(0)
			h.opts.MemTable = 16 << 20
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			// The caller gives up a little after the stall began.
			h.opts.Events.Stall = func(string) { time.AfterFunc(100*time.Millisecond, cancel) }
			db, err := h.Open(t)
			if err != nil {
				t.Fatal(err)
			}
			block := make(chan struct{})
			unblock := sync.OnceFunc(func() { close(block) })
			t.Cleanup(unblock)
			h.f.set(func(op errorfs.Op) error {
				if isTable(op.Path) && op.Kind == errorfs.OpCreate {
					<-block
				}
				return nil
			})
			n := 0
			for ; err == nil && n < 100; n++ {
				b := db.NewBatch()
				for i := range 8 {
					b.Set(fmt.Appendf(nil, "%04d/%d", n, i), make([]byte, kv.MaxValue))
				}
				_, err = db.Commit(ctx, b)
			}
			if !errors.Is(err, context.Canceled) {
				t.Fatalf("commit %d: %v", n, err)
			}
			inside := errors.Is(err, kv.ErrUnknown)
			if v, err := db.Get(t.Context(), []byte("0000/0")); err != nil || len(v) != kv.MaxValue {
				t.Fatalf("Get while stalled: %v", err)
			}
			if poison {
				h.db.fail(errDisk)
				unblock()
				if err := db.Close(); !errors.Is(err, kv.ErrPoisoned) {
					t.Fatalf("Close: %v", err)
				}
				return
			}
			unblock()
			if err := mustCommit(t, db, "after", "1").Wait(t.Context()); err != nil {
				t.Fatal(err)
			}
			// The batch whose outcome was unknown kept its place.
			if _, err := db.Get(t.Context(), fmt.Appendf(nil, "%04d/7", n-1)); inside && err != nil {
				t.Fatalf("the batch inside is gone: %v", err)
			}
		})
	}
}

// Snapshots, iterators and commits that end while the database closes.
func TestCloseRaces(t *testing.T) {
	for range 20 {
		h := newHarness(0)
		db, err := h.Open(t)
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		for range 4 {
			wg.Add(1)
			go func() {
				defer wg.Done()
				for {
					s, err := db.NewSnapshot("racer", time.Minute)
					if err != nil {
						return
					}
					it := s.Scan(context.Background(), kv.Range{})
					it2 := db.Scan(context.Background(), kv.Range{})
					it.Next()
					it2.Next()
					b := db.NewBatch()
					b.Set([]byte("a"), []byte("1"))
					if c, err := db.Commit(context.Background(), b); err == nil {
						if err := c.Wait(context.Background()); err != nil {
							t.Errorf("Wait: %v", err)
						}
					}
					_ = it2.Close()
					s.Close()
					_ = it.Close()
				}
			}()
		}
		time.Sleep(2 * time.Millisecond)
		if err := db.Close(); err != nil {
			t.Fatalf("Close: %v", err)
		}
		wg.Wait()
	}
}

// A log whose syncs hang: Commit keeps to its ctx when the queue is full, and
// nothing is durable.
func TestHangingSync(t *testing.T) {
	h := newHarness(0)
	db, err := h.Open(t)
	if err != nil {
		t.Fatal(err)
	}
	release := make(chan struct{})
	h.f.set(func(op errorfs.Op) error {
		if isSync(op) && isLog(op.Path) {
			<-release
		}
		return nil
	})
	durable := db.Durable()
	var last kv.Commit
	for i := range maxInFlight {
		last = mustCommit(t, db, fmt.Sprint(i), "x")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	b := db.NewBatch()
	b.Set([]byte("more"), nil)
	if _, err := db.Commit(ctx, b); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("Commit: %v", err)
	}
	if err := last.Wait(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("Wait: %v", err)
	}
	if db.Durable() != durable {
		t.Fatal("durable without a sync")
	}
	close(release)
	if err := last.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// Damage in a table answers ErrCorrupt and is not taken for missing data.
func TestCorruption(t *testing.T) {
	h := newHarness(0)
	db, err := h.Open(t)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 200 {
		mustCommit(t, db, fmt.Sprintf("key%03d", i), strings.Repeat(fmt.Sprint(i), 200))
	}
	if err := h.db.p.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	names, err := h.mem.List("data/db")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if isTable(name) {
			damage(t, h.mem, "data/db/"+name)
		}
	}
	db, err = h.Open(t)
	if err != nil {
		if !errors.Is(err, kv.ErrCorrupt) {
			t.Fatalf("Open: %v", err)
		}
		return
	}
	if _, err := db.Get(t.Context(), []byte("key001")); !errors.Is(err, kv.ErrCorrupt) {
		t.Fatalf("Get: %v", err)
	}
	it := db.Scan(t.Context(), kv.Range{})
	for it.Next() {
	}
	if err := it.Close(); !errors.Is(err, kv.ErrCorrupt) {
		t.Fatalf("Scan: %v", err)
	}
}

// damage flips bits in the first block of a file.
func damage(t *testing.T, fs vfs.FS, name string) {
	t.Helper()
	f, err := fs.OpenReadWrite(name, vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	buf := make([]byte, 64)
	if _, err := f.ReadAt(buf, 100); err != nil {
		t.Fatal(err)
	}
	for i := range buf {
		buf[i] ^= 0x55
	}
	if _, err := f.WriteAt(buf, 100); err != nil {
		t.Fatal(err)
	}
}
