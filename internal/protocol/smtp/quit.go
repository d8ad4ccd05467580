package smtp

import wire "rialto/internal/wire/smtp"

// quit ends the session (RFC 5321 4.1.1.10).
func (s *session) quit() (*wire.Reply, error) {
	return wire.Replyf(221, "2.0.0", "%s Service closing transmission channel", s.host), errQuit
}
