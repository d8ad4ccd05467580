package pop3

// capa is CAPA (RFC 2449 5).
func (s *session) capa() error {
	s.ok("Capabilities follow")
	s.w.Line("TOP")
	s.w.Line("UIDL")
	s.w.Line("RESP-CODES")
	s.w.Line("AUTH-RESP-CODE")
	s.w.Line("PIPELINING")
	s.w.Line("EXPIRE NEVER")
	if s.acct == nil && s.conn.CanStartTLS() {
		s.w.Line("STLS")
	}
	if s.protected() {
		s.w.Line("USER")
	}
	if names := s.srv.offer().Names(s.protected()); len(names) > 0 {
		line := "SASL"
		for _, n := range names {
			line += " " + n
		}
		s.w.Line(line)
	}
	s.w.Line("IMPLEMENTATION Rialto")
	s.w.End()
	return nil
}
