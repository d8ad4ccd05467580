package fsck

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"rialto/internal/kv"
	"rialto/internal/model"
	"rialto/internal/store/content"
	"rialto/internal/store/layout"
)

// Verified is what a check of a database or a mailbox found.
type Verified struct {
	Rows      int      `json:"rows"`
	Mailboxes int      `json:"mailboxes"`
	Folders   int      `json:"folders"`
	Items     int      `json:"items"`
	Contents  int      `json:"contents"`
	Problems  []string `json:"problems"`       // at most maxProblems
	Next      []byte   `json:"next,omitempty"` // where to go on if the check was stopped; nil: it is complete
}

// VerifyOptions say what is checked and how.
type VerifyOptions struct {
	Mailbox model.GUID // zero: the whole database
	Deep    bool       // read all content and compare its hashes
	From    []byte     // Verified.Next of a check that was stopped
	// Step is called after each chunk, with what was found so far; an error ends
	// the check there. It is where a caller shows progress and slows it down.
	Step func(ctx context.Context, v *Verified) error
}

const (
	maxProblems = 1000
	// verifyRows is how many rows are checked on one snapshot.
	verifyRows = 512
	// verifyTime is how long such a snapshot may be used.
	verifyTime = 2 * time.Minute
)

// verifier walks the rows of a database in the order of their keys. Each
// invariant is one between few rows, so it is checked on the snapshot that the
// row came from: a change between two chunks can not look like damage.
type verifier struct {
	Verified
	ctx    context.Context
	d      *Database
	r      kv.Snapshot
	wants  []want
	deep   []content.ID
	boxes  map[layout.Number]model.GUID
	owners map[layout.Number]*owners
	box    layout.Number // that of the row last seen
	// passing are mailboxes that come or go: their rows are not whole.
	passing map[layout.Number]bool

	damaged map[layout.Number]bool // mailboxes with problems; nil: not asked for
}

// want is rows that are needed to judge another.
type want struct {
	keys  [][]byte
	judge func(vals [][]byte)
}

// Verify checks every invariant of a database, or of one mailbox, while it is
// in use: rows against indexes, logs, counts and references in both directions.
// A ctx that ends, or an error of Step, stops it; what was found until then is
// returned with the error, and Next says where to go on.
func Verify(ctx context.Context, d *Database, o VerifyOptions) (*Verified, error) {
	c := &verifier{ctx: ctx, d: d, boxes: map[layout.Number]model.GUID{}, owners: map[layout.Number]*owners{}}
	lower, upper := o.From, []byte(nil)
	if !o.Mailbox.IsZero() {
		v, err := d.KV.Get(ctx, layout.MailboxDirKey(o.Mailbox))
		n, ok := layout.DecodeDirEntry(v)
		if err != nil || !ok {
			return nil, content.Wrap("store.verify", "mailbox "+o.Mailbox.String(), errors.Join(err, notOK(ok)))
		}
		p := n.Key(0)[:5]
		upper = layout.PrefixEnd(p)
		if lower == nil {
			lower = p
		}
	}
	for from := lower; ; {
		next, err := c.chunk(from, upper, o.Deep)
		c.Next = next
		if err != nil {
			c.Next = from
			return &c.Verified, content.Wrap("store.verify", d.Name, err)
		}
		if o.Step != nil {
			if err := o.Step(ctx, &c.Verified); err != nil {
				return &c.Verified, content.Wrap("store.verify", d.Name, err)
			}
		}
		if next == nil {
			return &c.Verified, nil
		}
		from = next
	}
}

func notOK(ok bool) error {
	if ok {
		return nil
	}
	return layout.Corrupt("mailbox directory")
}

func (c *verifier) bad(format string, args ...any) {
	if c.damaged != nil && len(args) > 0 {
		if m, ok := args[0].(layout.Number); ok {
			c.damaged[m] = true
		}
	}
	if len(c.Problems) < maxProblems {
		c.Problems = append(c.Problems, fmt.Sprintf(format, args...))
	}
}

// ask has judge called with the values of keys, before the chunk ends.
func (c *verifier) ask(judge func(vals [][]byte), keys ...[]byte) {
	c.wants = append(c.wants, want{keys, judge})
}

// chunk checks the rows from a key on, on one snapshot, and returns where the
// next chunk begins, nil at the end.
func (c *verifier) chunk(from, upper []byte, deep bool) (next []byte, err error) {
	if c.r, err = c.d.KV.NewSnapshot("verify", verifyTime); err != nil {
		return nil, err
	}
	defer c.r.Close()
	if err := c.d.KV.WaitDurable(c.ctx, c.r.Sequence()); err != nil {
		return nil, err
	}
	if c.passing, err = passing(c.ctx, c.r); err != nil {
		return nil, err
	}
	n, weight := 0, 0
	it := c.r.Scan(c.ctx, kv.Range{Lower: from, Upper: upper, Limit: verifyRows})
	var last []byte
	for it.Next() {
		k, v := slices.Clone(it.Key()), slices.Clone(it.Value())
		last = k
		n, weight = n+1, weight+len(v)
		c.row(k, v)
		if weight > 4<<20 {
			break
		}
	}
	err = it.Close()
	if errors.Is(err, kv.ErrCorrupt) {
		if next, err = c.pastDamage(max2(from, last), upper, err); err != nil {
			return nil, err
		}
	} else if err != nil {
		return nil, err
	} else if n == verifyRows || weight > 4<<20 {
		next = append(slices.Clone(last), 0)
	}
	c.Rows += n
	if err := c.settle(); err != nil {
		return nil, err
	}
	if !deep {
		c.deep = nil
		return next, nil
	}
	return next, c.octets()
}

// passing lists the mailboxes that are being moved here or removed.
func passing(ctx context.Context, r kv.Reader) (map[layout.Number]bool, error) {
	out := map[layout.Number]bool{}
	it := r.Scan(ctx, kv.Range{Lower: []byte{layout.SpaceMailboxDir}, Upper: []byte{layout.SpaceMailboxDir + 1}})
	for it.Next() {
		if v := it.Value(); len(v) == 5 && v[0] != layout.DirLive && v[0] <= layout.DirWhole {
			out[layout.Number(binary.BigEndian.Uint32(v[1:]))] = true
		}
	}
	return out, it.Close()
}

func max2(a, b []byte) []byte {
	if b != nil {
		return append(slices.Clone(b), 0)
	}
	return a
}

// settle reads what was asked for, round by round, and lets it be judged.
func (c *verifier) settle() error {
	for len(c.wants) > 0 {
		round := c.wants
		c.wants = nil
		for len(round) > 0 {
			var keys [][]byte
			n := 0
			for n < len(round) && (n == 0 || len(keys)+len(round[n].keys) <= 2048) {
				keys = append(keys, round[n].keys...)
				n++
			}
			vals, err := c.r.GetMany(c.ctx, keys)
			if err != nil {
				if !errors.Is(err, kv.ErrCorrupt) {
					return err
				}
				vals, err = c.oneByOne(keys)
				if err != nil {
					return err
				}
			}
			for _, w := range round[:n] {
				w.judge(vals[:len(w.keys)])
				vals = vals[len(w.keys):]
			}
			round = round[n:]
		}
	}
	return nil
}

// oneByOne reads keys of which some are in damaged parts of the disk.
func (c *verifier) oneByOne(keys [][]byte) ([][]byte, error) {
	vals := make([][]byte, len(keys))
	for i, k := range keys {
		v, err := c.r.GetMany(c.ctx, [][]byte{k})
		if err == nil {
			vals[i] = v[0]
		} else if !errors.Is(err, kv.ErrCorrupt) {
			return nil, err
		}
	}
	return vals, nil
}

// pastDamage finds where rows can be read again: the first key after ever
// longer gaps.
func (c *verifier) pastDamage(from, upper []byte, why error) ([]byte, error) {
	c.bad("rows from %x on can not be read: %v", from, why)
	for n := len(from); n > 0; n-- {
		next := layout.PrefixEnd(from[:n])
		if next == nil || upper != nil && string(next) >= string(upper) {
			return nil, nil
		}
		it := c.r.Scan(c.ctx, kv.Range{Lower: next, Upper: upper, Limit: 1})
		for it.Next() {
			next = slices.Clone(it.Key())
		}
		if err := it.Close(); err == nil {
			return next, nil
		} else if !errors.Is(err, kv.ErrCorrupt) {
			return nil, err
		}
	}
	return nil, nil
}

// octets compares the hashes of the streams of a chunk. That takes time, so it
// is not done on the snapshot.
func (c *verifier) octets() error {
	ids := c.deep
	c.deep = nil
	for _, id := range ids {
		if err := c.ctx.Err(); err != nil {
			return err
		}
		err := c.d.Content.CheckOctets(c.ctx, c.d.KV, id)
		if model.IsKind(err, model.KindUnavailable) || model.IsKind(err, model.KindCanceled) {
			return err
		}
		if err == nil {
			continue
		}
		if _, gone := c.d.KV.Get(c.ctx, content.HeaderKey(id)); !errors.Is(gone, kv.ErrNotFound) {
			c.bad("content %d: %v", id, err)
		}
	}
	return nil
}

// row checks one row, whatever it is.
func (c *verifier) row(k, v []byte) {
	switch {
	case k[0] == layout.SpaceFact, k[0] == layout.SpaceDelivered:
	case k[0] == layout.SpaceOutbox:
		c.outgoing(k, v)
	case k[0] == layout.SpaceMailboxDir:
		c.dirEntry(k, v)
	case k[0] >= content.FirstSpace && k[0] <= content.LastSpace:
		c.contentRow(k, v)
	case k[0] == layout.SpaceMailbox && len(k) >= 6:
		m := layout.Number(uint32(k[1])<<24 | uint32(k[2])<<16 | uint32(k[3])<<8 | uint32(k[4]))
		if c.passing[m] {
			return
		}
		if m != c.box {
			c.box = m
			c.mailbox(m)
		}
		c.boxRow(m, k[5], k, v)
	default:
		c.bad("key %x is in no space there is", k)
	}
}

func (c *verifier) dirEntry(k, v []byte) {
	n, ok := layout.DecodeDirEntry(v)
	if len(k) == 17 && len(v) == 5 && c.passing[layout.Number(binary.BigEndian.Uint32(v[1:]))] {
		return
	}
	if len(k) != 17 || !ok {
		c.bad("mailbox directory: entry %x is malformed", k)
		return
	}
	g := model.GUID(k[1:])
	c.ask(func(vals [][]byte) {
		var h layout.Header
		if vals[0] == nil || h.Decode(vals[0]) != nil || h.GUID != g {
			c.bad("mailbox directory: %s leads to mailbox %d, which is not it", g, n)
		}
	}, n.Key(layout.SubHeader))
}

// outgoing checks a message of the outbox and its reference.
func (c *verifier) outgoing(k, v []byte) {
	if len(k) != 9 {
		c.bad("outbox: key %x is malformed", k)
		return
	}
	id := layout.OutboxID(binary.BigEndian.Uint64(k[1:]))
	o, err := layout.DecodeOutgoing(id, v)
	if err != nil {
		c.bad("outbox: message %d: %v", id, err)
		return
	}
	if o.Content == 0 {
		return
	}
	c.ask(func(vals [][]byte) {
		if vals[0] == nil {
			c.bad("outbox: message %d has no reference to its content %d", id, o.Content)
		}
	}, content.RefKey(o.Content, layout.OutboxMailbox, uint64(id)))
}

// mailbox is called at the first row of each.
func (c *verifier) mailbox(m layout.Number) {
	c.Mailboxes++
	c.ask(func(vals [][]byte) {
		var h layout.Header
		if vals[0] == nil || h.Decode(vals[0]) != nil {
			c.bad("mailbox %d has no readable header", m)
			return
		}
		var k layout.Counters
		if vals[1] == nil || k.Decode(vals[1]) != nil {
			c.bad("mailbox %d has no readable counters", m)
		}
		if vals[2] == nil {
			c.bad("mailbox %d has no replica of its own", m)
		}
		c.ask(func(vals [][]byte) {
			if n, ok := layout.DecodeDirEntry(vals[0]); !ok || n != m {
				c.bad("mailbox %d, %s, is not in the mailbox directory", m, h.DisplayName)
			}
		}, layout.MailboxDirKey(h.GUID))
	}, m.Key(layout.SubHeader), m.Key(layout.SubCounters), m.Replica(layout.OwnReplica))
}

func (c *verifier) contentRow(k, v []byte) {
	if id, box, row, ok := content.ParseRef(k); ok {
		c.reference(id, layout.Number(box), row)
		return
	}
	why, err := c.d.Content.CheckRow(c.ctx, c.r, k, v)
	switch {
	case err != nil:
		c.bad("content row %x: %v", k, err)
	case why != "":
		c.bad("content row %x: %s", k, why)
	}
	if k[0] == content.FirstSpace && len(k) == 9 {
		c.Contents++
		c.deep = append(c.deep, content.ID(layout.Get48(k[3:])))
	}
}

// reference checks that the row which refers to content is there and does.
func (c *verifier) reference(id content.ID, m layout.Number, row uint64) {
	if c.passing[m] {
		return
	}
	if m == layout.OutboxMailbox {
		c.ask(func(vals [][]byte) {
			if o, err := layout.DecodeOutgoing(layout.OutboxID(row), vals[0]); err != nil || o.Content != id || vals[1] == nil {
				c.bad("outbox: message %d does not have content %d, or there is none", row, id)
			}
		}, layout.OutboxKey(layout.OutboxID(row)), content.HeaderKey(id))
		return
	}
	keys := append(m.LeafKeys(layout.RowID(row&(1<<44-1))), content.HeaderKey(id))
	kind := layout.RenderingKind(row >> 44)
	if kind != 0 {
		keys[0] = m.Rendering(layout.RowID(row&(1<<44-1)), kind)
	}
	c.ask(func(vals [][]byte) {
		if vals[3] == nil {
			c.bad("mailbox %d: row %x refers to content %d, which does not exist", m, row, id)
		}
		if kind != 0 {
			if r, err := layout.DecodeRendering(vals[0]); err != nil || r.Stream.Content != id {
				c.bad("mailbox %d: rendering %x does not have content %d, which it refers to", m, row, id)
			}
			return
		}
		l, err := layout.MakeLeaf(c.ctx, c.r, m, layout.RowID(row), vals[:3], true)
		if err != nil || !slices.Contains(l.IDs, id) {
			c.bad("mailbox %d: row %d does not have content %d, which it refers to", m, row, id)
		}
	}, keys...)
}

// sum adds a folder's items up and compares with its counts. A large folder is
// read on several snapshots: its counts say whether anything changed meanwhile.
func (c *verifier) sum(m layout.Number, id layout.FolderID, k *layout.Counts) {
	if k.Total+k.Associated+k.Deleted < 50000 {
		got, err := addUp(c.ctx, c.r, m, id)
		if err != nil {
			c.bad("mailbox %d: folder %d: %v", m, id, err)
			return
		}
		c.compare(m, id, k, got)
		return
	}
	for range 3 {
		now, err := folderCounts(c.ctx, c.d.KV, m, id)
		if err != nil {
			return // it was deleted meanwhile
		}
		got, err := addUpLarge(c.ctx, c.d.KV, m, id)
		if err != nil {
			c.bad("mailbox %d: folder %d: %v", m, id, err)
			return
		}
		if after, err := folderCounts(c.ctx, c.d.KV, m, id); err == nil && after.Seq == now.Seq {
			c.compare(m, id, now, got)
			return
		}
	}
	c.sumLocked(m, id)
}

// sumLocked is sum for a folder that changes all the time: its mailbox waits.
func (c *verifier) sumLocked(m layout.Number, id layout.FolderID) {
	v, err := c.r.GetMany(c.ctx, [][]byte{m.Key(layout.SubHeader)})
	var h layout.Header
	if err != nil || v[0] == nil || h.Decode(v[0]) != nil {
		return // found elsewhere
	}
	_ = c.d.Boxes.Hold(c.ctx, h.GUID, func() { // one that has gone has no counts
		now, err := folderCounts(c.ctx, c.d.KV, m, id)
		if err != nil {
			return
		}
		if got, err := addUpLarge(c.ctx, c.d.KV, m, id); err == nil {
			c.compare(m, id, now, got)
		} else {
			c.bad("mailbox %d: folder %d: %v", m, id, err)
		}
	})
}

func folderCounts(ctx context.Context, r kv.Reader, m layout.Number, id layout.FolderID) (*layout.Counts, error) {
	v, err := r.Get(ctx, m.ID(layout.SubCounts, uint64(id)))
	if err != nil {
		return nil, err
	}
	k := &layout.Counts{}
	return k, k.Decode(v)
}

func addUp(ctx context.Context, r kv.Reader, m layout.Number, id layout.FolderID) (*layout.Counts, error) {
	got := &layout.Counts{}
	for _, sp := range []layout.Space{layout.Normal, layout.Associated, layout.Deleted} {
		err := layout.ScanStates(ctx, r, m, id, sp, 0, layout.MaxN, 0, got.Take)
		if err != nil && !model.IsKind(err, model.KindCorrupt) {
			return nil, err
		}
	}
	return got, nil
}

// addUpLarge is addUp in parts that are read on their own.
func addUpLarge(ctx context.Context, r kv.Reader, m layout.Number, id layout.FolderID) (*layout.Counts, error) {
	got := &layout.Counts{}
	for _, sp := range []layout.Space{layout.Normal, layout.Associated, layout.Deleted} {
		for from, n := uint64(0), 1; n > 0; {
			n = 0
			err := layout.ScanStates(ctx, r, m, id, sp, from, layout.MaxN, 20000, func(s *layout.State) bool {
				n++
				from = s.Place.N + 1
				return got.Take(s)
			})
			if err != nil {
				return nil, err
			}
		}
	}
	return got, nil
}

func (c *verifier) compare(m layout.Number, id layout.FolderID, k, got *layout.Counts) {
	if got.Total != k.Total || got.Unseen != k.Unseen || got.Size != k.Size || got.Associated != k.Associated ||
		got.Deleted != k.Deleted || got.DeletedSize != k.DeletedSize {
		c.bad("mailbox %d: folder %d: counts are %+v, items add up to %+v", m, id, *k, *got)
	}
	if got.Seq > k.Seq {
		c.bad("mailbox %d: folder %d: item has seq %d, folder %d", m, id, got.Seq, k.Seq)
	}
	if got.NextUID > k.NextUID {
		c.bad("mailbox %d: folder %d: UID %d is not below next UID %d", m, id, got.NextUID-1, k.NextUID)
	}
	if got.Unseen > 0 && (k.FirstUnseen == 0 || k.FirstUnseen > got.FirstUnseen) {
		c.bad("mailbox %d: folder %d: first unseen is %d, kept bound %d", m, id, got.FirstUnseen, k.FirstUnseen)
	}
}
