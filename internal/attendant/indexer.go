package attendant

import (
	"context"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"rialto/internal/model"
	"rialto/internal/store"
	"rialto/internal/store/fulltext"
)

// Indexer feeds the search indexes of all mailboxes of the mounted stores, one
// mailbox at a time and at low priority: it rests as long as it works (Rest), and
// looks at a mailbox a while after it changed, so that mail is taken in groups.
// Until then a search looks at the new mail itself.
type Indexer struct {
	stores  *Stores
	indexes *fulltext.Indexes
	quiet   time.Duration
	boxes   map[*store.Mailbox]*watched // belongs to Run

	items, merged, failed, seconds prometheus.Counter
	waiting                        prometheus.Gauge
	lag                            prometheus.Gauge
}

// watched is a mailbox that is looked after.
type watched struct {
	sub   *store.Subscription
	due   time.Time // when it is looked at; zero: nothing is to be done
	since time.Time // when it first had something to be done
	fails int       // in a row
}

// IndexerOptions are those of an Indexer.
type IndexerOptions struct {
	Stores  *Stores
	Indexes *fulltext.Indexes
	Quiet   time.Duration // from a change until it is looked at; 0: 2 s
}

// lookInterval is how often new mailboxes and stores are looked for.
const lookInterval = 10 * time.Second

// maxFailWait bounds how long a mailbox is left alone after failures.
const maxFailWait = 10 * time.Minute

// NewIndexer returns an indexer that does nothing before Run.
func NewIndexer(opt IndexerOptions) *Indexer {
	if opt.Quiet == 0 {
		opt.Quiet = 2 * time.Second
	}
	count := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: "rialto_index_" + name, Help: help})
	}
	gauge := func(name, help string) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts{Name: "rialto_index_" + name, Help: help})
	}
	return &Indexer{stores: opt.Stores, indexes: opt.Indexes, quiet: opt.Quiet, boxes: map[*store.Mailbox]*watched{},
		items: count("items_total", "Items put into search indexes."), merged: count("merged_items_total", "Items written again by merges."),
		failed: count("failures_total", "Steps of indexing that failed."), seconds: count("seconds_total", "Time spent on indexing, rests included."),
		waiting: gauge("waiting_mailboxes", "Mailboxes with changes that the index has not seen."),
		lag:     gauge("lag_seconds", "How long the mailbox that waits longest has waited.")}
}

func (x *Indexer) metrics() []prometheus.Collector {
	return []prometheus.Collector{x.items, x.merged, x.failed, x.seconds, x.waiting, x.lag}
}

// Describe implements prometheus.Collector.
func (x *Indexer) Describe(ch chan<- *prometheus.Desc) {
	for _, c := range x.metrics() {
		c.Describe(ch)
	}
}

// Collect implements prometheus.Collector.
func (x *Indexer) Collect(ch chan<- prometheus.Metric) {
	for _, c := range x.metrics() {
		c.Collect(ch)
	}
}

// Run feeds until ctx ends. It is called once.
func (x *Indexer) Run(ctx context.Context) {
	tick := time.NewTicker(x.quiet)
	defer tick.Stop()
	defer x.release()
	var looked time.Time
	for ctx.Err() == nil {
		if time.Since(looked) >= lookInterval {
			x.look(ctx)
			looked = time.Now()
		}
		x.listen(time.Now())
		x.pass(ctx)
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
}

func (x *Indexer) release() {
	for m, w := range x.boxes {
		w.sub.Close()
		delete(x.boxes, m)
	}
}

// look begins to watch mailboxes that were not there before.
func (x *Indexer) look(ctx context.Context) {
	for _, s := range x.stores.serving() {
		list, err := s.db.Mailboxes(ctx)
		if err != nil {
			continue // looked for again
		}
		for i := range list {
			m, err := s.db.Mailbox(ctx, list[i].GUID)
			if err != nil || x.boxes[m] != nil {
				continue
			}
			now := time.Now()
			x.boxes[m] = &watched{sub: m.Subscribe(), due: now, since: now}
		}
	}
}

// listen reads the hints of all mailboxes, and forgets those that went away.
func (x *Indexer) listen(now time.Time) {
	waiting, longest := 0, time.Duration(0)
	for m, w := range x.boxes {
		select {
		case _, ok := <-w.sub.C:
			if !ok {
				delete(x.boxes, m)
				x.indexes.Forget(m.Database())
				continue
			}
			if w.due.IsZero() {
				w.due, w.since = now.Add(x.quiet), now
			}
		default:
		}
		if !w.due.IsZero() {
			waiting++
			longest = max(longest, now.Sub(w.since))
		}
	}
	x.waiting.Set(float64(waiting))
	x.lag.Set(longest.Seconds())
}

// pass feeds the mailboxes whose time has come.
func (x *Indexer) pass(ctx context.Context) {
	for m, w := range x.boxes {
		if w.due.IsZero() || time.Now().Before(w.due) {
			continue
		}
		began := time.Now()
		err := x.feed(ctx, m)
		x.seconds.Add(time.Since(began).Seconds())
		switch {
		case ctx.Err() != nil:
			return
		case err == nil:
			w.due, w.fails = time.Time{}, 0
		default: // tried again; a mailbox that has gone ends its subscription
			x.failed.Inc()
			w.due = time.Now().Add(min(x.quiet<<min(w.fails, 20), maxFailWait))
			w.fails++
		}
	}
}

// feed brings the index of a mailbox up to date.
func (x *Indexer) feed(ctx context.Context, m *store.Mailbox) error {
	for {
		p, err := x.indexes.Feed(ctx, m)
		x.items.Add(float64(p.Items))
		x.merged.Add(float64(p.Merged))
		if err != nil || !p.More {
			return err
		}
	}
}

// maxRest bounds one rest.
const maxRest = 100 * time.Millisecond

// Rest returns a pace for background work (fulltext.Options.Pace): each call
// waits as long as it is since the last one ended, so that half a processor at
// most is used and the disk is left to others in between.
func Rest() func(context.Context) error {
	var mu sync.Mutex
	last := time.Now()
	return func(ctx context.Context) error {
		mu.Lock()
		defer mu.Unlock()
		t := time.NewTimer(min(time.Since(last), maxRest))
		defer t.Stop()
		select {
		case <-ctx.Done():
			return model.E("attendant.rest", model.KindUnavailable, "stopped", ctx.Err())
		case <-t.C:
		}
		last = time.Now()
		return nil
	}
}
