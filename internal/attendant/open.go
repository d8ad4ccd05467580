package attendant

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"

	"rialto/internal/kv"
	"rialto/internal/model"
	"rialto/internal/org"
	"rialto/internal/service"
	"rialto/internal/store"
)

// Creator is an Organization that keeps in mind which databases have been made.
// That is in the directory (msExchDatabaseCreated), not beside the database: it
// has to outlive the disk that the database was on. Without it no database is
// missed.
type Creator interface {
	StoreCreated(ctx context.Context, store model.GUID) error
}

// open opens a store's database. One that has been there and is missing is not
// made anew: mail would be delivered into it while the lost one is looked for.
func (s *Stores) open(ctx context.Context, g org.StorageGroup, st org.Store) (*store.Database, error) {
	if st.Created && s.opt.Files.Dir != nil {
		// Looked at first, or an engine would be made where a disk is not mounted.
		if dir := s.opt.Files.Dir(g, st); dir != "" {
			if _, err := os.Stat(dir); errors.Is(err, os.ErrNotExist) {
				return nil, missing(st, err)
			}
		}
	}
	engine, err := s.opt.OpenEngine(ctx, g, st)
	if err != nil {
		return nil, err
	}
	if st.Created {
		err = present(ctx, engine, st)
	}
	var db *store.Database
	if err == nil {
		db, err = store.Open(ctx, engine, store.Options{GUID: st.GUID, Name: st.Name, Clock: s.opt.Clock, Rewound: s.rewound(ctx, st)})
	}
	if err != nil {
		_ = engine.Close() // the first error is the one to report
		return nil, err
	}
	s.created(ctx, st)
	return db, nil
}

// present refuses a map without a row.
func present(ctx context.Context, engine kv.DB, st org.Store) error {
	it := engine.Scan(ctx, kv.Range{Limit: 1})
	some := it.Next()
	if err := it.Close(); err != nil {
		return err
	}
	if !some {
		return missing(st, nil)
	}
	return nil
}

func missing(st org.Store, cause error) error {
	return model.E("attendant.mount", model.KindConflict, "the database of \""+st.Name+
		"\" is missing; bring it back with \"rialto restore\", or begin an empty one with \"rialto store mount --create-empty\"", cause)
}

// created notes that a database has been made, if the directory does not say so.
func (s *Stores) created(ctx context.Context, st org.Store) {
	c, ok := s.opt.Org.(Creator)
	if !ok {
		return
	}
	s.mu.Lock()
	m := s.m[st.GUID]
	known := m == nil || m.store.Created
	if m != nil {
		m.store.Created = true
	}
	s.mu.Unlock()
	if known {
		return
	}
	// What fails is tried again when the server starts the next time.
	if err := c.StoreCreated(ctx, st.GUID); err != nil && s.opt.Events != nil {
		s.opt.Events.Report(ctx, service.Event{Source: service.SourceMailboxes, ID: eventMaintenanceFailed, Level: slog.LevelWarn, Category: "General",
			Message: "It could not be noted that the store \"" + st.Name + "\" has been made.", Attrs: []slog.Attr{slog.String("error", err.Error())}})
	}
}

// rewound reports a store that came back to an earlier state.
func (s *Stores) rewound(ctx context.Context, st org.Store) func(kv.Rewind, int) {
	if s.opt.Events == nil {
		return nil
	}
	return func(r kv.Rewind, boxes int) {
		what := "may have come back"
		if r.Certain {
			what = "has come back"
		}
		s.opt.Events.Report(ctx, service.Event{Source: service.SourceMailboxes, ID: eventRewound, Level: slog.LevelWarn, Category: "General",
			Message: fmt.Sprintf("The store \"%s\" %s to an earlier state: %s. All of its %d mailboxes got a new identity: mail programs and devices "+
				"synchronize them once more, IMAP programs download them again, and what arrived or changed after that state is gone.", st.Name, what, r.Why, boxes),
			Attrs: []slog.Attr{slog.Bool("certain", r.Certain), slog.Time("found", r.Found), slog.Int("mailboxes", boxes)}})
	}
}

// Drop removes the database of a dismounted store for good.
func (s *Stores) Drop(ctx context.Context, guid model.GUID) error {
	return s.Offline(ctx, guid, func(g org.StorageGroup, st org.Store) error {
		if s.opt.DropEngine == nil {
			return model.E("attendant.drop", model.KindUnsupported, "files of "+st.Name, nil)
		}
		return s.opt.DropEngine(ctx, g, st)
	})
}

// Where says which directory a store's database is in; "": in none.
func (s *Stores) Where(guid model.GUID) string {
	dir, err := s.dir(guid)
	if err != nil {
		return ""
	}
	return dir
}
