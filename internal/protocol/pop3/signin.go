package pop3

import (
	"context"

	"rialto/internal/auth"
	"rialto/internal/model"
)

// protected reports whether a password may be sent on this connection.
func (s *session) protected() bool { return s.conn.Protected(s.set.Plaintext) }

// signIn ends all forms of signing in.
func (s *session) signIn(ctx context.Context, acct *auth.Account, err error) error {
	switch {
	case err == nil:
		return s.open(ctx, acct)
	case model.IsKind(err, model.KindAuth), model.IsKind(err, model.KindPermission), model.IsKind(err, model.KindInvalid):
		if s.failures++; s.failures >= s.set.MaxFailures {
			s.done = true
			s.srv.report(ctx, s.conn.LogonsFailed(EventLogonFailed))
		}
		if model.IsKind(err, model.KindInvalid) {
			return s.no("", "Bad response")
		}
	}
	return err
}
