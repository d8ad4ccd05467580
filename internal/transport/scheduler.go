package transport

import (
	"container/heap"
	"sync"
	"time"
)

// scheduler knows what is due when. It holds a few words per message and next
// hop, never a message.
type scheduler struct {
	perHop, maxActive int

	mu      sync.Mutex
	hops    map[Hop]*hopQueue
	entries map[uint64]*entry
	active  int
	closed  bool
	wake    chan struct{} // has a value when there may be something to do
	done    chan struct{} // closed by close
}

// entry is a message in the queue.
type entry struct {
	mu       sync.Mutex // of the record; see the package comment
	id       uint64
	accepted time.Time
	size     int64
	frozen   bool          // under scheduler.mu
	hops     map[Hop]*item // under scheduler.mu
}

// item is one message waiting for one next hop.
type item struct {
	e        *entry
	hop      Hop
	due      time.Time
	attempts int
	told     bool // of the delay
	busy     bool // being worked on
	index    int  // in the heap; -1: busy, or held
}

// hopQueue is the queue of one next hop.
type hopQueue struct {
	hop       Hop
	waiting   itemHeap
	active    int
	failures  int       // in a row, of reaching the hop at all
	notBefore time.Time // of the next try to reach it
	lastErr   string
	frozen    bool
}

// itemHeap is ordered by due time.
type itemHeap []*item

func (h itemHeap) Len() int           { return len(h) }
func (h itemHeap) Less(i, j int) bool { return h[i].due.Before(h[j].due) }
func (h itemHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}

// Push implements heap.Interface.
func (h *itemHeap) Push(x any) {
	it := x.(*item)
	it.index = len(*h)
	*h = append(*h, it)
}

// Pop implements heap.Interface.
func (h *itemHeap) Pop() any {
	old := *h
	it := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	it.index = -1
	return it
}

// localWorkers is how many deliveries go to one database at a time: enough to
// share its syncs.
const localWorkers = 16

func newScheduler(perHop, maxActive int) *scheduler {
	return &scheduler{perHop: perHop, maxActive: maxActive, hops: map[Hop]*hopQueue{}, entries: map[uint64]*entry{},
		wake: make(chan struct{}, 1), done: make(chan struct{})}
}

func (s *scheduler) kick() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

func (s *scheduler) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.closed = true
		close(s.done)
	}
}

// ensure makes the entry wait for exactly the hops given. Items that are there
// stay as they are; new ones are due at once.
func (s *scheduler) ensure(r *Record, hops map[Hop]bool, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.entries[r.ID]
	if e == nil {
		e = &entry{id: r.ID, accepted: r.Accepted, size: r.Size, hops: map[Hop]*item{}}
		s.entries[r.ID] = e
	}
	e.frozen = r.Frozen
	for hop, it := range e.hops {
		if !hops[hop] && it.index >= 0 {
			heap.Remove(&s.hops[hop].waiting, it.index)
			delete(e.hops, hop)
		}
	}
	for hop := range hops {
		if e.hops[hop] == nil {
			it := &item{e: e, hop: hop, due: now, index: -1}
			e.hops[hop] = it
			s.push(it)
		}
	}
	s.kick()
}

// push lets an item wait, unless its message is frozen. The caller holds mu.
func (s *scheduler) push(it *item) {
	q := s.hops[it.hop]
	if q == nil {
		q = &hopQueue{hop: it.hop}
		s.hops[it.hop] = q
	}
	if !it.e.frozen && it.index < 0 {
		heap.Push(&q.waiting, it)
	}
}

// forget drops a message.
func (s *scheduler) forget(id uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.entries[id]
	if e == nil {
		return
	}
	delete(s.entries, id)
	for hop, it := range e.hops {
		if it.index >= 0 {
			heap.Remove(&s.hops[hop].waiting, it.index)
		}
		delete(e.hops, hop)
	}
}

// ready returns the hops that a worker should be started for, each counted as
// active, and how long nothing else will be due (0: unknown).
func (s *scheduler) ready(now time.Time) (start []Hop, next time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for hop, q := range s.hops {
		if len(q.waiting) == 0 {
			if q.active == 0 && !q.frozen && !q.notBefore.After(now) {
				delete(s.hops, hop)
			}
			continue
		}
		if q.frozen {
			continue
		}
		due := q.waiting[0].due
		if due.Before(q.notBefore) {
			due = q.notBefore
		}
		if wait := due.Sub(now); wait > 0 {
			if next == 0 || wait < next {
				next = wait
			}
			continue
		}
		limit := s.perHop
		if hop.Kind == HopStore || hop.Kind == HopCategorizer {
			limit = localWorkers
		}
		if q.failures > 0 {
			limit = 1 // one is enough to find out whether it is back
		}
		for n := min(limit-q.active, len(q.waiting)); n > 0 && s.active < s.maxActive && !s.closed; n-- {
			q.active++
			s.active++
			start = append(start, hop)
		}
	}
	return start, next
}

// take returns the next item of a hop that is due, nil if there is none.
func (s *scheduler) take(hop Hop, now time.Time) *item {
	s.mu.Lock()
	defer s.mu.Unlock()
	q := s.hops[hop]
	if s.closed || q == nil || q.frozen || len(q.waiting) == 0 || q.waiting[0].due.After(now) || q.notBefore.After(now) {
		return nil
	}
	it := heap.Pop(&q.waiting).(*item)
	it.busy = true
	return it
}

// release ends a worker.
func (s *scheduler) release(hop Hop) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.active--
	s.hops[hop].active--
	s.kick()
}

// again lets an item that was worked on wait until due; drop ends it.
func (s *scheduler) again(it *item, due time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if it.e.hops[it.hop] != it { // forgotten meanwhile
		return
	}
	it.due, it.busy = due, false
	s.push(it)
	s.kick()
}

func (s *scheduler) drop(it *item) {
	s.mu.Lock()
	defer s.mu.Unlock()
	it.busy = false
	if it.e.hops[it.hop] == it {
		delete(it.e.hops, it.hop)
	}
}

// reached notes that a hop answers; unreached that it does not, and returns
// how many times in a row.
func (s *scheduler) reached(hop Hop) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if q := s.hops[hop]; q != nil && q.failures > 0 {
		q.failures, q.lastErr, q.notBefore = 0, "", time.Time{}
		s.kick()
	}
}

func (s *scheduler) unreached(hop Hop, why string, wait func(failures int) time.Time) (waiting []*item) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q := s.hops[hop]
	q.failures++
	q.lastErr = clip(why, maxText)
	q.notBefore = wait(q.failures)
	return append(waiting, q.waiting...)
}

// seize takes an item that waits out of its queue and reports whether it did.
func (s *scheduler) seize(it *item) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if it.index < 0 || it.e.hops[it.hop] != it {
		return false
	}
	heap.Remove(&s.hops[it.hop].waiting, it.index)
	it.busy = true
	return true
}
