package folderindex

import (
	linked "container/list"
	"context"
	"errors"
	"sync"

	"rialto/internal/kv"
	"rialto/internal/store/content"
	"rialto/internal/store/layout"
)

// defaultBytes is how much the indexes of a database may occupy.
const defaultBytes = 64 << 20

// key names a folder within a database. Numbers of mailboxes are not given
// twice while it is mounted.
type key struct {
	box    layout.Number
	folder layout.FolderID
}

// Cache keeps the indexes of the folders of a database, the latest used first. It
// is safe for concurrent use.
type Cache struct {
	limit int64

	mu    sync.Mutex
	slots map[key]*linked.Element // of *slot
	used  linked.List
	bytes int64
}

// slot is a folder's place in the cache.
type slot struct {
	key   key
	build chan struct{} // holds a token while an index is made

	// Below the cache's lock.
	index *Index
	bytes int64
	read  int64 // rows read past the cache since there was no index
}

// slotBytes is what a slot costs without its index.
const slotBytes = 512

// New returns an empty cache that occupies up to limit octets; 0: 64 MB.
func New(limit int64) *Cache {
	if limit == 0 {
		limit = defaultBytes
	}
	return &Cache{limit: limit, slots: map[key]*linked.Element{}}
}

// find returns a folder's slot, made if it is not there, and its index, nil if
// there is none.
func (c *Cache) find(k key) (*slot, *Index) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e := c.slots[k]; e != nil {
		c.used.MoveToFront(e)
		s := e.Value.(*slot)
		return s, s.index
	}
	s := &slot{key: k, build: make(chan struct{}, 1), bytes: slotBytes}
	c.slots[k] = c.used.PushFront(s)
	c.bytes += s.bytes
	c.trim()
	return s, nil
}

// put keeps x in s, unless s was dropped meanwhile.
func (c *Cache) put(s *slot, x *Index) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e := c.slots[s.key]; e == nil || e.Value != s {
		return
	}
	s.index, s.read = x, 0
	c.bytes -= s.bytes
	if s.bytes = slotBytes; x != nil {
		s.bytes += x.bytes
	}
	c.bytes += s.bytes
	c.trim()
}

// trim drops what was not used for longest until the rest fits.
func (c *Cache) trim() {
	for c.bytes > c.limit && c.used.Len() > 1 {
		s := c.used.Remove(c.used.Back()).(*slot)
		delete(c.slots, s.key)
		c.bytes -= s.bytes
	}
}

// worth reports whether an index should be made for a reader of n of total
// items: when it reads many, or when many were read without.
func (c *Cache) worth(s *slot, n, total int64) bool {
	if total*entryBytes > c.limit/2 {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	s.read += n
	return 4*n >= total || 2*s.read >= total
}

// Kept returns the index that is kept of a folder, nil if there is none.
func (c *Cache) Kept(box layout.Number, folder layout.FolderID) *Index {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e := c.slots[key{box, folder}]; e != nil {
		return e.Value.(*slot).index
	}
	return nil
}

// Rows are the rows of a folder in one snapshot.
type Rows struct {
	Reader kv.Reader
	Box    layout.Number
	Folder layout.FolderID
}

func (r Rows) states(ctx context.Context, from, to layout.UID, fn func(*layout.State) bool) error {
	return layout.ScanStates(ctx, r.Reader, r.Box, r.Folder, layout.Normal, uint64(from), uint64(to), 0, fn)
}

func (r Rows) place(u layout.UID) layout.Place {
	return layout.Place{Folder: r.Folder, Space: layout.Normal, N: uint64(u)}
}

// Index returns the index that shows what these rows do, nil if there is none
// and it is not worth making for who reads the items with UIDs from from to to.
func (c *Cache) Index(ctx context.Context, r Rows, from, to layout.UID) (*Index, error) {
	raw, err := r.Reader.Get(ctx, r.Box.ID(layout.SubCounts, uint64(r.Folder)))
	if errors.Is(err, kv.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, content.Wrap("store.index", "folder", err)
	}
	var now layout.Counts
	if err := now.Decode(raw); err != nil {
		return nil, err
	}
	s, x := c.find(key{r.Box, r.Folder})
	if use, ok := x.serves(&now); ok {
		return use, nil
	}
	if x == nil && !c.worth(s, expected(&now, from, to), int64(now.Total)) {
		return nil, nil
	}
	select {
	case s.build <- struct{}{}:
		defer func() { <-s.build }()
	case <-ctx.Done():
		return nil, content.Wrap("store.index", "folder", ctx.Err())
	}
	_, x = c.find(s.key) // another may have made it meanwhile
	if use, ok := x.serves(&now); ok {
		return use, nil
	}
	if x, err = r.index(ctx, x, now); err != nil {
		return nil, err
	}
	c.put(s, x)
	return x, nil
}

// serves reports whether there is nothing to be made for a view with these
// counts: x is what it needs, or x is of a later state, and then the view reads
// its own rows.
func (x *Index) serves(now *layout.Counts) (*Index, bool) {
	switch {
	case x == nil || x.counts.Seq < now.Seq:
		return nil, false
	case x.counts == *now:
		return x, true
	}
	return nil, true
}

// expected is about how many items there are between two UIDs.
func expected(c *layout.Counts, from, to layout.UID) int64 {
	if to = min(to, c.NextUID); from > to || c.NextUID == 0 {
		return 0
	}
	return 1 + (int64(to-from)+1)*int64(c.Total)/int64(c.NextUID)
}
