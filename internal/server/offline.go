package server

import (
	"context"
	"path/filepath"
	"strings"
	"time"

	"rialto/internal/admin"
	"rialto/internal/attendant"
	"rialto/internal/kv"
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
			return s.openSchema(ctx, "recovery_"+strings.ReplaceAll(guid.String(), "-", ""), storeTables(), func(error) {})
		},
	}
}
