package store

import (
	"context"
	"encoding/binary"
	"io"

	"rialto/internal/kv"
	"rialto/internal/model"
	"rialto/internal/store/content"
)

// A mailbox moves between databases by copying its rows: nothing in them but
// content ids belongs to a database, so clients' caches stay valid.

// States of an entry of the mailbox directory.
const (
	dirLive    = 1
	dirArrives = 2 // rows are being copied here
	dirLeaves  = 3 // rows are being removed
)

func dirEntry(state byte, n number) []byte {
	return binary.BigEndian.AppendUint32([]byte{state}, uint32(n))
}

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
// try; once its copy is whole the other database has it. progress may be nil.
func (d *Database) MoveMailbox(ctx context.Context, guid model.GUID, to *Database, progress func(Moved)) (*Mailbox, error) {
	if d == to {
		return nil, model.E("store.move", model.KindInvalid, "the mailbox is there", nil)
	}
	src, err := d.Mailbox(ctx, guid)
	if err != nil {
		return nil, err
	}
	// Nobody writes from here on; a failure gives the mailbox back.
	src.retire(model.E("store.move", model.KindUnavailable, src.header.DisplayName, nil))
	giveBack := func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		delete(d.mailboxes, guid)
	}
	n, err := to.arrive(ctx, guid)
	if err == nil {
		err = d.settled(ctx, src)
	}
	if err == nil {
		c := &carrier{ctx: ctx, from: d, to: to, src: src.num, dst: n, ids: map[content.ID]content.ID{}, progress: progress}
		err = c.carry()
	}
	if err == nil {
		b := to.kv.NewBatch()
		b.Set(mailboxDirKey(guid), dirEntry(dirLive, n))
		err = to.commit(ctx, b)
	}
	if err != nil {
		giveBack()
		return nil, err
	}
	giveBack()
	d.creating.Lock()
	err = d.leave(ctx, guid, src.num)
	d.creating.Unlock()
	if err != nil {
		return nil, err
	}
	return to.Mailbox(ctx, guid)
}

// settled writes the counters of a mailbox that is closed, and waits until all
// it has written is on disk.
func (d *Database) settled(ctx context.Context, m *Mailbox) error {
	b := d.kv.NewBatch()
	b.Set(m.num.key(subCounters), m.counters.encode(m.counters.seq, m.counters.id))
	return d.commit(ctx, b)
}

// arrive draws a number for a mailbox that is to come; what an earlier try left
// is dropped.
func (d *Database) arrive(ctx context.Context, guid model.GUID) (number, error) {
	d.creating.Lock()
	defer d.creating.Unlock()
	vals, err := d.kv.GetMany(ctx, [][]byte{mailboxDirKey(guid)})
	if err != nil {
		return 0, wrap("store.move", d.opt.Name, err)
	}
	if v := vals[0]; len(v) == 5 {
		if v[0] == dirLive {
			return 0, model.E("store.move", model.KindExists, "mailbox "+guid.String(), nil)
		}
		if err := d.leave(ctx, guid, number(binary.BigEndian.Uint32(v[1:]))); err != nil {
			return 0, err
		}
	}
	n := d.next
	b := d.kv.NewBatch()
	b.Set(mailboxDirKey(guid), dirEntry(dirArrives, n))
	if err := d.commit(ctx, b); err != nil {
		return 0, err
	}
	d.next++
	return n, nil
}

// leave removes a mailbox's rows and references, in batches; it can be repeated.
// creating must be locked.
func (d *Database) leave(ctx context.Context, guid model.GUID, n number) error {
	b := d.kv.NewBatch()
	b.Reclaim()
	b.Set(mailboxDirKey(guid), dirEntry(dirLeaves, n))
	b.Set(factKey("number"), dirEntry(1, d.next-1)) // a number is never used again
	if err := d.commit(ctx, b); err != nil {
		return err
	}
	if err := d.dropRefs(ctx, n); err != nil {
		return err
	}
	b = d.kv.NewBatch()
	b.Reclaim()
	p := n.key(0)[:5]
	b.DeleteRange(p, prefixEnd(p))
	b.Delete(mailboxDirKey(guid))
	return d.commit(ctx, b)
}

// dropRefs drops the references of all rows of a mailbox.
func (d *Database) dropRefs(ctx context.Context, n number) error {
	from := n.key(subBag)
	for from != nil {
		b := d.kv.NewBatch()
		b.Reclaim()
		it := d.kv.Scan(ctx, kv.Range{Lower: from, Upper: n.key(subFrozen + 1), Limit: maxLooked})
		from = nil
		looked := 0
		for it.Next() {
			looked++
			if r := referring(it.Key(), it.Value()); r != nil {
				for _, id := range r.ids {
					d.content.DropRef(b, id, uint32(n), r.row)
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
// returns how many there were.
func (d *Database) FinishMoves(ctx context.Context) (int, error) {
	type rest struct {
		guid model.GUID
		n    number
	}
	var left []rest
	it := d.kv.Scan(ctx, kv.Range{Lower: []byte{spaceMailboxDir}, Upper: []byte{spaceMailboxDir + 1}})
	for it.Next() {
		if k, v := it.Key(), it.Value(); len(k) == 17 && len(v) == 5 && v[0] != dirLive {
			left = append(left, rest{model.GUID(k[1:]), number(binary.BigEndian.Uint32(v[1:]))})
		}
	}
	if err := it.Close(); err != nil {
		return 0, wrap("store.move", d.opt.Name, err)
	}
	d.creating.Lock()
	defer d.creating.Unlock()
	for i, r := range left {
		if err := d.leave(ctx, r.guid, r.n); err != nil {
			return i, err
		}
	}
	return len(left), nil
}

// refs are what a row refers to, and the number under which it does.
type refs struct {
	row uint64
	ids []content.ID
}

// referring reads the references of a row of a mailbox; nil for a row that has
// none, or is damaged.
func referring(key, v []byte) *refs {
	if len(key) < 12 {
		return nil
	}
	r := &refs{row: get48(key[6:])}
	switch key[5] {
	case subBag:
		streams, _, err := splitBag(v)
		if err != nil {
			return nil
		}
		for _, s := range streams {
			r.ids = append(r.ids, s.Content)
		}
	case subStream:
		var st Stream
		if st.decode(v) != nil {
			return nil
		}
		r.ids = st.contents()
	case subAttachment:
		a, err := decodeAttachment(key, 12, v)
		if err != nil || a.content == 0 {
			return nil
		}
		r.ids = []content.ID{a.content}
	case subFrozen:
		x, err := decodeRendering(v)
		if err != nil || len(key) != 13 {
			return nil
		}
		r.row, r.ids = renderingRef(RowID(r.row), RenderingKind(key[12])), x.Stream.contents()
	default:
		return nil
	}
	return r
}

// carrier copies the rows of one mailbox.
type carrier struct {
	ctx      context.Context
	from, to *Database
	src, dst number
	ids      map[content.ID]content.ID
	staged   []*content.Staged // of the batch
	b        kv.Batch
	done     Moved
	progress func(Moved)
}

func (c *carrier) carry() error {
	from := c.src.key(0)[:5]
	end := prefixEnd(from)
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
	if r := referring(key, v); r != nil && len(r.ids) > 0 {
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
func (c *carrier) readdressed(key, v []byte, r *refs) ([]byte, error) {
	for _, id := range r.ids {
		to, err := c.stream(id)
		if err != nil {
			return nil, err
		}
		content.AddRef(c.b, to, uint32(c.dst), r.row)
	}
	switch key[5] {
	case subBag:
		streams, props, err := splitBag(v)
		for i := range streams {
			streams[i].Content = c.ids[streams[i].Content]
		}
		return appendBag(streams, props), err
	case subStream:
		var st Stream
		err := st.decode(v)
		st.Content, st.Evidence = c.ids[st.Content], c.ids[st.Evidence]
		return st.encode(nil), err
	case subAttachment:
		a, err := decodeAttachment(key, 12, v)
		a.content = c.ids[a.content]
		return a.encode(a.child), err
	}
	x, err := decodeRendering(v)
	if err != nil {
		return nil, err
	}
	x.Stream.Content = c.ids[x.Stream.Content]
	return x.encode(), nil
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
