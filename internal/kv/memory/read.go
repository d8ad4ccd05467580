package memory

import (
	"context"
	"time"

	"rialto/internal/kv"
	"rialto/internal/kv/treap"
)

// view is one state to read, and the reason it may not be read any more.
type view struct {
	root tree
	over func() error
}

func (v view) get(key []byte) ([]byte, bool) {
	value, ok := v.root.Get(key)
	if !ok {
		return nil, false
	}
	return append([]byte{}, value...), true
}

func (v view) Get(ctx context.Context, key []byte) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := v.over(); err != nil {
		return nil, err
	}
	value, ok := v.get(key)
	if !ok {
		return nil, kv.ErrNotFound
	}
	return value, nil
}

func (v view) GetMany(ctx context.Context, keys [][]byte) ([][]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := v.over(); err != nil {
		return nil, err
	}
	out := make([][]byte, len(keys))
	for i, k := range keys {
		out[i], _ = v.get(k)
	}
	return out, nil
}

func (v view) Scan(ctx context.Context, r kv.Range) kv.Iterator {
	it := &iterator{ctx: ctx, v: v, left: -1, err: v.over()}
	if r.Limit > 0 {
		it.left = r.Limit
	}
	var lower, upper []byte
	if r.Lower != nil {
		lower = append([]byte{}, r.Lower...)
	}
	if r.Upper != nil {
		upper = append([]byte{}, r.Upper...)
	}
	it.c = v.root.Cursor(lower, upper, r.Reverse)
	return it
}

// now is the present state of d.
func (d *DB) now() view { return view{d.current(), d.failure} }

// Get implements kv.Reader.
func (d *DB) Get(ctx context.Context, key []byte) ([]byte, error) { return d.now().Get(ctx, key) }

// GetMany implements kv.Reader.
func (d *DB) GetMany(ctx context.Context, keys [][]byte) ([][]byte, error) {
	return d.now().GetMany(ctx, keys)
}

// Scan implements kv.Reader.
func (d *DB) Scan(ctx context.Context, r kv.Range) kv.Iterator { return d.now().Scan(ctx, r) }

type iterator struct {
	ctx  context.Context
	v    view
	c    *treap.Cursor[[]byte]
	key  []byte // where the iterator is; the cursor is one ahead
	val  []byte
	left int
	err  error
	done bool
}

// Next implements kv.Iterator.
func (i *iterator) Next() bool {
	if i.err != nil || i.done || i.left == 0 {
		return false
	}
	if i.err = i.ctx.Err(); i.err == nil {
		i.err = i.v.over()
	}
	if i.err != nil {
		return false
	}
	var ok bool
	if i.key, i.val, ok = i.c.Pair(); !ok {
		i.done = true
		return false
	}
	i.c.Next()
	if i.left > 0 {
		i.left--
	}
	return true
}

// Key implements kv.Iterator.
func (i *iterator) Key() []byte { return i.key }

// Value implements kv.Iterator.
func (i *iterator) Value() []byte { return i.val }

// Close implements kv.Iterator.
func (i *iterator) Close() error {
	i.done = true
	return i.err
}

type snapshot struct {
	view
	d        *DB
	seq      kv.Sequence
	owner    string
	born     time.Time
	deadline time.Time
	timer    *time.Timer
	closed   chan struct{}
}

// NewSnapshot implements kv.DB.
func (d *DB) NewSnapshot(owner string, ttl time.Duration) (kv.Snapshot, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.err != nil {
		return nil, d.err
	}
	now := time.Now()
	s := &snapshot{d: d, seq: d.last, owner: owner, born: now, deadline: now.Add(ttl), closed: make(chan struct{})}
	s.view = view{d.root, s.ended}
	d.snaps[s] = struct{}{}
	s.timer = time.AfterFunc(ttl, s.forget)
	return s, nil
}

// ended says why s is not to be read any more.
func (s *snapshot) ended() error {
	select {
	case <-s.closed:
		return kv.ErrClosed
	default:
	}
	if err := s.d.failure(); err != nil {
		return err
	}
	if !time.Now().Before(s.deadline) {
		return kv.ErrSnapshotExpired
	}
	return nil
}

func (s *snapshot) forget() {
	s.d.mu.Lock()
	delete(s.d.snaps, s)
	s.d.mu.Unlock()
}

// Sequence implements kv.Snapshot.
func (s *snapshot) Sequence() kv.Sequence { return s.seq }

// Close implements kv.Snapshot.
func (s *snapshot) Close() {
	s.d.mu.Lock()
	defer s.d.mu.Unlock()
	delete(s.d.snaps, s)
	select {
	case <-s.closed:
	default:
		s.timer.Stop()
		close(s.closed)
	}
}
