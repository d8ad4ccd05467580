package auth

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"rialto/internal/model"
)

// cheap keeps the tests fast; the real costs are tested once.
func cheap() Params { return Params{MemoryKiB: 64, Time: 1, Threads: 1} }

type finder struct {
	accts map[string]*Account
	err   error
	calls int
}

func (f *finder) FindAccount(_ context.Context, name string) (*Account, error) {
	f.calls++
	if f.err != nil {
		return nil, f.err
	}
	if a := f.accts[strings.ToLower(name)]; a != nil {
		return a, nil
	}
	return nil, model.E("test.find", model.KindNotFound, name, nil)
}

type clock struct{ t time.Time }

func (c *clock) now() time.Time          { return c.t }
func (c *clock) advance(d time.Duration) { c.t = c.t.Add(d) }

func setup(t *testing.T) (*Authenticator, *finder, *clock) {
	t.Helper()
	ck := &clock{time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
	h := NewHasher(cheap(), 2)
	phc, err := h.Hash(t.Context(), "pw1")
	if err != nil {
		t.Fatal(err)
	}
	alice := &Account{GUID: model.NewGUID(), Name: "alice", UPN: "alice@contoso.test", Credential: phc, Protocols: map[string]bool{"pop3": false}}
	off := &Account{GUID: model.NewGUID(), Name: "off", Credential: phc, Disabled: true}
	f := &finder{accts: map[string]*Account{"alice": alice, "alice@contoso.test": alice, `contoso\alice`: alice, "off": off,
		"none": {GUID: model.NewGUID(), Name: "none"}}}
	a := &Authenticator{Finder: f, Hasher: h, Cache: NewCache(CacheOptions{Clock: ck.now}), Limiter: NewLimiter(LimitOptions{Clock: ck.now})}
	return a, f, ck
}

// far is an address that is counted; see Limiter.keys about loopback.
var far = netip.MustParseAddr("192.0.2.7")

func TestPassword(t *testing.T) {
	for _, c := range []struct {
		name, pw, proto string
		kind            model.Kind
		ok              bool
	}{
		{"alice", "pw1", "imap4", 0, true},
		{"Alice@contoso.test", "pw1", "smtp", 0, true},
		{`CONTOSO\alice`, "pw1", "imap4", 0, true},
		{"alice", "pw2", "imap4", model.KindAuth, false},
		{"alice", "", "imap4", model.KindAuth, false},
		{"nobody", "pw1", "imap4", model.KindAuth, false},
		{"off", "pw1", "imap4", model.KindAuth, false},
		{"none", "", "imap4", model.KindAuth, false},
		{"", "pw1", "imap4", model.KindAuth, false},
		{"alice", strings.Repeat("x", 5000), "imap4", model.KindAuth, false},
		{"alice", "pw1", "pop3", model.KindPermission, false},
	} {
		a, _, _ := setup(t)
		for range 2 { // from hash, then from cache
			acct, err := a.Password(t.Context(), c.name, c.pw, far, c.proto)
			if c.ok != (err == nil) || !c.ok && !model.IsKind(err, c.kind) || c.ok && acct.Name != "alice" {
				t.Errorf("%q/%.9q over %s: %v, %v", c.name, c.pw, c.proto, acct, err)
			}
			if err != nil && c.pw != "" && strings.Contains(err.Error(), c.pw) {
				t.Errorf("the password is in the error: %v", err)
			}
		}
	}
}

func TestPasswordDirectoryDown(t *testing.T) {
	a, f, _ := setup(t)
	f.err = errors.New("no answer")
	if _, err := a.Password(t.Context(), "alice", "pw1", far, "imap4"); !model.IsKind(err, model.KindUnavailable) {
		t.Errorf("err = %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := a.Password(ctx, "alice", "pw1", far, "imap4"); !model.IsKind(err, model.KindCanceled) {
		t.Errorf("err = %v", err)
	}
}

func TestCacheFollowsCredentialAndTime(t *testing.T) {
	a, f, ck := setup(t)
	alice := f.accts["alice"]
	if _, err := a.Password(t.Context(), "alice", "pw1", far, ""); err != nil {
		t.Fatal(err)
	}
	if !a.Cache.proven(alice.GUID, alice.Credential, "pw1") || a.Cache.proven(alice.GUID, alice.Credential, "pw2") {
		t.Error("cache is wrong about passwords")
	}
	changed := *alice
	changed.Credential, _ = a.Hasher.Hash(t.Context(), "new")
	f.accts["alice"] = &changed
	if _, err := a.Password(t.Context(), "alice", "pw1", far, ""); !model.IsKind(err, model.KindAuth) {
		t.Errorf("old password after the change: %v", err)
	}
	if _, err := a.Password(t.Context(), "alice", "new", far, ""); err != nil {
		t.Error(err)
	}
	changed.Disabled = true
	if _, err := a.Password(t.Context(), "alice", "new", far, ""); !model.IsKind(err, model.KindAuth) {
		t.Errorf("disabled account passed from the cache: %v", err)
	}
	ck.advance(2 * time.Hour)
	if a.Cache.proven(alice.GUID, changed.Credential, "new") {
		t.Error("proof outlived its time")
	}
	a.Cache.remember(alice.GUID, "x", "y")
	a.Cache.Forget(alice.GUID)
	if a.Cache.proven(alice.GUID, "x", "y") {
		t.Error("not forgotten")
	}
}

func TestCacheIsBounded(t *testing.T) {
	c := NewCache(CacheOptions{Max: 10})
	for range 100 {
		c.remember(model.NewGUID(), "c", "p")
	}
	if len(c.m) != 10 {
		t.Errorf("%d entries", len(c.m))
	}
}

func TestHash(t *testing.T) {
	h := NewHasher(cheap(), 1)
	a, err := h.Hash(t.Context(), "sécret")
	if err != nil || !strings.HasPrefix(a, "$argon2id$v=19$m=64,t=1,p=1$") {
		t.Fatalf("%q, %v", a, err)
	}
	b, _ := h.Hash(t.Context(), "sécret")
	if a == b {
		t.Error("same salt twice")
	}
	for pw, want := range map[string]bool{"sécret": true, "secret": false, "": false} {
		if ok, err := h.Verify(t.Context(), a, pw); ok != want || err != nil {
			t.Errorf("Verify(%q) = %v, %v", pw, ok, err)
		}
	}
	// The reference implementation's answer for "password", salt "somesalt".
	const ref = "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"
	if ok, err := h.Verify(t.Context(), ref, "password"); !ok || err != nil {
		t.Errorf("reference hash: %v, %v", ok, err)
	}
	for _, bad := range []string{"", "x", "$argon2id$v=19$m=64,t=1,p=1$c29tZXNhbHQ", "$argon2i$v=19$m=64,t=1,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
		"$argon2id$v=19$m=4294967295,t=1,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
		"$argon2id$v=19$m=64,t=0,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"} {
		if ok, err := h.Verify(t.Context(), bad, "password"); ok || !model.IsKind(err, model.KindCorrupt) {
			t.Errorf("Verify(%q) = %v, %v", bad, ok, err)
		}
	}
}

func TestHasherBoundsConcurrency(t *testing.T) {
	h := NewHasher(cheap(), 1)
	h.slots <- struct{}{} // somebody else is hashing
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, err := h.Hash(ctx, "x"); !model.IsKind(err, model.KindCanceled) {
		t.Errorf("err = %v", err)
	}
}

func FuzzParsePHC(f *testing.F) {
	f.Add("$argon2id$v=19$m=64,t=1,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc")
	f.Add("$argon2id$v=19$m=64,t=1,p=1$$")
	f.Fuzz(func(t *testing.T, s string) {
		p, salt, key, err := parsePHC(s)
		if err != nil {
			return
		}
		p2, salt2, key2, err := parsePHC(encodePHC(p, salt, key))
		if err != nil || p != p2 || string(salt) != string(salt2) || string(key) != string(key2) {
			t.Fatalf("%q does not survive: %v", s, err)
		}
	})
}

func BenchmarkHash(b *testing.B) {
	h := NewHasher(DefaultParams(), 0)
	for b.Loop() {
		h.Waste(b.Context(), "password")
	}
}

func BenchmarkCached(b *testing.B) {
	h := NewHasher(cheap(), 0)
	phc, _ := h.Hash(b.Context(), "pw")
	acct := &Account{GUID: model.NewGUID(), Credential: phc}
	a := New(&finder{accts: map[string]*Account{"u": acct}})
	for b.Loop() {
		if _, err := a.Password(b.Context(), "u", "pw", far, "imap4"); err != nil {
			b.Fatal(err)
		}
	}
}
