package imap

import (
	"context"
	"errors"
	"log/slog"
	"strings"

	"rialto/internal/auth"
	"rialto/internal/model"
	"rialto/internal/service"
	wire "rialto/internal/wire/imap"
)

// protected reports whether a password may be sent on this connection.
func (s *session) protected() bool {
	return s.conn.TLS() || s.conn.Local() || s.set.Plaintext
}

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
		s.srv.report(ctx, service.Event{ID: EventLogonFailed, Level: slog.LevelWarn, Category: "Logons",
			Message: "A client was disconnected after several failed logons.",
			Attrs:   []slog.Attr{slog.String("remote", s.conn.RemoteIP().String())}})
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

// startTLS is STARTTLS (RFC 9051 6.2.1).
func (s *session) startTLS(ctx context.Context) (reply, error) {
	if err := wire.ReadNone(s.r); err != nil {
		return reply{}, err
	}
	if !s.conn.CanStartTLS() {
		return bad("TLS is not possible now"), nil
	}
	if s.conn.Buffered() > 0 {
		s.w.Status("*", "BYE", "", "Plain text after STARTTLS")
		s.done = true
		return bad("Plain text after STARTTLS"), nil
	}
	s.w.Status(s.tag, "OK", "", "Begin TLS now")
	if s.w.Flush() != nil || s.conn.StartTLS(ctx) != nil {
		return reply{}, nil
	}
	s.r, s.br = nil, nil
	s.lendReader()
	return reply{cond: tlsStarted}, nil
}

// tlsStarted stands for a reply that was sent already.
const tlsStarted = "TLS"

// capabilities returns what is offered in the present state.
func (s *session) capabilities() string {
	caps := "IMAP4rev1 IMAP4rev2 LITERAL+ SASL-IR ID ENABLE"
	if s.acct != nil {
		return caps + " IDLE NAMESPACE CHILDREN UIDPLUS UNSELECT MOVE ESEARCH SEARCHRES CONDSTORE QRESYNC" +
			" LIST-EXTENDED LIST-STATUS SPECIAL-USE STATUS=SIZE APPENDLIMIT=" + itoa(s.set.MaxMessage) +
			" OBJECTID MULTIAPPEND WITHIN PREVIEW UTF8=ACCEPT"
	}
	if s.conn.CanStartTLS() {
		caps += " STARTTLS"
	}
	if !s.protected() {
		caps += " LOGINDISABLED"
	}
	for _, m := range s.srv.offer().Names(s.protected()) {
		caps += " AUTH=" + m
	}
	return caps
}

func (s *session) capability(context.Context) (reply, error) {
	if err := wire.ReadNone(s.r); err != nil {
		return reply{}, err
	}
	s.w.Raw("* CAPABILITY " + s.capabilities())
	s.w.CRLF()
	return ok("CAPABILITY completed"), nil
}

func (s *session) noop(context.Context) (reply, error) {
	return ok("Done"), wire.ReadNone(s.r)
}

func (s *session) logout(context.Context) (reply, error) {
	if err := wire.ReadNone(s.r); err != nil {
		return reply{}, err
	}
	s.w.Status("*", "BYE", "", "Goodbye")
	s.done = true
	return ok("LOGOUT completed"), nil
}

// id is ID (RFC 2971). What the client says of itself helps who reads the log.
func (s *session) id(context.Context) (reply, error) {
	fields, err := wire.ReadID(s.r)
	if err != nil {
		return reply{}, err
	}
	var says []string
	for _, f := range fields[:min(len(fields), 30)] {
		says = append(says, f.Name+"="+f.Value)
	}
	s.srv.logger().Debug("imap: client id", "conn", s.conn.ID(), "user", s.user(), "id", strings.Join(says, " "))
	s.w.Raw(`* ID ("name" "Rialto")`)
	s.w.CRLF()
	return ok("ID completed"), nil
}

// enable is ENABLE (RFC 9051 6.3.1).
func (s *session) enable(context.Context) (reply, error) {
	caps, err := wire.ReadEnable(s.r)
	if err != nil {
		return reply{}, err
	}
	s.w.Raw("* ENABLED")
	for _, c := range caps {
		switch c {
		case "CONDSTORE":
			s.condStore = true
		case "QRESYNC":
			s.condStore, s.qresync = true, true
		case "UTF8=ACCEPT":
			s.r.UTF8, s.w.UTF8 = true, true
		case "IMAP4REV2":
			s.rev2, s.r.UTF8, s.w.UTF8 = true, true, true
			c = "IMAP4rev2"
		default:
			continue
		}
		s.w.Raw(" " + c)
	}
	s.w.CRLF()
	return ok("ENABLE completed"), nil
}
