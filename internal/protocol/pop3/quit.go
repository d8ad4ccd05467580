package pop3

import (
	"context"

	"rialto/internal/store"
)

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
