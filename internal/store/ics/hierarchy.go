package ics

import (
	"cmp"
	"context"
	"maps"
	"slices"

	"rialto/internal/model"
	"rialto/internal/store"
)

// HierarchyDiff is what a client has to be told of the folders below one.
type HierarchyDiff struct {
	Changed []*store.Folder // parents before their children
	Deleted Set             // folder ids
	Final   State
}

// Hierarchy returns what changed below a folder since the client's state.
func Hierarchy(ctx context.Context, v *store.View, root store.FolderID, have *State) (*HierarchyDiff, error) {
	folders, err := v.Folders(ctx)
	if err != nil {
		return nil, err
	}
	if folders[root] == nil {
		return nil, model.E("ics.hierarchy", model.KindNotFound, "folder", nil)
	}
	d := &differ{ctx: ctx, v: v}
	if err := d.replicas(); err != nil {
		return nil, err
	}
	out := &HierarchyDiff{Final: have.clone()}
	var there Set
	newest := uint64(1)
	for _, f := range below(folders, root) {
		there.Add(d.own, uint64(f.ID))
		g := d.guids[f.CN.Replica]
		newest = max(newest, uint64(f.Seq))
		if !have.Given.Contains(d.own, uint64(f.ID)) || !have.Seen.Contains(g, f.CN.Counter) {
			out.Changed = append(out.Changed, f)
			out.Final.Given.Add(d.own, uint64(f.ID))
			out.Final.Seen.Add(g, f.CN.Counter)
		}
	}
	lost := have.Given.Clone()
	lost.Subtract(&there)
	out.Deleted = *lost
	out.Final.Given.Subtract(lost)
	out.Final.Seen.AddRange(d.own, 1, newest)
	return out, nil
}

// below lists the folders under root, parents first, those of one parent by id.
func below(folders map[store.FolderID]*store.Folder, root store.FolderID) (out []*store.Folder) {
	children := map[store.FolderID][]*store.Folder{}
	for f := range maps.Values(folders) {
		children[f.Parent] = append(children[f.Parent], f)
	}
	for at := []store.FolderID{root}; len(at) > 0; at = at[1:] {
		kids := children[at[0]]
		slices.SortFunc(kids, func(a, b *store.Folder) int { return cmp.Compare(a.ID, b.ID) })
		for _, f := range kids {
			if f.ID != f.Parent {
				out, at = append(out, f), append(at, f.ID)
			}
		}
	}
	return out
}
