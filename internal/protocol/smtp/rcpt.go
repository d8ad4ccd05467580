package smtp

import (
	"context"

	wire "rialto/internal/wire/smtp"
)

// rcpt adds a recipient (RFC 5321 4.1.1.3).
func (s *session) rcpt(ctx context.Context, args string) *wire.Reply {
	r, err := wire.ParseRcpt(args)
	if err != nil {
		return asReply(err)
	}
	switch {
	case s.sub == nil:
		return wire.Replyf(503, "5.5.1", "Need MAIL first")
	case s.chunks != nil:
		return wire.Replyf(503, "5.5.1", "Message data has begun")
	case len(r.Other) > 0:
		return wire.Replyf(555, "5.5.4", "Parameter %s is not supported", r.Other[0].Key)
	}
	if err := s.sub.AddRecipient(ctx, r); err != nil {
		return s.failure("rcpt", err)
	}
	s.rcpts++
	return wire.Replyf(250, "2.1.5", "%s ", r.To.String())
}
