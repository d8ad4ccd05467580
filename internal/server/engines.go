package server

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"rialto/internal/kv"
	"rialto/internal/kv/pebble"
	"rialto/internal/kv/postgres"
	"rialto/internal/model"
	"rialto/internal/org"
	"rialto/internal/service"
	"rialto/internal/store"
)

// outage is how long the PostgreSQL server may be away before a database is
// given up.
const outage = time.Minute

func (s *Server) openDirectory(ctx context.Context) (kv.DB, error) {
	if s.cfg.Engine != "" {
		return s.openSchema(ctx, "directory_"+s.cfg.Instance, nil, true, s.breaks)
	}
	return s.openFiles(s.cfg.directoryDir(), 8<<20, 4<<20)
}

// eventRewound is the number of an event of our own: the directory came back to
// an earlier state.
const eventRewound = 9534

func (s *Server) directoryRewound(ctx context.Context, r kv.Rewind) {
	s.events.Report(ctx, service.Event{Source: service.SourceDirectory, ID: eventRewound, Level: slog.LevelWarn, Category: "General",
		Message: "The directory has, or may have, come back to an earlier state: " + r.Why +
			". Accounts and settings are as they were then, passwords too; who follows its changes reads everything again.",
		Attrs: []slog.Attr{slog.Bool("certain", r.Certain), slog.Time("found", r.Found)}})
}

func (s *Server) openQueue(ctx context.Context) (kv.DB, error) {
	if s.cfg.Engine != "" {
		return s.openSchema(ctx, "queue_"+s.cfg.Instance, nil, true, s.breaks)
	}
	return s.openFiles(s.cfg.queueDir(), 16<<20, 8<<20)
}

func (s *Server) openStore(ctx context.Context, g org.StorageGroup, st org.Store) (kv.DB, error) {
	if s.cfg.Engine != "" {
		return s.openSchema(ctx, storeSchema(st.GUID), storeTables(), true, func(error) {})
	}
	return s.openFiles(s.cfg.storeDir(g.GUID, st.GUID), 32<<20, 64<<20)
}

// storeSchema names the database of a store.
func storeSchema(guid model.GUID) string {
	return "store_" + strings.ReplaceAll(strings.ToLower(strings.Trim(guid.String(), "{}")), "-", "")
}

// dropStore removes the database of a store that is not open.
func (s *Server) dropStore(ctx context.Context, g org.StorageGroup, st org.Store) error {
	if s.cfg.Engine == "" {
		return os.RemoveAll(s.cfg.storeDir(g.GUID, st.GUID))
	}
	schema := schemaPrefix + storeSchema(st.GUID)
	return postgres.Drop(ctx, postgres.Options{URL: s.cfg.Engine, Schema: schema, Witness: s.cfg.witness(schema)})
}

// schemaPrefix begins the names of all databases in a PostgreSQL server.
const schemaPrefix = "rialto_"

// storeTables are the classes of a mailbox store's keys (package store, key
// spaces): what is written once and large stays out of the tables whose rows
// change.
func storeTables() []postgres.Table {
	return []postgres.Table{
		{Name: "facts"},
		{Name: "content", From: []byte{0x03}, Append: true}, // headers and small bodies
		{Name: "hashes", From: []byte{0x04}, Append: true},  // and references
		{Name: "chunks", From: []byte{0x06}, Append: true},
		{Name: "transit", From: []byte{0x07}}, // outbox, deliveries done, candidates
		{Name: "mailboxes", From: []byte{0x10}},
	}
}

// breaks tells of a database that the server cannot do without.
func (s *Server) breaks(err error) {
	select {
	case s.broken <- err:
	default: // it is known
	}
}

// openSchema opens a database in the PostgreSQL server; lost is called when it
// is poisoned. One that stays has a witness.
func (s *Server) openSchema(ctx context.Context, name string, tables []postgres.Table, stays bool, lost func(error)) (kv.DB, error) {
	witness := ""
	if stays {
		witness = s.cfg.witness(schemaPrefix + name)
		if err := os.MkdirAll(filepath.Dir(witness), 0o700); err != nil {
			return nil, model.E("server.open", model.KindOther, witness, err)
		}
	}
	var once func([]byte) bool
	if tables != nil {
		once = store.Once
	}
	db, err := postgres.Open(ctx, postgres.Options{URL: s.cfg.Engine, Schema: schemaPrefix + name, Tables: tables, Once: once, Deadline: outage, Witness: witness,
		Events: postgres.Events{
			Poisoned: func(err error) {
				s.log.Error("database failed", "schema", name, "err", err)
				lost(err)
			},
			Witness: func(err error) { s.log.Warn("database witness", "schema", name, "err", err) },
			Lost:    func(err error) { s.log.Warn("database connection lost", "schema", name, "err", err) },
			Resolved: func(happened bool) {
				s.log.Warn("database connection is back", "schema", name, "transaction happened", happened)
			},
		}})
	if errors.Is(err, kv.ErrLocked) {
		return nil, model.E("server.open", model.KindUnavailable, "another server runs on these databases", err)
	}
	if err != nil {
		return nil, model.E("server.open", model.KindUnavailable, name, err)
	}
	return db, nil
}

// openFiles opens a map below the data directory; memTable and ballast are in
// octets.
func (s *Server) openFiles(dir string, memTable int, ballast int64) (kv.DB, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, model.E("server.open", model.KindOther, dir, err)
	}
	db, err := pebble.Open(pebble.Options{Dir: dir, Shared: s.shared, MemTable: memTable, Ballast: ballast, Events: pebble.Events{
		Poisoned:        func(err error) { s.log.Error("database failed", "dir", dir, "err", err) },
		Space:           func(err error) { s.log.Warn("disk space", "dir", dir, "err", err) },
		Stall:           func(why string) { s.log.Warn("database stalls", "dir", dir, "why", why) },
		SlowSync:        func(took time.Duration) { s.log.Warn("slow sync", "dir", dir, "took", took) },
		BackgroundError: func(err error) { s.log.Error("database background error", "dir", dir, "err", err) },
	}})
	if err != nil {
		return nil, model.E("server.open", model.KindUnavailable, dir, err)
	}
	return db, nil
}
