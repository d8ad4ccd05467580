package org_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"rialto/internal/directory"
	"rialto/internal/model"
	"rialto/internal/org"
)

func names(list []*org.Recipient) string {
	var out []string
	for _, r := range list {
		out = append(out, r.Name)
	}
	slices.Sort(out)
	return strings.Join(out, ", ")
}

func (f *fixture) entry(t testing.TB, g model.GUID) *directory.Entry {
	t.Helper()
	e, err := directory.Get(ctx, f.d, directory.AsSystem, directory.GUIDName(g))
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestMailboxEnable(t *testing.T) {
	f := contoso(t)
	r := f.user(t, "alice", "Alice", "Smith")
	if r.Kind != org.Mailbox || r.Name != "Alice Smith" || r.Alias != "alice" || r.Account != "alice" || r.UPN != "alice@contoso.test" ||
		r.Primary.String() != "alice@contoso.test" || len(r.Addresses) != 1 || r.MailboxGUID.IsZero() || r.HomeServer != "MAIL" || !r.UseDefaults || len(r.SID) == 0 {
		t.Errorf("%+v", r)
	}
	e := f.entry(t, r.GUID)
	for attr, want := range map[string]string{
		"legacyExchangeDN":         "/o=Contoso/ou=First Administrative Group/cn=Recipients/cn=alice",
		"homeMDB":                  storeDN,
		"homeMTA":                  "CN=Microsoft MTA," + serverDN,
		"msExchHomeServerName":     "/o=Contoso/ou=First Administrative Group/cn=Configuration/cn=Servers/cn=MAIL",
		"mail":                     "alice@contoso.test",
		"textEncodedORAddress":     "c=US;a= ;p=Contoso;o=Exchange;s=Smith;g=Alice;",
		"mDBUseDefaults":           "TRUE",
		"msExchUserAccountControl": "0",
		"supplementalCredentials":  "$argon2id$x",
	} {
		if e.Text(attr) != want {
			t.Errorf("%s is %q, want %q", attr, e.Text(attr), want)
		}
	}
	if p := e.Texts("proxyAddresses"); !slices.Contains(p, "SMTP:alice@contoso.test") || !slices.Contains(p, "X400:c=US;a= ;p=Contoso;o=Exchange;s=Smith;g=Alice;") || len(p) != 2 {
		t.Errorf("proxies %q", p)
	}
	if l := e.Texts("showInAddressBook"); len(l) != 2 || !strings.HasPrefix(l[0], "CN=All Users,") && !strings.HasPrefix(l[1], "CN=All Users,") {
		t.Errorf("lists %q", l)
	}
	if inc := e.Text("msExchPoliciesIncluded"); !strings.HasSuffix(inc, "},{26491CFC-9E50-4857-861B-0CB8DF22B5D7}") {
		t.Errorf("policies %q", inc)
	}
	if _, err := f.MailboxEnable(ctx, admin, r.GUID, org.NewMailbox{}); !model.IsKind(err, model.KindExists) {
		t.Errorf("second mailbox: %v", err)
	}
	usn := f.d.Root().HighestUSN
	if err := f.UpdateRecipient(ctx, admin, r.GUID); err != nil || f.d.Root().HighestUSN != usn {
		t.Errorf("the update wrote something, %v", err)
	}
	if _, err := f.CreateUser(ctx, directory.Principal{Level: directory.User}, org.NewUser{Account: "x"}); !model.IsKind(err, model.KindPermission) {
		t.Errorf("a user makes users: %v", err)
	}
	if err := f.MailboxDisable(ctx, admin, r.GUID); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Resolve(ctx, r.Primary); !model.IsKind(err, model.KindNotFound) {
		t.Errorf("resolved without a mailbox: %v", err)
	}
	again, err := f.MailboxEnable(ctx, admin, r.GUID, org.NewMailbox{Alias: "asmith", Addresses: []model.Address{addr(t, "sales@contoso.test")}})
	if err != nil || again.Primary.String() != "asmith@contoso.test" || len(again.Addresses) != 2 || again.MailboxGUID == r.MailboxGUID {
		t.Errorf("%+v, %v", again, err)
	}
}

func TestCollisions(t *testing.T) {
	f := contoso(t)
	f.replace(t, policyDN, "gatewayProxy", "SMTP:%g.%s@contoso.test", "smtp:%1g%s@alias.test", "X400:c=US;a= ;p=Contoso;o=Exchange;")
	f.within(t, "policy", func(c *org.Config) bool { return len(c.Domains) == 2 })
	for i, want := range []string{"John.Doe@contoso.test", "John.Doe2@contoso.test", "John.Doe3@contoso.test"} {
		r := f.user(t, fmt.Sprint("jd", i), "John", "Doe")
		if r.Primary.String() != want || len(r.Addresses) != 2 {
			t.Errorf("%v, want %s", r.Addresses, want)
		}
	}
	a, err := f.CreateUser(ctx, admin, org.NewUser{Account: "other", Container: "CN=Computers,DC=contoso,DC=test"})
	if err != nil {
		t.Fatal(err)
	}
	r, err := f.MailboxEnable(ctx, admin, a, org.NewMailbox{Alias: "jd0"})
	if err != nil || !strings.HasSuffix(r.LegacyDN, "/cn=jd02") || r.Primary.String() != "jd0@contoso.test" {
		t.Errorf("%+v, %v", r, err)
	}
	if _, err := f.CreateUser(ctx, admin, org.NewUser{Account: "JD0"}); !model.IsKind(err, model.KindExists) {
		t.Errorf("account name twice: %v", err)
	}
	if _, err := f.CreateUser(ctx, admin, org.NewUser{Account: "a/b"}); !model.IsKind(err, model.KindInvalid) {
		t.Errorf("odd account name: %v", err)
	}
}

func TestPolicyChange(t *testing.T) {
	f := contoso(t)
	r := f.user(t, "bob", "Bob", "Jones")
	f.replace(t, policyDN, "gatewayProxy", "SMTP:@new.test", "smtp:@contoso.test")
	f.within(t, "policy", func(c *org.Config) bool { return c.Domains[0].Name == "new.test" })
	if err := f.UpdateRecipient(ctx, admin, r.GUID); err != nil {
		t.Fatal(err)
	}
	now, err := f.Recipient(ctx, r.GUID)
	if err != nil || now.Primary.String() != "bob@new.test" || len(now.Addresses) != 2 || f.entry(t, r.GUID).Text("mail") != "bob@new.test" {
		t.Errorf("%+v, %v", now, err)
	}
	f.replace(t, r.DN, "msExchPoliciesExcluded", "{26491CFC-9E50-4857-861B-0CB8DF22B5D7}")
	f.replace(t, r.DN, "proxyAddresses", "SMTP:own@contoso.test")
	f.replace(t, r.DN, "msExchHideFromAddressLists", "TRUE")
	if err := f.UpdateRecipient(ctx, admin, r.GUID); err != nil {
		t.Fatal(err)
	}
	if now, err = f.Recipient(ctx, r.GUID); err != nil || now.Primary.String() != "own@contoso.test" || len(now.Addresses) != 1 || !now.HideFromLists {
		t.Errorf("%+v, %v", now, err)
	}
	if e := f.entry(t, r.GUID); e.Text("mail") != "own@contoso.test" || e.Values("showInAddressBook") != nil {
		t.Errorf("mail %q, lists %q", e.Text("mail"), e.Texts("showInAddressBook"))
	}
}

func TestResolve(t *testing.T) {
	f := contoso(t)
	r := f.user(t, "alice", "Alice", "Smith")
	f.replace(t, r.DN, "proxyAddresses", "SMTP:alice@contoso.test", "smtp:Second.Name@contoso.test", "smtp:bad address", "X400:c=US;")
	for a, want := range map[string]bool{"alice@contoso.test": true, "ALICE@Contoso.test": true, "second.name@contoso.test": true,
		"bob@contoso.test": false, "mail-is@contoso.test": false} {
		for range 2 {
			got, err := f.Resolve(ctx, addr(t, a))
			if want != (err == nil) || want && got.GUID != r.GUID || !want && !model.IsKind(err, model.KindNotFound) {
				t.Errorf("%s: %v, %v", a, got, err)
			}
		}
	}
	if _, err := f.Resolve(ctx, model.Address{}); !model.IsKind(err, model.KindNotFound) {
		t.Errorf("null path: %v", err)
	}
	// What is written is seen by the next look-up.
	f.replace(t, r.DN, "altRecipient", "CN=Administrator,CN=Users,DC=contoso,DC=test")
	f.replace(t, r.DN, "deliverAndRedirect", "TRUE")
	f.replace(t, r.DN, "protocolSettings", "POP3§0§1§4", "IMAP4§1§1", "http§0")
	f.replace(t, r.DN, "mDBUseDefaults", "FALSE")
	f.replace(t, r.DN, "mDBOverQuotaLimit", "7")
	f.replace(t, r.DN, "userAccountControl", "514")
	f.replace(t, r.DN, "authOrig", "CN=Administrator,CN=Users,DC=contoso,DC=test")
	got, err := f.Resolve(ctx, r.Primary)
	if err != nil || got.ForwardTo.IsZero() || !got.KeepCopy || !got.NoPOP || got.NoIMAP || !got.NoHTTP || got.UseDefaults || got.SendQuota != 7*1024 ||
		!got.Disabled || len(got.AcceptOnly) != 1 {
		t.Errorf("%+v, %v", got, err)
	}
	c, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := f.Resolve(c, addr(t, "nobody@contoso.test")); model.IsKind(err, model.KindNotFound) {
		t.Error("a search that was not made says that there is nobody")
	}
	f.d.Close()
	if _, err := f.Resolve(ctx, addr(t, "nobody2@contoso.test")); !model.IsKind(err, model.KindUnavailable) {
		t.Errorf("closed directory: %v", err)
	}
}

func TestGroupsAndContacts(t *testing.T) {
	f := contoso(t)
	alice, bob := f.user(t, "alice", "Alice", "A"), f.user(t, "bob", "Bob", "B")
	plain, err := f.CreateUser(ctx, admin, org.NewUser{Account: "nomail"})
	if err != nil {
		t.Fatal(err)
	}
	ext, err := f.CreateContact(ctx, admin, org.NewContact{Name: "Ext Partner", Target: addr(t, "partner@far.test")})
	if err != nil {
		t.Fatal(err)
	}
	c, err := f.Resolve(ctx, addr(t, "partner@far.test"))
	if err != nil || c.GUID != ext || c.Kind != org.Contact || c.Target.String() != "partner@far.test" || c.Primary != c.Target || c.Alias != "ExtPartner" || len(c.Addresses) != 2 {
		t.Errorf("contact %+v, %v", c, err)
	}
	if _, err := f.CreateContact(ctx, admin, org.NewContact{Name: "Twice", Target: addr(t, "Partner@far.test")}); !model.IsKind(err, model.KindExists) {
		t.Errorf("second contact: %v", err)
	}
	inner, err := f.CreateGroup(ctx, admin, org.NewGroup{Name: "Inner", Alias: "inner", Members: []model.GUID{bob.GUID, plain}})
	if err != nil {
		t.Fatal(err)
	}
	outer, err := f.CreateGroup(ctx, admin, org.NewGroup{Name: "Outer", Alias: "outer", Security: true, Owner: alice.GUID})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := f.AddMembers(ctx, admin, outer, alice.GUID, inner, ext); err != nil {
			t.Fatal(err)
		}
	}
	g, err := f.Resolve(ctx, addr(t, "outer@contoso.test"))
	if err != nil || g.Kind != org.Group || g.Owner != alice.GUID || !g.ReportToSender || g.User {
		t.Errorf("group %+v, %v", g, err)
	}
	members := func(g model.GUID) string {
		m, err := f.Members(ctx, g)
		if err != nil {
			t.Error(err)
		}
		return names(m)
	}
	if got := members(outer); got != "Alice A, Ext Partner, Inner" {
		t.Errorf("outer: %s", got)
	}
	if got := members(inner); got != "Bob B" {
		t.Errorf("inner: %s", got)
	}
	for range 2 {
		if err := f.RemoveMembers(ctx, admin, outer, alice.GUID); err != nil {
			t.Fatal(err)
		}
	}
	if got := members(outer); got != "Ext Partner, Inner" {
		t.Errorf("outer without alice: %s", got)
	}
	if _, err := f.Members(ctx, alice.GUID); !model.IsKind(err, model.KindInvalid) {
		t.Errorf("members of a user: %v", err)
	}
	if err := f.d.Add(ctx, admin, "CN=Everyone B,CN=Users,DC=contoso,DC=test", []directory.Attribute{directory.Attr("objectClass", "msExchDynamicDistributionList"),
		directory.Attr("mailNickname", "everyb"), directory.Attr("displayName", "Everyone B"), directory.Attr("proxyAddresses", "SMTP:everyb@contoso.test"),
		directory.Attr("msExchDynamicDLFilter", "(&(objectClass=user)(sn=B*))"), directory.Attr("msExchDynamicDLBaseDN", "DC=contoso,DC=test")}); err != nil {
		t.Fatal(err)
	}
	dyn, err := f.Resolve(ctx, addr(t, "everyb@contoso.test"))
	if err != nil || dyn.Kind != org.DynamicGroup || members(dyn.GUID) != "Bob B" {
		t.Errorf("%+v, %v", dyn, err)
	}
	lists(t, f)
}

func lists(t *testing.T, f *fixture) {
	t.Helper()
	for _, c := range []struct {
		what string
		get  func(context.Context) ([]*org.Recipient, error)
		want string
	}{{"users", f.Users, "Administrator, Alice A, Bob B, nomail"}, {"mailboxes", f.Mailboxes, "Alice A, Bob B"},
		{"contacts", f.Contacts, "Ext Partner"}, {"groups", f.Groups, "Everyone B, Inner, Outer"}} {
		if got, err := c.get(ctx); err != nil || names(got) != c.want {
			t.Errorf("%s: %s, %v", c.what, names(got), err)
		}
	}
	var got []*org.Recipient
	next := ""
	for pages := 0; pages == 0 || next != ""; pages++ {
		var err error
		if next, err = f.List(ctx, org.Query{Match: "B", Limit: 1, After: next}, func(r *org.Recipient) error {
			got = append(got, r)
			return nil
		}); err != nil || pages > 10 {
			t.Fatal(pages, err)
		}
	}
	if names(got) != "Bob B" {
		t.Errorf("by beginning: %s", names(got))
	}
}

func TestFindAndChange(t *testing.T) {
	f := contoso(t)
	r := f.user(t, "alice", "Alice", "Smith")
	for _, name := range []string{"alice", "ALICE", `contoso\alice`, "alice@contoso.test", "Alice Smith", r.DN, r.GUID.String()} {
		if got, err := f.Find(ctx, name); err != nil || got.GUID != r.GUID {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
	if _, err := f.Find(ctx, "nobody"); !model.IsKind(err, model.KindNotFound) {
		t.Errorf("nobody: %v", err)
	}
	warn, off, no := int64(10240), int64(-1), false
	if err := f.SetLimits(ctx, admin, r.GUID, org.Limits{WarnQuota: &warn, HardQuota: &off, UseDefaults: &no}); err != nil {
		t.Fatal(err)
	}
	if got, err := f.Recipient(ctx, r.GUID); err != nil || got.WarnQuota != 10240 || got.HardQuota != 0 || got.UseDefaults {
		t.Errorf("%+v, %v", got, err)
	}
	self := directory.Principal{GUID: r.GUID, Level: directory.User}
	for _, c := range []struct {
		p    directory.Principal
		ok   bool
		cred string
	}{{admin, true, "$a"}, {self, true, "$b"}, {directory.Principal{GUID: model.NewGUID(), Level: directory.User}, false, "$c"},
		{directory.Principal{}, false, "$d"}, {admin, false, "plain"}} {
		if err := f.SetPassword(ctx, c.p, r.GUID, c.cred); (err == nil) != c.ok {
			t.Errorf("%s: %v", c.cred, err)
		}
	}
	if got := f.entry(t, r.GUID).Text("supplementalCredentials"); got != "$b" {
		t.Errorf("credential %q", got)
	}
	if err := f.SetDisabled(ctx, admin, r.GUID, true); err != nil {
		t.Fatal(err)
	}
	if e := f.entry(t, r.GUID); e.Text("userAccountControl") != "514" || e.Text("msExchUserAccountControl") != "2" {
		t.Errorf("disabled: %q %q", e.Text("userAccountControl"), e.Text("msExchUserAccountControl"))
	}
	if err := f.DeleteObject(ctx, admin, r.GUID); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Recipient(ctx, r.GUID); !model.IsKind(err, model.KindNotFound) {
		t.Errorf("after deletion: %v", err)
	}
}

func BenchmarkResolveHit(b *testing.B) {
	f := contoso(b)
	r := f.user(b, "alice", "Alice", "Smith")
	for b.Loop() {
		if _, err := f.Resolve(ctx, r.Primary); err != nil {
			b.Fatal(err)
		}
	}
}

func TestMailEnable(t *testing.T) {
	f := contoso(t)
	g, err := f.CreateUser(ctx, admin, org.NewUser{Account: "ext", Attributes: []directory.Attribute{directory.Attr("department", "Sales")}})
	if err != nil {
		t.Fatal(err)
	}
	far := addr(t, "ext@far.test")
	r, err := f.MailEnable(ctx, admin, g, "", far)
	if err != nil || r.Kind != org.MailUser || r.Target != far || r.Primary != far || r.Alias != "ext" || len(r.Addresses) != 2 || f.entry(t, g).Text("department") != "Sales" {
		t.Errorf("%+v, %v", r, err)
	}
	if _, err := f.MailEnable(ctx, admin, g, "", far); !model.IsKind(err, model.KindExists) {
		t.Errorf("twice: %v", err)
	}
	group, err := f.CreateGroup(ctx, admin, org.NewGroup{Name: "Plain group"})
	if err != nil {
		t.Fatal(err)
	}
	for alias, target := range map[string]model.Address{"x": far, "a b": {}} {
		if _, err := f.MailEnable(ctx, admin, group, alias, target); !model.IsKind(err, model.KindInvalid) {
			t.Errorf("%q to %s: %v", alias, target, err)
		}
	}
	if r, err = f.MailEnable(ctx, admin, group, "", model.Address{}); err != nil || r.Kind != org.Group || r.Primary.String() != "Plaingroup@contoso.test" {
		t.Errorf("%+v, %v", r, err)
	}
}

// Look-ups while others write see one state or the next, never a stale one.
func TestResolveWhileWriting(t *testing.T) {
	f := contoso(t)
	r := f.user(t, "alice", "Alice", "Smith")
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range 300 {
			if _, err := f.Resolve(ctx, r.Primary); err != nil {
				t.Error(err)
			}
		}
	}()
	for i := range 60 {
		want := fmt.Sprint("name", i)
		f.replace(t, r.DN, "displayName", want)
		if got, err := f.Resolve(ctx, r.Primary); err != nil || got.Name != want {
			t.Fatalf("%v, %v, want %s", got, err, want)
		}
	}
	<-done
}
