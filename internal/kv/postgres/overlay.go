package postgres

import "rialto/internal/kv/treap"

// overlay is what was written above a state of the server. It is immutable:
// apply returns a new one that shares most of its nodes.
type overlay struct {
	points treap.Tree[point]  // keys set or deleted; they win over gaps
	gaps   treap.Tree[[]byte] // deleted ranges [key, value), disjoint
}

// point is what a key was set to.
type point struct {
	value []byte
	dead  bool // it was deleted
}

// apply returns o with one more operation, as part of an edit.
func (o overlay) apply(e treap.Edit, p op) overlay {
	switch p.kind {
	case opSet:
		o.points = o.points.PutIn(e, p.key, point{value: p.value})
	case opDelete:
		o.points = o.points.PutIn(e, p.key, point{dead: true})
	case opDeleteRange:
		o.points = o.points.DeleteRange(p.key, p.value)
		lower, upper := p.key, p.value
		if from, to, ok := o.gaps.Floor(lower); ok && string(to) >= string(lower) {
			lower = from
		}
		if _, to, ok := o.gaps.Floor(upper); ok && string(to) > string(upper) {
			upper = to
		}
		o.gaps = o.gaps.DeleteRange(lower, upper).Put(lower, upper)
	}
	return o
}

// get looks key up. known says that the overlay decides; value is nil then if
// there is no such key.
func (o overlay) get(key []byte) (value []byte, known bool) {
	if p, ok := o.points.Get(key); ok {
		return p.value, true
	}
	_, known = o.gap(key)
	return nil, known
}

// gap returns the end of the deleted range that key is in.
func (o overlay) gap(key []byte) (end []byte, in bool) {
	_, end, ok := o.gaps.Floor(key)
	return end, ok && string(end) > string(key)
}
