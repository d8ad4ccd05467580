package imap

import "context"

// move is MOVE and UID MOVE (RFC 9051 6.4.8). The source's messages leave it by
// EXPUNGE, which sync sends.
func (s *session) move(ctx context.Context, uid bool) (reply, error) {
	set, to, err := s.target(ctx, uid)
	if rep, err, isEnd := noTarget(err); isEnd {
		return rep, err
	}
	if s.sel.readOnly {
		return no("CANNOT", "The mailbox is read-only"), nil
	}
	done, err := s.box.Move(ctx, s.sel.folder, set, to.ID)
	if code := copyUID(to, done); code != "" {
		s.w.Status("*", "OK", code, "Moved")
	}
	return ok("MOVE completed"), err
}
