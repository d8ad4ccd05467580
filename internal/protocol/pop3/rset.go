package pop3

// rset is RSET (RFC 1939 5): nothing is marked as deleted any more.
func (s *session) rset() error {
	for i := range s.drop {
		s.drop[i].deleted = false
	}
	return s.ok("Nothing is marked any more")
}
