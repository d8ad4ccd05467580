package store

import (
	"context"

	"rialto/internal/model"
)

// SetLimits says what the directory allows the mailbox. Every operation that
// adds to it obeys Hard; transport obeys Send.
func (m *Mailbox) SetLimits(l Limits) { m.limits.Store(&l) }

// Limits returns what SetLimits said last.
func (m *Mailbox) Limits() Limits {
	if l := m.limits.Load(); l != nil {
		return *l
	}
	return Limits{}
}

// Size returns the octets in the mailbox, recoverable items apart.
func (m *Mailbox) Size() int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.begin(context.Background(), nil).total()
}

// Room refuses, with KindQuota, what would fill the mailbox beyond its limit.
func (m *Mailbox) Room(octets int64) error {
	hard := m.Limits().Hard
	if hard <= 0 || m.Size()+octets <= hard {
		return nil
	}
	return overQuota(m.box)
}

func overQuota(b *box) error {
	return model.E("store.quota", model.KindQuota, b.header.DisplayName, nil)
}

// room is Room for an item that is about to be added by this change.
func (t *txn) room(octets int64) error {
	l := t.m.limits.Load()
	if l == nil || l.Hard <= 0 || octets <= 0 || t.total()+octets <= l.Hard {
		return nil
	}
	return overQuota(t.m.box)
}

// total is the octets in the mailbox, recoverable items apart, as changed so
// far. It is added up once per change.
func (t *txn) total() int64 {
	if t.summed {
		return t.used
	}
	t.summed, t.used = true, 0
	for id, f := range t.m.folders {
		if c, ok := t.folders[id]; ok {
			f = c
		}
		if f != nil {
			t.used += f.Counts.Size
		}
	}
	for id, f := range t.folders {
		if f != nil && t.m.folders[id] == nil {
			t.used += f.Counts.Size
		}
	}
	return t.used
}
