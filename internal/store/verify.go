package store

import (
	"bytes"
	"context"
	"fmt"

	"rialto/internal/kv"
	"rialto/internal/mapi"
)

// Verified is what a check of one mailbox found.
type Verified struct {
	Items    int
	Folders  int
	Problems []string // at most maxProblems
}

const maxProblems = 1000

// verifier checks one state of a mailbox.
type verifier struct {
	Verified
	ctx    context.Context
	v      *View
	m      number
	rows   map[RowID]*State
	leaves map[RowID]bool // row ids that rows may hang on, those of embedded messages included
	counts map[FolderID]*Counts
}

// Verify checks every invariant of the mailbox on one snapshot: counts, rows,
// names, logs, references. With deep it reads every octet of the content too.
func (m *Mailbox) Verify(ctx context.Context, deep bool) (Verified, error) {
	v, err := m.View(ctx)
	if err != nil {
		return Verified{}, err
	}
	defer v.Close()
	c := &verifier{ctx: ctx, v: v, m: m.num, rows: map[RowID]*State{}, leaves: map[RowID]bool{}, counts: map[FolderID]*Counts{}}
	folders, err := v.Folders(ctx)
	if err != nil {
		return c.Verified, err
	}
	for _, f := range folders {
		if err := c.folder(f); err != nil {
			return c.Verified, err
		}
	}
	if err := c.logs(folders); err != nil {
		return c.Verified, err
	}
	if err := c.items(deep); err != nil {
		return c.Verified, err
	}
	return c.Verified, c.orphans(folders)
}

func (c *verifier) bad(format string, args ...any) {
	if len(c.Problems) < maxProblems {
		c.Problems = append(c.Problems, fmt.Sprintf(format, args...))
	}
}

// folder adds a folder's items up and compares with its counts.
func (c *verifier) folder(f *Folder) error {
	c.Folders++
	got := &Counts{}
	c.counts[f.ID] = got
	for _, sp := range []Space{Normal, Associated, Deleted} {
		err := scanStates(c.ctx, c.v.snap, c.m, f.ID, sp, 0, 1<<48-1, 0, func(s *State) bool {
			cp := *s
			c.Items++
			if c.rows[s.Row] != nil {
				c.bad("row %d is in two places", s.Row)
			}
			c.rows[s.Row] = &cp
			got.add(s, 1)
			got.Seq = max(got.Seq, s.Seq)
			if sp == Normal && UID(s.Place.N) >= f.Counts.NextUID {
				c.bad("folder %d: UID %d is not below next UID %d", f.ID, s.Place.N, f.Counts.NextUID)
			}
			return true
		})
		if err != nil {
			return err
		}
	}
	k := f.Counts
	if got.Total != k.Total || got.Unseen != k.Unseen || got.Size != k.Size || got.Associated != k.Associated ||
		got.Deleted != k.Deleted || got.DeletedSize != k.DeletedSize {
		c.bad("folder %d: counts are %+v, items add up to %+v", f.ID, k, *got)
	}
	if got.Seq > k.Seq {
		c.bad("folder %d: item has seq %d, folder %d", f.ID, got.Seq, k.Seq)
	}
	if got.Unseen > 0 && (k.FirstUnseen == 0 || k.FirstUnseen > got.FirstUnseen) {
		c.bad("folder %d: first unseen is %d, kept bound %d", f.ID, got.FirstUnseen, k.FirstUnseen)
	}
	if ref, err := c.v.Child(c.ctx, f.Parent, f.Name); err != nil || ref.ID != f.ID {
		c.bad("folder %d: its name %q does not lead to it: %v", f.ID, f.Name, err)
	}
	return nil
}

// orphans looks for rows whose item or folder does not exist.
func (c *verifier) orphans(folders map[FolderID]*Folder) error {
	it := c.v.snap.Scan(c.ctx, kv.Range{Lower: c.m.key(subState), Upper: c.m.key(subLog)})
	for it.Next() {
		k := it.Key()
		if len(k) < 12 {
			c.bad("key %x is too short", k)
			continue
		}
		switch sub := k[5]; sub {
		case subState, subSummary:
			p, _ := parsePlace(k)
			if folders[p.Folder] == nil {
				c.bad("row in folder %d, which does not exist", p.Folder)
			}
		case subBag, subRecipients, subAttachment, subStream:
			if id := get48(k[6:]); !c.leaves[RowID(id)] && (sub != subBag || id != 0 && folders[FolderID(id)] == nil) {
				c.bad("space %02x has a row of item %d, which does not exist", sub, get48(k[6:]))
			}
		}
	}
	if err := it.Close(); err != nil {
		return err
	}
	return c.renderings()
}

// renderings checks that each belongs to an item and refers to its content.
func (c *verifier) renderings() error {
	p := c.m.key(subFrozen)
	it := c.v.snap.Scan(c.ctx, kv.Range{Lower: p, Upper: prefixEnd(p)})
	for it.Next() {
		k := it.Key()
		r, err := decodeRendering(it.Value())
		if len(k) != len(p)+7 || err != nil || !c.leaves[RowID(get48(k[6:]))] {
			c.bad("rendering %x is of no item: %v", k[6:], err)
			continue
		}
		row, kind := RowID(get48(k[6:])), RenderingKind(k[12])
		if err := c.v.m.db.content.Check(c.ctx, c.v.snap, r.Stream.Content, uint32(c.m), renderingRef(row, kind), false); err != nil {
			c.bad("item %d: rendering %d: %v", row, kind, err)
		}
	}
	return it.Close()
}

// logs checks that the logs tell of each thing once.
func (c *verifier) logs(folders map[FolderID]*Folder) error {
	live := map[RowID]int{}
	_, err := c.v.MailboxChanges(c.ctx, 0, func(ch *Change) bool {
		switch ch.Kind {
		case ChangeItem:
			live[ch.Row]++
			if s := c.rows[ch.Row]; s == nil || s.Seq != ch.Seq || s.Place.Space == Deleted {
				c.bad("log entry %d of item %d is stale", ch.Seq, ch.Row)
			}
		case ChangeFolder:
			if f := folders[ch.Folder]; f == nil || f.Seq != ch.Seq {
				c.bad("log entry %d of folder %d is stale", ch.Seq, ch.Folder)
			}
		case ChangeCounts:
			if f := folders[ch.Folder]; f == nil || f.Counts.Seq != ch.Seq {
				c.bad("log entry %d of folder %d's counts is stale", ch.Seq, ch.Folder)
			}
		}
		return true
	})
	if err != nil {
		return err
	}
	for row, s := range c.rows {
		if n := live[row]; s.Place.Space != Deleted && n != 1 {
			c.bad("item %d is in the mailbox log %d times", row, n)
		}
	}
	for id := range folders {
		_, err := c.v.Changes(c.ctx, id, 0, func(ch *Change) bool {
			if s := c.rows[ch.Row]; ch.Kind == ChangeItem && (s == nil || s.Seq != ch.Seq || s.Place.Folder != id) {
				c.bad("folder %d: log entry %d is stale", id, ch.Seq)
			}
			return true
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// items checks rows, names and references of each item.
func (c *verifier) items(deep bool) error {
	for _, s := range c.rows {
		full, err := readFull(c.ctx, c.v.snap, c.m, []*State{s}, whole)
		if err != nil {
			c.bad("item %d: %v", s.Row, err)
			continue
		}
		it := full[0]
		if p, err := c.v.Find(c.ctx, s.OID); err != nil || p != s.Place {
			c.bad("item %d: its OID leads to %+v, %v", s.Row, p, err)
		}
		keys := [][]byte{c.m.id(subByMID, uint64(s.MID))}
		if it.msgID != "" {
			keys = append(keys, c.m.hashed(subByMessageID, messageIDHash(it.msgID), uint64(s.OID)))
		}
		if s.Place.Space == Normal {
			keys = append(keys, c.m.byTime(s.Place.Folder, mapi.FileTime(s.Time), s.OID))
		}
		vals, err := c.v.snap.GetMany(c.ctx, keys)
		if err != nil {
			return err
		}
		for i, v := range vals {
			if v == nil || i == 0 && !bytes.Equal(v, encodePlace(s.Place)) {
				c.bad("item %d: index %d is wrong", s.Row, i)
			}
		}
		if s.Flags&HasAttachments == 0 {
			if err := it.leaf.readAttachments(c.ctx, c.v.snap, c.m, s.Row); err != nil || len(it.leaf.attach) > 0 {
				c.bad("item %d: has %d attachments, its state says none: %v", s.Row, len(it.leaf.attach), err)
			}
		}
		c.leaf(s.Row, s.Row, it.leaf, deep, 0)
	}
	return nil
}

// leaf checks what an item's rows refer to, and those of its embedded messages.
func (c *verifier) leaf(item, at RowID, l *leaf, deep bool, depth int) {
	if c.leaves[at] || depth > maxEmbedded {
		c.bad("item %d: row %d is used twice", item, at)
		return
	}
	c.leaves[at] = true
	if _, err := decodeBag(l.bag); err != nil {
		c.bad("item %d: row %d: %v", item, at, err)
	}
	if _, err := decodeRecipients(l.recips); err != nil {
		c.bad("item %d: row %d: %v", item, at, err)
	}
	for _, id := range l.ids {
		if err := c.v.m.db.content.Check(c.ctx, c.v.snap, id, uint32(c.m), uint64(at), deep); err != nil {
			c.bad("item %d: content %d: %v", item, id, err)
		}
	}
	for _, a := range l.attach {
		if a.child == 0 {
			continue
		}
		child, err := readLeaf(c.ctx, c.v.snap, c.m, a.child)
		if err != nil {
			c.bad("item %d: embedded message %d: %v", item, a.number, err)
			continue
		}
		c.leaf(item, a.child, child, deep, depth+1)
	}
}
