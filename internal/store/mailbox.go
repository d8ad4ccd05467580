package store

import (
	"context"
	"sync"
	"sync/atomic"

	"rialto/internal/kv"
	"rialto/internal/mapi"
	"rialto/internal/model"
	"rialto/internal/store/content"
	"rialto/internal/store/layout"
)

// Mailbox is an open mailbox of a mounted database, as somebody may use it. It
// is safe for concurrent use: one writer at a time, readers on snapshots.
type Mailbox struct {
	*box
	caller *Caller // nil: the server itself
}

// box is what all users of a mailbox share.
type box struct {
	db  *Database
	num layout.Number

	mu       sync.Mutex // the writer; see the package comment
	header   Header
	counters layout.Counters
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
	acls atomic.Pointer[map[FolderID]*layout.ACL]

	limits atomic.Pointer[Limits]     // nil: none known
	wanted atomic.Pointer[[]mapi.Tag] // what the rules ask of Origin.Lazy

	events hub
}

// newMailbox returns a mailbox without contents, as the server uses it.
func newMailbox(d *Database, n layout.Number) *Mailbox {
	m := &Mailbox{box: &box{db: d, num: n, folders: map[FolderID]*Folder{}, receive: map[string]FolderID{}, tables: ruleTables{}}}
	m.acls.Store(&map[FolderID]*layout.ACL{})
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
func loadMailbox(ctx context.Context, d *Database, n layout.Number) (*Mailbox, error) {
	m := newMailbox(d, n)
	vals, err := d.kv.GetMany(ctx, [][]byte{n.Key(layout.SubHeader), n.Key(layout.SubCounters)})
	if err != nil {
		return nil, wrap("store.open", "mailbox", err)
	}
	if vals[0] == nil || vals[1] == nil {
		return nil, model.E("store.open", model.KindNotFound, "mailbox", nil)
	}
	if err := m.header.Decode(vals[0]); err != nil {
		return nil, err
	}
	if err := m.counters.Decode(vals[1]); err != nil {
		return nil, err
	}
	if m.folders, err = layout.ReadFolders(ctx, d.kv, n); err != nil {
		return nil, err
	}
	if m.receive, err = layout.ReadReceive(ctx, d.kv, n); err != nil {
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
	acls, err := layout.ReadACLs(ctx, d.kv, n)
	m.acls.Store(&acls)
	return m, err
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
	return m.counters.ID
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
