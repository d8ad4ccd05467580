// Package auth proves who somebody is: password hashes, a cache of proven
// passwords, limits on guessing, and SASL mechanisms. Where the accounts are
// kept is behind the one-method Finder.
//
// No error or log text of this package holds a password, a hash or a response.
// What failed is told to the caller as one kind, KindAuth, whether the name or
// the password was wrong; too many attempts are KindUnavailable.
//
// Locks: Cache, Limiter and Hasher have one each; none is held while another is
// taken, a hash is computed or the Finder is asked.
package auth

import (
	"context"
	"errors"
	"net/netip"

	"rialto/internal/model"
)

// Account is what sign-in needs to know of a directory user.
type Account struct {
	GUID        model.GUID // objectGUID
	SID         []byte     // objectSid, binary
	Name        string     // sAMAccountName
	UPN         string     // userPrincipalName
	DN          string     // distinguishedName
	DisplayName string
	Credential  string // PHC string of the password; empty: no password sign-in
	Disabled    bool   // disabled, locked or expired
	Admin       bool   // member of the organization's administrators
	MailboxGUID model.GUID
	HomeServer  string // where the mailbox is, for front-end servers; may be empty

	// Protocols says which heads the user may use, by name ("imap4", "pop3",
	// "owa", …); nil allows all.
	Protocols map[string]bool
}

// Allows reports whether the account may use a protocol.
func (a *Account) Allows(proto string) bool {
	if a.Protocols == nil {
		return true
	}
	on, said := a.Protocols[proto]
	return on || !said
}

// Finder finds an account by what the user typed: alice, alice@contoso.test,
// CONTOSO\alice, or a DN. An unknown name is model.KindNotFound; any other
// error is taken for a directory that does not answer. The result is not
// changed by the caller.
type Finder interface {
	FindAccount(ctx context.Context, name string) (*Account, error)
}

// Authenticator verifies passwords. Finder and Hasher must be set, Cache and
// Limiter may be nil. Safe for concurrent use.
type Authenticator struct {
	Finder  Finder
	Hasher  *Hasher
	Cache   *Cache
	Limiter *Limiter
}

// New returns an Authenticator with the default hasher, cache and limits.
func New(f Finder) *Authenticator {
	return &Authenticator{Finder: f, Hasher: NewHasher(DefaultParams(), 0), Cache: NewCache(CacheOptions{}), Limiter: NewLimiter(LimitOptions{})}
}

// MaxPassword is the longest password looked at, in bytes.
const MaxPassword = 1024

// errRejected is the cause of every failed proof: it must not tell which part
// was wrong.
var errRejected = errors.New("user name or password is wrong")

// Password proves name with password for a client at from (not valid: a local
// socket) over proto. Errors: KindAuth when the proof fails, KindUnavailable
// when there were too many failures or the directory does not answer,
// KindPermission when the proof holds and the protocol is denied to the user,
// KindCanceled when ctx ends.
func (a *Authenticator) Password(ctx context.Context, name, password string, from netip.Addr, proto string) (*Account, error) {
	const op = "auth.password"
	if name == "" || len(name) > 1024 || len(password) > MaxPassword {
		return nil, model.E(op, model.KindAuth, "", errRejected)
	}
	if err := a.Limiter.allow(from, name); err != nil {
		return nil, err
	}
	acct, err := a.Finder.FindAccount(ctx, name)
	switch {
	case model.IsKind(err, model.KindNotFound):
		acct = nil
	case err != nil:
		if ctx.Err() != nil {
			return nil, model.E(op, model.KindCanceled, "", ctx.Err())
		}
		return nil, model.E(op, model.KindUnavailable, "", err)
	}
	ok, err := a.verify(ctx, acct, password)
	if err != nil {
		return nil, err
	}
	if !ok {
		a.Limiter.failed(from, name)
		return nil, model.E(op, model.KindAuth, "", errRejected)
	}
	a.Limiter.succeeded(from, name)
	if !acct.Allows(proto) {
		return nil, model.E(op, model.KindPermission, proto, nil)
	}
	return acct, nil
}

// verify compares the password with the account's, at the same cost whether
// the account exists or not. A disabled account is verified and then refused.
func (a *Authenticator) verify(ctx context.Context, acct *Account, password string) (bool, error) {
	if acct == nil || acct.Credential == "" || password == "" {
		return false, a.Hasher.Waste(ctx, password)
	}
	if a.Cache.proven(acct.GUID, acct.Credential, password) {
		return !acct.Disabled, nil
	}
	ok, err := a.Hasher.Verify(ctx, acct.Credential, password)
	if err != nil || !ok {
		return false, err
	}
	a.Cache.remember(acct.GUID, acct.Credential, password)
	return !acct.Disabled, nil
}
