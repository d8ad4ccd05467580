package imap

import (
	"context"

	"rialto/internal/store"
	wire "rialto/internal/wire/imap"
)

// closeFolder is CLOSE (RFC 9051 6.4.1): expunges and says nothing of it.
func (s *session) closeFolder(ctx context.Context) (reply, error) {
	if err := wire.ReadNone(s.r); err != nil {
		return reply{}, err
	}
	sel := s.sel
	s.sel = nil
	if !sel.readOnly && sel.next > 1 {
		if _, err := s.box.Expunge(ctx, sel.folder, store.UIDSet{{From: 1, To: sel.next - 1}}); err != nil {
			return reply{}, err
		}
	}
	return ok("CLOSE completed"), nil
}
