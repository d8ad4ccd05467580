package store

import (
	"context"
	"time"

	"rialto/internal/mapi"
	"rialto/internal/model"
	"rialto/internal/store/layout"
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
			t.b.Set(m.num.Key(layout.SubHeader), h.Encode())
			t.header = &h
		}
		return nil
	})
}

// DeleteMailbox drops a mailbox for good: its rows and its references to
// content, in batches. What a crash leaves FinishMoves removes.
func (d *Database) DeleteMailbox(ctx context.Context, guid model.GUID) error {
	return d.deleteMailbox(ctx, guid, func(*Header) bool { return true })
}

// DeleteDisconnected is DeleteMailbox of one that is disconnected since a time.
// KindConflict if it is so no more.
func (d *Database) DeleteDisconnected(ctx context.Context, guid model.GUID, since time.Time) error {
	return d.deleteMailbox(ctx, guid, func(h *Header) bool { return !h.Deleted.IsZero() && mapi.FileTime(h.Deleted) == mapi.FileTime(since) })
}

// deleteMailbox deletes a mailbox whose header is as wanted.
func (d *Database) deleteMailbox(ctx context.Context, guid model.GUID, want func(*Header) bool) error {
	if !d.claim(guid) {
		return model.E("store.delete", model.KindConflict, "the mailbox is being moved", nil)
	}
	defer d.disclaim(guid)
	m, err := d.Mailbox(ctx, guid)
	if err != nil {
		return err
	}
	name := m.Header().DisplayName
	// Until its rows are gone whoever asks for it gets this one, which is closed.
	gone := model.E("store.delete", model.KindNotFound, name, nil)
	if !m.retireIf(gone, want) {
		return model.E("store.delete", model.KindConflict, name, nil)
	}
	defer d.forget(guid)
	return wrap("store.delete", name, d.leave(ctx, guid, m.num))
}
