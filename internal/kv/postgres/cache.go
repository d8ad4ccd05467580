package postgres

import (
	"container/list"
	"sync"

	"rialto/internal/kv"
)

// maxCached is the largest value that is kept in the cache.
const maxCached = 8 << 10

// cache holds values of the server by key, the least recently used go first.
// See the package comment for who may use an entry.
type cache struct {
	mu    sync.Mutex
	max   int64
	bytes int64
	byKey map[string]*list.Element
	order list.List // of *entry, the latest in front
}

type entry struct {
	key   string
	value []byte // nil: there is no such key
	at    kv.Sequence
	stale bool // key was written since; the new value is wanted
}

func (e *entry) size() int64 { return int64(len(e.key)+len(e.value)) + 160 }

func newCache(size int64) *cache {
	return &cache{max: size, byKey: make(map[string]*list.Element)}
}

// get answers a reader whose generation shows the position at.
func (c *cache) get(key []byte, at kv.Sequence) (value []byte, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	el := c.byKey[string(key)]
	if el == nil || el.Value.(*entry).stale || el.Value.(*entry).at > at {
		return nil, false
	}
	c.order.MoveToFront(el)
	return el.Value.(*entry).value, true
}

// put keeps a value that was read at a position; the caller holds DB.mu and
// knows that key was not written since.
func (c *cache) put(key, value []byte, at kv.Sequence) {
	if c.max <= 0 || len(value) > maxCached {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if el := c.byKey[string(key)]; el != nil {
		if !el.Value.(*entry).stale {
			return // the same value, from an earlier position
		}
		c.drop(el)
	}
	e := &entry{key: string(key), value: value, at: at}
	c.byKey[e.key] = c.order.PushFront(e)
	for c.bytes += e.size(); c.bytes > c.max; {
		c.drop(c.order.Back())
	}
}

// landed is put for a value that was written and is now read from the server:
// it is kept only if the key was in the cache before it was written.
func (c *cache) landed(key, value []byte, at kv.Sequence) {
	c.mu.Lock()
	el := c.byKey[string(key)]
	if el != nil && len(value) > maxCached {
		c.drop(el) // or an earlier value of the key would pass for this one
		el = nil
	}
	c.mu.Unlock()
	if el != nil {
		c.put(key, clone(value), at) // value shares its memory with the rest of a batch
	}
}

func (c *cache) drop(el *list.Element) {
	e := c.order.Remove(el).(*entry)
	delete(c.byKey, e.key)
	c.bytes -= e.size()
}

// written forgets what an operation changes; the caller holds DB.mu.
func (c *cache) written(p op) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if p.kind == opDeleteRange {
		c.byKey, c.bytes = make(map[string]*list.Element), 0
		c.order.Init()
	} else if el := c.byKey[string(p.key)]; el != nil {
		e := el.Value.(*entry)
		c.bytes -= int64(len(e.value))
		e.value, e.stale = nil, true
	}
}

func (c *cache) size() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.bytes
}
