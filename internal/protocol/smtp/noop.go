package smtp

import wire "rialto/internal/wire/smtp"

// noop does nothing (RFC 5321 4.1.1.9).
func (s *session) noop() *wire.Reply { return wire.Replyf(250, "2.0.0", "OK") }
