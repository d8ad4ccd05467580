package imap

import (
	"context"
	"strings"

	"rialto/internal/model"
	"rialto/internal/store"
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

// place returns where a mailbox of that name is or would be: the deepest folder
// of its path that exists, and the levels that are missing.
func (s *session) place(ctx context.Context, name string) (store.FolderID, []string, error) {
	levels := strings.Split(strings.TrimSuffix(name, "/"), "/")
	for _, l := range levels {
		if l == "" {
			return 0, nil, model.E("imap.mailbox", model.KindInvalid, name, nil)
		}
	}
	v, err := s.box.View(ctx)
	if err != nil {
		return 0, nil, err
	}
	defer v.Close()
	f, rest, err := findDeepest(ctx, v, levels)
	if err != nil {
		return 0, nil, err
	}
	return f.ID, rest, nil
}

// makeFolders creates a chain of folders and returns the last. Another session
// may have made some meanwhile; only the last must be ours.
func (s *session) makeFolders(ctx context.Context, parent store.FolderID, levels []string) (store.FolderID, error) {
	for i, l := range levels {
		name := unescapeName(l)
		f, err := s.box.CreateFolder(ctx, parent, name, "IPF.Note")
		if model.IsKind(err, model.KindExists) && i < len(levels)-1 {
			f, err = s.child(ctx, parent, name)
		}
		if err != nil {
			return 0, err
		}
		parent = f.ID
	}
	return parent, nil
}

func (s *session) child(ctx context.Context, parent store.FolderID, name string) (*store.Folder, error) {
	v, err := s.box.View(ctx)
	if err != nil {
		return nil, err
	}
	defer v.Close()
	return v.Child(ctx, parent, name)
}

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

func lastLevel(name string) []string {
	levels := strings.Split(strings.TrimSuffix(name, "/"), "/")
	return levels[len(levels)-1:]
}

func (s *session) renameInbox(ctx context.Context, parent store.FolderID, rest []string) (reply, error) {
	to, err := s.makeFolders(ctx, parent, rest)
	if err != nil {
		return reply{}, err
	}
	_, err = s.box.Move(ctx, store.FolderInbox, store.UIDSet{{From: 1, To: ^store.UID(0)}}, to)
	return ok("RENAME completed"), err
}

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
