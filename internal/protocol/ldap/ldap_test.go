package ldap

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"strings"
	"testing"

	client "github.com/go-ldap/ldap/v3"

	"rialto/internal/auth"
	"rialto/internal/directory"
	"rialto/internal/directory/embedded"
	"rialto/internal/kv/memory"
	"rialto/internal/model"
	"rialto/internal/service"
)

const (
	domain = "DC=contoso,DC=test"
	users  = "CN=Users," + domain
)

// finder knows administrator and alice, whose password is pw.
type finder struct{ hash string }

func (f finder) FindAccount(_ context.Context, name string) (*auth.Account, error) {
	switch {
	case strings.HasPrefix(strings.ToLower(name), "cn=administrator,"):
		return &auth.Account{GUID: model.GUID{1}, Name: "administrator", DN: "CN=Administrator," + users, Credential: f.hash, Admin: true}, nil
	case strings.HasPrefix(name, "alice"):
		return &auth.Account{GUID: model.GUID{2}, Name: "alice", DN: "CN=alice," + users, Credential: f.hash}, nil
	}
	return nil, model.E("test", model.KindNotFound, name, nil)
}

// start runs a head and returns its address.
func start(t *testing.T, global bool) (addr string, d *embedded.DB) {
	t.Helper()
	ctx := context.Background()
	d, err := embedded.Open(ctx, memory.New(memory.Options{}), embedded.Options{DNSDomain: "contoso.test", DNSHost: "mail.contoso.test"})
	if err != nil {
		t.Fatal(err)
	}
	a := auth.New(nil)
	hash, err := a.Hasher.Hash(ctx, "pw")
	if err != nil {
		t.Fatal(err)
	}
	a.Finder = finder{hash}
	var certs service.Certificates
	cert, key, err := service.SelfSigned([]string{"mail.contoso.test"})
	if err != nil {
		t.Fatal(err)
	}
	if err := certs.Set(cert, key); err != nil {
		t.Fatal(err)
	}
	head := &Server{Directory: d, Auth: a, Global: global}
	srv := &service.Server{Name: "ldap", Handler: head.Handle, TLS: certs.Config}
	ln, err := service.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go srv.Serve(ctx, ln)
	t.Cleanup(func() { srv.Shutdown(ctx); d.Close() })
	return ln.Addr().String(), d
}

func dial(t *testing.T, addr, user string) *client.Conn {
	t.Helper()
	c, err := client.DialURL("ldap://" + addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if user != "" {
		if err := c.Bind(user, "pw"); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

func find(c *client.Conn, base, filter string, attrs ...string) ([]*client.Entry, error) {
	r, err := c.Search(client.NewSearchRequest(base, client.ScopeWholeSubtree, client.NeverDerefAliases, 0, 0, false, filter, attrs, nil))
	if r == nil {
		return nil, err
	}
	return r.Entries, err
}

func code(err error) uint16 {
	if e, ok := err.(*client.Error); ok {
		return e.ResultCode
	}
	return 0
}

func TestRootDSEIsForEverybody(t *testing.T) {
	addr, _ := start(t, false)
	c := dial(t, addr, "")
	r, err := c.Search(client.NewSearchRequest("", client.ScopeBaseObject, 0, 0, 0, false, "(objectClass=*)", []string{"defaultNamingContext", "supportedControl"}, nil))
	if err != nil || len(r.Entries) != 1 || r.Entries[0].GetAttributeValue("defaultNamingContext") != domain || len(r.Entries[0].Attributes) != 2 {
		t.Fatalf("%+v, %v", r, err)
	}
	if _, err := find(c, domain, "(cn=*)"); code(err) != client.LDAPResultOperationsError {
		t.Errorf("anonymous search: %v", err)
	}
	if err := c.Add(&client.AddRequest{DN: "CN=x," + users, Attributes: []client.Attribute{{Type: "objectClass", Vals: []string{"user"}}}}); code(err) != client.LDAPResultInsufficientAccessRights {
		t.Errorf("anonymous add: %v", err)
	}
}

func TestBind(t *testing.T) {
	addr, _ := start(t, false)
	for name, want := range map[string]uint16{"alice": 0, "alice@contoso.test": 0, "cn=administrator," + users: 0, "nobody": client.LDAPResultInvalidCredentials} {
		if err := dial(t, addr, "").Bind(name, "pw"); code(err) != want {
			t.Errorf("%s: %v", name, err)
		}
	}
	c := dial(t, addr, "alice")
	if err := c.Bind("alice", "wrong"); code(err) != client.LDAPResultInvalidCredentials {
		t.Errorf("wrong password: %v", err)
	}
	if _, err := find(c, domain, "(cn=*)"); code(err) != client.LDAPResultOperationsError {
		t.Error("a failed bind left the session signed in")
	}
	if err := c.UnauthenticatedBind("alice"); code(err) != client.LDAPResultUnwillingToPerform {
		t.Errorf("name without password: %v", err)
	}
	if err := c.StartTLS(&tls.Config{InsecureSkipVerify: true}); err != nil {
		t.Fatal(err)
	}
	if err := c.Bind("alice", "pw"); err != nil {
		t.Fatal(err)
	}
	who, err := c.WhoAmI(nil)
	if err != nil || who.AuthzID != "dn:CN=alice,"+users {
		t.Errorf("%+v, %v", who, err)
	}
}

func TestWriteAndRead(t *testing.T) {
	addr, _ := start(t, false)
	admin := dial(t, addr, "CN=Administrator,"+users)
	add := client.NewAddRequest("CN=bob,"+users, nil)
	add.Attribute("objectClass", []string{"top", "person", "organizationalPerson", "user"})
	add.Attribute("sAMAccountName", []string{"bob"})
	add.Attribute("mail", []string{"bob@contoso.test"})
	if err := admin.Add(add); err != nil {
		t.Fatal(err)
	}
	if err := admin.Add(add); code(err) != client.LDAPResultEntryAlreadyExists {
		t.Errorf("twice: %v", err)
	}
	mod := client.NewModifyRequest("CN=bob,"+users, nil)
	mod.Replace("telephoneNumber", []string{"42"})
	mod.Add("otherTelephone", []string{"1", "2"})
	if err := admin.Modify(mod); err != nil {
		t.Fatal(err)
	}
	mod = client.NewModifyRequest("CN=bob,"+users, nil)
	mod.Delete("otherTelephone", []string{"9"})
	if err := admin.Modify(mod); code(err) != client.LDAPResultNoSuchAttribute {
		t.Errorf("deleting what is not there: %v", err)
	}
	user := dial(t, addr, "alice")
	es, err := find(user, domain, "(mail=bob*)")
	if err != nil || len(es) != 1 || es[0].GetAttributeValue("telephoneNumber") != "42" || es[0].GetAttributeValue("userAccountControl") != "" {
		t.Fatalf("%v, %v", es, err)
	}
	if ok, err := user.Compare("CN=bob,"+users, "mail", "BOB@contoso.test"); err != nil || !ok {
		t.Errorf("compare: %v, %v", ok, err)
	}
	if ok, err := user.Compare("CN=bob,"+users, "mail", "x"); err != nil || ok {
		t.Errorf("compare: %v, %v", ok, err)
	}
	if err := user.Del(client.NewDelRequest("CN=bob,"+users, nil)); code(err) != client.LDAPResultInsufficientAccessRights {
		t.Errorf("a user deletes: %v", err)
	}
	if err := admin.ModifyDN(client.NewModifyDNRequest("CN=bob,"+users, "CN=Robert", true, "OU=Domain Controllers,"+domain)); err != nil {
		t.Fatal(err)
	}
	if err := admin.Del(client.NewDelRequest("CN=Robert,OU=Domain Controllers,"+domain, nil)); err != nil {
		t.Fatal(err)
	}
	if err := admin.Del(client.NewDelRequest("OU=Domain Controllers,DC=x", nil)); code(err) != client.LDAPResultNoSuchObject {
		t.Errorf("no such object: %v", err)
	}
	if err := admin.Del(client.NewDelRequest(users, nil)); code(err) != client.LDAPResultNotAllowedOnNonLeaf {
		t.Errorf("container with children: %v", err)
	}
}

func TestPagesAndLimits(t *testing.T) {
	addr, d := start(t, false)
	for i := range 1200 {
		if err := d.Add(context.Background(), directory.AsSystem, fmt.Sprintf("CN=u%04d,%s", i, users),
			[]directory.Attribute{directory.Attr("objectClass", "contact")}); err != nil {
			t.Fatal(err)
		}
	}
	c := dial(t, addr, "alice")
	req := client.NewSearchRequest(users, client.ScopeSingleLevel, 0, 0, 0, false, "(cn=u*)", []string{"cn"}, nil)
	r, err := c.SearchWithPaging(req, 500)
	if err != nil || len(r.Entries) != 1200 {
		t.Fatalf("paged: %d, %v", len(r.Entries), err)
	}
	r, err = c.Search(client.NewSearchRequest(users, client.ScopeSingleLevel, 0, 0, 0, false, "(cn=u*)", nil, nil))
	if code(err) != client.LDAPResultSizeLimitExceeded || len(r.Entries) != maxPageSize {
		t.Errorf("unpaged: %v", err)
	}
	r, err = c.Search(client.NewSearchRequest(users, client.ScopeSingleLevel, 0, 7, 0, false, "(cn=u*)", nil, nil))
	if code(err) != client.LDAPResultSizeLimitExceeded || len(r.Entries) != 7 {
		t.Errorf("size limit: %v", err)
	}
	_, err = c.Search(client.NewSearchRequest(users, 1, 0, 0, 0, false, "(cn=*)", nil, []client.Control{client.NewControlString("1.2.3.4", true, "")}))
	if code(err) != client.LDAPResultUnavailableCriticalExtension {
		t.Errorf("unknown critical control: %v", err)
	}
}

func TestGlobalCatalog(t *testing.T) {
	addr, _ := start(t, true)
	c := dial(t, addr, "CN=Administrator,"+users)
	es, err := find(c, "", "(objectClass=configuration)")
	if err != nil || len(es) != 1 {
		t.Errorf("%v, %v", es, err)
	}
	es, err = find(c, domain, "(cn=Administrator)", "cn", "pwdLastSet", "supplementalCredentials")
	if err != nil || len(es) != 1 || len(es[0].Attributes) != 1 {
		t.Errorf("attributes outside the partial set: %v, %v", es, err)
	}
	if err := c.Del(client.NewDelRequest("CN=Guests,CN=Builtin,"+domain, nil)); code(err) != client.LDAPResultUnwillingToPerform {
		t.Errorf("write: %v", err)
	}
}

func TestSubschema(t *testing.T) {
	addr, _ := start(t, false)
	c := dial(t, addr, "alice")
	r, err := c.Search(client.NewSearchRequest("CN=Aggregate,CN=Schema,CN=Configuration,"+domain, client.ScopeBaseObject, 0, 0, 0, false, "(objectClass=*)", []string{"attributeTypes", "objectClasses"}, nil))
	if err != nil || len(r.Entries) != 1 || len(r.Entries[0].GetAttributeValues("objectClasses")) < 40 {
		t.Fatalf("%v, %v", r, err)
	}
}

func TestRubbishEndsTheSession(t *testing.T) {
	addr, _ := start(t, false)
	for _, junk := range []string{"GET / HTTP/1.0\r\n\r\n", "\x30\x84\xff\xff\xff\xff", "\x30\x03\x02\x01\x01", "\x30\x00", strings.Repeat("\x30\x80", 1000)} {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Write([]byte(junk)); err != nil {
			t.Fatal(err)
		}
		if err := c.(*net.TCPConn).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 4096)
		for err == nil {
			_, err = c.Read(buf)
		}
		c.Close()
	}
	if _, err := find(dial(t, addr, "alice"), users, "(cn=Administrator)"); err != nil {
		t.Errorf("server after rubbish: %v", err)
	}
}
