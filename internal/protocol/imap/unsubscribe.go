package imap

import (
	"context"

	"rialto/internal/model"
	wire "rialto/internal/wire/imap"
)

// unsubscribe is UNSUBSCRIBE (RFC 9051 6.3.8). It succeeds for mailboxes that
// are gone: clients clean up so.
func (s *session) unsubscribe(ctx context.Context) (reply, error) {
	name, err := wire.ReadMailbox(s.r)
	if err != nil {
		return reply{}, err
	}
	f, err := s.folder(ctx, name)
	if model.IsKind(err, model.KindNotFound) {
		return ok("Not subscribed"), nil
	}
	if err != nil {
		return reply{}, err
	}
	return ok("Done"), s.box.SetSubscribed(ctx, f.ID, false)
}
