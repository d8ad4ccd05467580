package pop3

import "context"

// startTLS is STLS (RFC 2595 4).
func (s *session) startTLS(ctx context.Context) error {
	if !s.conn.CanStartTLS() {
		return s.no("", "TLS is not possible now")
	}
	if s.conn.Buffered() > 0 {
		s.done = true
		return s.no("", "Plain text after STLS")
	}
	s.ok("Begin TLS now")
	if err := s.w.Flush(); err != nil {
		return err
	}
	if err := s.conn.StartTLS(ctx); err != nil {
		return errBroken
	}
	s.user = ""
	s.lend()
	return nil
}
