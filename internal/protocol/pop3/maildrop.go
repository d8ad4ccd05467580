package pop3

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"

	"rialto/internal/model"
	"rialto/internal/store"
	wire "rialto/internal/wire/pop3"
)

// stat is STAT (RFC 1939 5).
func (s *session) stat() error {
	count, size := 0, int64(0)
	for i := range s.drop {
		if !s.drop[i].deleted {
			count++
			size += s.drop[i].size
		}
	}
	return s.ok(fmt.Sprintf("%d %d", count, size))
}

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

// body opens the octets of a message. KindNotFound if somebody deleted it.
func (s *session) body(ctx context.Context, d *drop) (*store.Body, error) {
	gone := model.E("pop3.retr", model.KindNotFound, "message", nil)
	v, err := s.box.View(ctx)
	if err != nil {
		return nil, err
	}
	defer v.Close()
	at, err := v.Find(ctx, d.oid)
	if err != nil {
		return nil, err
	}
	if at.Space != store.Normal { // deleted, and recoverable
		return nil, gone
	}
	streams, err := v.Streams(ctx, []store.RowID{d.row})
	if err != nil {
		return nil, err
	}
	if streams[0] == nil {
		return nil, gone
	}
	return v.Open(ctx, streams[0])
}

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

// markRead marks what was retrieved, all at once: a commit for every RETR would
// cost more than the reading.
func (s *session) markRead(ctx context.Context) {
	var read []store.UID
	for i := range s.drop {
		if s.drop[i].read {
			read = append(read, s.drop[i].uid)
			s.drop[i].read = false
		}
	}
	if len(read) == 0 {
		return
	}
	_, err := s.box.SetFlags(context.WithoutCancel(ctx), store.FolderInbox, store.UIDs(read...), store.FlagChange{Set: store.Read})
	if err != nil {
		s.srv.logger().Warn("pop3: messages not marked read", "conn", s.conn.ID(), "err", err)
	}
}

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

// wanted opens the message that a command's first argument names.
func (s *session) wanted(ctx context.Context, cmd wire.Command) (*drop, *store.Body, error) {
	if len(cmd.Args) == 0 {
		return nil, nil, s.no("", "Which message?")
	}
	d := s.number(cmd.Args[0])
	if d == nil {
		return nil, nil, nil
	}
	b, err := s.body(ctx, d)
	return d, b, err
}

// cut ends the session where a reply ended early: the client must not take what
// it has for the whole.
func (s *session) cut(err error) error {
	if err == nil {
		return nil
	}
	s.srv.logger().Error("pop3: reply cut", "conn", s.conn.ID(), "err", err)
	return errors.Join(errBroken, err)
}

func (s *session) dele(cmd wire.Command) error {
	if len(cmd.Args) == 0 {
		return s.no("", "Which message?")
	}
	if d := s.number(cmd.Args[0]); d != nil {
		d.deleted = true
		return s.ok("Marked")
	}
	return nil
}

// quit deletes what is marked and ends the session (RFC 1939 6).
func (s *session) quit(ctx context.Context) error {
	s.done = true
	var marked []store.UID
	for i := range s.drop {
		if s.drop[i].deleted {
			marked = append(marked, s.drop[i].uid)
		}
	}
	s.markRead(ctx)
	if len(marked) > 0 {
		if _, err := s.box.Delete(ctx, store.FolderInbox, store.UIDs(marked...)); err != nil {
			return err
		}
	}
	return s.ok("Goodbye")
}
