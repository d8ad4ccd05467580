// Package embedded keeps a directory on kv: the forest of an organization that
// has no Active Directory.
//
// # Key spaces
//
// All integers are big endian; an object is known by its number (DNT), so that
// renaming a container touches one row. Every value starts with a version byte.
//
//	01 name                        facts: format, invocation, numbers, SIDs
//	02 dnt8                        object: parent, RDN, flags, attributes
//	03 parent8 hash16              dnt8 of the child with that RDN
//	04 guid16                      dnt8
//	05 attr 00 value 00 dnt8       index; long values are cut
//	06 link4 source8 target8       forward link
//	07 link4 target8 source8       back link
//	08 usn8                        dnt8 of an object, under its newest USN
//
// Values of DN syntax are numbers of objects; those of linked attributes stand
// in the link spaces only.
//
// # Invariants and locks
//
// There is one writer: DB.mu is held while a change is built and ordered, not
// while the disk is waited for. Readers use snapshots and are given nothing
// that is not durable. The change feed is laid out for replicas: an object
// stands in it once, under the USN of its last change; a writer that takes over
// with a lost tail changes the invocation id. Lock order: DB.mu, then one of the
// watchers' and the names', which are held for a look-up only.
package embedded

import (
	"context"
	"encoding/binary"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"rialto/internal/directory"
	"rialto/internal/directory/schema"
	"rialto/internal/kv"
	"rialto/internal/model"
	"rialto/internal/model/row"
	"rialto/internal/wire/ldap"
)

// Options make or open a directory.
type Options struct {
	DNSDomain string // contoso.test; used when the tree is made
	NetBIOS   string // "": the first label in capitals
	DNSHost   string // host name of this server
	Site      string // "": Default-First-Site-Name
	Clock     model.Clock
	// Rewound is told that the engine had come back to an earlier state and the
	// directory got a new invocation id; may be nil.
	Rewound func(r kv.Rewind)
}

// DB is an embedded directory.
type DB struct {
	kv    kv.DB
	clock model.Clock

	mu    sync.Mutex // the writer
	facts facts

	// What readers look at without mu. last is the kv.Sequence of the last batch
	// ordered, ordering while one is being; heads are of the naming contexts.
	last   atomic.Uint64
	heads  atomic.Pointer[heads]
	schema atomic.Pointer[schema.Schema]
	root   atomic.Pointer[directory.Root]
	names  nameCache

	watchMu  sync.Mutex
	watchers map[chan struct{}]struct{}
}

// facts are the numbers of the directory.
type facts struct {
	invocation model.GUID
	usn        int64
	next       dnt
	rid        uint32
	domainSID  []byte
	domain     dnt // heads of the naming contexts
	config     dnt
	schemaHead dnt
	deleted    map[dnt]dnt // Deleted Objects of each
	extended   bool        // the Exchange extension is in
	host       string
	server     dnt // the server's object in Sites
	netbios    string
	tables     uint64 // version of the schema tables that its objects are from
}

// heads are the objects at the top of the naming contexts: domain,
// configuration, schema.
type heads [3]dnt

// ordering stands for a sequence that is not known yet.
const ordering = ^uint64(0)

// dnt is the number of an object. 1 is the root above all naming contexts.
type dnt uint64

const rootDNT dnt = 1

const formatVersion = 1

// Key spaces.
const (
	spaceFact   = 0x01
	spaceObject = 0x02
	spaceChild  = 0x03
	spaceGUID   = 0x04
	spaceIndex  = 0x05
	spaceLink   = 0x06
	spaceBack   = 0x07
	spaceUSN    = 0x08
)

var factsKey = []byte{spaceFact, 'f'}

// Open opens the directory in db, making the tree if there is none.
func Open(ctx context.Context, db kv.DB, o Options) (*DB, error) {
	if o.Clock == nil {
		o.Clock = time.Now
	}
	d := &DB{kv: db, clock: o.Clock, watchers: map[chan struct{}]struct{}{}}
	raw, err := db.Get(ctx, factsKey)
	switch {
	case errors.Is(err, kv.ErrNotFound):
		if err := d.create(ctx, o); err != nil {
			return nil, err
		}
	case err != nil:
		return nil, wrap("directory.open", "", err)
	default:
		if err := d.facts.decode(raw); err != nil {
			return nil, err
		}
		if err := d.loadSchema(); err != nil {
			return nil, err
		}
	}
	if err := d.publishRoot(ctx); err != nil {
		return nil, err
	}
	if err := d.upgradeSchema(ctx); err != nil {
		return nil, err
	}
	return d, d.settleRewind(ctx, o.Rewound)
}

// ridsSkipped is more than the relative ids that can have been given since the
// state that came back; there are 2^30.
const ridsSkipped = 100_000

// settleRewind does what a restored domain controller does: the version of the
// database gets a name of its own (MS-ADA1 2.314, invocationId), so that no USN is
// taken for one that was seen before, and relative ids that may have been given
// are not given again.
func (d *DB) settleRewind(ctx context.Context, told func(kv.Rewind)) error {
	e, ok := d.kv.(kv.Rewinder)
	if !ok {
		return nil
	}
	r, err := e.Rewound(ctx)
	if r == nil || err != nil {
		return wrap("directory.open", "", err)
	}
	err = d.update(ctx, directory.AsSystem, "directory.renew", func(t *txn) error {
		t.facts.invocation = model.NewGUID()
		t.facts.rid += ridsSkipped
		t.b.Set(factsKey, t.facts.encode())
		return nil
	})
	if err == nil {
		err = d.publishRoot(ctx)
	}
	if err == nil {
		err = wrap("directory.renew", "", e.Settle(ctx))
	}
	if err == nil && told != nil {
		told(*r)
	}
	return err
}

func (d *DB) loadSchema() error {
	s, err := schema.Base()
	if d.facts.extended {
		s, err = schema.Extended()
	}
	if err == nil {
		d.schema.Store(s)
	}
	return err
}

func (d *DB) publishRoot(ctx context.Context) error {
	f := &d.facts
	d.heads.Store(&heads{f.domain, f.config, f.schemaHead})
	r := directory.Root{NetBIOS: f.netbios, DNSHost: f.host, DomainSID: f.domainSID, Invocation: f.invocation, HighestUSN: f.usn}
	for _, h := range []struct {
		n  dnt
		to *string
	}{{f.domain, &r.Domain}, {f.config, &r.Configuration}, {f.schemaHead, &r.Schema}, {f.server, &r.ServerName}} {
		name, err := d.nameOf(ctx, d.kv, d.names.generation(), h.n)
		if err != nil {
			return err
		}
		*h.to = name.String()
	}
	name, err := ldap.ParseDN(r.Domain)
	if err != nil {
		return err
	}
	for i, rdn := range name {
		if i > 0 {
			r.DNSDomain += "."
		}
		r.DNSDomain += rdn[0].Value
	}
	d.root.Store(&r)
	return nil
}

// Root implements directory.Directory.
func (d *DB) Root() directory.Root { return *d.root.Load() }

// Schema implements directory.Directory.
func (d *DB) Schema() *schema.Schema { return d.schema.Load() }

// Close closes the directory and its map.
func (d *DB) Close() error {
	d.watchMu.Lock()
	for c := range d.watchers {
		close(c)
		delete(d.watchers, c)
	}
	d.watchMu.Unlock()
	return d.kv.Close()
}

// Watch implements directory.Directory. The channel is closed when ctx ends or
// the directory is closed.
func (d *DB) Watch(ctx context.Context) <-chan struct{} {
	c := make(chan struct{}, 1)
	d.watchMu.Lock()
	d.watchers[c] = struct{}{}
	d.watchMu.Unlock()
	context.AfterFunc(ctx, func() {
		d.watchMu.Lock()
		defer d.watchMu.Unlock()
		if _, ok := d.watchers[c]; ok {
			delete(d.watchers, c)
			close(c)
		}
	})
	return c
}

func (d *DB) notify() {
	d.watchMu.Lock()
	defer d.watchMu.Unlock()
	for c := range d.watchers {
		select {
		case c <- struct{}{}:
		default:
		}
	}
}

func (f *facts) encode() []byte {
	b := []byte{formatVersion}
	b = append(b, f.invocation[:]...)
	for _, v := range []uint64{uint64(f.usn), uint64(f.next), uint64(f.rid), uint64(f.domain), uint64(f.config), uint64(f.schemaHead), uint64(f.server)} {
		b = binary.BigEndian.AppendUint64(b, v)
	}
	ext := byte(0)
	if f.extended {
		ext = 1
	}
	b = append(b, ext)
	for _, s := range []string{string(f.domainSID), f.host, f.netbios} {
		b = append(binary.AppendUvarint(b, uint64(len(s))), s...)
	}
	b = binary.AppendUvarint(b, uint64(len(f.deleted)))
	for _, nc := range []dnt{f.domain, f.config, f.schemaHead} {
		if to, ok := f.deleted[nc]; ok {
			b = binary.AppendUvarint(binary.AppendUvarint(b, uint64(nc)), uint64(to))
		}
	}
	return binary.AppendUvarint(b, f.tables)
}

func (f *facts) decode(b []byte) error {
	bad := model.E("directory.open", model.KindCorrupt, "directory facts", nil)
	if len(b) < 1+16+7*8+1 {
		return bad
	}
	if b[0] > formatVersion {
		return model.E("directory.open", model.KindUnsupported, "directory", kv.ErrFormat)
	}
	copy(f.invocation[:], b[1:])
	n := func(i int) uint64 { return binary.BigEndian.Uint64(b[17+8*i:]) }
	f.usn, f.next, f.rid = int64(n(0)), dnt(n(1)), uint32(n(2))
	f.domain, f.config, f.schemaHead, f.server = dnt(n(3)), dnt(n(4)), dnt(n(5)), dnt(n(6))
	f.extended = b[73] == 1
	d := row.Reader{B: b[74:]}
	f.domainSID, f.host, f.netbios = []byte(d.Text()), d.Text(), d.Text()
	f.deleted = map[dnt]dnt{}
	for n := d.Uvarint(); n > 0 && !d.Bad; n-- {
		nc := dnt(d.Uvarint())
		f.deleted[nc] = dnt(d.Uvarint())
	}
	if f.tables = 1; len(d.B) > 0 {
		f.tables = d.Uvarint()
	}
	if d.Bad {
		return bad
	}
	return nil
}

// wrap turns an error of kv into one of ours.
func wrap(op, object string, err error) error {
	if err == nil {
		return nil
	}
	var own *model.Error
	switch {
	case errors.As(err, &own):
		return err
	case errors.Is(err, kv.ErrNotFound):
		return model.E(op, model.KindNotFound, object, err)
	case errors.Is(err, kv.ErrNoSpace):
		return model.E(op, model.KindNoSpace, object, err)
	case errors.Is(err, kv.ErrPoisoned), errors.Is(err, kv.ErrClosed), errors.Is(err, kv.ErrFenced), errors.Is(err, kv.ErrUnknown):
		return model.E(op, model.KindUnavailable, object, err)
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return model.E(op, model.KindCanceled, object, err)
	case errors.Is(err, kv.ErrTooLarge):
		return model.E(op, model.KindTooLarge, object, err)
	}
	return model.E(op, model.KindOther, object, err)
}
