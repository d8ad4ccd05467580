package folderindex

import (
	"context"
	"runtime"
	"slices"
	"sync"

	"rialto/internal/store/content"
	"rialto/internal/store/layout"
)

// splitIndex is how many items a folder has whose index is made by two.
const splitIndex = 16 * chunkEntries

// index returns the index of the folder in these rows, from an older one where
// that is less work.
func (r Rows) index(ctx context.Context, old *Index, now layout.Counts) (*Index, error) {
	if old != nil {
		x, err := r.advance(ctx, old, now)
		if err != nil || x != nil {
			return x, err
		}
	}
	halves := []layout.UID{0}
	if now.Total >= splitIndex && runtime.GOMAXPROCS(0) > 1 {
		halves = append(halves, now.NextUID/2)
	}
	b, errs := make([]builder, len(halves)), make([]error, len(halves))
	var wg sync.WaitGroup
	for i, from := range halves {
		to := ^layout.UID(0)
		if i+1 < len(halves) {
			to = halves[i+1] - 1
		}
		wg.Go(func() {
			errs[i] = r.states(ctx, from, to, func(s *layout.State) bool {
				b[i].addState(s)
				return true
			})
		})
	}
	wg.Wait()
	for i := range b {
		if errs[i] != nil {
			return nil, errs[i]
		}
		if i > 0 {
			for _, c := range b[i].finish(now).chunks {
				b[0].share(c)
			}
		}
	}
	return b[0].finish(now), nil
}

// advance applies what the folder's log says has happened since old. It returns
// nil if the log does not go back so far, or if so much happened that a scan is
// as good.
func (r Rows) advance(ctx context.Context, old *Index, now layout.Counts) (*Index, error) {
	var gone, touched []layout.UID
	most := 100 + old.n/4
	complete, err := layout.ScanChanges(ctx, r.Reader, r.Box, r.Folder, old.counts.Seq, func(c *layout.Change) bool {
		switch {
		case c.UID == 0:
		case c.Kind == layout.ChangeGone:
			gone = append(gone, c.UID)
		case c.Kind == layout.ChangeItem && !c.Associated:
			touched = append(touched, c.UID)
		}
		return len(gone)+len(touched) <= most
	})
	if err != nil || !complete || len(gone)+len(touched) > most {
		return nil, err
	}
	slices.Sort(gone)
	slices.Sort(touched)
	keys := make([][]byte, len(touched))
	for i, u := range touched {
		keys[i] = r.Box.Place(layout.SubState, r.place(u))
	}
	vals, err := r.Reader.GetMany(ctx, keys)
	if err != nil {
		return nil, content.Wrap("store.index", "folder", err)
	}
	changed := make([]layout.State, len(touched))
	for i, b := range vals {
		if b == nil {
			return nil, nil // the log is at odds with the rows: those count
		}
		if err := changed[i].Decode(r.place(touched[i]), b); err != nil {
			return nil, err
		}
	}
	x := old.with(now, changed, gone)
	if x.n != int(now.Total) {
		return nil, nil
	}
	return x, nil
}
