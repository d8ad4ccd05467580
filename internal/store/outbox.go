package store

import (
	"context"
	"encoding/binary"
	"io"
	"sync"
	"time"

	"rialto/internal/kv"
	"rialto/internal/model"
	"rialto/internal/store/content"
	"rialto/internal/store/layout"
)

// outbox gives out the ids of outgoing mail and tells who drains it.
type outbox struct {
	mu       sync.Mutex
	next     OutboxID
	reserved OutboxID
	restored OutboxID // what is below came back with a backup; 0: nothing did
	wake     func()   // may be nil
}

func (d *Database) openOutbox(ctx context.Context) error {
	vals, err := d.kv.GetMany(ctx, [][]byte{layout.FactKey("outbox"), layout.FactKey("restored")})
	if err != nil {
		return wrap("store.mount", d.opt.Name, err)
	}
	o := &d.outbox
	o.next = 1
	for i, to := range []*OutboxID{&o.next, &o.restored} {
		if v := vals[i]; v != nil {
			if len(v) != 8 {
				return layout.Corrupt("outbox counter")
			}
			*to = OutboxID(binary.BigEndian.Uint64(v))
		}
	}
	o.reserved = o.next
	return nil
}

// RestoredBelow returns the id below which what is in the outbox came back with a
// backup, or by a repair: who has sent it before has not to do it again. 0 if
// nothing did.
func (d *Database) RestoredBelow() OutboxID {
	d.outbox.mu.Lock()
	defer d.outbox.mu.Unlock()
	return d.outbox.restored
}

// skipOutboxIDs makes the ids that come from now on higher than all there ever
// were, after the database has come back to an earlier state: the transport
// remembers which it has queued.
func (d *Database) skipOutboxIDs(ctx context.Context) error {
	o := &d.outbox
	o.mu.Lock()
	o.next = max(o.reserved, layout.OutboxStart(d.opt.Clock()))
	o.reserved, o.restored = o.next, o.next
	b := d.kv.NewBatch()
	layout.PutRestored(b, o.next)
	c, err := d.kv.Commit(ctx, b) // in the order of reservations
	o.mu.Unlock()
	if err == nil {
		err = c.Wait(context.WithoutCancel(ctx))
	}
	return wrap("store.outbox", d.opt.Name, err)
}

// outboxID returns a fresh id. The reservation of its block is ordered before
// any batch that uses it, so it is durable where those are.
func (d *Database) outboxID(ctx context.Context) (OutboxID, error) {
	o := &d.outbox
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.next >= o.reserved {
		upto := o.next + layout.OutboxBlock
		b := d.kv.NewBatch()
		b.Set(layout.FactKey("outbox"), binary.BigEndian.AppendUint64(nil, uint64(upto)))
		if _, err := d.kv.Commit(ctx, b); err != nil {
			return 0, wrap("store.outbox", d.opt.Name, err)
		}
		o.reserved = upto
	}
	o.next++
	return o.next - 1, nil
}

// put writes a message that has its id into the outbox, with the batch of what
// causes it.
func (t *txn) put(o *Outgoing) {
	o.Clip()
	o.Mailbox, o.Created = t.m.header.GUID, t.now
	t.b.Set(layout.OutboxKey(o.ID), o.Encode())
	if o.Content != 0 {
		content.AddRef(t.b, o.Content, layout.OutboxMailbox, uint64(o.ID))
	}
	t.sends = true
}

// send is put for a message that has no id yet.
func (t *txn) send(o *Outgoing) (err error) {
	if o.ID, err = t.m.db.outboxID(t.ctx); err == nil {
		t.put(o)
	}
	return err
}

// OnOutbox sets what is called when the outbox has something new that is
// durable. It must not block.
func (d *Database) OnOutbox(wake func()) {
	d.outbox.mu.Lock()
	defer d.outbox.mu.Unlock()
	d.outbox.wake = wake
}

// hintOutbox tells who drains the outbox.
func (d *Database) hintOutbox(txns ...*txn) {
	for _, t := range txns {
		if t.sends {
			d.outbox.mu.Lock()
			wake := d.outbox.wake
			d.outbox.mu.Unlock()
			if wake != nil {
				wake()
			}
			return
		}
	}
}

// Outbox returns at most limit messages with ids over after, in order. What it
// returns is durable.
func (d *Database) Outbox(ctx context.Context, after OutboxID, limit int) ([]*Outgoing, error) {
	snap, err := d.kv.NewSnapshot("outbox", time.Minute)
	if err != nil {
		return nil, wrap("store.outbox", d.opt.Name, err)
	}
	defer snap.Close()
	var out []*Outgoing
	it := snap.Scan(ctx, kv.Range{Lower: layout.OutboxKey(after + 1), Upper: []byte{layout.SpaceOutbox + 1}})
	for len(out) < limit && it.Next() {
		if len(it.Key()) != 9 {
			it.Close()
			return nil, layout.Corrupt("outbox key")
		}
		o, err := layout.DecodeOutgoing(OutboxID(binary.BigEndian.Uint64(it.Key()[1:])), it.Value())
		if err != nil {
			continue // kept for a person to look at; the rest must move
		}
		out = append(out, o)
	}
	if err := it.Close(); err != nil {
		return nil, wrap("store.outbox", d.opt.Name, err)
	}
	return out, wrap("store.outbox", d.opt.Name, d.kv.WaitDurable(ctx, snap.Sequence()))
}

// OutgoingSource opens the source of an outgoing message: its trace, then its
// octets. KindNotFound if it has none.
func (d *Database) OutgoingSource(ctx context.Context, o *Outgoing) (*io.SectionReader, error) {
	if o.Content == 0 {
		return nil, model.E("store.outbox", model.KindNotFound, "source", nil)
	}
	r, err := d.content.Open(ctx, d.kv, o.Content)
	if err != nil {
		return nil, err
	}
	body := &Body{trace: o.Trace, content: r}
	return io.NewSectionReader(body, 0, body.Size()), nil
}

// Sent drops messages from the outbox and returns when that is durable. Those
// that are not there are passed over.
func (d *Database) Sent(ctx context.Context, ids ...OutboxID) error {
	keys := make([][]byte, len(ids))
	for i, id := range ids {
		keys[i] = layout.OutboxKey(id)
	}
	vals, err := d.kv.GetMany(ctx, keys)
	if err != nil {
		return wrap("store.outbox", d.opt.Name, err)
	}
	b := d.kv.NewBatch()
	b.Reclaim()
	for i, v := range vals {
		if v == nil {
			continue
		}
		b.Delete(keys[i])
		if o, err := layout.DecodeOutgoing(ids[i], v); err == nil && o.Content != 0 {
			d.content.DropRef(b, o.Content, layout.OutboxMailbox, uint64(ids[i]))
		}
	}
	return d.commit(ctx, b)
}
