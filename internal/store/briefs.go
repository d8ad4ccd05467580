package store

import (
	"context"

	"rialto/internal/mapi"
	"rialto/internal/store/folderindex"
)

// seenIndex is the index a view has used, which does not change while it is open.
type seenIndex struct {
	folder FolderID
	index  *folderindex.Index
}

// rows are those of a folder as the view has them.
func (v *View) rows(f FolderID) folderindex.Rows {
	return folderindex.Rows{Reader: v.snap, Box: v.m.num, Folder: f}
}

// index returns the folder's index as this view has to see it, nil if there is
// none and it is not worth making.
func (v *View) index(ctx context.Context, f FolderID, from, to UID) (*folderindex.Index, error) {
	if l := v.last.Load(); l != nil && l.folder == f {
		return l.index, wrap("store.index", "folder", ctx.Err())
	}
	if err := v.m.may("store.read", f, RightReadAny); err != nil {
		return nil, err
	}
	x, err := v.m.db.indexes.Index(ctx, v.rows(f), from, to)
	if x != nil {
		v.last.Store(&seenIndex{f, x})
	}
	return x, err
}

// Briefs calls fn for the normal items of a folder with UIDs from from to to,
// both included and ascending, until it returns false. The Brief is reused.
func (v *View) Briefs(ctx context.Context, f FolderID, from, to UID, fn func(*Brief) bool) error {
	x, err := v.index(ctx, f, from, to)
	if err != nil {
		return err
	}
	if x != nil {
		x.Each(from, to, fn)
		return nil
	}
	return v.States(ctx, f, from, to, func(s *State) bool {
		b := s.Brief()
		return fn(&b)
	})
}

// BriefItems calls fn for the normal items of a folder with UIDs from from to
// to, both included and ascending, until it returns false: with what is in the
// briefs in the states and, in Columns, the values of tags in the summaries. The
// ItemRow is reused.
func (v *View) BriefItems(ctx context.Context, f FolderID, from, to UID, tags []mapi.Tag, fn func(*ItemRow) bool) error {
	x, err := v.index(ctx, f, from, to)
	if err != nil {
		return err
	}
	return v.m.db.indexes.Items(ctx, x, v.rows(f), from, to, tags, fn)
}

// ItemBounds returns the UIDs where up to n parts of the normal items of a
// folder begin that are of about one size, the first 0.
func (v *View) ItemBounds(ctx context.Context, f FolderID, n int) ([]UID, error) {
	x, err := v.index(ctx, f, 0, ^UID(0))
	if err != nil {
		return nil, err
	}
	if x != nil {
		return x.Bounds(n), nil
	}
	d, err := v.Folder(ctx, f)
	if err != nil {
		return nil, err
	}
	out := []UID{0}
	for i := 1; i < n; i++ {
		if at := UID(uint64(d.Counts.NextUID) * uint64(i) / uint64(n)); at > out[len(out)-1] {
			out = append(out, at)
		}
	}
	return out, nil
}
