// Package model is the vocabulary of Rialto: identifiers, addresses, times and
// error kinds. It does no I/O and imports nothing of the project, so every
// other package may speak it.
package model

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"time"
)

// GUID is a 16-byte identifier in the byte order of MS-DTYP 2.3.4.2: the first
// three fields little-endian, as the directory stores objectGUID.
type GUID [16]byte

// NewGUID returns a random (version 4) GUID.
func NewGUID() GUID {
	var g GUID
	if _, err := rand.Read(g[:]); err != nil {
		// crypto/rand never fails on the systems Go supports; a GUID that is
		// not random would break identity for ever.
		panic("model: no randomness: " + err.Error())
	}
	g[7] = g[7]&0x0f | 0x40
	g[8] = g[8]&0x3f | 0x80
	return g
}

// IsZero reports whether g is the nil GUID.
func (g GUID) IsZero() bool { return g == GUID{} }

// String returns the registry form without braces, in lower case:
// "335a1087-5131-4d45-be3e-3c6c7f76f5ec".
func (g GUID) String() string {
	var b [36]byte
	hex.Encode(b[0:], []byte{g[3], g[2], g[1], g[0]})
	hex.Encode(b[9:], []byte{g[5], g[4]})
	hex.Encode(b[14:], []byte{g[7], g[6]})
	hex.Encode(b[19:], g[8:10])
	hex.Encode(b[24:], g[10:16])
	b[8], b[13], b[18], b[23] = '-', '-', '-', '-'
	return string(b[:])
}

// MarshalText implements encoding.TextMarshaler.
func (g GUID) MarshalText() ([]byte, error) { return []byte(g.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (g *GUID) UnmarshalText(b []byte) error {
	p, err := ParseGUID(string(b))
	if err != nil {
		return err
	}
	*g = p
	return nil
}

// ParseGUID reads the registry form, with or without braces.
func ParseGUID(s string) (GUID, error) {
	var g GUID
	bad := fmt.Errorf("model: %q is not a GUID", s)
	if len(s) == 38 && s[0] == '{' && s[37] == '}' {
		s = s[1:37]
	}
	if len(s) != 36 || s[8] != '-' || s[13] != '-' || s[18] != '-' || s[23] != '-' {
		return g, bad
	}
	raw, err := hex.DecodeString(s[0:8] + s[9:13] + s[14:18] + s[19:23] + s[24:])
	if err != nil {
		return g, bad
	}
	copy(g[:], raw)
	g[0], g[1], g[2], g[3] = raw[3], raw[2], raw[1], raw[0]
	g[4], g[5] = raw[5], raw[4]
	g[6], g[7] = raw[7], raw[6]
	return g, nil
}

// Clock gives the time. Everything that decides by time takes one, so tests
// decide what time it is.
type Clock func() time.Time

// Kind is the class of an error: what a caller can do about it. Each head has
// one table from Kind to its wire code.
type Kind uint8

// The kinds of error.
const (
	KindOther       Kind = iota // unexpected; the cause is in the log
	KindInvalid                 // the request itself is wrong
	KindNotFound                // the named object does not exist
	KindExists                  // the named object exists already
	KindPermission              // the caller may not
	KindAuth                    // who the caller says he is was not proven
	KindQuota                   // a limit of the mailbox or organization
	KindTooLarge                // one item is over its size limit
	KindNoSpace                 // the server is short of disk
	KindUnavailable             // temporarily not possible: dismounted, paused, poisoned
	KindConflict                // somebody else changed it first
	KindCanceled                // the caller gave up or ran out of time
	KindCorrupt                 // stored data failed its check
	KindUnsupported             // valid, and not offered here
	KindExpired                 // a snapshot, token or cookie is too old
)

var kindNames = [...]string{
	"error", "invalid", "not found", "already exists", "permission denied",
	"authentication failed", "quota exceeded", "too large", "out of disk space",
	"temporarily unavailable", "conflict", "canceled", "corrupt", "not supported", "expired",
}

// String returns the kind in words.
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return "error"
}

// Error is the error of every package above kv: what was being done, to what,
// which kind of failure it was and why.
type Error struct {
	Op     string // package and operation: "store.deliver"
	Kind   Kind
	Object string // what it was done to; safe to show to whoever may see the object
	Err    error  // the cause; for the log, not for clients
}

// E returns an *Error. err may be nil.
func E(op string, kind Kind, object string, err error) error {
	return &Error{Op: op, Kind: kind, Object: object, Err: err}
}

// Error returns everything known, for logs.
func (e *Error) Error() string {
	s := e.Op + ": "
	if e.Object != "" {
		s += e.Object + ": "
	}
	s += e.Kind.String()
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// KindOf returns the kind of the outermost *Error in err's chain, KindOther if
// there is none.
func KindOf(err error) Kind {
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return KindOther
}

// IsKind reports whether err is an *Error of kind k.
func IsKind(err error, k Kind) bool { return err != nil && KindOf(err) == k }
