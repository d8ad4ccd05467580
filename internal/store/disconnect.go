package store

import (
	"context"
	"encoding/binary"
	"slices"
	"time"

	"rialto/internal/kv"
	"rialto/internal/model"
	"rialto/internal/store/content"
)

// Disconnect notes since when the mailbox belongs to nobody; the zero time
// takes that back. A mailbox that is disconnected already stays so since then.
func (m *Mailbox) Disconnect(ctx context.Context, since time.Time) error {
	return m.reheader(ctx, "store.disconnect", func(h *Header) bool {
		if since.IsZero() == h.Deleted.IsZero() {
			return false
		}
		h.Deleted = since
		return true
	})
}

// Rename gives the mailbox another display name.
func (m *Mailbox) Rename(ctx context.Context, name string) error {
	return m.reheader(ctx, "store.rename", func(h *Header) bool {
		changed := h.DisplayName != name
		h.DisplayName = name
		return changed
	})
}

// reheader changes the header; change says whether it did.
func (m *Mailbox) reheader(ctx context.Context, op string, change func(*Header) bool) error {
	if err := m.mayAll(op); err != nil {
		return err
	}
	return m.update(ctx, op, func(t *txn) error {
		h := m.header
		if change(&h) {
			t.b.Set(m.num.key(subHeader), h.encode())
			t.header = &h
		}
		return nil
	})
}

// purgeKey says that what is under a mailbox's prefix is to go.
func purgeKey(n number) []byte {
	return binary.BigEndian.AppendUint32(factKey("purge"), uint32(n))
}

// DeleteMailbox drops a mailbox for good. When it is durable that there is no
// such mailbox any more, its rows and its references to content are removed, in
// chunks; what is left by a crash PurgeMailboxes removes.
func (d *Database) DeleteMailbox(ctx context.Context, guid model.GUID) error {
	const op = "store.delete"
	m, err := d.Mailbox(ctx, guid)
	if err != nil {
		return err
	}
	d.creating.Lock()
	err = m.update(ctx, op, func(t *txn) error {
		t.b.Reclaim()
		t.b.Delete(mailboxDirKey(guid))
		t.b.Set(purgeKey(m.num), []byte{1})
		return nil
	})
	if err == nil {
		d.mu.Lock()
		d.dead[m.num] = true
		if d.mailboxes[guid] == m {
			delete(d.mailboxes, guid)
		}
		d.mu.Unlock()
		m.retire(model.E(op, model.KindNotFound, "mailbox", nil))
	}
	d.creating.Unlock()
	if err != nil {
		return err
	}
	return d.purge(ctx, m.num)
}

// PurgeMailboxes goes on with the removal of deleted mailboxes.
func (d *Database) PurgeMailboxes(ctx context.Context) error {
	nums, err := d.purging(ctx)
	if err != nil {
		return err
	}
	for _, n := range nums {
		if err := d.purge(ctx, n); err != nil {
			return err
		}
	}
	return nil
}

// purging lists the numbers of deleted mailboxes that have rows left.
func (d *Database) purging(ctx context.Context) (out []number, err error) {
	p := factKey("purge")
	it := d.kv.Scan(ctx, kv.Range{Lower: p, Upper: prefixEnd(p)})
	for it.Next() {
		if k := it.Key(); len(k) == len(p)+4 {
			out = append(out, number(binary.BigEndian.Uint32(k[len(p):])))
		}
	}
	return out, wrap("store.purge", d.opt.Name, it.Close())
}

// purgeRows is how many rows with references one batch removes.
const purgeRows = 2000

// purge removes what is under a mailbox's prefix: first the rows that refer to
// content, each with its references, then the rest.
func (d *Database) purge(ctx context.Context, n number) error {
	for _, sub := range []byte{subBag, subAttachment, subStream, subFrozen} {
		for from := n.key(sub); from != nil; {
			var err error
			if from, err = d.purgeSome(ctx, n, from, prefixEnd(n.key(sub))); err != nil {
				return wrap("store.purge", d.opt.Name, err)
			}
		}
	}
	b := d.kv.NewBatch()
	b.Reclaim()
	p := n.key(0)[:5]
	b.DeleteRange(p, prefixEnd(p))
	b.Delete(purgeKey(n))
	return d.commit(ctx, b)
}

// purgeSome removes rows from a key on, and returns where to go on.
func (d *Database) purgeSome(ctx context.Context, n number, from, end []byte) (next []byte, err error) {
	b := d.kv.NewBatch()
	b.Reclaim()
	count := 0
	it := d.kv.Scan(ctx, kv.Range{Lower: from, Upper: end})
	for it.Next() {
		k := it.Key()
		if count == purgeRows || b.Size() > kv.MaxBatch/2 {
			next = slices.Clone(k)
			break
		}
		count++
		// A row that cannot be read refers to nothing that could be told.
		ids, row := contentsOf(k, it.Value())
		for _, id := range ids {
			d.content.DropRef(b, id, uint32(n), row)
		}
		b.Delete(k)
	}
	if err := it.Close(); err != nil {
		b.Close()
		return nil, err
	}
	return next, d.commit(ctx, b)
}

// contentsOf returns what a row of a mailbox refers to, and as which row.
func contentsOf(key, v []byte) (ids []content.ID, row uint64) {
	if len(key) < 12 {
		return nil, 0
	}
	row = get48(key[6:])
	switch key[5] {
	case subBag:
		if b, err := decodeBag(v); err == nil {
			for _, s := range b.Streams {
				ids = append(ids, s.Content)
			}
		}
	case subAttachment:
		if a, err := decodeAttachment(key, 12, v); err == nil && a.content != 0 {
			ids = append(ids, a.content)
		}
	case subStream:
		var s Stream
		if s.decode(v) == nil {
			ids = s.contents()
		}
	case subFrozen:
		if r, err := decodeRendering(v); err == nil && len(key) == 13 {
			ids, row = r.Stream.contents(), renderingRef(RowID(row), RenderingKind(key[12]))
		}
	}
	return ids, row
}
