package store

import (
	"context"
	"encoding/binary"
	"errors"
	"time"

	"rialto/internal/kv"
	"rialto/internal/store/layout"
)

const settingWarned = "warned"

// WarnQuota sends the owner a warning if the mailbox has reached one of its
// limits and no warning was sent since a time, and reports whether it did.
func (m *Mailbox) WarnQuota(ctx context.Context, owner Party, l Limits, since time.Time) (bool, error) {
	const op = "store.quota"
	warned := false
	err := m.update(ctx, op, func(t *txn) error {
		used := t.total()
		if !reached(used, l.Warn) && !reached(used, l.Send) && !reached(used, l.Hard) {
			return nil
		}
		key := m.num.Setting(settingWarned)
		v, err := m.db.kv.Get(ctx, key)
		if err != nil && !errors.Is(err, kv.ErrNotFound) {
			return wrap(op, "mailbox", err)
		}
		if err == nil {
			d := layout.NewReader(v)
			d.Byte()
			if last := time.Unix(int64(d.Uvarint()), 0); !d.Bad && !last.Before(since) {
				return nil
			}
		}
		t.b.Set(key, binary.AppendUvarint([]byte{1}, uint64(t.now.Unix())))
		warned = true
		return t.send(&Outgoing{Kind: SendQuota, Owner: owner, To: []Party{owner}, Used: used, Limits: l})
	})
	return warned && err == nil, err
}

func reached(used, limit int64) bool { return limit > 0 && used >= limit }

// Notify sends the owner a letter from the system.
func (m *Mailbox) Notify(ctx context.Context, owner Party, subject, text string) error {
	return m.update(ctx, "store.notify", func(t *txn) error {
		return t.send(&Outgoing{Kind: SendNotice, Owner: owner, To: []Party{owner}, Subject: subject, Text: text})
	})
}
