package imap

import (
	"context"

	"rialto/internal/store"
	wire "rialto/internal/wire/imap"
)

// expunge is EXPUNGE and UID EXPUNGE (RFC 9051 6.4.3, 6.4.9). What has gone is
// told by sync, with what others expunged.
func (s *session) expunge(ctx context.Context, uid bool) (reply, error) {
	sel := s.sel
	var set store.UIDSet
	if uid {
		nums, err := wire.ReadSet(s.r)
		if err != nil {
			return reply{}, err
		}
		spans, err := s.messages(ctx, nums, true)
		if err != nil {
			return reply{}, err
		}
		set = sel.uidSet(spans)
	} else {
		if err := wire.ReadNone(s.r); err != nil {
			return reply{}, err
		}
		if sel.next > 1 {
			set = store.UIDSet{{From: 1, To: sel.next - 1}}
		}
	}
	if sel.readOnly {
		return no("CANNOT", "The mailbox is read-only"), nil
	}
	if _, err := s.box.Expunge(ctx, sel.folder, set); err != nil {
		return reply{}, err
	}
	if err := s.sync(ctx, true); err != nil {
		return reply{}, err
	}
	if s.condStore {
		return reply{"OK", "HIGHESTMODSEQ " + itoa(int64(sel.seq)), "EXPUNGE completed"}, nil
	}
	return ok("EXPUNGE completed"), nil
}
