package pebble

import (
	"errors"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"go.uber.org/goleak"

	"rialto/internal/kv"
	"rialto/internal/kv/kvtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var errDisk = errors.New("injected disk failure")

// faults decides which file operations fail.
type faults struct {
	fail atomic.Pointer[func(errorfs.Op) error]
}

func (f *faults) set(fn func(errorfs.Op) error) {
	if fn == nil {
		f.fail.Store(nil)
		return
	}
	f.fail.Store(&fn)
}

func (f *faults) inject(op errorfs.Op) error {
	if fn := f.fail.Load(); fn != nil {
		return (*fn)(op)
	}
	return nil
}

// logSyncs fails the next n syncs of a log with errDisk.
func (f *faults) logSyncs(n int64) {
	var left atomic.Int64
	left.Store(n)
	f.set(func(op errorfs.Op) error {
		if isSync(op) && isLog(op.Path) && left.Add(-1) >= 0 {
			return errDisk
		}
		return nil
	})
}

func isSync(op errorfs.Op) bool {
	return op.Kind == errorfs.OpFileSync || op.Kind == errorfs.OpFileSyncData
}

// usageFS reports the free space it is told.
type usageFS struct {
	vfs.FS
	free *atomic.Uint64
}

func (u usageFS) GetDiskUsage(string) (vfs.DiskUsage, error) {
	return vfs.DiskUsage{AvailBytes: u.free.Load(), TotalBytes: 1 << 40}, nil
}

// harness runs a database on a file system in memory that can be cut off.
type harness struct {
	mem   *vfs.MemFS
	rng   *rand.Rand
	f     faults
	free  atomic.Uint64
	opts  Options
	db    *DB
	keeps int // percent of unsynced blocks that survive a power cut
}

func newHarness(keeps int) *harness {
	h := &harness{mem: vfs.NewCrashableMem(), rng: rand.New(rand.NewPCG(3, uint64(keeps))), keeps: keeps}
	h.free.Store(1 << 40)
	h.opts = Options{Dir: "data", MinFree: 1 << 20, Ballast: 1 << 16, Sample: 20 * time.Millisecond}
	return h
}

func (h *harness) options(dir string) Options {
	o := h.opts
	o.Dir = dir
	o.FS = usageFS{errorfs.Wrap(h.mem, errorfs.InjectorFunc(h.f.inject)), &h.free}
	return o
}

func (h *harness) Open(t testing.TB) (kv.DB, error) {
	db, err := Open(h.options(h.opts.Dir))
	if err != nil {
		return nil, err
	}
	h.db = db.(*DB)
	t.Cleanup(func() { _ = db.Close() })
	return db, nil
}

func (h *harness) PowerCut(t testing.TB) {
	clone := h.mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: h.keeps, RNG: h.rng})
	h.db.fail(errors.New("the power failed"))
	_ = h.db.Close()
	h.mem = clone
	h.f.set(nil)
}

func (h *harness) FailSync() { h.f.logSyncs(1) }

func (h *harness) SetFree(t testing.TB, n uint64) {
	h.free.Store(n)
	waitFor(t, "the new free space", func() bool { return h.db.space.free.Load() == n })
}

func (h *harness) OpenCopy(_ testing.TB, dir string) (kv.DB, error) { return Open(h.options(dir)) }

func waitFor(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

func TestConformance(t *testing.T) {
	kvtest.Run(t, func(testing.TB) kvtest.Harness { return newHarness(0) })
}

// In a real power cut some of what was not synced is there all the same.
func TestConformanceTornWrites(t *testing.T) {
	for _, keeps := range []int{20, 50, 90} {
		kvtest.Run(t, func(testing.TB) kvtest.Harness { return newHarness(keeps) })
	}
}

// diskHarness runs the parts that need no power cut on the real file system.
type diskHarness struct{ *harness }

func (h diskHarness) Open(t testing.TB) (kv.DB, error) {
	h.opts.FS = vfs.Default
	db, err := Open(h.opts)
	if err == nil {
		h.db = db.(*DB)
		t.Cleanup(func() { _ = db.Close() })
	}
	return db, err
}

func TestRealDisk(t *testing.T) {
	h := diskHarness{newHarness(0)}
	h.opts.Dir = t.TempDir() + "/a/b"
	db, err := h.Open(t)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.Open(t); !errors.Is(err, kv.ErrLocked) {
		t.Fatalf("second open: %v", err)
	}
	c := mustCommit(t, db, "a", "1")
	if err := c.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	copyDir := t.TempDir() + "/copy"
	if err := db.(kv.Checkpointer).Checkpoint(t.Context(), copyDir); err != nil {
		t.Fatal(err)
	}
	if err := mustCommit(t, db, "b", strings.Repeat("x", 50_000)).Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	free, used, err := db.(kv.Spacer).Space()
	if err != nil || free == 0 || used < 50_000 { // the log counts
		t.Fatalf("space = %d, %d, %v", free, used, err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{h.opts.Dir, copyDir} {
		h.opts.Dir = dir
		db, err := h.Open(t)
		if err != nil {
			t.Fatal(err)
		}
		if v, err := db.Get(t.Context(), []byte("a")); err != nil || string(v) != "1" {
			t.Fatalf("%s: %q, %v", dir, v, err)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func mustCommit(t testing.TB, db kv.DB, key, value string) kv.Commit {
	t.Helper()
	b := db.NewBatch()
	b.Set([]byte(key), []byte(value))
	c, err := db.Commit(t.Context(), b)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func isTable(name string) bool { return strings.HasSuffix(name, ".sst") }
