package pebble

import (
	"context"
	"sync"

	"github.com/cockroachdb/pebble/v2"

	"rialto/internal/kv"
)

// iterator walks a pebble iterator. Its mutex is there for the end of the
// snapshot or database, which comes from another goroutine.
type iterator struct {
	mu      sync.Mutex
	it      *pebble.Iterator // nil once closed
	d       *DB
	ctx     context.Context
	list    *iterList
	key     []byte // copies, so that they outlive an end from elsewhere
	value   []byte
	left    int // pairs still allowed, -1: any number
	steps   int
	reverse bool
	started bool
	err     error

	prev, next *iterator // in list
}

// Scan implements kv.Reader.
func (d *DB) Scan(ctx context.Context, r kv.Range) kv.Iterator {
	if err := d.enter(); err != nil {
		return &iterator{err: err}
	}
	defer d.life.RUnlock()
	return d.scan(ctx, d.p, r, &d.open.iterators)
}

func (d *DB) scan(ctx context.Context, p pebble.Reader, r kv.Range, list *iterList) kv.Iterator {
	it, err := p.NewIterWithContext(ctx, &pebble.IterOptions{LowerBound: r.Lower, UpperBound: r.Upper})
	if err != nil {
		return &iterator{err: mapError(err)}
	}
	i := &iterator{it: it, d: d, ctx: ctx, list: list, reverse: r.Reverse, left: -1}
	if r.Limit > 0 {
		i.left = r.Limit
	}
	list.add(i)
	return i
}

// Next implements kv.Iterator.
func (i *iterator) Next() bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.it == nil || i.left == 0 || i.err != nil {
		return false
	}
	if i.steps++; i.steps&31 == 1 {
		if i.err = i.ctx.Err(); i.err != nil {
			return false
		}
	}
	if i.err = i.d.failure(); i.err != nil {
		return false
	}
	if !i.step() {
		i.left = 0
		i.err = mapError(i.it.Error())
		return false
	}
	v, err := i.it.ValueAndErr()
	if err != nil {
		i.err = mapError(err)
		return false
	}
	i.key = append(i.key[:0], i.it.Key()...)
	i.value = append(i.value[:0], v...)
	if i.left > 0 {
		i.left--
	}
	return true
}

func (i *iterator) step() bool {
	first := !i.started
	i.started = true
	switch {
	case first && i.reverse:
		return i.it.Last()
	case first:
		return i.it.First()
	case i.reverse:
		return i.it.Prev()
	}
	return i.it.Next()
}

// Key implements kv.Iterator.
func (i *iterator) Key() []byte { return i.key }

// Value implements kv.Iterator.
func (i *iterator) Value() []byte { return i.value }

// Close implements kv.Iterator.
func (i *iterator) Close() error {
	i.mu.Lock()
	i.closeLocked(nil)
	err := i.err
	i.mu.Unlock()
	// Only now: until it is closed, the end of the database must find it.
	if i.list != nil {
		i.list.remove(i)
	}
	return err
}

// end closes i from outside; its owner finds err.
func (i *iterator) end(err error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.closeLocked(err)
}

func (i *iterator) closeLocked(err error) {
	if i.it == nil {
		return
	}
	err2 := i.it.Close()
	i.it = nil
	if i.err == nil {
		i.err = err
	}
	if i.err == nil {
		i.err = mapError(err2)
	}
}

// iterList holds the open iterators of a snapshot or a database.
type iterList struct {
	mu   sync.Mutex
	head *iterator
	over error // set by end: no more are taken
}

func (l *iterList) add(i *iterator) {
	l.mu.Lock()
	if over := l.over; over != nil {
		l.mu.Unlock()
		i.list = nil
		i.end(over)
		return
	}
	i.next = l.head
	if l.head != nil {
		l.head.prev = i
	}
	l.head = i
	l.mu.Unlock()
}

func (l *iterList) remove(i *iterator) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if i.prev == nil && l.head != i {
		return
	}
	if i.prev != nil {
		i.prev.next = i.next
	} else {
		l.head = i.next
	}
	if i.next != nil {
		i.next.prev = i.prev
	}
	i.prev, i.next = nil, nil
}

// end closes all iterators, and those still to come, with err.
func (l *iterList) end(err error) {
	l.mu.Lock()
	l.over = err
	var all []*iterator
	for i := l.head; i != nil; i = i.next {
		all = append(all, i)
	}
	for _, i := range all {
		i.prev, i.next = nil, nil
	}
	l.head = nil
	l.mu.Unlock()
	for _, i := range all {
		i.end(err)
	}
}
