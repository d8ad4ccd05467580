package attendant

import (
	"bytes"
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"rialto/internal/kv"
	"rialto/internal/model"
	"rialto/internal/org"
	"rialto/internal/store"
)

// How often it is looked whether a store's maintenance is due: schedules are in
// quarters of an hour. Mailboxes without owners, quotas and full disks are looked
// at every hour.
const (
	maintenanceInterval = 15 * time.Minute
	hour                = time.Hour
)

// Accounts is an Organization that can tell which accounts exist no more.
// Without it their permissions stay.
type Accounts interface {
	Gone(ctx context.Context) (func(sid []byte) bool, error)
}

// Maintain does the background duties at their times until ctx ends.
func (s *Stores) Maintain(ctx context.Context) {
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() { every(ctx, maintenanceInterval, s.MaintainDue) })
	every(ctx, hour, func(ctx context.Context) {
		s.report(ctx, "Disconnected mailboxes could not all be looked after.", s.CleanMailboxes(ctx))
		_, err := s.WarnQuotas(ctx, false)
		s.report(ctx, "Owners of full mailboxes could not all be warned.", err)
		s.makeRoom(ctx)
	})
}

func every(ctx context.Context, d time.Duration, do func(context.Context)) {
	tick := time.NewTicker(d)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			do(ctx)
		}
	}
}

// MaintainDue maintains the stores whose schedule says that it is time, side by
// side, each once in a scheduled time. What the end of that interrupts goes on in
// the next.
func (s *Stores) MaintainDue(ctx context.Context) {
	var wg sync.WaitGroup
	for _, m := range s.serving() {
		since, due := m.st.MaintenanceWindow(s.opt.Clock())
		if !due || m.recovery {
			continue
		}
		wg.Go(func() {
			last, err := m.db.Maintained(ctx)
			if err == nil && !last.Ended.Before(since) {
				return
			}
			if err == nil {
				_, err = s.maintain(ctx, m, true, nil)
			}
			if !model.IsKind(err, model.KindConflict) { // an administrator's runs
				s.report(ctx, "Maintenance of \""+m.st.Name+"\" stopped early.", err)
			}
		})
	}
	wg.Wait()
}

// MaintainNow maintains a mounted store, whatever its schedule says, and returns
// what was done. KindUnavailable if it is not mounted, KindConflict if it is being
// maintained.
func (s *Stores) MaintainNow(ctx context.Context, guid model.GUID, step Step) (store.Maintenance, error) {
	if _, err := s.Database(guid); err != nil {
		return store.Maintenance{}, err
	}
	for _, m := range s.serving() {
		if m.st.GUID == guid {
			return s.maintain(ctx, m, false, step)
		}
	}
	return store.Maintenance{}, model.E("attendant.maintain", model.KindUnavailable, "store "+guid.String()+" is not mounted", nil)
}

// begin notes that the maintenance of a store runs; false: it does already.
func (s *Stores) begin(guid model.GUID, on bool) bool {
	return s.mark(guid, on, func(m *mount) *bool { return &m.tended })
}

// mark sets what is noted of a store; false: it was so already, or there is no
// such store.
func (s *Stores) mark(guid model.GUID, on bool, of func(*mount) *bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := s.m[guid]
	if m == nil || *of(m) == on {
		return false
	}
	*of(m) = on
	return true
}

// maintenance is one run over one store.
type maintenance struct {
	s         *Stores
	mounted        // what is maintained
	scheduled bool // it ends with the scheduled time
	by        map[model.GUID]*org.Recipient
	gone      func(sid []byte) bool // nil: not known
	backup    time.Time
	done      store.Maintenance
	first     error // of a mailbox; one is no reason to keep the others' rubbish
}

func (s *Stores) maintain(ctx context.Context, m mounted, scheduled bool, step Step) (store.Maintenance, error) {
	if !s.begin(m.st.GUID, true) {
		return store.Maintenance{}, model.E("attendant.maintain", model.KindConflict, m.st.Name+" is being maintained", nil)
	}
	defer s.begin(m.st.GUID, false)
	r := &maintenance{s: s, mounted: m, scheduled: scheduled}
	err := r.prepare(ctx)
	if err == nil {
		err = r.run(ctx, step)
	}
	return r.done, err
}

// prepare asks what there is to know beforehand, and where the last run got to.
func (r *maintenance) prepare(ctx context.Context) (err error) {
	if r.by, _, err = r.s.owners(ctx); err != nil {
		return err // somebody's own retention may be longer than the store's
	}
	if a, ok := r.s.opt.Org.(Accounts); ok {
		if r.gone, err = a.Gone(ctx); err != nil {
			r.gone = nil // nobody's permissions are dropped on a guess
		}
	}
	if r.backup, err = lastBackup(ctx, r.db); err != nil {
		return err
	}
	if r.done, err = r.db.Maintained(ctx); err != nil {
		return err
	}
	if !r.done.Ended.IsZero() || r.done.Began.IsZero() {
		r.done = store.Maintenance{Began: r.s.opt.Clock()}
	}
	return nil
}

// over reports whether the scheduled time has ended.
func (r *maintenance) over() bool {
	_, in := r.st.MaintenanceWindow(r.s.opt.Clock())
	return r.scheduled && !in
}

func (r *maintenance) run(ctx context.Context, step Step) error {
	n, err := r.db.FinishMoves(ctx)
	r.done.Moves += uint64(n)
	if err != nil {
		r.first = err
	}
	boxes, err := r.db.Mailboxes(ctx)
	if err != nil {
		return err
	}
	slices.SortFunc(boxes, func(a, b store.Header) int { return bytes.Compare(a.GUID[:], b.GUID[:]) })
	for i, h := range boxes {
		if bytes.Compare(h.GUID[:], r.done.After[:]) <= 0 {
			continue // done before the interruption
		}
		if r.over() {
			return r.db.MarkMaintenance(ctx, r.done)
		}
		if err := r.mailbox(ctx, h.GUID, step, int64(i+1), int64(len(boxes))); err != nil {
			return err
		}
	}
	c, err := r.db.Collect(ctx)
	r.done.Contents += uint64(c.Removed)
	r.done.Octets += uint64(c.Freed)
	if err == nil {
		r.done.Ended, r.done.After = r.s.opt.Clock(), model.GUID{}
	}
	return cmp.Or(r.first, err, r.db.MarkMaintenance(ctx, r.done))
}

// mailbox maintains one, notes that, and leaves the store to others for a while.
// Its error ends the run.
func (r *maintenance) mailbox(ctx context.Context, guid model.GUID, step Step, i, of int64) error {
	began := time.Now()
	err := r.tidy(ctx, guid)
	switch {
	case model.IsKind(err, model.KindUnavailable), ctx.Err() != nil:
		return cmp.Or(err, ctx.Err())
	case err != nil && !model.IsKind(err, model.KindNotFound) && r.first == nil:
		r.first = err
	}
	r.done.After = guid
	r.done.Mailboxes++
	if err := r.db.MarkMaintenance(ctx, r.done); err != nil {
		return err
	}
	if step != nil {
		if err := step(ctx, i, of); err != nil {
			return err
		}
	}
	return r.rest(ctx, time.Since(began))
}

func (r *maintenance) tidy(ctx context.Context, guid model.GUID) error {
	m, err := r.db.Mailbox(ctx, guid)
	if err != nil {
		return err
	}
	n, expired, err := r.s.purge(ctx, m, func(keep time.Duration) time.Time {
		return r.s.keptFrom(&r.st, r.by[guid], keep, r.backup)
	})
	r.done.Items += uint64(n)
	r.done.Expired += uint64(expired)
	if err != nil {
		return err
	}
	n, err = m.Horizon(ctx, keepHistory)
	r.done.Changes += uint64(n)
	if err != nil || r.gone == nil {
		return err
	}
	n, err = m.DropAccounts(ctx, r.gone)
	r.done.Accounts += uint64(n)
	return err
}

// The pause after a mailbox is as long as that took, within bounds. While the
// store commits more than a quiet one does, it is repeated, for some seconds at
// most: a store that is never quiet needs maintenance most.
const (
	minPause    = 5 * time.Millisecond
	maxPause    = time.Second
	yieldPause  = 100 * time.Millisecond
	quiet       = 200 // commits a second
	mostYielded = 20
)

func (r *maintenance) rest(ctx context.Context, took time.Duration) error {
	d := min(max(took, minPause), maxPause)
	for range mostYielded {
		me, ok := r.db.Engine().(kv.Metered)
		var before uint64
		if ok {
			before = me.Metrics().Commits
		}
		if err := r.s.pause(ctx, d); err != nil {
			return err
		}
		if !ok || float64(me.Metrics().Commits-before) <= quiet*d.Seconds()+1 {
			return nil
		}
		d = yieldPause
	}
	return nil
}

func (s *Stores) pause(ctx context.Context, d time.Duration) error {
	if s.opt.Pause != nil {
		return s.opt.Pause(ctx, d)
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// scarce is the part of what a database has and could have, one in so many, below
// which free space is short.
const scarce = 10

// makeRoom collects unused content of stores whose disk is short of space, for
// which the night is too far away.
func (s *Stores) makeRoom(ctx context.Context) {
	for _, m := range s.serving() {
		sp, ok := m.db.Engine().(kv.Spacer)
		if !ok {
			continue
		}
		free, used, err := sp.Space()
		if err != nil || free >= (free+used)/scarce || !s.begin(m.st.GUID, true) {
			continue
		}
		_, err = m.db.Collect(ctx)
		s.begin(m.st.GUID, false)
		s.report(ctx, "Unused content of \""+m.st.Name+"\" could not all be dropped.", err)
	}
}
