package auth

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/argon2"

	"rialto/internal/model"
)

// Params are the costs of argon2id (RFC 9106).
type Params struct {
	MemoryKiB uint32
	Time      uint32
	Threads   uint8
}

// DefaultParams are those of OWASP's equivalent settings that need the least
// memory, 7 MiB and five passes, since every first sign-in of a user allocates
// it. Threads stay at one so that a login storm shares the cores.
func DefaultParams() Params { return Params{MemoryKiB: 7 << 10, Time: 5, Threads: 1} }

// What a stored hash may ask of us: more is a mistake or an attack.
const (
	maxMemoryKiB = 1 << 20
	maxTime      = 64
	saltLen      = 16
	keyLen       = 32
)

// Hasher makes and verifies password hashes, few at a time: each costs
// MemoryKiB, and a login storm must not cost all of them at once.
type Hasher struct {
	params Params
	slots  chan struct{}
	dummy  string // a hash nobody has the password of

	mu   sync.Mutex
	idle *time.Timer // runs quiet after the last hash
}

// NewHasher returns a hasher; at most parallel hashes are computed at a time,
// 0 means one for each processor.
func NewHasher(p Params, parallel int) *Hasher {
	if parallel <= 0 {
		parallel = runtime.GOMAXPROCS(0)
	}
	h := &Hasher{params: p, slots: make(chan struct{}, parallel)}
	// Never verified with success: the key is not the hash of anything known.
	h.dummy = encodePHC(p, randomBytes(saltLen), randomBytes(keyLen))
	return h
}

func randomBytes(n int) []byte {
	b := make([]byte, n)
	rand.Read(b) // does not fail, see crypto/rand
	return b
}

// Hash returns the PHC string of password:
// $argon2id$v=19$m=7168,t=5,p=1$salt$key.
func (h *Hasher) Hash(ctx context.Context, password string) (string, error) {
	if len(password) > MaxPassword {
		return "", model.E("auth.hash", model.KindInvalid, "password too long", nil)
	}
	salt := randomBytes(saltLen)
	key, err := h.compute(ctx, h.params, password, salt, keyLen)
	if err != nil {
		return "", err
	}
	return encodePHC(h.params, salt, key), nil
}

// Verify reports whether password belongs to the PHC string. A string that
// cannot be read is KindCorrupt.
func (h *Hasher) Verify(ctx context.Context, phc, password string) (bool, error) {
	p, salt, want, err := parsePHC(phc)
	if err != nil {
		return false, model.E("auth.verify", model.KindCorrupt, "stored password", err)
	}
	got, err := h.compute(ctx, p, password, salt, uint32(len(want)))
	if err != nil {
		return false, err
	}
	return subtle.ConstantTimeCompare(got, want) == 1, nil
}

// Waste takes as long as Verify does, for names that do not exist.
func (h *Hasher) Waste(ctx context.Context, password string) error {
	_, err := h.Verify(ctx, h.dummy, password)
	return err
}

func (h *Hasher) compute(ctx context.Context, p Params, password string, salt []byte, n uint32) ([]byte, error) {
	select {
	case h.slots <- struct{}{}:
	case <-ctx.Done():
		return nil, model.E("auth.hash", model.KindCanceled, "", ctx.Err())
	}
	defer func() {
		<-h.slots
		h.giveBack()
	}()
	return argon2.IDKey([]byte(password), salt, p.Time, p.MemoryKiB, p.Threads, n), nil
}

// quiet is how long after the last hash its memory goes back to the system.
const quiet = time.Second

// giveBack returns the memory of hashes to the system once a burst of them is
// over. The runtime would keep it for minutes, and a server that has just signed
// everybody in looks several times its size.
func (h *Hasher) giveBack() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.idle == nil {
		h.idle = time.AfterFunc(quiet, debug.FreeOSMemory)
		return
	}
	h.idle.Reset(quiet)
}

func encodePHC(p Params, salt, key []byte) string {
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, p.MemoryKiB, p.Time, p.Threads,
		base64.RawStdEncoding.EncodeToString(salt), base64.RawStdEncoding.EncodeToString(key))
}

var errPHC = errors.New("not an argon2id PHC string")

func parsePHC(s string) (p Params, salt, key []byte, err error) {
	part := strings.Split(s, "$")
	if len(part) != 6 || part[0] != "" || part[1] != "argon2id" || part[2] != fmt.Sprintf("v=%d", argon2.Version) {
		return p, nil, nil, errPHC
	}
	if n, err := fmt.Sscanf(part[3], "m=%d,t=%d,p=%d", &p.MemoryKiB, &p.Time, &p.Threads); n != 3 || err != nil {
		return p, nil, nil, errPHC
	}
	if p.Time == 0 || p.Time > maxTime || p.Threads == 0 || p.MemoryKiB > maxMemoryKiB || p.MemoryKiB < 8*uint32(p.Threads) {
		return p, nil, nil, errPHC
	}
	salt, err1 := base64.RawStdEncoding.DecodeString(part[4])
	key, err2 := base64.RawStdEncoding.DecodeString(part[5])
	if err1 != nil || err2 != nil || len(salt) < 8 || len(salt) > 64 || len(key) < 16 || len(key) > 64 {
		return p, nil, nil, errPHC
	}
	return p, salt, key, nil
}
