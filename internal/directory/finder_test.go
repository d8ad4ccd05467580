package directory_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"rialto/internal/directory"
	"rialto/internal/directory/embedded"
	"rialto/internal/kv/memory"
	"rialto/internal/model"
)

const users = "CN=Users,DC=contoso,DC=test"

var ctx = context.Background()

func newDirectory(t *testing.T) *embedded.DB {
	t.Helper()
	d, err := embedded.Open(ctx, memory.New(memory.Options{}), embedded.Options{DNSDomain: "contoso.test", DNSHost: "mail.contoso.test"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

func add(t *testing.T, d directory.Directory, name, class string, attrs ...directory.Attribute) {
	t.Helper()
	err := d.Add(ctx, directory.AsSystem, "CN="+name+","+users, append(attrs, directory.Attr("objectClass", class)))
	if err != nil {
		t.Fatal(err)
	}
}

func TestFinder(t *testing.T) {
	d := newDirectory(t)
	f := directory.Finder{Dir: d, Clock: func() time.Time { return time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC) }}
	if a, err := f.FindAccount(ctx, "administrator@contoso.test"); err != nil || !a.Admin || a.Disabled {
		t.Errorf("before ForestPrep: %+v, %v", a, err)
	}
	if err := d.ExtendSchema(ctx, directory.AsSystem, func(int, int) {}); err != nil {
		t.Fatal(err)
	}
	box := model.NewGUID()
	add(t, d, "Alice Smith", "user", directory.Attr("sAMAccountName", "alice"), directory.Attr("userPrincipalName", "alice@contoso.test"),
		directory.Attr("displayName", "Alice"), directory.Attr("proxyAddresses", "SMTP:a.smith@mail.test", "smtp:alias@contoso.test"),
		directory.Attr("supplementalCredentials", "$phc"), directory.Octets("msExchMailboxGuid", box[:]),
		directory.Attr("msExchHomeServerName", "/o=Contoso/ou=AG/cn=Configuration/cn=Servers/cn=MAIL"),
		directory.Attr("protocolSettings", "POP3§0§1", "HTTP§0", "IMAP4§1§1"))
	add(t, d, "noupn", "user")
	add(t, d, "off", "user", directory.Attr("userAccountControl", "514"))
	add(t, d, "old", "user", directory.Attr("accountExpires", "127489248000000000")) // 2005
	add(t, d, "never", "user", directory.Attr("accountExpires", "9223372036854775807"))
	add(t, d, "team", "group", directory.Attr("proxyAddresses", "SMTP:team@contoso.test"), directory.Attr("member", "CN=noupn,"+users))
	for group, member := range map[string]string{"Domain Admins": "team", "team": "Domain Admins"} {
		err := d.Modify(ctx, directory.AsSystem, "CN="+group+","+users, []directory.Modification{{Op: directory.AddValues, Attr: directory.Attr("member", "CN="+member+","+users)}})
		if err != nil {
			t.Fatal(err)
		}
	}
	for name, want := range map[string]string{
		"alice": "alice", "ALICE": "alice", "alice@contoso.test": "alice", "Alice@CONTOSO.test": "alice", `CONTOSO\alice`: "alice", `contoso.test\alice`: "alice",
		"a.smith@mail.test": "alice", "Alias@contoso.test": "alice", "CN=Alice Smith," + users: "alice", "cn=alice smith,cn=users,dc=CONTOSO,dc=test": "alice",
		"noupn": "noupn", "noupn@contoso.test": "noupn", "noupn@mail.test": "", "administrator": "Administrator",
		`FABRIKAM\alice`: "", "": "", "nobody": "", "team": "", "team@contoso.test": "", "ali*": "", "*": "", `CONTOSO\`: "", "alice)(objectClass=*": "",
		"CN=Nobody," + users: "", "DC=contoso,DC=test": "", "x=": "", "@": "",
	} {
		a, err := f.FindAccount(ctx, name)
		if got := ""; err == nil {
			if got = a.Name; got != want {
				t.Errorf("%q is %q, want %q", name, got, want)
			}
		} else if want != "" || !model.IsKind(err, model.KindNotFound) {
			t.Errorf("%q: %v", name, err)
		}
	}
	a, err := f.FindAccount(ctx, "alice")
	if err != nil || a.Credential != "$phc" || a.MailboxGUID != box || a.HomeServer != "MAIL" || a.DisplayName != "Alice" || a.Admin || a.Disabled || len(a.SID) != 28 ||
		a.Allows("pop3") || a.Allows("owa") || !a.Allows("imap4") || !a.Allows("smtp") || a.DN != "CN=Alice Smith,"+users || a.UPN != "alice@contoso.test" {
		t.Errorf("%+v, %v", a, err)
	}
	for name, want := range map[string][2]bool{"noupn": {true, false}, "off": {false, true}, "old": {false, true}, "never": {false, false}, "Administrator": {true, false}} {
		a, err := f.FindAccount(ctx, name)
		if err != nil || a.Admin != want[0] || a.Disabled != want[1] {
			t.Errorf("%s: admin %v, disabled %v, %v", name, a.Admin, a.Disabled, err)
		}
	}
	d.Close()
	if _, err := f.FindAccount(ctx, "alice"); err == nil || model.IsKind(err, model.KindNotFound) || errors.Is(err, context.Canceled) {
		t.Errorf("closed directory: %v", err)
	}
}

func FuzzProtocolSettings(f *testing.F) {
	for _, s := range []string{"POP3§0§1§4§ISO-8859-1§0§§§", "HTTP§1§1§§§§§§", "§0", "IMAP4", "\xc2§\xa7", " imap4 § 0 "} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		m := directory.ProtocolSettings([]string{s, "POP3§0"})
		if len(m) > 2 || m["POP3"] {
			t.Fatalf("%q: %v", s, m)
		}
		for k := range m {
			if k == "" || k != strings.ToUpper(k) || len(k) > 1024 {
				t.Fatalf("%q: %q", s, k)
			}
		}
	})
}
