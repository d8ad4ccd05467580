package store

import (
	"context"

	"rialto/internal/store/content"
)

// Bodies opens the octets of several items, whose stream rows are streams; nil
// where that is nil. They are for one goroutine, best one after the other: what
// they read they keep in one place.
func (v *View) Bodies(ctx context.Context, streams []*Stream) ([]*Body, error) {
	ids := make([]content.ID, len(streams))
	for i, s := range streams {
		if s != nil {
			ids[i] = s.Content
		}
	}
	readers, err := v.m.db.content.OpenMany(ctx, v.snap, ids, new(content.Room))
	if err != nil {
		return nil, wrap("store.open", "content", err)
	}
	out := make([]*Body, len(streams))
	for i, s := range streams {
		if s != nil {
			out[i] = &Body{trace: s.Trace, content: readers[i]}
		}
	}
	return out, nil
}
