package smtp

import (
	"context"

	wire "rialto/internal/wire/smtp"
)

// mail begins a message (RFC 5321 4.1.1.2).
func (s *session) mail(ctx context.Context, args string) *wire.Reply {
	m, err := wire.ParseMail(args)
	if err != nil {
		return asReply(err)
	}
	switch {
	case !s.helo:
		return wire.Replyf(503, "5.5.1", "Send EHLO first")
	case s.sub != nil:
		return wire.Replyf(503, "5.5.1", "Sender already specified")
	case s.messages >= s.limits.Messages:
		return wire.Replyf(452, "4.5.3", "Too many messages in one connection")
	case len(m.Other) > 0:
		return wire.Replyf(555, "5.5.4", "Parameter %s is not supported", m.Other[0].Key)
	case m.SMTPUTF8:
		return wire.Replyf(555, "5.6.7", "Internationalized addresses are not supported")
	case m.Body == "BINARYMIME":
		return wire.Replyf(555, "5.6.1", "BINARYMIME is not supported")
	}
	s.ses.Proto, s.ses.TLS = s.proto(), tlsText(s.c.TLSState())
	sub, err := s.h.Transport.Begin(ctx, &s.ses, m)
	if err != nil {
		return s.failure("mail", err)
	}
	s.sub = sub
	return wire.Replyf(250, "2.1.0", "%s....Sender OK", m.From.String())
}
