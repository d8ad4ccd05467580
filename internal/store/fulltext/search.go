package fulltext

import (
	"bytes"
	"cmp"
	"context"
	"slices"

	"rialto/internal/store"
)

// Scope says where to search and what of the answer is wanted.
type Scope struct {
	Folders   []store.FolderID // none: the whole mailbox
	Languages []string         // ISO 639-1; none: en, de, fr, es, ru
	Offset    int
	Limit     int // 0: 100
}

// Found is an item that matches.
type Found struct {
	Row   store.RowID
	OID   store.OID
	Place store.Place
	Score float64
}

// Result is a page of the answer to a ranked search, best first and of equals
// the newest first.
type Result struct {
	Items []Found
	Total int
	// Complete is false if there is mail that the index does not have yet, and
	// too much of it to look at now.
	Complete bool
}

// Search finds normal items by their words.
func (x *Indexes) Search(ctx context.Context, m *store.Mailbox, q Query, scope Scope) (Result, error) {
	root := newPlan(&q, scope.Languages, nil, 0)
	e := x.entry(m)
	r, err := x.open(ctx, m, e)
	if err != nil {
		return Result{}, err
	}
	if r == nil {
		r = new(reader)
	} else {
		defer r.close()
	}
	v, err := m.View(ctx)
	if err != nil {
		return Result{}, err
	}
	defer v.Close()
	tail, complete, err := x.tail(ctx, m, v, e, r)
	if err != nil {
		return Result{}, err
	}
	s := searcher{x: x, v: v, root: root, runs: append(r.runs, tail...)}
	found, err := s.run(ctx)
	if x.noted(e, err) { // the next search does without
		return Result{}, nil
	}
	if err != nil {
		return Result{}, err
	}
	if found, err = s.present(ctx, found, scope.Folders); err != nil {
		return Result{}, err
	}
	res := Result{Total: len(found), Complete: complete}
	limit := scope.Limit
	if limit <= 0 {
		limit = 100
	}
	from := min(max(scope.Offset, 0), len(found))
	res.Items = found[from:min(from+limit, len(found))]
	return res, nil
}

// tail indexes what the index does not have yet in memory, up to the octets of a
// step, and reports whether that is all.
func (x *Indexes) tail(ctx context.Context, m *store.Mailbox, v *store.View, e *mailboxEntry, r *reader) ([]*run, bool, error) {
	f := feeder{x: x, m: m, e: e, man: &r.man}
	for _, run := range r.runs {
		f.runs = append(f.runs, run.table)
	}
	items, _, more, err := f.pending(ctx, v)
	if err != nil || len(items) == 0 {
		return nil, !more, err
	}
	b := x.builder(len(items))
	defer x.builders.Put(b)
	for _, it := range items {
		if err := ctx.Err(); err != nil {
			return nil, false, err
		}
		if b.bytes >= stepBytes {
			more = true
			break
		}
		if err := x.addItem(ctx, v, b, it.Item); err != nil {
			return nil, false, err
		}
	}
	mem := memoryRows{}
	w := &runWriter{put: func(k, val []byte) error {
		mem[string(k)] = bytes.Clone(val)
		return nil
	}}
	info, err := b.write(w)
	if err != nil {
		return nil, false, err
	}
	t, err := readDocs(ctx, mem, 0, &info)
	if err != nil {
		return nil, false, err
	}
	return []*run{openRun(mem, 0, info, t)}, !more, nil
}

// searcher is one ranked search.
type searcher struct {
	x    *Indexes
	v    *store.View
	root *plan
	runs []*run
}

func (s *searcher) run(ctx context.Context) ([]Found, error) {
	items := 0
	tallies := make([]map[*leafPlan]tally, len(s.runs))
	for k, r := range s.runs {
		items += len(r.table.docs)
		tallies[k] = map[*leafPlan]tally{}
		for _, l := range s.root.leaves {
			t, err := l.count(ctx, r)
			if err == nil && l.phrase {
				err = s.sideBySide(ctx, l, r, t)
			}
			if err != nil {
				return nil, err
			}
			for _, n := range t {
				if n > 0 {
					l.with++
				}
			}
			tallies[k][l] = t
		}
	}
	var out []Found
	for k, r := range s.runs {
		found, score := s.root.eval(tallies[k], r.table, items)
		found.each(func(d uint32) {
			x := &r.table.docs[d]
			out = append(out, Found{Row: x.row, OID: x.oid, Score: score[d]})
		})
	}
	slices.SortFunc(out, func(a, b Found) int {
		return cmp.Or(cmp.Compare(b.Score, a.Score), cmp.Compare(b.Row, a.Row))
	})
	return out, nil
}

// sideBySide takes the items out of t in which the words of a phrase do not
// follow one another.
func (s *searcher) sideBySide(ctx context.Context, l *leafPlan, r *run, t tally) error {
	for d := range t {
		if t[d] == 0 {
			continue
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		x := &r.table.docs[d]
		places, _, err := s.v.FindMany(ctx, []store.OID{x.oid})
		if err != nil {
			return err
		}
		has := false
		if p := places[0]; p.Space == store.Normal && p.Folder != 0 {
			it := Item{p.Folder, store.UID(p.N), x.row, x.oid}
			_, err = s.x.opt.Extract(ctx, s.v, it, func(f Field, text []byte) {
				has = has || slices.Contains(l.fields, f) && l.follows(text)
			})
			if ctx.Err() != nil || fatal(err) {
				return err
			}
		}
		if !has {
			t[d] = 0
		}
	}
	return nil
}

// follows reports whether the words of the phrase stand side by side in text.
func (l *leafPlan) follows(text []byte) bool {
	var t tokenizer
	at := make([]bool, len(l.words)) // the first k+1 words were the last seen
	for i := 0; i < len(text); {
		n, cl := t.token(text[i:])
		i += n
		if cl == separator {
			continue
		}
		for k := len(at) - 1; k >= 0; k-- {
			at[k] = (k == 0 || at[k-1]) && l.words[k].equals(t.buf)
		}
		if at[len(at)-1] {
			return true
		}
	}
	return false
}

func (w *wordPlan) equals(word []byte) bool {
	if w.prefix != "" {
		return bytes.HasPrefix(word, []byte(w.prefix))
	}
	return string(word) == w.exact
}

// fewItems is up to how many items are found one by one rather than by the lists
// of their folders.
const fewItems = 2000

// present keeps what is a normal item of the folders now, with its place.
func (s *searcher) present(ctx context.Context, found []Found, folders []store.FolderID) ([]Found, error) {
	places := map[store.OID]store.Place{}
	if len(found) <= fewItems {
		oids := make([]store.OID, len(found))
		for i := range found {
			oids[i] = found[i].OID
		}
		at, _, err := s.v.FindMany(ctx, oids)
		if err != nil {
			return nil, err
		}
		for i, o := range oids {
			if at[i].Folder != 0 && at[i].Space == store.Normal {
				places[o] = at[i]
			}
		}
	} else if err := s.list(ctx, folders, places); err != nil {
		return nil, err
	}
	out := found[:0]
	for _, f := range found {
		p, ok := places[f.OID]
		if ok && (len(folders) == 0 || slices.Contains(folders, p.Folder)) {
			f.Place = p
			out = append(out, f)
		}
	}
	return out, nil
}

// list fills places with the items of folders, all if none are named.
func (s *searcher) list(ctx context.Context, folders []store.FolderID, places map[store.OID]store.Place) error {
	if len(folders) == 0 {
		all, err := s.v.Folders(ctx)
		if err != nil {
			return err
		}
		for id := range all {
			folders = append(folders, id)
		}
	}
	for _, id := range folders {
		err := s.v.Briefs(ctx, id, 1, ^store.UID(0), func(b *store.Brief) bool {
			places[b.OID] = store.Place{Folder: id, Space: store.Normal, N: uint64(b.UID)}
			return true
		})
		if err != nil {
			return err
		}
	}
	return nil
}
