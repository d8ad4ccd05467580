package store

import (
	"context"
	"encoding/binary"
	"sync"
	"sync/atomic"
	"time"

	"rialto/internal/kv"
	"rialto/internal/mapi"
	"rialto/internal/model"
	"rialto/internal/model/row"
	"rialto/internal/store/content"
)

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

func (h *Header) encode() []byte {
	b := []byte{headerVersion}
	b = append(b, h.GUID[:]...)
	b = append(b, h.ReplGUID[:]...)
	b = binary.AppendUvarint(b, uint64(h.Incarnation))
	b = row.AppendText(b, h.DisplayName)
	return appendTime(appendTime(b, h.Created), h.Deleted)
}

func (h *Header) decode(b []byte) error {
	d := newReader(b)
	if d.Byte() != headerVersion {
		d.Bad = true
	}
	h.GUID, h.ReplGUID = d.GUID(), d.GUID()
	h.Incarnation = uint32(d.Uvarint())
	h.DisplayName = d.Text()
	h.Created, h.Deleted = d.time(), d.time()
	return d.err("mailbox header")
}

// counters are the allocators of a mailbox. Values below the limits may have
// been given out; the limits are durable before, or with, what uses them.
type counters struct {
	seq, id       uint64 // last given out
	validity      uint32 // last UIDVALIDITY
	seqMax, idMax uint64 // reserved
}

// counterBlock is how many numbers are reserved at once. What is left of a
// block at an unclean stop is skipped.
const counterBlock = 1024

const countersVersion = 1

func (c *counters) encode(seq, id uint64) []byte {
	b := []byte{countersVersion}
	b = binary.AppendUvarint(b, seq)
	b = binary.AppendUvarint(b, id)
	return binary.AppendUvarint(b, uint64(c.validity))
}

func (c *counters) decode(b []byte) error {
	d := newReader(b)
	if d.Byte() != countersVersion {
		d.Bad = true
	}
	c.seq, c.id, c.validity = d.Uvarint(), d.Uvarint(), uint32(d.Uvarint())
	c.seqMax, c.idMax = c.seq, c.id
	return d.err("counters")
}

// Mailbox is an open mailbox of a mounted database, as somebody may use it. It
// is safe for concurrent use: one writer at a time, readers on snapshots.
type Mailbox struct {
	*box
	caller *Caller // nil: the server itself
}

// box is what all users of a mailbox share.
type box struct {
	db  *Database
	num number

	mu       sync.Mutex // the writer; see the package comment
	header   Header
	counters counters
	folders  map[FolderID]*Folder
	receive  map[string]FolderID // receive folders by class
	tables   ruleTables          // of folders that have rules
	oof      *OOF                // nil: never set
	gone     error               // set when the database was dismounted or the mailbox deleted

	// retired is gone for readers, who do not take mu.
	retired atomic.Pointer[error]

	// last is the kv.Sequence of the last batch ordered, ordering while one is
	// being. Readers look at it without mu, after they have taken a snapshot.
	last atomic.Uint64

	// acls are the permissions of folders as they are ordered; the map is never
	// changed, only replaced under mu.
	acls atomic.Pointer[map[FolderID]*acl]

	limits atomic.Pointer[Limits]     // nil: none known
	wanted atomic.Pointer[[]mapi.Tag] // what the rules ask of Origin.Lazy

	events hub
}

// newMailbox returns a mailbox without contents, as the server uses it.
func newMailbox(d *Database, n number) *Mailbox {
	m := &Mailbox{box: &box{db: d, num: n, folders: map[FolderID]*Folder{}, receive: map[string]FolderID{}, tables: ruleTables{}}}
	m.acls.Store(&map[FolderID]*acl{})
	return m
}

// ordering stands for a sequence that is not known yet: a snapshot may show the
// batch or not.
const ordering = ^uint64(0)

// durable waits until what seq shows of the mailbox is on disk. It fails if the
// mailbox was retired before it was called: then its rows may be going.
func (m *Mailbox) durable(ctx context.Context, seq kv.Sequence) error {
	if err := m.retired.Load(); err != nil {
		return *err
	}
	return m.db.kv.WaitDurable(ctx, min(kv.Sequence(m.last.Load()), seq))
}

// loadMailbox reads what a writer keeps in memory.
func loadMailbox(ctx context.Context, d *Database, n number) (*Mailbox, error) {
	m := newMailbox(d, n)
	vals, err := d.kv.GetMany(ctx, [][]byte{n.key(subHeader), n.key(subCounters)})
	if err != nil {
		return nil, wrap("store.open", "mailbox", err)
	}
	if vals[0] == nil || vals[1] == nil {
		return nil, model.E("store.open", model.KindNotFound, "mailbox", nil)
	}
	if err := m.header.decode(vals[0]); err != nil {
		return nil, err
	}
	if err := m.counters.decode(vals[1]); err != nil {
		return nil, err
	}
	if m.folders, err = readFolders(ctx, d.kv, n); err != nil {
		return nil, err
	}
	if m.receive, err = readReceive(ctx, d.kv, n); err != nil {
		return nil, err
	}
	tables, err := readRules(ctx, d.kv, n)
	if err != nil {
		return nil, err
	}
	m.installRules(tables)
	if m.oof, err = readOOF(ctx, d.kv, n); err != nil {
		return nil, err
	}
	acls, err := readACLs(ctx, d.kv, n)
	m.acls.Store(&acls)
	return m, err
}

// readFolders returns all folders of a mailbox as r has them.
func readFolders(ctx context.Context, r kv.Reader, n number) (map[FolderID]*Folder, error) {
	folders := map[FolderID]*Folder{}
	it := r.Scan(ctx, kv.Range{Lower: n.key(subFolder), Upper: n.key(subFolderName)})
	for it.Next() {
		k := it.Key()
		if len(k) != 12 {
			continue
		}
		id := FolderID(get48(k[6:]))
		if k[5] == subFolder {
			f, err := decodeFolder(id, it.Value())
			if err != nil {
				it.Close()
				return nil, err
			}
			folders[id] = f
		} else if f := folders[id]; f != nil {
			if err := f.Counts.decode(it.Value()); err != nil {
				it.Close()
				return nil, err
			}
		}
	}
	if err := it.Close(); err != nil {
		return nil, wrap("store.folders", "mailbox", err)
	}
	return folders, nil
}

// GUID returns the mailbox's GUID, the one the directory knows.
func (m *Mailbox) GUID() model.GUID { return m.header.GUID }

// Header returns a copy of the header.
func (m *Mailbox) Header() Header {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.header
}

// LastID returns the highest id that the mailbox has given out. Objects with a
// higher one are not in any view opened before the call.
func (m *Mailbox) LastID() uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.counters.id
}

// Database returns the database the mailbox is in.
func (m *Mailbox) Database() *Database { return m.db }

// lock takes the writer's place.
func (m *Mailbox) lock() error {
	m.mu.Lock()
	if m.gone != nil {
		err := m.gone
		m.mu.Unlock()
		return err
	}
	return nil
}

// retire makes every later call on the mailbox fail with err; false: they did
// so already.
func (m *Mailbox) retire(err error) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.retireLocked(err)
}

// retireIf is retire of a mailbox whose header is as wanted; false: it is not.
func (m *Mailbox) retireIf(err error, want func(*Header) bool) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !want(&m.header) {
		return false
	}
	m.retireLocked(err)
	return true
}

func (m *Mailbox) retireLocked(err error) bool {
	m.retired.CompareAndSwap(nil, &err)
	m.events.close()
	if m.gone != nil {
		return false
	}
	m.gone = err
	return true
}

// wrap turns an error of kv into one of ours.
func wrap(op, object string, err error) error { return content.Wrap(op, object, err) }
