// Package attendant does the background duties of a server, as Exchange's System
// Attendant did: it mounts the stores that the organization gives the server,
// brings back those whose engine failed, maintains them by their schedules
// (retention, quotas, clean-up), has them backed up, restored and repaired, and
// feeds their search indexes.
//
// Lock order: recovery.mu, held while a copy in the recovery storage group is
// opened, used or replaced, then Stores.mu, held for looking up and changing
// states, never while a database is opened or closed; a store being opened,
// closed or worked on is marked busy meanwhile.
package attendant

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"rialto/internal/kv"
	"rialto/internal/model"
	"rialto/internal/org"
	"rialto/internal/service"
	"rialto/internal/store"
)

// Organization is what the attendant needs to know.
type Organization interface {
	Config() *org.Config
	Watch(ctx context.Context) <-chan struct{}
}

// State is that of a store.
type State string

// The states.
const (
	Mounted    State = "mounted"
	Dismounted State = "dismounted"
	Mounting   State = "mounting"
	Failed     State = "failed" // tried again by itself
)

// Options of Stores.
type Options struct {
	Org Organization
	// OpenEngine opens the map of a store.
	OpenEngine func(ctx context.Context, g org.StorageGroup, s org.Store) (kv.DB, error)
	// Mounted is told of stores that came up; may be nil.
	Mounted func(guid model.GUID)
	// DropEngine removes the map of a store with all that it holds; may be nil.
	DropEngine func(ctx context.Context, g org.StorageGroup, s org.Store) error
	// Pause waits between two mailboxes of a maintenance; nil: by the real clock.
	Pause  func(ctx context.Context, d time.Duration) error
	Events service.Log
	Clock  model.Clock
	Files  Files
}

// Stores are the mailbox stores of a server.
type Stores struct {
	opt Options

	mu sync.Mutex
	m  map[model.GUID]*mount

	recovery recovery
}

// mount is one store.
type mount struct {
	group  org.StorageGroup
	store  org.Store
	db     *store.Database // nil unless mounted
	state  State
	err    error
	since  time.Time
	wanted bool // an administrator, or the directory, wants it mounted
	busy   bool
	moving chan struct{} // closed when a mount or dismount that runs has ended; nil: none runs
	empty  bool          // an administrator lets it begin empty though it is missing
	tended bool          // its maintenance runs
	saved  bool          // a backup of it is being written
	tries  int
	next   time.Time // when a failed one is tried again
}

// NewStores returns the stores of a server, none mounted yet.
func NewStores(opt Options) *Stores {
	if opt.Clock == nil {
		opt.Clock = time.Now
	}
	return &Stores{opt: opt, m: map[model.GUID]*mount{}}
}

// healthInterval is how often mounted stores are asked whether they are well.
const healthInterval = 2 * time.Second

// Start mounts what should be mounted and returns when each has been tried.
func (s *Stores) Start(ctx context.Context) {
	s.learn(s.opt.Org.Config())
	s.tend(ctx)
}

// Run keeps the stores as the directory wants them until ctx ends.
func (s *Stores) Run(ctx context.Context) {
	changed := s.opt.Org.Watch(ctx)
	tick := time.NewTicker(healthInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case _, ok := <-changed:
			if !ok {
				return
			}
			s.learn(s.opt.Org.Config())
		case <-tick.C:
		}
		s.checkHealth(ctx)
		s.tend(ctx)
	}
}

// learn takes over which stores there are.
func (s *Stores) learn(c *org.Config) {
	s.mu.Lock()
	defer s.mu.Unlock()
	there := map[model.GUID]bool{}
	for _, g := range c.Server.StorageGroups {
		for _, st := range g.Stores {
			if st.Public {
				continue // public folder stores come with public folders
			}
			there[st.GUID] = true
			if m := s.m[st.GUID]; m != nil {
				st.Created = st.Created || m.store.Created // the directory may be slower
				m.group, m.store = g, st
				continue
			}
			s.m[st.GUID] = &mount{group: g, store: st, state: Dismounted, wanted: st.MountAtStart, since: s.opt.Clock()}
		}
	}
	for guid, m := range s.m {
		if there[guid] {
			continue
		}
		m.wanted = false
		if m.state == Dismounted && !m.busy {
			delete(s.m, guid)
		}
	}
}

// tend mounts and dismounts until every store is as wanted, or has failed.
func (s *Stores) tend(ctx context.Context) {
	var wg sync.WaitGroup
	for _, guid := range s.due() {
		wg.Add(1)
		go func() {
			defer wg.Done()
			_ = s.bring(ctx, guid) // kept in the status and the event log
		}()
	}
	wg.Wait()
}

func (s *Stores) due() (out []model.GUID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for guid, m := range s.m {
		mounted := m.state == Mounted
		if !m.busy && m.wanted != mounted && !s.opt.Clock().Before(m.next) && (m.wanted || mounted) {
			out = append(out, guid)
		}
	}
	return out
}

// bring mounts or dismounts a store, whichever is wanted.
func (s *Stores) bring(ctx context.Context, guid model.GUID) error {
	s.mu.Lock()
	m := s.m[guid]
	if m == nil || m.busy {
		s.mu.Unlock()
		return model.E("attendant.mount", model.KindUnavailable, "store is being mounted or dismounted", nil)
	}
	m.busy, m.moving = true, make(chan struct{})
	want, db, group, st := m.wanted, m.db, m.group, m.store
	if m.empty {
		st.Created = false
	}
	if want {
		m.state = Mounting
	} else {
		m.db = nil
	}
	s.mu.Unlock()
	var err error
	if want && db == nil {
		db, err = s.open(ctx, group, st)
	} else if !want && db != nil {
		err = db.Close()
		db = nil
	}
	s.settle(ctx, m, want, db, err)
	return err
}

// maxRetry bounds the pause between tries to mount a failed store.
const maxRetry = time.Minute

// settle records how bring ended.
func (s *Stores) settle(ctx context.Context, m *mount, want bool, db *store.Database, err error) {
	s.mu.Lock()
	now := s.opt.Clock()
	m.busy, m.db, m.err, m.since = false, db, err, now
	if m.moving != nil {
		close(m.moving)
		m.moving = nil
	}
	switch {
	case want && err == nil:
		m.state, m.tries, m.next, m.empty = Mounted, 0, time.Time{}, false
	case want:
		m.state = Failed
		m.tries++
		m.next = now.Add(min(time.Second<<min(m.tries, 10), maxRetry))
	default:
		m.state, m.tries, m.next = Dismounted, 0, time.Time{}
	}
	state, name, guid := m.state, m.store.Name, m.store.GUID
	s.mu.Unlock()
	if state == Mounted && s.opt.Mounted != nil {
		s.opt.Mounted(guid)
	}
	e := service.Event{Source: service.SourceMailboxes, ID: eventMounted, Level: slog.LevelInfo, Category: "General",
		Message: "The store \"" + name + "\" is " + string(state) + "."}
	if state != Mounted {
		e.ID = eventDismounted
	}
	if err != nil {
		e.Level = slog.LevelError
		e.ID = eventMountFailed
		e.Attrs = []slog.Attr{slog.String("error", err.Error())}
	}
	if s.opt.Events != nil {
		s.opt.Events.Report(ctx, e)
	}
}

// Event numbers (MSExchangeIS Mailbox Store).
const (
	eventMounted     = 9523 // database started
	eventDismounted  = 9539 // database stopped
	eventMountFailed = 9519 // error starting database
	eventRewound     = 9534 // our own: the database came back to an earlier state
)

// checkHealth takes stores whose engine has failed out of service; tend mounts
// them afresh, which shows what the disk really holds.
func (s *Stores) checkHealth(ctx context.Context) {
	s.mu.Lock()
	up := map[*mount]*store.Database{}
	for _, m := range s.m {
		if m.db != nil && !m.busy {
			up[m] = m.db
		}
	}
	s.mu.Unlock()
	for m, db := range up {
		why := db.Healthy(ctx) // may have to read: nobody's look-up waits for that
		if !model.IsKind(why, model.KindUnavailable) || !s.takeOut(m, db) {
			continue
		}
		_ = db.Close() // why it was closed is the one to report
		s.settle(ctx, m, true, nil, why)
	}
}

// takeOut marks a store busy whose database is still db.
func (s *Stores) takeOut(m *mount, db *store.Database) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if m.busy || m.db != db {
		return false
	}
	m.busy = true
	return true
}

// Database returns a mounted store: KindUnavailable while it is not mounted,
// KindNotFound if it is no store of this server.
func (s *Stores) Database(guid model.GUID) (*store.Database, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := s.m[guid]
	if m == nil {
		return nil, model.E("attendant.store", model.KindNotFound, "store "+guid.String(), nil)
	}
	if m.db == nil || m.state != Mounted {
		return nil, model.E("attendant.store", model.KindUnavailable, m.store.Name+" is "+string(m.state), m.err)
	}
	return m.db, nil
}

// Mailbox opens a recipient's mailbox, creating it at its first use.
func (s *Stores) Mailbox(ctx context.Context, r *org.Recipient) (*store.Mailbox, error) {
	if r.MailboxGUID.IsZero() {
		return nil, model.E("attendant.mailbox", model.KindNotFound, r.Name+" has no mailbox", nil)
	}
	db, err := s.Database(r.StoreGUID)
	if err != nil {
		return nil, err
	}
	m, err := db.Mailbox(ctx, r.MailboxGUID)
	if model.IsKind(err, model.KindNotFound) {
		if m, err = db.CreateMailbox(ctx, r.MailboxGUID, r.Name); model.IsKind(err, model.KindExists) {
			m, err = db.Mailbox(ctx, r.MailboxGUID)
		}
	}
	if err == nil {
		m.SetLimits(s.limitsOf(r))
	}
	return m, err
}

// Mount mounts a store because an administrator says so.
func (s *Stores) Mount(ctx context.Context, guid model.GUID) error { return s.want(ctx, guid, true) }

// MountEmpty is Mount for a store whose database is lost: it may begin empty. One
// that is there is mounted as it is.
func (s *Stores) MountEmpty(ctx context.Context, guid model.GUID) error {
	s.mu.Lock()
	if m := s.m[guid]; m != nil {
		m.empty = true
	}
	s.mu.Unlock()
	err := s.want(ctx, guid, true)
	s.mu.Lock()
	defer s.mu.Unlock()
	if m := s.m[guid]; m != nil {
		m.empty = false
	}
	return err
}

// Dismount dismounts a store until it is mounted again, or the server restarts.
func (s *Stores) Dismount(ctx context.Context, guid model.GUID) error {
	return s.want(ctx, guid, false)
}

// want says how a store shall be, and sees to it; what is under way ends first.
func (s *Stores) want(ctx context.Context, guid model.GUID, on bool) error {
	for {
		s.mu.Lock()
		m := s.m[guid]
		if m == nil {
			s.mu.Unlock()
			return model.E("attendant.mount", model.KindNotFound, "store "+guid.String(), nil)
		}
		m.wanted, m.next = on, time.Time{}
		done := (m.state == Mounted) == on && !m.busy && m.state != Failed
		moving := m.moving
		s.mu.Unlock()
		switch {
		case done:
			return nil
		case moving == nil:
			err := s.bring(ctx, guid)
			if model.IsKind(err, model.KindUnavailable) && s.underWay(m) {
				continue // begun in between
			}
			return err
		}
		select {
		case <-moving:
		case <-ctx.Done():
			return model.E("attendant.mount", model.KindCanceled, "store "+guid.String(), ctx.Err())
		}
	}
}

func (s *Stores) underWay(m *mount) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return m.moving != nil
}

// Close dismounts everything, also what is being mounted just now. ctx bounds
// the waiting for that.
func (s *Stores) Close(ctx context.Context) {
	s.recovery.close()
	for {
		s.mu.Lock()
		busy := false
		for _, m := range s.m {
			m.wanted, m.next = false, time.Time{}
			busy = busy || m.busy
		}
		s.mu.Unlock()
		s.tend(ctx)
		if !busy {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(10 * time.Millisecond):
		}
	}
}
