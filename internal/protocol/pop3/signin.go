package pop3

import (
	"context"
	"log/slog"
	"strings"

	"rialto/internal/auth"
	"rialto/internal/model"
	"rialto/internal/service"
	"rialto/internal/store"
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
