package pebble

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"rialto/internal/kv"
)

// pending is a batch whose log sync is on its way.
type pending struct {
	b   *pebble.Batch
	seq kv.Sequence
}

// syncLoop moves the durable watermark. The queue may be slightly out of
// order; that is sound, as a synced batch has all before it in the log synced.
func (d *DB) syncLoop() {
	defer close(d.synced)
	for p := range d.queue {
		if err := p.b.SyncWait(); err != nil {
			d.fail(err)
		}
		// The fence sets the poison before it lets a failed sync return.
		if d.poison.Load() == nil {
			d.wait.advance(p.seq)
			_ = p.b.Close()
		}
		<-d.slots
	}
}

// gather is pebble's minimum interval between log syncs: none for a lone
// writer, else up to three times what a sync takes here, a sixth of that for
// each commit in flight. In that time those who were just answered come back, so
// that all share the next sync; without it they fall into groups that sync in turn.
// Measured with bench/storeload: for 64 and more senders longer groups cost no
// throughput and halve the syncs; for 16 they do from one sync time on.
func (d *DB) gather() time.Duration {
	n := d.group.Load()
	if n < 2 || d.opts.MaxGather < 0 {
		return 0
	}
	return min(time.Duration(d.syncTime.Load()*min(n, 18)/6), d.opts.MaxGather)
}

// tookSync keeps a running mean of the time of log syncs.
func (d *DB) tookSync(took time.Duration) {
	mean := d.syncTime.Load()
	d.syncTime.Store(mean + (int64(took)-mean)/8)
}

// Durable implements kv.DB.
func (d *DB) Durable() kv.Sequence { return kv.Sequence(d.wait.durable.Load()) }

// WaitDurable implements kv.DB.
func (d *DB) WaitDurable(ctx context.Context, s kv.Sequence) error { return d.wait.until(ctx, s) }

// waitlist is the durable watermark and those who wait for it.
type waitlist struct {
	durable atomic.Uint64

	mu   sync.Mutex
	heap []*waiter // by seq, lowest first
	err  error     // what is not durable never will be
	free sync.Pool // of *waiter
}

type waiter struct {
	seq  kv.Sequence
	done chan error
}

// waiter takes one from those whose answer has been taken, or makes one.
func (l *waitlist) waiter() *waiter {
	if w, ok := l.free.Get().(*waiter); ok {
		return w
	}
	return &waiter{done: make(chan error, 1)}
}

// until waits for the watermark to reach s.
func (l *waitlist) until(ctx context.Context, s kv.Sequence) error {
	if l.durable.Load() >= uint64(s) {
		return nil
	}
	l.mu.Lock()
	if l.durable.Load() >= uint64(s) {
		l.mu.Unlock()
		return nil
	}
	if l.err != nil {
		l.mu.Unlock()
		return l.err
	}
	w := l.waiter()
	w.seq = s
	l.push(w)
	l.mu.Unlock()
	select {
	case err := <-w.done:
		l.free.Put(w)
		return err
	case <-ctx.Done():
		// w stays in the heap until its turn; it is not reused.
		return ctx.Err()
	}
}

// advance moves the watermark to s, if that is forward.
func (l *waitlist) advance(s kv.Sequence) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if uint64(s) <= l.durable.Load() {
		return
	}
	l.durable.Store(uint64(s))
	for len(l.heap) > 0 && l.heap[0].seq <= s {
		l.pop().done <- nil
	}
}

// fail answers err to all who wait, now and later.
func (l *waitlist) fail(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err == nil {
		l.err = err
	}
	for _, w := range l.heap {
		w.done <- l.err
	}
	l.heap = nil
}

func (l *waitlist) push(w *waiter) {
	l.heap = append(l.heap, w)
	h := l.heap
	for i := len(h) - 1; i > 0; {
		up := (i - 1) / 2
		if h[up].seq <= h[i].seq {
			break
		}
		h[up], h[i] = h[i], h[up]
		i = up
	}
}

func (l *waitlist) pop() *waiter {
	h := l.heap
	top, last := h[0], len(h)-1
	h[0], h[last] = h[last], nil
	h = h[:last]
	l.heap = h
	for i := 0; ; {
		child := 2*i + 1
		if child >= len(h) {
			break
		}
		if child+1 < len(h) && h[child+1].seq < h[child].seq {
			child++
		}
		if h[i].seq <= h[child].seq {
			break
		}
		h[i], h[child] = h[child], h[i]
		i = child
	}
	return top
}
