package pop3

import (
	"context"

	wire "rialto/internal/wire/pop3"
)

// password is PASS (RFC 1939 7).
func (s *session) password(ctx context.Context, cmd wire.Command) error {
	if s.user == "" {
		return s.no("", "USER comes first")
	}
	acct, err := s.srv.Auth.Password(ctx, s.user, cmd.Rest, s.conn.RemoteIP(), proto)
	s.user = ""
	return s.signIn(ctx, acct, err)
}
