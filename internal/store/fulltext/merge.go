package fulltext

import (
	"bytes"
	"context"
	"slices"
	"time"

	"rialto/internal/store"
)

// mergeWidth is how many runs of like size become one.
const mergeWidth = 8

// smallRun is the size up to which all runs are alike.
const smallRun = 64

func tier(docs int) int {
	t := 0
	for n := smallRun; n < docs; n *= mergeWidth {
		t++
	}
	return t
}

// due returns runs that should be merged now, nil if there are none. The smallest
// come first.
func (f *feeder) due() []runInfo {
	byTier := map[int][]runInfo{}
	best := -1
	for _, r := range f.man.runs {
		t := tier(r.docs)
		byTier[t] = append(byTier[t], r)
		if len(byTier[t]) >= mergeWidth && (best < 0 || t < best) {
			best = t
		}
	}
	if best < 0 {
		return nil
	}
	group, total := byTier[best], 0
	for i, r := range group {
		if total += r.docs; total > maxRunDocs || i == 2*mergeWidth {
			group = group[:i]
			break
		}
	}
	if len(group) < 2 {
		return nil
	}
	return group
}

// mergeView is how long a merge reads from one view.
const mergeView = 20 * time.Second

// lastingRows reads rows that do not change from views of limited age.
type lastingRows struct {
	d    store.Derived
	v    *store.DerivedView
	born time.Time
}

func (l *lastingRows) get(ctx context.Context, keys ...[]byte) ([][]byte, error) {
	if l.v != nil && time.Since(l.born) > mergeView {
		l.close()
	}
	if l.v == nil {
		v, err := l.d.View(ctx)
		if err != nil {
			return nil, err
		}
		l.v, l.born = v, time.Now()
	}
	return l.v.GetMany(ctx, keys...)
}

func (l *lastingRows) close() {
	if l.v != nil {
		l.v.Close()
		l.v = nil
	}
}

// merge writes the runs of group as one, without items that are gone, and
// returns how many items it has.
func (f *feeder) merge(ctx context.Context, group []runInfo) (int, error) {
	src := &lastingRows{d: f.m.Derived(Space)}
	defer src.close()
	var runs []*run
	for i := range group {
		mem, err := f.x.memory(ctx, f.e, src, f.man, &group[i])
		if err != nil {
			return 0, err
		}
		runs = append(runs, openRun(src, f.man.generation, group[i], mem.table))
	}
	docs, numbers, err := f.union(ctx, runs)
	if err != nil {
		return 0, err
	}
	man := *f.man
	w, batch := f.writer(ctx, &man)
	info, err := f.mergeTerms(ctx, w, newDocTable(docs), runs, numbers)
	if err != nil {
		(*batch).Close()
		f.e.cleaned = false
		return 0, err
	}
	for _, g := range group {
		(*batch).DeleteRange(runPrefix(g.id), runPrefix(g.id+1))
	}
	if len(docs) == 0 {
		man.runs = man.without(group)
	} else {
		man.runs = man.without(group, info)
	}
	return len(docs), f.install(ctx, *batch, &man)
}

// gone is the number of an item that is left out.
const gone = ^uint32(0)

// union returns the items of runs that still exist, by row id, and for each run
// their new numbers.
func (f *feeder) union(ctx context.Context, runs []*run) (docs []doc, numbers [][]uint32, err error) {
	type source struct{ run, doc int }
	var from []source
	v, err := f.m.View(ctx)
	if err != nil {
		return nil, nil, err
	}
	defer v.Close()
	for k, r := range runs {
		numbers = append(numbers, slices.Repeat([]uint32{gone}, len(r.table.docs)))
		for at := 0; at < len(r.table.docs); at += 1024 {
			part := r.table.docs[at:min(at+1024, len(r.table.docs))]
			oids := make([]store.OID, len(part))
			for i := range part {
				oids[i] = part[i].oid
			}
			places, _, err := v.FindMany(ctx, oids)
			if err != nil {
				return nil, nil, err
			}
			for i := range part {
				if places[i] != (store.Place{}) {
					from = append(from, source{k, at + i})
				}
			}
		}
	}
	slices.SortStableFunc(from, func(a, b source) int {
		return int(int64(runs[a.run].table.docs[a.doc].row) - int64(runs[b.run].table.docs[b.doc].row))
	})
	for n, s := range from {
		docs = append(docs, runs[s.run].table.docs[s.doc])
		numbers[s.run][s.doc] = uint32(n)
	}
	return docs, numbers, nil
}

// cursor walks through the dictionary of a field of a run.
type cursor struct {
	run     *run
	numbers []uint32
	field   Field
	at      int // next block
	block   *block
	entry   entry
	head    uint64 // of the term
	done    bool
}

// next goes to the next term.
func (c *cursor) next(ctx context.Context) error {
	for {
		if c.block != nil {
			more, err := c.block.next(&c.entry, len(c.run.table.docs))
			if err != nil || more {
				c.head = head(c.entry.term)
				return err
			}
			c.block = nil
		}
		if c.at == c.run.info.blocks[c.field] {
			c.done = true
			return nil
		}
		b, err := getRow(ctx, c.run, c.run.generation, dictKey(c.run.info.id, c.field, c.at))
		if err != nil {
			return err
		}
		if c.block, err = openBlock(b); err != nil {
			return err
		}
		c.at++
	}
}

// paceTerms is after how many terms others get a turn.
const paceTerms = 2000

// mergeTerms writes the new run.
func (f *feeder) mergeTerms(ctx context.Context, w *runWriter, t *docTable, runs []*run, numbers [][]uint32) (runInfo, error) {
	if err := w.docs(t); err != nil {
		return w.info, err
	}
	var list []posting
	var low []*cursor
	for field := Subject; field < fieldEnd; field++ {
		cs := make([]*cursor, len(runs))
		for i, r := range runs {
			cs[i] = &cursor{run: r, numbers: numbers[i], field: field}
			if err := cs[i].next(ctx); err != nil {
				return w.info, err
			}
		}
		for n := 1; ; n++ {
			if n%paceTerms == 0 {
				if err := f.pace(ctx); err != nil {
					return w.info, err
				}
			}
			if low = lowest(cs, low[:0]); len(low) == 0 {
				break
			}
			var err error
			if list, err = gather(ctx, low, list[:0]); err != nil {
				return w.info, err
			}
			if len(list) > 0 {
				if err := w.term(field, low[0].entry.term, list); err != nil {
					return w.info, err
				}
			}
			for _, c := range low {
				if err := c.next(ctx); err != nil {
					return w.info, err
				}
			}
		}
	}
	return w.finish()
}

// lowest appends to low the cursors that are at the lowest term.
func lowest(cs, low []*cursor) []*cursor {
	for _, c := range cs {
		if c.done {
			continue
		}
		if len(low) > 0 {
			if c.head > low[0].head {
				continue
			}
			if c.head < low[0].head {
				low = low[:0]
			} else if o := bytes.Compare(c.entry.term, low[0].entry.term); o > 0 {
				continue
			} else if o < 0 {
				low = low[:0]
			}
		}
		low = append(low, c)
	}
	return low
}

// gather joins the lists of cursors that are at the same term.
func gather(ctx context.Context, cs []*cursor, list []posting) ([]posting, error) {
	sorted := true
	for _, c := range cs {
		have := c.block.list
		if c.entry.inline == nil {
			var err error
			if c.run.room, err = c.run.list(ctx, &c.entry, c.run.room[:0]); err != nil {
				return nil, err
			}
			have = c.run.room
		}
		for _, p := range have {
			if p.doc = c.numbers[p.doc]; p.doc == gone {
				continue
			}
			sorted = sorted && (len(list) == 0 || list[len(list)-1].doc < p.doc)
			list = append(list, p)
		}
	}
	if !sorted {
		slices.SortFunc(list, func(a, b posting) int { return int(int64(a.doc) - int64(b.doc)) })
	}
	return list, nil
}
