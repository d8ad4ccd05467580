// Package treap is an ordered map whose states are immutable: every change
// makes a new Tree that shares most of its nodes with the old one, so a state
// that somebody holds costs what has changed since. It is a search tree by key
// and a heap by random priority. Trees may be read from several goroutines.
//
// Who makes several changes in a row and keeps none of the states between them
// passes the same Edit to each: nodes that this edit made are then changed in
// place. An edit ends when a state is kept or handed out; the next one has
// another number.
package treap

import (
	"bytes"
	"math/rand/v2"
)

// Tree is one state of a map. The zero value is empty. Keys and values are
// kept, not copied, and must not be changed.
type Tree[V any] struct{ root *node[V] }

type node[V any] struct {
	key         []byte
	value       V
	prio        uint64
	edit        Edit
	left, right *node[V]
}

// Edit is the number of a run of changes; 0 is a change by itself.
type Edit uint64

// own returns n if e made it, else a copy that e has made.
func (n *node[V]) own(e Edit) *node[V] {
	if e != 0 && n.edit == e {
		return n
	}
	m := *n
	m.edit = e
	return &m
}

// Get returns the value of a key.
func (t Tree[V]) Get(key []byte) (v V, ok bool) {
	for n := t.root; n != nil; {
		switch c := bytes.Compare(key, n.key); {
		case c < 0:
			n = n.left
		case c > 0:
			n = n.right
		default:
			return n.value, true
		}
	}
	return v, false
}

// Floor returns the pair with the highest key that is not above key.
func (t Tree[V]) Floor(key []byte) (k []byte, v V, ok bool) {
	for n := t.root; n != nil; {
		if bytes.Compare(n.key, key) > 0 {
			n = n.left
			continue
		}
		k, v, ok = n.key, n.value, true
		n = n.right
	}
	return k, v, ok
}

// Put returns a tree in which key has a value.
func (t Tree[V]) Put(key []byte, v V) Tree[V] { return t.PutIn(0, key, v) }

// PutIn is Put as part of an edit: t is not to be used any more.
func (t Tree[V]) PutIn(e Edit, key []byte, v V) Tree[V] {
	if _, ok := t.Get(key); ok {
		return Tree[V]{replace(e, t.root, key, v)}
	}
	return Tree[V]{insert(e, t.root, &node[V]{key: key, value: v, prio: rand.Uint64(), edit: e})}
}

func replace[V any](e Edit, n *node[V], key []byte, v V) *node[V] {
	m := n.own(e)
	switch c := bytes.Compare(key, m.key); {
	case c < 0:
		m.left = replace(e, m.left, key, v)
	case c > 0:
		m.right = replace(e, m.right, key, v)
	default:
		m.key, m.value = key, v
	}
	return m
}

func insert[V any](e Edit, n, x *node[V]) *node[V] {
	if n == nil {
		return x
	}
	if x.prio > n.prio {
		x.left, x.right = split(e, n, x.key)
		return x
	}
	m := n.own(e)
	if bytes.Compare(x.key, m.key) < 0 {
		m.left = insert(e, m.left, x)
	} else {
		m.right = insert(e, m.right, x)
	}
	return m
}

// Delete returns a tree without a key.
func (t Tree[V]) Delete(key []byte) Tree[V] {
	if _, ok := t.Get(key); !ok {
		return t
	}
	return Tree[V]{remove(t.root, key)}
}

func remove[V any](n *node[V], key []byte) *node[V] {
	switch c := bytes.Compare(key, n.key); {
	case c < 0:
		m := n.own(0)
		m.left = remove(n.left, key)
		return m
	case c > 0:
		m := n.own(0)
		m.right = remove(n.right, key)
		return m
	}
	return join(n.left, n.right)
}

// DeleteRange returns a tree without the keys in [lower, upper).
func (t Tree[V]) DeleteRange(lower, upper []byte) Tree[V] {
	if bytes.Compare(lower, upper) >= 0 {
		return t
	}
	below, rest := split(0, t.root, lower)
	_, above := split(0, rest, upper)
	return Tree[V]{join(below, above)}
}

// split parts n into keys below key and the others.
func split[V any](e Edit, n *node[V], key []byte) (below, rest *node[V]) {
	if n == nil {
		return nil, nil
	}
	m := n.own(e)
	if bytes.Compare(m.key, key) < 0 {
		m.right, rest = split(e, m.right, key)
		return m, rest
	}
	below, m.left = split(e, m.left, key)
	return below, m
}

// join joins two trees; all keys of a are below those of b.
func join[V any](a, b *node[V]) *node[V] {
	switch {
	case a == nil:
		return b
	case b == nil:
		return a
	case a.prio > b.prio:
		m := a.own(0)
		m.right = join(a.right, b)
		return m
	}
	m := b.own(0)
	m.left = join(a, b.left)
	return m
}

// Cursor walks a tree in order, or against it, within bounds.
type Cursor[V any] struct {
	stack        []*node[V]
	lower, upper []byte
	reverse      bool
}

// Cursor returns a cursor at the first pair of [lower, upper), or at the last
// in reverse. A nil bound is none.
func (t Tree[V]) Cursor(lower, upper []byte, reverse bool) *Cursor[V] {
	c := &Cursor[V]{lower: lower, upper: upper, reverse: reverse}
	for n := t.root; n != nil; {
		switch {
		case !reverse && bytes.Compare(n.key, lower) < 0:
			n = n.right
		case reverse && upper != nil && bytes.Compare(n.key, upper) >= 0:
			n = n.left
		default:
			c.stack = append(c.stack, n)
			n = c.ahead(n)
		}
	}
	c.bound()
	return c
}

// ahead is the side of n that comes before it in walking order, behind the other.
func (c *Cursor[V]) ahead(n *node[V]) *node[V] {
	if c.reverse {
		return n.right
	}
	return n.left
}

func (c *Cursor[V]) behind(n *node[V]) *node[V] {
	if c.reverse {
		return n.left
	}
	return n.right
}

// bound ends the walk when it is past the far bound.
func (c *Cursor[V]) bound() {
	if len(c.stack) == 0 {
		return
	}
	k := c.stack[len(c.stack)-1].key
	if c.reverse && bytes.Compare(k, c.lower) < 0 || !c.reverse && c.upper != nil && bytes.Compare(k, c.upper) >= 0 {
		c.stack = nil
	}
}

// Pair returns the pair the cursor is at; ok is false at the end.
func (c *Cursor[V]) Pair() (key []byte, v V, ok bool) {
	if len(c.stack) == 0 {
		return nil, v, false
	}
	n := c.stack[len(c.stack)-1]
	return n.key, n.value, true
}

// Next goes on to the pair after, if there is one.
func (c *Cursor[V]) Next() {
	if len(c.stack) == 0 {
		return
	}
	n := c.stack[len(c.stack)-1]
	c.stack = c.stack[:len(c.stack)-1]
	for m := c.behind(n); m != nil; m = c.ahead(m) {
		c.stack = append(c.stack, m)
	}
	c.bound()
}
