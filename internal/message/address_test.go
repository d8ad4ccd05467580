package message

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestParseAddresses(t *testing.T) {
	mb := func(name, local, host string) Address { return Address{Name: name, Local: local, Host: host} }
	for _, c := range []struct {
		in   string
		want []Address
	}{
		{"", nil},
		{" , ,;", nil},
		{"a@b", []Address{mb("", "a", "b")}},
		{"Alice Example <alice@x.test>, bob@y.test", []Address{mb("Alice Example", "alice", "x.test"), mb("", "bob", "y.test")}},
		{`"Example, Alice" <alice@x.test>`, []Address{mb("Example, Alice", "alice", "x.test")}},
		{`"A \"B\" C" <a@x>`, []Address{mb(`A "B" C`, "a", "x")}},
		{"Alice\r\n Example\t<a@x>", []Address{mb("Alice Example", "a", "x")}},
		{"alice@x (Alice (the one) Example)", []Address{mb("Alice (the one) Example", "alice", "x")}},
		{"Alice alice@x", []Address{mb("Alice", "alice", "x")}},
		{"a . b @ c . d", []Address{mb("", "a.b", "c.d")}},
		{`"a b"@x`, []Address{mb("", "a b", "x")}},
		{`"a@b"@x`, []Address{mb("", "a@b", "x")}},
		{"root", []Address{mb("", "root", "")}},
		{"Alice <a@x", []Address{mb("Alice", "a", "x")}},
		{"Alice <>", []Address{mb("Alice", "", "")}},
		{"<>", nil},
		{"<@r1,@r2:a@x>", []Address{{Route: "@r1,@r2", Local: "a", Host: "x"}}},
		{"=?utf-8?q?J=C3=BCrgen?= <j@x>", []Address{mb("=?utf-8?q?J=C3=BCrgen?=", "j", "x")}},
		{"Friends: a@x, Bob <b@y>;, c@z", []Address{{Kind: GroupStart, Local: "Friends"}, mb("", "a", "x"), mb("Bob", "b", "y"), {Kind: GroupEnd}, mb("", "c", "z")}},
		{"undisclosed-recipients:;", []Address{{Kind: GroupStart, Local: "undisclosed-recipients"}, {Kind: GroupEnd}}},
		{"G: a@x", []Address{{Kind: GroupStart, Local: "G"}, mb("", "a", "x"), {Kind: GroupEnd}}},
		{"a@[IPv6:::1]", []Address{mb("", "a", "[IPv6:::1]")}},
		{`"unclosed <a@x>`, []Address{mb("unclosed", "a", "x")}},
	} {
		if d := cmp.Diff(c.want, ParseAddresses(c.in)); d != "" {
			t.Errorf("%q: %s", c.in, d)
		}
	}
	if n := len(ParseAddresses(strings.Repeat("a@b,", 3*MaxAddresses))); n != MaxAddresses {
		t.Errorf("kept %d addresses", n)
	}
	for _, bomb := range []string{"(", "<", `"`, "a<", "((\\", "@", ":"} { // must be linear: a second is far too long
		start := time.Now()
		ParseAddresses(strings.Repeat(bomb, 500<<10))
		if d := time.Since(start); d > 3*time.Second {
			t.Errorf("%q repeated took %v", bomb, d)
		}
	}
}

func TestParseDate(t *testing.T) {
	for in, want := range map[string]string{
		"Mon, 2 Jan 2006 15:04:05 -0700":            "2006-01-02T15:04:05-07:00",
		"2 Jan 2006 15:04 +0100 (CET)":              "2006-01-02T15:04:00+01:00",
		"Mon, 02 Jan 06 15:04:05 GMT":               "2006-01-02T15:04:05Z",
		"2 Jan 99 15:04:05 EST":                     "1999-01-02T15:04:05-05:00",
		"Mon Jan  2 15:04:05 2006":                  "2006-01-02T15:04:05Z",
		"Mon Jan  2 15:04:05 PST 2006":              "2006-01-02T15:04:05-08:00",
		"02-Jan-2006 15:04:05 +0000":                "2006-01-02T15:04:05Z",
		"2006-01-02 15:04:05 +02:00":                "2006-01-02T15:04:05+02:00",
		"2006-01-02T15:04:05Z":                      "2006-01-02T15:04:05Z",
		"Monday, January 2, 2006 3:04 PM":           "2006-01-02T15:04:00Z",
		"Mon, 2 Jan 2006 15:04:05 GMT+0100":         "2006-01-02T15:04:05+01:00",
		"Mon, 2 Jan 2006":                           "2006-01-02T00:00:00Z",
		"Mon,2 Jan 2006 15:04:05.123 -0330":         "2006-01-02T15:04:05-03:30",
		"(note) Mon (x), 2 Jan (y) 2006 15:04:05 Z": "2006-01-02T15:04:05Z",
	} {
		got, ok := ParseDate(in)
		if !ok || got.Format(time.RFC3339) != want {
			t.Errorf("%q = %v, %v; want %s", in, got.Format(time.RFC3339), ok, want)
		}
	}
	for _, in := range []string{"", "yesterday", "15:04", "99 99 99", "2 Foo 2006", "Mon"} {
		if got, ok := ParseDate(in); ok {
			t.Errorf("%q = %v", in, got)
		}
	}
}

func TestEnvelope(t *testing.T) {
	h := Header("Subject:  first\r\n =?utf-8?q?x?=\r\nsubject: second\r\nTo: a@x\r\nTO: b@y\r\nDate:\r\nMessage-Id: <1@x>\r\n" +
		"References: <1@x> junk <2\r\n @y><3@z>\r\nFrom: c@z\r\n\r\nCc: not@me\r\n")
	want := &Envelope{Subject: "first =?utf-8?q?x?=", MessageID: "<1@x>", Has: HasSubject | HasDate | HasMessageID,
		From: []Address{{Local: "c", Host: "z"}}, To: []Address{{Local: "a", Host: "x"}, {Local: "b", Host: "y"}},
		References: []string{"<1@x>", "<2@y>", "<3@z>"}}
	got := ReadEnvelope(h)
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if got.SenderOrFrom()[0].Local != "c" || got.ReplyToOrFrom()[0].Local != "c" {
		t.Error("sender and reply-to do not fall back to from")
	}
	refs := MessageIDs(strings.Repeat("<a@b> ", 1000) + "<last@b>")
	if len(refs) != MaxReferences || refs[MaxReferences-1] != "<last@b>" {
		t.Errorf("%d references, last %s", len(refs), refs[len(refs)-1])
	}
}

func TestHeader(t *testing.T) {
	h := Header("A: 1\r\nbad\r\nB :  two\r\n  more \r\na: 3\nC:")
	var got []string
	for f := range h.Fields() {
		got = append(got, f.Name+"="+f.Value)
	}
	if d := cmp.Diff([]string{"A=1", "B=two\r\n  more ", "a=3", "C="}, got); d != "" {
		t.Error(d)
	}
	if h.Get("b") != "two  more" || len(h.Values("a")) != 2 || h.Get("none") != "" {
		t.Errorf("Get(b) = %q", h.Get("b"))
	}
	if _, ok := h.Lookup("c"); !ok {
		t.Error("an empty field is absent")
	}
}
