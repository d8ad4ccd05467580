package ldap

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rialto/internal/model"
)

func TestParseFilter(t *testing.T) {
	for _, c := range []struct{ in, out string }{
		{"cn=x", "(cn=x)"},
		{" ( & (a=b) ( c=d ) ) ", "(&(a=b)(c=d ))"},
		{"(&)", "(&)"}, {"(|)", "(|)"},
		{"(cn=**)", "(cn=*)"},
		{"(cn=a**b)", "(cn=a*b)"},
		{`(cn=\2A\28)`, `(cn=\2a\28)`},
		{"(member;range=0)", "(member;range=0)"},
		{"(a=\xff)", `(a=\ff)`},
		{"(a:DN:=b)", "(a:dn:=b)"},
		{"(userAccountControl:1.2.840.113556.1.4.803:=2)", "(userAccountControl:1.2.840.113556.1.4.803:=2)"},
		{`(a=b\20)`, "(a=b )"},
	} {
		f, err := ParseFilter(c.in)
		if err != nil || f.String() != c.out {
			t.Errorf("%q: %v, %v; want %s", c.in, f, err, c.out)
		}
	}
	for _, bad := range []string{"", "(", ")", "()", "(a)", "(=b)", "(a=b", "(a=b))", "(a=b)(c=d)", "(!(a=b)(c=d))", "(!)", `(a=\)`, `(a=\2)`, `(a=\zz)`,
		"(a b=c)", "(a>=*)", "(:=x)", "(:dn:=x)", "(a:b:c:=x)", "(&(a=b)", "(a=(b)", strings.Repeat("(!", 100) + "(a=b)" + strings.Repeat(")", 100),
		"(&" + strings.Repeat("(a=b)", maxFilterNodes+1) + ")", "(a=" + strings.Repeat("*x", maxFilterNodes+1) + ")"} {
		if f, err := ParseFilter(bad); !model.IsKind(err, model.KindInvalid) {
			t.Errorf("%.40q: %v, %v", bad, f, err)
		}
	}
	if got := EscapeFilter("a*(b)\\\x00é"); got != `a\2a\28b\29\5c\00é` {
		t.Errorf("EscapeFilter = %s", got)
	}
	built := And(Equal("objectClass", "user"), Or(Present("mail"), Not(Equal("cn", "*"))))
	if got := built.String(); got != `(&(objectClass=user)(|(mail=*)(!(cn=\2a))))` {
		t.Errorf("built: %s", got)
	}
}

func FuzzFilter(f *testing.F) {
	f.Add(`(&(cn=a*b*c)(!(x=*))(y:dn:1.2.3:=z)(|(a>=1)(b<=2)(c~=\2a)))`)
	f.Add("cn=x")
	f.Fuzz(func(t *testing.T, s string) {
		p, err := ParseFilter(s)
		if err != nil {
			return
		}
		again, err := ParseFilter(p.String())
		if err != nil || !cmp.Equal(p, again) {
			t.Fatalf("%q -> %q: %v\n%s", s, p, err, cmp.Diff(p, again))
		}
		var w Writer
		p.appendTo(&w)
		count := 0
		back, err := decodeFilter(NewReader(w.B), 0, &count)
		if err != nil || back.String() != p.String() {
			t.Fatalf("%q by BER: %v, %v", s, back, err)
		}
	})
}

func TestParseDN(t *testing.T) {
	for _, c := range []struct{ in, out string }{
		{"", ""},
		{"  ", ""},
		{"CN=Administrator,CN=Users,DC=contoso,DC=test", "CN=Administrator,CN=Users,DC=contoso,DC=test"},
		{"cn = a ; dc = b", "cn=a,dc=b"},
		{`cn="a,b",dc=c`, `cn=a\,b,dc=c`},
		{`cn=a\2Cb\0A,dc=c`, `cn=a\,b\0A,dc=c`},
		{`cn=\ a\ `, `cn=\ a\ `},
		{`cn=a+sn=b,dc=c`, `cn=a+sn=b,dc=c`},
		{"2.5.4.3=#04026869", "2.5.4.3=hi"},
		{"OID.2.5.4.3=x", "2.5.4.3=x"},
		{"cn=,dc=x", "cn=,dc=x"},
		{"cn=a=b", "cn=a=b"},
		{`cn=Gr\C3\BCn`, "cn=Grün"},
	} {
		d, err := ParseDN(c.in)
		if err != nil || d.String() != c.out {
			t.Errorf("%q: %q, %v; want %q", c.in, d, err, c.out)
		}
	}
	for _, bad := range []string{"x", "cn=a,", ",cn=a", "cn=a,,dc=b", "=a", "c n=a", `cn=a\`, `cn=a\zz`, `cn="a`, `cn="a"b`, "cn=#04", "cn=#0502", "cn=a\x00", "cn;x=a",
		strings.Repeat("a", maxDNLength+1), strings.Repeat("a=b,", maxRDNs+1) + "a=b"} {
		if d, err := ParseDN(bad); !model.IsKind(err, model.KindInvalid) {
			t.Errorf("%.40q: %v, %v", bad, d, err)
		}
	}
}

func TestDNRelations(t *testing.T) {
	parse := func(s string) DN {
		d, err := ParseDN(s)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	a := parse("CN=Al  Ice , OU=Users,DC=Contoso,DC=test")
	if got := a.Key(); got != "cn=al ice,ou=users,dc=contoso,dc=test" {
		t.Errorf("Key = %q", got)
	}
	if !a.Equal(parse("2.5.4.3=al ice,ou=USERS,0.9.2342.19200300.100.1.25=contoso,dc=test")) || a.Equal(parse("cn=alice,ou=users,dc=contoso,dc=test")) {
		t.Error("Equal")
	}
	if !parse("cn=a+sn=b").Equal(parse("SN=B+CN=A")) {
		t.Error("order within an RDN")
	}
	base := parse("dc=contoso,dc=TEST")
	if !a.Under(base) || !base.Under(base) || base.Under(a) || !a.Under(DN{}) || parse("dc=x,dc=test").Under(base) {
		t.Error("Under")
	}
	if !a.Parent().Parent().Equal(base) || len(DN{}.Parent()) != 0 {
		t.Error("Parent")
	}
	if got := base.Child("CN", "a,b").String(); got != `CN=a\,b,dc=contoso,dc=TEST` || len(base) != 2 {
		t.Errorf("Child = %s", got)
	}
}

func FuzzDN(f *testing.F) {
	f.Add(`CN=Smith\, John+sn="x;y",OU=#0402abcd;DC=test`)
	f.Add(`cn=\20\00 , dc=x`)
	f.Fuzz(func(t *testing.T, s string) {
		d, err := ParseDN(s)
		if err != nil {
			return
		}
		again, err := ParseDN(d.String())
		if err != nil || d.String() != again.String() || !d.Equal(again) {
			t.Fatalf("%q -> %q -> %q, %v", s, d, again, err)
		}
		n := d.Normalize()
		if n.String() != n.Normalize().String() {
			t.Fatalf("%q: normalizing twice gives %q, %q", s, n, n.Normalize())
		}
	})
}
