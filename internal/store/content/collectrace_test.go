package content

import (
	"context"
	"testing"
	"time"

	"rialto/internal/kv"
	"rialto/internal/kv/memory"
	"rialto/internal/model"
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

// TestShareDuringCollection: a stream that a collection looks at is shared as
// soon as that is decided; one that it drops is not there.
func TestShareDuringCollection(t *testing.T) {
	for _, used := range []bool{true, false} {
		e := &between{DB: memory.New(memory.Options{})}
		b := newBench(t, e)
		id, row := b.publish(noise(1, 1000))
		if !used {
			b.drop(id, row)
		}
		b.now = b.now.Add(time.Hour)
		type answer struct {
			st  *Staged
			err error
		}
		got := make(chan answer, 1)
		e.beforeCommit = func() {
			short, cancel := context.WithCancel(b.Context())
			cancel()
			if _, err := b.s.Share(short, id); !model.IsKind(err, model.KindCanceled) {
				t.Errorf("used %v: share with a context that has ended: %v", used, err)
			}
			go func() {
				st, err := b.s.Share(b.Context(), id)
				got <- answer{st, err}
			}()
		}
		b.collect()
		switch a := <-got; {
		case used && a.err != nil:
			t.Errorf("a stream in use can not be shared: %v", a.err)
		case used:
			a.st.Release()
		case !model.IsKind(a.err, model.KindNotFound):
			t.Errorf("a stream that was dropped: %v", a.err)
		}
	}
}

// TestFailedFinishLeavesNothing: chunks in rows go with the stream that failed.
func TestFailedFinishLeavesNothing(t *testing.T) {
	db := memory.New(memory.Options{})
	b := newBench(t, plain{db})
	ctx, cancel := context.WithCancel(b.Context())
	w := b.s.NewWriter(ctx)
	if _, err := w.Write(noise(1, ChunkSize+1000)); err != nil {
		t.Fatal(err)
	}
	cancel()
	if _, err := w.Finish(ctx); err == nil {
		t.Fatal("a stream ends with a context that has ended")
	}
	w.Abort()
	it := db.Scan(b.Context(), kv.Range{Lower: []byte{spaceChunk}, Upper: []byte{spaceChunk + 1}})
	n := 0
	for it.Next() {
		n++
	}
	if err := it.Close(); err != nil || n != 0 {
		t.Errorf("%d rows of a stream that failed: %v", n, err)
	}
}
