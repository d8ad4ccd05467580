package smtp

import wire "rialto/internal/wire/smtp"

// help lists the commands (RFC 5321 4.1.1.8).
func (s *session) help() *wire.Reply {
	return wire.Replyf(214, "2.0.0", "This server supports the following commands:\n"+
		"HELO EHLO STARTTLS RCPT DATA RSET MAIL QUIT HELP AUTH BDAT VRFY NOOP")
}
