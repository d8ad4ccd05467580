package fsck

import (
	"bytes"
	"context"
	"encoding/binary"
	"slices"
	"strings"

	"rialto/internal/kv"
	"rialto/internal/mapi"
	"rialto/internal/store/content"
	"rialto/internal/store/layout"
)

// keyLengths are those of the keys of a mailbox, without the six octets that
// all begin with; -1: several.
var keyLengths = [...]int{
	layout.SubHeader: 0, layout.SubCounters: 0, layout.SubReplica: 2, layout.SubNamedProp: 2, layout.SubPropByName: 16, layout.SubFolder: 6, layout.SubCounts: 6, layout.SubFolderName: 22,
	layout.SubState: 13, layout.SubSummary: 13, layout.SubBag: 6, layout.SubRecipients: -1, layout.SubAttachment: 10, layout.SubStream: 6,
	layout.SubByOID: 6, layout.SubByMID: 6, layout.SubBySourceKey: 16, layout.SubByMessageID: 22, layout.SubConversation: 22, layout.SubByTime: 20,
	layout.SubLog: 9, layout.SubFolderLog: 14, layout.SubHorizon: -1, layout.SubDevice: -1, layout.SubStaging: -1, layout.SubReadState: 22, layout.SubPermissions: 6, layout.SubReceive: -1,
	layout.SubSearch: -1, layout.SubRule: -1, layout.SubFrozen: 7, layout.SubOOFSent: -1, layout.SubReservedMID: 8, layout.SubReplicaLog: -1, layout.SubDerived: -1, layout.SubSettings: -1,
}

// boxRow checks a row of a mailbox.
func (c *verifier) boxRow(m layout.Number, sub byte, k, v []byte) {
	if int(sub) >= len(keyLengths) || keyLengths[sub] == 0 && sub > layout.SubCounters {
		c.bad("mailbox %d: key %x is in no space there is", m, k[5:])
		return
	}
	rest := k[6:]
	if n := keyLengths[sub]; n >= 0 && len(rest) != n {
		c.bad("mailbox %d: key %x is malformed", m, k[5:])
		return
	}
	switch sub {
	case layout.SubReplica:
		if d := layout.NewReader(v); len(v) < 17 || d.Byte() > layout.ReplicaFormer {
			c.bad("mailbox %d: replica %x is malformed", m, rest)
		}
	case layout.SubNamedProp, layout.SubPropByName:
		c.name(m, sub, rest, v)
	case layout.SubFolder:
		c.folder(m, layout.FolderID(layout.Get48(rest)), v)
	case layout.SubCounts:
		c.counts(m, layout.FolderID(layout.Get48(rest)), v)
	case layout.SubFolderName:
		c.folderName(m, rest, v)
	case layout.SubState:
		c.state(m, k, v)
	case layout.SubSummary:
		p, _ := layout.ParsePlace(k)
		c.exists(m.Place(layout.SubState, p), "mailbox %d: summary at %+v has no item", m, p)
	case layout.SubBag, layout.SubRecipients, layout.SubAttachment, layout.SubStream, layout.SubFrozen:
		c.leafRow(m, sub, rest)
	case layout.SubByOID, layout.SubByMID, layout.SubBySourceKey, layout.SubByMessageID, layout.SubConversation, layout.SubByTime:
		c.index(m, sub, rest, v)
	case layout.SubLog, layout.SubFolderLog:
		c.log(m, sub, rest, v)
	default:
		c.perFolder(m, sub, rest, v)
	}
}

// exists reports unless a row is there.
func (c *verifier) exists(key []byte, format string, args ...any) {
	c.ask(func(vals [][]byte) {
		if vals[0] == nil {
			c.bad(format, args...)
		}
	}, key)
}

// name checks a named property against the other direction.
func (c *verifier) name(m layout.Number, sub byte, rest, v []byte) {
	if sub == layout.SubNamedProp {
		n, err := layout.DecodeName(v)
		if err != nil {
			c.bad("mailbox %d: named property %x: %v", m, rest, err)
			return
		}
		c.ask(func(vals [][]byte) {
			if len(vals[0]) != 3 || !bytes.Equal(vals[0][1:], rest) {
				c.bad("mailbox %d: the name of property %x does not lead to it", m, rest)
			}
		}, m.PropByName(layout.FoldProperty(n)))
		return
	}
	if len(v) != 3 {
		c.bad("mailbox %d: property name %x is malformed", m, rest)
		return
	}
	c.ask(func(vals [][]byte) {
		n, err := layout.DecodeName(vals[0])
		if err != nil || !bytes.Equal(m.PropByName(layout.FoldProperty(n))[6:], rest) {
			c.bad("mailbox %d: property name %x leads to a property of another name", m, rest)
		}
	}, m.NamedProp(binary.BigEndian.Uint16(v[1:])))
}

func (c *verifier) folder(m layout.Number, id layout.FolderID, v []byte) {
	c.Folders++
	f, err := layout.DecodeFolder(id, v)
	if err != nil {
		c.bad("mailbox %d: folder %d: %v", m, id, err)
		return
	}
	keys := [][]byte{m.ID(layout.SubCounts, uint64(id)), m.ChildName(f.Parent, f.Name), m.LogKey(f.Seq, layout.ChangeFolder), m.Key(layout.SubCounters), m.ID(layout.SubFolder, uint64(f.Parent))}
	c.ask(func(vals [][]byte) {
		if vals[0] == nil {
			c.bad("mailbox %d: folder %d has no counts", m, id)
		}
		if !bytes.Equal(vals[1], layout.FolderRef(id)) {
			c.bad("mailbox %d: folder %d: its name %q does not lead to it", m, id, f.Name)
		}
		if ch, err := layout.DecodeChange(f.Seq, vals[2]); err != nil || ch.Kind != layout.ChangeFolder || ch.Folder != id {
			c.bad("mailbox %d: folder %d is not in the log at %d", m, id, f.Seq)
		}
		var n layout.Counters
		if n.Decode(vals[3]) == nil && (uint64(f.Seq) > n.Seq || id >= layout.FirstFreeID && uint64(id) > n.ID) {
			c.bad("mailbox %d: folder %d has numbers that were not given", m, id)
		}
		if f.Parent != 0 && vals[4] == nil || f.Parent == id {
			c.bad("mailbox %d: folder %d is in folder %d, which does not exist", m, id, f.Parent)
		}
	}, keys...)
}

func (c *verifier) counts(m layout.Number, id layout.FolderID, v []byte) {
	k := &layout.Counts{}
	if err := k.Decode(v); err != nil {
		c.bad("mailbox %d: folder %d: %v", m, id, err)
		return
	}
	c.ask(func(vals [][]byte) {
		if vals[0] == nil {
			c.bad("mailbox %d: counts of folder %d, which does not exist", m, id)
			return
		}
		if ch, err := layout.DecodeChange(k.Seq, vals[1]); k.Seq != 0 && (err != nil || ch.Kind != layout.ChangeCounts || ch.Folder != id) && !sameSeq(vals[1]) {
			c.bad("mailbox %d: folder %d's counts are not in the log at %d", m, id, k.Seq)
		}
		c.sum(m, id, k)
	}, m.ID(layout.SubFolder, uint64(id)), m.LogKey(k.Seq, layout.ChangeCounts))
}

// sameSeq reports a counts entry of another folder: those that changed in one
// batch may share a seq, and the last one stands.
func sameSeq(v []byte) bool { return len(v) > 0 && layout.ChangeKind(v[0]) == layout.ChangeCounts }

func (c *verifier) folderName(m layout.Number, rest, v []byte) {
	if len(v) != 7 {
		c.bad("mailbox %d: folder name %x is malformed", m, rest)
		return
	}
	id := layout.FolderID(layout.Get48(v[1:]))
	c.ask(func(vals [][]byte) {
		f, err := layout.DecodeFolder(id, vals[0])
		if err != nil || !bytes.Equal(m.ChildName(f.Parent, f.Name)[6:], rest) {
			c.bad("mailbox %d: a folder name leads to folder %d, which has another name or does not exist", m, id)
		}
	}, m.ID(layout.SubFolder, uint64(id)))
}

// state checks an item from its state row.
func (c *verifier) state(m layout.Number, k, v []byte) {
	p, _ := layout.ParsePlace(k)
	s := &layout.State{}
	if err := s.Decode(p, v); err != nil {
		c.bad("mailbox %d: item at %+v: %v", m, p, err)
		return
	}
	c.Items++
	keys := append(m.LeafKeys(s.Row), m.Place(layout.SubSummary, p), m.ID(layout.SubFolder, uint64(p.Folder)), m.Key(layout.SubCounters),
		m.ID(layout.SubByOID, uint64(s.OID)), m.ID(layout.SubByMID, uint64(s.MID)), m.LogKey(s.Seq, layout.ChangeItem), m.FolderLogAt(p.Folder, s.Seq))
	if s.Foreign.SourceKey != nil {
		keys = append(keys, m.SourceKey(s.Foreign.SourceKey))
	}
	c.ask(func(vals [][]byte) { c.item(m, s, vals) }, keys...)
}

func (c *verifier) item(m layout.Number, s *layout.State, vals [][]byte) {
	bad := func(format string, args ...any) {
		c.bad("mailbox %d: item %d: "+format, append([]any{m, s.Row}, args...)...)
	}
	it := &layout.FullItem{State: s, Summary: vals[3]}
	if err := it.Interpret(); err != nil {
		bad("%v", err)
	}
	if vals[4] == nil {
		bad("it is in folder %d, which does not exist", s.Place.Folder)
	}
	var n layout.Counters
	if n.Decode(vals[5]) == nil && (uint64(max(s.Seq, s.Created)) > n.Seq || uint64(s.Row) > n.ID || uint64(s.OID) > n.ID) {
		bad("it has numbers that were not given")
	}
	place := layout.EncodePlace(s.Place)
	for i, what := range []string{"OID", "MID"} {
		if !bytes.Equal(vals[6+i], place) {
			bad("its %s does not lead to it", what)
		}
	}
	if len(vals) > 10 && !bytes.Equal(vals[10], place) {
		bad("its source key does not lead to it")
	}
	if s.Place.Space != layout.Deleted {
		for i, what := range []string{"mailbox", "folder"} {
			if ch, err := layout.DecodeChange(s.Seq, vals[8+i]); err != nil || ch.Kind != layout.ChangeItem || ch.Row != s.Row {
				bad("it is not in the log of the %s at %d", what, s.Seq)
			}
		}
	}
	c.names(m, s, it)
	l, err := layout.MakeLeaf(c.ctx, c.r, m, s.Row, vals[:3], true)
	if err != nil {
		bad("%v", err)
		return
	}
	if s.Flags&layout.HasAttachments == 0 && len(l.Attach) > 0 {
		bad("has %d attachments, its state says none", len(l.Attach))
	}
	c.leaf(m, s.Row, s.Row, l, 0)
}

// names checks that what finds the item by the names in its summary is there.
func (c *verifier) names(m layout.Number, s *layout.State, it *layout.FullItem) {
	var keys [][]byte
	if it.MessageID != "" {
		keys = append(keys, m.Hashed(layout.SubByMessageID, layout.MessageIDHash(it.MessageID), uint64(s.OID)))
	}
	if len(it.Conversation) == 16 {
		keys = append(keys, m.Hashed(layout.SubConversation, [16]byte(it.Conversation), uint64(s.OID)))
	}
	if s.Place.Space == layout.Normal {
		keys = append(keys, m.ByTime(s.Place.Folder, mapi.FileTime(s.Time), s.OID))
	}
	c.ask(func(vals [][]byte) {
		for i, v := range vals {
			if v == nil {
				c.bad("mailbox %d: item %d: it is not in index %02x", m, s.Row, keys[i][5])
			} else if u, err := layout.DecodeTimed(v); keys[i][5] == layout.SubByTime && (err != nil || u != 0 && u != s.UID()) {
				c.bad("mailbox %d: item %d: index %02x does not say where it is", m, s.Row, keys[i][5])
			}
		}
	}, keys...)
}

// leaf checks what hangs on a row: its rows, references, embedded messages.
func (c *verifier) leaf(m layout.Number, item, at layout.RowID, l *layout.Leaf, depth int) {
	if _, err := layout.DecodeBag(l.Bag); err != nil {
		c.bad("mailbox %d: item %d: row %d: %v", m, item, at, err)
	}
	if _, err := layout.DecodeRecipients(l.Recipients); err != nil {
		c.bad("mailbox %d: item %d: row %d: %v", m, item, at, err)
	}
	for _, id := range l.IDs {
		c.refers(m, item, uint64(at), id)
	}
	for _, a := range l.Attach {
		if a.Child == 0 {
			continue
		}
		child, err := layout.ReadLeaf(c.ctx, c.r, m, a.Child)
		if err == nil && depth >= layout.MaxEmbedded {
			err = layout.Corrupt("embedded messages")
		}
		if err != nil {
			c.bad("mailbox %d: item %d: embedded message %d: %v", m, item, a.Number, err)
			continue
		}
		c.leaf(m, item, a.Child, child, depth+1)
	}
}

// refers checks that the reference of a row to content, and the content, exist.
func (c *verifier) refers(m layout.Number, item layout.RowID, row uint64, id content.ID) {
	c.ask(func(vals [][]byte) {
		if vals[0] == nil {
			c.bad("mailbox %d: item %d: content %d is missing", m, item, id)
		}
		if vals[1] == nil {
			c.bad("mailbox %d: item %d: no reference says that content %d is used", m, item, id)
		}
	}, content.HeaderKey(id), content.RefKey(id, uint32(m), row))
	c.deep = append(c.deep, id)
}

// owners are the rows of a mailbox on which others may hang.
type owners struct {
	rows []uint64 // ascending
	upto uint64   // ids above this were given afterwards
}

func (o *owners) has(id uint64) bool {
	_, ok := slices.BinarySearch(o.rows, id)
	return ok || id > o.upto
}

// leafRow checks that a row which hangs on another has an owner. Most are found
// by the OID that was the row's number too; the rest by the list of all rows.
func (c *verifier) leafRow(m layout.Number, sub byte, rest []byte) {
	id := layout.Get48(rest)
	c.ask(func(vals [][]byte) {
		if p, err := layout.DecodePlace(vals[0]); err == nil {
			c.ask(func(vals [][]byte) {
				var s layout.State
				if vals[0] == nil || s.Decode(p, vals[0]) != nil || uint64(s.Row) != id {
					c.orphan(m, sub, id)
				}
			}, m.Place(layout.SubState, p))
		} else if sub != layout.SubBag || id != 0 && vals[1] == nil {
			c.orphan(m, sub, id)
		}
	}, m.ID(layout.SubByOID, id), m.ID(layout.SubFolder, id))
	if sub == layout.SubFrozen {
		c.ask(func(vals [][]byte) {
			r, err := layout.DecodeRendering(vals[0])
			if err != nil {
				c.bad("mailbox %d: rendering %x: %v", m, rest, err)
				return
			}
			c.refers(m, layout.RowID(id), layout.RenderingRef(layout.RowID(id), layout.RenderingKind(rest[6])), r.Stream.Content)
		}, append(m.Key(sub), rest...))
	}
}

func (c *verifier) orphan(m layout.Number, sub byte, id uint64) {
	o := c.owners[m]
	if o == nil {
		var err error
		if o, err = ownersOf(c.ctx, c.d, m); err != nil {
			c.bad("mailbox %d: %v", m, err)
			o = &owners{}
		}
		c.owners[m] = o
	}
	if !o.has(id) {
		c.bad("mailbox %d: space %02x has a row of item %d, which does not exist", m, sub, id)
	}
}

// ownersOf lists the rows of items and embedded messages of a mailbox.
func ownersOf(ctx context.Context, d *Database, m layout.Number) (*owners, error) {
	snap, err := d.KV.NewSnapshot("verify", verifyTime)
	if err != nil {
		return nil, err
	}
	defer snap.Close()
	o := &owners{}
	v, err := snap.Get(ctx, m.Key(layout.SubHeader))
	var h layout.Header
	if err == nil && h.Decode(v) == nil {
		if id, err := d.Boxes.LastID(ctx, h.GUID); err == nil {
			snap.Close()
			o.upto = id // what has a higher id is not in the view
			if snap, err = d.KV.NewSnapshot("verify", verifyTime); err != nil {
				return nil, err
			}
		}
	}
	if o.upto == 0 {
		o.upto = layout.MaxN
	}
	it := snap.Scan(ctx, kv.Range{Lower: m.Key(layout.SubState), Upper: m.Key(layout.SubSummary)})
	for it.Next() {
		var s layout.State
		if p, ok := layout.ParsePlace(it.Key()); ok && s.Decode(p, it.Value()) == nil {
			o.rows = append(o.rows, uint64(s.Row))
		}
	}
	if err := it.Close(); err != nil {
		return nil, err
	}
	p := m.Key(layout.SubAttachment)
	it = snap.Scan(ctx, kv.Range{Lower: p, Upper: layout.PrefixEnd(p)})
	for it.Next() {
		if a, err := layout.DecodeAttachment(it.Key(), len(p)+6, it.Value()); err == nil && a.Child != 0 {
			o.rows = append(o.rows, uint64(a.Child))
		}
	}
	slices.Sort(o.rows)
	return o, it.Close()
}

// index checks that a name leads to an item that has it.
func (c *verifier) index(m layout.Number, sub byte, rest, v []byte) {
	if sub == layout.SubByOID || sub == layout.SubByMID || sub == layout.SubBySourceKey {
		p, err := layout.DecodePlace(v)
		if err != nil {
			c.bad("mailbox %d: index %02x: %v", m, sub, err)
			return
		}
		c.ask(func(vals [][]byte) {
			var s layout.State
			ok := vals[0] != nil && s.Decode(p, vals[0]) == nil
			switch sub {
			case layout.SubByOID:
				ok = ok && uint64(s.OID) == layout.Get48(rest)
			case layout.SubByMID:
				ok = ok && uint64(s.MID) == layout.Get48(rest)
			case layout.SubBySourceKey:
				ok = ok && bytes.Equal(m.SourceKey(s.Foreign.SourceKey)[6:], rest)
			}
			if !ok {
				c.bad("mailbox %d: index %02x: %x leads to no item that has it", m, sub, rest)
			}
		}, m.Place(layout.SubState, p))
		return
	}
	c.ask(func(vals [][]byte) {
		p, err := layout.DecodePlace(vals[0])
		if err != nil {
			c.bad("mailbox %d: index %02x: %x is of no item", m, sub, rest)
			return
		}
		c.ask(func(vals [][]byte) { c.indexed(m, sub, rest, p, vals) }, m.Place(layout.SubState, p), m.Place(layout.SubSummary, p))
	}, m.ID(layout.SubByOID, layout.Get48(rest[len(rest)-6:])))
}

func (c *verifier) indexed(m layout.Number, sub byte, rest []byte, p layout.Place, vals [][]byte) {
	s := &layout.State{}
	it := &layout.FullItem{State: s, Summary: vals[1]}
	ok := vals[0] != nil && s.Decode(p, vals[0]) == nil && it.Interpret() == nil
	if ok {
		switch sub {
		case layout.SubByMessageID:
			h := layout.MessageIDHash(it.MessageID)
			ok = bytes.Equal(h[:], rest[:16])
		case layout.SubConversation:
			ok = bytes.Equal(it.Conversation, rest[:16])
		case layout.SubByTime:
			ok = p.Space == layout.Normal && bytes.Equal(m.ByTime(p.Folder, mapi.FileTime(s.Time), s.OID)[6:], rest)
		}
	}
	if !ok {
		c.bad("mailbox %d: index %02x: %x leads to an item that does not have it", m, sub, rest)
	}
}

// log checks an entry of either log against the rows.
func (c *verifier) log(m layout.Number, sub byte, rest, v []byte) {
	folder := layout.FolderID(0)
	if sub == layout.SubFolderLog {
		folder = layout.FolderID(layout.Get48(rest))
		rest = rest[6:]
	}
	seq := layout.Seq(binary.BigEndian.Uint64(rest))
	ch, err := layout.DecodeChange(seq, v)
	if err != nil {
		c.bad("mailbox %d: log entry %d: %v", m, seq, err)
		return
	}
	if folder != 0 {
		c.exists(m.ID(layout.SubFolder, uint64(folder)), "mailbox %d: log of folder %d, which does not exist", m, folder)
	}
	stale := func() { c.bad("mailbox %d: log entry %d, kind %d, of folder %d is stale", m, seq, ch.Kind, ch.Folder) }
	switch ch.Kind {
	case layout.ChangeItem:
		c.ask(func(vals [][]byte) {
			p, err := layout.DecodePlace(vals[0])
			if err != nil {
				stale()
				return
			}
			c.ask(func(vals [][]byte) {
				var s layout.State
				if vals[0] == nil || s.Decode(p, vals[0]) != nil || s.Seq != seq || s.Row != ch.Row || p.Space == layout.Deleted || folder != 0 && p.Folder != folder {
					stale()
				}
			}, m.Place(layout.SubState, p))
		}, m.ID(layout.SubByOID, uint64(ch.OID)))
	case layout.ChangeFolder:
		c.ask(func(vals [][]byte) {
			if f, err := layout.DecodeFolder(ch.Folder, vals[0]); err != nil || f.Seq != seq {
				stale()
			}
		}, m.ID(layout.SubFolder, uint64(ch.Folder)))
	case layout.ChangeCounts:
		c.ask(func(vals [][]byte) {
			var k layout.Counts
			if vals[0] == nil || k.Decode(vals[0]) != nil || k.Seq != seq {
				stale()
			}
		}, m.ID(layout.SubCounts, uint64(ch.Folder)))
	case layout.ChangeGone, layout.ChangeNoFolder:
	default:
		stale()
	}
}

// perFolder checks the rows of the remaining spaces, which belong to folders or
// to the mailbox.
func (c *verifier) perFolder(m layout.Number, sub byte, rest, v []byte) {
	switch sub {
	case layout.SubPermissions:
		if _, err := layout.DecodeACL(v); err != nil {
			c.bad("mailbox %d: permissions of folder %x: %v", m, rest, err)
		}
	case layout.SubHorizon, layout.SubSearch, layout.SubRule:
		if len(rest) < 6 {
			c.bad("mailbox %d: key %02x%x is malformed", m, sub, rest)
			return
		}
	case layout.SubReceive:
		if len(v) != 7 || layout.CheckReceiveClass(string(rest)) != nil || strings.ToLower(string(rest)) != string(rest) {
			c.bad("mailbox %d: receive folder of %q is malformed", m, rest)
			return
		}
		rest = v[1:]
	default:
		return
	}
	if id := layout.Get48(rest); id != 0 {
		c.exists(m.ID(layout.SubFolder, id), "mailbox %d: space %02x has a row of folder %d, which does not exist", m, sub, id)
	}
}
