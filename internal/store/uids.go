package store

import (
	"context"

	"rialto/internal/kv"
)

// UIDs appends the UIDs from from to to, both included, of the normal items of
// a folder to dst, ascending. It reads keys only.
func (v *View) UIDs(ctx context.Context, f FolderID, from, to UID, dst []UID) ([]UID, error) {
	m := v.m.num
	it := v.snap.Scan(ctx, kv.Range{
		Lower: m.place(subState, Place{f, Normal, uint64(from)}),
		Upper: prefixEnd(m.place(subState, Place{f, Normal, uint64(to)})),
	})
	for it.Next() {
		p, ok := parsePlace(it.Key())
		if !ok {
			it.Close()
			return dst, corrupt("state key")
		}
		dst = append(dst, UID(p.N))
	}
	return dst, wrap("store.uids", "folder", it.Close())
}
