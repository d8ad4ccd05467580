package service

import (
	"context"
	"io"
	"log/slog"
	"sync"
	"time"
)

// Event is one entry of the application log: something an administrator may
// have to know, as data. Source, ID and Category are those of Exchange where
// it has such an event, so that monitoring rules carry over.
type Event struct {
	Time     time.Time // filled in when zero
	Source   string    // MSExchangeIS, MSExchangeTransport, POP3SVC, IMAP4SVC, …
	ID       int       // event number within the source
	Level    slog.Level
	Category string // "General", "Logons", "Queuing Engine", …
	Message  string // one sentence, complete without Attrs
	Attrs    []slog.Attr
}

// The sources of events.
const (
	SourceStore     = "MSExchangeIS"
	SourceMailboxes = "MSExchangeIS Mailbox Store"
	SourceTransport = "MSExchangeTransport"
	SourceAttendant = "MSExchangeSA"
	SourceDirectory = "MSExchangeDSAccess"
	SourcePOP3      = "POP3SVC"
	SourceIMAP4     = "IMAP4SVC"
	SourceSMTP      = "SMTPSVC"
)

// Event numbers of this package, the same for every source.
const (
	EventStarted       = 1
	EventStopped       = 2
	EventPaused        = 3
	EventResumed       = 4
	EventBindFailed    = 5
	EventHandlerFailed = 6
)

// Log takes events. Report must not block for long and never fails the caller.
type Log interface {
	Report(ctx context.Context, e Event)
}

// EventLog writes events as JSON lines and keeps the newest in memory. Safe
// for concurrent use.
type EventLog struct {
	h     slog.Handler
	clock func() time.Time

	mu   sync.Mutex
	ring []Event
	next int
	full bool
}

// NewEventLog returns a log that writes to w (a *RotatingFile, or nil for
// none) and keeps the last keep events; 0 means 1000.
func NewEventLog(w io.Writer, keep int) *EventLog {
	if keep <= 0 {
		keep = 1000
	}
	if w == nil {
		w = io.Discard
	}
	return &EventLog{
		h:     slog.NewJSONHandler(w, &slog.HandlerOptions{Level: slog.LevelDebug}),
		clock: time.Now, ring: make([]Event, keep),
	}
}

// Report implements Log.
func (l *EventLog) Report(ctx context.Context, e Event) {
	if e.Time.IsZero() {
		e.Time = l.clock()
	}
	rec := slog.NewRecord(e.Time, e.Level, e.Message, 0)
	rec.AddAttrs(slog.String("source", e.Source), slog.Int("id", e.ID), slog.String("category", e.Category))
	rec.AddAttrs(e.Attrs...)
	// An event log that cannot be written must not stop the mail: the event
	// is still in the ring.
	_ = l.h.Handle(ctx, rec)
	l.mu.Lock()
	l.ring[l.next] = e
	if l.next++; l.next == len(l.ring) {
		l.next, l.full = 0, true
	}
	l.mu.Unlock()
}

// Recent returns up to n of the newest events that match (nil: all), newest
// first.
func (l *EventLog) Recent(n int, match func(Event) bool) []Event {
	l.mu.Lock()
	defer l.mu.Unlock()
	have := l.next
	if l.full {
		have = len(l.ring)
	}
	var out []Event
	for i := 1; i <= have && len(out) < n; i++ {
		e := l.ring[(l.next-i+len(l.ring))%len(l.ring)]
		if match == nil || match(e) {
			out = append(out, e)
		}
	}
	return out
}
