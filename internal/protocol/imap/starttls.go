package imap

import (
	"context"

	wire "rialto/internal/wire/imap"
)

// startTLS is STARTTLS (RFC 9051 6.2.1).
func (s *session) startTLS(ctx context.Context) (reply, error) {
	if err := wire.ReadNone(s.r); err != nil {
		return reply{}, err
	}
	if !s.conn.CanStartTLS() {
		return bad("TLS is not possible now"), nil
	}
	if s.conn.Buffered() > 0 {
		s.w.Status("*", "BYE", "", "Plain text after STARTTLS")
		s.done = true
		return bad("Plain text after STARTTLS"), nil
	}
	s.w.Status(s.tag, "OK", "", "Begin TLS now")
	if s.w.Flush() != nil || s.conn.StartTLS(ctx) != nil {
		return reply{}, nil
	}
	s.r, s.br = nil, nil
	s.lendReader()
	return reply{cond: tlsStarted}, nil
}

// tlsStarted stands for a reply that was sent already.
const tlsStarted = "TLS"
