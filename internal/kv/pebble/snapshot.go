package pebble

import (
	"context"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"rialto/internal/kv"
)

// snapshot is one state of the database. A timer ends it at its deadline.
type snapshot struct {
	d     *DB
	seq   kv.Sequence
	owner string
	born  time.Time
	timer *time.Timer
	iters iterList

	mu   sync.RWMutex
	p    *pebble.Snapshot // nil once ended
	over error            // why
}

// NewSnapshot implements kv.DB.
func (d *DB) NewSnapshot(owner string, ttl time.Duration) (kv.Snapshot, error) {
	if err := d.enter(); err != nil {
		return nil, err
	}
	defer d.life.RUnlock()
	s := &snapshot{d: d, owner: owner, born: time.Now(), p: d.p.NewSnapshot()}
	// Announced before it is applied: no commit in the snapshot is above this.
	s.seq = d.sequence(d.announced.Load())
	d.open.Lock()
	d.open.snapshots[s] = struct{}{}
	d.open.Unlock()
	s.mu.Lock()
	s.timer = time.AfterFunc(ttl, func() { s.end(kv.ErrSnapshotExpired) })
	s.mu.Unlock()
	return s, nil
}

// Sequence implements kv.Snapshot.
func (s *snapshot) Sequence() kv.Sequence { return s.seq }

// Close implements kv.Snapshot.
func (s *snapshot) Close() { s.end(kv.ErrClosed) }

// end frees the snapshot; readers find why. It holds the lock throughout, so
// that the end of the database waits for it.
func (s *snapshot) end(why error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.p == nil {
		return
	}
	s.timer.Stop()
	s.iters.end(why)
	_ = s.p.Close()
	s.p, s.over = nil, why
	s.d.open.Lock()
	delete(s.d.open.snapshots, s)
	s.d.open.Unlock()
}

// enter begins a read; nil obliges the caller to call s.mu.RUnlock.
func (s *snapshot) enter(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.RLock()
	err := s.over
	if err == nil {
		err = s.d.failure()
	}
	if err != nil {
		s.mu.RUnlock()
	}
	return err
}

// Get implements kv.Reader.
func (s *snapshot) Get(ctx context.Context, key []byte) ([]byte, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.mu.RUnlock()
	return s.d.get(s.p, key)
}

// GetMany implements kv.Reader.
func (s *snapshot) GetMany(ctx context.Context, keys [][]byte) ([][]byte, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.mu.RUnlock()
	return s.d.getMany(ctx, s.p, keys)
}

// Scan implements kv.Reader.
func (s *snapshot) Scan(ctx context.Context, r kv.Range) kv.Iterator {
	if err := s.enter(ctx); err != nil {
		return &iterator{err: err}
	}
	defer s.mu.RUnlock()
	return s.d.scan(ctx, s.p, r, &s.iters)
}
