package pop3

import (
	"context"
	"io"
	"strconv"

	wire "rialto/internal/wire/pop3"
)

// retr is RETR. What was retrieved is marked read when the session ends.
func (s *session) retr(ctx context.Context, cmd wire.Command) error {
	d, b, err := s.wanted(ctx, cmd)
	if d == nil || err != nil {
		return err
	}
	s.ok(strconv.FormatInt(b.Size(), 10) + " octets")
	if err := s.w.Message(io.NewSectionReader(b, 0, b.Size())); err != nil {
		return s.cut(err)
	}
	d.read = true
	return nil
}
