package imap

import (
	"context"
	"strings"

	"rialto/internal/model"
	"rialto/internal/store"
	wire "rialto/internal/wire/imap"
)

// rename is RENAME (RFC 9051 6.3.6). Of the Inbox the messages move and it stays.
func (s *session) rename(ctx context.Context) (reply, error) {
	a, err := wire.ReadRename(s.r)
	if err != nil {
		return reply{}, err
	}
	f, err := s.folder(ctx, a.From)
	if err != nil {
		return reply{}, err
	}
	parent, rest, err := s.place(ctx, a.To)
	if err != nil {
		return reply{}, err
	}
	if len(rest) == 0 {
		if parent != f.ID || f.ID == store.FolderInbox {
			return no("ALREADYEXISTS", "The mailbox exists already"), nil
		}
		parent, rest = f.Parent, lastLevel(a.To) // another spelling of its own name
	}
	if f.ID == store.FolderInbox {
		return s.renameInbox(ctx, parent, rest)
	}
	if len(rest) > 1 {
		if parent, err = s.makeFolders(ctx, parent, rest[:len(rest)-1]); err != nil {
			return reply{}, err
		}
	}
	err = s.box.RenameFolder(ctx, f.ID, parent, unescapeName(rest[len(rest)-1]))
	if model.IsKind(err, model.KindPermission) {
		return no("CANNOT", "This mailbox can not be renamed"), nil
	}
	return ok("RENAME completed"), err
}

func (s *session) renameInbox(ctx context.Context, parent store.FolderID, rest []string) (reply, error) {
	to, err := s.makeFolders(ctx, parent, rest)
	if err != nil {
		return reply{}, err
	}
	_, err = s.box.Move(ctx, store.FolderInbox, store.UIDSet{{From: 1, To: ^store.UID(0)}}, to)
	return ok("RENAME completed"), err
}

func lastLevel(name string) []string {
	levels := strings.Split(strings.TrimSuffix(name, "/"), "/")
	return levels[len(levels)-1:]
}
