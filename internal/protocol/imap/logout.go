package imap

import (
	"context"

	wire "rialto/internal/wire/imap"
)

// logout is LOGOUT (RFC 9051 6.1.3).
func (s *session) logout(context.Context) (reply, error) {
	if err := wire.ReadNone(s.r); err != nil {
		return reply{}, err
	}
	s.w.Status("*", "BYE", "", "Goodbye")
	s.done = true
	return ok("LOGOUT completed"), nil
}
