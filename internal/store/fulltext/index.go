package fulltext

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"sync"

	"rialto/internal/store"
)

// Item names an item to be indexed, where it is in the view at hand.
type Item struct {
	Folder store.FolderID
	UID    store.UID
	Row    store.RowID
	OID    store.OID
}

// Extract calls add for the texts of an item, each in UTF-8 and whole; the slice
// is valid during the call. whole is false if some text was left out: then the
// item is a candidate of every search. An error that is not of the context, the
// store or its engine stands for an item that can not be read.
type Extract func(ctx context.Context, v *store.View, it Item, add func(f Field, text []byte)) (whole bool, err error)

// Options of Indexes.
type Options struct {
	Extract Extract
	// Pace is called between small pieces of work of feeding and may wait; nil
	// does not. Its error ends the feeding.
	Pace func(ctx context.Context) error
	// CacheBytes bounds the memory for items and dictionaries. 0: 64 MB.
	CacheBytes int64
	// StepItems is how many items one Feed takes at most. 0: 1,024.
	StepItems int
}

// Indexes are the search indexes of mailboxes. It is safe for concurrent use.
type Indexes struct {
	opt      Options
	builders sync.Pool

	mu      sync.Mutex
	entries map[*store.Mailbox]*mailboxEntry
	clock   uint64 // of uses
	bytes   int64  // of all runs in memory
}

// New returns the indexes of mailboxes, which are read when first asked for.
func New(opt Options) *Indexes {
	if opt.CacheBytes == 0 {
		opt.CacheBytes = 64 << 20
	}
	if opt.StepItems == 0 {
		opt.StepItems = 1024
	}
	return &Indexes{opt: opt, entries: map[*store.Mailbox]*mailboxEntry{}}
}

// mailboxEntry is what is in memory of a mailbox's index.
type mailboxEntry struct {
	feeding chan struct{} // holds a token while one feeds
	cleaned bool          // below feeding: no rows of unfinished runs are left

	// Below Indexes.mu.
	generation uint64
	runs       map[runID]*runMemory
	bytes      int64
	used       uint64
	broken     bool // rows were found damaged: it has to be built again
	forgotten  bool // it is not among the entries any more: nothing is kept
}

// builder returns one that is empty; x.builders takes it back.
func (x *Indexes) builder(items int) *builder {
	if b, ok := x.builders.Get().(*builder); ok {
		b.reset()
		return b
	}
	return newBuilder(items)
}

func (x *Indexes) entry(m *store.Mailbox) *mailboxEntry {
	x.mu.Lock()
	defer x.mu.Unlock()
	e := x.entries[m]
	if e == nil {
		e = &mailboxEntry{feeding: make(chan struct{}, 1), runs: map[runID]*runMemory{}}
		x.entries[m] = e
	}
	x.clock++
	e.used = x.clock
	return e
}

// Forget drops what is in memory of the mailboxes of a database that goes away.
func (x *Indexes) Forget(db *store.Database) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for m, e := range x.entries {
		if m.Database() == db {
			x.drop(e)
			e.forgotten = true
			delete(x.entries, m)
		}
	}
}

// runMemory is what is in memory of a run.
type runMemory struct {
	table *docTable

	// Below Indexes.mu.
	dicts [fieldEnd][][]byte // all blocks of a field, or none
	bytes int64
}

// memory returns a run's items, from memory if they are there.
func (x *Indexes) memory(ctx context.Context, e *mailboxEntry, r rows, man *manifest, run *runInfo) (*runMemory, error) {
	x.mu.Lock()
	if e.generation != man.generation {
		x.drop(e)
		e.generation = man.generation
	}
	m := e.runs[run.id]
	x.mu.Unlock()
	if m != nil {
		return m, nil
	}
	t, err := readDocs(ctx, r, man.generation, run)
	if err != nil {
		return nil, err
	}
	m = &runMemory{table: t, bytes: t.bytes()}
	x.mu.Lock()
	defer x.mu.Unlock()
	if e.generation == man.generation && e.runs[run.id] == nil && !e.forgotten {
		e.runs[run.id] = m
		e.bytes += m.bytes
		x.bytes += m.bytes
		x.trim(e)
	}
	return m, nil
}

// cached returns the blocks of a dictionary if they are in memory.
func (x *Indexes) cached(m *runMemory, f Field) [][]byte {
	x.mu.Lock()
	defer x.mu.Unlock()
	return m.dicts[f]
}

// keep puts the blocks of a dictionary into memory if they are worth it.
func (x *Indexes) keep(e *mailboxEntry, id runID, m *runMemory, f Field, blocks [][]byte) {
	n := int64(0)
	for _, b := range blocks {
		n += int64(len(b)) + 24
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if e.runs[id] != m || m.dicts[f] != nil || e.bytes+n > x.opt.CacheBytes/2 {
		return
	}
	m.dicts[f] = blocks
	m.bytes += n
	e.bytes += n
	x.bytes += n
	x.trim(e)
}

// trim drops the runs of mailboxes that were not used for longest. x.mu is held.
func (x *Indexes) trim(keep *mailboxEntry) {
	for x.bytes > x.opt.CacheBytes {
		var oldest *mailboxEntry
		for _, e := range x.entries {
			if e != keep && e.bytes > 0 && (oldest == nil || e.used < oldest.used) {
				oldest = e
			}
		}
		if oldest == nil {
			return
		}
		x.drop(oldest)
	}
}

func (x *Indexes) drop(e *mailboxEntry) {
	x.bytes -= e.bytes
	e.bytes, e.runs = 0, map[runID]*runMemory{}
}

// keepOnly forgets runs that are no more.
func (x *Indexes) keepOnly(e *mailboxEntry, man *manifest) {
	live := map[runID]bool{}
	for i := range man.runs {
		live[man.runs[i].id] = true
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	for id, m := range e.runs {
		if !live[id] {
			delete(e.runs, id)
			e.bytes -= m.bytes
			x.bytes -= m.bytes
		}
	}
}

// noted remembers damage, and reports whether err was that.
func (x *Indexes) noted(e *mailboxEntry, err error) bool {
	if !errors.Is(err, errUnusable) {
		return false
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	e.broken = true
	return true
}

// reader is one state of an index.
type reader struct {
	view *store.DerivedView
	man  manifest
	runs []*run
}

func (r *reader) close() { r.view.Close() }

// readManifest returns the manifest, nil if there is none.
func readManifest(ctx context.Context, v *store.DerivedView) (*manifest, error) {
	vals, err := v.GetMany(ctx, []byte{rowManifest})
	if err != nil || vals[0] == nil {
		return nil, err
	}
	man := new(manifest)
	return man, man.decode(vals[0])
}

// open returns the present state of a mailbox's index, nil if there is none that
// can be used.
func (x *Indexes) open(ctx context.Context, m *store.Mailbox, e *mailboxEntry) (*reader, error) {
	x.mu.Lock()
	broken := e.broken
	x.mu.Unlock()
	if broken {
		return nil, nil
	}
	v, err := m.Derived(Space).View(ctx)
	if err != nil {
		return nil, err
	}
	man, err := readManifest(ctx, v)
	if err != nil || man == nil {
		v.Close()
		if x.noted(e, err) {
			err = nil
		}
		return nil, err
	}
	r := &reader{view: v, man: *man}
	for i := range r.man.runs {
		info := r.man.runs[i]
		mem, err := x.memory(ctx, e, storedRows{v}, man, &info)
		if err != nil {
			v.Close()
			if x.noted(e, err) {
				err = nil
			}
			return nil, err
		}
		open := openRun(storedRows{v}, man.generation, info, mem.table)
		open.cached = func(f Field) [][]byte { return x.cached(mem, f) }
		open.keep = func(f Field, blocks [][]byte) { x.keep(e, info.id, mem, f, blocks) }
		r.runs = append(r.runs, open)
	}
	return r, nil
}

// newGeneration draws the number of a new index.
func newGeneration() uint64 {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails (package crypto/rand)
	return binary.BigEndian.Uint64(b[:])
}

// Status is how far the index of a mailbox is.
type Status struct {
	Items int   // in the index, those since deleted included
	Runs  int   //
	Bytes int64 // of rows
	Seq   store.Seq
}

// Status returns how far the index of a mailbox is; zero if there is none.
func (x *Indexes) Status(ctx context.Context, m *store.Mailbox) (Status, error) {
	v, err := m.Derived(Space).View(ctx)
	if err != nil {
		return Status{}, err
	}
	defer v.Close()
	man, err := readManifest(ctx, v)
	if err != nil || man == nil {
		if x.noted(x.entry(m), err) {
			err = nil
		}
		return Status{}, err
	}
	s := Status{Runs: len(man.runs), Seq: man.seq}
	for i := range man.runs {
		s.Items += man.runs[i].docs
		s.Bytes += man.runs[i].bytes
	}
	return s, nil
}
