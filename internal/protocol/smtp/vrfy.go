package smtp

import wire "rialto/internal/wire/smtp"

// vrfy gives no address away (RFC 5321 3.5.3).
func (s *session) vrfy() *wire.Reply {
	return wire.Replyf(252, "2.1.5", "Cannot VRFY user")
}
