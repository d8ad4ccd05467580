package auth

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"net/netip"
	"strings"

	"rialto/internal/model"
)

// Mechanism is the server's side of one SASL exchange (RFC 4422). It is used
// once, by one goroutine.
//
// A mechanism that also negotiated a security layer has further methods, to be
// found by assertion.
type Mechanism interface {
	// Next takes the client's response, nil when the client sent no initial
	// response, and returns what to send. An account means the exchange
	// succeeded; a challenge beside it is additional data that the protocol
	// delivers with the success. Failure is as Authenticator.Password's.
	Next(ctx context.Context, response []byte) (challenge []byte, acct *Account, err error)
}

// Peer is what a mechanism may know of the connection it runs on.
type Peer struct {
	Addr  netip.Addr           // not valid: local socket
	Proto string               // "imap4", "smtp", …
	Host  string               // our name, for service principals
	TLS   *tls.ConnectionState // nil in clear; for channel binding
}

// MechanismType is a mechanism on offer.
type MechanismType struct {
	Name  string // upper case: "PLAIN"
	Clear bool   // sends the password itself, so needs TLS or the own machine
	New   func(Peer) Mechanism
}

// Offer is the list of mechanisms of one head, best first.
type Offer []MechanismType

// Names returns what to advertise on a connection. protected says that it is
// encrypted, or that policy lets passwords travel in clear on it.
func (o Offer) Names(protected bool) []string {
	var l []string
	for _, m := range o {
		if protected || !m.Clear {
			l = append(l, m.Name)
		}
	}
	return l
}

// Start begins an exchange. Errors: KindUnsupported for an unknown name,
// KindPermission for one that needs protection first.
func (o Offer) Start(name string, p Peer, protected bool) (Mechanism, error) {
	for _, m := range o {
		if strings.EqualFold(m.Name, name) {
			if m.Clear && !protected {
				return nil, model.E("auth.sasl", model.KindPermission, m.Name, errors.New("needs TLS"))
			}
			return m.New(p), nil
		}
	}
	return nil, model.E("auth.sasl", model.KindUnsupported, "", nil)
}

// Passwords returns the mechanisms that carry a password: PLAIN and LOGIN.
func (a *Authenticator) Passwords() Offer {
	return Offer{
		{Name: "PLAIN", Clear: true, New: func(p Peer) Mechanism { return &plain{a: a, peer: p} }},
		{Name: "LOGIN", Clear: true, New: func(p Peer) Mechanism { return &login{a: a, peer: p} }},
	}
}

// plain is RFC 4616: authzid NUL authcid NUL password in one response.
type plain struct {
	a    *Authenticator
	peer Peer
}

func (m *plain) Next(ctx context.Context, resp []byte) ([]byte, *Account, error) {
	if resp == nil {
		return []byte{}, nil, nil
	}
	part := bytes.Split(resp, []byte{0})
	if len(part) != 3 || len(resp) > 4096 {
		return nil, nil, model.E("auth.plain", model.KindInvalid, "", errors.New("not a PLAIN response"))
	}
	authz, name := string(part[0]), string(part[1])
	acct, err := m.a.Password(ctx, name, string(part[2]), m.peer.Addr, m.peer.Proto)
	if err != nil {
		return nil, nil, err
	}
	if !acct.is(authz, name) {
		return nil, nil, model.E("auth.plain", model.KindPermission, "", errors.New("acting for another user"))
	}
	return nil, acct, nil
}

// is reports whether authz, an authorization identity, is the account itself:
// empty, as typed for sign-in, or one of its names.
func (a *Account) is(authz, typed string) bool {
	return authz == "" || strings.EqualFold(authz, typed) || strings.EqualFold(authz, a.Name) || strings.EqualFold(authz, a.UPN)
}

// login is the old LOGIN mechanism: the two prompts are part of the protocol,
// as Outlook Express compares them.
type login struct {
	a      *Authenticator
	peer   Peer
	name   string
	asked  bool
	hasNam bool
}

func (m *login) Next(ctx context.Context, resp []byte) ([]byte, *Account, error) {
	switch {
	case resp == nil && !m.asked:
		m.asked = true
		return []byte("Username:"), nil, nil
	case !m.hasNam:
		m.name, m.hasNam = string(resp), true
		return []byte("Password:"), nil, nil
	}
	acct, err := m.a.Password(ctx, m.name, string(resp), m.peer.Addr, m.peer.Proto)
	return nil, acct, err
}

// ErrSASLCancelled is the client's "*".
var ErrSASLCancelled = errors.New("auth: exchange cancelled")

// DecodeResponse reads a response line of SMTP, IMAP or POP3: base64, "=" for
// an empty initial response, "*" to cancel (ErrSASLCancelled). The result is
// never nil without an error.
func DecodeResponse(line string) ([]byte, error) {
	switch line {
	case "*":
		return nil, ErrSASLCancelled
	case "=", "":
		return []byte{}, nil
	}
	b, err := base64.StdEncoding.DecodeString(line)
	if err != nil {
		return nil, model.E("auth.sasl", model.KindInvalid, "base64", nil)
	}
	return b, nil
}

// EncodeChallenge is the inverse for what the server sends.
func EncodeChallenge(b []byte) string { return base64.StdEncoding.EncodeToString(b) }

// PasswordClient is the client's side of PLAIN or LOGIN, for smart hosts and
// our own clients.
type PasswordClient struct {
	Mechanism, User, Password string // Mechanism: "PLAIN" or "LOGIN"
	step                      int
}

// Name returns the mechanism's name.
func (c *PasswordClient) Name() string { return c.Mechanism }

// Start returns the initial response, nil when there is none.
func (c *PasswordClient) Start() ([]byte, error) {
	c.step = 0
	if c.Mechanism == "PLAIN" {
		return []byte("\x00" + c.User + "\x00" + c.Password), nil
	}
	return nil, nil
}

// Next answers a challenge.
func (c *PasswordClient) Next([]byte) ([]byte, error) {
	c.step++
	switch {
	case c.Mechanism == "LOGIN" && c.step == 1:
		return []byte(c.User), nil
	case c.Mechanism == "LOGIN" && c.step == 2:
		return []byte(c.Password), nil
	}
	return nil, model.E("auth.client", model.KindInvalid, c.Mechanism, errors.New("unexpected challenge"))
}
