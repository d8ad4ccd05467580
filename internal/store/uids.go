package store

import (
	"context"

	"rialto/internal/store/layout"
)

// UIDs appends the UIDs from from to to, both included, of the normal items of
// a folder to dst, ascending: from the folder's index, or from keys alone.
func (v *View) UIDs(ctx context.Context, f FolderID, from, to UID, dst []UID) ([]UID, error) {
	x, err := v.index(ctx, f, from, to)
	if err != nil {
		return dst, err
	}
	if x != nil {
		x.Each(from, to, func(b *Brief) bool {
			dst = append(dst, b.UID)
			return true
		})
		return dst, nil
	}
	it := v.snap.Scan(ctx, v.m.num.Places(layout.SubState, Place{Folder: f, Space: Normal, N: uint64(from)}, Place{Folder: f, Space: Normal, N: uint64(to)}))
	for it.Next() {
		p, ok := layout.ParsePlace(it.Key())
		if !ok {
			it.Close()
			return dst, layout.Corrupt("state key")
		}
		dst = append(dst, UID(p.N))
	}
	return dst, wrap("store.uids", "folder", it.Close())
}
