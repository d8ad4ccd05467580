package transport

import (
	"container/heap"
	"context"
	"io"
	"log/slog"
	"slices"
	"strings"
	"time"

	"rialto/internal/model"
	"rialto/internal/service"
	"rialto/internal/wire/smtp"
)

// QueueInfo describes the queue of one next hop.
type QueueInfo struct {
	Hop       Hop
	State     string // "active", "ready", "retry" or "frozen"
	Messages  int
	Bytes     int64
	Oldest    time.Time // zero if it is empty
	NextTry   time.Time // zero: now
	Failures  int       // in a row, of reaching the hop
	LastError string
}

// MessageInfo describes a message in a queue.
type MessageInfo struct {
	ID       uint64
	Accepted time.Time
	Size     int64
	Frozen   bool
	Attempts int
	NextTry  time.Time
}

// Queues lists the queues that hold messages, by name.
func (t *Transport) Queues() []QueueInfo {
	s, now := t.sched, t.opt.Clock()
	s.mu.Lock()
	defer s.mu.Unlock()
	m := map[Hop]*QueueInfo{}
	for _, e := range s.entries {
		for hop, it := range e.hops {
			q := m[hop]
			if q == nil {
				q = &QueueInfo{Hop: hop, State: "ready"}
				m[hop] = q
			}
			q.Messages++
			q.Bytes += e.size
			if q.Oldest.IsZero() || e.accepted.Before(q.Oldest) {
				q.Oldest = e.accepted
			}
			if it.due.After(now) && (q.NextTry.IsZero() || it.due.Before(q.NextTry)) {
				q.NextTry = it.due
			}
		}
	}
	out := make([]QueueInfo, 0, len(m))
	for hop, q := range m {
		if h := s.hops[hop]; h != nil {
			q.Failures, q.LastError = h.failures, h.lastErr
			if h.notBefore.After(now) {
				q.NextTry = h.notBefore
			}
			switch {
			case h.frozen:
				q.State = "frozen"
			case h.active > 0:
				q.State = "active"
			case !q.NextTry.IsZero():
				q.State = "retry"
			}
		}
		out = append(out, *q)
	}
	slices.SortFunc(out, func(a, b QueueInfo) int { return strings.Compare(a.Hop.String(), b.Hop.String()) })
	return out
}

// Messages lists the messages of one queue by number, at most limit (0: all).
func (t *Transport) Messages(hop Hop, limit int) []MessageInfo {
	s := t.sched
	s.mu.Lock()
	var out []MessageInfo
	for id, e := range s.entries {
		if it := e.hops[hop]; it != nil {
			out = append(out, MessageInfo{ID: id, Accepted: e.accepted, Size: e.size, Frozen: e.frozen, Attempts: it.attempts, NextTry: it.due})
		}
	}
	s.mu.Unlock()
	slices.SortFunc(out, func(a, b MessageInfo) int { return int(int64(a.ID) - int64(b.ID)) })
	if limit > 0 && len(out) > limit {
		out = out[:limit]
	}
	return out
}

// Show returns a queued message's record; KindNotFound when it is not queued.
func (t *Transport) Show(ctx context.Context, id uint64) (*Record, error) {
	return t.queue.load(ctx, id)
}

// Open returns the body of a queued message, as it will be sent.
func (t *Transport) Open(ctx context.Context, r *Record) io.Reader {
	return io.MultiReader(strings.NewReader(string(r.Trace)), t.queue.body(ctx, r))
}

// Retry makes everything due that match accepts, now; nil matches all.
func (t *Transport) Retry(match func(id uint64, hop Hop) bool) {
	s, now := t.sched, t.opt.Clock()
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, e := range s.entries {
		for hop, it := range e.hops {
			if it.index < 0 || match != nil && !match(id, hop) {
				continue
			}
			it.due = now
			heap.Fix(&s.hops[hop].waiting, it.index)
			s.hops[hop].notBefore = time.Time{}
		}
	}
	s.kick()
}

// Mounted tells the transport that a database can be delivered to again.
func (t *Transport) Mounted(guid model.GUID) {
	want := Hop{HopStore, guid.String()}
	t.Retry(func(_ uint64, hop Hop) bool { return hop == want })
	t.wakeOutbox(guid)
}

// FreezeQueue holds a whole queue back until thawed; it does not outlive a
// restart, as in Exchange.
func (t *Transport) FreezeQueue(hop Hop, on bool) {
	s := t.sched
	s.mu.Lock()
	defer s.mu.Unlock()
	q := s.hops[hop]
	if q == nil {
		q = &hopQueue{hop: hop}
		s.hops[hop] = q
	}
	q.frozen = on
	s.kick()
}

// Freeze holds a message back until it is thawed; that is remembered.
func (t *Transport) Freeze(ctx context.Context, id uint64, on bool) error {
	e, err := t.entry(id)
	if err != nil {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	r, err := t.queue.load(ctx, id)
	if err != nil {
		return err
	}
	r.Frozen = on
	b, err := t.queue.put(ctx, t.queue.db.NewBatch(), r, nil)
	if err == nil {
		err = t.queue.commit(ctx, b)
	}
	if err != nil {
		return err
	}
	t.sched.freeze(e, on, t.opt.Clock())
	return nil
}

func (t *Transport) entry(id uint64) (*entry, error) {
	t.sched.mu.Lock()
	defer t.sched.mu.Unlock()
	if e := t.sched.entries[id]; e != nil {
		return e, nil
	}
	return nil, model.E("transport.queue", model.KindNotFound, "message", nil)
}

// freeze takes the items of a message out of their queues, or puts them back.
func (s *scheduler) freeze(e *entry, on bool, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	was := e.frozen
	e.frozen = on
	for hop, it := range e.hops {
		switch {
		case on && it.index >= 0:
			heap.Remove(&s.hops[hop].waiting, it.index)
		case !on && was && !it.busy:
			it.due = now
			s.push(it)
		}
	}
	s.kick()
}

// Remove deletes a message. With report its sender is told that it was.
func (t *Transport) Remove(ctx context.Context, id uint64, report bool) error {
	e, err := t.entry(id)
	if err != nil {
		return err
	}
	t.sched.freeze(e, false, t.opt.Clock())
	it := &item{e: e, hop: Hop{Kind: HopCategorizer}, index: -1}
	t.settle(ctx, it, func(r *Record) {
		for i := range r.Rcpts {
			c := &r.Rcpts[i]
			if !c.State.Final() {
				c.State, c.Status, c.Diag = Failed, "5.0.0", "The message was deleted by the administrator"
			}
			c.Reported = c.Reported || !report
		}
	})
	if t.opt.Events != nil {
		t.opt.Events.Report(ctx, service.Event{Source: service.SourceTransport, ID: EventRemoved, Level: slog.LevelInfo,
			Category: "Queuing Engine", Message: "A message was deleted from the queue.", Attrs: []slog.Attr{slog.Uint64("message", id)}})
	}
	return nil
}

// Submit sends a message for the server itself or an administrator's tool: any
// sender, any recipient, no limits. It returns the queue's name of it.
func (t *Transport) Submit(ctx context.Context, from model.Address, to []model.Address, body io.Reader) (*Receipt, error) {
	ses := &Session{Proto: "local", System: true, Submission: true}
	s, err := t.Begin(ctx, ses, &smtp.Mail{From: from, Size: -1})
	if err != nil {
		return nil, err
	}
	defer s.Abort()
	for _, a := range to {
		if err := s.AddRecipient(ctx, &smtp.Rcpt{To: a}); err != nil {
			return nil, err
		}
	}
	if err := s.Data(ctx); err != nil {
		return nil, err
	}
	if _, err := io.Copy(s, body); err != nil {
		return nil, err
	}
	return s.Commit(ctx)
}
