package pop3

import (
	"strconv"

	"rialto/internal/store"
	wire "rialto/internal/wire/pop3"
)

// uidl is UIDL (RFC 1939 7).
func (s *session) uidl(cmd wire.Command) error {
	if len(cmd.Args) > 0 {
		if d := s.number(cmd.Args[0]); d != nil {
			return s.ok(cmd.Args[0] + " " + s.name(d))
		}
		return nil
	}
	s.ok("Names follow")
	for i := range s.drop {
		if d := &s.drop[i]; !d.deleted {
			s.w.Line(strconv.Itoa(i+1) + " " + s.name(d))
		}
	}
	s.w.End()
	return nil
}

func (s *session) name(d *drop) string {
	return store.ObjectName('M', s.incarnation, uint64(d.oid))
}
