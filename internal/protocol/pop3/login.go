package pop3

import (
	"context"
	"errors"
	"log/slog"
	"strings"

	"rialto/internal/auth"
	"rialto/internal/model"
	"rialto/internal/service"
	"rialto/internal/store"
	wire "rialto/internal/wire/pop3"
)

// protected reports whether a password may be sent on this connection.
func (s *session) protected() bool {
	return s.conn.TLS() || s.conn.Local() || s.set.Plaintext
}

// startTLS is STLS (RFC 2595 4).
func (s *session) startTLS(ctx context.Context) error {
	if !s.conn.CanStartTLS() {
		return s.no("", "TLS is not possible now")
	}
	if s.conn.Buffered() > 0 {
		s.done = true
		return s.no("", "Plain text after STLS")
	}
	s.ok("Begin TLS now")
	if err := s.w.Flush(); err != nil {
		return err
	}
	if err := s.conn.StartTLS(ctx); err != nil {
		return errBroken
	}
	s.user = ""
	s.lend()
	return nil
}

// userName is USER: it tells nobody who exists.
func (s *session) userName(cmd wire.Command) error {
	if !s.protected() {
		return s.no("SYS/PERM", "Use TLS first")
	}
	if cmd.Rest == "" {
		return s.no("", "USER needs a name")
	}
	s.user = cmd.Rest
	return s.ok("Password?")
}

func (s *session) password(ctx context.Context, cmd wire.Command) error {
	if s.user == "" {
		return s.no("", "USER comes first")
	}
	acct, err := s.srv.Auth.Password(ctx, s.user, cmd.Rest, s.conn.RemoteIP(), proto)
	s.user = ""
	return s.signIn(ctx, acct, err)
}

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

// open reads the maildrop.
func (s *session) open(ctx context.Context, acct *auth.Account) error {
	box, err := s.srv.Stores.Mailbox(ctx, acct)
	if model.IsKind(err, model.KindNotFound) {
		return s.no("SYS/PERM", "No mailbox here")
	}
	if err != nil {
		return err
	}
	v, err := box.View(ctx)
	if err != nil {
		return err
	}
	defer v.Close()
	var list []drop
	err = v.Briefs(ctx, store.FolderInbox, 1, ^store.UID(0), func(st *store.Brief) bool {
		list = append(list, drop{uid: st.UID, row: st.Row, oid: st.OID, size: st.Size})
		return len(list) < s.set.MaxMessages
	})
	if err != nil {
		return err
	}
	s.acct, s.box, s.drop, s.failures = acct, box, list, 0
	s.incarnation = box.Header().Incarnation
	s.conn.SetUser(strings.Clone(acct.Name))
	return s.ok("Signed in")
}
