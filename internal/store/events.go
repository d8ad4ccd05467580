package store

import "sync"

// Subscription tells that a mailbox has changed. It is a hint: read the log
// from your own position.
type Subscription struct {
	// C has a value when the mailbox went past the position last read. It is
	// closed when the mailbox goes away.
	C    <-chan struct{}
	c    chan struct{}
	hub  *hub
	once sync.Once
}

// Close ends the subscription.
func (s *Subscription) Close() { s.once.Do(func() { s.hub.drop(s) }) }

// hub spreads the hints of one mailbox.
type hub struct {
	mu     sync.Mutex
	subs   map[*Subscription]struct{}
	seq    Seq // published
	closed bool
}

// Subscribe asks for hints about durable changes of the mailbox.
func (m *Mailbox) Subscribe() *Subscription {
	c := make(chan struct{}, 1)
	s := &Subscription{C: c, c: c, hub: &m.events}
	h := &m.events
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		close(c)
		return s
	}
	if h.subs == nil {
		h.subs = map[*Subscription]struct{}{}
	}
	h.subs[s] = struct{}{}
	return s
}

func (h *hub) drop(s *Subscription) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.subs, s)
}

// publish says that the mailbox reached seq. It never blocks: a subscriber that
// has not read its last hint needs no other.
func (h *hub) publish(seq Seq) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if seq <= h.seq {
		return
	}
	h.seq = seq
	for s := range h.subs {
		select {
		case s.c <- struct{}{}:
		default:
		}
	}
}

func (h *hub) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return
	}
	h.closed = true
	for s := range h.subs {
		close(s.c)
	}
	h.subs = nil
}
