package imap

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"log/slog"

	"rialto/internal/model"
	"rialto/internal/service"
	wire "rialto/internal/wire/imap"
)

// reply is a tagged response.
type reply struct{ cond, code, text string }

func ok(text string) reply       { return reply{"OK", "", text} }
func no(code, text string) reply { return reply{"NO", code, text} }
func bad(text string) reply      { return reply{"BAD", "", text} }

// errBroken says that the stream can not go on: a literal was cut.
var errBroken = errors.New("imap: the stream is broken")

// failure is the one table from errors to responses (RFC 5530, RFC 9051 7.1).
// The cause of what is nobody's fault goes to the log under a reference that the
// client is told.
func (s *session) failure(ctx context.Context, name string, err error) reply {
	if errors.Is(err, errBroken) {
		s.srv.logger().Error("imap: response cut", "conn", s.conn.ID(), "command", name, "err", err)
		return reply{}
	}
	if wire.IsSyntax(err) {
		if model.IsKind(err, model.KindTooLarge) {
			return no("LIMIT", wire.SyntaxText(err))
		}
		return bad(wire.SyntaxText(err))
	}
	for _, cause := range []error{errNotThere, errFlag, errNotHere} {
		if errors.Is(err, cause) {
			return bad(wire.SyntaxText(err))
		}
	}
	if errors.Is(err, errFlagLimit) {
		return no("LIMIT", wire.SyntaxText(err))
	}
	var own *model.Error
	if !errors.As(err, &own) { // of the stream
		return reply{}
	}
	switch own.Kind {
	case model.KindInvalid:
		return no("CANNOT", "That is not possible")
	case model.KindNotFound:
		return no("NONEXISTENT", "No such mailbox")
	case model.KindExists:
		return no("ALREADYEXISTS", "It exists already")
	case model.KindPermission:
		return no("NOPERM", "Permission denied")
	case model.KindAuth:
		return no("AUTHENTICATIONFAILED", "User name or password is wrong")
	case model.KindQuota:
		return no("OVERQUOTA", "A limit of the mailbox is reached")
	case model.KindTooLarge:
		if name != "APPEND" { // which alone has TOOBIG (RFC 4469)
			return no("LIMIT", "A limit of the server is reached")
		}
		return no("TOOBIG", "Too large")
	case model.KindConflict:
		return no("INUSE", "Somebody else changed it")
	case model.KindUnsupported:
		return no("CANNOT", "Not offered here")
	case model.KindUnavailable, model.KindCanceled, model.KindExpired, model.KindNoSpace:
		return no("UNAVAILABLE", "Temporarily unavailable; reference "+s.logFailure(ctx, name, slog.LevelWarn, err))
	case model.KindCorrupt:
		return no("CORRUPTION", "Stored data is damaged; reference "+s.logFailure(ctx, name, slog.LevelError, err))
	}
	return no("SERVERBUG", "Internal error; reference "+s.logFailure(ctx, name, slog.LevelError, err))
}

// logFailure writes the cause to the log and returns its reference.
func (s *session) logFailure(ctx context.Context, name string, level slog.Level, err error) string {
	var b [4]byte
	rand.Read(b[:]) // never fails
	ref := hex.EncodeToString(b[:])
	s.srv.logger().Log(ctx, level, "imap: command failed", "ref", ref, "conn", s.conn.ID(), "user", s.user(), "command", name, "err", err)
	if level >= slog.LevelError {
		s.srv.report(ctx, service.Event{ID: EventInternal, Level: level, Category: "General",
			Message: "A command failed because of an internal error.", Attrs: []slog.Attr{
				slog.String("ref", ref), slog.String("user", s.user()), slog.String("command", name), slog.Any("err", err)}})
	}
	return ref
}

func (s *session) user() string {
	if s.acct == nil {
		return ""
	}
	return s.acct.Name
}

// errFlagLimit is answered with NO [LIMIT].
var errFlagLimit = errors.New("imap: too many or too long keywords")

// Causes that are answered with BAD.
var (
	errNotThere = errors.New("imap: no such message number")
	errFlag     = errors.New("imap: no such flag")
	errNotHere  = errors.New("imap: not offered")
)
