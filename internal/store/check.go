package store

import (
	"context"
	"time"

	"rialto/internal/kv"
	"rialto/internal/model"
	"rialto/internal/store/fsck"
)

// What a check, a repair and a dump are asked and answer.
type (
	VerifyOptions = fsck.VerifyOptions
	Verified      = fsck.Verified
	Repaired      = fsck.Repaired
	Loss          = fsck.Loss
	DumpQuery     = fsck.DumpQuery
	DumpRow       = fsck.DumpRow
	Dumped        = fsck.Dumped
)

// RecoveredItems is the folder for what has lost its own.
const RecoveredItems = fsck.RecoveredItems

// Verify checks every invariant of a database, or of one mailbox, while it is
// in use; see fsck.Verify.
func (d *Database) Verify(ctx context.Context, o VerifyOptions) (*Verified, error) {
	return fsck.Verify(ctx, d.checked(), o)
}

// Verify checks every invariant of the mailbox; with deep it reads every octet
// of its content too.
func (m *Mailbox) Verify(ctx context.Context, deep bool) (Verified, error) {
	v, err := m.db.Verify(ctx, VerifyOptions{Mailbox: m.GUID(), Deep: deep})
	if v == nil {
		v = &Verified{}
	}
	return *v, err
}

// Dump shows rows of the database.
func (d *Database) Dump(ctx context.Context, q DumpQuery) (*Dumped, error) {
	return fsck.Dump(ctx, d.checked(), q)
}

// Repair makes a database whole that nobody has open, in place: the caller gives
// it a copy and keeps the damaged original; see fsck.Repair.
func Repair(ctx context.Context, db kv.DB, o Options) (*Repaired, error) {
	if o.Clock == nil {
		o.Clock = time.Now
	}
	return fsck.Repair(ctx, db, fsck.RepairOptions{GUID: o.GUID, Name: o.Name, Clock: o.Clock}, func(ctx context.Context) (*fsck.Database, error) {
		d, err := Open(ctx, db, o)
		if err != nil {
			return nil, err
		}
		return d.checked(), nil
	})
}

// checked is the database as a check sees it.
func (d *Database) checked() *fsck.Database {
	return &fsck.Database{Name: d.opt.Name, KV: d.kv, Content: d.content, Boxes: boxes{d}}
}

// boxes are the mailboxes of a database as a check sees them.
type boxes struct{ d *Database }

func (b boxes) LastID(ctx context.Context, guid model.GUID) (uint64, error) {
	m, err := b.d.Mailbox(ctx, guid)
	if err != nil {
		return 0, err
	}
	return m.LastID(), nil
}

func (b boxes) Hold(ctx context.Context, guid model.GUID, fn func()) error {
	m, err := b.d.Mailbox(ctx, guid)
	if err == nil {
		err = m.lock()
	}
	if err != nil {
		return err
	}
	defer m.mu.Unlock()
	fn()
	return nil
}

func (b boxes) NewIncarnation(ctx context.Context, guid model.GUID) error {
	m, err := b.d.Mailbox(ctx, guid)
	if err != nil {
		return err
	}
	return m.NewIncarnation(ctx)
}
