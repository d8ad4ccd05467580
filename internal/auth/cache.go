package auth

import (
	"crypto/hmac"
	"crypto/sha256"
	"sync"
	"time"

	"rialto/internal/model"
)

// CacheOptions of a Cache; zero fields mean the defaults.
type CacheOptions struct {
	TTL   time.Duration // since the last full verification; default 1 h
	Max   int           // accounts remembered; default 100000
	Clock model.Clock   // default time.Now
}

// Cache remembers proven passwords for a while, so that a mail program that
// signs in every minute costs microseconds and not an argon2. It keeps only a
// hash keyed with a secret of this process, over account, stored credential
// and password: when the credential changes, what was proven before is worth
// nothing. One entry per account. A nil *Cache remembers nothing.
type Cache struct {
	ttl   time.Duration
	max   int
	clock model.Clock
	key   [32]byte

	mu sync.Mutex
	m  map[model.GUID]proof
}

type proof struct {
	mac   [sha256.Size]byte
	until time.Time
}

// NewCache returns an empty cache with a fresh secret.
func NewCache(o CacheOptions) *Cache {
	if o.TTL == 0 {
		o.TTL = time.Hour
	}
	if o.Max == 0 {
		o.Max = 100_000
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	return &Cache{ttl: o.TTL, max: o.Max, clock: o.Clock, key: [32]byte(randomBytes(32)), m: map[model.GUID]proof{}}
}

func (c *Cache) mac(id model.GUID, credential, password string) (sum [sha256.Size]byte) {
	h := hmac.New(sha256.New, c.key[:])
	h.Write(id[:])
	// The credential has no zero byte, so the two cannot run into each other.
	h.Write([]byte(credential))
	h.Write([]byte{0})
	h.Write([]byte(password))
	h.Sum(sum[:0])
	return sum
}

func (c *Cache) proven(id model.GUID, credential, password string) bool {
	if c == nil {
		return false
	}
	mac := c.mac(id, credential, password)
	now := c.clock()
	c.mu.Lock()
	p, ok := c.m[id]
	c.mu.Unlock()
	return ok && now.Before(p.until) && hmac.Equal(p.mac[:], mac[:])
}

func (c *Cache) remember(id model.GUID, credential, password string) {
	if c == nil {
		return
	}
	p := proof{c.mac(id, credential, password), c.clock().Add(c.ttl)}
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, known := c.m[id]; !known && len(c.m) >= c.max {
		for other := range c.m { // any: order of a map is as good as random
			delete(c.m, other)
			break
		}
	}
	c.m[id] = p
}

// Forget drops what is known of an account, all of it for the zero GUID.
func (c *Cache) Forget(id model.GUID) {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if id.IsZero() {
		clear(c.m)
		return
	}
	delete(c.m, id)
}
