package smtp

import (
	"strconv"
	"strings"

	wire "rialto/internal/wire/smtp"
)

// ehlo greets and lists what is offered (RFC 5321 4.1.1.1). Any name is taken:
// what clients call themselves is for the trace only.
func (s *session) ehlo(args string) *wire.Reply {
	if r := s.greet(args, true); r != nil {
		return r
	}
	lines := []string{s.host + " Hello " + s.peerText()}
	size := "SIZE"
	if n := s.h.Transport.MaxSize(&s.ses, nil); n > 0 {
		size += " " + strconv.FormatInt(n, 10)
	}
	lines = append(lines, size, "PIPELINING", "DSN", "ENHANCEDSTATUSCODES", "8BITMIME", "CHUNKING")
	if s.c.CanStartTLS() {
		lines = append(lines, "STARTTLS")
	}
	if m := s.mechanisms(); len(m) > 0 && s.acct == nil {
		lines = append(lines, "AUTH "+strings.Join(m, " "), "AUTH=LOGIN")
	}
	// Greetings carry no enhanced code (RFC 2034 4).
	return &wire.Reply{Code: 250, Lines: append(lines, "OK")}
}

// heloCmd greets a client that knows no extensions.
func (s *session) heloCmd(args string) *wire.Reply {
	if r := s.greet(args, false); r != nil {
		return r
	}
	return &wire.Reply{Code: 250, Lines: []string{s.host + " Hello " + s.peerText()}}
}

func (s *session) greet(args string, esmtp bool) *wire.Reply {
	name, _, _ := strings.Cut(args, " ")
	if name == "" {
		return wire.Replyf(501, "5.5.4", "Syntax: EHLO hostname")
	}
	s.reset()
	s.helo, s.esmtp = true, esmtp
	s.ses.Helo = name
	return nil
}

func (s *session) peerText() string {
	if ip := s.c.RemoteIP(); ip.IsValid() {
		return "[" + ip.String() + "]"
	}
	return "[local]"
}
