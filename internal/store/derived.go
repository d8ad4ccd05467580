package store

import (
	"context"
	"slices"
	"time"

	"rialto/internal/kv"
	"rialto/internal/store/layout"
)

// Derived is a key space of a mailbox for what can be made again from its
// items: indexes, renderings. It has no part in the mailbox's log, counters or
// locks; whoever uses it keeps order among its own writers. It goes when the
// mailbox does, and may go at any other time.
//
// Nothing may be put in that was not read from a View: what is derived is then
// always of durable things, whether or not its own rows are durable yet.
type Derived struct {
	m      *Mailbox
	prefix []byte
}

// Derived returns the derived space of a number, one for each use.
func (m *Mailbox) Derived(space byte) Derived {
	return Derived{m, append(m.num.Key(layout.SubDerived), space)}
}

func (d Derived) key(k []byte) []byte {
	return append(slices.Clip(d.prefix), k...)
}

// DerivedView is one state of a Derived, for viewTime at most.
type DerivedView struct {
	d    Derived
	snap kv.Snapshot
}

// View returns the present state.
func (d Derived) View(ctx context.Context) (*DerivedView, error) {
	snap, err := d.m.db.kv.NewSnapshot("derived", viewTime)
	if err != nil {
		return nil, wrap("store.derived", "mailbox", err)
	}
	if err := d.m.durable(ctx, snap.Sequence()); err != nil {
		snap.Close()
		return nil, wrap("store.derived", "mailbox", err)
	}
	return &DerivedView{d, snap}, nil
}

// Close frees the view.
func (v *DerivedView) Close() { v.snap.Close() }

// GetMany returns the values of keys in their order, nil where there is none.
func (v *DerivedView) GetMany(ctx context.Context, keys ...[]byte) ([][]byte, error) {
	full := make([][]byte, len(keys))
	for i, k := range keys {
		full[i] = v.d.key(k)
	}
	vals, err := v.snap.GetMany(ctx, full)
	return vals, wrap("store.derived", "row", err)
}

// Scan calls fn for the rows whose keys begin with prefix, ascending, until it
// returns false. key is what follows the prefix; both slices are valid during
// the call only.
func (v *DerivedView) Scan(ctx context.Context, prefix []byte, fn func(key, value []byte) bool) error {
	lower := v.d.key(prefix)
	it := v.snap.Scan(ctx, kv.Range{Lower: lower, Upper: layout.PrefixEnd(lower)})
	for it.Next() && fn(it.Key()[len(lower):], it.Value()) {
	}
	return wrap("store.derived", "rows", it.Close())
}

// DerivedBatch gathers changes of one Derived that happen together.
type DerivedBatch struct {
	d Derived
	b kv.Batch
}

// NewBatch begins a batch. It has to be committed or closed.
func (d Derived) NewBatch() *DerivedBatch { return &DerivedBatch{d, d.m.db.kv.NewBatch()} }

// Set writes a row; see kv for the limits.
func (b *DerivedBatch) Set(key, value []byte) { b.b.Set(b.d.key(key), value) }

// DeleteRange drops the rows from lower to before upper; nil is the end.
func (b *DerivedBatch) DeleteRange(lower, upper []byte) {
	end := layout.PrefixEnd(b.d.prefix)
	if upper != nil {
		end = b.d.key(upper)
	}
	b.b.DeleteRange(b.d.key(lower), end)
}

// Size is the number of bytes of keys and values so far.
func (b *DerivedBatch) Size() int { return b.b.Size() }

// Close gives the batch up.
func (b *DerivedBatch) Close() { b.b.Close() }

// derivedTime is how long a batch may wait for its place.
const derivedTime = 30 * time.Second

// Commit orders the batch and does not wait for the disk: after a power cut an
// earlier state of the derived space is there, whole.
func (b *DerivedBatch) Commit(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		b.b.Close()
		return wrap("store.derived", "commit", err)
	}
	if err := b.d.m.retired.Load(); err != nil {
		b.b.Close()
		return *err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), derivedTime)
	defer cancel()
	_, err := b.d.m.db.kv.Commit(ctx, b.b)
	return wrap("store.derived", "commit", err)
}
