package postgres

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"rialto/internal/kv"
)

// view is a state to read: an overlay over a generation. It holds a reference
// of the generation until release.
type view struct {
	d    *DB
	over overlay
	seq  kv.Sequence
	ends func() error // why it may not be read any more

	mu   sync.Mutex
	gen  *generation
	done bool
}

// now returns the present state.
func (d *DB) now(ctx context.Context) (*view, error) {
	for tried := false; ; tried = true {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		d.mu.Lock()
		if err := d.err; err != nil {
			d.mu.Unlock()
			return nil, err
		}
		if g := d.gen; g != nil && !g.expired && !g.isBroken() {
			g.refs++
			d.edit++
			v := &view{d: d, over: d.over, seq: d.last, gen: g, ends: d.failure}
			d.mu.Unlock()
			return v, nil
		}
		if err := d.genErr; tried && err != nil {
			d.genErr = nil
			d.mu.Unlock()
			return nil, err
		}
		opened := d.renew()
		d.mu.Unlock()
		select {
		case <-opened:
		case <-ctx.Done():
		}
	}
}

func (g *generation) isBroken() bool {
	select {
	case <-g.gone:
		return true
	default:
		return false
	}
}

// release gives the generation up; it may be called again.
func (v *view) release() {
	v.mu.Lock()
	g := v.gen
	v.gen, v.done = nil, true
	v.mu.Unlock()
	if g != nil {
		v.d.mu.Lock()
		v.d.unpin(g)
		v.d.mu.Unlock()
	}
}

// run makes a round trip.
func (v *view) run(ctx context.Context, f func(context.Context, *pgx.Conn) error) error {
	return v.attempt(ctx, func(g *generation) error { return g.run(ctx, f) })
}

// attempt reads from the generation. A broken one is replaced if the new one
// shows nothing above the view's state.
func (v *view) attempt(ctx context.Context, read func(*generation) error) error {
	for end := time.Now().Add(v.d.deadline()); ; {
		v.mu.Lock()
		g, done := v.gen, v.done
		v.mu.Unlock()
		if done || g == nil {
			return v.ended()
		}
		err := read(g)
		if !errors.Is(err, errBroken) {
			if err != nil && final(err) && code(err) != "" {
				return fmt.Errorf("postgres: read failed: %w", damage(err))
			}
			return err
		}
		if time.Now().After(end) || !v.rebase(ctx, g) {
			return errors.Join(kv.ErrSnapshotExpired, err)
		}
	}
}

// ended is the reason of a view that was released.
func (v *view) ended() error {
	if err := v.ends(); err != nil {
		return err
	}
	return kv.ErrSnapshotExpired
}

// rebase moves v from a broken generation to the present one.
func (v *view) rebase(ctx context.Context, old *generation) bool {
	fresh, err := v.d.now(ctx)
	if err != nil {
		return false
	}
	defer fresh.release()
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.done {
		return false
	}
	if v.gen != old {
		return true
	}
	if fresh.gen.at > v.seq {
		return false
	}
	v.gen, fresh.gen = fresh.gen, old
	return true
}

// at is the position of the generation, for the cache.
func (v *view) at() (*generation, kv.Sequence) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.gen == nil {
		return nil, 0
	}
	return v.gen, v.gen.at
}

// get answers from the overlay or the cache.
func (v *view) get(key []byte, at kv.Sequence) (value []byte, known bool) {
	if value, known = v.over.get(key); known {
		return value, true
	}
	return v.d.cache.get(key, at)
}

func clone(value []byte) []byte {
	if value == nil {
		return nil
	}
	return append([]byte{}, value...)
}

// Get implements kv.Reader.
func (v *view) Get(ctx context.Context, key []byte) ([]byte, error) {
	out, err := v.GetMany(ctx, [][]byte{key})
	if err != nil {
		return nil, err
	}
	if out[0] == nil {
		return nil, kv.ErrNotFound
	}
	return out[0], nil
}

// GetMany implements kv.Reader.
func (v *view) GetMany(ctx context.Context, keys [][]byte) ([][]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := v.ends(); err != nil {
		return nil, err
	}
	_, at := v.at()
	out := make([][]byte, len(keys))
	missing := make(map[string][]int)
	for i, k := range keys {
		value, known := v.get(k, at)
		if known {
			out[i] = clone(value)
		} else {
			missing[string(k)] = append(missing[string(k)], i)
		}
	}
	if len(missing) == 0 {
		return out, nil
	}
	found, err := v.fetch(ctx, missing)
	if err != nil {
		return nil, err
	}
	for k, places := range missing {
		for _, i := range places {
			out[i] = clone(found[k])
		}
	}
	return out, nil
}

// fetch reads keys from the server, and keeps what it found.
func (v *view) fetch(ctx context.Context, keys map[string][]int) (found map[string][]byte, err error) {
	err = v.attempt(ctx, func(g *generation) error {
		found, err = g.fetch(ctx, keys)
		return err
	})
	if err == nil {
		v.keep(keys, found)
	}
	return found, err
}

// keep puts what was read into the cache, unless it was written since.
func (v *view) keep(keys map[string][]int, found map[string][]byte) {
	g, at := v.at()
	v.d.mu.Lock()
	defer v.d.mu.Unlock()
	if g == nil || v.d.gen != g {
		return // the overlay may not cover all that was written since
	}
	for k := range keys {
		if _, known := v.d.over.get([]byte(k)); !known {
			v.d.cache.put([]byte(k), found[k], at)
		}
	}
}

// tableOf is the table that key is in.
func (d *DB) tableOf(key string) int {
	t := len(d.tables) - 1
	for t > 0 && key < string(d.tables[t].From) {
		t--
	}
	return t
}

// Get implements kv.Reader.
func (d *DB) Get(ctx context.Context, key []byte) ([]byte, error) {
	out, err := d.GetMany(ctx, [][]byte{key})
	if err != nil {
		return nil, err
	}
	if out[0] == nil {
		return nil, kv.ErrNotFound
	}
	return out[0], nil
}

// GetMany implements kv.Reader. The values are those of one moment.
func (d *DB) GetMany(ctx context.Context, keys [][]byte) ([][]byte, error) {
	for {
		v, err := d.now(ctx)
		if err != nil {
			return nil, err
		}
		out, err := v.GetMany(ctx, keys)
		v.release()
		if err == nil || !errors.Is(err, kv.ErrSnapshotExpired) {
			return out, err
		}
	}
}

// Scan implements kv.Reader.
func (d *DB) Scan(ctx context.Context, r kv.Range) kv.Iterator {
	v, err := d.now(ctx)
	if err != nil {
		return &iterator{ctx: ctx, err: err}
	}
	it := v.scan(ctx, r)
	it.own = v
	return it
}

// Scan implements kv.Reader.
func (v *view) Scan(ctx context.Context, r kv.Range) kv.Iterator { return v.scan(ctx, r) }

// snapshot is a view with an owner and a deadline.
type snapshot struct {
	*view
	owner    string
	born     time.Time
	deadline time.Time
	timer    *time.Timer
	closed   chan struct{}
	once     sync.Once
}

// NewSnapshot implements kv.DB. It makes a round trip only when nobody has read
// for a while.
func (d *DB) NewSnapshot(owner string, ttl time.Duration) (kv.Snapshot, error) {
	v, err := d.now(context.Background())
	if err != nil {
		return nil, err
	}
	now := time.Now()
	s := &snapshot{view: v, owner: owner, born: now, deadline: now.Add(ttl), closed: make(chan struct{})}
	v.ends = s.ended
	d.mu.Lock()
	d.snaps[s] = struct{}{}
	d.mu.Unlock()
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
	s.release()
}

// Sequence implements kv.Snapshot.
func (s *snapshot) Sequence() kv.Sequence { return s.seq }

// Close implements kv.Snapshot.
func (s *snapshot) Close() {
	s.once.Do(func() {
		s.timer.Stop()
		close(s.closed)
		s.forget()
	})
}
