package smtp

import wire "rialto/internal/wire/smtp"

// rset drops the message under way (RFC 5321 4.1.1.5).
func (s *session) rset(args string) *wire.Reply {
	if args != "" {
		return wire.Replyf(501, "5.5.4", "RSET has no arguments")
	}
	s.reset()
	return wire.Replyf(250, "2.0.0", "Resetting")
}
