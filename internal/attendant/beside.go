package attendant

import (
	"context"
	"errors"
	"time"

	"rialto/internal/kv"
	"rialto/internal/model"
	"rialto/internal/org"
	"rialto/internal/store"
	"rialto/internal/store/backup"
)

// Beside is how a dismounted store that is not in files is replaced: its new
// database is made beside the old one and then takes its place at once.
type Beside struct {
	// Open makes an empty database beside that of a store, in place of what an
	// earlier try has left there.
	Open func(ctx context.Context, g org.StorageGroup, st org.Store) (kv.DB, error)
	// Salvage calls put for every row of a store's database that can be read, and
	// names what cannot.
	Salvage func(ctx context.Context, g org.StorageGroup, st org.Store, put func(k, v []byte) error) (damage []string, err error)
	// Swap puts the database beside a store's, which is closed, in its place. It
	// returns where the former one is kept, "" if there was none.
	Swap func(ctx context.Context, g org.StorageGroup, st org.Store, now time.Time) (former string, err error)
}

// replace makes a database beside that of a store with fill, which closes it,
// and puts it in its place.
func (s *Stores) replace(ctx context.Context, g org.StorageGroup, st org.Store, fill func(engine kv.DB) error) (former string, err error) {
	b := s.opt.Files.Beside
	if b.Open == nil {
		return "", model.E("attendant.replace", model.KindUnsupported, "a new database for "+st.Name, nil)
	}
	engine, err := b.Open(ctx, g, st)
	if err != nil {
		return "", err
	}
	if err := fill(engine); err != nil {
		return "", err
	}
	return b.Swap(ctx, g, st, s.opt.Clock())
}

// restoreRows brings a store back from a backup of rows.
func (s *Stores) restoreRows(ctx context.Context, m *backup.Manifest, g org.StorageGroup, st org.Store, step Step) (former string, err error) {
	return s.replace(ctx, g, st, func(engine kv.DB) error {
		if err := backup.Load(ctx, m, engine, step); err != nil {
			return errors.Join(err, engine.Close())
		}
		return s.renew(ctx, engine, st)
	})
}

// repairRows is Repair of a store that is not in files.
func (s *Stores) repairRows(ctx context.Context, guid model.GUID, step Step) (*RepairReport, error) {
	out := &RepairReport{}
	err := s.Offline(ctx, guid, func(g org.StorageGroup, st org.Store) (err error) {
		out.Former, err = s.replace(ctx, g, st, func(engine kv.DB) error {
			err := copyRows(ctx, engine, out, step, func(put func(k, v []byte) error) (err error) {
				out.Damage, err = s.opt.Files.Beside.Salvage(ctx, g, st, put)
				return err
			})
			if err == nil {
				var rep *store.Repaired
				if rep, err = store.Repair(ctx, engine, store.Options{GUID: guid, Name: st.Name, Clock: s.opt.Clock}); err == nil {
					out.Repaired = *rep
				}
			}
			return errors.Join(err, engine.Close())
		})
		return err
	})
	return out, err
}
