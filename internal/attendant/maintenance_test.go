package attendant

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"rialto/internal/kv"
	"rialto/internal/kv/memory"
	"rialto/internal/model"
	"rialto/internal/org"
	"rialto/internal/store"
)

// accountable is an organization that knows who is gone.
type accountable struct {
	*peopled
	gone func([]byte) bool
	err  error
}

func (a *accountable) Gone(context.Context) (func([]byte) bool, error) { return a.gone, a.err }

// last is what is kept of the last maintenance.
func last(t *testing.T, m *store.Mailbox) store.Maintenance {
	t.Helper()
	r, err := m.Database().Maintained(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestMaintainDue: once a night, at night; what the morning interrupts goes on
// in the next night where it was.
func TestMaintainDue(t *testing.T) {
	s, p, m, now := office(t)
	ctx := t.Context()
	for range 2 {
		r := &org.Recipient{Name: "x", MailboxGUID: model.NewGUID(), StoreGUID: p.list[0].StoreGUID}
		p.list = append(p.list, r)
		if _, err := s.Mailbox(ctx, r); err != nil {
			t.Fatal(err)
		}
	}
	paused := 0
	var step time.Duration
	s.opt.Pause = func(context.Context, time.Duration) error { paused++; *now = now.Add(step); return nil }
	for i, c := range []struct {
		at         string
		step       time.Duration
		boxes      uint64 // of the run that is kept then
		done, runs bool
	}{
		{"22 00:59", 0, 0, false, false},
		{"22 01:00", 0, 3, true, true},
		{"22 03:00", 0, 3, true, false},
		{"22 05:00", 0, 3, true, false},
		{"23 04:30", 20 * time.Minute, 2, false, true}, // 04:50 and 05:10
		{"23 06:00", 0, 2, false, false},
		{"24 02:00", 0, 3, true, true},
	} {
		at, err := time.Parse("2006-01-02 15:04", "2026-11-"+c.at)
		if err != nil {
			t.Fatal(err)
		}
		*now, paused, step = at, 0, c.step
		s.MaintainDue(ctx)
		r := last(t, m)
		if r.Mailboxes != c.boxes || r.Ended.IsZero() == c.done || (paused > 0) != c.runs {
			t.Errorf("%d: %d pauses, %+v", i, paused, r)
		}
	}
	if st := s.Status(ctx)[0].Maintenance; st == nil || st.Mailboxes != 3 {
		t.Errorf("status %+v", st)
	}
}

// TestMaintainNow: it may be cancelled and goes on; only one runs at a time.
func TestMaintainNow(t *testing.T) {
	s, p, m, _ := office(t)
	guid := p.list[0].StoreGUID
	ctx, cancel := context.WithCancel(t.Context())
	stop := func(ctx context.Context, done, total int64) error {
		if done != 1 || total != 1 {
			t.Errorf("%d of %d", done, total)
		}
		if _, err := s.MaintainNow(ctx, guid, nil); !model.IsKind(err, model.KindConflict) {
			t.Errorf("twice at a time: %v", err)
		}
		cancel()
		return ctx.Err()
	}
	if _, err := s.MaintainNow(ctx, guid, stop); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if r := last(t, m); !r.Ended.IsZero() || r.After != m.GUID() {
		t.Errorf("%+v", r)
	}
	if r, err := s.MaintainNow(t.Context(), guid, nil); err != nil || r.Ended.IsZero() || r.Mailboxes != 1 {
		t.Errorf("%+v %v", r, err)
	}
	if _, err := s.MaintainNow(t.Context(), model.NewGUID(), nil); !model.IsKind(err, model.KindNotFound) {
		t.Errorf("no store: %v", err)
	}
}

// TestDropAccounts: permissions of who is gone go; none if that is not known.
func TestDropAccounts(t *testing.T) {
	s, p, m, _ := office(t)
	gone := []byte("gone")
	a := &accountable{p, func(sid []byte) bool { return string(sid) == string(gone) }, errors.New("away")}
	s.opt.Org = a
	perms, err := m.Permissions(store.FolderInbox)
	if err != nil {
		t.Fatal(err)
	}
	perms = append(perms, store.Permission{SID: gone, Name: "g", Rights: 1}, store.Permission{SID: []byte("here"), Name: "h", Rights: 1})
	if err := m.SetPermissions(t.Context(), store.FolderInbox, perms); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		err  error
		want uint64
	}{{errors.New("away"), 0}, {nil, 1}, {nil, 0}} {
		a.err = c.err
		if r, err := s.MaintainNow(t.Context(), p.list[0].StoreGUID, nil); err != nil || r.Accounts != c.want {
			t.Errorf("%v: %+v %v", c.err, r, err)
		}
	}
	if left, err := m.Permissions(store.FolderInbox); err != nil || len(left) != len(perms)-1 {
		t.Errorf("%+v %v", left, err)
	}
}

// busyEngine always commits.
type busyEngine struct {
	*memory.DB
	commits atomic.Uint64
}

func (b *busyEngine) Metrics() kv.Metrics { return kv.Metrics{Commits: b.commits.Add(1000)} }

// TestMaintenanceYields: it waits longer for a busy store, but not for ever.
func TestMaintenanceYields(t *testing.T) {
	s, p, _, _ := office(t)
	guid := p.list[0].StoreGUID
	for _, c := range []struct {
		engine kv.DB
		want   int
	}{{memory.New(memory.Options{}), 1}, {&busyEngine{DB: memory.New(memory.Options{})}, mostYielded}} {
		if err := s.Dismount(t.Context(), guid); err != nil {
			t.Fatal(err)
		}
		s.opt.OpenEngine = func(context.Context, org.StorageGroup, org.Store) (kv.DB, error) { return c.engine, nil }
		if err := s.MountEmpty(t.Context(), guid); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Mailbox(t.Context(), p.list[0]); err != nil {
			t.Fatal(err)
		}
		paused := 0
		s.opt.Pause = func(context.Context, time.Duration) error { paused++; return nil }
		if _, err := s.MaintainNow(t.Context(), guid, nil); err != nil || paused != c.want {
			t.Errorf("%d pauses, not %d: %v", paused, c.want, err)
		}
	}
}

// noting is an organization that keeps what has been made.
type noting struct {
	*fixedOrg
	made []model.GUID
}

func (n *noting) StoreCreated(_ context.Context, g model.GUID) error {
	n.made = append(n.made, g)
	return nil
}

// TestMissingDatabase: one that was there is not begun anew unless that is asked
// for, whether its directory is gone or its rows are.
func TestMissingDatabase(t *testing.T) {
	s, _, guid := setup(t)
	ctx := t.Context()
	n := &noting{fixedOrg: s.opt.Org.(*fixedOrg)}
	s.opt.Org = n
	s.m[guid].store.Created = false
	dir := filepath.Join(t.TempDir(), "store")
	s.opt.Files.Dir = func(org.StorageGroup, org.Store) string { return dir }
	opened := 0
	s.opt.OpenEngine = func(context.Context, org.StorageGroup, org.Store) (kv.DB, error) {
		opened++
		return memory.New(memory.Options{}), os.MkdirAll(dir, 0o700)
	}
	again := func(how func(context.Context, model.GUID) error) error {
		t.Helper()
		if err := s.Dismount(ctx, guid); err != nil {
			t.Fatal(err)
		}
		return how(ctx, guid)
	}
	if err := again(s.Mount); err != nil || len(n.made) != 1 || n.made[0] != guid {
		t.Fatalf("the first time: %v, noted %v", err, n.made)
	}
	s.learn(n.c) // the directory is slower
	for _, gone := range []bool{false, true} {
		if gone {
			if err := os.RemoveAll(dir); err != nil {
				t.Fatal(err)
			}
		}
		opened = 0
		err := again(s.Mount)
		if !model.IsKind(err, model.KindConflict) || !strings.Contains(err.Error(), "rialto restore") || !strings.Contains(err.Error(), "--create-empty") {
			t.Errorf("missing: %v", err)
		}
		if _, err := os.Stat(dir); gone && err == nil || (opened == 0) != gone {
			t.Errorf("something was made where the files were: %v", err)
		}
		if state(s) != Failed {
			t.Errorf("state %s", state(s))
		}
		if err := again(s.MountEmpty); err != nil || state(s) != Mounted {
			t.Errorf("begun anew: %v", err)
		}
	}
	if len(n.made) != 1 {
		t.Errorf("noted %v", n.made)
	}
}

func TestDrop(t *testing.T) {
	s, _, guid := setup(t)
	if err := s.Drop(t.Context(), guid); !model.IsKind(err, model.KindConflict) {
		t.Errorf("a mounted store: %v", err)
	}
	if err := s.Dismount(t.Context(), guid); err != nil {
		t.Fatal(err)
	}
	if err := s.Drop(t.Context(), guid); !model.IsKind(err, model.KindUnsupported) {
		t.Errorf("nobody knows how: %v", err)
	}
	var dropped []string
	s.opt.DropEngine = func(_ context.Context, g org.StorageGroup, st org.Store) error {
		dropped = append(dropped, g.Name+"/"+st.Name)
		return nil
	}
	if err := s.Drop(t.Context(), guid); err != nil || strings.Join(dropped, " ") != "First Storage Group/Mailbox Store" {
		t.Errorf("%v %v", dropped, err)
	}
}

// fullDisk tells of free space and counts scans.
type fullDisk struct {
	*memory.DB
	free  uint64
	scans int
}

func (f *fullDisk) Space() (free, used uint64, err error) { return f.free, 900, nil }

func (f *fullDisk) Scan(ctx context.Context, r kv.Range) kv.Iterator {
	f.scans++
	return f.DB.Scan(ctx, r)
}

// TestMakeRoom: content is collected by day only where space is short.
func TestMakeRoom(t *testing.T) {
	s, p, _, _ := office(t)
	guid := p.list[0].StoreGUID
	if err := s.Dismount(t.Context(), guid); err != nil {
		t.Fatal(err)
	}
	e := &fullDisk{DB: memory.New(memory.Options{})}
	s.opt.OpenEngine = func(context.Context, org.StorageGroup, org.Store) (kv.DB, error) { return e, nil }
	if err := s.Mount(t.Context(), guid); err != nil {
		t.Fatal(err)
	}
	for free, want := range map[uint64]bool{1 << 40: false, 100: false, 98: true, 0: true} {
		e.free, e.scans = free, 0
		s.makeRoom(t.Context())
		if (e.scans > 0) != want {
			t.Errorf("%d free: collected %v", free, !want)
		}
	}
}
