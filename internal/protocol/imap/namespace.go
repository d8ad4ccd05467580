package imap

import (
	"context"

	wire "rialto/internal/wire/imap"
)

// namespace is NAMESPACE (RFC 9051 6.3.10).
func (s *session) namespace(context.Context) (reply, error) {
	if err := wire.ReadNone(s.r); err != nil {
		return reply{}, err
	}
	s.w.Raw(`* NAMESPACE (("" "/")) NIL NIL`)
	s.w.CRLF()
	return ok("NAMESPACE completed"), nil
}
