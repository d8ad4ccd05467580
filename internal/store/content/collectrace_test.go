package content

import (
	"context"
	"testing"
	"time"

	"rialto/internal/kv"
	"rialto/internal/kv/memory"
)

// between is an engine that does something before the next commit.
type between struct {
	kv.DB
	beforeCommit func()
}

func (e *between) Commit(ctx context.Context, b kv.Batch) (kv.Commit, error) {
	if f := e.beforeCommit; f != nil {
		e.beforeCommit = nil
		f()
	}
	return e.DB.Commit(ctx, b)
}

// TestLastReferenceDuringCollection: the last reference goes after a collection
// has seen it and before its batch is ordered.
func TestLastReferenceDuringCollection(t *testing.T) {
	e := &between{DB: memory.New(memory.Options{})}
	b := newBench(t, e)
	id, row := b.publish(noise(1, 1000))
	b.now = b.now.Add(time.Hour)
	e.beforeCommit = func() { b.drop(id, row) }
	if got := b.collect(); got.Removed != 0 {
		t.Fatalf("collected what had a reference: %+v", got)
	}
	b.now = b.now.Add(time.Hour)
	if got := b.collect(); got.Removed != 1 {
		t.Errorf("a stream that lost its last reference meanwhile stays for ever: %+v", got)
	}
	if got := b.collect(); got.Looked != 0 {
		t.Errorf("candidates are left: %+v", got)
	}
}
