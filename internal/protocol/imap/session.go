package imap

import (
	"bufio"
	"context"
	"errors"
	"os"
	"sync/atomic"

	"rialto/internal/auth"
	"rialto/internal/service"
	"rialto/internal/store"
	wire "rialto/internal/wire/imap"
)

// session is one connection. It belongs to the goroutine of its handler.
type session struct {
	srv  *Server
	conn *service.Conn
	set  Settings
	r    *wire.Reader
	br   *bufio.Reader // what r reads from: lent by conn until the next wait
	w    *wire.Writer

	acct        *auth.Account
	box         *store.Mailbox
	incarnation uint32
	sub         *store.Subscription
	hinted      atomic.Bool // the subscription spoke and the log was not read since
	sel         *selected   // nil: no mailbox is selected

	condStore, qresync, rev2 bool
	failures, bad            int
	tag                      string // of the command under way
	done                     bool   // the session ends after the present command
}

func newSession(srv *Server, c *service.Conn) *session {
	return &session{srv: srv, conn: c, set: srv.settings(), w: wire.NewWriter(c)}
}

func (s *session) close() {
	if s.sub != nil {
		s.sub.Close()
	}
}

// serve runs the session from greeting to end.
func (s *session) serve(ctx context.Context) {
	s.w.Status("*", "OK", "CAPABILITY "+s.capabilities(), s.set.Host+" IMAP4rev1 server ready")
	for !s.done && s.w.Err() == nil {
		if s.conn.Buffered() == 0 { // the answers to a pipeline go out together
			_ = s.w.Flush() // the error stays with the writer
			s.w.Release()
		}
		wait := s.set.LoginWait
		if s.acct != nil {
			wait = s.set.IdleTimeout
		}
		switch err := s.conn.WaitInput(wait); {
		case err == nil:
		case errors.Is(err, service.ErrWoken):
			continue
		default:
			s.farewell(err)
			return
		}
		s.lendReader()
		if !s.command(ctx) {
			break
		}
	}
	_ = s.w.Flush() // the connection is closed next, whatever this says
}

// farewell says why the server ends the session, if it does.
func (s *session) farewell(err error) {
	switch {
	case errors.Is(err, service.ErrDraining):
		s.w.Status("*", "BYE", "UNAVAILABLE", "Server is stopping")
	case errors.Is(err, os.ErrDeadlineExceeded):
		s.w.Status("*", "BYE", "", "Autologout; idle for too long")
	default:
		return // the client has gone
	}
	_ = s.w.Flush() // as in serve
}

// lendReader makes r read from the buffer the connection lends at present, so
// that an idle session owns none.
func (s *session) lendReader() {
	br := s.conn.Reader()
	if s.r != nil && s.br == br {
		return
	}
	utf8 := s.r != nil && s.r.UTF8
	s.br, s.r = br, wire.NewReader(br)
	s.r.UTF8 = utf8
	s.r.Continue = func() error {
		s.w.Raw("+ Ready for the literal\r\n")
		return s.w.Flush()
	}
}

// command reads and runs one command; false ends the session.
func (s *session) command(ctx context.Context) bool {
	tag, name, err := s.r.Begin()
	s.tag = tag
	switch {
	case wire.IsSyntax(err):
		if tag == "" {
			tag = "*"
		}
		s.bad++
		s.w.Status(tag, "BAD", "", wire.SyntaxText(err))
	case err != nil:
		return false
	default:
		s.run(ctx, name)
	}
	if s.bad >= s.set.MaxBad {
		s.w.Status("*", "BYE", "", "Too many bad commands")
		return false
	}
	if s.w.Err() != nil || s.r.Skip() != nil {
		return false
	}
	return !s.done
}

// run runs a command whose name was read, and answers it.
func (s *session) run(ctx context.Context, name string) {
	cmd, when := s.lookup(name)
	var rep reply
	var err error
	switch {
	case cmd == nil:
		rep = bad("Unknown command")
	case !s.in(when):
		rep = bad(name + " is not possible now")
	default:
		rep, err = cmd(ctx)
	}
	if err != nil {
		rep = s.failure(ctx, name, err)
	}
	switch rep.cond {
	case "": // the stream is broken
		s.done = true
		return
	case tlsStarted:
		return
	}
	if s.bad++; rep.cond != "BAD" {
		s.bad = 0
	}
	if s.sel != nil && name != "LOGOUT" && !s.done {
		if err := s.sync(ctx, mayExpunge(name)); err != nil && rep.cond == "OK" {
			rep = s.failure(ctx, name, err)
		}
	}
	s.w.Status(s.tag, rep.cond, rep.code, rep.text)
}

// mayExpunge reports whether message numbers may change while a command is
// answered (RFC 9051 7.5.1).
func mayExpunge(name string) bool {
	return name != "FETCH" && name != "STORE" && name != "SEARCH"
}

// when says in which states a command is possible.
type when uint8

const (
	always when = iota
	beforeLogin
	afterLogin
	inMailbox
)

func (s *session) in(w when) bool {
	switch w {
	case beforeLogin:
		return s.acct == nil
	case afterLogin:
		return s.acct != nil
	case inMailbox:
		return s.sel != nil
	}
	return true
}

// handler is a command: it reads its arguments, writes untagged responses and
// returns the tagged one, or an error for the table of failures.
type handler func(context.Context) (reply, error)

// lookup finds a command by its name in upper case.
func (s *session) lookup(name string) (handler, when) {
	switch name {
	case "CAPABILITY":
		return s.capability, always
	case "NOOP":
		return s.noop, always
	case "LOGOUT":
		return s.logout, always
	case "ID":
		return s.id, always
	case "STARTTLS":
		return s.startTLS, beforeLogin
	case "AUTHENTICATE":
		return s.authenticate, beforeLogin
	case "LOGIN":
		return s.login, beforeLogin
	case "ENABLE":
		return s.enable, afterLogin
	case "SELECT":
		return func(ctx context.Context) (reply, error) { return s.selectFolder(ctx, false) }, afterLogin
	case "EXAMINE":
		return func(ctx context.Context) (reply, error) { return s.selectFolder(ctx, true) }, afterLogin
	case "CREATE":
		return s.create, afterLogin
	case "DELETE":
		return s.delete, afterLogin
	case "RENAME":
		return s.rename, afterLogin
	case "SUBSCRIBE":
		return s.subscribe, afterLogin
	case "UNSUBSCRIBE":
		return s.unsubscribe, afterLogin
	case "LIST", "LSUB":
		return func(ctx context.Context) (reply, error) { return s.list(ctx, name) }, afterLogin
	case "NAMESPACE":
		return s.namespace, afterLogin
	case "STATUS":
		return s.status, afterLogin
	case "APPEND":
		return s.append, afterLogin
	case "IDLE":
		return s.idle, afterLogin
	}
	return s.lookupSelected(name)
}

func (s *session) lookupSelected(name string) (handler, when) {
	uid := len(name) > 4 && name[:4] == "UID "
	with := func(f func(context.Context, bool) (reply, error)) (handler, when) {
		return func(ctx context.Context) (reply, error) { return f(ctx, uid) }, inMailbox
	}
	switch name {
	case "CHECK":
		return s.noop, inMailbox
	case "CLOSE":
		return s.closeFolder, inMailbox
	case "UNSELECT":
		return s.unselect, inMailbox
	case "EXPUNGE", "UID EXPUNGE":
		return with(s.expunge)
	case "SEARCH", "UID SEARCH":
		return with(s.search)
	case "FETCH", "UID FETCH":
		return with(s.fetch)
	case "STORE", "UID STORE":
		return with(s.store)
	case "COPY", "UID COPY":
		return with(s.copy)
	case "MOVE", "UID MOVE":
		return with(s.move)
	}
	return nil, always
}
