package server

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"time"

	"rialto/internal/admin"
	"rialto/internal/attendant"
	"rialto/internal/kv"
	"rialto/internal/kv/postgres"
	"rialto/internal/model"
	"rialto/internal/org"
)

// Offline brings up what the administration of dismounted databases needs, and
// nothing else: the organization and the list of stores. No store is mounted and
// nobody is listened to.
func (s *Server) Offline(ctx context.Context) error {
	var err error
	if s.org, err = org.Open(ctx, s.directory, s.cfg.Server, org.Options{}); err != nil {
		return s.abandon(ctx, err)
	}
	s.stores = attendant.NewStores(attendant.Options{Org: s.org, Events: s.events, OpenEngine: s.openStore, DropEngine: s.dropStore, Files: s.storeFiles()})
	s.stores.Know()
	s.admin = &admin.Admin{Org: s.org, Directory: s.directory, Stores: s.stores, Events: s.events, Version: Version, Started: time.Now()}
	return nil
}

// storeFiles says where the databases of stores are.
func (s *Server) storeFiles() attendant.Files {
	inFiles := s.cfg.Engine == ""
	recovery := func(guid model.GUID) string {
		if !inFiles {
			return ""
		}
		return filepath.Join(s.cfg.DataDir, "recovery", guid.String())
	}
	return attendant.Files{
		Dir: func(g org.StorageGroup, st org.Store) string {
			if !inFiles {
				return ""
			}
			return s.cfg.storeDir(g.GUID, st.GUID)
		},
		OpenDir:     func(dir string) (kv.DB, error) { return s.openFiles(dir, 32<<20, -1) },
		RecoveryDir: recovery,
		OpenRecovery: func(ctx context.Context, guid model.GUID) (kv.DB, error) {
			if inFiles {
				return s.openFiles(recovery(guid), 16<<20, -1)
			}
			return s.openSchema(ctx, "recovery_"+strings.ReplaceAll(guid.String(), "-", ""), storeTables(), false, func(error) {})
		},
		Beside: s.beside(),
	}
}

// beside replaces stores in the PostgreSQL server: the new database is a schema
// of its own until it takes the name of the old one.
func (s *Server) beside() attendant.Beside {
	const suffix = "_new"
	options := func(st org.Store) postgres.Options {
		schema := schemaPrefix + storeSchema(st.GUID)
		return postgres.Options{URL: s.cfg.Engine, Schema: schema, Witness: s.cfg.witness(schema)}
	}
	named := func(st org.Store, err error) error {
		if errors.Is(err, kv.ErrLocked) {
			return model.E("server.replace", model.KindUnavailable, "another server runs on "+st.Name, err)
		}
		return err
	}
	return attendant.Beside{
		Open: func(ctx context.Context, _ org.StorageGroup, st org.Store) (kv.DB, error) {
			o := options(st)
			o.Schema, o.Witness = o.Schema+suffix, ""
			if err := postgres.Drop(ctx, o); err != nil {
				return nil, named(st, err)
			}
			return s.openSchema(ctx, storeSchema(st.GUID)+suffix, storeTables(), false, func(error) {})
		},
		Salvage: func(ctx context.Context, _ org.StorageGroup, st org.Store, put func(k, v []byte) error) ([]string, error) {
			found, err := postgres.Salvage(ctx, options(st), put)
			return found.Damage, named(st, err)
		},
		Swap: func(ctx context.Context, _ org.StorageGroup, st org.Store, now time.Time) (string, error) {
			former, err := postgres.Swap(ctx, options(st), schemaPrefix+storeSchema(st.GUID)+suffix, now)
			if former != "" {
				former = "schema " + former
			}
			return former, named(st, err)
		},
	}
}
