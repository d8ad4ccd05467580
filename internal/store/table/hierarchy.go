package table

import (
	"context"
	"math"
	"slices"

	"rialto/internal/mapi"
	"rialto/internal/store"
)

// Hierarchy is the Source of the folders in a folder.
type Hierarchy struct {
	Parent store.FolderID
	Deep   bool // those below them too, each with its depth (CONVENIENT_DEPTH)
}

// tagPath orders folders as a tree; it is not a property anybody else sees.
const tagPath = mapi.Tag(0xfffe0102)

// maxFolderDepth bounds a walk up; the store has no cycles.
const maxFolderDepth = 1000

// Default implements Source: by name, folders before those in them.
func (h *Hierarchy) Default() []mapi.SortColumn { return []mapi.SortColumn{{Tag: tagPath}} }

// tree is the folders of a mailbox, for rows.
type tree struct {
	all      map[store.FolderID]*store.Folder
	parents  map[store.FolderID]bool
	searches map[store.FolderID]bool
	names    *names
}

func readTree(ctx context.Context, v *store.View) (*tree, error) {
	t := &tree{parents: map[store.FolderID]bool{}, searches: map[store.FolderID]bool{}}
	var err error
	if t.all, err = v.Folders(ctx); err != nil {
		return nil, err
	}
	for _, f := range t.all {
		t.parents[f.Parent] = true
	}
	searches, err := v.Searches(ctx)
	for _, f := range searches {
		t.searches[f] = true
	}
	if err == nil {
		t.names, err = readNames(ctx, v)
	}
	return t, err
}

// depth is how far below the table's folder f is, -1 if it does not belong to it.
func (h *Hierarchy) depth(t *tree, f *store.Folder) int {
	for d := range maxFolderDepth {
		if f == nil || f.ID == h.Parent {
			return -1
		}
		if f.Parent == h.Parent {
			return d
		}
		if !h.Deep {
			return -1
		}
		f = t.all[f.Parent]
	}
	return -1
}

// Now implements Source.
func (h *Hierarchy) Now(ctx context.Context, v *store.View) (Position, int, error) {
	seq, err := v.LastSeq(ctx)
	if err != nil {
		return Position{}, 0, err
	}
	t, err := readTree(ctx, v)
	if err != nil {
		return Position{}, 0, err
	}
	return Position{Seq: seq}, len(h.ids(t)), nil
}

func (h *Hierarchy) ids(t *tree) (ids []uint64) {
	for id, f := range t.all {
		if h.depth(t, f) >= 0 {
			ids = append(ids, uint64(id))
		}
	}
	slices.Sort(ids)
	return ids
}

// Scan implements Source.
func (h *Hierarchy) Scan(ctx context.Context, v *store.View, _ []mapi.Tag, fn func(uint64, Row) error) error {
	t, err := readTree(ctx, v)
	if err != nil {
		return err
	}
	for _, id := range h.ids(t) {
		if err := fn(id, &folderRow{t.all[store.FolderID(id)], h, t, ctx, v}); err != nil {
			return err
		}
	}
	return nil
}

// Get implements Source.
func (h *Hierarchy) Get(ctx context.Context, v *store.View, ids []uint64, _ []mapi.Tag, fn func(int, Row) error) error {
	t, err := readTree(ctx, v)
	if err != nil {
		return err
	}
	for i, id := range ids {
		f := t.all[store.FolderID(id)]
		if f == nil || h.depth(t, f) < 0 {
			continue
		}
		if err := fn(i, &folderRow{f, h, t, ctx, v}); err != nil {
			return err
		}
	}
	return nil
}

// Changes implements Source.
func (h *Hierarchy) Changes(ctx context.Context, v *store.View, since Position) (Delta, error) {
	seq, err := v.LastSeq(ctx)
	d := Delta{Now: Position{Seq: seq}}
	if err != nil || seq == since.Seq {
		return d, err
	}
	complete, err := v.MailboxChanges(ctx, since.Seq, func(c *store.Change) bool {
		switch c.Kind {
		case store.ChangeFolder:
			d.Whole = true // a move takes a whole branch along, and its parent has children now
		case store.ChangeCounts:
			d.Changed = append(d.Changed, uint64(c.Folder))
		case store.ChangeNoFolder:
			d.Whole = true
		}
		return true
	})
	d.Whole = d.Whole || !complete
	return d, err
}

// folderRow is the row of a folder.
type folderRow struct {
	*store.Folder
	h    *Hierarchy
	tree *tree
	ctx  context.Context
	v    *store.View
}

// Raw implements Row.
func (r *folderRow) Raw(mapi.Tag) (mapi.Raw, bool, error) { return mapi.Raw{}, false, nil }

// Each implements Row: a folder has neither recipients nor attachments.
func (r *folderRow) Each(mapi.Tag, func(mapi.Getter) (bool, error)) error { return nil }

// Value implements Row.
func (r *folderRow) Value(t mapi.Tag) (any, error) {
	n, c := r.tree.names, &r.Counts
	own := n.folder(r.ID)
	switch t {
	case mapi.TagDisplayName:
		return r.Name, nil
	case mapi.TagContainerClass:
		if r.Class == "" {
			return nil, nil
		}
		return r.Class, nil
	case mapi.TagFolderID:
		return int64(mapi.MakeShortID(1, uint64(r.ID))), nil
	case mapi.TagParentFolderID:
		return int64(mapi.MakeShortID(1, uint64(r.Parent))), nil
	case mapi.TagEntryID:
		e := mapi.EntryID{Provider: n.mailbox, Folder: own}
		return e.Append(nil), nil
	case mapi.TagParentEntryID:
		e := mapi.EntryID{Provider: n.mailbox, Folder: n.folder(r.Parent)}
		return e.Append(nil), nil
	case mapi.TagInstanceKey, mapi.TagRecordKey, mapi.TagSourceKey:
		return own.AppendSourceKey(nil), nil
	case mapi.TagParentSourceKey:
		return n.folder(r.Parent).AppendSourceKey(nil), nil
	case mapi.TagSubfolders:
		return r.tree.parents[r.ID], nil
	case mapi.TagAttributeHidden:
		return r.Hidden, nil
	case mapi.TagObjectType:
		return int32(mapi.ObjectFolder), nil
	case mapi.TagDepth:
		return int32(r.h.depth(r.tree, r.Folder)) + 1, nil
	case mapi.TagAssociatedContentCount:
		return int32(c.Associated), nil
	case mapi.TagDeletedCountTotal, mapi.TagDeletedMessageCount:
		return int32(c.Deleted), nil
	case mapi.TagMessageSizeExtended:
		return c.Size, nil
	case mapi.TagMessageSize:
		return int32(min(c.Size, math.MaxInt32)), nil
	case mapi.TagCreationTime:
		return r.Created, nil
	case mapi.TagChangeNumber:
		return int64(mapi.MakeShortID(mapi.ReplID(r.CN.Replica), r.CN.Counter)), nil
	case tagPath:
		return r.path(), nil
	}
	return r.more(t)
}

// more are the values that other rows have to be read for.
func (r *folderRow) more(t mapi.Tag) (any, error) {
	search := r.tree.searches[r.ID]
	switch t {
	case mapi.TagFolderType:
		switch {
		case r.Parent == 0:
			return int32(mapi.FolderTypeRoot), nil
		case search:
			return int32(mapi.FolderTypeSearch), nil
		}
		return int32(mapi.FolderTypeGeneric), nil
	case mapi.TagContentCount, mapi.TagContentUnreadCount:
		total, unseen := r.Counts.Total, r.Counts.Unseen
		if search {
			_, s, err := r.v.Search(r.ctx, r.ID)
			if err != nil {
				return nil, err
			}
			total, unseen = s.Total, s.Unseen
		}
		if t == mapi.TagContentCount {
			return int32(total), nil
		}
		return int32(unseen), nil
	case mapi.TagChangeKey, mapi.TagPredecessorChangeList:
		g, err := r.tree.names.replica(r.ctx, r.v, r.CN.Replica)
		if err != nil {
			return nil, err
		}
		x := mapi.CounterXID(g, r.CN.Counter)
		if t == mapi.TagChangeKey {
			return x.Append(nil), nil
		}
		return mapi.PCL{x}.Append(nil), nil
	}
	return nil, nil
}

// path is the names from the table's folder down as one sort key.
func (r *folderRow) path() []byte {
	var up []string
	f := r.Folder
	for range maxFolderDepth {
		if f == nil || f.ID == r.h.Parent {
			break
		}
		up = append(up, f.Name)
		f = r.tree.all[f.Parent]
	}
	var key []byte
	for _, name := range slices.Backward(up) {
		key = mapi.AppendSortKey(key, name, mapi.TypeString)
	}
	return key
}
