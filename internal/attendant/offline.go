package attendant

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"rialto/internal/kv"
	"rialto/internal/model"
	"rialto/internal/org"
	"rialto/internal/store"
	"rialto/internal/store/backup"
)

// Files says where a server keeps its databases. Without it nothing can be
// backed up or brought back.
type Files struct {
	// Dir is the directory of a store; "": it is not in files.
	Dir func(g org.StorageGroup, st org.Store) string
	// OpenDir opens the map in a directory.
	OpenDir func(dir string) (kv.DB, error)
	// RecoveryDir is the directory of a store's recovery copy; "": not in files.
	RecoveryDir func(guid model.GUID) string
	// OpenRecovery opens the map of a store's recovery copy, making it if need be.
	OpenRecovery func(ctx context.Context, guid model.GUID) (kv.DB, error)
	// Beside is for stores that are not in files.
	Beside Beside
}

// Know takes over which stores there are now, and mounts none: for work on
// databases while no server runs, and for who cannot wait until Run sees a change.
func (s *Stores) Know() { s.learn(s.opt.Org.Config()) }

// Step is told of work done and to do, and may end it with an error.
type Step = backup.Step

// Use calls fn with the database of a store: the mounted one, or, of a store
// that is dismounted, one that is open for fn alone.
func (s *Stores) Use(ctx context.Context, guid model.GUID, fn func(db *store.Database, mounted bool) error) error {
	if db, err := s.Database(guid); err == nil {
		return fn(db, true)
	} else if model.IsKind(err, model.KindNotFound) {
		return err
	}
	return s.Offline(ctx, guid, func(g org.StorageGroup, st org.Store) error {
		db, err := s.open(ctx, g, st)
		if err != nil {
			return err
		}
		return errors.Join(fn(db, false), db.Close())
	})
}

// Offline calls fn while a store is dismounted, and keeps it so meanwhile.
// KindConflict if it is mounted.
func (s *Stores) Offline(ctx context.Context, guid model.GUID, fn func(g org.StorageGroup, st org.Store) error) error {
	s.mu.Lock()
	m := s.m[guid]
	var err error
	switch {
	case m == nil:
		err = model.E("attendant.offline", model.KindNotFound, "store "+guid.String(), nil)
	case m.busy:
		err = model.E("attendant.offline", model.KindUnavailable, m.store.Name+" is being worked on", nil)
	case m.db != nil:
		err = model.E("attendant.offline", model.KindConflict, m.store.Name+" is mounted; dismount it first", nil)
	default:
		m.busy = true
	}
	s.mu.Unlock()
	if err != nil {
		return err
	}
	defer func() {
		s.mu.Lock()
		m.busy = false
		s.mu.Unlock()
	}()
	return fn(m.group, m.store)
}

// saving notes that a backup of a store is being written; false: one is already.
func (s *Stores) saving(guid model.GUID, on bool) bool {
	return s.mark(guid, on, func(m *mount) *bool { return &m.saved })
}

// Backup writes a backup of a store into a set below target. KindConflict while
// another is being written: they would work in the same directory.
func (s *Stores) Backup(ctx context.Context, guid model.GUID, target string, incremental bool, step Step) (m *backup.Manifest, err error) {
	dir, err := s.dir(guid)
	if err != nil {
		return nil, err
	}
	if !s.saving(guid, true) {
		return nil, model.E("attendant.backup", model.KindConflict, "a backup of the store is being written", nil)
	}
	defer s.saving(guid, false)
	err = s.Use(ctx, guid, func(db *store.Database, mounted bool) error {
		o := backup.Options{Target: target, Incremental: incremental, Clock: s.opt.Clock, Step: step}
		if dir != "" {
			o.Scratch = dir + ".checkpoint"
			if err := os.RemoveAll(o.Scratch); err != nil { // of a backup that was cut off
				return err
			}
		}
		m, err = backup.Write(ctx, db, o)
		return err
	})
	return m, err
}

func (s *Stores) dir(guid model.GUID) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := s.m[guid]
	if m == nil {
		return "", model.E("attendant.store", model.KindNotFound, "store "+guid.String(), nil)
	}
	if s.opt.Files.Dir == nil {
		return "", model.E("attendant.store", model.KindUnsupported, "files of "+m.store.Name, nil)
	}
	return s.opt.Files.Dir(m.group, m.store), nil
}

// Restore brings a dismounted store back from a backup of it. What it held is
// kept beside it. Its mailboxes get a new incarnation, so that nothing clients
// remember is mistaken. It returns where the former files or rows are.
func (s *Stores) Restore(ctx context.Context, m *backup.Manifest, step Step) (former string, err error) {
	dir, err := s.dir(m.GUID)
	if err != nil {
		return "", err
	}
	err = s.Offline(ctx, m.GUID, func(g org.StorageGroup, st org.Store) error {
		if dir == "" {
			former, err = s.restoreRows(ctx, m, g, st, step)
			return err
		}
		fresh := dir + ".restoring"
		if err := s.extract(ctx, m, fresh, step); err != nil {
			return err
		}
		engine, err := s.opt.Files.OpenDir(fresh)
		if err != nil {
			return err
		}
		if err := s.renew(ctx, engine, st); err != nil {
			return err
		}
		former, err = Swap(fresh, dir, s.opt.Clock())
		return err
	})
	return former, err
}

// extract puts the files of a backup into a directory; it goes on with what a
// try before left there, unless that was of another backup or was opened.
func (s *Stores) extract(ctx context.Context, m *backup.Manifest, dir string, step Step) error {
	note := dir + ".from"
	if b, err := os.ReadFile(note); err != nil || string(b) != m.Path() {
		if err := os.RemoveAll(dir); err != nil {
			return err
		}
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return err
		}
		if err := os.WriteFile(note, []byte(m.Path()), 0o600); err != nil {
			return err
		}
	}
	if err := backup.Extract(ctx, m, dir, step); err != nil {
		return err
	}
	// The note must not come back once the directory is in use.
	if err := os.Remove(note); err != nil {
		return err
	}
	d, err := os.Open(filepath.Dir(note))
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// renew gives the mailboxes of a database new incarnations and closes it.
func (s *Stores) renew(ctx context.Context, engine kv.DB, st org.Store) error {
	db, err := store.Open(ctx, engine, store.Options{GUID: st.GUID, Name: st.Name, Clock: s.opt.Clock, Rewound: s.rewound(ctx, st)})
	if err != nil {
		return errors.Join(err, engine.Close())
	}
	_, err = db.NewIncarnations(ctx)
	return errors.Join(err, db.Close())
}

// Swap puts a directory in the place of another, which is kept under a name
// with the time; it returns that, "" if there was none.
func Swap(fresh, dir string, now time.Time) (former string, err error) {
	if _, err := os.Stat(dir); err == nil {
		former = fmt.Sprintf("%s.before-%s", dir, now.UTC().Format("20060102T150405.000"))
		if err := os.Rename(dir, former); err != nil {
			return "", err
		}
	}
	if err := os.Rename(fresh, dir); err != nil {
		return former, err
	}
	d, err := os.Open(filepath.Dir(dir))
	if err != nil {
		return former, err
	}
	return former, errors.Join(d.Sync(), d.Close())
}

// recovery is the recovery storage group: copies of stores from backups, open
// for nobody but who merges mailboxes out of them.
type recovery struct {
	mu sync.Mutex // held while a copy is opened, used or replaced
	m  map[model.GUID]*store.Database
}

func (r *recovery) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for guid, db := range r.m {
		_ = db.Close() // nothing was written to it
		delete(r.m, guid)
	}
}

// RestoreRecovery brings a backup of a store into the recovery storage group,
// in place of the copy that is there.
func (s *Stores) RestoreRecovery(ctx context.Context, m *backup.Manifest, step Step) error {
	if _, err := s.dir(m.GUID); err != nil {
		return err
	}
	s.recovery.mu.Lock()
	defer s.recovery.mu.Unlock()
	if db := s.recovery.m[m.GUID]; db != nil {
		delete(s.recovery.m, m.GUID)
		if err := db.Close(); err != nil {
			return err
		}
	}
	dir := s.opt.Files.RecoveryDir(m.GUID)
	if dir == "" {
		engine, err := s.opt.Files.OpenRecovery(ctx, m.GUID)
		if err != nil {
			return err
		}
		return errors.Join(backup.Load(ctx, m, engine, step), engine.Close())
	}
	fresh := dir + ".restoring"
	if err := os.MkdirAll(filepath.Dir(dir), 0o700); err != nil {
		return err
	}
	if err := s.extract(ctx, m, fresh, step); err != nil {
		return err
	}
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	_, err := Swap(fresh, dir, s.opt.Clock())
	return err
}

// Recovery calls fn with the recovery copy of a store. KindNotFound if there is
// none.
func (s *Stores) Recovery(ctx context.Context, guid model.GUID, fn func(*store.Database) error) error {
	if _, err := s.dir(guid); err != nil {
		return err
	}
	s.recovery.mu.Lock()
	defer s.recovery.mu.Unlock()
	db := s.recovery.m[guid]
	if db == nil {
		if dir := s.opt.Files.RecoveryDir(guid); dir != "" {
			if _, err := os.Stat(dir); err != nil {
				return model.E("attendant.recovery", model.KindNotFound, "copy of the store in the recovery storage group", nil)
			}
		}
		engine, err := s.opt.Files.OpenRecovery(ctx, guid)
		if err != nil {
			return err
		}
		if db, err = store.Open(ctx, engine, store.Options{GUID: guid, Name: "Recovery Storage Group", Clock: s.opt.Clock}); err != nil {
			return errors.Join(err, engine.Close())
		}
		if s.recovery.m == nil {
			s.recovery.m = map[model.GUID]*store.Database{}
		}
		s.recovery.m[guid] = db
	}
	return fn(db)
}
