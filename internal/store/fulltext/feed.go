package fulltext

import (
	"context"
	"errors"
	"time"

	"rialto/internal/kv"
	"rialto/internal/model"
	"rialto/internal/store"
)

// Limits of one step of feeding.
const (
	stepBytes   = 4 << 20          // of text
	stepTime    = 10 * time.Second // a view lasts longer
	stepEntries = 20000            // of the log
	batchBytes  = 1 << 20          // of rows committed at once
)

// Progress is what one step of feeding did.
type Progress struct {
	Items  int  // that were indexed
	Merged int  // that were written again in a larger run
	More   bool // there is more to do at once
}

// Feed does one bounded step for a mailbox: it indexes new items in the order of
// the log, or merges runs. It holds no lock of the mailbox. After a crash it goes
// on where the last step ended. Of several calls for a mailbox one works and the
// others wait.
func (x *Indexes) Feed(ctx context.Context, m *store.Mailbox) (Progress, error) {
	e := x.entry(m)
	select {
	case e.feeding <- struct{}{}:
		defer func() { <-e.feeding }()
	case <-ctx.Done():
		return Progress{}, ctx.Err()
	}
	man, err := x.prepare(ctx, m, e)
	if err != nil {
		return Progress{}, err
	}
	f := feeder{x: x, m: m, e: e, man: man}
	p, err := f.step(ctx)
	if x.noted(e, err) { // built again by the next step
		return Progress{More: true}, nil
	}
	return p, err
}

// prepare returns the manifest to go on from, a new one if there is none or the
// old can not be used.
func (x *Indexes) prepare(ctx context.Context, m *store.Mailbox, e *mailboxEntry) (*manifest, error) {
	v, err := m.Derived(Space).View(ctx)
	if err != nil {
		return nil, err
	}
	man, err := readManifest(ctx, v)
	v.Close()
	if err != nil && !x.noted(e, err) {
		return nil, err
	}
	x.mu.Lock()
	broken := e.broken
	x.mu.Unlock()
	b := m.Derived(Space).NewBatch()
	switch {
	case broken || man == nil:
		man = &manifest{generation: newGeneration(), next: 1}
		b.DeleteRange(nil, nil)
		b.Set([]byte{rowManifest}, man.encode())
	case !e.cleaned:
		b.DeleteRange(runPrefix(man.next), nil)
	default:
		b.Close()
		return man, nil
	}
	if err := b.Commit(ctx); err != nil {
		return nil, err
	}
	e.cleaned = true
	x.mu.Lock()
	e.broken = false
	x.mu.Unlock()
	return man, nil
}

// feeder is one step. The mailbox's feeding token is held.
type feeder struct {
	x    *Indexes
	m    *store.Mailbox
	e    *mailboxEntry
	man  *manifest
	runs []*docTable
}

func (f *feeder) pace(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if f.x.opt.Pace == nil {
		return nil
	}
	return f.x.opt.Pace(ctx)
}

func (f *feeder) step(ctx context.Context) (Progress, error) {
	if group := f.due(); group != nil {
		n, err := f.merge(ctx, group)
		return Progress{Merged: n, More: true}, err
	}
	if err := f.loadTables(ctx); err != nil {
		return Progress{}, err
	}
	v, err := f.m.View(ctx)
	if err != nil {
		return Progress{}, err
	}
	defer v.Close()
	items, seq, more, err := f.pending(ctx, v)
	if err != nil || len(items) == 0 && seq == f.man.seq {
		return Progress{}, err
	}
	b := f.x.builder(len(items))
	defer f.x.builders.Put(b)
	done, err := f.fill(ctx, v, b, items)
	if err != nil {
		return Progress{}, err
	}
	if done < len(items) {
		more, seq = true, items[done-1].seq
	}
	if err := f.commit(ctx, b, seq); err != nil {
		return Progress{}, err
	}
	return Progress{Items: done, More: more || f.due() != nil}, nil
}

// loadTables reads the items of all runs, to tell what is known already.
func (f *feeder) loadTables(ctx context.Context) error {
	v, err := f.m.Derived(Space).View(ctx)
	if err != nil {
		return err
	}
	defer v.Close()
	for i := range f.man.runs {
		mem, err := f.x.memory(ctx, f.e, storedRows{v}, f.man, &f.man.runs[i])
		if err != nil {
			return err
		}
		f.runs = append(f.runs, mem.table)
	}
	return nil
}

func (f *feeder) knows(r store.RowID, o store.OID) bool {
	for _, t := range f.runs {
		n := len(t.docs)
		if n == 0 || r < t.docs[0].row || r > t.docs[n-1].row {
			continue
		}
		hint := 0
		if _, ok := t.find(r, o, &hint); ok {
			return true
		}
	}
	return false
}

// pendingItem is an item to be indexed; once it and those before are, the log is
// done up to seq.
type pendingItem struct {
	Item
	seq store.Seq
}

// pending returns the first items in the log that the index does not have, and
// the position once these are done. Of a log that was cut all folders are
// compared.
func (f *feeder) pending(ctx context.Context, v *store.View) (items []pendingItem, seq store.Seq, more bool, err error) {
	seq = f.man.seq
	entries := 0
	complete, err := v.MailboxChanges(ctx, f.man.seq, func(c *store.Change) bool {
		if entries == stepEntries || len(items) == f.x.opt.StepItems {
			more = true
			return false
		}
		entries++
		seq = c.Seq
		if c.Kind == store.ChangeItem && !c.Associated && !f.knows(c.Row, c.OID) {
			items = append(items, pendingItem{Item{c.Folder, c.UID, c.Row, c.OID}, c.Seq})
		}
		return true
	})
	if err == nil && !complete && !more {
		var missed []pendingItem
		missed, more, err = f.sweep(ctx, v, items)
		if more { // the position stays until nothing is missing
			seq = f.man.seq
		}
		items = append(missed, items...)
		for i := range items {
			items[i].seq = f.man.seq
		}
	}
	return items, seq, more, err
}

// sweep returns items of all folders that neither the index nor known has.
func (f *feeder) sweep(ctx context.Context, v *store.View, known []pendingItem) (items []pendingItem, more bool, err error) {
	have := map[store.RowID]bool{}
	for _, k := range known {
		have[k.Row] = true
	}
	folders, err := v.Folders(ctx)
	if err != nil {
		return nil, false, err
	}
	for id := range folders {
		err := v.Briefs(ctx, id, 1, ^store.UID(0), func(b *store.Brief) bool {
			if have[b.Row] || f.knows(b.Row, b.OID) {
				return true
			}
			if len(items) == f.x.opt.StepItems {
				more = true
				return false
			}
			items = append(items, pendingItem{Item: Item{id, b.UID, b.Row, b.OID}})
			return true
		})
		if err != nil || more {
			return items, more, err
		}
	}
	return items, false, nil
}

// paceItems is after how many items others get a turn.
const paceItems = 16

// fill puts the texts of items into b until it is full and returns how many.
func (f *feeder) fill(ctx context.Context, v *store.View, b *builder, items []pendingItem) (int, error) {
	began := time.Now()
	for i := range items {
		if i%paceItems == 0 {
			if err := f.pace(ctx); err != nil {
				return i, err
			}
		}
		if err := f.x.addItem(ctx, v, b, items[i].Item); err != nil {
			return i, err
		}
		if b.bytes >= stepBytes || time.Since(began) > stepTime {
			return i + 1, nil
		}
	}
	return len(items), nil
}

// addItem puts an item into b. One that can not be read is known by name only.
func (x *Indexes) addItem(ctx context.Context, v *store.View, b *builder, it Item) error {
	b.begin(it.Row, it.OID)
	whole, err := x.opt.Extract(ctx, v, it, b.add)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case fatal(err):
		return err
	case err != nil || !whole:
		b.loose()
	}
	return nil
}

// fatal reports whether an error is the store's, not the item's.
func fatal(err error) bool {
	return model.IsKind(err, model.KindUnavailable) || model.IsKind(err, model.KindExpired) ||
		errors.Is(err, kv.ErrClosed) || errors.Is(err, kv.ErrPoisoned) || errors.Is(err, kv.ErrSnapshotExpired)
}

// commit writes a run of what b holds, and the position, in one batch or, if the
// run is large, with the manifest in the last.
func (f *feeder) commit(ctx context.Context, b *builder, seq store.Seq) error {
	man := *f.man
	man.seq = seq
	if len(b.docs) == 0 {
		return f.install(ctx, f.m.Derived(Space).NewBatch(), &man)
	}
	w, batch := f.writer(ctx, &man)
	info, err := b.write(w)
	if err != nil {
		(*batch).Close()
		f.e.cleaned = false
		return err
	}
	man.runs = man.without(nil, info)
	return f.install(ctx, *batch, &man)
}

// writer returns what writes a new run, in batches; the last is left to be
// installed.
func (f *feeder) writer(ctx context.Context, man *manifest) (*runWriter, **store.DerivedBatch) {
	batch := f.m.Derived(Space).NewBatch()
	w := &runWriter{generation: man.generation, info: runInfo{id: man.next}}
	man.next++
	w.put = func(key, value []byte) error {
		batch.Set(key, value)
		if batch.Size() < batchBytes {
			return nil
		}
		full := batch
		batch = f.m.Derived(Space).NewBatch()
		if err := full.Commit(ctx); err != nil {
			return err
		}
		return f.pace(ctx)
	}
	return w, &batch
}

// install makes man the manifest together with batch.
func (f *feeder) install(ctx context.Context, batch *store.DerivedBatch, man *manifest) error {
	batch.Set([]byte{rowManifest}, man.encode())
	if err := batch.Commit(ctx); err != nil {
		f.e.cleaned = false // rows of a run without a manifest may be there
		return err
	}
	f.man = man
	f.x.keepOnly(f.e, man)
	return nil
}
