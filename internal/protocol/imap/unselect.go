package imap

import (
	"context"

	wire "rialto/internal/wire/imap"
)

// unselect is UNSELECT (RFC 9051 6.4.2).
func (s *session) unselect(context.Context) (reply, error) {
	if err := wire.ReadNone(s.r); err != nil {
		return reply{}, err
	}
	s.sel = nil
	return ok("UNSELECT completed"), nil
}
