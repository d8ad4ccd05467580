package store

import (
	"context"
	"encoding/binary"
	"io"

	"rialto/internal/kv"
	"rialto/internal/model"
	"rialto/internal/store/content"
	"rialto/internal/store/layout"
)

// A mailbox moves between databases by copying its rows: nothing in them but
// content ids belongs to a database, so clients' caches stay valid.

// moveBatch is about how many octets of rows are written at a time.
const moveBatch = 1 << 20

// Moved counts what a move has copied so far.
type Moved struct {
	Rows    int
	Octets  int64
	Streams int
}

// MoveMailbox moves a mailbox of d to another database. It is not available
// meanwhile; clients find it again as they left it. If it fails, or the server
// stops, the mailbox is where it was, and what was copied is dropped by the next
// try; between the last two of its steps the mailbox is in neither, whole, and
// the next try makes it live. KindConflict while another moves it. progress may
// be nil.
func (d *Database) MoveMailbox(ctx context.Context, guid model.GUID, to *Database, progress func(Moved)) (*Mailbox, error) {
	if d == to {
		return nil, model.E("store.move", model.KindInvalid, "the mailbox is there", nil)
	}
	for _, x := range []*Database{d, to} {
		if !x.claim(guid) {
			return nil, model.E("store.move", model.KindConflict, "the mailbox is being moved", nil)
		}
		defer x.disclaim(guid)
	}
	src, err := d.Mailbox(ctx, guid)
	if model.IsKind(err, model.KindNotFound) {
		return to.arrived(ctx, guid, err)
	}
	if err != nil {
		return nil, err
	}
	// Nobody writes from here on. Until the move is done or given up whoever asks
	// for the mailbox gets this one, which is closed.
	src.retire(model.E("store.move", model.KindUnavailable, src.Header().DisplayName, nil))
	defer d.forget(guid)
	n, err := to.arrive(ctx, guid)
	if err == nil {
		err = d.settled(ctx, src)
	}
	if err == nil {
		c := &carrier{ctx: ctx, from: d, to: to, src: src.num, dst: n, ids: map[content.ID]content.ID{}, progress: progress}
		err = c.carry()
	}
	if err == nil {
		err = to.setDir(ctx, guid, layout.DirWhole, n)
	}
	if err == nil {
		err = d.leaving(ctx, guid, src.num)
	}
	if err == nil {
		err = to.setDir(ctx, guid, layout.DirLive, n)
	}
	if err == nil {
		err = d.dropRows(ctx, guid, src.num)
	}
	if err != nil {
		return nil, err
	}
	return to.Mailbox(ctx, guid)
}

// arrived makes a mailbox live whose rows are all here and that the other
// database does not have any more; missing is the error if there is none.
func (d *Database) arrived(ctx context.Context, guid model.GUID, missing error) (*Mailbox, error) {
	vals, err := d.kv.GetMany(ctx, [][]byte{layout.MailboxDirKey(guid)})
	if err != nil {
		return nil, wrap("store.move", d.opt.Name, err)
	}
	v := vals[0]
	if len(v) != 5 || v[0] != layout.DirWhole {
		return nil, missing
	}
	if err := d.setDir(ctx, guid, layout.DirLive, layout.Number(binary.BigEndian.Uint32(v[1:]))); err != nil {
		return nil, err
	}
	return d.Mailbox(ctx, guid)
}

// claim reserves a mailbox of d for whoever moves it or removes its rows.
func (d *Database) claim(guid model.GUID) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.moving[guid] {
		return false
	}
	d.moving[guid] = true
	return true
}

func (d *Database) disclaim(guid model.GUID) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.moving, guid)
}

// forget makes the next one who asks for a mailbox load it, or learn that it is
// gone. Who has been loading it since before starts again.
func (d *Database) forget(guid model.GUID) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.mailboxes, guid)
	d.forgotten++
}

// setDir writes a mailbox's directory entry, durably.
func (d *Database) setDir(ctx context.Context, guid model.GUID, state byte, n layout.Number) error {
	b := d.kv.NewBatch()
	b.Set(layout.MailboxDirKey(guid), layout.DirEntry(state, n))
	return d.commit(ctx, b)
}

// settled writes the counters of a mailbox that is closed, and waits until all
// it has written is on disk.
func (d *Database) settled(ctx context.Context, m *Mailbox) error {
	m.mu.Lock()
	c := m.counters
	m.mu.Unlock()
	b := d.kv.NewBatch()
	b.Set(m.num.Key(layout.SubCounters), c.Encode(c.Seq, c.ID))
	return d.commit(ctx, b)
}

// arrive draws a number for a mailbox that is to come; what an earlier try left
// is dropped. The mailbox is claimed.
func (d *Database) arrive(ctx context.Context, guid model.GUID) (layout.Number, error) {
	vals, err := d.kv.GetMany(ctx, [][]byte{layout.MailboxDirKey(guid)})
	if err != nil {
		return 0, wrap("store.move", d.opt.Name, err)
	}
	if v := vals[0]; len(v) == 5 {
		if v[0] == layout.DirLive {
			return 0, model.E("store.move", model.KindExists, "mailbox "+guid.String(), nil)
		}
		if err := d.leave(ctx, guid, layout.Number(binary.BigEndian.Uint32(v[1:]))); err != nil {
			return 0, err
		}
	}
	d.creating.Lock()
	defer d.creating.Unlock()
	if _, err := d.kv.Get(ctx, layout.MailboxDirKey(guid)); err == nil {
		return 0, model.E("store.move", model.KindExists, "mailbox "+guid.String(), nil) // made just now
	}
	n := d.next
	if err := d.setDir(ctx, guid, layout.DirArrives, n); err != nil {
		return 0, err
	}
	d.next++
	return n, nil
}

// leave removes a mailbox's rows and references, in batches; it can be repeated.
// The mailbox is claimed.
func (d *Database) leave(ctx context.Context, guid model.GUID, n layout.Number) error {
	if err := d.leaving(ctx, guid, n); err != nil {
		return err
	}
	return d.dropRows(ctx, guid, n)
}

// leaving notes, durably, that a mailbox is not here any more.
func (d *Database) leaving(ctx context.Context, guid model.GUID, n layout.Number) error {
	d.creating.Lock()
	defer d.creating.Unlock()
	b := d.kv.NewBatch()
	b.Reclaim()
	b.Set(layout.MailboxDirKey(guid), layout.DirEntry(layout.DirLeaves, n))
	b.Set(layout.FactKey("number"), layout.DirEntry(1, d.next-1)) // a number is never used again
	return d.commit(ctx, b)
}

// dropRows removes the rows of a mailbox that has left.
func (d *Database) dropRows(ctx context.Context, guid model.GUID, n layout.Number) error {
	if err := d.dropRefs(ctx, n); err != nil {
		return err
	}
	b := d.kv.NewBatch()
	b.Reclaim()
	p := n.Key(0)[:5]
	b.DeleteRange(p, layout.PrefixEnd(p))
	b.Delete(layout.MailboxDirKey(guid))
	return d.commit(ctx, b)
}

// dropRefs drops the references of all rows of a mailbox.
func (d *Database) dropRefs(ctx context.Context, n layout.Number) error {
	from := n.Key(layout.SubBag)
	for from != nil {
		b := d.kv.NewBatch()
		b.Reclaim()
		it := d.kv.Scan(ctx, kv.Range{Lower: from, Upper: n.Key(layout.SubFrozen + 1), Limit: maxLooked})
		from = nil
		looked := 0
		for it.Next() {
			looked++
			if r := layout.Referring(it.Key(), it.Value()); r != nil {
				for _, id := range r.IDs {
					d.content.DropRef(b, id, uint32(n), r.Row)
				}
			}
			if looked == maxLooked || b.Size() > moveBatch {
				from = append(append([]byte(nil), it.Key()...), 0)
				break
			}
		}
		if err := it.Close(); err != nil {
			b.Close()
			return wrap("store.move", d.opt.Name, err)
		}
		if b.Count() == 0 {
			b.Close()
			continue
		}
		if err := d.commit(ctx, b); err != nil {
			return err
		}
	}
	return nil
}

// FinishMoves drops what moves and deletions that were cut short have left, and
// returns how many there were. What is under way is left alone, and so is a copy
// that is whole: only the next try of its move can tell whether it counts.
func (d *Database) FinishMoves(ctx context.Context) (int, error) {
	var left []model.GUID
	it := d.kv.Scan(ctx, kv.Range{Lower: []byte{layout.SpaceMailboxDir}, Upper: []byte{layout.SpaceMailboxDir + 1}})
	for it.Next() {
		if k, v := it.Key(), it.Value(); len(k) == 17 && cutShort(v) {
			left = append(left, model.GUID(k[1:]))
		}
	}
	if err := it.Close(); err != nil {
		return 0, wrap("store.move", d.opt.Name, err)
	}
	done := 0
	for _, g := range left {
		if !d.claim(g) {
			continue
		}
		n, err := d.finishMove(ctx, g)
		d.disclaim(g)
		if done += n; err != nil {
			return done, err
		}
	}
	return done, nil
}

// finishMove drops what is left of a mailbox, if that is still so.
func (d *Database) finishMove(ctx context.Context, guid model.GUID) (int, error) {
	vals, err := d.kv.GetMany(ctx, [][]byte{layout.MailboxDirKey(guid)})
	if err != nil || !cutShort(vals[0]) {
		return 0, wrap("store.move", d.opt.Name, err)
	}
	return 1, d.leave(ctx, guid, layout.Number(binary.BigEndian.Uint32(vals[0][1:])))
}

// cutShort reports whether a directory entry is of a move that did not end.
func cutShort(v []byte) bool {
	return len(v) == 5 && (v[0] == layout.DirArrives || v[0] == layout.DirLeaves)
}

// carrier copies the rows of one mailbox.
type carrier struct {
	ctx      context.Context
	from, to *Database
	src, dst layout.Number
	ids      map[content.ID]content.ID
	staged   []*content.Staged // of the batch
	b        kv.Batch
	done     Moved
	progress func(Moved)
}

func (c *carrier) carry() error {
	// What is derived stays behind: its writers have not stopped, and it is made
	// again where the mailbox is.
	from, end := c.src.Key(0)[:5], c.src.Key(layout.SubDerived)
	for from != nil {
		next, err := c.some(from, end)
		if err != nil {
			return err
		}
		from = next
		if c.progress != nil {
			c.progress(c.done)
		}
	}
	return nil
}

// some copies a batch of rows from a key on and returns where to go on, nil at
// the end.
func (c *carrier) some(from, end []byte) (next []byte, err error) {
	c.b = c.to.kv.NewBatch()
	it := c.from.kv.Scan(c.ctx, kv.Range{Lower: from, Upper: end})
	for it.Next() && err == nil {
		if c.b.Size() > moveBatch {
			next = append([]byte(nil), it.Key()...)
			break
		}
		err = c.row(it.Key(), it.Value())
	}
	if e := it.Close(); err == nil {
		err = wrap("store.move", "rows", e)
	}
	if err == nil {
		err = c.to.commit(c.ctx, c.b)
	} else {
		c.b.Close()
	}
	for _, st := range c.staged {
		st.Release()
	}
	c.staged = c.staged[:0]
	return next, err
}

// row copies one row, with the content ids of the other database.
func (c *carrier) row(key, v []byte) error {
	k := append([]byte(nil), key...)
	binary.BigEndian.PutUint32(k[1:], uint32(c.dst))
	var err error
	if r := layout.Referring(key, v); r != nil && len(r.IDs) > 0 {
		if v, err = c.readdressed(key, v, r); err != nil {
			return err
		}
	}
	c.b.Set(k, v)
	c.done.Rows++
	c.done.Octets += int64(len(v))
	return nil
}

// readdressed writes a row's references for the other database.
func (c *carrier) readdressed(key, v []byte, r *layout.Refs) ([]byte, error) {
	for _, id := range r.IDs {
		to, err := c.stream(id)
		if err != nil {
			return nil, err
		}
		content.AddRef(c.b, to, uint32(c.dst), r.Row)
	}
	switch key[5] {
	case layout.SubBag:
		streams, props, err := layout.SplitBag(v)
		for i := range streams {
			streams[i].Content = c.ids[streams[i].Content]
		}
		return layout.AppendBag(streams, props), err
	case layout.SubStream:
		var st Stream
		err := st.Decode(v)
		st.Content, st.Evidence = c.ids[st.Content], c.ids[st.Evidence]
		return st.Encode(nil), err
	case layout.SubAttachment:
		a, err := layout.DecodeAttachment(key, 12, v)
		a.Content = c.ids[a.Content]
		return a.Encode(a.Child), err
	}
	x, err := layout.DecodeRendering(v)
	if err != nil {
		return nil, err
	}
	x.Stream.Content = c.ids[x.Stream.Content]
	return x.Encode(), nil
}

// stream copies a stream and returns its id in the other database.
func (c *carrier) stream(id content.ID) (content.ID, error) {
	if to, ok := c.ids[id]; ok {
		return to, nil
	}
	r, err := c.from.content.Open(c.ctx, c.from.kv, id)
	if err != nil {
		return 0, wrap("store.move", "content", err)
	}
	w := c.to.NewContent(c.ctx)
	if _, err := io.Copy(w, io.NewSectionReader(r, 0, r.Size())); err != nil {
		w.Abort()
		return 0, err
	}
	st, err := w.Finish(c.ctx)
	if err != nil {
		return 0, err
	}
	st.AddTo(c.b)
	c.staged = append(c.staged, st)
	c.done.Streams++
	c.done.Octets += st.Size
	c.ids[id] = st.ID
	return st.ID, nil
}
