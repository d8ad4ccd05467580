package model

import (
	"errors"
	"fmt"
	"testing"
)

func TestGUIDRoundTrip(t *testing.T) {
	const s = "335a1087-5131-4d45-be3e-3c6c7f76f5ec"
	g, err := ParseGUID("{" + s + "}")
	if err != nil || g.String() != s {
		t.Fatalf("ParseGUID = %v, %v", g, err)
	}
	if g[0] != 0x87 || g[4] != 0x31 || g[6] != 0x45 || g[8] != 0xbe {
		t.Errorf("byte order is not MS-DTYP's: % x", g[:])
	}
	for _, bad := range []string{"", s[1:], s + "0", "335a1087x5131-4d45-be3e-3c6c7f76f5ec", "{" + s, "zz5a1087-5131-4d45-be3e-3c6c7f76f5ec"} {
		if _, err := ParseGUID(bad); err == nil {
			t.Errorf("ParseGUID(%q) accepted", bad)
		}
	}
	if n := NewGUID(); n.IsZero() || n == NewGUID() {
		t.Error("NewGUID repeats")
	}
}

func TestKindOf(t *testing.T) {
	cause := errors.New("disk")
	err := fmt.Errorf("outer: %w", E("store.get", KindNotFound, "x", cause))
	if KindOf(err) != KindNotFound || !errors.Is(err, cause) || KindOf(cause) != KindOther || IsKind(nil, KindOther) {
		t.Errorf("kind lost: %v", err)
	}
	if got := err.Error(); got != "outer: store.get: x: not found: disk" {
		t.Errorf("Error() = %q", got)
	}
}

func TestParseAddress(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"alice@Contoso.Test", "alice@contoso.test"},
		{"alice@contoso.test.", "alice@contoso.test"},
		{`"a b"@x.test`, `"a b"@x.test`},
		{`"al\"ice"@x.test`, `"al\"ice"@x.test`},
		{`"alice"@x.test`, "alice@x.test"},
		{"postmaster@[127.0.0.1]", "postmaster@[127.0.0.1]"},
		{"grüße@müller.test", "grüße@müller.test"},
		{"a..b.@x.test", "a..b.@x.test"},
	} {
		a, err := ParseAddress(c.in)
		if err != nil || a.String() != c.want {
			t.Errorf("ParseAddress(%q) = %q, %v; want %q", c.in, a, err, c.want)
		}
	}
	for _, bad := range []string{
		"", "@", "a@", "@x", "a b@x", "a@x y", "a@-x", "a@x..y", `"a@x`, `"a`, `"a\`, "a@x\r\nDATA",
		"\"a\r\n\"@x.test", "<a@x>", "a@[", string(make([]byte, 65)) + "@x.test",
	} {
		if a, err := ParseAddress(bad); err == nil {
			t.Errorf("ParseAddress(%q) accepted as %q", bad, a)
		}
	}
}

func FuzzParseAddress(f *testing.F) {
	f.Add("alice@contoso.test")
	f.Add(`"a\"b"@x.test`)
	f.Fuzz(func(t *testing.T, s string) {
		a, err := ParseAddress(s)
		if err != nil {
			return
		}
		b, err := ParseAddress(a.String())
		if err != nil || a != b {
			t.Fatalf("%q -> %q -> %q, %v", s, a, b, err)
		}
	})
}
