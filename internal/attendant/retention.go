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

// retentionInterval is how often retention is applied. Each run is small: it
// drops what became due since the last.
const retentionInterval = time.Hour

// Maintain applies the retention of recoverable items and collects unused
// content until ctx ends.
func (s *Stores) Maintain(ctx context.Context) {
	tick := time.NewTicker(retentionInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			s.ApplyRetention(ctx)
			s.report(ctx, "Disconnected mailboxes could not all be looked after.", s.CleanMailboxes(ctx))
			_, err := s.WarnQuotas(ctx, false)
			s.report(ctx, "Owners of full mailboxes could not all be warned.", err)
		}
	}
}

// report tells of maintenance that stopped early.
func (s *Stores) report(ctx context.Context, text string, err error) {
	if err == nil || ctx.Err() != nil || s.opt.Events == nil {
		return
	}
	s.opt.Events.Report(ctx, service.Event{Source: service.SourceMailboxes, ID: eventMaintenanceFailed, Level: slog.LevelWarn,
		Category: "General", Message: text, Attrs: []slog.Attr{slog.String("error", err.Error())}})
}

// ApplyRetention drops recoverable items older than their store keeps them, and
// content that nothing refers to. It may be stopped and run again.
func (s *Stores) ApplyRetention(ctx context.Context) {
	by, _, err := s.owners(ctx)
	if err != nil { // somebody's own retention may be longer than the store's
		s.report(ctx, "The retention of deleted items was not applied.", err)
		return
	}
	for _, m := range s.serving() {
		s.report(ctx, "Maintenance of \""+m.st.Name+"\" stopped early.", s.retain(ctx, m.db, m.st, by))
	}
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

func (s *Stores) retain(ctx context.Context, db *store.Database, st org.Store, by map[model.GUID]*org.Recipient) error {
	boxes, err := db.Mailboxes(ctx)
	if err != nil {
		return err
	}
	full, inc, err := db.BackedUp(ctx)
	if err != nil {
		return err
	}
	backup := full
	if inc.After(full) {
		backup = inc
	}
	var first error
	for _, h := range boxes {
		m, err := db.Mailbox(ctx, h.GUID)
		if err == nil {
			err = purge(ctx, m, s.keptFrom(&st, by[h.GUID], backup))
		}
		if err == nil {
			_, err = m.Horizon(ctx, keepHistory)
		}
		switch {
		case model.IsKind(err, model.KindUnavailable), ctx.Err() != nil:
			return err
		case err != nil && !model.IsKind(err, model.KindNotFound) && first == nil:
			first = err // one bad mailbox is no reason to keep the others' rubbish
		}
	}
	if _, err := db.Collect(ctx); err != nil && first == nil {
		first = err
	}
	return first
}

func purge(ctx context.Context, m *store.Mailbox, before time.Time) error {
	v, err := m.View(ctx)
	if err != nil {
		return err
	}
	folders, err := v.Folders(ctx)
	v.Close()
	if err != nil {
		return err
	}
	for id, f := range folders {
		if f.Counts.Deleted == 0 {
			continue
		}
		if _, err := m.Purge(ctx, id, before); err != nil && !model.IsKind(err, model.KindNotFound) {
			return err
		}
	}
	return nil
}
