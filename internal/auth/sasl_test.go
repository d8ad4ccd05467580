package auth

import (
	"errors"
	"strings"
	"testing"

	"rialto/internal/model"
)

func TestPlain(t *testing.T) {
	for _, c := range []struct {
		resp string
		kind model.Kind
		ok   bool
	}{
		{"\x00alice\x00pw1", 0, true},
		{"alice\x00alice\x00pw1", 0, true},
		{"alice@contoso.test\x00CONTOSO\\alice\x00pw1", 0, true},
		{"bob\x00alice\x00pw1", model.KindPermission, false},
		{"\x00alice\x00bad", model.KindAuth, false},
		{"alice\x00pw1", model.KindInvalid, false},
		{"\x00alice\x00pw1\x00", model.KindInvalid, false},
		{"", model.KindInvalid, false},
	} {
		a, _, _ := setup(t)
		m, err := a.Passwords().Start("plain", Peer{Addr: far, Proto: "imap4"}, true)
		if err != nil {
			t.Fatal(err)
		}
		if ch, acct, err := m.Next(t.Context(), nil); ch == nil || len(ch) != 0 || acct != nil || err != nil {
			t.Fatalf("empty challenge: %q, %v, %v", ch, acct, err)
		}
		_, acct, err := m.Next(t.Context(), []byte(c.resp))
		if c.ok != (acct != nil) || !c.ok && !model.IsKind(err, c.kind) {
			t.Errorf("%q: %v, %v", c.resp, acct, err)
		}
	}
}

func TestLogin(t *testing.T) {
	for _, initial := range []bool{false, true} {
		a, _, _ := setup(t)
		m, _ := a.Passwords().Start("LOGIN", Peer{Addr: far}, true)
		if !initial {
			if ch, _, err := m.Next(t.Context(), nil); string(ch) != "Username:" || err != nil {
				t.Fatalf("%q, %v", ch, err)
			}
		}
		if ch, _, err := m.Next(t.Context(), []byte("alice")); string(ch) != "Password:" || err != nil {
			t.Fatalf("%q, %v", ch, err)
		}
		if _, acct, err := m.Next(t.Context(), []byte("pw1")); acct == nil || err != nil {
			t.Errorf("%v, %v", acct, err)
		}
	}
}

func TestOffer(t *testing.T) {
	a, _, _ := setup(t)
	o := append(a.Passwords(), MechanismType{Name: "NTLM"})
	if got := strings.Join(o.Names(false), " "); got != "NTLM" {
		t.Errorf("in clear: %s", got)
	}
	if got := strings.Join(o.Names(true), " "); got != "PLAIN LOGIN NTLM" {
		t.Errorf("over TLS: %s", got)
	}
	if _, err := o.Start("PLAIN", Peer{}, false); !model.IsKind(err, model.KindPermission) {
		t.Errorf("PLAIN in clear: %v", err)
	}
	if _, err := o.Start("X", Peer{}, true); !model.IsKind(err, model.KindUnsupported) {
		t.Errorf("unknown: %v", err)
	}
}

func TestClientMeetsServer(t *testing.T) {
	a, _, _ := setup(t)
	for _, name := range []string{"PLAIN", "LOGIN"} {
		c := &PasswordClient{Mechanism: name, User: "alice", Password: "pw1"}
		m, _ := a.Passwords().Start(c.Name(), Peer{Addr: far}, true)
		resp, err := c.Start()
		for step := 0; err == nil && step < 5; step++ {
			var ch []byte
			var acct *Account
			if ch, acct, err = m.Next(t.Context(), resp); acct != nil {
				break
			}
			if err == nil {
				resp, err = c.Next(ch)
			}
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestDecodeResponse(t *testing.T) {
	for in, want := range map[string]string{"": "", "=": "", "YWJj": "abc"} {
		if b, err := DecodeResponse(in); err != nil || b == nil || string(b) != want {
			t.Errorf("%q: %q, %v", in, b, err)
		}
	}
	if _, err := DecodeResponse("*"); !errors.Is(err, ErrSASLCancelled) {
		t.Errorf("cancel: %v", err)
	}
	if _, err := DecodeResponse("se?cret"); !model.IsKind(err, model.KindInvalid) || strings.Contains(err.Error(), "cret") {
		t.Errorf("bad base64: %v", err)
	}
	if EncodeChallenge([]byte("abc")) != "YWJj" {
		t.Error("EncodeChallenge")
	}
}
