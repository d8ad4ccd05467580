package security

import (
	"reflect"
	"strings"
	"testing"

	"rialto/internal/model"
)

var names = Names{Domain: must(ParseSID("S-1-5-21-1-2-3"))}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func sddl(t *testing.T, s string) *Descriptor {
	t.Helper()
	d, err := ParseSDDL(s, names)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestSID(t *testing.T) {
	for _, s := range []string{"S-1-1-0", "S-1-5-21-1-2-4294967295-500", "S-1-0x123456789ABC-7", "S-1-5"} {
		sid, err := ParseSID(s)
		if err != nil || sid.String() != s {
			t.Errorf("%s became %q, %v", s, sid.String(), err)
		}
		if back, err := DecodeSID([]byte(sid)); err != nil || back != sid {
			t.Errorf("%s: decoded %q, %v", s, back, err)
		}
	}
	for _, s := range []string{"", "S-1", "S-2-5", "S-1-5-x", "S-1-5-4294967296", "S-1-5-+1", "S-1-5" + strings.Repeat("-1", 16)} {
		if sid, err := ParseSID(s); err == nil {
			t.Errorf("%q was read as %v", s, sid)
		}
	}
	d := names.Domain
	if a := d.With(512); a.RID() != 512 || a.Domain() != d || a.String() != "S-1-5-21-1-2-3-512" {
		t.Error(a)
	}
	for _, b := range []string{"", "\x01\x01\x00\x00\x00\x00\x00\x05", string(Everyone) + "x"} {
		if _, err := DecodeSID([]byte(b)); err == nil {
			t.Errorf("%x was read", b)
		}
	}
}

var forms = []string{
	"O:DAG:DA",
	"O:DAG:DUD:PAI(D;OICI;RPWP;;;BA)(OA;CIIO;CR;ab721a53-1e2f-11d0-9819-00aa0040529b;bf967aba-0de6-11d0-a285-00aa003049e2;PS)S:AI(AU;SAFA;WDWO;;;WD)",
	"D:(A;;CCDCLCSWRPWPDTLOCRSDRCWDWO;;;DA)(A;;LCRPLORC;;;PS)",
	"O:S-1-5-21-9-9-9-1000D:NO_ACCESS_CONTROL",
	"D:P",
	"D:(A;;0x2020fff;;;SY)",
}

func TestForms(t *testing.T) {
	for _, s := range forms {
		d := sddl(t, s)
		if got := d.SDDL(names); got != s {
			t.Errorf("%s\nwas written %s", s, got)
		}
		b, err := d.Encode()
		if err != nil {
			t.Fatal(err)
		}
		back, err := Decode(b)
		if err != nil || !reflect.DeepEqual(back, d) {
			t.Errorf("%s: %+v, %v", s, back, err)
		}
	}
	for _, s := range []string{"x", "X:", "D:Q", "D:(A;;RP;;;ZZ)", "D:(A;;RP;;DA)", "D:(A;;R;;;DA)", "D:(Q;;RP;;;DA)", "D:(A;ZZ;RP;;;DA)",
		"D:(A;;RP;bf967aba-0de6-11d0-a285-00aa003049e2;;DA)", "D:(OA;;RP;1;;DA)", "D:(A;;0xfffffffff;;;DA)", "D:(A", "D:x(A;;RP;;;DA)"} {
		if d, err := ParseSDDL(s, names); err == nil {
			t.Errorf("%q was read as %+v", s, d)
		}
	}
	big := Descriptor{Control: DACLPresent, DACL: make([]ACE, 4000)}
	for i := range big.DACL {
		big.DACL[i].SID = Everyone
	}
	if _, err := big.Encode(); err == nil {
		t.Error("a list of 80,000 octets was written")
	}
}

const (
	user     = "bf967aba-0de6-11d0-a285-00aa003049e2"
	group    = "bf967a9c-0de6-11d0-a285-00aa003049e2"
	mail     = "bf967961-0de6-11d0-a285-00aa003049e2"
	personal = "77b5b886-944a-11d1-aebd-0000f80367c1" // a property set
	sendAs   = "ab721a54-1e2f-11d0-9819-00aa0040529b"
)

func guid(s string) model.GUID { return must(model.ParseGUID(s)) }

func TestPermits(t *testing.T) {
	alice := names.Domain.With(1001)
	property := []model.GUID{guid(mail), guid(personal), guid(user)}
	for _, c := range []struct {
		name, sd string
		groups   []SID
		q        Query
		want     bool
	}{
		{"no list permits", "O:DA", nil, Query{Want: FullControl}, true},
		{"a list that permits all", "D:NO_ACCESS_CONTROL", nil, Query{Want: FullControl}, true},
		{"an empty list permits nothing", "D:", nil, Query{Want: ReadProperty}, false},
		{"a group", "D:(A;;RP;;;DA)", []SID{names.Domain.With(512)}, Query{Want: ReadProperty}, true},
		{"another group", "D:(A;;RP;;;DA)", []SID{names.Domain.With(513)}, Query{Want: ReadProperty}, false},
		{"all that is wanted", "D:(A;;RP;;;WD)(A;;WP;;;WD)", []SID{Everyone}, Query{Want: ReadProperty | WriteProperty}, true},
		{"not all", "D:(A;;RP;;;WD)", []SID{Everyone}, Query{Want: ReadProperty | WriteProperty}, false},
		{"denied first", "D:(D;;WP;;;WD)(A;;RPWP;;;WD)", []SID{Everyone}, Query{Want: WriteProperty}, false},
		{"denied too late", "D:(A;;RPWP;;;WD)(D;;WP;;;WD)", []SID{Everyone}, Query{Want: WriteProperty}, true},
		{"only for children", "D:(A;CIIO;RP;;;WD)", []SID{Everyone}, Query{Want: ReadProperty}, false},
		{"generic", "D:(A;;GR;;;WD)", []SID{Everyone}, Query{Want: ReadProperty | ListContents}, true},
		{"full control", "D:(A;;GA;;;WD)", []SID{Everyone}, Query{Want: WriteDAC | ControlAccess, Objects: []model.GUID{guid(sendAs)}}, true},
		{"one property", "D:(OA;;WP;" + mail + ";;WD)", []SID{Everyone}, Query{Want: WriteProperty, Objects: property}, true},
		{"its set", "D:(OA;;WP;" + personal + ";;WD)", []SID{Everyone}, Query{Want: WriteProperty, Objects: property}, true},
		{"another property", "D:(OA;;WP;" + sendAs + ";;WD)", []SID{Everyone}, Query{Want: WriteProperty, Objects: property}, false},
		{"all, and one set denied", "D:(OD;;WP;" + personal + ";;WD)(A;;WP;;;WD)", []SID{Everyone}, Query{Want: WriteProperty, Objects: property}, false},
		{"a right denied, full control else", "D:(OD;;CR;" + sendAs + ";;WD)(A;;GA;;;WD)", []SID{Everyone}, Query{Want: ControlAccess, Objects: []model.GUID{guid(sendAs)}}, false},
		{"oneself", "D:(A;;RP;;;PS)", nil, Query{Want: ReadProperty, Self: alice}, true},
		{"another is not oneself", "D:(A;;RP;;;PS)", nil, Query{Want: ReadProperty, Self: names.Domain.With(7)}, false},
		{"no account is not oneself", "D:(A;;RP;;;PS)", nil, Query{Want: ReadProperty}, false},
		{"the owner", "O:" + alice.String() + "D:", nil, Query{Want: ReadControl | WriteDAC}, true},
		{"the owner only that", "O:" + alice.String() + "D:", nil, Query{Want: ReadProperty}, false},
		{"the owner limited", "O:" + alice.String() + "D:(A;;RC;;;OW)", nil, Query{Want: WriteDAC}, false},
		{"audit grants nothing", "D:(AU;SA;RP;;;WD)", []SID{Everyone}, Query{Want: ReadProperty}, false},
		{"the audit list needs a privilege", "D:NO_ACCESS_CONTROL", nil, Query{Want: SystemSecurity}, false},
	} {
		if got := sddl(t, c.sd).Permits(NewToken(alice, c.groups...), c.q); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
	admin := NewToken(alice)
	admin.Security, admin.TakeOwnership = true, true
	if !sddl(t, "D:").Permits(admin, Query{Want: SystemSecurity | WriteOwner}) {
		t.Error("privileges do not count")
	}
	d := sddl(t, "D:(A;;RPLC;;;WD)(OA;;WP;"+mail+";;WD)")
	if got := d.Granted(NewToken(alice, Everyone), Query{Want: FullControl, Objects: property}); got != ReadProperty|ListContents|WriteProperty {
		t.Errorf("granted %x", got)
	}
}

func TestUnder(t *testing.T) {
	u := []model.GUID{guid(user)}
	for _, c := range []struct{ name, parent, own, want string }{
		{"nothing to inherit", "D:(A;;RP;;;WD)", "D:(A;;WP;;;WD)", "D:AI(A;;WP;;;WD)"},
		{"own before inherited", "D:(A;CI;RP;;;WD)", "D:(A;;WP;;;WD)", "D:AI(A;;WP;;;WD)(A;CIID;RP;;;WD)"},
		{"what was inherited before is forgotten", "D:(A;CI;RP;;;WD)", "D:(A;ID;GA;;;WD)", "D:AI(A;CIID;RP;;;WD)"},
		{"protected", "D:(A;CI;RP;;;WD)", "D:P(A;;WP;;;WD)", "D:PAI(A;;WP;;;WD)"},
		{"protected and empty", "D:(A;CI;RP;;;WD)", "D:P", "D:PAI"},
		{"one level", "D:(A;CINP;RP;;;WD)", "D:", "D:AI(A;ID;RP;;;WD)"},
		{"only for children", "D:(A;CIIO;RP;;;WD)", "D:", "D:AI(A;CIID;RP;;;WD)"},
		{"for this class", "D:(OA;CIIO;RP;;" + user + ";WD)", "D:", "D:AI(OA;CIID;RP;;" + user + ";WD)"},
		{"for another class", "D:(OA;CIIO;RP;;" + group + ";WD)", "D:", "D:AI(OA;CIIOID;RP;;" + group + ";WD)"},
		{"for another class, one level", "D:(OA;CIIONP;RP;;" + group + ";WD)", "D:", "D:AI"},
		{"the creator", "D:(A;CI;RP;;;CO)", "O:DAD:", "O:DAD:AI(A;ID;RP;;;DA)(A;CIIOID;RP;;;CO)"},
		{"generic rights", "D:(A;CI;GX;;;WD)", "D:", "D:AI(A;ID;LCRC;;;WD)(A;CIIOID;GX;;;WD)"},
		{"objects that hold nothing are none", "D:(A;OI;RP;;;WD)", "D:", "D:AI"},
		{"audit", "S:(AU;CISA;WP;;;WD)", "D:", "D:AIS:AI(AU;CIIDSA;WP;;;WD)"},
		{"all is permitted", "D:(A;CI;RP;;;WD)", "D:NO_ACCESS_CONTROL", "D:NO_ACCESS_CONTROL"},
	} {
		got := sddl(t, c.own).Under(sddl(t, c.parent), u)
		if s := got.SDDL(names); s != c.want {
			t.Errorf("%s: %s, want %s", c.name, s, c.want)
		}
		if e := got.Explicit().Under(sddl(t, c.parent), u); !reflect.DeepEqual(e, got) {
			t.Errorf("%s: a second time %s", c.name, e.SDDL(names))
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, s := range forms {
		d, err := ParseSDDL(s, names)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(must(d.Encode()))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		d, err := Decode(b)
		if err != nil {
			return
		}
		again, err := d.Encode()
		if err != nil {
			return // the parts of b overlap, and apart they are too large
		}
		if back, err := Decode(again); err != nil || !reflect.DeepEqual(back, d) {
			t.Fatalf("%+v became %+v, %v", d, back, err)
		}
		d.Under(d, nil).Permits(NewToken(Everyone), Query{Want: FullControl})
	})
}

func FuzzSDDL(f *testing.F) {
	for _, s := range forms {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		d, err := ParseSDDL(s, names)
		if err != nil {
			return
		}
		text := d.SDDL(names)
		if again, err := ParseSDDL(text, names); err != nil || again.SDDL(names) != text {
			t.Fatalf("%q became %q, %v", s, text, err)
		}
	})
}

func BenchmarkPermits(b *testing.B) {
	d, err := ParseSDDL("O:DAG:DAD:(A;;CCDCLCSWRPWPDTLOCRSDRCWDWO;;;DA)(A;;CCDCLCSWRPWPDTLOCRSDRCWDWO;;;SY)"+strings.Repeat("(OA;CIID;WP;"+mail+";"+user+";EA)", 30)+
		"(A;;RPLCLORC;;;AU)", names)
	if err != nil {
		b.Fatal(err)
	}
	t := NewToken(names.Domain.With(1001), Everyone, AuthenticatedUsers, names.Domain.With(513), Users)
	q := Query{Want: ReadProperty, Objects: []model.GUID{guid(personal), guid(user)}}
	b.ReportAllocs()
	for b.Loop() {
		if !d.Permits(t, q) {
			b.Fatal("not permitted")
		}
	}
}
