package pop3

import (
	"strconv"

	wire "rialto/internal/wire/pop3"
)

// list is LIST (RFC 1939 5).
func (s *session) list(cmd wire.Command) error {
	if len(cmd.Args) > 0 {
		if d := s.number(cmd.Args[0]); d != nil {
			return s.ok(cmd.Args[0] + " " + strconv.FormatInt(d.size, 10))
		}
		return nil
	}
	s.ok("Sizes follow")
	for i := range s.drop {
		if !s.drop[i].deleted {
			s.w.Number(i+1, s.drop[i].size)
		}
	}
	s.w.End()
	return nil
}
