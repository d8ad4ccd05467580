package store

import (
	"context"
	"encoding/binary"
	"errors"
	"time"

	"rialto/internal/kv"
	"rialto/internal/model"
)

// Maintenance is what a run of a database's maintenance did. Counts are of the
// whole run, also of what was done before it was interrupted.
type Maintenance struct {
	Began     time.Time  `json:"began"`
	Ended     time.Time  `json:"ended,omitzero"` // zero: it was interrupted, or runs
	After     model.GUID `json:"-"`              // the mailbox it got to; the next run goes on after it
	Mailboxes uint64     `json:"mailboxes"`
	Items     uint64     `json:"items"`    // recoverable items dropped
	Changes   uint64     `json:"changes"`  // rows cut off the logs
	Accounts  uint64     `json:"accounts"` // permissions of deleted accounts dropped
	Moves     uint64     `json:"moves"`    // interrupted moves and deletions completed
	Contents  uint64     `json:"contents"` // contents that nothing referred to
	Octets    uint64     `json:"octets"`   // stored octets of those
	Expired   uint64     `json:"expired"`  // items deleted as older than their folder keeps them
}

func (m *Maintenance) counts() []*uint64 {
	return []*uint64{&m.Mailboxes, &m.Items, &m.Changes, &m.Accounts, &m.Moves, &m.Contents, &m.Octets, &m.Expired}
}

func (m *Maintenance) encode() []byte {
	b := append(appendTime(appendTime([]byte{2}, m.Began), m.Ended), m.After[:]...)
	for _, n := range m.counts() {
		b = binary.AppendUvarint(b, *n)
	}
	return b
}

func (m *Maintenance) decode(b []byte) error {
	r := newReader(b)
	version := r.Byte()
	m.Began, m.Ended, m.After = r.time(), r.time(), r.GUID()
	counts := m.counts()
	switch version {
	case 1: // did not count what expired
		counts = counts[:len(counts)-1]
	case 2:
	default:
		r.Bad = true
	}
	for _, n := range counts {
		*n = r.Uvarint()
	}
	return r.err("maintenance")
}

// Maintained says what the last maintenance of the database did; zero: there was
// none.
func (d *Database) Maintained(ctx context.Context) (m Maintenance, err error) {
	v, err := d.kv.Get(ctx, factKey("maintenance"))
	if errors.Is(err, kv.ErrNotFound) {
		return m, nil
	}
	if err == nil {
		err = m.decode(v)
	}
	return m, wrap("store.maintained", d.opt.Name, err)
}

// MarkMaintenance notes how far maintenance is.
func (d *Database) MarkMaintenance(ctx context.Context, m Maintenance) error {
	b := d.kv.NewBatch()
	b.Set(factKey("maintenance"), m.encode())
	return d.commit(ctx, b)
}
