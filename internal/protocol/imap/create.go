package imap

import (
	"context"

	wire "rialto/internal/wire/imap"
)

// create is CREATE (RFC 9051 6.3.4). Parents that are missing are made too.
func (s *session) create(ctx context.Context) (reply, error) {
	a, err := wire.ReadCreate(s.r)
	if err != nil {
		return reply{}, err
	}
	if len(a.Use) > 0 {
		return no("USEATTR", "Special uses can not be given"), nil
	}
	parent, rest, err := s.place(ctx, a.Mailbox)
	if err != nil {
		return reply{}, err
	}
	if len(rest) == 0 {
		return no("ALREADYEXISTS", "The mailbox exists already"), nil
	}
	f, err := s.makeFolders(ctx, parent, rest)
	if err != nil {
		return reply{}, err
	}
	return reply{"OK", "MAILBOXID (" + s.mailboxID(f) + ")", "CREATE completed"}, nil
}
