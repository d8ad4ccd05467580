package store

import (
	"context"
	"errors"
	"time"

	"rialto/internal/kv"
	"rialto/internal/model"
	"rialto/internal/store/layout"
)

// txn is the change of one mailbox within a batch. It works on copies of what
// the mailbox keeps in memory and puts them in place once the batch is ordered,
// so a batch that is refused leaves no trace. The mailbox is locked for the
// whole of it.
type txn struct {
	m        *Mailbox
	ctx      context.Context
	b        kv.Batch
	counters layout.Counters
	folders  map[FolderID]*Folder     // changed ones; nil: deleted
	dirty    map[FolderID]bool        // counts to be written
	counted  map[FolderID]Seq         // where a folder's last counts entry stood
	acls     map[FolderID]*layout.ACL // changed ones; nil: dropped
	receive  map[string]FolderID      // changed receive folders; 0: dropped
	tables   ruleTables               // changed rules; nil: dropped
	header   *Header                  // changed
	oof      *OOF                     // changed
	oofKeys  [][]byte                 // of senders answered
	sends    bool                     // something is in the outbox
	summed   bool                     // used is known
	used     int64                    // octets in the mailbox
	now      time.Time
	undo     []func() // run if the change is given up
}

// telling makes a chunk of a bulk operation that is given up tell nothing: out
// is what the operation answers.
func telling[T any](t *txn, out *[]T) {
	n := len(*out)
	t.undo = append(t.undo, func() { *out = (*out)[:n] })
}

// begin starts a change of m in b. m must be locked.
func (m *Mailbox) begin(ctx context.Context, b kv.Batch) *txn {
	return &txn{m: m, ctx: ctx, b: b, counters: m.counters, now: m.db.opt.Clock(),
		folders: map[FolderID]*Folder{}, dirty: map[FolderID]bool{}, counted: map[FolderID]Seq{}, acls: map[FolderID]*layout.ACL{}, receive: map[string]FolderID{}}
}

func (t *txn) nextSeq() Seq {
	t.counters.Seq++
	return Seq(t.counters.Seq)
}

func (t *txn) nextID() uint64 {
	t.counters.ID++
	return t.counters.ID
}

// folder returns a folder to read, as changed so far.
func (t *txn) folder(id FolderID) (*Folder, error) {
	f, ok := t.folders[id]
	if !ok {
		f = t.m.folders[id]
	}
	if f == nil {
		return nil, model.E("store.folder", model.KindNotFound, "folder", nil)
	}
	return f, nil
}

// edit returns a folder to change; the copy belongs to t.
func (t *txn) edit(id FolderID) (*Folder, error) {
	f, err := t.folder(id)
	if err != nil {
		return nil, err
	}
	if t.folders[id] == nil {
		c := *f
		f = &c
		t.folders[id] = f
	}
	return f, nil
}

// count puts an item into (1) or out of (-1) its folder's counts.
func (t *txn) count(s *State, sign int64) error {
	f, err := t.touch(s.Place.Folder)
	if err == nil {
		f.Counts.Add(s, sign)
		if s.Place.Space != Deleted {
			t.used += sign * s.Size
		}
	}
	return err
}

// touch returns a folder whose counts are about to change.
func (t *txn) touch(id FolderID) (*Folder, error) {
	f, err := t.edit(id)
	if err != nil {
		return nil, err
	}
	if !t.dirty[id] {
		t.dirty[id] = true
		t.counted[id] = f.Counts.Seq
	}
	f.Counts.Seq = Seq(t.counters.Seq)
	return f, nil
}

// layout.PutFolder writes a definition and its log entry.
func (t *txn) putFolder(f *Folder) {
	t.folders[f.ID] = f
	layout.PutFolder(t.b, t.m.num, f, t.nextSeq())
}

// finish writes the counts and, when the reserved numbers are used up, the next
// reservation. Nothing may be added to the batch for this mailbox afterwards.
func (t *txn) finish() {
	m := t.m.num
	for id := range t.dirty {
		f := t.folders[id]
		if f == nil {
			continue // deleted in the same batch
		}
		// The counts stand in the log under the folder's last change.
		if s := t.counted[id]; s != 0 {
			t.b.Delete(m.LogKey(s, ChangeCounts))
		}
		t.b.Set(m.ID(layout.SubCounts, uint64(id)), f.Counts.Encode())
		c := Change{Folder: id}
		t.b.Set(m.LogKey(f.Counts.Seq, ChangeCounts), append([]byte{byte(ChangeCounts)}, c.Encode()...))
	}
	c := &t.counters
	if c.Seq > c.SeqMax || c.ID > c.IDMax || c.Validity != t.m.counters.Validity {
		c.SeqMax, c.IDMax = c.Seq+layout.CounterBlock, c.ID+layout.CounterBlock
		t.b.Set(m.Key(layout.SubCounters), c.Encode(c.SeqMax, c.IDMax))
	}
}

// install makes the change the mailbox's state; its batch was ordered as seq.
func (t *txn) install(seq kv.Sequence) {
	t.m.counters = t.counters
	for id, f := range t.folders {
		if f == nil {
			delete(t.m.folders, id)
		} else {
			t.m.folders[id] = f
		}
	}
	t.m.installACLs(t.acls)
	if h := t.header; h != nil {
		// Not the GUID: it never changes, and is read without the lock.
		own := &t.m.header
		own.ReplGUID, own.Incarnation, own.DisplayName, own.Deleted = h.ReplGUID, h.Incarnation, h.DisplayName, h.Deleted
	}
	for class, f := range t.receive {
		if t.m.receive[class] = f; f == 0 {
			delete(t.m.receive, class)
		}
	}
	t.m.installRules(t.tables)
	if t.oof != nil {
		t.m.oof = t.oof
	}
	t.m.last.Store(uint64(seq))
}

// commitTime is how long a batch may take to be ordered. It holds the locks of
// its mailboxes meanwhile.
const commitTime = 30 * time.Second

// order commits the changes that were built in b. Once b is with the engine the
// caller's patience does not count: what became of it has to be known before
// the next change is built on it. If it can not be known the database fails,
// and is opened afresh, which shows it.
func (d *Database) order(ctx context.Context, b kv.Batch, txns ...*txn) (kv.Commit, error) {
	if err := ctx.Err(); err != nil {
		b.Close()
		return nil, err
	}
	before := make([]uint64, len(txns))
	for i, t := range txns {
		before[i] = t.m.last.Swap(ordering)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), commitTime)
	defer cancel()
	c, err := d.kv.Commit(ctx, b)
	unknown := errors.Is(err, kv.ErrUnknown)
	if unknown || err != nil && ctx.Err() != nil {
		err = model.E("store.commit", model.KindUnavailable, d.opt.Name, err)
	}
	if unknown {
		d.failed.CompareAndSwap(nil, &err)
	}
	for i, t := range txns {
		switch {
		case err == nil:
			t.install(c.Sequence())
		case unknown:
			t.m.gone = err
		default:
			t.m.last.Store(before[i])
		}
	}
	return c, err
}

// update runs change on m alone: lock, build, order, unlock, wait for the disk,
// tell subscribers. change's error gives the batch up.
func (m *Mailbox) update(ctx context.Context, op string, change func(*txn) error) error {
	t, c, last, err := m.ordered(ctx, op, change)
	switch {
	case err != nil:
		return err
	case c == nil:
		// Nothing was to be done, perhaps because another has just done it.
		return wrap(op, "mailbox", m.db.kv.WaitDurable(ctx, last))
	}
	// What is ordered happens: the caller is told how it ended even if it has
	// lost patience meanwhile.
	if err := c.Wait(context.WithoutCancel(ctx)); err != nil {
		return wrap(op, "mailbox", err)
	}
	m.events.publish(Seq(t.counters.Seq))
	m.db.hintOutbox(t)
	return nil
}

// ordered makes a change with m locked and orders it; no commit, but the last
// there was, if it came to nothing.
func (m *Mailbox) ordered(ctx context.Context, op string, change func(*txn) error) (t *txn, c kv.Commit, last kv.Sequence, err error) {
	if err := m.lock(); err != nil {
		return nil, nil, 0, err
	}
	defer m.mu.Unlock()
	b := m.db.kv.NewBatch()
	given := false // to the engine, which closes it
	defer func() {
		if !given {
			b.Close()
		}
	}()
	t = m.begin(ctx, b)
	if err = change(t); err == nil && b.Count() > 0 {
		t.finish()
		given = true
		c, err = m.db.order(ctx, b, t)
		err = wrap(op, "mailbox", err)
	}
	if err != nil {
		for _, f := range t.undo {
			f()
		}
	}
	return t, c, kv.Sequence(m.last.Load()), err
}
