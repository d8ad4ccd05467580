package postgres

import (
	"bytes"
	"math/rand/v2"
)

// overlay is what was written above a state of the server. It is immutable:
// apply returns a new one that shares most of its nodes.
type overlay struct {
	points *node // keys set or deleted; they win over gaps
	gaps   *node // deleted ranges [key, value), disjoint
}

// node is a node of a treap: a search tree by key, a heap by random priority.
type node struct {
	key, value  []byte
	dead        bool // a point that was deleted
	prio        uint64
	left, right *node
}

// apply returns o with one more operation.
func (o overlay) apply(p op) overlay {
	switch p.kind {
	case opSet:
		o.points = put(o.points, &node{key: p.key, value: p.value})
	case opDelete:
		o.points = put(o.points, &node{key: p.key, dead: true})
	case opDeleteRange:
		o.points = cut(o.points, p.key, p.value)
		lower, upper := p.key, p.value
		if n := floor(o.gaps, lower); n != nil && string(n.value) >= string(lower) {
			lower = n.key
		}
		if n := floor(o.gaps, upper); n != nil && string(n.value) > string(upper) {
			upper = n.value
		}
		o.gaps = put(cut(o.gaps, lower, upper), &node{key: lower, value: upper})
	}
	return o
}

// get looks key up. known says that the overlay decides; value is nil then if
// there is no such key.
func (o overlay) get(key []byte) (value []byte, known bool) {
	for n := o.points; n != nil; {
		switch c := bytes.Compare(key, n.key); {
		case c < 0:
			n = n.left
		case c > 0:
			n = n.right
		case n.dead:
			return nil, true
		default:
			return n.value, true
		}
	}
	return nil, o.gap(key) != nil
}

// gap returns the deleted range that key is in, nil if there is none.
func (o overlay) gap(key []byte) *node {
	if n := floor(o.gaps, key); n != nil && string(n.value) > string(key) {
		return n
	}
	return nil
}

// floor returns the node of the highest key that is not above key.
func floor(n *node, key []byte) (best *node) {
	for n != nil {
		if string(n.key) <= string(key) {
			best, n = n, n.right
		} else {
			n = n.left
		}
	}
	return best
}

func has(n *node, key []byte) bool {
	f := floor(n, key)
	return f != nil && string(f.key) == string(key)
}

// put sets x.key; x is not in a tree yet.
func put(n, x *node) *node {
	if has(n, x.key) {
		return replace(n, x)
	}
	x.prio = rand.Uint64()
	return insert(n, x)
}

func replace(n, x *node) *node {
	c := *n
	switch {
	case string(x.key) < string(n.key):
		c.left = replace(n.left, x)
	case string(x.key) > string(n.key):
		c.right = replace(n.right, x)
	default:
		c.key, c.value, c.dead = x.key, x.value, x.dead
	}
	return &c
}

func insert(n, x *node) *node {
	if n == nil {
		return x
	}
	if x.prio > n.prio {
		x.left, x.right = split(n, x.key)
		return x
	}
	c := *n
	if string(x.key) < string(n.key) {
		c.left = insert(n.left, x)
	} else {
		c.right = insert(n.right, x)
	}
	return &c
}

// split parts n into keys below key and the others.
func split(n *node, key []byte) (below, rest *node) {
	if n == nil {
		return nil, nil
	}
	c := *n
	if string(n.key) < string(key) {
		c.right, rest = split(n.right, key)
		return &c, rest
	}
	below, c.left = split(n.left, key)
	return below, &c
}

// cut removes the keys in [lower, upper).
func cut(n *node, lower, upper []byte) *node {
	if n == nil {
		return nil
	}
	below, rest := split(n, lower)
	_, above := split(rest, upper)
	return join(below, above)
}

// join joins two treaps; all keys of a are below those of b.
func join(a, b *node) *node {
	switch {
	case a == nil:
		return b
	case b == nil:
		return a
	case a.prio > b.prio:
		c := *a
		c.right = join(a.right, b)
		return &c
	}
	c := *b
	c.left = join(a, b.left)
	return &c
}

// cursor walks the points of an overlay within bounds, in order or against it.
type cursor struct {
	stack        []*node
	lower, upper []byte // upper nil: no bound
	reverse      bool
}

func newCursor(root *node, lower, upper []byte, reverse bool) *cursor {
	c := &cursor{lower: lower, upper: upper, reverse: reverse}
	for n := root; n != nil; {
		switch {
		case !reverse && string(n.key) < string(lower):
			n = n.right
		case reverse && upper != nil && string(n.key) >= string(upper):
			n = n.left
		default:
			c.stack = append(c.stack, n)
			n = c.ahead(n)
		}
	}
	c.bound()
	return c
}

func (c *cursor) ahead(n *node) *node {
	if c.reverse {
		return n.right
	}
	return n.left
}

func (c *cursor) behind(n *node) *node {
	if c.reverse {
		return n.left
	}
	return n.right
}

// bound ends the walk when its head is past the far bound.
func (c *cursor) bound() {
	n := c.head()
	if n != nil && (c.reverse && string(n.key) < string(c.lower) ||
		!c.reverse && c.upper != nil && string(n.key) >= string(c.upper)) {
		c.stack = nil
	}
}

// head is the next node, nil at the end of the range.
func (c *cursor) head() *node {
	if len(c.stack) == 0 {
		return nil
	}
	return c.stack[len(c.stack)-1]
}

// skip moves past the head.
func (c *cursor) skip() {
	n := c.head()
	c.stack = c.stack[:len(c.stack)-1]
	for m := c.behind(n); m != nil; m = c.ahead(m) {
		c.stack = append(c.stack, m)
	}
	c.bound()
}
