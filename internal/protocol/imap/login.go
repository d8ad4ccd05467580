package imap

import (
	"context"

	wire "rialto/internal/wire/imap"
)

// login is LOGIN (RFC 9051 6.2.3).
func (s *session) login(ctx context.Context) (reply, error) {
	a, err := wire.ReadLogin(s.r)
	if err != nil {
		return reply{}, err
	}
	if !s.protected() {
		return no("PRIVACYREQUIRED", "Use TLS first"), nil
	}
	acct, err := s.srv.Auth.Password(ctx, a.User, a.Password, s.conn.RemoteIP(), proto)
	return s.signIn(ctx, acct, err)
}
