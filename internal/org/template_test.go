package org

import (
	"strings"
	"testing"
	"time"

	"rialto/internal/model"
)

func TestTemplates(t *testing.T) {
	ann := names{alias: "ann.b", given: "Ann Marie", initials: "Q", surname: "O'Brien", display: "Ann Marie O'Brien", spare: []string{"annb"}}
	zoe := names{alias: "zoé", given: "Zoé", surname: "Ærø", display: "Zoé Ærø", spare: []string{"zoe1"}}
	for _, c := range []struct {
		text string
		n    names
		want string
	}{
		{"SMTP:@x.test", ann, "ann.b@x.test"},
		{"SMTP:%m@X.Test", ann, "ann.b@x.test"},
		{"SMTP:%g.%s@x.test", ann, "AnnMarie.O'Brien@x.test"},
		{"SMTP:%1g%s@x.test", ann, "AO'Brien@x.test"},
		{"SMTP:%3s%2g@x.test", ann, "O'BAn@x.test"},
		{"SMTP:%g.%i.%s@x.test", ann, "AnnMarie.Q.O'Brien@x.test"},
		{"SMTP:%r ._%r''%d@x.test", ann, "_Ann.Marie.OBrien@x.test"},
		{"SMTP:%r''%s@x.test", ann, "OBrien@x.test"},
		{"SMTP:%r _%d@x.test", ann, "Ann_Marie_O'Brien@x.test"},
		{"SMTP:%s%r'-%s@x.test", ann, "O'BrienO-Brien@x.test"},
		{"SMTP:a%%b@x.test", ann, "a%b@x.test"},
		{"SMTP:%@x.test", ann, "%@x.test"},
		{"SMTP:.%i..@x.test", ann, "Q@x.test"},
		{"SMTP:%i@x.test", zoe, "zo@x.test"},
		{"SMTP:%s@x.test", names{alias: "łąść", spare: []string{"ß", "lasc"}}, "lasc@x.test"},
		{"SMTP:%réeX%g@x.test", zoe, "XZoe@x.test"},
		{"SMTP:%9999999g@x.test", ann, "AnnMarie@x.test"},
		{"X400:c=US;a= ;p=Contoso;o=Exchange;", ann, "c=US;a= ;p=Contoso;o=Exchange;s=O'Brien;g=Ann Marie;i=Q;"},
		{"X400:c=US;a= ;p=Contoso;o=Exchange", zoe, "c=US;a= ;p=Contoso;o=Exchange;s=r;g=Zo;"},
		{"X400:c=US", names{alias: "bob"}, "c=US;s=bob;"},
	} {
		tpl, ok := parseTemplate(c.text)
		if got := tpl.address(c.n, 1); !ok || got != c.want {
			t.Errorf("%s: %q, want %q", c.text, got, c.want)
		}
	}
	tpl, _ := parseTemplate("SMTP:%m@x.test")
	if got := tpl.address(ann, 12); got != "ann.b12@x.test" {
		t.Errorf("numeral: %q", got)
	}
	for addr, want := range map[string]bool{"ANN.b@x.test": true, "ann.b7@x.test": true, "ann.bc@x.test": false, "ann.b@y.test": false, "ann@x.test": false, "": false} {
		if tpl.makes(ann, addr) != want {
			t.Errorf("makes(%q) is not %v", addr, want)
		}
	}
	for _, bad := range []string{"", "SMTP", "SMTP:", ":x@y", "SMTP:x@", "SMTP:nodomain here", "SMTP:@" + strings.Repeat("x", 2000)} {
		if _, ok := parseTemplate(bad); ok {
			t.Errorf("%q accepted", bad)
		}
	}
	if tpl, ok := parseTemplate("smtp:@y.test"); !ok || tpl.primary || tpl.typ != "SMTP" {
		t.Errorf("%+v", tpl)
	}
}

func FuzzTemplate(f *testing.F) {
	f.Add("SMTP:%g.%s@x.test", "Ann", "O'Brien", "ann")
	f.Add("SMTP:%r _%5d%%%@x.test", "é", " ", "")
	f.Add("X400:c=US;a= ;p=Contoso;o=Exchange;", "A", "B", "c")
	f.Fuzz(func(t *testing.T, text, given, surname, alias string) {
		tpl, ok := parseTemplate(text)
		if !ok {
			return
		}
		n := names{alias: alias, given: given, surname: surname, display: given + " " + surname, initials: given, spare: []string{alias}}
		for _, choice := range []int{1, 2, maxNumeral} {
			addr := tpl.address(n, choice)
			if !tpl.makes(n, addr) {
				t.Fatalf("%q does not know its own %q", text, addr)
			}
			if tpl.typ == "SMTP" {
				if a, err := model.ParseAddress(addr); err != nil || !strings.EqualFold(a.String(), addr) {
					t.Fatalf("%q made %q: %v", text, addr, err)
				}
			}
		}
	})
}

func TestParseRetries(t *testing.T) {
	if got, ok := parseRetries("10, 20;30 1440"); !ok || len(got) != 4 || got[3] != 24*time.Hour {
		t.Errorf("%v", got)
	}
	for _, bad := range []string{"", "x", "0", "-1", "10,,x", strings.Repeat("1 ", 17), "99999999"} {
		if got, ok := parseRetries(bad); ok {
			t.Errorf("%q: %v", bad, got)
		}
	}
	if good, bad := parseRelayList("10.0.0.1\n192.168.1.9/24;::1 x,300.1.1.1"); strings.Join(good, " ") != "10.0.0.1 192.168.1.0/24 ::1" || len(bad) != 2 {
		t.Errorf("%v %v", good, bad)
	}
}

func TestParseBinding(t *testing.T) {
	for s, want := range map[string]Binding{":25:": {Port: 25}, "10.0.0.1:80:www.x.test": {Address: "10.0.0.1", Port: 80}, "[::1]:25:": {Address: "::1", Port: 25}} {
		if got, ok := ParseBinding(s); !ok || got != want {
			t.Errorf("%q: %+v", s, got)
		}
	}
	for _, bad := range []string{"", "25", ":25", ":0:", ":65536:", "host:25:", "[::1:25:", "[]x:25:", "::1:25:", "[::1]25:", ":25:" + strings.Repeat("x", 300)} {
		if got, ok := ParseBinding(bad); ok {
			t.Errorf("%q: %+v", bad, got)
		}
	}
}

func FuzzBinding(f *testing.F) {
	for _, s := range []string{":25:", "[::1]:25:", "10.0.0.1:80:h", "::", "[]:1:", "25"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		b, ok := ParseBinding(s)
		if !ok {
			return
		}
		if again, ok := ParseBinding(b.String()); !ok || again != b {
			t.Fatalf("%q -> %+v -> %q -> %+v", s, b, b.String(), again)
		}
		parseRetries(s)
		parseRelayList(s)
	})
}
