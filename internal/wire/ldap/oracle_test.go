package ldap

import (
	"bufio"
	"bytes"
	"net"
	"strings"
	"testing"

	goldap "github.com/go-ldap/ldap/v3"
	"github.com/google/go-cmp/cmp"
)

// TestClientOracle lets an independent client send every kind of request and
// read our answers.
func TestClientOracle(t *testing.T) {
	here, there := net.Pipe()
	got := make(chan *Message, 32)
	go answer(here, got)
	c := goldap.NewConn(there, false)
	c.Start()
	defer c.Close()

	if err := c.Bind("CN=a,DC=test", "pw"); err != nil {
		t.Fatal(err)
	}
	req := goldap.NewSearchRequest("DC=test", goldap.ScopeWholeSubtree, goldap.DerefAlways, 10, 20, false,
		`(&(cn=a\2a*b*)(!(x=*))(y:dn:1.2.3:=z))`, []string{"cn", "mail"}, nil)
	res, err := c.SearchWithPaging(req, 100)
	if err != nil {
		t.Fatal(err)
	}
	if len(res.Entries) != 2 || res.Entries[1].DN != "CN=two" || res.Entries[1].GetAttributeValue("cn") != "two" || len(res.Referrals) != 1 {
		t.Errorf("client saw %+v", res)
	}
	mod := goldap.NewModifyRequest("CN=m", nil)
	mod.Replace("mail", []string{"x", "y"})
	mod.Delete("sn", nil)
	mod.Increment("n", "1")
	add := goldap.NewAddRequest("CN=n", nil)
	add.Attribute("objectClass", []string{"top"})
	for _, err := range []error{c.Modify(mod), c.Add(add), c.Del(goldap.NewDelRequest("CN=d", nil)),
		c.ModifyDN(goldap.NewModifyDNRequest("CN=d", "CN=e", true, "DC=up"))} {
		if err != nil {
			t.Error(err)
		}
	}
	if eq, err := c.Compare("CN=m", "cn", "m"); !eq || err != nil {
		t.Error(eq, err)
	}
	if who, err := c.WhoAmI(nil); err != nil || who.AuthzID != "u:alice" {
		t.Error(who, err)
	}
	err = c.Del(goldap.NewDelRequest("CN=missing", nil))
	if le, ok := err.(*goldap.Error); !ok || le.ResultCode != goldap.LDAPResultNoSuchObject || le.MatchedDN != "DC=test" {
		t.Errorf("failure arrived as %v", err)
	}
	c.Unbind()

	filter, _ := ParseFilter(`(&(cn=a\2a*b*)(!(x=*))(y:dn:1.2.3:=z))`)
	up := "DC=up"
	want := []Op{
		&BindRequest{Version: 3, Name: "CN=a,DC=test", Simple: []byte("pw")},
		&SearchRequest{"DC=test", ScopeSubtree, 3, 10, 20, false, filter, []string{"cn", "mail"}},
		&SearchRequest{"DC=test", ScopeSubtree, 3, 10, 20, false, filter, []string{"cn", "mail"}},
		&ModifyRequest{"CN=m", []Change{{ChangeReplace, Attribute{"mail", vals("x", "y")}}, {ChangeDelete, Attribute{"sn", nil}}, {ChangeIncrement, Attribute{"n", vals("1")}}}},
		&AddRequest{"CN=n", []Attribute{{"objectClass", vals("top")}}},
		&DeleteRequest{"CN=d"},
		&ModifyDNRequest{"CN=d", "CN=e", true, &up},
		&CompareRequest{"CN=m", "cn", []byte("m")},
		&ExtendedRequest{OIDWhoAmI, nil},
		&DeleteRequest{"CN=missing"},
		&UnbindRequest{},
	}
	for i, w := range want {
		m := <-got
		if d := cmp.Diff(w, m.Op); d != "" {
			t.Errorf("request %d:\n%s", i, d)
		}
	}
}

// answer is a server that says yes, pages once, and records what it was asked.
func answer(conn net.Conn, got chan<- *Message) {
	br := bufio.NewReader(conn)
	pages := 0
	for {
		m, err := ReadMessage(br, 1<<20)
		if err != nil {
			return
		}
		got <- m
		reply := &Message{ID: m.ID, Op: ResponseTo(m.Op, Result{})}
		var out []byte
		switch o := m.Op.(type) {
		case *UnbindRequest:
			conn.Close()
			return
		case *SearchRequest:
			p, err := ParsePagedResults(m.Control(OIDPagedResults).Value)
			if err != nil || p.Size != 100 {
				return
			}
			name, cookie := "one", []byte("more")
			if pages++; pages > 1 {
				name, cookie = "two", nil
				out = AppendMessage(out, &Message{ID: m.ID, Op: &SearchReference{[]string{"ldap://other/"}}})
			}
			out = AppendMessage(out, &Message{ID: m.ID, Op: &SearchEntry{"CN=" + name, []Attribute{{"cn", vals(name)}}}})
			reply.Controls = []Control{PagedResults{0, cookie}.Control(false)}
		case *CompareRequest:
			reply.Op = &CompareResponse{Result{Code: CompareTrue}}
		case *ExtendedRequest:
			reply.Op = &ExtendedResponse{Value: []byte("u:alice")}
		case *DeleteRequest:
			if o.DN == "CN=missing" {
				reply.Op = &DeleteResponse{Result{Code: NoSuchObject, MatchedDN: "DC=test", Message: "no"}}
			}
		}
		conn.Write(AppendMessage(out, reply))
	}
}

func TestFilterOracle(t *testing.T) {
	for _, s := range []string{
		"(cn=a)", "(&(a=b)(c=d))", "(|(a=b)(!(c=d)))", "(cn=*)", "(cn=a*)", "(cn=*a)", "(cn=a*b*c)", "(cn=*a*)", "(a>=1)", "(a<=1)", "(a~=1)",
		`(cn=\28x\29\2a\5c)`, `(guid=\00\ff\10)`, "(a:=b)", "(a:dn:=b)", "(a:1.2.3:=b)", "(a:dn:1.2.3:=b)", "(:1.2.3:=b)", "(cn=grüße)", "(cn=)",
	} {
		f, err := ParseFilter(s)
		if err != nil {
			t.Errorf("%s: %v", s, err)
			continue
		}
		var w Writer
		f.appendTo(&w)
		p, err := goldap.CompileFilter(s)
		if err != nil {
			t.Errorf("%s: oracle: %v", s, err)
			continue
		}
		if theirs := p.Bytes(); !bytes.Equal(w.B, theirs) {
			// The oracle writes true as 01, DER as ff.
			if !bytes.Equal(bytes.ReplaceAll(w.B, []byte("\x84\x01\xff"), []byte("\x84\x01\x01")), theirs) {
				t.Errorf("%s:\n% x\n% x", s, w.B, theirs)
			}
		}
		count := 0
		back, err := decodeFilter(NewReader(p.Bytes()), 0, &count)
		if err != nil || back.String() != f.String() {
			t.Errorf("%s from the oracle's bytes: %v, %v", s, back, err)
		}
	}
}

func TestDNOracle(t *testing.T) {
	for _, s := range []string{"", "CN=a", "CN=Smith\\, John,OU=x+L=y,DC=contoso,DC=test", "cn=a\\20", "CN=\\#x", "cn=gr\\C3\\BCn", "cn= a , dc=b", `cn=a\\b`, `cn=\ a`} {
		d, err := ParseDN(s)
		o, oerr := goldap.ParseDN(s)
		if err != nil || oerr != nil || len(d) != len(o.RDNs) {
			t.Errorf("%q: %v, %v, %v", s, d, err, oerr)
			continue
		}
		for i, r := range o.RDNs {
			for j, a := range r.Attributes {
				if d[i][j].Type != a.Type || d[i][j].Value != a.Value {
					t.Errorf("%q: %+v, oracle %+v", s, d[i][j], a)
				}
			}
		}
		if again, err := goldap.ParseDN(d.String()); err != nil || !again.Equal(o) {
			t.Errorf("%q printed as %q: %v", s, d, err)
		}
	}
	if !strings.EqualFold(goldap.EscapeDN(` a,b+"`), EscapeDN(` a,b+"`)) {
		t.Errorf("%q, oracle %q", EscapeDN(` a,b+"`), goldap.EscapeDN(` a,b+"`))
	}
}
