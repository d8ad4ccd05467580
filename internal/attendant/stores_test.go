package attendant

import (
	"context"
	"testing"
	"time"

	"rialto/internal/kv"
	"rialto/internal/kv/memory"
	"rialto/internal/model"
	"rialto/internal/org"
	"rialto/internal/store"
)

// fixedOrg is an organization with one store.
type fixedOrg struct {
	c  *org.Config
	ch chan struct{}
}

func (f *fixedOrg) Config() *org.Config                   { return f.c }
func (f *fixedOrg) Watch(context.Context) <-chan struct{} { return f.ch }

func setup(t *testing.T) (*Stores, *memory.DB, model.GUID) {
	guid := model.NewGUID()
	c := &org.Config{}
	c.Server.StorageGroups = []org.StorageGroup{{Name: "First Storage Group", Stores: []org.Store{
		{GUID: guid, Name: "Mailbox Store", MountAtStart: true, KeepItems: time.Hour}, {GUID: model.NewGUID(), Name: "Public", Public: true, MountAtStart: true}}}}
	engine := memory.New(memory.Options{})
	first := true
	s := NewStores(Options{Org: &fixedOrg{c, make(chan struct{})}, OpenEngine: func(context.Context, org.StorageGroup, org.Store) (kv.DB, error) {
		if first {
			first = false
			return engine, nil
		}
		db, err := engine.Reopen()
		if err == nil {
			engine = db
		}
		return db, err
	}})
	s.Start(context.Background())
	t.Cleanup(func() { s.Close(context.Background()) })
	return s, engine, guid
}

func state(s *Stores) State { return s.Status(context.Background())[0].State }

func TestMountDismount(t *testing.T) {
	ctx := context.Background()
	s, _, guid := setup(t)
	if st := s.Status(ctx); len(st) != 1 || st[0].State != Mounted {
		t.Fatalf("%+v", st)
	}
	if err := s.Dismount(ctx, guid); err != nil || state(s) != Dismounted {
		t.Fatal(err, state(s))
	}
	if _, err := s.Database(guid); !model.IsKind(err, model.KindUnavailable) {
		t.Errorf("dismounted store: %v", err)
	}
	s.tend(ctx)
	if state(s) != Dismounted {
		t.Error("it mounted itself again")
	}
	if err := s.Mount(ctx, guid); err != nil || state(s) != Mounted {
		t.Fatal(err, state(s))
	}
	if err := s.Mount(ctx, model.NewGUID()); !model.IsKind(err, model.KindNotFound) {
		t.Errorf("unknown store: %v", err)
	}
}

func TestPoisonedStoreComesBack(t *testing.T) {
	ctx := context.Background()
	s, engine, guid := setup(t)
	r := &org.Recipient{Name: "a", MailboxGUID: model.NewGUID(), StoreGUID: guid}
	if _, err := s.Mailbox(ctx, r); err != nil {
		t.Fatal(err)
	}
	engine.PowerCut()
	s.checkHealth(ctx)
	if state(s) != Failed {
		t.Fatalf("state %s", state(s))
	}
	s.mu.Lock()
	s.m[guid].next = time.Time{}
	s.mu.Unlock()
	s.tend(ctx)
	if state(s) != Mounted {
		t.Fatalf("%+v", s.Status(ctx))
	}
	db, err := s.Database(guid)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Mailbox(ctx, r.MailboxGUID); err != nil {
		t.Errorf("the mailbox is lost: %v", err)
	}
}

func TestRetention(t *testing.T) {
	ctx := context.Background()
	s, _, guid := setup(t)
	m, err := s.Mailbox(ctx, &org.Recipient{Name: "a", MailboxGUID: model.NewGUID(), StoreGUID: guid})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.Append(ctx, store.FolderInbox, &store.NewItem{}, &store.NewItem{}); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Delete(ctx, store.FolderInbox, store.UIDs(1)); err != nil {
		t.Fatal(err)
	}
	left := func() (n int) {
		v, err := m.View(ctx)
		if err != nil {
			t.Fatal(err)
		}
		defer v.Close()
		_ = v.Recoverable(ctx, store.FolderInbox, func(*store.State) bool { n++; return true })
		return n
	}
	maintain := func(want uint64) {
		t.Helper()
		if r, err := s.MaintainNow(ctx, guid, nil); err != nil || r.Items != want || r.Mailboxes != 1 || r.Ended.IsZero() {
			t.Errorf("%+v %v", r, err)
		}
	}
	maintain(0)
	if left() != 1 {
		t.Error("dropped before its time")
	}
	now := time.Now()
	s.opt.Clock = func() time.Time { return now.Add(2 * time.Hour) }
	maintain(1)
	if left() != 0 {
		t.Error("kept beyond its time")
	}
}

// slowEngine holds scans back once it is told to.
type slowEngine struct {
	*memory.DB
	gate chan struct{} // nil: no
}

func (e *slowEngine) Scan(ctx context.Context, r kv.Range) kv.Iterator {
	if e.gate != nil {
		<-e.gate
	}
	return e.DB.Scan(ctx, r)
}

// Showing the state reads from the disk; nobody's mail waits for that. Closing
// waits for what is being mounted.
func TestStatusAndCloseBesideOthers(t *testing.T) {
	ctx := context.Background()
	s, _, guid := setup(t)
	if err := s.Dismount(ctx, guid); err != nil {
		t.Fatal(err)
	}
	e := &slowEngine{DB: memory.New(memory.Options{})}
	opening := make(chan struct{})
	s.opt.OpenEngine = func(context.Context, org.StorageGroup, org.Store) (kv.DB, error) { <-opening; return e, nil }
	mounted := make(chan error)
	go func() { mounted <- s.Mount(ctx, guid) }()
	for state(s) != Mounting {
		time.Sleep(time.Millisecond)
	}
	closed := make(chan struct{})
	go func() { s.Close(ctx); close(closed) }()
	time.Sleep(20 * time.Millisecond)
	close(opening)
	<-closed
	<-mounted
	if state(s) != Dismounted || e.DB.Durable() == 0 {
		t.Fatalf("a store mounted while all were closed is %s", state(s))
	}
	e.DB = memory.New(memory.Options{})
	if err := s.Mount(ctx, guid); err != nil {
		t.Fatal(err)
	}
	e.gate = make(chan struct{})
	shown := make(chan struct{})
	go func() { s.Status(ctx); close(shown) }()
	time.Sleep(20 * time.Millisecond)
	if _, err := s.Database(guid); err != nil {
		t.Error(err)
	}
	close(e.gate)
	<-shown
}

// TestDismountWhileMounting: what an administrator wants waits for what is under
// way.
func TestDismountWhileMounting(t *testing.T) {
	ctx := t.Context()
	s, _, guid := setup(t)
	if err := s.Dismount(ctx, guid); err != nil {
		t.Fatal(err)
	}
	opening, reached := make(chan struct{}), make(chan struct{})
	s.opt.OpenEngine = func(context.Context, org.StorageGroup, org.Store) (kv.DB, error) {
		close(reached)
		<-opening
		return memory.New(memory.Options{}), nil
	}
	mounted, dismounted := make(chan error, 1), make(chan error, 1)
	go func() { mounted <- s.Mount(ctx, guid) }()
	<-reached
	gone, cancel := context.WithCancel(ctx)
	cancel()
	if err := s.Dismount(gone, guid); !model.IsKind(err, model.KindCanceled) {
		t.Errorf("who does not wait: %v", err)
	}
	go func() { dismounted <- s.Dismount(ctx, guid) }()
	close(opening)
	if err := <-mounted; err != nil {
		t.Error(err)
	}
	if err := <-dismounted; err != nil || state(s) != Dismounted {
		t.Errorf("%v, %s", err, state(s))
	}
}
