package auth

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"rialto/internal/model"
)

func TestLimiterGrowsAndForgives(t *testing.T) {
	a, f, ck := setup(t)
	try := func(pw string) model.Kind {
		_, err := a.Password(t.Context(), "alice", pw, far, "")
		if err == nil {
			return model.KindOther
		}
		return model.KindOf(err)
	}
	for i := range 6 {
		if k := try("bad"); k != model.KindAuth {
			t.Fatalf("failure %d: %v", i, k)
		}
	}
	calls := f.calls
	if k := try("pw1"); k != model.KindUnavailable || f.calls != calls {
		t.Fatalf("after six failures: %v", k)
	}
	ck.advance(time.Second)
	try("bad") // the seventh: two seconds now
	ck.advance(1500 * time.Millisecond)
	if k := try("pw1"); k != model.KindUnavailable {
		t.Errorf("the wait does not grow: %v", k)
	}
	ck.advance(time.Second)
	if k := try("pw1"); k != model.KindOther {
		t.Fatalf("right password after the wait: %v", k)
	}
	if k := try("bad"); k != model.KindAuth {
		t.Errorf("success did not forgive: %v", k)
	}
}

func TestLimiterByAddress(t *testing.T) {
	a, _, _ := setup(t)
	from := netip.MustParseAddr("2001:db8:1:2::5")
	for i := range 25 {
		a.Password(t.Context(), fmt.Sprintf("user%d", i), "x", from, "")
	}
	other := netip.MustParseAddr("2001:db8:1:2:ffff::9") // same /64
	if _, err := a.Password(t.Context(), "alice", "pw1", other, ""); !model.IsKind(err, model.KindUnavailable) {
		t.Errorf("same network: %v", err)
	}
	if _, err := a.Password(t.Context(), "alice", "pw1", far, ""); err != nil {
		t.Errorf("another address: %v", err)
	}
}

func TestLimiterByNameSparesKnownAddress(t *testing.T) {
	a, _, ck := setup(t)
	if _, err := a.Password(t.Context(), "alice", "pw1", far, ""); err != nil {
		t.Fatal(err)
	}
	for i := range 60 {
		a.Password(t.Context(), "alice", "x", netip.AddrFrom4([4]byte{198, 51, 100, byte(i)}), "")
	}
	fresh := netip.MustParseAddr("203.0.113.1")
	if _, err := a.Password(t.Context(), "alice", "pw1", fresh, ""); !model.IsKind(err, model.KindUnavailable) {
		t.Errorf("a stranger during an attack: %v", err)
	}
	if _, err := a.Password(t.Context(), "alice", "pw1", far, ""); err != nil {
		t.Errorf("the owner during an attack: %v", err)
	}
	ck.advance(3 * time.Hour)
	if _, err := a.Password(t.Context(), "alice", "pw1", fresh, ""); err != nil {
		t.Errorf("after the attack: %v", err)
	}
}

func TestLimiterLoopbackCountsNames(t *testing.T) {
	a, _, _ := setup(t)
	local := netip.MustParseAddr("127.0.0.1")
	for i := range 100 {
		a.Password(t.Context(), fmt.Sprintf("user%d", i), "x", local, "")
	}
	if _, err := a.Password(t.Context(), "alice", "pw1", local, ""); err != nil {
		t.Errorf("a front end's address was blocked: %v", err)
	}
	for range 51 {
		a.Password(t.Context(), "alice", "x", netip.Addr{}, "")
	}
	if _, err := a.Password(t.Context(), "alice", "pw1", local, ""); !model.IsKind(err, model.KindUnavailable) {
		t.Errorf("guessing through a front end: %v", err)
	}
}

func TestLimiterIsBounded(t *testing.T) {
	l := NewLimiter(LimitOptions{Entries: 50})
	for i := range 1000 {
		l.failed(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), fmt.Sprint(i))
	}
	if len(l.m) > 50 {
		t.Errorf("%d entries", len(l.m))
	}
	l.failed(far, "x")
	if got := l.o.Base << 20; got <= 0 || min(l.o.Max, got) != l.o.Max {
		t.Errorf("the longest wait is %v", got)
	}
	var none *Limiter
	none.failed(far, "x")
	none.succeeded(far, "x")
	if none.allow(far, "x") != nil {
		t.Error("no limiter refuses")
	}
}
