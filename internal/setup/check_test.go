package setup

import (
	"bytes"
	"strings"
	"testing"

	"rialto/internal/directory"
	"rialto/internal/directory/embedded"
	"rialto/internal/model"
	"rialto/internal/org"
)

func part(name string) Plan {
	p := Plan{Organization: "Contoso"}
	switch name {
	case "forest":
		p.ForestPrep = true
	case "domain":
		p.DomainPrep = true
	case "install":
		p.Install = true
	}
	return p
}

func must(t *testing.T, d directory.Directory, plans ...Plan) {
	t.Helper()
	for _, p := range plans {
		if err := Run(ctx, d, p, nil); err != nil {
			t.Fatal(err)
		}
	}
}

func refused(t *testing.T, d directory.Directory, p Plan, kind model.Kind, say string) {
	t.Helper()
	before := d.Root().HighestUSN
	var log bytes.Buffer
	p.Log = &log
	err := Run(ctx, d, p, nil)
	if !model.IsKind(err, kind) || !strings.Contains(err.Error(), say) {
		t.Errorf("%+v: %v, want %s", p, err, say)
	}
	if d.Root().HighestUSN != before {
		t.Error("something was written before Setup stopped")
	}
	if !strings.Contains(log.String(), "Error code 0X8") {
		t.Errorf("log:\n%s", log.String())
	}
}

func TestOrderOfParts(t *testing.T) {
	d := newDir(t)
	refused(t, d, part("domain"), model.KindConflict, "run ForestPrep first")
	refused(t, d, part("install"), model.KindConflict, "run ForestPrep first")
	must(t, d, part("forest"))
	const exchange = "CN=Microsoft Exchange,CN=Services,CN=Configuration,DC=contoso,DC=test"
	o, err := directory.Get(ctx, d, directory.AsSystem, "CN={335A1087-5131-4D45-BE3E-3C6C7F76F5EC},"+exchange, "msExchAdmins", "objectGUID")
	if err != nil || len(o.Texts("msExchAdmins")) != 1 || !strings.HasSuffix(o.Text("msExchAdmins"), "-512") {
		t.Errorf("placeholder %+v, %v", o, err)
	}
	refused(t, d, part("install"), model.KindConflict, "run DomainPrep first")
	must(t, d, part("domain"))
	for _, bad := range []string{"", "Contoso & Co", "a/b", " x", strings.Repeat("x", 64), "Ünion"} {
		p := part("install")
		p.Organization = bad
		refused(t, d, p, model.KindInvalid, "the organization's name")
	}
	p := part("install")
	p.SMTPDomain = "not a domain"
	refused(t, d, p, model.KindInvalid, "SMTP domain")
	p = part("install")
	p.Server = "a,b"
	refused(t, d, p, model.KindInvalid, "server's name")
	p = part("install")
	p.AdminGroup = "a/b"
	refused(t, d, p, model.KindInvalid, "administrative group's name")
	must(t, d, part("install"))
	named, err := directory.Get(ctx, d, directory.AsSystem, "CN=Contoso,"+exchange, "objectGUID")
	if err != nil || named.GUID() != o.GUID() {
		t.Errorf("the placeholder was not renamed: %v", err)
	}
	// Who is Full Administrator stays as administrators have it.
	other := "FullAdministrator:S-1-5-21-1-2-3-1234"
	if err := d.Modify(ctx, directory.AsSystem, named.DN, []directory.Modification{{Op: directory.Replace, Attr: directory.Attr("msExchAdmins", other)}}); err != nil {
		t.Fatal(err)
	}
	must(t, d, part("forest"), part("domain"), part("install"))
	if now, err := directory.Get(ctx, d, directory.AsSystem, named.DN, "msExchAdmins"); err != nil || strings.Join(now.Texts("msExchAdmins"), " ") != other {
		t.Errorf("administrators %v, %v", now.Texts("msExchAdmins"), err)
	}
	p = part("install")
	p.Organization = "Fabrikam"
	refused(t, d, p, model.KindConflict, "named Contoso already")
}

func TestSecondServerAndKeptSettings(t *testing.T) {
	d := newDir(t)
	must(t, d, whole())
	const delivery = "CN=Message Delivery,CN=Global Settings,CN=Contoso,CN=Microsoft Exchange,CN=Services,CN=Configuration,DC=contoso,DC=test"
	if err := d.Modify(ctx, directory.AsSystem, delivery, []directory.Modification{{Op: directory.Replace, Attr: directory.Attr("delivContLength", "2048")}}); err != nil {
		t.Fatal(err)
	}
	must(t, d, Plan{Install: true, FQDN: "mail2.contoso.test"})
	s, err := Installed(ctx, d)
	if err != nil || strings.Join(s.Servers, " ") != "MAIL MAIL2" {
		t.Errorf("%+v, %v", s, err)
	}
	e, err := directory.Get(ctx, d, directory.AsSystem, delivery, "delivContLength")
	if err != nil || e.Text("delivContLength") != "2048" {
		t.Errorf("the limit was reset: %v, %v", e.Text("delivContLength"), err)
	}
	const ag = "CN=First Administrative Group,CN=Administrative Groups,CN=Contoso,CN=Microsoft Exchange,CN=Services,CN=Configuration,DC=contoso,DC=test"
	e, err = directory.Get(ctx, d, directory.AsSystem, "CN=First Routing Group,CN=Routing Groups,"+ag, "msExchRoutingGroupMembersDN", "msExchRoutingMasterDN")
	if err != nil || len(e.Texts("msExchRoutingGroupMembersDN")) != 2 || !strings.HasPrefix(e.Text("msExchRoutingMasterDN"), "CN=MAIL,") {
		t.Errorf("routing group %+v, %v", e, err)
	}
	refused(t, d, Plan{Install: true, FQDN: "mail3.contoso.test", AdminGroup: "Elsewhere"}, model.KindNotFound, "no administrative group")
}

func TestGroupsMoved(t *testing.T) {
	d := newDir(t)
	must(t, d, part("forest"), part("domain"))
	const users = "CN=Users,DC=contoso,DC=test"
	rename := func(from, to, parent string) {
		t.Helper()
		if err := d.Rename(ctx, directory.AsSystem, from, to, parent); err != nil {
			t.Fatal(err)
		}
	}
	rename("CN=Exchange Domain Servers,"+users, "CN=EDS", "")
	refused(t, d, part("install"), model.KindConflict, "was moved or renamed")
	refused(t, d, part("domain"), model.KindConflict, "was moved or renamed")
	rename("CN=EDS,"+users, "CN=Exchange Domain Servers", "CN=Computers,DC=contoso,DC=test")
	refused(t, d, part("install"), model.KindConflict, "was moved or renamed")
	if err := d.Delete(ctx, directory.AsSystem, "CN=Exchange Domain Servers,CN=Computers,DC=contoso,DC=test"); err != nil {
		t.Fatal(err)
	}
	refused(t, d, part("install"), model.KindConflict, "run DomainPrep")
	must(t, d, part("domain"), part("install"))
}

func principal(t *testing.T, d *embedded.DB, name string, groups ...string) directory.Principal {
	t.Helper()
	dn := "CN=" + name + ",CN=Users,DC=contoso,DC=test"
	if err := d.Add(ctx, directory.AsSystem, dn, []directory.Attribute{directory.Attr("objectClass", "user")}); err != nil {
		t.Fatal(err)
	}
	for _, g := range groups {
		if err := d.Modify(ctx, directory.AsSystem, "CN="+g+",CN=Users,DC=contoso,DC=test",
			[]directory.Modification{{Op: directory.AddValues, Attr: directory.Attr("member", dn)}}); err != nil {
			t.Fatal(err)
		}
	}
	e, err := directory.Get(ctx, d, directory.AsSystem, dn, "objectGUID")
	if err != nil {
		t.Fatal(err)
	}
	return directory.Principal{GUID: e.GUID(), Level: directory.Administrator}
}

func TestRights(t *testing.T) {
	d := newDir(t)
	as := func(name string, p directory.Principal) Plan {
		pl := part(name)
		pl.Principal, pl.FullAdministrator = p, `CONTOSO\mailadmin`
		return pl
	}
	refused(t, d, as("forest", directory.Principal{Level: directory.User}), model.KindPermission, "by an administrator")
	root := principal(t, d, "root", "Schema Admins", "Enterprise Admins", "Domain Admins")
	half := principal(t, d, "half", "Schema Admins")
	refused(t, d, as("forest", half), model.KindPermission, "Enterprise Admins")
	refused(t, d, as("forest", root), model.KindNotFound, "mailadmin")
	mailadmin := principal(t, d, "mailadmin")
	must(t, d, as("forest", root))
	refused(t, d, as("domain", half), model.KindPermission, "Domain Admins")
	must(t, d, as("domain", root))
	refused(t, d, as("install", root), model.KindPermission, "Full Administrator")
	must(t, d, as("install", mailadmin))
}

func TestEnableProtocol(t *testing.T) {
	d := newDir(t)
	must(t, d, whole())
	o, err := org.Open(ctx, d, "MAIL", org.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	w := o.Watch(ctx)
	if err := EnableProtocol(ctx, d, directory.AsSystem, "mail", org.POP); err != nil {
		t.Fatal(err)
	}
	<-w
	on := map[org.Protocol]bool{}
	for _, v := range o.Config().Server.VirtualServers {
		on[v.Protocol] = v.Enabled
	}
	if !on[org.POP] || !on[org.IMAP] || on[org.NNTP] || !on[org.SMTP] || !on[org.HTTP] {
		t.Errorf("%v", on)
	}
	if err := EnableProtocol(ctx, d, directory.AsSystem, "nosuch", org.POP); !model.IsKind(err, model.KindNotFound) {
		t.Errorf("unknown server: %v", err)
	}
}
