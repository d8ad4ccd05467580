package schema

import (
	"strings"
	"testing"
	"time"

	"rialto/internal/model/security"
)

func TestTablesAreConsistent(t *testing.T) {
	base, err := Base()
	if err != nil {
		t.Fatal(err)
	}
	ext, err := Extended()
	if err != nil {
		t.Fatal(err)
	}
	if base.HasExchange() || !ext.HasExchange() {
		t.Error("extension")
	}
	for _, s := range []*Schema{base, ext} {
		if len(s.attrs) != 2*len(s.attrList) || len(s.classes) != 2*len(s.classList) {
			t.Error("a name or OID is used twice")
		}
	}
	for _, c := range ext.Classes() {
		if ext.Line(c.Name) == nil {
			t.Errorf("class %s does not lead to top", c.Name)
		}
		for _, n := range append(append([]string{}, c.Aux...), c.Superiors...) {
			if ext.Class(n) == nil {
				t.Errorf("class %s names %s, which is unknown", c.Name, n)
			}
		}
		for _, n := range append(append([]string{c.RDN}, c.Must...), c.May...) {
			if ext.Attribute(n) == nil {
				t.Errorf("class %s has %s, which is unknown", c.Name, n)
			}
		}
		if c.Descriptor != "" {
			if _, err := security.ParseSDDL(c.Descriptor, security.Names{Domain: security.Administrators}); err != nil {
				t.Errorf("class %s: %v", c.Name, err)
			}
		}
		if ext.ClassCN(c.Object) == nil {
			t.Errorf("class %s is of category %q, which is unknown", c.Name, c.Object)
		}
	}
	for _, a := range ext.Attributes() {
		if a.BackLink() && ext.Link(a.Link-1) == nil {
			t.Errorf("%s is the back link of nothing", a.Name)
		}
		if a.Link != 0 && a.Syntax != SyntaxDN {
			t.Errorf("%s is linked and no DN", a.Name)
		}
	}
	// From the SDK's reference pages.
	if a := ext.Attribute("MAILNICKNAME"); a == nil || a.OID != "1.2.840.113556.1.2.447" || !a.Single || !a.Indexed() || a.Upper != 64 {
		t.Errorf("mailNickname %+v", a)
	}
	if got := strings.Join(ext.Line("user"), " "); got != "top person organizationalPerson user" {
		t.Errorf("user is %s", got)
	}
	for _, c := range []struct {
		s     *Schema
		class string
		attr  string
		want  bool
	}{{base, "user", "sn", true}, {base, "user", "proxyAddresses", true}, {base, "user", "member", false}, {base, "group", "member", true},
		{ext, "user", "mailNickname", true}, {ext, "user", "extensionAttribute1", true}, {ext, "organizationalUnit", "homeMDB", false},
		{ext, "msExchPrivateMDB", "mDBStorageQuota", true}, {ext, "msExchPrivateMDB", "garbageCollPeriod", true}} {
		if got := c.s.Allows(c.s.Line(c.class), c.s.Attribute(c.attr)); got != c.want {
			t.Errorf("%s may have %s: %v", c.class, c.attr, got)
		}
	}
	if a := ext.Attribute("proxyAddresses"); !a.GC || a.CN != "Proxy-Addresses" || a.Set.String() != "e48d0154-bcf8-11d1-8702-00c04fb96050" {
		t.Errorf("proxyAddresses %+v", a)
	}
	if m := strings.Join(ext.Must([]string{"msExchPrivateMDB"}), " "); !strings.Contains(m, "deliveryMechanism") {
		t.Errorf("must of a store: %s", m)
	}
}

func TestValues(t *testing.T) {
	s, err := Extended()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		attr, v string
		ok      bool
	}{
		{"deliverAndRedirect", "TRUE", true}, {"deliverAndRedirect", "true", false},
		{"delivContLength", "10240", true}, {"delivContLength", "4294967296", false}, {"delivContLength", "x", false},
		{"uSNChanged", "4294967296", true}, {"mailNickname", strings.Repeat("x", 65), false}, {"cn", "\xff", false}, {"cn", "", false},
		{"whenCreated", "20261122120000.0Z", true}, {"whenCreated", "today", false}, {"objectSid", "x", false},
	} {
		if err := s.Attribute(c.attr).Check([]byte(c.v)); (err == nil) != c.ok {
			t.Errorf("%s %q: %v", c.attr, c.v, err)
		}
	}
	n := func(attr, v string) string { return string(s.Attribute(attr).Normalize([]byte(v))) }
	if n("cn", " A  b ") != n("cn", "a B") || n("delivContLength", "-5") >= n("delivContLength", "3") || n("delivContLength", "9") >= n("delivContLength", "10") {
		t.Error("normal forms do not compare as values do")
	}
	sid := "S-1-5-21-1-2-4294967295-500"
	if FormatSID(ParseSID(sid)) != sid || n("objectSid", sid) != string(ParseSID(sid)) {
		t.Error("SID")
	}
	for _, bad := range []string{"", "S-1", "S-2-5", "S-1-5-x", "S-1-5-4294967296"} {
		if ParseSID(bad) != nil {
			t.Errorf("%q is a SID", bad)
		}
	}
	at := time.Date(2026, 11, 22, 1, 2, 3, 0, time.UTC)
	if got, err := ParseTime(FormatTime(at)); err != nil || !got.Equal(at) {
		t.Errorf("%v, %v", got, err)
	}
}
