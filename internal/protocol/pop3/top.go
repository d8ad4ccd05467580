package pop3

import (
	"context"
	"io"
	"strconv"

	wire "rialto/internal/wire/pop3"
)

// top is TOP (RFC 1939 7).
func (s *session) top(ctx context.Context, cmd wire.Command) error {
	lines := -1
	if len(cmd.Args) == 2 {
		if n, err := strconv.Atoi(cmd.Args[1]); err == nil {
			lines = n
		}
	}
	if lines < 0 {
		return s.no("", "TOP needs a message and a number of lines")
	}
	d, b, err := s.wanted(ctx, cmd)
	if d == nil || err != nil {
		return err
	}
	s.ok("The top follows")
	return s.cut(s.w.Top(io.NewSectionReader(b, 0, b.Size()), lines))
}
