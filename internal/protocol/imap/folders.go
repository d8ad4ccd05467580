package imap

import (
	"context"
	"strings"

	"rialto/internal/model"
	"rialto/internal/store"
)

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
