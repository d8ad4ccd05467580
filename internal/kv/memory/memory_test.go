package memory_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"go.uber.org/goleak"

	"rialto/internal/kv"
	"rialto/internal/kv/kvtest"
	"rialto/internal/kv/memory"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type harness struct {
	opts memory.Options
	db   *memory.DB
}

func (h *harness) Open(testing.TB) (kv.DB, error) {
	if h.db == nil {
		h.db = memory.New(h.opts)
		return h.db, nil
	}
	db, err := h.db.Reopen()
	if err != nil {
		return nil, err
	}
	h.db = db
	return db, nil
}

func (h *harness) PowerCut(testing.TB)            { h.db.PowerCut() }
func (h *harness) FailSync()                      { h.db.FailSync(1) }
func (h *harness) SetFree(_ testing.TB, n uint64) { h.db.SetFree(n) }
func (h *harness) OpenCopy(testing.TB, string) (kv.DB, error) {
	return nil, errors.New("no checkpoints")
}

func TestConformance(t *testing.T) {
	kvtest.Run(t, func(testing.TB) kvtest.Harness {
		return &harness{opts: memory.Options{MinFree: 1 << 20}}
	})
}

func TestConformanceSlow(t *testing.T) {
	kvtest.Run(t, func(testing.TB) kvtest.Harness {
		return &harness{opts: memory.Options{MinFree: 1 << 20, SyncLatency: time.Millisecond}}
	})
}

// A Wait really comes later than its Commit, and a cut in between loses it.
func TestLatencyAndPowerCut(t *testing.T) {
	ctx := context.Background()
	db := memory.New(memory.Options{SyncLatency: 20 * time.Millisecond})
	put := func(k string) kv.Commit {
		b := db.NewBatch()
		b.Set([]byte(k), []byte("v"))
		c, err := db.Commit(ctx, b)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	start := time.Now()
	c := put("kept")
	if db.Durable() >= c.Sequence() {
		t.Fatal("durable before any sync")
	}
	if err := c.Wait(ctx); err != nil || time.Since(start) < 20*time.Millisecond {
		t.Fatalf("Wait = %v after %v", err, time.Since(start))
	}
	lost := put("lost")
	done := make(chan error, 1)
	go func() { done <- lost.Wait(ctx) }()
	time.Sleep(2 * time.Millisecond)
	db.PowerCut()
	if err := <-done; !errors.Is(err, kv.ErrPoisoned) {
		t.Fatalf("Wait across a power cut: %v", err)
	}
	db, err := db.Reopen()
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	got, err := db.GetMany(ctx, [][]byte{[]byte("kept"), []byte("lost")})
	if err != nil || got[0] == nil || got[1] != nil {
		t.Fatalf("after the cut: %q, %v", got, err)
	}
	if c := put("new"); c.Sequence() <= lost.Sequence() {
		t.Fatalf("sequence %d was given before (%d)", c.Sequence(), lost.Sequence())
	}
}

func TestFailSyncCounts(t *testing.T) {
	ctx := context.Background()
	db := memory.New(memory.Options{})
	db.FailSync(3)
	for i := 1; i <= 3; i++ {
		b := db.NewBatch()
		b.Set([]byte{byte(i)}, nil)
		c, err := db.Commit(ctx, b)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Wait(ctx); (err != nil) != (i == 3) {
			t.Fatalf("sync %d: %v", i, err)
		}
	}
	if err := db.Close(); !errors.Is(err, kv.ErrPoisoned) {
		t.Fatalf("Close = %v", err)
	}
}

// A copy and what it was made of go their own ways.
func TestCopy(t *testing.T) {
	d := memory.New(memory.Options{})
	put := func(d *memory.DB, v string) {
		t.Helper()
		b := d.NewBatch()
		b.Set([]byte("a"), []byte(v))
		if err := kv.CommitDurable(t.Context(), d, b); err != nil {
			t.Fatal(err)
		}
	}
	put(d, "1")
	c := d.Copy()
	put(d, "2")
	put(c, "3")
	c.PowerCut()
	c, err := c.Reopen()
	if err != nil {
		t.Fatal(err)
	}
	for want, d := range map[string]*memory.DB{"2": d, "3": c} {
		if v, err := d.Get(t.Context(), []byte("a")); err != nil || string(v) != want {
			t.Errorf("%q, %v, want %s", v, err, want)
		}
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	}
}
