package imap

import (
	"context"

	"rialto/internal/model"
	wire "rialto/internal/wire/imap"
)

// subscribe is SUBSCRIBE and UNSUBSCRIBE.
func (s *session) subscribe(ctx context.Context, on bool) (reply, error) {
	name, err := wire.ReadMailbox(s.r)
	if err != nil {
		return reply{}, err
	}
	f, err := s.folder(ctx, name)
	if err != nil {
		if !on && model.IsKind(err, model.KindNotFound) {
			return ok("Not subscribed"), nil
		}
		return reply{}, err
	}
	return ok("Done"), s.box.SetSubscribed(ctx, f.ID, on)
}
