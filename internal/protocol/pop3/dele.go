package pop3

import wire "rialto/internal/wire/pop3"

// dele is DELE (RFC 1939 5): the message goes at QUIT.
func (s *session) dele(cmd wire.Command) error {
	if len(cmd.Args) == 0 {
		return s.no("", "Which message?")
	}
	if d := s.number(cmd.Args[0]); d != nil {
		d.deleted = true
		return s.ok("Marked")
	}
	return nil
}
