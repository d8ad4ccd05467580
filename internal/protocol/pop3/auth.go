package pop3

import (
	"context"
	"errors"

	"rialto/internal/auth"
	"rialto/internal/model"
	wire "rialto/internal/wire/pop3"
)

// authenticate is AUTH (RFC 5034).
func (s *session) authenticate(ctx context.Context, cmd wire.Command) error {
	if len(cmd.Args) == 0 { // the old form asks for the list
		s.ok("Mechanisms follow")
		for _, n := range s.srv.offer().Names(s.protected()) {
			s.w.Line(n)
		}
		s.w.End()
		return nil
	}
	peer := auth.Peer{Addr: s.conn.RemoteIP(), Proto: proto, Host: s.set.Host, TLS: s.conn.TLSState()}
	mech, err := s.srv.offer().Start(cmd.Args[0], peer, s.protected())
	switch {
	case model.IsKind(err, model.KindPermission):
		return s.no("SYS/PERM", "Use TLS first")
	case err != nil:
		return s.no("", "Unknown mechanism")
	}
	return s.exchange(ctx, mech, cmd.Args[1:])
}

// exchange runs the mechanism and signs in; args holds the initial response, if
// there is one. A response that can not be read is no attempt.
func (s *session) exchange(ctx context.Context, m auth.Mechanism, args []string) error {
	var initial *string
	if len(args) > 0 {
		initial = &args[0]
	}
	asked, broken := false, error(nil) // broken: the stream
	acct, err := auth.Exchange(ctx, m, initial, func(challenge string) (line string, err error) {
		asked = true
		s.w.Continue(challenge)
		if broken = s.w.Flush(); broken != nil {
			return "", broken
		}
		if line, err = s.r.Line(); err != nil {
			broken = errBroken
		}
		return line, broken
	})
	switch {
	case broken != nil:
		return broken
	case errors.Is(err, auth.ErrSASLCancelled):
		return s.no("", "Cancelled")
	case errors.Is(err, auth.ErrSASLEncoding) && !asked:
		return s.no("", "Bad initial response")
	case errors.Is(err, auth.ErrSASLEncoding):
		return s.no("", "Bad response")
	}
	return s.signIn(ctx, acct, err)
}
