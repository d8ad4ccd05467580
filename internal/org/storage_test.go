package org_test

import (
	"strings"
	"testing"
	"time"

	"rialto/internal/directory"
	"rialto/internal/model"
	"rialto/internal/org"
)

// see waits until the configuration shows something.
func (f *fixture) see(t *testing.T, ok func(*org.Config) bool) {
	t.Helper()
	changed := f.Watch(t.Context())
	for !ok(f.Config()) {
		select {
		case <-changed:
		case <-time.After(10 * time.Second):
			t.Fatalf("not seen: %+v", f.Config().Server.StorageGroups)
		}
	}
}

func TestStorageGroupsAndStores(t *testing.T) {
	f := contoso(t)
	group, err := f.CreateStorageGroup(ctx, admin, "Sales")
	if err != nil {
		t.Fatal(err)
	}
	f.see(t, func(c *org.Config) bool { _, err := c.StorageGroup("sales"); return err == nil })
	if _, err := f.CreateStorageGroup(ctx, admin, "SALES"); !model.IsKind(err, model.KindExists) {
		t.Errorf("a second group of the name: %v", err)
	}
	n := org.NewStore{Name: "Sales, 1", Group: "sales", WarnQuota: 1 << 20, HardQuota: 3 << 20, KeepMailboxes: 48 * time.Hour, UntilBackup: true}
	guid, err := f.CreateStore(ctx, admin, n)
	if err != nil {
		t.Fatal(err)
	}
	there := func(c *org.Config) bool { _, _, ok := c.Store(guid); return ok }
	f.see(t, there)
	st, _, _ := f.Config().Store(guid)
	want := org.Store{GUID: guid, Name: "Sales, 1", MountAtStart: true, WarnQuota: 1 << 20, HardQuota: 3 << 20, KeepItems: 7 * 24 * time.Hour,
		KeepMailboxes: 48 * time.Hour, UntilBackup: true, QuotaSchedule: org.Daily(0)}
	if st != want {
		t.Errorf("store %+v", st)
	}
	// It has what Setup gives the first one, but for what is its own.
	made, err := directory.Get(ctx, f.d, directory.AsSystem, directory.GUIDName(guid))
	if err != nil {
		t.Fatal(err)
	}
	first, err := directory.Get(ctx, f.d, directory.AsSystem, storeDN)
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range first.Attributes {
		if made.Values(a.Name) == nil && !strings.HasSuffix(a.Name, "BL") {
			t.Errorf("no %s", a.Name)
		}
	}
	for _, same := range []string{"msExchOwningServer", "msExchHomePublicMDB", "msExchUseOAB", "objectCategory"} {
		if made.Text(same) != first.Text(same) || made.Text(same) == "" {
			t.Errorf("%s is %q, not %q", same, made.Text(same), first.Text(same))
		}
	}
	if l := made.Text("legacyExchangeDN"); strings.EqualFold(l, first.Text("legacyExchangeDN")) {
		t.Errorf("the legacyExchangeDN is %q too", l)
	}
	if err := f.DeleteStorageGroup(ctx, admin, group); !model.IsKind(err, model.KindConflict) || !strings.Contains(err.Error(), "Sales, 1") {
		t.Errorf("a group with a store: %v", err)
	}
	u, err := f.CreateUser(ctx, admin, org.NewUser{Account: "alice"})
	if err == nil {
		_, err = f.MailboxEnable(ctx, admin, u, org.NewMailbox{Store: guid})
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := f.DeleteStore(ctx, admin, guid); !model.IsKind(err, model.KindConflict) || !strings.Contains(err.Error(), "in the store: 1;") {
		t.Errorf("a store with a mailbox: %v", err)
	}
	if err := f.MailboxDisable(ctx, admin, u); err != nil {
		t.Fatal(err)
	}
	for _, g := range []model.GUID{{}, model.NewGUID(), u, group} {
		if err := f.DeleteStore(ctx, admin, g); !model.IsKind(err, model.KindNotFound) {
			t.Errorf("no store: %v", err)
		}
	}
	if err := f.DeleteStore(ctx, admin, guid); err != nil {
		t.Fatal(err)
	}
	f.see(t, func(c *org.Config) bool { return !there(c) })
	if err := f.DeleteStorageGroup(ctx, admin, group); err != nil {
		t.Fatal(err)
	}
	f.see(t, func(c *org.Config) bool { return len(c.Server.StorageGroups) == 1 })
}

// The System Attendant moves out of a store that goes.
func TestDeleteFirstStore(t *testing.T) {
	f := contoso(t)
	second, err := f.CreateStore(ctx, admin, org.NewStore{Name: "Second", Group: "First Storage Group"})
	if err != nil {
		t.Fatal(err)
	}
	f.see(t, func(c *org.Config) bool { _, _, ok := c.Store(second); return ok })
	first, err := directory.Get(ctx, f.d, directory.AsSystem, storeDN)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.DeleteStore(ctx, admin, first.GUID()); err != nil {
		t.Fatal(err)
	}
	sa, err := directory.Get(ctx, f.d, directory.AsSystem, "CN=Microsoft System Attendant,"+serverDN, "homeMDB")
	if err != nil || !strings.HasPrefix(sa.Text("homeMDB"), "CN=Second,") {
		t.Errorf("the System Attendant is in %q: %v", sa.Text("homeMDB"), err)
	}
	if err := f.StoreCreated(ctx, second); err != nil {
		t.Fatal(err)
	}
	f.see(t, func(c *org.Config) bool { st, _, _ := c.Store(second); return st.Created })
}

func TestStorageRefusals(t *testing.T) {
	f := contoso(t)
	user := directory.Principal{Level: directory.User}
	if _, err := f.CreateStorageGroup(ctx, user, "x"); !model.IsKind(err, model.KindPermission) {
		t.Errorf("a user: %v", err)
	}
	for name, kind := range map[string]model.Kind{"": model.KindInvalid, " x": model.KindInvalid, "a/b": model.KindInvalid, "..": model.KindInvalid, "a\x00": model.KindInvalid,
		"a\xff": model.KindInvalid, strings.Repeat("x", 65): model.KindInvalid, model.NewGUID().String(): model.KindInvalid,
		"mailbox store (mail)": model.KindExists, "Public Folder Store (MAIL)": model.KindExists} {
		if _, err := f.CreateStore(ctx, admin, org.NewStore{Name: name, Group: "First Storage Group"}); !model.IsKind(err, kind) {
			t.Errorf("%q: %v", name, err)
		}
	}
	if _, err := f.CreateStore(ctx, admin, org.NewStore{Name: "x", Group: "nowhere"}); !model.IsKind(err, model.KindNotFound) {
		t.Errorf("no group: %v", err)
	}
	if _, err := f.CreateStore(ctx, admin, org.NewStore{Name: "x", Group: "First Storage Group", WarnQuota: -1}); !model.IsKind(err, model.KindInvalid) {
		t.Errorf("a limit below zero: %v", err)
	}
}

// Only accounts that this domain has had and has no more are gone.
func TestGone(t *testing.T) {
	f := contoso(t)
	alice, bob := f.user(t, "alice", "", ""), f.user(t, "bob", "", "")
	if err := f.DeleteObject(ctx, admin, alice.GUID); err != nil {
		t.Fatal(err)
	}
	gone, err := f.Gone(ctx)
	if err != nil {
		t.Fatal(err)
	}
	later := f.user(t, "carol", "", "")
	foreign := append([]byte(nil), alice.SID...)
	foreign[12]++
	wellKnown := append(append([]byte(nil), alice.SID[:len(alice.SID)-4]...), 0xf4, 1, 0, 0)
	for _, c := range []struct {
		who  string
		sid  []byte
		want bool
	}{{"alice", alice.SID, true}, {"bob", bob.SID, false}, {"carol", later.SID, false}, {"another domain", foreign, false},
		{"a well-known one", wellKnown, false}, {"everyone", []byte{1, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0}, false}, {"nobody", nil, false}} {
		if got := gone(c.sid); got != c.want {
			t.Errorf("%s: gone %v", c.who, got)
		}
	}
}
