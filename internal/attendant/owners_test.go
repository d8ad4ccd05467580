package attendant

import (
	"context"
	"strings"
	"testing"
	"time"

	"rialto/internal/model"
	"rialto/internal/org"
	"rialto/internal/store"
)

// peopled is an organization with recipients.
type peopled struct {
	*fixedOrg
	list []*org.Recipient
}

func (p *peopled) Mailboxes(context.Context) ([]*org.Recipient, error) { return p.list, nil }

// office is a store with alice, whose limits and schedule are given.
func office(t *testing.T) (*Stores, *peopled, *store.Mailbox, *time.Time) {
	s, _, guid := setup(t)
	now := time.Date(2026, 11, 22, 0, 30, 0, 0, time.UTC)
	s.opt.Clock = func() time.Time { return now }
	// The database shall have this clock too.
	if err := s.Dismount(t.Context(), guid); err != nil {
		t.Fatal(err)
	}
	if err := s.Mount(t.Context(), guid); err != nil {
		t.Fatal(err)
	}
	alice := &org.Recipient{Name: "alice", MailboxGUID: model.NewGUID(), StoreGUID: guid, Primary: model.Address{Local: "alice", Domain: "a.test"}, WarnQuota: 1000, HardQuota: 4000}
	p := &peopled{s.opt.Org.(*fixedOrg), []*org.Recipient{alice}}
	s.opt.Org = p
	s.m[guid].store.QuotaSchedule, s.m[guid].store.KeepMailboxes = org.Daily(0), 48*time.Hour
	m, err := s.Mailbox(t.Context(), alice)
	if err != nil {
		t.Fatal(err)
	}
	return s, p, m, &now
}

func TestWarnings(t *testing.T) {
	s, _, m, now := office(t)
	big := &store.NewItem{}
	big.Summary.Props.Set(0x0037001F, strings.Repeat("x", 3000))
	if _, err := m.Append(t.Context(), store.FolderInbox, big); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Append(t.Context(), store.FolderInbox, big); !model.IsKind(err, model.KindQuota) {
		t.Errorf("over the limit: %v", err)
	}
	for i, c := range []struct {
		after time.Duration
		now   bool
		want  int
	}{{0, false, 1}, {10 * time.Minute, false, 0}, {time.Hour, false, 0}, {0, true, 1}, {23 * time.Hour, false, 1}} {
		*now = now.Add(c.after)
		if n, err := s.WarnQuotas(t.Context(), c.now); err != nil || n != c.want {
			t.Errorf("%d: %d warned, %v", i, n, err)
		}
	}
}

func TestCleanMailboxes(t *testing.T) {
	s, p, m, now := office(t)
	ctx := t.Context()
	clean := func() int {
		t.Helper()
		if err := s.CleanMailboxes(ctx); err != nil {
			t.Fatal(err)
		}
		l, err := s.Disconnected(ctx)
		if err != nil {
			t.Fatal(err)
		}
		return len(l)
	}
	if clean() != 0 {
		t.Error("disconnected with an owner")
	}
	owners := p.list
	p.list = nil
	if clean() != 1 {
		t.Error("not disconnected")
	}
	*now = now.Add(47*time.Hour + 7) // more exact than a row keeps it
	if p.list = owners; clean() != 0 {
		t.Error("disconnected though the owner is back")
	}
	if p.list = nil; clean() != 1 {
		t.Error("not disconnected again")
	}
	*now = now.Add(49 * time.Hour)
	if clean() != 0 {
		t.Error("kept too long")
	}
	if _, err := m.Database().Mailbox(ctx, m.GUID()); !model.IsKind(err, model.KindNotFound) {
		t.Errorf("not deleted: %v", err)
	}
}

// returning is an organization in which the owner comes back after a while.
type returning struct {
	*peopled
	after int
}

func (r *returning) Mailboxes(ctx context.Context) ([]*org.Recipient, error) {
	if r.after--; r.after >= 0 {
		return nil, nil
	}
	return r.peopled.Mailboxes(ctx)
}

// A mailbox that was reconnected while the others were looked after stays.
func TestCleanMailboxesLooksAgain(t *testing.T) {
	s, p, m, now := office(t)
	if err := m.Disconnect(t.Context(), *now); err != nil {
		t.Fatal(err)
	}
	*now = now.Add(49 * time.Hour)
	s.opt.Org = &returning{p, 1}
	if err := s.CleanMailboxes(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := m.Database().DeleteDisconnected(t.Context(), m.GUID(), now.Add(-time.Hour)); !model.IsKind(err, model.KindConflict) {
		t.Errorf("disconnected at another time: %v", err)
	}
	if again, err := m.Database().Mailbox(t.Context(), m.GUID()); err != nil || again.Header().Deleted.IsZero() {
		t.Errorf("deleted: %v", err)
	}
}

func TestKeptFrom(t *testing.T) {
	s, _, _, now := office(t)
	st := &org.Store{KeepItems: time.Hour}
	own := &org.Recipient{KeepItems: 5 * time.Hour, UntilBackup: true}
	if got := s.keptFrom(st, nil, 0, time.Time{}); !got.Equal(now.Add(-time.Hour)) {
		t.Error(got)
	}
	if got := s.keptFrom(st, own, 0, time.Time{}); !got.IsZero() {
		t.Errorf("without a backup: %v", got)
	}
	for _, c := range []struct{ backup, want time.Duration }{{-2 * time.Hour, -5 * time.Hour}, {-9 * time.Hour, -9 * time.Hour}} {
		if got := s.keptFrom(st, own, 0, now.Add(c.backup)); !got.Equal(now.Add(c.want)) {
			t.Errorf("backup %v: %v", c.backup, got)
		}
	}
}
