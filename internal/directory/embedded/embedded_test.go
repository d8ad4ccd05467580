package embedded

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"rialto/internal/directory"
	"rialto/internal/directory/schema"
	"rialto/internal/kv"
	"rialto/internal/kv/memory"
	"rialto/internal/model"
	"rialto/internal/wire/ldap"
)

var (
	ctx   = context.Background()
	admin = directory.Principal{Level: directory.Administrator}
	user  = directory.Principal{Level: directory.User}
)

const (
	domain = "DC=contoso,DC=test"
	users  = "CN=Users," + domain
)

func open(t *testing.T, db *memory.DB) *DB {
	t.Helper()
	d, err := Open(ctx, db, Options{DNSDomain: "contoso.test", DNSHost: "mail.contoso.test"})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// planted are trees as they are made, and with the Exchange extension.
var planted = [2]func() (*memory.DB, error){sync.OnceValues(func() (*memory.DB, error) { return plant(false) }), sync.OnceValues(func() (*memory.DB, error) { return plant(true) })}

func plant(exchange bool) (*memory.DB, error) {
	m := memory.New(memory.Options{})
	d, err := Open(ctx, m, Options{DNSDomain: "contoso.test", DNSHost: "mail.contoso.test"})
	if err == nil && exchange {
		err = d.ExtendSchema(ctx, admin, func(int, int) {})
	}
	return m, err
}

func copied(t *testing.T, which int) *DB {
	t.Helper()
	m, err := planted[which]()
	if err != nil {
		t.Fatal(err)
	}
	d := open(t, m.Copy())
	t.Cleanup(func() { d.Close() })
	return d
}

func newDB(t *testing.T) *DB    { t.Helper(); return copied(t, 0) }
func extended(t *testing.T) *DB { t.Helper(); return copied(t, 1) }

func addUser(t *testing.T, d *DB, name string, more ...directory.Attribute) string {
	t.Helper()
	dn := "CN=" + name + "," + users
	attrs := append([]directory.Attribute{directory.Attr("objectClass", "user"), directory.Attr("sAMAccountName", name)}, more...)
	if err := d.Add(ctx, admin, dn, attrs); err != nil {
		t.Fatal(err)
	}
	return dn
}

// search returns the RDNs found, sorted, or the error's kind.
func search(t *testing.T, d *DB, p directory.Principal, s directory.Search, filter string) string {
	t.Helper()
	if filter != "" {
		f, err := ldap.ParseFilter(filter)
		if err != nil {
			t.Fatal(err)
		}
		s.Filter = f
	}
	var out []string
	_, err := d.Search(ctx, p, &s, func(e *directory.Entry) error {
		rdn, _, _ := strings.Cut(e.DN, ",")
		out = append(out, rdn)
		return nil
	})
	if err != nil {
		return model.KindOf(err).String()
	}
	slices.Sort(out)
	return strings.Join(out, " ")
}

func TestTree(t *testing.T) {
	d := newDB(t)
	r := d.Root()
	if r.Domain != domain || r.Configuration != "CN=Configuration,"+domain || r.Schema != "CN=Schema,CN=Configuration,"+domain ||
		r.DNSDomain != "contoso.test" || r.NetBIOS != "CONTOSO" || !strings.HasPrefix(r.ServerName, "CN=MAIL,CN=Servers,CN=Default-First-Site-Name,") {
		t.Errorf("%+v", r)
	}
	e, err := directory.Get(ctx, d, admin, "cn=administrator,cn=USERS,dc=Contoso,dc=test", "*", "memberOf")
	if err != nil {
		t.Fatal(err)
	}
	if got := schema.FormatSID(e.Values("objectSid")[0]); !strings.HasPrefix(got, "S-1-5-21-") || !strings.HasSuffix(got, "-500") {
		t.Errorf("SID %s", got)
	}
	if n := len(e.Values("memberOf")); n != 4 {
		t.Errorf("Administrator is in %d groups: %v", n, e.Texts("memberOf"))
	}
	if got := e.Text("objectCategory"); got != "CN=Person,CN=Schema,CN=Configuration,"+domain {
		t.Errorf("category %q", got)
	}
	if byGUID, err := directory.Get(ctx, d, admin, directory.GUIDName(e.GUID())); err != nil || byGUID.DN != e.DN {
		t.Errorf("by GUID: %v, %v", byGUID, err)
	}
	all := directory.Search{Base: domain, Scope: directory.Subtree}
	if got := search(t, d, admin, all, "(objectClass=configuration)"); got != "" {
		t.Errorf("a domain search crosses into %s", got)
	}
	all.Global = true
	if got := search(t, d, admin, all, "(objectClass=configuration)"); got != "CN=Configuration" {
		t.Errorf("a global search finds %q", got)
	}
	if got := search(t, d, admin, directory.Search{Base: domain, Scope: directory.One}, "(objectClass=container)"); got !=
		"CN=Computers CN=ForeignSecurityPrincipals CN=Program Data CN=System CN=Users" {
		t.Errorf("children: %s", got)
	}
}

func TestExtendSchemaTwice(t *testing.T) {
	d := newDB(t)
	dn := "CN=x," + users
	attrs := []directory.Attribute{directory.Attr("objectClass", "user"), directory.Attr("mailNickname", "x")}
	if err := d.Add(ctx, admin, dn, attrs); !model.IsKind(err, model.KindInvalid) {
		t.Errorf("Exchange attribute before the extension: %v", err)
	}
	for range 2 {
		last := 0
		if err := d.ExtendSchema(ctx, admin, func(done, total int) { last = total - done }); err != nil || last != 0 {
			t.Fatal(err, last)
		}
	}
	if err := d.Add(ctx, admin, dn, attrs); err != nil {
		t.Fatal(err)
	}
	if got := search(t, d, admin, directory.Search{Base: d.Root().Schema, Scope: directory.One}, "(lDAPDisplayName=mailnickname)"); got != "CN=ms-Exch-Mail-Nickname" {
		t.Errorf("schema object: %q", got)
	}
}

func TestSearchFilters(t *testing.T) {
	d := extended(t)
	for i, n := range []string{"alice", "bob", "carol"} {
		addUser(t, d, n, directory.Attr("mail", n+"@contoso.test"), directory.Attr("displayName", strings.ToUpper(n)+" Smith"),
			directory.Attr("mailNickname", n), directory.Attr("proxyAddresses", "SMTP:"+n+"@contoso.test", "smtp:"+n+"2@contoso.test"),
			directory.Attr("delivContLength", fmt.Sprint(100*i)))
	}
	addUser(t, d, "dave")
	if err := d.Add(ctx, admin, "CN=staff,"+users, []directory.Attribute{directory.Attr("objectClass", "group"),
		directory.Attr("member", "CN=alice,"+users, "CN=bob,"+users)}); err != nil {
		t.Fatal(err)
	}
	s := directory.Search{Base: domain, Scope: directory.Subtree}
	for f, want := range map[string]string{
		"(sAMAccountName=ALICE)":                  "CN=alice",
		"(proxyAddresses=smtp:BOB2@contoso.test)": "CN=bob",
		"(mail=a*)":                                  "CN=alice",
		"(mail=*@contoso.test)":                      "CN=alice CN=bob CN=carol",
		"(mail=*o*o*)":                               "CN=alice CN=bob CN=carol",
		"(displayName=alice   SMITH)":                "CN=alice",
		"(&(objectCategory=person)(mailNickname=*))": "CN=alice CN=bob CN=carol",
		"(&(objectCategory=person)(objectClass=user)(!(mail=*)))": "CN=Administrator CN=dave",
		"(|(cn=alice)(cn=dave))":                                  "CN=alice CN=dave",
		"(memberOf=CN=staff," + users + ")":                       "CN=alice CN=bob",
		"(member=CN=bob," + users + ")":                           "CN=staff",
		"(delivContLength>=100)":                                  "CN=bob CN=carol",
		"(delivContLength<=99)":                                   "CN=alice",
		"(userAccountControl:1.2.840.113556.1.4.803:=512)":        "CN=Administrator CN=alice CN=bob CN=carol CN=dave",
		"(groupType:1.2.840.113556.1.4.804:=4)":                   "CN=Administrators CN=Guests CN=Pre-Windows 2000 Compatible Access CN=Users",
		"(anr=ali)":                                               "CN=alice",
		"(nosuch=1)":                                              "",
		"(!(nosuch=1))":                                           "",
		"(objectCategory=nosuch)":                                 "",
		"(distinguishedName=CN=dave," + users + ")":               "CN=dave",
		"(supplementalCredentials=*)":                             "",
	} {
		if got := search(t, d, admin, s, f); got != want {
			t.Errorf("%s: %q, want %q", f, got, want)
		}
	}
	if got := search(t, d, user, s, "(delivContLength>=0)"); got != "" {
		t.Errorf("a user searches by what he may not read: %s", got)
	}
	if got := search(t, d, directory.Principal{}, s, "(cn=alice)"); got != "permission denied" {
		t.Errorf("anonymous: %s", got)
	}
}

func TestPages(t *testing.T) {
	d := newDB(t)
	for i := range 25 {
		addUser(t, d, fmt.Sprintf("u%02d", i))
	}
	f, _ := ldap.ParseFilter("(sAMAccountName=u*)")
	s := directory.Search{Base: users, Scope: directory.One, Filter: f, Limit: 10}
	var sizes []int
	seen := map[string]bool{}
	for {
		n := 0
		next, err := d.Search(ctx, user, &s, func(e *directory.Entry) error {
			n++
			if seen[e.DN] {
				t.Errorf("%s twice", e.DN)
			}
			seen[e.DN] = true
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		sizes = append(sizes, n)
		if s.After = next; next == "" {
			break
		}
	}
	if !slices.Equal(sizes, []int{10, 10, 5}) {
		t.Error(sizes)
	}
	s.After = "x"
	if _, err := d.Search(ctx, user, &s, nil); !model.IsKind(err, model.KindInvalid) {
		t.Errorf("bad cookie: %v", err)
	}
}

func TestModify(t *testing.T) {
	d := extended(t)
	dn := addUser(t, d, "alice", directory.Attr("otherTelephone", "1", "2"))
	mod := func(op directory.ModOp, name string, vs ...string) error {
		return d.Modify(ctx, admin, dn, []directory.Modification{{Op: op, Attr: directory.Attr(name, vs...)}})
	}
	for _, c := range []struct {
		op   directory.ModOp
		name string
		vs   []string
		kind model.Kind
		want string
	}{
		{directory.AddValues, "otherTelephone", []string{"3"}, 0, "1 2 3"},
		{directory.AddValues, "otherTelephone", []string{"3"}, model.KindExists, "1 2 3"},
		{directory.DeleteValues, "otherTelephone", []string{"1"}, 0, "2 3"},
		{directory.DeleteValues, "otherTelephone", []string{"9"}, model.KindNotFound, "2 3"},
		{directory.Replace, "otherTelephone", []string{"7", "7"}, 0, "7"},
		{directory.DeleteValues, "otherTelephone", nil, 0, ""},
		{directory.DeleteValues, "otherTelephone", nil, model.KindNotFound, ""},
		{directory.AddValues, "displayName", []string{"a", "b"}, model.KindInvalid, ""},
		{directory.Replace, "delivContLength", []string{"5"}, 0, "5"},
		{directory.Increment, "delivContLength", []string{"-3"}, 0, "2"},
		{directory.Replace, "delivContLength", []string{"five"}, model.KindInvalid, "2"},
		{directory.Replace, "objectGUID", []string{"x"}, model.KindPermission, ""},
		{directory.Replace, "supplementalCredentials", []string{"x"}, model.KindPermission, ""},
		{directory.Replace, "memberOf", []string{users}, model.KindInvalid, ""},
		{directory.Replace, "cn", []string{"x"}, model.KindPermission, "alice"},
		{directory.Replace, "nosuch", []string{"x"}, model.KindInvalid, ""},
		{directory.Replace, "manager", []string{"CN=nobody," + users}, model.KindInvalid, ""},
		{directory.Replace, "manager", []string{"CN=Administrator," + users}, 0, "CN=Administrator," + users},
		{directory.Replace, "manager", []string{"CN=Guests,CN=Builtin," + domain}, 0, "CN=Guests,CN=Builtin," + domain},
	} {
		err := mod(c.op, c.name, c.vs...)
		if model.KindOf(err) != c.kind || (err == nil) != (c.kind == 0) {
			t.Errorf("%d %s %v: %v", c.op, c.name, c.vs, err)
		}
		if e, err := directory.Get(ctx, d, admin, dn, c.name); err != nil || c.name != "objectGUID" && strings.Join(e.Texts(c.name), " ") != c.want {
			t.Errorf("%s is %v, want %s, %v", c.name, e.Texts(c.name), c.want, err)
		}
	}
	if err := d.Modify(ctx, user, dn, nil); !model.IsKind(err, model.KindPermission) {
		t.Errorf("a user modifies: %v", err)
	}
	e, _ := directory.Get(ctx, d, admin, "CN=Guests,CN=Builtin,"+domain, "directReports")
	if e.Text("directReports") != dn {
		t.Errorf("back link %v", e.Texts("directReports"))
	}
}

func TestUniqueNames(t *testing.T) {
	d := extended(t)
	addUser(t, d, "alice", directory.Attr("proxyAddresses", "SMTP:a@x.test"))
	err := d.Add(ctx, admin, "CN=b,"+users, []directory.Attribute{directory.Attr("objectClass", "user"), directory.Attr("sAMAccountName", "Alice")})
	if !model.IsKind(err, model.KindExists) {
		t.Errorf("second account name: %v", err)
	}
	addUser(t, d, "bob")
	err = d.Modify(ctx, admin, "CN=bob,"+users, []directory.Modification{{Op: directory.AddValues, Attr: directory.Attr("proxyAddresses", "smtp:A@X.test")}})
	if !model.IsKind(err, model.KindExists) {
		t.Errorf("second proxy address: %v", err)
	}
}

func TestRenameAndDelete(t *testing.T) {
	d := extended(t)
	dn := addUser(t, d, "alice", directory.Attr("proxyAddresses", "SMTP:a@x.test"))
	if err := d.Add(ctx, admin, "OU=Sales,"+domain, []directory.Attribute{directory.Attr("objectClass", "organizationalUnit")}); err != nil {
		t.Fatal(err)
	}
	if err := d.Add(ctx, admin, "CN=staff,"+users, []directory.Attribute{directory.Attr("objectClass", "group"), directory.Attr("member", dn)}); err != nil {
		t.Fatal(err)
	}
	if err := d.Rename(ctx, admin, dn, "CN=Alice B.", "OU=Sales,"+domain); err != nil {
		t.Fatal(err)
	}
	dn = "CN=Alice B.,OU=Sales," + domain
	e, err := directory.Get(ctx, d, admin, "CN=staff,"+users, "member")
	if err != nil || e.Text("member") != dn {
		t.Errorf("member after the rename: %v, %v", e.Texts("member"), err)
	}
	for name, err := range map[string]error{
		"domain":        d.Rename(ctx, admin, domain, "DC=x", ""),
		"with children": d.Delete(ctx, admin, "OU=Sales,"+domain),
		"configuration": d.Delete(ctx, admin, "CN=Configuration,"+domain),
		"below itself":  d.Rename(ctx, admin, "OU=Sales,"+domain, "OU=Sales", "OU=Sales,"+domain),
		"taken":         d.Rename(ctx, admin, "CN=staff,"+users, "CN=Domain Users", ""),
	} {
		if err == nil {
			t.Errorf("%s was allowed", name)
		}
	}
	before := d.Root().HighestUSN
	if err := d.Delete(ctx, admin, dn); err != nil {
		t.Fatal(err)
	}
	if got := search(t, d, admin, directory.Search{Base: domain, Scope: directory.Subtree}, "(|(proxyAddresses=smtp:a@x.test)(cn=alice*))"); got != "" {
		t.Errorf("found after deletion: %s", got)
	}
	var gone []string
	next, complete, err := d.Changes(ctx, admin, directory.Cookie{Invocation: d.Root().Invocation, USN: before}, func(e *directory.Entry) error {
		if e.Bool("isDeleted") {
			gone = append(gone, e.Text("sAMAccountName"))
		}
		return nil
	})
	if err != nil || !complete || !slices.Equal(gone, []string{"alice"}) || next.USN != d.Root().HighestUSN {
		t.Errorf("feed: %v, %v, %v, %v", gone, next, complete, err)
	}
	if _, complete, _ := d.Changes(ctx, admin, directory.Cookie{Invocation: model.NewGUID(), USN: 5}, func(*directory.Entry) error { return nil }); complete {
		t.Error("a cookie of another invocation is taken for complete")
	}
	e, _ = directory.Get(ctx, d, admin, "CN=staff,"+users, "member")
	if e.Values("member") != nil {
		t.Error("the group still has the member")
	}
	addUser(t, d, "alice", directory.Attr("proxyAddresses", "SMTP:a@x.test"))
}

// cameBack is an engine that came back to an earlier state, until settled.
type cameBack struct {
	*memory.DB
	finding *kv.Rewind
	settle  error
}

func (c *cameBack) Rewound(context.Context) (*kv.Rewind, error) { return c.finding, nil }
func (c *cameBack) Settle(context.Context) error {
	if c.settle == nil {
		c.finding = nil
	}
	return c.settle
}

// TestRewind: whoever followed the changes reads everything again, and no
// security identifier is given to two accounts.
func TestRewind(t *testing.T) {
	db := memory.New(memory.Options{})
	d := open(t, db)
	before := d.Root()
	dn := addUser(t, d, "a")
	sid := func(dn string) uint32 {
		e, err := directory.Get(ctx, d, admin, dn, "objectSid")
		if err != nil {
			t.Fatal(err)
		}
		s := e.Values("objectSid")[0]
		return binary.LittleEndian.Uint32(s[len(s)-4:])
	}
	last := sid(dn)
	told := 0
	o := Options{DNSDomain: "contoso.test", DNSHost: "mail.contoso.test", Rewound: func(kv.Rewind) { told++ }}
	e := &cameBack{DB: db, finding: &kv.Rewind{Certain: true}, settle: kv.ErrNoSpace}
	if _, err := Open(ctx, e, o); !model.IsKind(err, model.KindNoSpace) || told != 0 {
		t.Fatalf("not settled: %v, told %d times", err, told)
	}
	e.settle = nil
	var err error
	if d, err = Open(ctx, e, o); err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if d.Root().Invocation == before.Invocation || e.finding != nil || told != 1 {
		t.Errorf("%+v, %v, told %d times", d.Root(), e.finding, told)
	}
	if _, complete, err := d.Changes(ctx, admin, directory.Cookie{Invocation: before.Invocation, USN: before.HighestUSN}, func(*directory.Entry) error { return nil }); complete || err != nil {
		t.Errorf("a cookie of before is good: %v", err)
	}
	if next := sid(addUser(t, d, "b")); next <= last+ridsSkipped {
		t.Errorf("relative id %d after %d", next, last)
	}
	if inv := d.Root().Invocation; open(t, db).Root().Invocation != inv {
		t.Error("the invocation id is not stored")
	}
}

func TestSurvivesPowerCut(t *testing.T) {
	db := memory.New(memory.Options{SyncLatency: time.Millisecond})
	d := open(t, db)
	for i := range 10 {
		addUser(t, d, fmt.Sprint("u", i))
	}
	inv, usn := d.Root().Invocation, d.Root().HighestUSN
	db.PowerCut()
	db2, err := db.Reopen()
	if err != nil {
		t.Fatal(err)
	}
	d = open(t, db2)
	defer d.Close()
	if d.Root().Invocation != inv || d.Root().HighestUSN != usn {
		t.Errorf("root %+v", d.Root())
	}
	if got := search(t, d, admin, directory.Search{Base: users, Scope: directory.One}, "(sAMAccountName=u*)"); strings.Count(got, " ") != 9 {
		t.Error(got)
	}
	w := d.Watch(ctx)
	addUser(t, d, "after")
	<-w
}
