package org_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"rialto/internal/directory"
	"rialto/internal/directory/embedded"
	"rialto/internal/model"
	"rialto/internal/org"
)

var errFault = errors.New("no answer")

// faulty is a directory that stops writing after some writes, or reading.
type faulty struct {
	*embedded.DB
	writes atomic.Int64 // left
	deaf   atomic.Bool
}

func (f *faulty) Modify(ctx context.Context, p directory.Principal, dn string, m []directory.Modification) error {
	if f.writes.Add(-1) < 0 {
		return errFault
	}
	return f.DB.Modify(ctx, p, dn, m)
}

func (f *faulty) Search(ctx context.Context, p directory.Principal, s *directory.Search, fn func(*directory.Entry) error) (string, error) {
	if f.deaf.Load() {
		return "", errFault
	}
	return f.DB.Search(ctx, p, s, fn)
}

func TestMailboxEnableCompletes(t *testing.T) {
	f := contoso(t)
	d := &faulty{DB: f.d}
	o, err := org.Open(ctx, d, "MAIL", org.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	g, err := o.CreateUser(ctx, admin, org.NewUser{Account: "alice"})
	if err != nil {
		t.Fatal(err)
	}
	d.writes.Store(1)
	if _, err := o.MailboxEnable(ctx, admin, g, org.NewMailbox{}); !errors.Is(err, errFault) {
		t.Fatalf("err = %v", err)
	}
	half, err := o.Recipient(ctx, g)
	if err != nil || half.Kind != org.Mailbox || len(half.Addresses) != 0 {
		t.Errorf("%+v, %v", half, err)
	}
	d.writes.Store(100)
	whole, err := o.MailboxEnable(ctx, admin, g, org.NewMailbox{})
	if err != nil || whole.MailboxGUID != half.MailboxGUID || whole.Primary.String() != "alice@contoso.test" {
		t.Errorf("%+v, %v", whole, err)
	}
}

func TestDirectoryComesBack(t *testing.T) {
	f := contoso(t)
	f.user(t, "alice", "Alice", "Smith")
	d := &faulty{DB: f.d}
	failed := make(chan error, 100)
	changed := make(chan *org.Config, 100)
	o, err := org.Open(ctx, d, "MAIL", org.Options{Debounce: time.Millisecond, Events: org.Events{
		Failed: func(err error) { failed <- err }, Changed: func(c *org.Config) { changed <- c }}})
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	d.deaf.Store(true)
	f.replace(t, storeDN, "mDBStorageQuota", "77")
	if err := <-failed; !errors.Is(err, errFault) {
		t.Errorf("told of %v", err)
	}
	if o.Config() == nil {
		t.Error("no configuration while the directory does not answer")
	}
	if _, err := o.Resolve(ctx, addr(t, "alice@contoso.test")); !model.IsKind(err, model.KindUnavailable) {
		t.Errorf("resolved: %v", err)
	}
	d.deaf.Store(false)
	c := <-changed
	found := false
	for _, s := range c.Server.StorageGroups[0].Stores {
		found = found || s.WarnQuota == 77*1024
	}
	if !found {
		t.Error("the change was missed")
	}
	if _, err := o.Resolve(ctx, addr(t, "alice@contoso.test")); err != nil {
		t.Error(err)
	}
}
