// Package transport moves mail: it takes messages from heads and from the
// server itself, decides who gets them, and delivers, relays or returns them.
//
//	accept → queue record (durable) → categorize → route → deliver or relay → report
//
// The queue record is the only thing handed between stages. One shortcut: when
// every recipient turns out to be a mailbox of one database mounted here, the
// message is streamed straight into that database and delivered in one commit
// before the client gets its 250; it is never queued.
//
// # Promises
//
// A message is durable before it is acknowledged. Local delivery happens
// exactly once whatever crashes: the database notes (queue id, mailbox) in the
// batch that delivers. A report (DSN) is queued in the batch that marks its
// recipients as reported. A relay can happen twice only when the peer took the
// message and we died before noting it.
//
// # Queue
//
// The queue has a kv instance of its own, see queue.go for its keys. Ids only
// grow and are never given twice. Retry times live in memory: a restart tries
// everything at once.
//
// # Locks
//
// entry.mu (one per message) guards reading, changing and writing back a
// record; it is held during the commit. scheduler.mu guards what is due and is
// taken after entry.mu; queue.mu guards the ids given out and is taken last.
// outboxes.mu guards which databases are drained, and nothing is taken under it.
// None is held while a peer is talked to.
package transport

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"rialto/internal/kv"
	"rialto/internal/message"
	"rialto/internal/model"
	"rialto/internal/org"
	"rialto/internal/service"
	"rialto/internal/store"
)

// StoreSet finds the mounted databases of this server.
type StoreSet interface {
	// Database returns a mounted database; KindUnavailable while it is
	// dismounted, KindNotFound if it belongs to another server.
	Database(guid model.GUID) (*store.Database, error)
}

// Options say what a Transport works with. Org, Stores and Queue must be set.
type Options struct {
	Org      org.Directory
	Stores   StoreSet
	Queue    kv.DB                 // belongs to the Transport from now on; Shutdown closes it
	Hostname string                // in EHLO, Received and reports; "": the server's FQDN
	Dialer   *service.Dialer       // nil: the zero Dialer
	Resolver Resolver              // nil: the system's
	Port     func(host string) int // of a mail exchanger; nil: 25
	Clock    model.Clock           // nil: time.Now
	Rand     func(n int) int       // 0 ≤ result < n; nil: math/rand
	Events   service.Log           // nil discards
	Log      *slog.Logger          // nil discards
	Metrics  prometheus.Registerer // nil: not registered
	Track    func(Tracked)         // told what becomes of messages; must not block; nil: nobody is
	// VerifyTLS demands certificates that verify when a peer offers STARTTLS.
	// Without it encryption is opportunistic (RFC 3207 4.1).
	VerifyTLS bool

	MaxPerHop int // connections to one next hop, 0: 4
	MaxActive int // deliveries and connections at a time, 0: 64
}

// Transport is the mail transport of one server. New makes it; it accepts
// messages at once and moves queued ones between Start and Shutdown.
type Transport struct {
	opt      Options
	queue    *queue
	sched    *scheduler
	metrics  *metrics
	serial   atomic.Uint64
	parsers  sync.Pool
	started  atomic.Bool
	outboxes outboxes

	ctx    context.Context // of the workers
	cancel context.CancelFunc
	wg     sync.WaitGroup
}

// eventRewound is the number of an event of our own: the queue came back to an
// earlier state.
const eventRewound = 9534

// New opens the queue. Nothing moves before Start.
func New(ctx context.Context, o Options) (*Transport, error) {
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Rand == nil {
		o.Rand = rand.IntN
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Dialer == nil {
		o.Dialer = &service.Dialer{}
	}
	if o.Resolver == nil {
		o.Resolver = SystemResolver{}
	}
	if o.Port == nil {
		o.Port = func(string) int { return 25 }
	}
	if o.MaxPerHop == 0 {
		o.MaxPerHop = 4
	}
	if o.MaxActive == 0 {
		o.MaxActive = 64
	}
	q, err := openQueue(ctx, o.Queue)
	if err != nil {
		return nil, err
	}
	r, err := q.settleRewind(ctx)
	if err != nil {
		return nil, err
	}
	if r != nil && o.Events != nil {
		o.Events.Report(ctx, service.Event{Source: service.SourceTransport, ID: eventRewound, Level: slog.LevelWarn, Category: "Queuing Engine",
			Message: "The queue has, or may have, come back to an earlier state: " + r.Why + ". Messages accepted since and not yet delivered are gone; those that left since are sent once more.",
			Attrs:   []slog.Attr{slog.Bool("certain", r.Certain), slog.Time("found", r.Found)}})
	}
	t := &Transport{opt: o, queue: q, sched: newScheduler(o.MaxPerHop, o.MaxActive), metrics: newMetrics(o.Metrics)}
	t.parsers.New = func() any { return new(message.Parser) }
	t.serial.Store(uint64(o.Clock().UnixNano()))
	t.ctx, t.cancel = context.WithCancel(context.Background())
	return t, nil
}

// Start reads the queue and begins to move it. ctx bounds the reading only.
func (t *Transport) Start(ctx context.Context) error {
	if err := t.queue.recover(ctx, t.schedule); err != nil {
		return err
	}
	t.wg.Go(t.dispatch)
	t.started.Store(true)
	t.watchOutboxes()
	return nil
}

// Shutdown stops the workers, waits for them until ctx ends, and closes the
// queue. What is queued stays queued.
func (t *Transport) Shutdown(ctx context.Context) error {
	t.sched.close()
	t.outboxes.end()
	done := make(chan struct{})
	go func() { t.wg.Wait(); close(done) }()
	grace := time.NewTimer(2 * time.Second)
	defer grace.Stop()
	select {
	case <-done:
	case <-grace.C:
	case <-ctx.Done():
	}
	t.cancel()
	<-done
	if err := t.queue.close(); err != nil {
		return model.E("transport.shutdown", model.KindOther, "queue", err)
	}
	return nil
}

// hostname is our name towards others.
func (t *Transport) hostname(cfg *org.Config) string {
	if t.opt.Hostname != "" {
		return t.opt.Hostname
	}
	if s := outbound(cfg); s.FQDN != "" {
		return s.FQDN
	}
	if cfg.Server.FQDN != "" {
		return cfg.Server.FQDN
	}
	return "localhost"
}

// outbound returns the settings mail leaves with: those of the first SMTP
// virtual server.
func outbound(cfg *org.Config) org.SMTPSettings {
	for i := range cfg.Server.VirtualServers {
		if v := &cfg.Server.VirtualServers[i]; v.Protocol == org.SMTP {
			return v.SMTP
		}
	}
	return org.SMTPSettings{}
}
