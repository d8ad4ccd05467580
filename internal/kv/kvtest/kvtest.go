// Package kvtest is the conformance suite of package kv: one set of tests, run
// on every engine through a Harness.
package kvtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"rialto/internal/kv"
)

// Harness is one database directory, or what an engine has in its place. The
// suite makes one per test.
type Harness interface {
	// Open opens the database; it is closed or has lost power.
	Open(t testing.TB) (kv.DB, error)
	// PowerCut takes the power from the open database. What was synced survives,
	// of the rest any part may. The database given out before is dead.
	PowerCut(t testing.TB)
	// FailSync makes the next sync of the log fail.
	FailSync()
	// SetFree sets the free space the database sees, in bytes, and returns when
	// it has seen it. MinFree of the harness is 1 MB.
	SetFree(t testing.TB, bytes uint64)
	// OpenCopy opens what Checkpoint wrote into dir.
	OpenCopy(t testing.TB, dir string) (kv.DB, error)
}

// conformance is one test of the suite. offered says whether an engine has what
// it tests; nil: every engine has.
type conformance struct {
	name    string
	run     func(*testing.T, Harness)
	offered func(kv.DB) bool
}

// offers reports whether an engine implements an optional interface.
func offers[T any](db kv.DB) bool {
	_, ok := db.(T)
	return ok
}

// Run runs the suite; make gives each test its own harness. Tests of optional
// interfaces are for the engines that have them.
func Run(t *testing.T, make func(t testing.TB) Harness) {
	probe := open(t, make(t))
	for _, c := range []conformance{
		{"Get", testGet, nil},
		{"GetMany", testGetMany, nil},
		{"Scan", testScan, nil},
		{"ScanState", testScanState, nil},
		{"Batch", testBatch, nil},
		{"DeleteRange", testDeleteRange, nil},
		{"Sizes", testSizes, nil},
		{"Ownership", testOwnership, nil},
		{"Snapshot", testSnapshot, nil},
		{"SnapshotExpiry", testSnapshotExpiry, nil},
		{"Context", testContext, nil},
		{"SplitCommit", testSplitCommit, nil},
		{"EmptyCommit", testEmptyCommit, nil},
		{"Sequence", testSequence, nil},
		{"ManyOperations", testManyOperations, nil},
		{"SnapshotSequence", testSnapshotSequence, nil},
		{"Concurrent", testConcurrent, nil},
		{"Closed", testClosed, nil},
		{"Poison", testPoison, nil},
		{"NoSpace", testNoSpace, nil},
		{"Lease", testLease, nil},
		{"Metrics", testMetrics, offers[kv.Metered]},
		{"Checkpoint", testCheckpoint, offers[kv.Checkpointer]},
		{"PowerCut", testPowerCut, nil},
		{"PowerCutConcurrent", testPowerCutConcurrent, nil},
		{"Segments", testSegments, offers[kv.Segmented]},
		{"SegmentsPowerCut", testSegmentsPowerCut, offers[kv.Segmented]},
	} {
		if c.offered == nil || c.offered(probe) {
			t.Run(c.name, func(t *testing.T) { c.run(t, make(t)) })
		}
	}
}

var bg = context.Background()

func open(t testing.TB, h Harness) kv.DB {
	t.Helper()
	db, err := h.Open(t)
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// commit runs fill on a batch and commits it, without waiting.
func commit(t testing.TB, db kv.DB, fill func(kv.Batch)) kv.Commit {
	t.Helper()
	b := db.NewBatch()
	fill(b)
	c, err := db.Commit(bg, b)
	if err != nil {
		t.Fatalf("commit: %v", err)
	}
	return c
}

func set(t testing.TB, db kv.DB, pairs ...string) kv.Commit {
	t.Helper()
	return commit(t, db, func(b kv.Batch) {
		for i := 0; i < len(pairs); i += 2 {
			b.Set([]byte(pairs[i]), []byte(pairs[i+1]))
		}
	})
}

func wait(t testing.TB, c kv.Commit) {
	t.Helper()
	ctx, cancel := context.WithTimeout(bg, 30*time.Second)
	defer cancel()
	if err := c.Wait(ctx); err != nil {
		t.Fatalf("wait: %v", err)
	}
}

func wantGet(t testing.TB, r kv.Reader, key, want string) {
	t.Helper()
	v, err := r.Get(bg, []byte(key))
	if err != nil || string(v) != want {
		t.Fatalf("get %q = %q, %v; want %q", key, v, err, want)
	}
}

func wantNone(t testing.TB, r kv.Reader, key string) {
	t.Helper()
	if v, err := r.Get(bg, []byte(key)); !errors.Is(err, kv.ErrNotFound) {
		t.Fatalf("get %q = %q, %v; want ErrNotFound", key, v, err)
	}
}

func wantErr(t testing.TB, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("%s: error %v, want %v", what, err, want)
	}
}

// list scans r and returns "k=v k=v".
func list(t testing.TB, db kv.Reader, r kv.Range) string {
	t.Helper()
	var out bytes.Buffer
	it := db.Scan(bg, r)
	for it.Next() {
		if out.Len() > 0 {
			out.WriteByte(' ')
		}
		fmt.Fprintf(&out, "%s=%s", it.Key(), it.Value())
	}
	if err := it.Close(); err != nil {
		t.Fatalf("scan: %v", err)
	}
	return out.String()
}

func wantList(t testing.TB, db kv.Reader, r kv.Range, want string) {
	t.Helper()
	if got := list(t, db, r); got != want {
		t.Fatalf("scan %q..%q reverse=%v limit=%d\n got %s\nwant %s", r.Lower, r.Upper, r.Reverse, r.Limit, got, want)
	}
}

func snap(t testing.TB, db kv.DB) kv.Snapshot {
	t.Helper()
	s, err := db.NewSnapshot("test", time.Minute)
	if err != nil {
		t.Fatalf("snapshot: %v", err)
	}
	return s
}
