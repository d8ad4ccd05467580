package imap

import (
	"context"

	wire "rialto/internal/wire/imap"
)

// subscribe is SUBSCRIBE (RFC 9051 6.3.7).
func (s *session) subscribe(ctx context.Context) (reply, error) {
	name, err := wire.ReadMailbox(s.r)
	if err != nil {
		return reply{}, err
	}
	f, err := s.folder(ctx, name)
	if err != nil {
		return reply{}, err
	}
	return ok("Done"), s.box.SetSubscribed(ctx, f.ID, true)
}
