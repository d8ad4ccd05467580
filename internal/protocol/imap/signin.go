package imap

import (
	"context"

	"rialto/internal/auth"
	"rialto/internal/model"
)

// protected reports whether a password may be sent on this connection.
func (s *session) protected() bool { return s.conn.Protected(s.set.Plaintext) }

// signIn ends both forms of signing in.
func (s *session) signIn(ctx context.Context, acct *auth.Account, err error) (reply, error) {
	if err == nil {
		s.box, err = s.srv.Stores.Mailbox(ctx, acct)
		if model.IsKind(err, model.KindNotFound) {
			return no("AUTHORIZATIONFAILED", "No mailbox here"), nil
		}
	}
	if err == nil {
		s.acct, s.failures = acct, 0
		s.incarnation = s.box.Header().Incarnation
		s.conn.SetUser(acct.Name)
		return reply{"OK", "CAPABILITY " + s.capabilities(), "Signed in"}, nil
	}
	switch model.KindOf(err) {
	case model.KindAuth, model.KindInvalid, model.KindPermission:
	default:
		return reply{}, err
	}
	if s.failures++; s.failures >= s.set.MaxFailures {
		s.srv.report(ctx, s.conn.LogonsFailed(EventLogonFailed))
		s.w.Status("*", "BYE", "", "Too many failed logins")
		s.done = true
	}
	switch model.KindOf(err) {
	case model.KindPermission:
		return no("AUTHORIZATIONFAILED", "You may not use this service"), nil
	case model.KindInvalid:
		return bad("Bad response"), nil
	}
	return reply{}, err
}
