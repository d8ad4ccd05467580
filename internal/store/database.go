package store

import (
	"context"
	"encoding/binary"
	"errors"
	"sort"
	"sync"
	"sync/atomic"
	"time"

	"rialto/internal/kv"
	"rialto/internal/model"
	"rialto/internal/store/content"
	"rialto/internal/store/folderindex"
	"rialto/internal/store/layout"
)

// Options adjust a Database.
type Options struct {
	GUID    model.GUID // of the store's directory object; stamped at creation
	Name    string
	Clock   model.Clock // nil: time.Now
	Content content.Options
	// LockWait is how long a delivery to several mailboxes waits for one that is
	// busy before it goes on without it. 0: 5 ms.
	LockWait time.Duration
	// IndexBytes bounds the memory of the indexes of folders. 0: 64 MB.
	IndexBytes int64
	// Rewound is told, while the database is opened, that its engine had come back
	// to an earlier state and all boxes mailboxes got a new incarnation; may be nil.
	Rewound func(r kv.Rewind, boxes int)
}

// Database is a mounted mailbox store.
type Database struct {
	kv        kv.DB
	opt       Options
	content   *content.Store
	indexes   *folderindex.Cache
	wellKnown wellKnown

	outbox outbox

	creating sync.Mutex    // one mailbox at a time is made
	next     layout.Number // next mailbox number

	failed atomic.Pointer[error] // the outcome of a batch is not known

	mu        sync.RWMutex // held for looking up only
	mailboxes map[model.GUID]*Mailbox
	moving    map[model.GUID]bool // claimed by a move, or by who drops its rows
	forgotten uint64              // how often a mailbox was taken out of mailboxes
	closed    bool
}

// Open mounts the database kept in db, which from now on belongs to it. A new
// one is created if db is empty.
func Open(ctx context.Context, db kv.DB, opt Options) (*Database, error) {
	if opt.Clock == nil {
		opt.Clock = time.Now
	}
	if opt.LockWait == 0 {
		opt.LockWait = 5 * time.Millisecond
	}
	opt.Content.Clock = opt.Clock
	d := &Database{kv: db, opt: opt, mailboxes: map[model.GUID]*Mailbox{}, moving: map[model.GUID]bool{}, next: 1, indexes: folderindex.New(opt.IndexBytes), wellKnown: newWellKnown()}
	vals, err := db.GetMany(ctx, [][]byte{layout.FactKey("format"), layout.FactKey("guid"), layout.FactKey("number")})
	if err != nil {
		return nil, wrap("store.mount", opt.Name, err)
	}
	switch {
	case vals[0] == nil:
		err = d.create(ctx)
	case len(vals[0]) != 4 || len(vals[1]) != 16:
		err = model.E("store.mount", model.KindCorrupt, opt.Name, nil)
	case binary.BigEndian.Uint32(vals[0]) > layout.FormatVersion:
		err = model.E("store.mount", model.KindUnsupported, opt.Name, kv.ErrFormat)
	case model.GUID(vals[1]) != opt.GUID:
		err = model.E("store.mount", model.KindConflict, opt.Name, errors.New("the files belong to another store"))
	}
	if err != nil {
		return nil, err
	}
	if d.content, err = content.Open(ctx, db, opt.Content); err != nil {
		return nil, wrap("store.mount", opt.Name, err)
	}
	if err := d.openOutbox(ctx); err != nil {
		return nil, err
	}
	if v := vals[2]; len(v) == 5 {
		d.next = layout.Number(binary.BigEndian.Uint32(v[1:])) + 1
	}
	it := db.Scan(ctx, kv.Range{Lower: []byte{layout.SpaceMailboxDir}, Upper: []byte{layout.SpaceMailboxDir + 1}})
	for it.Next() {
		if v := it.Value(); len(v) == 5 {
			d.next = max(d.next, layout.Number(binary.BigEndian.Uint32(v[1:]))+1) // those that come and go too
		}
	}
	if err := it.Close(); err != nil {
		return nil, wrap("store.mount", opt.Name, err)
	}
	return d, wrap("store.mount", opt.Name, d.settleRewind(ctx))
}

func (d *Database) create(ctx context.Context) error {
	b := d.kv.NewBatch()
	b.Set(layout.FactKey("format"), binary.BigEndian.AppendUint32(nil, layout.FormatVersion))
	b.Set(layout.FactKey("guid"), d.opt.GUID[:])
	// There may have been another of this GUID.
	b.Set(layout.FactKey("outbox"), binary.BigEndian.AppendUint64(nil, uint64(layout.OutboxStart(d.opt.Clock()))))
	return d.commit(ctx, b)
}

// commit orders b and waits for the disk.
func (d *Database) commit(ctx context.Context, b kv.Batch) error {
	c, err := d.kv.Commit(ctx, b)
	if err == nil {
		err = c.Wait(context.WithoutCancel(ctx))
	}
	return wrap("store.commit", d.opt.Name, err)
}

// GUID returns the store's GUID.
func (d *Database) GUID() model.GUID { return d.opt.GUID }

// Name returns the store's name.
func (d *Database) Name() string { return d.opt.Name }

// Healthy returns nil unless the database can serve no more: its engine was
// poisoned or closed, and it has to be mounted afresh.
func (d *Database) Healthy(ctx context.Context) error {
	if err := d.failed.Load(); err != nil {
		return *err
	}
	if err := d.content.Err(); err != nil {
		return err
	}
	_, err := d.kv.Get(ctx, layout.FactKey("format"))
	return wrap("store.health", d.opt.Name, err)
}

// Engine returns the database's map, for metrics, checkpoints and space.
func (d *Database) Engine() kv.DB { return d.kv }

// Close dismounts the database: writers are waited for, sessions get
// KindUnavailable from then on, counters are written so that no number is
// skipped.
func (d *Database) Close() error {
	d.mu.Lock()
	if d.closed {
		d.mu.Unlock()
		return nil
	}
	d.closed = true
	open := make([]*Mailbox, 0, len(d.mailboxes))
	for _, m := range d.mailboxes {
		open = append(open, m)
	}
	d.mu.Unlock()
	gone := model.E("store.dismounted", model.KindUnavailable, d.opt.Name, nil)
	b := d.kv.NewBatch()
	for _, m := range open {
		if !m.retire(gone) {
			continue // what it used last is not known: the numbers left are skipped
		}
		c := m.counters
		if c.SeqMax != c.Seq || c.IDMax != c.ID {
			b.Set(m.num.Key(layout.SubCounters), c.Encode(c.Seq, c.ID))
		}
		if b.Size() > kv.MaxBatch/2 {
			if d.commit(context.Background(), b) != nil {
				b = d.kv.NewBatch()
				break // the numbers left are skipped, which is safe
			}
			b = d.kv.NewBatch()
		}
	}
	err := d.commit(context.Background(), b)
	if e := d.content.Close(); err == nil {
		err = e
	}
	if e := d.kv.Close(); e != nil {
		err = e
	}
	return wrap("store.dismount", d.opt.Name, err)
}

// CreateMailbox makes a mailbox with its default folders. KindExists if it is
// there already.
func (d *Database) CreateMailbox(ctx context.Context, guid model.GUID, displayName string) (*Mailbox, error) {
	m, c, err := d.createMailbox(ctx, guid, displayName)
	if err == nil {
		err = c.Wait(context.WithoutCancel(ctx))
	}
	if err != nil {
		return nil, wrap("store.create", displayName, err)
	}
	return m, nil
}

// createMailbox is CreateMailbox but for the disk.
func (d *Database) createMailbox(ctx context.Context, guid model.GUID, displayName string) (*Mailbox, kv.Commit, error) {
	d.creating.Lock()
	defer d.creating.Unlock()
	if v, err := d.kv.Get(ctx, layout.MailboxDirKey(guid)); err == nil {
		if _, live := layout.DecodeDirEntry(v); live {
			return nil, nil, model.E("store.create", model.KindExists, displayName, nil)
		}
		return nil, nil, model.E("store.create", model.KindUnavailable, displayName, errors.New("a mailbox of that GUID is coming or going"))
	} else if !errors.Is(err, kv.ErrNotFound) {
		return nil, nil, err
	}
	now := d.opt.Clock()
	m := newMailbox(d, d.next)
	m.header = Header{GUID: guid, ReplGUID: model.NewGUID(), Incarnation: 1, DisplayName: displayName, Created: now}
	m.counters = layout.Counters{ID: layout.FirstFreeID - 1, Validity: uint32(now.Unix())}
	b := d.kv.NewBatch()
	b.Set(layout.MailboxDirKey(guid), layout.DirEntry(layout.DirLive, m.num))
	b.Set(m.num.Key(layout.SubHeader), m.header.Encode())
	b.Set(append(m.num.Key(layout.SubReplica), 0, 1), append([]byte{1}, m.header.ReplGUID[:]...))
	t := m.begin(ctx, b)
	for _, f := range layout.DefaultFolders() {
		f.Created, f.Subscribed = now, !f.Hidden
		t.addFolder(&f)
	}
	t.finish()
	d.next++
	// Known before it is ordered, and locked until then: nobody may load another
	// from rows that are not durable.
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := d.register(m, guid); err != nil {
		b.Close()
		return nil, nil, err
	}
	c, err := d.order(ctx, b, t)
	if err != nil {
		m.gone = wrap("store.create", displayName, err)
		d.mu.Lock()
		delete(d.mailboxes, guid)
		d.mu.Unlock()
	}
	return m, c, err
}

// register makes m the open mailbox of its GUID.
func (d *Database) register(m *Mailbox, guid model.GUID) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return model.E("store.create", model.KindUnavailable, d.opt.Name, nil)
	}
	d.mailboxes[guid] = m
	return nil
}

// addFolder writes a folder that is new in every respect but its names.
func (t *txn) addFolder(f *Folder) {
	t.counters.Validity++
	f.UIDValidity = t.counters.Validity
	f.Counts = Counts{NextUID: 1}
	t.putFolder(f)
	f.Counts.Seq = f.Seq
	t.dirty[f.ID] = true
	t.b.Set(t.m.num.ChildName(f.Parent, f.Name), layout.FolderRef(f.ID))
	t.inheritACL(f)
}

// Mailbox opens a mailbox. KindNotFound if the database does not have it.
func (d *Database) Mailbox(ctx context.Context, guid model.GUID) (*Mailbox, error) {
	for {
		m, err := d.openMailbox(ctx, guid)
		if m != nil || err != nil {
			return m, err
		}
	}
}

// openMailbox returns nothing if what was loaded may have left meanwhile.
func (d *Database) openMailbox(ctx context.Context, guid model.GUID) (*Mailbox, error) {
	d.mu.RLock()
	m, closed, forgotten := d.mailboxes[guid], d.closed, d.forgotten
	d.mu.RUnlock()
	if closed {
		return nil, model.E("store.open", model.KindUnavailable, d.opt.Name, nil)
	}
	if m != nil {
		return m, nil
	}
	v, err := d.kv.Get(ctx, layout.MailboxDirKey(guid))
	if err != nil {
		return nil, wrap("store.open", "mailbox "+guid.String(), err)
	}
	n, ok := layout.DecodeDirEntry(v)
	if !ok && len(v) == 5 {
		return nil, model.E("store.open", model.KindNotFound, "mailbox "+guid.String(), nil)
	}
	if !ok {
		return nil, layout.Corrupt("mailbox directory")
	}
	if m, err = loadMailbox(ctx, d, n); err != nil {
		return nil, err
	}
	// Several may have loaded it: the first to come here is the mailbox, and
	// nothing was written to it before.
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return nil, model.E("store.open", model.KindUnavailable, d.opt.Name, nil)
	}
	if first := d.mailboxes[guid]; first != nil {
		return first, nil
	}
	if d.forgotten != forgotten {
		return nil, nil
	}
	d.mailboxes[guid] = m
	return m, nil
}

// Mailboxes lists the headers of all mailboxes, by display name.
func (d *Database) Mailboxes(ctx context.Context) ([]Header, error) {
	var list []Header
	it := d.kv.Scan(ctx, kv.Range{Lower: []byte{layout.SpaceMailboxDir}, Upper: []byte{layout.SpaceMailboxDir + 1}})
	var keys [][]byte
	for it.Next() {
		if n, ok := layout.DecodeDirEntry(it.Value()); ok {
			keys = append(keys, n.Key(layout.SubHeader))
		}
	}
	if err := it.Close(); err != nil {
		return nil, wrap("store.mailboxes", d.opt.Name, err)
	}
	vals, err := d.kv.GetMany(ctx, keys)
	if err != nil {
		return nil, wrap("store.mailboxes", d.opt.Name, err)
	}
	for _, v := range vals {
		var h Header
		if err := h.Decode(v); err != nil {
			return nil, err
		}
		list = append(list, h)
	}
	sort.Slice(list, func(i, j int) bool { return list[i].DisplayName < list[j].DisplayName })
	return list, nil
}

// CountMailboxes counts the mailboxes.
func (d *Database) CountMailboxes(ctx context.Context) (n int, err error) {
	it := d.kv.Scan(ctx, kv.Range{Lower: []byte{layout.SpaceMailboxDir}, Upper: []byte{layout.SpaceMailboxDir + 1}})
	for it.Next() {
		if _, live := layout.DecodeDirEntry(it.Value()); live {
			n++
		}
	}
	return n, wrap("store.mailboxes", d.opt.Name, it.Close())
}

// Collect drops content that nothing refers to; see package content.
func (d *Database) Collect(ctx context.Context) (content.Collected, error) {
	return d.content.Collect(ctx)
}

// OpenStaged opens a stream that is about to be delivered or appended.
func (d *Database) OpenStaged(ctx context.Context, st *content.Staged) (*Body, error) {
	r, err := d.content.OpenStaged(ctx, st)
	if err != nil {
		return nil, err
	}
	return &Body{content: r}, nil
}

// NewContent begins a stream to be delivered or appended to this database.
func (d *Database) NewContent(ctx context.Context) *content.Writer { return d.content.NewWriter(ctx) }
