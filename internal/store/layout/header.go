package layout

import (
	"encoding/binary"
	"time"

	"rialto/internal/model"
	"rialto/internal/model/row"
)

// FormatVersion is that of the whole database. A database with a higher one is
// refused; one with a lower one is brought up to date when it is opened.
const FormatVersion = 1

// States of an entry of the mailbox directory.
const (
	DirLive    = 1
	DirArrives = 2 // rows are being copied here
	DirLeaves  = 3 // rows are being removed
	DirWhole   = 4 // all rows are here; live once the other database says that it leaves
)

// DirEntry is an entry of the mailbox directory in one of the states Dir….
func DirEntry(state byte, n Number) []byte {
	return binary.BigEndian.AppendUint32([]byte{state}, uint32(n))
}

// DecodeDirEntry returns the mailbox of an entry of the mailbox directory; false if
// it is not live, or damaged.
func DecodeDirEntry(v []byte) (Number, bool) {
	if len(v) != 5 || v[0] != DirLive {
		return 0, false
	}
	return Number(binary.BigEndian.Uint32(v[1:])), true
}

// Header is what a mailbox is, apart from what it holds.
type Header struct {
	GUID        model.GUID // msExchMailboxGuid
	ReplGUID    model.GUID // of the identity space
	Incarnation uint32     // another one when durable history has shrunk
	DisplayName string
	Created     time.Time
	Deleted     time.Time // disconnected since; zero while in use
}

const headerVersion = 1

// Encode returns the header row.
func (h *Header) Encode() []byte {
	b := []byte{headerVersion}
	b = append(b, h.GUID[:]...)
	b = append(b, h.ReplGUID[:]...)
	b = binary.AppendUvarint(b, uint64(h.Incarnation))
	b = row.AppendText(b, h.DisplayName)
	return AppendTime(AppendTime(b, h.Created), h.Deleted)
}

// Decode reads a header row.
func (h *Header) Decode(b []byte) error {
	d := NewReader(b)
	if d.Byte() != headerVersion {
		d.Bad = true
	}
	h.GUID, h.ReplGUID = d.GUID(), d.GUID()
	h.Incarnation = uint32(d.Uvarint())
	h.DisplayName = d.Text()
	h.Created, h.Deleted = d.Time(), d.Time()
	return d.Err("mailbox header")
}

// Counters are the allocators of a mailbox. Values below the limits may have
// been given out; the limits are durable before, or with, what uses them.
type Counters struct {
	Seq, ID       uint64 // last given out
	Validity      uint32 // last UIDVALIDITY
	SeqMax, IDMax uint64 // reserved
}

// CounterBlock is how many numbers are reserved at once. What is left of a
// block at an unclean stop is skipped.
const CounterBlock = 1024

const countersVersion = 1

// Encode returns the counters row with limits of sequence numbers and ids.
func (c *Counters) Encode(seq, id uint64) []byte {
	b := []byte{countersVersion}
	b = binary.AppendUvarint(b, seq)
	b = binary.AppendUvarint(b, id)
	return binary.AppendUvarint(b, uint64(c.Validity))
}

// Decode reads a counters row: all below the limits counts as given out.
func (c *Counters) Decode(b []byte) error {
	d := NewReader(b)
	if d.Byte() != countersVersion {
		d.Bad = true
	}
	c.Seq, c.ID, c.Validity = d.Uvarint(), d.Uvarint(), uint32(d.Uvarint())
	c.SeqMax, c.IDMax = c.Seq, c.ID
	return d.Err("counters")
}

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

// Encode returns the value of the fact.
func (m *Maintenance) Encode() []byte {
	b := append(AppendTime(AppendTime([]byte{2}, m.Began), m.Ended), m.After[:]...)
	for _, n := range m.counts() {
		b = binary.AppendUvarint(b, *n)
	}
	return b
}

// Decode reads the value of the fact.
func (m *Maintenance) Decode(b []byte) error {
	r := NewReader(b)
	version := r.Byte()
	m.Began, m.Ended, m.After = r.Time(), r.Time(), r.GUID()
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
	return r.Err("maintenance")
}
