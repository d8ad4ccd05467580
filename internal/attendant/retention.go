package attendant

import (
	"context"
	"time"

	"rialto/internal/model"
	"rialto/internal/org"
	"rialto/internal/store"
)

// report tells of maintenance that stopped early.
func (s *Stores) report(ctx context.Context, text string, err error) {
	if err != nil && ctx.Err() == nil {
		s.tell(ctx, eventMaintenanceFailed, text, err)
	}
}

const eventMaintenanceFailed = 1207

// keepHistory is how long tombstones stay in the logs. Clients that come back
// later compare, or start afresh, as their protocols say.
const keepHistory = 30 * 24 * time.Hour

// keptFrom returns the time before which deleted items go: by the folder's own
// retention, the mailbox's or its store's, and not before they are in a backup
// where that is wanted.
func (s *Stores) keptFrom(st *org.Store, r *org.Recipient, folder time.Duration, backup time.Time) time.Time {
	keep, untilBackup := st.KeepItems, st.UntilBackup
	if r != nil && r.KeepItems > 0 {
		keep, untilBackup = r.KeepItems, r.UntilBackup
	}
	if folder > 0 {
		keep = folder
	}
	before := s.opt.Clock().Add(-keep)
	if !untilBackup {
		return before
	}
	if backup.Before(before) {
		return backup
	}
	return before
}

// lastBackup says when the newest backup of a database ended.
func lastBackup(ctx context.Context, db *store.Database) (time.Time, error) {
	full, inc, err := db.BackedUp(ctx)
	if inc.After(full) {
		full = inc
	}
	return full, err
}

// purge drops the items of a mailbox that were deleted before a time: the
// mailbox's, or the folder's where it has its own retention. before gives the
// time for a retention; 0: the mailbox's. Items that are older than their folder
// keeps them are deleted first.
func (s *Stores) purge(ctx context.Context, m *store.Mailbox, before func(keep time.Duration) time.Time) (dropped, expired int, err error) {
	v, err := m.View(ctx)
	if err != nil {
		return 0, 0, err
	}
	folders, err := v.Retentions(ctx)
	v.Close()
	if err != nil {
		return 0, 0, err
	}
	for f, r := range folders {
		if r.Age > 0 {
			done, err := s.cleanFolder(ctx, m, f, &FolderLimit{Age: r.Age}, CleanupDelete)
			expired += done.Items
			if err != nil && !model.IsKind(err, model.KindNotFound) {
				return dropped, expired, err
			}
		}
		if f.Counts.Deleted == 0 {
			continue
		}
		n, err := m.Purge(ctx, f.ID, before(r.Recoverable))
		dropped += n
		if err != nil && !model.IsKind(err, model.KindNotFound) {
			return dropped, expired, err
		}
	}
	return dropped, expired, nil
}
