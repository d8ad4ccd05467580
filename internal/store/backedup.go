package store

import (
	"context"
	"errors"
	"time"

	"rialto/internal/kv"
	"rialto/internal/store/layout"
)

// BackedUp says when the last full and the last incremental backup of the
// database ended; zero: there was none.
func (d *Database) BackedUp(ctx context.Context) (full, incremental time.Time, err error) {
	v, err := d.kv.Get(ctx, layout.FactKey("backup"))
	if errors.Is(err, kv.ErrNotFound) {
		return full, incremental, nil
	}
	if err != nil {
		return full, incremental, wrap("store.backedup", d.opt.Name, err)
	}
	r := layout.NewReader(v)
	if r.Byte() != 1 {
		r.Bad = true
	}
	full, incremental = r.Time(), r.Time()
	return full, incremental, r.Err("backup times")
}

// MarkBackup notes that a backup of what the database held at a time is whole.
func (d *Database) MarkBackup(ctx context.Context, at time.Time, incremental bool) error {
	full, inc, err := d.BackedUp(ctx)
	if err != nil {
		return err
	}
	if incremental {
		inc = at
	} else {
		full = at
	}
	b := d.kv.NewBatch()
	b.Set(layout.FactKey("backup"), layout.AppendTime(layout.AppendTime([]byte{1}, full), inc))
	return d.commit(ctx, b)
}

// NewIncarnations gives every mailbox a new incarnation, after the database was
// brought back from a backup; see Mailbox.NewIncarnation. Ids of the outbox go on
// above all that were given. It may be repeated.
func (d *Database) NewIncarnations(ctx context.Context) (n int, err error) {
	if err := d.skipOutboxIDs(ctx); err != nil {
		return 0, err
	}
	boxes, err := d.Mailboxes(ctx)
	if err != nil {
		return 0, err
	}
	for _, h := range boxes {
		m, err := d.Mailbox(ctx, h.GUID)
		if err == nil {
			err = m.NewIncarnation(ctx)
		}
		if err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}

// settleRewind gives every mailbox a new incarnation if the engine came back to
// an earlier state, before anybody has seen the database. A crash in between is
// no harm: the engine says so again, and mailboxes may be renewed twice.
func (d *Database) settleRewind(ctx context.Context) error {
	e, ok := d.kv.(kv.Rewinder)
	if !ok {
		return nil
	}
	r, err := e.Rewound(ctx)
	if r == nil || err != nil {
		return err
	}
	n, err := d.NewIncarnations(ctx)
	if err == nil {
		err = e.Settle(ctx)
	}
	if err == nil && d.opt.Rewound != nil {
		d.opt.Rewound(*r, n)
	}
	return err
}
