package imap

import (
	"context"

	"rialto/internal/model"
	wire "rialto/internal/wire/imap"
)

// delete is DELETE (RFC 9051 6.3.5).
func (s *session) delete(ctx context.Context) (reply, error) {
	name, err := wire.ReadMailbox(s.r)
	if err != nil {
		return reply{}, err
	}
	f, err := s.folder(ctx, name)
	if err != nil {
		return reply{}, err
	}
	switch err = s.box.DeleteFolder(ctx, f.ID); {
	case model.IsKind(err, model.KindConflict):
		return no("HASCHILDREN", "There are mailboxes below it"), nil
	case model.IsKind(err, model.KindPermission):
		return no("CANNOT", "This mailbox can not be deleted"), nil
	case err != nil:
		return reply{}, err
	}
	if s.sel != nil && s.sel.folder == f.ID {
		s.leave()
	}
	return ok("DELETE completed"), nil
}
