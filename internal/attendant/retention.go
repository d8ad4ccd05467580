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
		}
	}
}

// ApplyRetention drops recoverable items older than their store keeps them, and
// content that nothing refers to. It may be stopped and run again.
func (s *Stores) ApplyRetention(ctx context.Context) {
	s.mu.Lock()
	type job struct {
		db *store.Database
		st org.Store
	}
	var jobs []job
	for _, m := range s.m {
		if m.db != nil && m.state == Mounted {
			jobs = append(jobs, job{m.db, m.store})
		}
	}
	s.mu.Unlock()
	for _, j := range jobs {
		if err := s.retain(ctx, j.db, j.st); err != nil && ctx.Err() == nil && s.opt.Events != nil {
			s.opt.Events.Report(ctx, service.Event{Source: service.SourceMailboxes, ID: eventMaintenanceFailed, Level: slog.LevelWarn,
				Category: "General", Message: "Maintenance of \"" + j.st.Name + "\" stopped early.", Attrs: []slog.Attr{slog.String("error", err.Error())}})
		}
	}
}

const eventMaintenanceFailed = 1207

func (s *Stores) retain(ctx context.Context, db *store.Database, st org.Store) error {
	boxes, err := db.Mailboxes(ctx)
	if err != nil {
		return err
	}
	before := s.opt.Clock().Add(-st.KeepItems)
	var first error
	for _, h := range boxes {
		m, err := db.Mailbox(ctx, h.GUID)
		if err == nil {
			err = purge(ctx, m, before)
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
