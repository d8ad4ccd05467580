package server

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"rialto/internal/admin"
	"rialto/internal/attendant"
	"rialto/internal/auth"
	"rialto/internal/directory"
	"rialto/internal/directory/embedded"
	"rialto/internal/kv"
	"rialto/internal/kv/pebble"
	"rialto/internal/model"
	"rialto/internal/org"
	"rialto/internal/service"
	"rialto/internal/store/fulltext"
	"rialto/internal/transport"
)

// Version is the version of the program.
const Version = "0.1.0"

// Options of a Server beyond its bootstrap file.
type Options struct {
	Log       *slog.Logger               // nil discards
	Transport func(o *transport.Options) // adjusts the transport; for tests
}

// Server is a running server. Its parts are built bottom up by Open and Start
// and end in reverse by Shutdown.
type Server struct {
	cfg        *Config
	opt        Options
	log        *slog.Logger
	shared     *pebble.Shared // nil on another engine
	directory  *embedded.DB
	org        *org.Org
	auth       *auth.Authenticator
	certs      *service.Certificates
	metrics    *prometheus.Registry
	eventFile  *service.RotatingFile
	events     *service.EventLog
	stores     *attendant.Stores
	indexes    *fulltext.Indexes
	indexer    *attendant.Indexer
	transport  *transport.Transport
	services   *services
	admin      *admin.Admin
	web        *web
	ctx        context.Context // of the background duties
	cancel     context.CancelFunc
	background sync.WaitGroup
	ending     sync.Once
	ended      error // what ending came to
	broken     chan error
}

// Open opens the data directory: events, caches and the directory. What Setup
// does happens between Open and Start.
func Open(ctx context.Context, cfg *Config, opt Options) (*Server, error) {
	s := &Server{cfg: cfg, opt: opt, log: opt.Log, metrics: prometheus.NewRegistry(), broken: make(chan error, 1)}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.metrics.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	var err error
	if s.eventFile, err = service.OpenRotating(filepath.Join(cfg.DataDir, "log", "events.jsonl"), 64<<20, 5); err != nil {
		return nil, err
	}
	s.events = service.NewEventLog(s.eventFile, 0)
	if cfg.Engine == "" {
		s.shared = pebble.NewShared(pebble.SharedOptions{})
	}
	db, err := s.openDirectory(ctx)
	if err != nil {
		return nil, s.abandon(ctx, err)
	}
	s.directory, err = embedded.Open(ctx, db, embedded.Options{DNSDomain: cfg.DNSDomain, DNSHost: cfg.Server + "." + cfg.DNSDomain,
		Rewound: func(r kv.Rewind) { s.directoryRewound(ctx, r) }})
	if err != nil {
		_ = db.Close() // the first error is the one to report
		return nil, s.abandon(ctx, err)
	}
	return s, nil
}

// Directory returns the server's directory, for Setup.
func (s *Server) Directory() *embedded.DB { return s.directory }

// Broken gets an error when the directory or the queue is lost in a PostgreSQL
// server: the process has to start afresh. Mailbox stores are mounted again
// while it runs.
func (s *Server) Broken() <-chan error { return s.broken }

// Events returns the event log.
func (s *Server) Events() *service.EventLog { return s.events }

// Prepare brings up the organization, stores and transport. Management works
// from here on; nobody is listened to yet.
func (s *Server) Prepare(ctx context.Context) error {
	if err := s.prepare(ctx); err != nil {
		return s.abandon(ctx, err)
	}
	return nil
}

// Listen starts the transport's work and everything that listens, and returns
// when all do.
func (s *Server) Listen(ctx context.Context) error {
	if err := s.listen(ctx); err != nil {
		return s.abandon(ctx, err)
	}
	return nil
}

func (s *Server) prepare(ctx context.Context) error {
	var err error
	if s.org, err = org.Open(ctx, s.directory, s.cfg.Server, org.Options{}); err != nil {
		return err
	}
	c := s.org.Config()
	if s.certs, err = s.cfg.certificates([]string{c.Server.FQDN, "localhost", "127.0.0.1", "::1"}); err != nil {
		return err
	}
	s.auth = auth.New(directory.Finder{Dir: s.directory})
	s.stores = attendant.NewStores(attendant.Options{Org: s.org, Events: s.events, OpenEngine: s.openStore, DropEngine: s.dropStore, Mounted: s.mounted, Files: s.storeFiles()})
	s.metrics.MustRegister(s.stores.Collector())
	s.stores.Start(ctx)
	s.indexes = fulltext.New(fulltext.Options{Extract: attendant.ItemText(), Pace: attendant.Rest()})
	s.indexer = attendant.NewIndexer(attendant.IndexerOptions{Stores: s.stores, Indexes: s.indexes})
	s.metrics.MustRegister(s.indexer)
	queue, err := s.openQueue(ctx)
	if err != nil {
		return err
	}
	topt := transport.Options{Org: s.org, Stores: s.stores, Queue: queue, Hostname: c.Server.FQDN, Events: s.events, Log: s.log, Metrics: s.metrics}
	if s.opt.Transport != nil {
		s.opt.Transport(&topt)
	}
	if s.transport, err = transport.New(ctx, topt); err != nil {
		_ = queue.Close() // the first error is the one to report
		return err
	}
	s.newServices()
	s.admin = &admin.Admin{Org: s.org, Directory: s.directory, Stores: s.stores, Transport: s.transport, Services: s.services,
		Hasher: s.auth.Hasher, Passwords: s.auth.Cache, Events: s.events, Version: Version, Started: time.Now()}
	return nil
}

func (s *Server) listen(ctx context.Context) error {
	if err := s.transport.Start(ctx); err != nil {
		return err
	}
	if err := s.startDirectoryServices(ctx); err != nil {
		return err
	}
	if err := s.startWeb(ctx); err != nil {
		return err
	}
	s.services.reconcile(ctx, s.org.Config())
	s.background.Go(func() { s.stores.Run(s.ctx) })
	s.background.Go(func() { s.stores.Maintain(s.ctx) })
	s.background.Go(func() { s.indexer.Run(s.ctx) })
	s.background.Go(s.follow)
	return s.writeEndpoints()
}

// follow applies changes of the configuration to the virtual servers.
func (s *Server) follow() {
	for range s.org.Watch(s.ctx) {
		s.services.reconcile(s.ctx, s.org.Config())
		if err := s.writeEndpoints(); err != nil {
			s.log.Error("endpoints", "err", err)
		}
	}
}

// Admin returns the management operations.
func (s *Server) Admin() *admin.Admin { return s.admin }

// Endpoints returns the addresses in use by name ("imap", "smtp", …).
func (s *Server) Endpoints() map[string]string {
	e := s.services.endpoints()
	for k, v := range s.web.addrs {
		e[k] = v
	}
	return e
}

func (s *Server) writeEndpoints() error {
	b, err := json.MarshalIndent(s.Endpoints(), "", "  ")
	if err != nil {
		return err
	}
	return writeFile(filepath.Join(s.cfg.DataDir, "endpoints.json"), append(b, '\n'), 0o644)
}

// Failed lists the virtual servers that should run and do not.
func (s *Server) Failed() []string {
	var out []string
	for _, st := range s.services.List() {
		if st.Error != "" {
			out = append(out, fmt.Sprintf("%s: %s", st.Name, st.Error))
		}
	}
	return out
}

// Shutdown drains and stops everything in reverse; ctx bounds the draining.
// Later calls wait for the first and answer the same.
func (s *Server) Shutdown(ctx context.Context) error {
	s.ending.Do(func() { s.ended = s.shutdown(ctx) })
	return s.ended
}

func (s *Server) shutdown(ctx context.Context) error {
	s.cancel() // changes of the directory start or stop nothing any more
	if s.services != nil {
		s.services.stop(ctx)
	}
	s.web.stop(ctx)
	if s.admin != nil {
		s.admin.EndJobs()
	}
	var first error
	if s.transport != nil {
		first = s.transport.Shutdown(ctx)
	}
	s.background.Wait()
	if s.stores != nil {
		s.stores.Close(context.WithoutCancel(ctx))
	}
	if s.org != nil {
		if err := s.org.Close(); first == nil {
			first = err
		}
	}
	if s.directory != nil {
		if err := s.directory.Close(); first == nil {
			first = err
		}
	}
	if s.shared != nil {
		s.shared.Close()
	}
	_ = os.Remove(filepath.Join(s.cfg.DataDir, "endpoints.json")) // says that nothing listens
	if err := s.eventFile.Close(); first == nil {
		first = err
	}
	return first
}

// abandon takes down what stands after a failure, and returns that.
func (s *Server) abandon(ctx context.Context, err error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	_ = s.Shutdown(ctx) // the first error is the one to report
	return err
}

// mounted lets mail that waited for a store go on.
func (s *Server) mounted(guid model.GUID) {
	if s.transport != nil {
		s.transport.Mounted(guid)
	}
}
