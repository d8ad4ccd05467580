package store

import (
	linked "container/list"
	"context"
	"errors"
	"runtime"
	"slices"
	"sync"

	"rialto/internal/kv"
	"rialto/internal/store/layout"
)

// The indexes of folders that were read lately are kept in memory. An index is a
// pure function of a folder's rows, and every change of those ticks the folder's
// Counts.Seq in the same batch: a view may use the index whose counts are those
// of its own snapshot, and no other. So nothing is ever shown that the view's
// snapshot does not hold, and what a power cut takes back goes with the
// Database, whose cache does not outlive it.

// defaultIndexBytes is how much the indexes of a database may occupy.
const defaultIndexBytes = 64 << 20

// indexKey names a folder within a database. Numbers of mailboxes are not given
// twice while it is mounted.
type indexKey struct {
	mailbox layout.Number
	folder  FolderID
}

// indexCache keeps indexes, the latest used first.
type indexCache struct {
	limit int64

	mu    sync.Mutex
	slots map[indexKey]*linked.Element // of *indexSlot
	used  linked.List
	bytes int64
}

// indexSlot is a folder's place in the cache.
type indexSlot struct {
	key   indexKey
	build chan struct{} // holds a token while an index is made

	// Below the cache's lock.
	index *folderIndex
	bytes int64
	read  int64 // rows read past the cache since there was no index
}

// slotBytes is what a slot costs without its index.
const slotBytes = 512

func newIndexCache(limit int64) *indexCache {
	if limit == 0 {
		limit = defaultIndexBytes
	}
	return &indexCache{limit: limit, slots: map[indexKey]*linked.Element{}}
}

// find returns a folder's slot, made if it is not there, and its index, nil if
// there is none.
func (c *indexCache) find(k indexKey) (*indexSlot, *folderIndex) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e := c.slots[k]; e != nil {
		c.used.MoveToFront(e)
		s := e.Value.(*indexSlot)
		return s, s.index
	}
	s := &indexSlot{key: k, build: make(chan struct{}, 1), bytes: slotBytes}
	c.slots[k] = c.used.PushFront(s)
	c.bytes += s.bytes
	c.trim()
	return s, nil
}

// put keeps x in s, unless s was dropped meanwhile.
func (c *indexCache) put(s *indexSlot, x *folderIndex) {
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
func (c *indexCache) trim() {
	for c.bytes > c.limit && c.used.Len() > 1 {
		s := c.used.Remove(c.used.Back()).(*indexSlot)
		delete(c.slots, s.key)
		c.bytes -= s.bytes
	}
}

// worth reports whether an index should be made for a reader of n of total
// items: when it reads many, or when many were read without.
func (c *indexCache) worth(s *indexSlot, n, total int64) bool {
	if total*entryBytes > c.limit/2 {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	s.read += n
	return 4*n >= total || 2*s.read >= total
}

// splitIndex is how many items a folder has whose index is made by two.
const splitIndex = 16 * chunkEntries

// Briefs calls fn for the normal items of a folder with UIDs from from to to,
// both included and ascending, until it returns false. The Brief is reused.
func (v *View) Briefs(ctx context.Context, f FolderID, from, to UID, fn func(*Brief) bool) error {
	x, err := v.index(ctx, f, from, to)
	if err != nil {
		return err
	}
	if x != nil {
		x.each(from, to, fn)
		return nil
	}
	return v.States(ctx, f, from, to, func(s *State) bool {
		b := s.Brief()
		return fn(&b)
	})
}

// seenIndex is the index a view has used, which does not change while it is open.
type seenIndex struct {
	folder FolderID
	index  *folderIndex
}

// index returns the folder's index as this view has to see it, nil if there is
// none and it is not worth making.
func (v *View) index(ctx context.Context, f FolderID, from, to UID) (*folderIndex, error) {
	if l := v.last.Load(); l != nil && l.folder == f {
		return l.index, wrap("store.index", "folder", ctx.Err())
	}
	x, err := v.findIndex(ctx, f, from, to)
	if x != nil {
		v.last.Store(&seenIndex{f, x})
	}
	return x, err
}

func (v *View) findIndex(ctx context.Context, f FolderID, from, to UID) (*folderIndex, error) {
	if err := v.m.may("store.read", f, RightReadAny); err != nil {
		return nil, err
	}
	raw, err := v.snap.Get(ctx, v.m.num.ID(layout.SubCounts, uint64(f)))
	if errors.Is(err, kv.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, wrap("store.index", "folder", err)
	}
	var now Counts
	if err := now.Decode(raw); err != nil {
		return nil, err
	}
	cache := v.m.db.indexes
	slot, x := cache.find(indexKey{v.m.num, f})
	if use, ok := x.serves(&now); ok {
		return use, nil
	}
	if x == nil && !cache.worth(slot, expected(&now, from, to), int64(now.Total)) {
		return nil, nil
	}
	select {
	case slot.build <- struct{}{}:
		defer func() { <-slot.build }()
	case <-ctx.Done():
		return nil, wrap("store.index", "folder", ctx.Err())
	}
	_, x = cache.find(slot.key) // another may have made it meanwhile
	if use, ok := x.serves(&now); ok {
		return use, nil
	}
	if x, err = v.makeIndex(ctx, f, x, now); err != nil {
		return nil, err
	}
	cache.put(slot, x)
	return x, nil
}

// serves reports whether there is nothing to be made for a view with these
// counts: x is what it needs, or x is of a later state, and then the view reads
// its own rows.
func (x *folderIndex) serves(now *Counts) (*folderIndex, bool) {
	switch {
	case x == nil || x.counts.Seq < now.Seq:
		return nil, false
	case x.counts == *now:
		return x, true
	}
	return nil, true
}

// expected is about how many items there are between two UIDs.
func expected(c *Counts, from, to UID) int64 {
	if to = min(to, c.NextUID); from > to || c.NextUID == 0 {
		return 0
	}
	return 1 + (int64(to-from)+1)*int64(c.Total)/int64(c.NextUID)
}

// makeIndex returns the index of the folder in this view, from an older one
// where that is less work.
func (v *View) makeIndex(ctx context.Context, f FolderID, old *folderIndex, now Counts) (*folderIndex, error) {
	if old != nil {
		x, err := v.advance(ctx, f, old, now)
		if err != nil || x != nil {
			return x, err
		}
	}
	halves := []UID{0}
	if now.Total >= splitIndex && runtime.GOMAXPROCS(0) > 1 {
		halves = append(halves, now.NextUID/2)
	}
	b, errs := make([]indexBuilder, len(halves)), make([]error, len(halves))
	var wg sync.WaitGroup
	for i, from := range halves {
		to := ^UID(0)
		if i+1 < len(halves) {
			to = halves[i+1] - 1
		}
		wg.Go(func() {
			errs[i] = v.States(ctx, f, from, to, func(s *State) bool {
				b[i].addState(s)
				return true
			})
		})
	}
	wg.Wait()
	for i := range b {
		if errs[i] != nil {
			return nil, errs[i]
		}
		if i > 0 {
			for _, c := range b[i].finish(now).chunks {
				b[0].share(c)
			}
		}
	}
	return b[0].finish(now), nil
}

// advance applies what the folder's log says has happened since old. It returns
// nil if the log does not go back so far, or if so much happened that a scan is
// as good.
func (v *View) advance(ctx context.Context, f FolderID, old *folderIndex, now Counts) (*folderIndex, error) {
	var gone, touched []UID
	most := 100 + old.n/4
	complete, err := v.Changes(ctx, f, old.counts.Seq, func(c *Change) bool {
		switch {
		case c.UID == 0:
		case c.Kind == ChangeGone:
			gone = append(gone, c.UID)
		case c.Kind == ChangeItem && !c.Associated:
			touched = append(touched, c.UID)
		}
		return len(gone)+len(touched) <= most
	})
	if err != nil || !complete || len(gone)+len(touched) > most {
		return nil, err
	}
	slices.Sort(gone)
	slices.Sort(touched)
	keys := make([][]byte, len(touched))
	for i, u := range touched {
		keys[i] = v.m.num.Place(layout.SubState, Place{Folder: f, Space: Normal, N: uint64(u)})
	}
	vals, err := v.snap.GetMany(ctx, keys)
	if err != nil {
		return nil, wrap("store.index", "folder", err)
	}
	changed := make([]State, len(touched))
	for i, b := range vals {
		if b == nil {
			return nil, nil // the log is at odds with the rows: those count
		}
		if err := changed[i].Decode(Place{Folder: f, Space: Normal, N: uint64(touched[i])}, b); err != nil {
			return nil, err
		}
	}
	x := old.with(now, changed, gone)
	if x.n != int(now.Total) {
		return nil, nil
	}
	return x, nil
}
