package auth

import (
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"time"

	"rialto/internal/model"
)

// LimitOptions of a Limiter; zero fields mean the defaults.
type LimitOptions struct {
	Free       int           // failures of one name from one address before it waits; default 5
	FreeByAddr int           // failures of one address over all names; default 20
	FreeByName int           // failures of one name over all addresses; default 50
	Base       time.Duration // first wait, doubled with each further failure; default 1 s
	Max        time.Duration // longest wait; default 15 min
	Forget     time.Duration // failures older than this are forgiven; default 1 h
	Entries    int           // remembered; default 100000
	Clock      model.Clock   // default time.Now
}

// Limiter slows guessing down. Failures are counted for the pair of address
// and name, for the address and, with more patience, for the name: a botnet
// that guesses one account is slowed without locking its owner out at once.
// An IPv6 address counts as its /64. A nil *Limiter allows everything.
type Limiter struct {
	o LimitOptions

	mu sync.Mutex
	m  map[limitKey]*failures
}

type limitKey struct {
	addr netip.Addr // zero: by name over all addresses
	name string     // empty: by address over all names
}

type failures struct {
	n     int
	last  time.Time
	until time.Time // no attempt before this
	good  time.Time // last success of this pair
}

// goodFor is how long an address from which a user signed in stays exempt from
// the limit by name, which strangers can drive up.
const goodFor = 24 * time.Hour

// NewLimiter returns a limiter that knows of no failures.
func NewLimiter(o LimitOptions) *Limiter {
	set := func(p *int, d int) {
		if *p == 0 {
			*p = d
		}
	}
	dur := func(p *time.Duration, d time.Duration) {
		if *p == 0 {
			*p = d
		}
	}
	set(&o.Free, 5)
	set(&o.FreeByAddr, 20)
	set(&o.FreeByName, 50)
	set(&o.Entries, 100_000)
	dur(&o.Base, time.Second)
	dur(&o.Max, 15*time.Minute)
	dur(&o.Forget, time.Hour)
	if o.Clock == nil {
		o.Clock = time.Now
	}
	return &Limiter{o: o, m: map[limitKey]*failures{}}
}

// keys returns what an attempt is counted under and the free tries of each. A
// client on this machine is a web front end or an administrator: its address
// stands for many users, so only the names count.
func (l *Limiter) keys(from netip.Addr, name string) ([]limitKey, []int) {
	name = strings.ToLower(name)
	if !from.IsValid() || from.IsLoopback() {
		return []limitKey{{name: name}}, []int{l.o.FreeByName}
	}
	from = from.Unmap().WithZone("")
	if from.Is6() {
		if p, err := from.Prefix(64); err == nil {
			from = p.Addr()
		}
	}
	return []limitKey{{from, name}, {addr: from}, {name: name}}, []int{l.o.Free, l.o.FreeByAddr, l.o.FreeByName}
}

// allow returns nil, or a KindUnavailable error while the attempt must wait.
func (l *Limiter) allow(from netip.Addr, name string) error {
	if l == nil {
		return nil
	}
	keys, _ := l.keys(from, name)
	now := l.o.Clock()
	l.mu.Lock()
	defer l.mu.Unlock()
	known := false
	for _, k := range keys {
		f := l.m[k]
		if f == nil {
			continue
		}
		if !f.good.IsZero() && now.Sub(f.good) < goodFor {
			known = true
		}
		if byName := !k.addr.IsValid() && len(keys) > 1; now.Before(f.until) && !(byName && known) {
			wait := f.until.Sub(now).Round(time.Second)
			return model.E("auth.limit", model.KindUnavailable, "", fmt.Errorf("too many failed sign-ins, wait %v", wait))
		}
	}
	return nil
}

func (l *Limiter) failed(from netip.Addr, name string) {
	if l == nil {
		return
	}
	keys, free := l.keys(from, name)
	now := l.o.Clock()
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, k := range keys {
		f := l.m[k]
		if f == nil {
			l.makeRoom(now)
			f = &failures{}
			l.m[k] = f
		}
		if now.Sub(f.last) > l.o.Forget {
			f.n = 0
		}
		f.n++
		f.last = now
		if over := f.n - free[i]; over > 0 {
			f.until = now.Add(min(l.o.Max, l.o.Base<<min(over-1, 20)))
		}
	}
}

// succeeded forgives the pair, not the address, as an attacker may own one
// account, nor the name, as its owner's daily sign-ins would hide a guesser.
func (l *Limiter) succeeded(from netip.Addr, name string) {
	if l == nil {
		return
	}
	keys, _ := l.keys(from, name)
	now := l.o.Clock()
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(keys) == 1 {
		delete(l.m, keys[0])
		return
	}
	f := l.m[keys[0]]
	if f == nil {
		l.makeRoom(now)
		f = &failures{}
		l.m[keys[0]] = f
	}
	*f = failures{good: now, last: now}
}

// makeRoom drops entries when the table is full: forgiven ones of a sample
// first, else any.
func (l *Limiter) makeRoom(now time.Time) {
	if len(l.m) < l.o.Entries {
		return
	}
	var victim limitKey
	seen, fewest := 0, 0
	for k, f := range l.m {
		if now.Sub(f.last) > l.o.Forget {
			delete(l.m, k)
		} else if seen == 0 || f.n < fewest {
			victim, fewest = k, f.n
		}
		if seen++; seen == 64 {
			break
		}
	}
	if len(l.m) >= l.o.Entries {
		delete(l.m, victim)
	}
}
