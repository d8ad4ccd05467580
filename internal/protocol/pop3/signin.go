package pop3

import (
	"context"
	"log/slog"

	"rialto/internal/auth"
	"rialto/internal/model"
	"rialto/internal/service"
)

// protected reports whether a password may be sent on this connection.
func (s *session) protected() bool {
	return s.conn.TLS() || s.conn.Local() || s.set.Plaintext
}

// signIn ends all forms of signing in.
func (s *session) signIn(ctx context.Context, acct *auth.Account, err error) error {
	switch {
	case err == nil:
		return s.open(ctx, acct)
	case model.IsKind(err, model.KindAuth), model.IsKind(err, model.KindPermission), model.IsKind(err, model.KindInvalid):
		if s.failures++; s.failures >= s.set.MaxFailures {
			s.done = true
			s.srv.report(ctx, service.Event{ID: EventLogonFailed, Level: slog.LevelWarn, Category: "Logons",
				Message: "A client was disconnected after several failed logons.",
				Attrs:   []slog.Attr{slog.String("remote", s.conn.RemoteIP().String())}})
		}
		if model.IsKind(err, model.KindInvalid) {
			return s.no("", "Bad response")
		}
	}
	return err
}
