package attendant

import (
	"context"
	"errors"
	"os"

	"rialto/internal/kv"
	"rialto/internal/kv/pebble"
	"rialto/internal/model"
	"rialto/internal/org"
	"rialto/internal/store"
)

// RepairReport is what a repair did.
type RepairReport struct {
	store.Repaired
	Rows    int      `json:"rows"`
	Damage  []string `json:"damage"`  // of the files
	Guessed bool     `json:"guessed"` // rows deleted long ago may be back
	Former  string   `json:"former"`  // where the damaged files or rows are
}

// Repair makes a dismounted store whole. What can be read is copied to a new
// directory, or schema, and put in order there, which then takes the place of the
// damaged one; that is kept.
func (s *Stores) Repair(ctx context.Context, guid model.GUID, step Step) (*RepairReport, error) {
	dir, err := s.dir(guid)
	if err != nil {
		return nil, err
	}
	if dir == "" {
		return s.repairRows(ctx, guid, step)
	}
	out := &RepairReport{}
	err = s.Offline(ctx, guid, func(_ org.StorageGroup, st org.Store) error {
		fresh, scratch := dir+".repairing", dir+".salvage"
		if err := errors.Join(os.RemoveAll(fresh), os.RemoveAll(scratch)); err != nil {
			return err
		}
		defer os.RemoveAll(scratch)
		if err := pebble.CopySegments(ctx, nil, dir, fresh); err != nil {
			return err
		}
		engine, err := s.opt.Files.OpenDir(fresh)
		if err != nil {
			return err
		}
		if err := s.salvage(ctx, engine, dir, scratch, out, step); err != nil {
			return errors.Join(err, engine.Close())
		}
		rep, err := store.Repair(ctx, engine, store.Options{GUID: guid, Name: st.Name, Clock: s.opt.Clock})
		if err = errors.Join(err, engine.Close()); err != nil {
			return err
		}
		out.Repaired = *rep
		out.Former, err = Swap(fresh, dir, s.opt.Clock())
		return err
	})
	return out, err
}

// salvage copies the rows that can be read.
func (s *Stores) salvage(ctx context.Context, to kv.DB, dir, scratch string, out *RepairReport, step Step) error {
	return copyRows(ctx, to, out, step, func(put func(k, v []byte) error) error {
		found, err := pebble.Salvage(ctx, pebble.Options{Dir: dir}, scratch, put)
		if err == nil {
			out.Damage, out.Guessed = found.Damage, found.Guessed
		}
		return err
	})
}

// copyRows writes what read puts into a database, and counts it.
func copyRows(ctx context.Context, to kv.DB, out *RepairReport, step Step, read func(put func(k, v []byte) error) error) error {
	b := to.NewBatch()
	defer func() { b.Close() }()
	err := read(func(k, v []byte) error {
		if b.Size()+len(k)+len(v) > kv.MaxBatch/2 {
			if _, err := to.Commit(ctx, b); err != nil {
				return err
			}
			b = to.NewBatch()
		}
		b.Set(k, v)
		if out.Rows++; step == nil || out.Rows%4096 != 0 {
			return nil
		}
		return step(ctx, int64(out.Rows), 0)
	})
	if err != nil {
		return err
	}
	err = kv.CommitDurable(ctx, to, b)
	b = to.NewBatch()
	return err
}
