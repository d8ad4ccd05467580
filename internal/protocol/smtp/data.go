package smtp

import (
	"context"
	"errors"
	"io"
	"os"

	"rialto/internal/transport"
	wire "rialto/internal/wire/smtp"
)

// data takes a message up to the final dot (RFC 5321 4.1.1.4).
func (s *session) data(ctx context.Context, args string) (*wire.Reply, error) {
	switch {
	case args != "":
		return wire.Replyf(501, "5.5.4", "DATA has no arguments"), nil
	case s.sub == nil:
		return wire.Replyf(503, "5.5.1", "Need MAIL first"), nil
	case s.chunks != nil:
		return wire.Replyf(503, "5.5.1", "DATA can not follow BDAT"), nil
	case s.rcpts == 0:
		return wire.Replyf(554, "5.5.1", "No valid recipients"), nil
	}
	defer s.reset()
	if err := s.sub.Data(ctx); err != nil {
		return s.failure("data", err), nil
	}
	s.send(wire.Replyf(354, "", "Start mail input; end with <CRLF>.<CRLF>"))
	if err := s.c.Flush(); err != nil {
		return nil, err
	}
	dr := wire.NewDataReader(s.c.Reader(), s.sub.MaxSize(), wire.KeepBare)
	buf := s.h.copyBuffer()
	_, err := io.CopyBuffer(s.sub, onlyReader{dr}, *buf)
	s.h.buffers.Put(buf)
	if err != nil {
		if e := dr.Drain(); e != nil { // the terminator never came
			return s.broken(e)
		}
		if errors.Is(err, wire.ErrTooLarge) {
			return wire.Replyf(552, "5.3.4", "Message is larger than the limit of %d octets", s.sub.MaxSize()), nil
		}
		return s.failure("data", err), nil
	}
	return s.commit(ctx), nil
}

// broken ends a session whose message did not arrive whole.
func (s *session) broken(err error) (*wire.Reply, error) {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return wire.Replyf(421, "4.4.2", "%s Timeout, closing connection", s.host), errQuit
	}
	return nil, err
}

// commit makes the message durable and says so. Once it has been taken whole
// it is finished even while the server stops.
func (s *session) commit(ctx context.Context) *wire.Reply {
	s.messages++
	s.idle = 0
	rc, err := s.sub.Commit(context.WithoutCancel(ctx))
	if err != nil {
		return s.failure("commit", err)
	}
	return accepted(rc)
}

func accepted(rc *transport.Receipt) *wire.Reply {
	name := rc.MessageID
	if name == "" {
		name = rc.Queue
	}
	return wire.Replyf(250, "2.6.0", "%s Queued mail for delivery", name)
}
