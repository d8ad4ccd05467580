package smtp

import (
	"context"

	wire "rialto/internal/wire/smtp"
)

// starttls encrypts the connection and forgets all that was said before (RFC
// 3207 4.2). Commands sent in clear behind it end the session.
func (s *session) starttls(ctx context.Context, args string) (*wire.Reply, error) {
	switch {
	case args != "":
		return wire.Replyf(501, "5.5.4", "STARTTLS has no arguments"), nil
	case s.c.TLS():
		return wire.Replyf(503, "5.5.1", "TLS is on already"), nil
	case !s.c.CanStartTLS():
		return wire.Replyf(454, "4.7.0", "TLS is not available"), nil
	}
	s.reset()
	s.send(wire.Replyf(220, "2.0.0", "SMTP server ready"))
	if err := s.c.StartTLS(ctx); err != nil {
		s.log().Debug("handshake failed", "err", err)
		return nil, err
	}
	s.helo, s.esmtp, s.acct = false, false, nil
	s.ses.Helo = ""
	return nil, nil
}
