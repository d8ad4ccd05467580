package memory

import "math/rand/v2"

// node is a node of an immutable treap: a search tree by key and a heap by
// random priority. Updates copy the path from the root; old roots stay whole.
type node struct {
	key, value  []byte
	prio        uint64
	left, right *node
}

func get(n *node, key string) ([]byte, bool) {
	for n != nil {
		switch k := string(n.key); {
		case key < k:
			n = n.left
		case key > k:
			n = n.right
		default:
			return n.value, true
		}
	}
	return nil, false
}

func put(n *node, key, value []byte) *node {
	less, rest := split(n, string(key))
	_, more := splitAfter(rest, string(key))
	return merge(merge(less, &node{key: key, value: value, prio: rand.Uint64()}), more)
}

func remove(n *node, key string) *node {
	if _, ok := get(n, key); !ok {
		return n
	}
	less, rest := split(n, key)
	_, more := splitAfter(rest, key)
	return merge(less, more)
}

func removeRange(n *node, lower, upper string) *node {
	if lower >= upper {
		return n
	}
	less, rest := split(n, lower)
	_, more := split(rest, upper)
	return merge(less, more)
}

// split parts n into keys below key and the others.
func split(n *node, key string) (below, rest *node) {
	return part(n, func(k []byte) bool { return string(k) < key })
}

// splitAfter parts n into keys up to and with key, and the others.
func splitAfter(n *node, key string) (upTo, rest *node) {
	return part(n, func(k []byte) bool { return string(k) <= key })
}

// part splits n where left, true for a prefix of the keys, becomes false.
func part(n *node, left func([]byte) bool) (a, b *node) {
	if n == nil {
		return nil, nil
	}
	c := *n
	if left(n.key) {
		c.right, b = part(n.right, left)
		return &c, b
	}
	a, c.left = part(n.left, left)
	return a, &c
}

// merge joins two treaps; all keys of a are below those of b.
func merge(a, b *node) *node {
	switch {
	case a == nil:
		return b
	case b == nil:
		return a
	case a.prio > b.prio:
		c := *a
		c.right = merge(a.right, b)
		return &c
	}
	c := *b
	c.left = merge(a, b.left)
	return &c
}

// cursor walks a treap in order, or against it, within bounds.
type cursor struct {
	stack   []*node
	lower   []byte
	upper   []byte
	reverse bool
}

func newCursor(root *node, lower, upper []byte, reverse bool) *cursor {
	c := &cursor{lower: lower, upper: upper, reverse: reverse}
	for n := root; n != nil; {
		switch {
		case !reverse && lower != nil && string(n.key) < string(lower):
			n = n.right
		case reverse && upper != nil && string(n.key) >= string(upper):
			n = n.left
		default:
			c.stack = append(c.stack, n)
			n = c.ahead(n)
		}
	}
	return c
}

// ahead is the side of n that comes before it in walking order, behind the other.
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

// next returns the next node, nil at the end of the range.
func (c *cursor) next() *node {
	if len(c.stack) == 0 {
		return nil
	}
	n := c.stack[len(c.stack)-1]
	c.stack = c.stack[:len(c.stack)-1]
	for m := c.behind(n); m != nil; m = c.ahead(m) {
		c.stack = append(c.stack, m)
	}
	if c.reverse && c.lower != nil && string(n.key) < string(c.lower) ||
		!c.reverse && c.upper != nil && string(n.key) >= string(c.upper) {
		c.stack = nil
		return nil
	}
	return n
}
