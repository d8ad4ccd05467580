package imap

import (
	"context"
	"errors"

	"rialto/internal/auth"
	"rialto/internal/model"
	wire "rialto/internal/wire/imap"
)

// authenticate is AUTHENTICATE (RFC 9051 6.2.2) with an initial response (RFC
// 4959).
func (s *session) authenticate(ctx context.Context) (reply, error) {
	a, err := wire.ReadAuthenticate(s.r)
	if err != nil {
		return reply{}, err
	}
	peer := auth.Peer{Addr: s.conn.RemoteIP(), Proto: proto, Host: s.set.Host, TLS: s.conn.TLSState()}
	mech, err := s.srv.offer().Start(a.Mechanism, peer, s.protected())
	switch {
	case model.IsKind(err, model.KindPermission):
		return no("PRIVACYREQUIRED", "Use TLS first"), nil
	case err != nil:
		return no("CANNOT", "Unknown mechanism"), nil
	}
	return s.exchange(ctx, mech, a)
}

// maxResponse is the most bytes of a SASL response line: Kerberos tickets are
// the longest.
const maxResponse = 64 << 10

// exchange runs the mechanism and signs in. A response that can not be read is
// no attempt.
func (s *session) exchange(ctx context.Context, m auth.Mechanism, a wire.Authenticate) (reply, error) {
	var initial *string
	if a.HasInitial {
		initial = &a.Initial
	}
	asked, broken := false, error(nil) // broken: the stream, or a line too long
	acct, err := auth.Exchange(ctx, m, initial, func(challenge string) (line string, _ error) {
		asked = true
		s.w.Raw("+ " + challenge + "\r\n")
		if broken = s.w.Flush(); broken == nil {
			line, broken = s.r.Line(maxResponse)
		}
		return line, broken
	})
	switch {
	case broken != nil:
		return reply{}, broken
	case errors.Is(err, auth.ErrSASLCancelled):
		return bad("Cancelled"), nil
	case errors.Is(err, auth.ErrSASLEncoding) && !asked:
		return bad("Bad initial response"), nil
	case errors.Is(err, auth.ErrSASLEncoding):
		return bad("Bad response"), nil
	}
	return s.signIn(ctx, acct, err)
}
