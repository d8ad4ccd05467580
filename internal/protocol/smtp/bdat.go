package smtp

import (
	"context"
	"io"

	wire "rialto/internal/wire/smtp"
)

// maxIgnored is how large a refused chunk may be and still be read over, in
// octets; beyond that hanging up is cheaper for both.
const maxIgnored = 64 << 20

// bdat is a message that comes in chunks.
type bdat struct {
	size int64
	err  error // of an earlier chunk; all that follow get it too
}

// bdat takes one chunk (RFC 3030 2). The octets of a chunk that is refused have
// to be read all the same, as they are on their way.
func (s *session) bdat(ctx context.Context, args string) (*wire.Reply, error) {
	b, err := wire.ParseBDAT(args)
	if err != nil {
		return asReply(err), errQuit // where the next command begins is not known
	}
	switch {
	case s.sub == nil:
		return s.ignore(b.Size, wire.Replyf(503, "5.5.1", "Need MAIL first"))
	case s.rcpts == 0:
		return s.ignore(b.Size, wire.Replyf(554, "5.5.1", "No valid recipients"))
	}
	if s.chunks == nil {
		s.chunks = &bdat{}
		s.chunks.err = s.sub.Data(ctx)
	}
	if max := s.sub.MaxSize(); s.chunks.err == nil && max > 0 && s.chunks.size+b.Size > max {
		s.chunks.err = wire.Replyf(552, "5.3.4", "Message is larger than the limit of %d octets", max)
	}
	if s.chunks.err != nil {
		r := s.failure("bdat", s.chunks.err)
		s.reset()
		return s.ignore(b.Size, r)
	}
	if r, err := s.chunk(b.Size); r != nil || err != nil {
		return r, err
	}
	if !b.Last {
		return wire.Replyf(250, "2.0.0", "%d octets received", b.Size), nil
	}
	defer s.reset()
	return s.commit(ctx), nil
}

// chunk copies the octets of one chunk. A reply says that it was refused.
func (s *session) chunk(n int64) (*wire.Reply, error) {
	s.chunks.size += n
	buf := s.h.copyBuffer()
	defer s.h.buffers.Put(buf)
	cr := wire.NewChunkReader(s.c.Reader(), n)
	before := &counting{r: cr}
	if _, err := io.CopyBuffer(s.sub, before, *buf); err != nil {
		if before.err != nil {
			return s.broken(before.err)
		}
		r := s.failure("bdat", err)
		s.reset()
		return s.ignore(n-before.n, r)
	}
	return nil, nil
}

// counting tells errors of reading from those of writing.
type counting struct {
	r   io.Reader
	n   int64
	err error
}

func (c *counting) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	if err != nil && err != io.EOF {
		c.err = err
	}
	return n, err
}

// ignore reads n octets over and answers r.
func (s *session) ignore(n int64, r *wire.Reply) (*wire.Reply, error) {
	if n > maxIgnored {
		return r, errQuit
	}
	if _, err := io.Copy(io.Discard, wire.NewChunkReader(s.c.Reader(), n)); err != nil {
		return nil, err
	}
	return r, nil
}
