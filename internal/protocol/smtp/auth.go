package smtp

import (
	"context"
	"errors"

	"rialto/internal/auth"
	"rialto/internal/model"
	wire "rialto/internal/wire/smtp"
)

// mechanisms is what to advertise.
func (s *session) mechanisms() []string {
	if s.h.Auth == nil {
		return nil
	}
	return s.h.Auth.Passwords().Names(s.c.Protected(false))
}

// auth signs the client in (RFC 4954).
func (s *session) auth(ctx context.Context, args string) (*wire.Reply, error) {
	name, initial, has, err := wire.ParseAuth(args)
	if err != nil {
		return asReply(err), nil
	}
	switch {
	case s.h.Auth == nil:
		return wire.Replyf(502, "5.5.1", "Command not implemented"), nil
	case !s.esmtp:
		return wire.Replyf(503, "5.5.1", "Send EHLO first"), nil
	case s.acct != nil:
		return wire.Replyf(503, "5.5.1", "Already authenticated"), nil
	case s.sub != nil:
		return wire.Replyf(503, "5.5.1", "Not during a message"), nil
	}
	peer := auth.Peer{Addr: s.c.RemoteIP(), Proto: "smtp", Host: s.host, TLS: s.c.TLSState()}
	m, err := s.h.Auth.Passwords().Start(name, peer, s.c.Protected(false))
	if err != nil {
		if model.IsKind(err, model.KindPermission) {
			return wire.Replyf(538, "5.7.11", "Encryption required for requested authentication mechanism"), nil
		}
		return wire.Replyf(504, "5.5.4", "Unrecognized authentication type"), nil
	}
	var first *string
	if has {
		first = &initial
	}
	acct, r, err := s.exchange(ctx, m, first)
	if acct == nil {
		return r, err
	}
	s.acct = acct
	s.ses.Account = acct.GUID
	s.c.SetUser(acct.Name)
	return wire.Replyf(235, "2.7.0", "Authentication successful"), nil
}

// exchange runs the mechanism; without an account the reply or error says why.
func (s *session) exchange(ctx context.Context, m auth.Mechanism, initial *string) (*auth.Account, *wire.Reply, error) {
	var broken error // of the connection, or a line too long
	acct, err := auth.Exchange(ctx, m, initial, func(challenge string) (string, error) {
		s.send(&wire.Reply{Code: 334, Lines: []string{challenge}})
		var line []byte
		if broken = s.c.Flush(); broken == nil {
			line, broken = wire.ReadLine(s.c.Reader(), wire.MaxAuthLine)
		}
		return string(line), broken
	})
	var r *wire.Reply
	switch {
	case err == nil:
		return acct, nil, nil
	case broken != nil && errors.As(broken, &r):
		return nil, r, nil
	case broken != nil:
		return nil, nil, broken
	case errors.Is(err, auth.ErrSASLCancelled):
		return nil, wire.Replyf(501, "5.7.0", "Authentication cancelled"), nil
	case errors.Is(err, auth.ErrSASLEncoding):
		return nil, wire.Replyf(501, "5.5.2", "Cannot decode response"), nil
	}
	return nil, s.authFailure(err), nil
}

// authFailure never tells which part was wrong.
func (s *session) authFailure(err error) *wire.Reply {
	s.authFail++
	s.log().Info("sign-in failed", "err", err)
	switch model.KindOf(err) {
	case model.KindUnavailable, model.KindCanceled:
		return wire.Replyf(454, "4.7.0", "Temporary authentication failure")
	case model.KindInvalid:
		return wire.Replyf(501, "5.5.2", "Cannot decode response")
	}
	return wire.Replyf(535, "5.7.8", "Authentication unsuccessful")
}
