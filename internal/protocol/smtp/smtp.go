// Package smtp is the SMTP head: the server side of RFC 5321 with STARTTLS,
// AUTH, SIZE, PIPELINING, 8BITMIME, ENHANCEDSTATUSCODES, CHUNKING and DSN, for
// mail exchange (port 25) and submission (587, 465; RFC 6409).
//
// Each command has its file and four beats: decode, check state, one call,
// encode. What is allowed is transport's to say; the settings of the virtual
// server are read anew at each connection.
package smtp

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"os"
	"sync"
	"time"

	"rialto/internal/auth"
	"rialto/internal/model"
	"rialto/internal/org"
	"rialto/internal/service"
	"rialto/internal/transport"
	wire "rialto/internal/wire/smtp"
)

// Limits of one connection; zero fields mean the defaults.
type Limits struct {
	Errors   int // bad commands and refused recipients; default 50
	Idle     int // commands in a row that bring no message forward; default 200
	Messages int // default 1000
	AuthFail int // failed sign-ins; default 3
}

// Head serves SMTP. Transport and Org must be set before the first Handler.
type Head struct {
	Transport *transport.Transport
	Org       org.Directory
	Auth      *auth.Authenticator // nil: nobody can sign in
	Log       *slog.Logger        // nil discards
	Limits    Limits

	buffers sync.Pool
}

// Handler returns the handler of one virtual server.
func (h *Head) Handler(server model.GUID) service.Handler {
	return func(ctx context.Context, c *service.Conn) { h.serve(ctx, c, server) }
}

// Refusal is what a refused connection is told, for service.Server.Refuse.
func Refusal(service.Reason) []byte {
	return []byte("421 4.3.2 Service not available, try again later\r\n")
}

// session is one connection.
type session struct {
	h      *Head
	c      *service.Conn
	host   string
	vs     org.VirtualServer
	limits Limits
	ses    transport.Session
	helo   bool // HELO or EHLO was said
	esmtp  bool
	acct   *auth.Account
	sub    *transport.Submission // from MAIL on
	rcpts  int                   // accepted recipients of sub
	chunks *bdat                 // from the first BDAT on

	errors, idle, messages, authFail int
}

// errQuit ends the session after the reply that comes with it.
var errQuit = errors.New("smtp: session ends")

func (h *Head) serve(ctx context.Context, c *service.Conn, server model.GUID) {
	s := h.newSession(c, server)
	defer s.reset()
	s.send(wire.Replyf(220, "", "%s Rialto ESMTP ready at %s", s.host, time.Now().Format("Mon, 2 Jan 2006 15:04:05 -0700")))
	for {
		if r := s.await(); r != nil {
			s.send(r)
			return
		}
		select {
		case <-c.Draining():
			s.send(closing())
			return
		default:
		}
		cmd, err := wire.ReadCommand(c.Reader())
		var bad *wire.Reply
		switch {
		case errors.As(err, &bad):
			s.errors++
			s.send(bad)
			if s.tooMany() {
				return
			}
			continue
		case err != nil:
			if errors.Is(err, os.ErrDeadlineExceeded) {
				s.send(wire.Replyf(421, "4.4.2", "%s Timeout, closing connection", s.host))
			}
			return
		}
		if s.run(ctx, cmd) != nil || s.tooMany() {
			return
		}
	}
}

// newSession reads the virtual server's present settings.
func (h *Head) newSession(c *service.Conn, server model.GUID) *session {
	s := &session{h: h, c: c, limits: h.Limits}
	def := func(v *int, d int) {
		if *v == 0 {
			*v = d
		}
	}
	def(&s.limits.Errors, 50)
	def(&s.limits.Idle, 200)
	def(&s.limits.Messages, 1000)
	def(&s.limits.AuthFail, 3)
	cfg := h.Org.Config()
	s.host = cfg.Server.FQDN
	for i := range cfg.Server.VirtualServers {
		if v := &cfg.Server.VirtualServers[i]; v.GUID == server {
			s.vs = *v
		}
	}
	if s.vs.SMTP.FQDN != "" {
		s.host = s.vs.SMTP.FQDN
	}
	s.ses = transport.Session{Remote: c.RemoteIP(), Settings: s.vs.SMTP, Submission: s.vs.SMTP.Submission}
	return s
}

// await waits for a command unless a whole one is at hand: replies to pipelined
// commands then leave together (RFC 2920 3.2). A reply means goodbye; io.EOF and
// broken connections give one that nobody will read.
func (s *session) await() *wire.Reply {
	if n := s.c.Buffered(); n > 1 {
		if b, _ := s.c.Reader().Peek(s.c.Reader().Buffered()); bytes.IndexByte(b, '\n') >= 0 {
			return nil
		}
	}
	idle := s.vs.IdleTimeout
	if idle == 0 {
		idle = 10 * time.Minute
	}
	for {
		switch err := s.c.WaitInput(idle); {
		case err == nil:
			return nil
		case errors.Is(err, service.ErrWoken):
		case errors.Is(err, os.ErrDeadlineExceeded):
			return wire.Replyf(421, "4.4.2", "%s Timeout, closing connection", s.host)
		default:
			return closing()
		}
	}
}

func closing() *wire.Reply {
	return wire.Replyf(421, "4.3.2", "Service not available, closing transmission channel")
}

// send writes a reply; it leaves when there is nothing more to read.
func (s *session) send(r *wire.Reply) {
	w := s.c.Writer()
	w.Write(r.Append(w.AvailableBuffer()))
}

// run obeys one command. An error ends the session.
func (s *session) run(ctx context.Context, cmd wire.Command) error {
	r, err := s.command(ctx, cmd)
	if r != nil {
		if r.Code >= 500 {
			s.errors++
		}
		s.send(r)
	}
	return err
}

// command finds the handler of a verb.
func (s *session) command(ctx context.Context, cmd wire.Command) (*wire.Reply, error) {
	s.idle++
	switch cmd.Verb {
	case "EHLO":
		return s.ehlo(cmd.Args), nil
	case "HELO":
		return s.heloCmd(cmd.Args), nil
	case "MAIL":
		return s.mail(ctx, cmd.Args), nil
	case "RCPT":
		return s.rcpt(ctx, cmd.Args), nil
	case "DATA":
		return s.data(ctx, cmd.Args)
	case "BDAT":
		return s.bdat(ctx, cmd.Args)
	case "RSET":
		return s.rset(cmd.Args), nil
	case "NOOP":
		return s.noop(), nil
	case "QUIT":
		return s.quit()
	case "STARTTLS":
		return s.starttls(ctx, cmd.Args)
	case "AUTH":
		return s.auth(ctx, cmd.Args)
	case "VRFY":
		return s.vrfy(), nil
	case "HELP":
		return s.help(), nil
	}
	return s.unknown(cmd)
}

// tooMany ends sessions that only make work.
func (s *session) tooMany() bool {
	why := ""
	switch {
	case s.errors >= s.limits.Errors:
		why = "Too many errors"
	case s.idle >= s.limits.Idle:
		why = "Too many commands without mail"
	case s.authFail >= s.limits.AuthFail:
		why = "Too many failed sign-ins"
	}
	if why == "" {
		return false
	}
	s.log().Info("session ended", "reason", why)
	s.send(wire.Replyf(421, "4.7.0", "%s, closing connection", why))
	return true
}

// reset drops the message under way.
func (s *session) reset() {
	if s.sub != nil {
		s.sub.Abort()
	}
	s.sub, s.rcpts, s.chunks = nil, 0, nil
}

// proto is the protocol as the Received line names it (RFC 3848).
func (s *session) proto() string {
	p := "SMTP"
	if s.esmtp {
		p = "ESMTP"
		if s.c.TLS() {
			p += "S"
		}
		if s.acct != nil {
			p += "A"
		}
	}
	return p
}

func tlsText(st *tls.ConnectionState) string {
	if st == nil {
		return ""
	}
	return tls.VersionName(st.Version) + " " + tls.CipherSuiteName(st.CipherSuite)
}

func (s *session) log() *slog.Logger {
	return service.Logger(s.h.Log).With("conn", s.c.ID(), "remote", s.c.RemoteIP().String())
}

// copyBuffer lends a buffer for the copying of message data.
func (h *Head) copyBuffer() *[]byte {
	if b, ok := h.buffers.Get().(*[]byte); ok {
		return b
	}
	b := make([]byte, 32<<10)
	return &b
}

// onlyReader hides everything but Read, so that the buffer given is used.
type onlyReader struct{ io.Reader }
