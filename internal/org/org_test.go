package org_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"rialto/internal/directory"
	"rialto/internal/directory/embedded"
	"rialto/internal/kv/memory"
	"rialto/internal/model"
	"rialto/internal/org"
	"rialto/internal/setup"
)

var (
	ctx   = context.Background()
	admin = directory.Principal{Level: directory.Administrator}
)

const (
	orgDN    = "CN=Contoso,CN=Microsoft Exchange,CN=Services,CN=Configuration,DC=contoso,DC=test"
	serverDN = "CN=MAIL,CN=Servers,CN=First Administrative Group,CN=Administrative Groups," + orgDN
	storeDN  = "CN=Mailbox Store (MAIL),CN=First Storage Group,CN=InformationStore," + serverDN
	policyDN = "CN=Default Policy,CN=Recipient Policies," + orgDN
)

type fixture struct {
	*org.Org
	d   *embedded.DB
	odd chan string
}

// planted is the directory of an organization with one server.
var planted = sync.OnceValues(func() (*memory.DB, error) {
	m := memory.New(memory.Options{})
	d, err := embedded.Open(ctx, m, embedded.Options{DNSDomain: "contoso.test", DNSHost: "mail.contoso.test"})
	if err == nil {
		err = setup.Run(ctx, d, setup.Plan{ForestPrep: true, DomainPrep: true, Install: true, Organization: "Contoso"}, nil)
	}
	return m, err
})

// contoso is an organization with one server, opened.
func contoso(t testing.TB) *fixture {
	t.Helper()
	m, err := planted()
	if err != nil {
		t.Fatal(err)
	}
	d, err := embedded.Open(ctx, m.Copy(), embedded.Options{DNSDomain: "contoso.test", DNSHost: "mail.contoso.test"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	f := &fixture{d: d, odd: make(chan string, 100)}
	f.Org, err = org.Open(ctx, d, "mail", org.Options{Debounce: 10 * time.Millisecond,
		Events: org.Events{Odd: func(dn, what string) { f.odd <- what }, Failed: func(err error) { f.odd <- err.Error() }}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func (f *fixture) replace(t testing.TB, dn, attr string, values ...string) {
	t.Helper()
	a := directory.Attr(attr, values...)
	if err := f.d.Modify(ctx, admin, dn, []directory.Modification{{Op: directory.Replace, Attr: a}}); err != nil {
		t.Fatal(err)
	}
}

// user makes a mailbox.
func (f *fixture) user(t testing.TB, account, given, surname string) *org.Recipient {
	t.Helper()
	g, err := f.CreateUser(ctx, admin, org.NewUser{Account: account, GivenName: given, Surname: surname, Credential: "$argon2id$x"})
	if err != nil {
		t.Fatal(err)
	}
	r, err := f.MailboxEnable(ctx, admin, g, org.NewMailbox{})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func addr(t testing.TB, s string) model.Address {
	t.Helper()
	a, err := model.ParseAddress(s)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestConfig(t *testing.T) {
	f := contoso(t)
	c := f.Config()
	o := c.Organization
	if o.Name != "Contoso" || o.LegacyDN != "/o=Contoso" || o.MixedMode || o.MaxReceive != 10240*1024 || o.MaxSend != 10240*1024 || o.MaxRecipients != 5000 || o.GUID.IsZero() {
		t.Errorf("organization %+v", o)
	}
	s := c.Server
	if s.Name != "MAIL" || s.FQDN != "mail.contoso.test" || s.AdminGroup != "First Administrative Group" || s.RoutingGroup != "First Routing Group" || s.FrontEnd || len(c.Servers) != 1 {
		t.Errorf("server %+v", s)
	}
	if len(c.Domains) != 1 || c.Domains[0] != (org.Domain{Name: "contoso.test", Authoritative: true}) {
		t.Errorf("domains %+v", c.Domains)
	}
	if len(s.StorageGroups) != 1 || len(s.StorageGroups[0].Stores) != 2 {
		t.Fatalf("storage groups %+v", s.StorageGroups)
	}
	for _, st := range s.StorageGroups[0].Stores {
		if st.KeepItems != 7*24*time.Hour || !st.MountAtStart || st.GUID.IsZero() || st.Public != strings.HasPrefix(st.Name, "Public") ||
			!st.Public && st.KeepMailboxes != 30*24*time.Hour {
			t.Errorf("store %+v", st)
		}
	}
	if d, ok := c.Domain("CONTOSO.test"); !ok || !d.Authoritative {
		t.Errorf("domain %+v", d)
	}
	if _, ok := c.Domain("far.test"); ok {
		t.Error("responsible for everything")
	}
	st := s.StorageGroups[0].Stores[0]
	if got, server, ok := c.Store(st.GUID); !ok || got.Name != st.Name || server != "MAIL" {
		t.Errorf("store %+v on %s", got, server)
	}
	if _, _, ok := c.Store(model.NewGUID()); ok {
		t.Error("a store out of nothing")
	}
	if len(f.odd) > 0 {
		t.Errorf("odd: %s", <-f.odd)
	}
	byGUID, err := org.Open(ctx, f.d, s.GUID.String(), org.Options{})
	if err != nil || byGUID.Config().Server.Name != "MAIL" {
		t.Errorf("by GUID: %v", err)
	}
	byGUID.Close()
	if _, err := org.Open(ctx, f.d, "other", org.Options{}); !model.IsKind(err, model.KindNotFound) {
		t.Errorf("unknown server: %v", err)
	}
}

func TestVirtualServers(t *testing.T) {
	f := contoso(t)
	want := map[string]string{
		"Default SMTP Virtual Server":  "SMTP on :25: /",
		"Submission":                   "SMTP on :587:! / :465:!",
		"Default IMAP4 Virtual Server": "IMAP4 off :143: / :993:",
		"Default POP3 Virtual Server":  "POP3 off :110: / :995:",
		"Default NNTP Virtual Server":  "NNTP off :119: / :563:",
		"Exchange Virtual Server":      "HTTP on :80: / :443:",
	}
	for _, v := range f.Config().Server.VirtualServers {
		got := string(v.Protocol) + map[bool]string{true: " on", false: " off"}[v.Enabled]
		for i, list := range [][]org.Binding{v.Bindings, v.SecureBindings} {
			if i == 1 {
				got += " /"
			}
			for _, b := range list {
				got += " " + b.String() + map[bool]string{true: "!"}[v.SMTP.Submission]
			}
		}
		if want[v.Name] != got {
			t.Errorf("%s: %q, want %q", v.Name, got, want[v.Name])
		}
		delete(want, v.Name)
		if v.Protocol == org.SMTP && (v.SMTP.MaxHops != 30 || v.SMTP.MaxRecipients != 64000 || len(v.SMTP.Retry) != 4 || v.SMTP.Retry[3] != 15*time.Minute ||
			v.SMTP.DelayNotice != 12*time.Hour || v.SMTP.Expire != 48*time.Hour || !v.SMTP.RelayForAuth || v.SMTP.FQDN != "mail.contoso.test") {
			t.Errorf("SMTP settings %+v", v.SMTP)
		}
	}
	if len(want) > 0 {
		t.Errorf("missing: %v", want)
	}
}

// within waits until the configuration satisfies ok.
func (f *fixture) within(t *testing.T, what string, ok func(*org.Config) bool) {
	t.Helper()
	w := f.Watch(t.Context())
	deadline := time.After(time.Second)
	for !ok(f.Config()) {
		select {
		case <-w:
		case <-deadline:
			t.Fatalf("%s: not in force within a second", what)
		}
	}
}

func TestLiveChanges(t *testing.T) {
	f := contoso(t)
	smtp := "CN=1,CN=SMTP,CN=Protocols," + serverDN
	vs := func(c *org.Config, name string) org.VirtualServer {
		for _, v := range c.Server.VirtualServers {
			if v.Name == name {
				return v
			}
		}
		return org.VirtualServer{}
	}
	old := f.Config()
	f.replace(t, storeDN, "mDBStorageQuota", "1000")
	f.within(t, "quota", func(c *org.Config) bool {
		for _, s := range c.Server.StorageGroups[0].Stores {
			if s.WarnQuota == 1000*1024 {
				return true
			}
		}
		return false
	})
	f.replace(t, smtp, "msExchServerBindings", ":25:", "127.0.0.1:2525:", "[::1]:26:", "nonsense")
	f.within(t, "binding", func(c *org.Config) bool {
		b := vs(c, "Default SMTP Virtual Server").Bindings
		return len(b) == 3 && b[1] == org.Binding{Address: "127.0.0.1", Port: 2525} && b[2] == org.Binding{Address: "::1", Port: 26}
	})
	if what := <-f.odd; what != "msExchServerBindings: nonsense" {
		t.Errorf("odd: %s", what)
	}
	f.replace(t, smtp, "msExchSmtpSmartHost", "[192.0.2.1]")
	f.replace(t, smtp, "msExchSmtpRelayIpList", "127.0.0.1, 10.1.2.3/8")
	f.within(t, "smart host", func(c *org.Config) bool {
		s := vs(c, "Default SMTP Virtual Server").SMTP
		return s.SmartHost == "[192.0.2.1]" && strings.Join(s.RelayFor, " ") == "127.0.0.1 10.0.0.0/8"
	})
	f.replace(t, policyDN, "gatewayProxy", "SMTP:@contoso.test", "smtp:@shared.test")
	f.replace(t, policyDN, "msExchNonAuthoritativeDomains", "smtp:@Shared.test")
	f.within(t, "domains", func(c *org.Config) bool {
		return len(c.Domains) == 2 && c.Domains[1] == org.Domain{Name: "shared.test", Authoritative: false}
	})
	if err := f.d.Rename(ctx, admin, serverDN, "CN=POST", ""); err != nil {
		t.Fatal(err)
	}
	f.within(t, "rename", func(c *org.Config) bool { return c.Server.Name == "POST" })
	smtp = strings.Replace(smtp, "CN=MAIL,", "CN=POST,", 1)
	if err := f.d.Delete(ctx, admin, smtp); err != nil {
		t.Fatal(err)
	}
	f.within(t, "deletion", func(c *org.Config) bool { return vs(c, "Default SMTP Virtual Server").Name == "" })
	if len(vs(old, "Default SMTP Virtual Server").Bindings) != 1 {
		t.Error("an old configuration changed")
	}
}

func TestWatchEnds(t *testing.T) {
	f := contoso(t)
	c, cancel := context.WithCancel(ctx)
	w, v := f.Watch(c), f.Watch(ctx)
	cancel()
	if _, ok := <-w; ok {
		t.Error("a value instead of the end")
	}
	f.Close()
	if _, ok := <-v; ok {
		t.Error("a value instead of the end")
	}
	if _, ok := <-f.Watch(ctx); ok {
		t.Error("watching after Close")
	}
}
