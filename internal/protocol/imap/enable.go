package imap

import (
	"context"

	wire "rialto/internal/wire/imap"
)

// enable is ENABLE (RFC 9051 6.3.1).
func (s *session) enable(context.Context) (reply, error) {
	caps, err := wire.ReadEnable(s.r)
	if err != nil {
		return reply{}, err
	}
	s.w.Raw("* ENABLED")
	for _, c := range caps {
		switch c {
		case "CONDSTORE":
			s.condStore = true
		case "QRESYNC":
			s.condStore, s.qresync = true, true
		case "UTF8=ACCEPT":
			s.r.UTF8, s.w.UTF8 = true, true
		case "IMAP4REV2":
			s.rev2, s.r.UTF8, s.w.UTF8 = true, true, true
			c = "IMAP4rev2"
		default:
			continue
		}
		s.w.Raw(" " + c)
	}
	s.w.CRLF()
	return ok("ENABLE completed"), nil
}
