package pebble

import (
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2"
)

// slots bounds the compactions of all databases that share it. A freed slot
// goes to the database whose waiting compaction is most urgent.
//
// One goroutine grants; it runs while there are members. slots.mu is never
// held during a call into a database, except GetAllowedWithoutPermission,
// which takes no lock there.
type slots struct {
	limit int

	mu      sync.Mutex
	idle    sync.Cond // a member's calling became false
	running int
	members map[*member]struct{}
	poke    chan struct{}
	stop    chan struct{}
	stopped chan struct{}
}

// member is the scheduler of one database.
type member struct {
	s       *slots
	db      pebble.DBForCompaction
	running int
	calling bool // the granter is inside db
	gone    bool
}

var (
	_ pebble.CompactionScheduler   = (*member)(nil)
	_ pebble.CompactionGrantHandle = (*member)(nil)
)

func newSlots(limit int) *slots {
	s := &slots{limit: limit, members: make(map[*member]struct{}), poke: make(chan struct{}, 1)}
	s.idle.L = &s.mu
	return s
}

// Register implements pebble.CompactionScheduler.
func (m *member) Register(_ int, db pebble.DBForCompaction) {
	s := m.s
	s.mu.Lock()
	defer s.mu.Unlock()
	m.db = db
	s.members[m] = struct{}{}
	if len(s.members) == 1 {
		s.stop, s.stopped = make(chan struct{}), make(chan struct{})
		go s.grantLoop(s.stop, s.stopped)
	}
}

// Unregister implements pebble.CompactionScheduler: after it the granter does
// not call the database again.
func (m *member) Unregister() {
	s := m.s
	s.mu.Lock()
	if _, ok := s.members[m]; !ok {
		s.mu.Unlock()
		return
	}
	m.gone = true
	for m.calling {
		s.idle.Wait()
	}
	delete(s.members, m)
	var stop, stopped chan struct{}
	if len(s.members) == 0 {
		stop, stopped = s.stop, s.stopped
	}
	s.mu.Unlock()
	if stop != nil {
		close(stop)
		<-stopped
	}
}

// TrySchedule implements pebble.CompactionScheduler.
func (m *member) TrySchedule() (bool, pebble.CompactionGrantHandle) {
	m.s.mu.Lock()
	defer m.s.mu.Unlock()
	if m.gone || m.db == nil || !m.takeLocked() {
		return false, nil
	}
	return true, m
}

func (m *member) takeLocked() bool {
	if m.s.running >= m.s.limit || m.running >= m.db.GetAllowedWithoutPermission() {
		return false
	}
	m.s.running++
	m.running++
	return true
}

// UpdateGetAllowedWithoutPermission implements pebble.CompactionScheduler.
func (m *member) UpdateGetAllowedWithoutPermission() { m.s.wake() }

// Started, MeasureCPU and CumulativeStats implement pebble.CompactionGrantHandle.
func (m *member) Started()                                          {}
func (m *member) MeasureCPU(pebble.CompactionGoroutineKind)         {}
func (m *member) CumulativeStats(pebble.CompactionGrantHandleStats) {}

// Done implements pebble.CompactionGrantHandle.
func (m *member) Done() {
	m.s.mu.Lock()
	m.release()
	m.s.mu.Unlock()
	m.s.wake()
}

func (m *member) release() {
	m.s.running--
	m.running--
}

func (s *slots) wake() {
	select {
	case s.poke <- struct{}{}:
	default:
	}
}

// grantLoop also looks every 100 ms: what a database is allowed changes with
// its backlog, and nobody tells.
func (s *slots) grantLoop(stop, stopped chan struct{}) {
	defer close(stopped)
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-stop:
			return
		case <-s.poke:
		case <-tick.C:
		}
		for s.grantOne() {
		}
	}
}

// grantOne gives one free slot to the most urgent waiting compaction.
func (s *slots) grantOne() bool {
	s.mu.Lock()
	var asked []*member
	if s.running < s.limit {
		for m := range s.members {
			if !m.gone && m.running < m.db.GetAllowedWithoutPermission() {
				m.calling = true
				asked = append(asked, m)
			}
		}
	}
	s.mu.Unlock()
	var best *member
	var urgent pebble.WaitingCompaction
	for _, m := range asked {
		if waiting, w := m.db.GetWaitingCompaction(); waiting && (best == nil || moreUrgent(w, urgent)) {
			best, urgent = m, w
		}
	}
	granted := false
	if best != nil {
		s.mu.Lock()
		granted = best.takeLocked()
		s.mu.Unlock()
		if granted && !best.db.Schedule(best) {
			s.mu.Lock()
			best.release()
			s.mu.Unlock()
			granted = false
		}
	}
	s.mu.Lock()
	for _, m := range asked {
		m.calling = false
	}
	s.idle.Broadcast()
	s.mu.Unlock()
	return granted
}

func moreUrgent(a, b pebble.WaitingCompaction) bool {
	if a.Optional != b.Optional {
		return b.Optional
	}
	if a.Priority != b.Priority {
		return a.Priority > b.Priority
	}
	return a.Score > b.Score
}
