package imap

import (
	"context"

	wire "rialto/internal/wire/imap"
)

// noop is NOOP and CHECK (RFC 9051 6.1.2).
func (s *session) noop(context.Context) (reply, error) {
	return ok("Done"), wire.ReadNone(s.r)
}
