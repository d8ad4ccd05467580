package attendant

import (
	"context"
	"log/slog"
	"time"

	"rialto/internal/model"
	"rialto/internal/org"
	"rialto/internal/service"
	"rialto/internal/store"
)

// report tells of maintenance that stopped early.
func (s *Stores) report(ctx context.Context, text string, err error) {
	if err == nil || ctx.Err() != nil || s.opt.Events == nil {
		return
	}
	s.opt.Events.Report(ctx, service.Event{Source: service.SourceMailboxes, ID: eventMaintenanceFailed, Level: slog.LevelWarn,
		Category: "General", Message: text, Attrs: []slog.Attr{slog.String("error", err.Error())}})
}

const eventMaintenanceFailed = 1207

// keepHistory is how long tombstones stay in the logs. Clients that come back
// later compare, or start afresh, as their protocols say.
const keepHistory = 30 * 24 * time.Hour

// keptFrom returns the time before which deleted items go: by the mailbox's own
// retention or its store's, and not before they are in a backup where that is
// wanted.
func (s *Stores) keptFrom(st *org.Store, r *org.Recipient, backup time.Time) time.Time {
	keep, untilBackup := st.KeepItems, st.UntilBackup
	if r != nil && r.KeepItems > 0 {
		keep, untilBackup = r.KeepItems, r.UntilBackup
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

// purge drops the items of a mailbox that were deleted before a time.
func purge(ctx context.Context, m *store.Mailbox, before time.Time) (n int, err error) {
	v, err := m.View(ctx)
	if err != nil {
		return n, err
	}
	folders, err := v.Folders(ctx)
	v.Close()
	if err != nil {
		return n, err
	}
	for id, f := range folders {
		if f.Counts.Deleted == 0 {
			continue
		}
		k, err := m.Purge(ctx, id, before)
		n += k
		if err != nil && !model.IsKind(err, model.KindNotFound) {
			return n, err
		}
	}
	return n, nil
}
