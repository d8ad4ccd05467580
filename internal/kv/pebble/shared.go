package pebble

import (
	"runtime"
	"sync"

	"github.com/cockroachdb/pebble/v2"
)

// SharedOptions size what the databases of a process share.
type SharedOptions struct {
	CacheBytes     int64 // block cache; 0: 64 MB
	MemTableBudget int64 // bytes in memtables of all databases together; 0: 128 MB
	OpenFiles      int   // table files held open; 0: 2000
	Compactions    int   // running at once; 0: half the processors, at least 1
}

// Shared is the block cache, file cache, compaction slots and memtable budget
// of several databases. Twenty databases with their own cost several hundred
// MB more. It is safe for concurrent use and may be closed once the databases
// that use it are closed.
type Shared struct {
	cache  *pebble.Cache
	files  *pebble.FileCache
	slots  *slots
	budget int64

	mu      sync.Mutex
	members map[*DB]struct{}
}

// NewShared returns a Shared; the caller closes it.
func NewShared(o SharedOptions) *Shared {
	if o.CacheBytes == 0 {
		o.CacheBytes = 64 << 20
	}
	if o.MemTableBudget == 0 {
		o.MemTableBudget = 128 << 20
	}
	if o.OpenFiles == 0 {
		o.OpenFiles = 2000
	}
	if o.Compactions == 0 {
		o.Compactions = max(1, runtime.GOMAXPROCS(0)/2)
	}
	s := &Shared{
		// Pebble takes the memory of memtables, also of those it keeps to use again,
		// out of the cache: without more there would be nothing left for blocks.
		cache:   pebble.NewCache(o.CacheBytes + o.MemTableBudget/2),
		slots:   newSlots(o.Compactions),
		budget:  o.MemTableBudget,
		members: make(map[*DB]struct{}),
	}
	s.files = pebble.NewFileCache(max(1, runtime.GOMAXPROCS(0)), o.OpenFiles)
	return s
}

// Close drops the caches. Databases still open keep them until they close.
func (s *Shared) Close() {
	s.files.Unref()
	s.cache.Unref()
}

func (s *Shared) join(d *DB) {
	s.mu.Lock()
	s.members[d] = struct{}{}
	s.mu.Unlock()
}

func (s *Shared) leave(d *DB) {
	s.mu.Lock()
	delete(s.members, d)
	s.mu.Unlock()
}

// overBudget finds the database to flush when all memtables together are over
// the budget: the one that holds most and was not asked yet. nil: none.
func (s *Shared) overBudget() *DB {
	s.mu.Lock()
	defer s.mu.Unlock()
	var total, most int64
	var victim *DB
	for d := range s.members {
		n := d.mem.total()
		total += n
		if n > most && !d.mem.asked.Load() {
			most, victim = n, d
		}
	}
	if total <= s.budget || most < 1<<20 {
		return nil
	}
	return victim
}
