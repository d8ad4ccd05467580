package imap

import (
	"context"
	"strings"

	wire "rialto/internal/wire/imap"
)

// id is ID (RFC 2971). What the client says of itself helps who reads the log.
func (s *session) id(context.Context) (reply, error) {
	fields, err := wire.ReadID(s.r)
	if err != nil {
		return reply{}, err
	}
	var says []string
	for _, f := range fields[:min(len(fields), 30)] {
		says = append(says, f.Name+"="+f.Value)
	}
	s.srv.logger().Debug("imap: client id", "conn", s.conn.ID(), "user", s.user(), "id", strings.Join(says, " "))
	s.w.Raw(`* ID ("name" "Rialto")`)
	s.w.CRLF()
	return ok("ID completed"), nil
}
