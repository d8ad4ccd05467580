package pop3

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"log/slog"
	"os"

	"rialto/internal/auth"
	"rialto/internal/model"
	"rialto/internal/service"
	"rialto/internal/store"
	wire "rialto/internal/wire/pop3"
)

// session is one connection. It belongs to the goroutine of its handler.
type session struct {
	srv  *Server
	conn *service.Conn
	set  Settings
	r    *wire.Reader // on the buffer that conn lends at present
	w    *wire.Writer

	user        string // of USER
	acct        *auth.Account
	box         *store.Mailbox
	incarnation uint32
	drop        []drop

	failures, bad int
	done          bool
}

// serve runs the session from greeting to end.
func (s *session) serve(ctx context.Context) {
	defer s.markRead(ctx)
	s.lend()
	s.w.OK(s.set.Host + " POP3 server ready")
	for !s.done {
		if s.conn.Flush() != nil {
			return
		}
		if err := s.conn.WaitInput(s.set.IdleTimeout); err != nil {
			if errors.Is(err, service.ErrWoken) {
				continue
			}
			s.farewell(err)
			return
		}
		s.lend()
		cmd, err := s.r.Command()
		switch {
		case err == nil:
			err = s.run(ctx, cmd)
		case model.IsKind(err, model.KindInvalid):
			s.bad++
			s.w.Err("", "Bad command line")
			err = nil
		}
		if err != nil {
			return // the stream is broken
		}
		if s.bad >= s.set.MaxBad {
			s.w.Err("", "Too many bad commands")
			break
		}
	}
	_ = s.w.Flush() // the connection is closed next, whatever this says
}

// farewell says why the server ends the session. No message is deleted then
// (RFC 1939 3).
func (s *session) farewell(err error) {
	if errors.Is(err, service.ErrDraining) || errors.Is(err, os.ErrDeadlineExceeded) {
		s.lend()
		s.w.Err("SYS/TEMP", "Closing the connection")
		_ = s.w.Flush() // as in serve
	}
}

// lend puts reader and writer on the buffers the connection lends until the next
// wait: being large enough they are used as they are.
func (s *session) lend() {
	s.r, s.w = wire.NewReader(s.conn.Reader()), wire.NewWriter(s.conn.Writer())
}

// run runs one command. An error means that the stream is broken; all others
// are answered.
func (s *session) run(ctx context.Context, cmd wire.Command) error {
	s.bad++
	err, known := s.common(ctx, cmd)
	if !known && s.acct == nil {
		err, known = s.authorization(ctx, cmd)
	} else if !known {
		err, known = s.transaction(ctx, cmd)
	}
	if !known {
		s.w.Err("", "Unknown command")
		return nil
	}
	var own *model.Error
	if errors.As(err, &own) && !errors.Is(err, errBroken) {
		s.fail(ctx, cmd.Name, err)
		return nil
	}
	return err
}

// errBroken says that a reply was begun and can not be ended.
var errBroken = errors.New("pop3: reply cut")

// ok answers and counts the command as a good one.
func (s *session) ok(text string) error {
	s.bad = 0
	s.w.OK(text)
	return nil
}

func (s *session) no(code, text string) error {
	s.w.Err(code, text)
	return nil
}

// common are the commands of every state.
func (s *session) common(ctx context.Context, cmd wire.Command) (err error, known bool) {
	switch cmd.Name {
	case "CAPA":
		return s.capa(), true
	case "NOOP":
		return s.ok(""), true
	case "QUIT":
		return s.quit(ctx), true
	}
	return nil, false
}

// authorization are the commands before sign-in.
func (s *session) authorization(ctx context.Context, cmd wire.Command) (err error, known bool) {
	switch cmd.Name {
	case "STLS":
		return s.startTLS(ctx), true
	case "USER":
		return s.userName(cmd), true
	case "PASS":
		return s.password(ctx, cmd), true
	case "AUTH":
		return s.authenticate(ctx, cmd), true
	}
	return nil, false
}

// transaction are the commands after sign-in.
func (s *session) transaction(ctx context.Context, cmd wire.Command) (err error, known bool) {
	switch cmd.Name {
	case "STAT":
		return s.stat(), true
	case "LIST":
		return s.list(cmd), true
	case "UIDL":
		return s.uidl(cmd), true
	case "RETR":
		return s.retr(ctx, cmd), true
	case "TOP":
		return s.top(ctx, cmd), true
	case "DELE":
		return s.dele(cmd), true
	case "RSET":
		return s.rset(), true
	}
	return nil, false
}

// fail is the one table from errors to replies (RFC 3206).
func (s *session) fail(ctx context.Context, name string, err error) {
	switch model.KindOf(err) {
	case model.KindAuth:
		s.w.Err("AUTH", "User name or password is wrong")
	case model.KindPermission:
		s.w.Err("AUTH", "You may not use this service")
	case model.KindNotFound:
		s.w.Err("", "No such message")
	case model.KindUnavailable, model.KindCanceled, model.KindExpired, model.KindNoSpace:
		s.w.Err("SYS/TEMP", "Temporarily unavailable; reference "+s.logFailure(ctx, name, slog.LevelWarn, err))
	default:
		s.w.Err("SYS/PERM", "Internal error; reference "+s.logFailure(ctx, name, slog.LevelError, err))
	}
}

// logFailure writes the cause to the log and returns its reference.
func (s *session) logFailure(ctx context.Context, name string, level slog.Level, err error) string {
	var b [4]byte
	rand.Read(b[:]) // never fails
	ref := hex.EncodeToString(b[:])
	s.srv.logger().Log(ctx, level, "pop3: command failed", "ref", ref, "conn", s.conn.ID(), "command", name, "err", err)
	if level >= slog.LevelError {
		s.srv.report(ctx, service.Event{ID: EventInternal, Level: level, Category: "General",
			Message: "A command failed because of an internal error.",
			Attrs:   []slog.Attr{slog.String("ref", ref), slog.String("command", name), slog.Any("err", err)}})
	}
	return ref
}
