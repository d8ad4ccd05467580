package pop3

import wire "rialto/internal/wire/pop3"

// userName is USER: it tells nobody who exists.
func (s *session) userName(cmd wire.Command) error {
	if !s.protected() {
		return s.no("SYS/PERM", "Use TLS first")
	}
	if cmd.Rest == "" {
		return s.no("", "USER needs a name")
	}
	s.user = cmd.Rest
	return s.ok("Password?")
}
