package imap

import (
	"context"
	"errors"
	"strings"

	"rialto/internal/service"
	wire "rialto/internal/wire/imap"
)

// idle is IDLE (RFC 9051 6.3.13). The session waits for input; what the store
// says wakes it.
func (s *session) idle(ctx context.Context) (reply, error) {
	if err := wire.ReadNone(s.r); err != nil {
		return reply{}, err
	}
	s.w.Raw("+ idling\r\n")
	if s.sel != nil {
		// What happened before the goroutine listens is read first.
		defer s.listen()()
		if err := s.sync(ctx, true); err != nil {
			return reply{}, err
		}
	}
	for !s.done {
		if err := s.w.Flush(); err != nil {
			return reply{}, err
		}
		s.w.Release()
		switch err := s.conn.WaitInput(s.set.IdleTimeout); {
		case errors.Is(err, service.ErrWoken):
			if s.sel == nil {
				continue
			}
			if err := s.sync(ctx, true); err != nil {
				return reply{}, err
			}
		case err != nil:
			s.farewell(err)
			return reply{}, nil
		default:
			s.lendReader()
			line, err := s.r.Line(1000)
			if err != nil && !wire.IsSyntax(err) {
				return reply{}, err
			}
			if !strings.EqualFold(line, "DONE") {
				return bad("Expected DONE"), nil
			}
			return ok("IDLE completed"), nil
		}
	}
	return reply{}, nil
}

// listen wakes the connection whenever the mailbox changes, until the returned
// function is called.
func (s *session) listen() (stop func()) {
	quit, gone := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(gone)
		for {
			select {
			case _, open := <-s.sub.C:
				s.hinted.Store(true)
				s.conn.Wake()
				if !open {
					return
				}
			case <-quit:
				return
			}
		}
	}()
	return func() {
		close(quit)
		<-gone
	}
}
