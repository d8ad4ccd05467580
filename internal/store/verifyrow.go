package store

import (
	"bytes"
	"context"
	"encoding/binary"
	"slices"
	"strings"

	"rialto/internal/kv"
	"rialto/internal/mapi"
	"rialto/internal/store/content"
)

// keyLengths are those of the keys of a mailbox, without the six octets that
// all begin with; -1: several.
var keyLengths = [...]int{
	subHeader: 0, subCounters: 0, subReplica: 2, subNamedProp: 2, subPropByName: 16, subFolder: 6, subCounts: 6, subFolderName: 22,
	subState: 13, subSummary: 13, subBag: 6, subRecipients: -1, subAttachment: 10, subStream: 6,
	subByOID: 6, subByMID: 6, subBySourceKey: 16, subByMessageID: 22, subConversation: 22, subByTime: 20,
	subLog: 9, subFolderLog: 14, subHorizon: -1, subDevice: -1, subStaging: -1, subReadState: 22, subPermissions: 6, subReceive: -1,
	subSearch: -1, subRule: -1, subFrozen: 7, subOOFSent: -1, subReservedMID: 8, subReplicaLog: -1, subDerived: -1, subSettings: -1,
}

// boxRow checks a row of a mailbox.
func (c *verifier) boxRow(m number, sub byte, k, v []byte) {
	if int(sub) >= len(keyLengths) || keyLengths[sub] == 0 && sub > subCounters {
		c.bad("mailbox %d: key %x is in no space there is", m, k[5:])
		return
	}
	rest := k[6:]
	if n := keyLengths[sub]; n >= 0 && len(rest) != n {
		c.bad("mailbox %d: key %x is malformed", m, k[5:])
		return
	}
	switch sub {
	case subReplica:
		if d := newReader(v); len(v) < 17 || d.Byte() > replicaFormer {
			c.bad("mailbox %d: replica %x is malformed", m, rest)
		}
	case subNamedProp, subPropByName:
		c.name(m, sub, rest, v)
	case subFolder:
		c.folder(m, FolderID(get48(rest)), v)
	case subCounts:
		c.counts(m, FolderID(get48(rest)), v)
	case subFolderName:
		c.folderName(m, rest, v)
	case subState:
		c.state(m, k, v)
	case subSummary:
		p, _ := parsePlace(k)
		c.exists(m.place(subState, p), "mailbox %d: summary at %+v has no item", m, p)
	case subBag, subRecipients, subAttachment, subStream, subFrozen:
		c.leafRow(m, sub, rest)
	case subByOID, subByMID, subBySourceKey, subByMessageID, subConversation, subByTime:
		c.index(m, sub, rest, v)
	case subLog, subFolderLog:
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
func (c *verifier) name(m number, sub byte, rest, v []byte) {
	if sub == subNamedProp {
		n, err := decodeName(v)
		if err != nil {
			c.bad("mailbox %d: named property %x: %v", m, rest, err)
			return
		}
		c.ask(func(vals [][]byte) {
			if len(vals[0]) != 3 || !bytes.Equal(vals[0][1:], rest) {
				c.bad("mailbox %d: the name of property %x does not lead to it", m, rest)
			}
		}, m.propByName(foldName(n)))
		return
	}
	if len(v) != 3 {
		c.bad("mailbox %d: property name %x is malformed", m, rest)
		return
	}
	c.ask(func(vals [][]byte) {
		n, err := decodeName(vals[0])
		if err != nil || !bytes.Equal(m.propByName(foldName(n))[6:], rest) {
			c.bad("mailbox %d: property name %x leads to a property of another name", m, rest)
		}
	}, m.namedProp(binary.BigEndian.Uint16(v[1:])))
}

func (c *verifier) folder(m number, id FolderID, v []byte) {
	c.Folders++
	f, err := decodeFolder(id, v)
	if err != nil {
		c.bad("mailbox %d: folder %d: %v", m, id, err)
		return
	}
	keys := [][]byte{m.id(subCounts, uint64(id)), m.childName(f.Parent, f.Name), m.logKey(f.Seq, ChangeFolder), m.key(subCounters), m.id(subFolder, uint64(f.Parent))}
	c.ask(func(vals [][]byte) {
		if vals[0] == nil {
			c.bad("mailbox %d: folder %d has no counts", m, id)
		}
		if !bytes.Equal(vals[1], folderRef(id)) {
			c.bad("mailbox %d: folder %d: its name %q does not lead to it", m, id, f.Name)
		}
		if ch, err := decodeChange(f.Seq, vals[2]); err != nil || ch.Kind != ChangeFolder || ch.Folder != id {
			c.bad("mailbox %d: folder %d is not in the log at %d", m, id, f.Seq)
		}
		var n counters
		if n.decode(vals[3]) == nil && (uint64(f.Seq) > n.seq || id >= firstFreeID && uint64(id) > n.id) {
			c.bad("mailbox %d: folder %d has numbers that were not given", m, id)
		}
		if f.Parent != 0 && vals[4] == nil || f.Parent == id {
			c.bad("mailbox %d: folder %d is in folder %d, which does not exist", m, id, f.Parent)
		}
	}, keys...)
}

func (c *verifier) counts(m number, id FolderID, v []byte) {
	k := &Counts{}
	if err := k.decode(v); err != nil {
		c.bad("mailbox %d: folder %d: %v", m, id, err)
		return
	}
	c.ask(func(vals [][]byte) {
		if vals[0] == nil {
			c.bad("mailbox %d: counts of folder %d, which does not exist", m, id)
			return
		}
		if ch, err := decodeChange(k.Seq, vals[1]); k.Seq != 0 && (err != nil || ch.Kind != ChangeCounts || ch.Folder != id) && !sameSeq(vals[1]) {
			c.bad("mailbox %d: folder %d's counts are not in the log at %d", m, id, k.Seq)
		}
		c.sum(m, id, k)
	}, m.id(subFolder, uint64(id)), m.logKey(k.Seq, ChangeCounts))
}

// sameSeq reports a counts entry of another folder: those that changed in one
// batch may share a seq, and the last one stands.
func sameSeq(v []byte) bool { return len(v) > 0 && ChangeKind(v[0]) == ChangeCounts }

func (c *verifier) folderName(m number, rest, v []byte) {
	if len(v) != 7 {
		c.bad("mailbox %d: folder name %x is malformed", m, rest)
		return
	}
	id := FolderID(get48(v[1:]))
	c.ask(func(vals [][]byte) {
		f, err := decodeFolder(id, vals[0])
		if err != nil || !bytes.Equal(m.childName(f.Parent, f.Name)[6:], rest) {
			c.bad("mailbox %d: a folder name leads to folder %d, which has another name or does not exist", m, id)
		}
	}, m.id(subFolder, uint64(id)))
}

// state checks an item from its state row.
func (c *verifier) state(m number, k, v []byte) {
	p, _ := parsePlace(k)
	s := &State{}
	if err := s.decode(p, v); err != nil {
		c.bad("mailbox %d: item at %+v: %v", m, p, err)
		return
	}
	c.Items++
	keys := append(m.leafKeys(s.Row), m.place(subSummary, p), m.id(subFolder, uint64(p.Folder)), m.key(subCounters),
		m.id(subByOID, uint64(s.OID)), m.id(subByMID, uint64(s.MID)), m.logKey(s.Seq, ChangeItem), m.folderSeq(p.Folder, s.Seq))
	if s.Foreign.SourceKey != nil {
		keys = append(keys, m.sourceKey(s.Foreign.SourceKey))
	}
	c.ask(func(vals [][]byte) { c.item(m, s, vals) }, keys...)
}

func (c *verifier) item(m number, s *State, vals [][]byte) {
	bad := func(format string, args ...any) {
		c.bad("mailbox %d: item %d: "+format, append([]any{m, s.Row}, args...)...)
	}
	it := &fullItem{state: s, summary: vals[3]}
	if err := it.interpret(); err != nil {
		bad("%v", err)
	}
	if vals[4] == nil {
		bad("it is in folder %d, which does not exist", s.Place.Folder)
	}
	var n counters
	if n.decode(vals[5]) == nil && (uint64(max(s.Seq, s.Created)) > n.seq || uint64(s.Row) > n.id || uint64(s.OID) > n.id) {
		bad("it has numbers that were not given")
	}
	place := encodePlace(s.Place)
	for i, what := range []string{"OID", "MID"} {
		if !bytes.Equal(vals[6+i], place) {
			bad("its %s does not lead to it", what)
		}
	}
	if len(vals) > 10 && !bytes.Equal(vals[10], place) {
		bad("its source key does not lead to it")
	}
	if s.Place.Space != Deleted {
		for i, what := range []string{"mailbox", "folder"} {
			if ch, err := decodeChange(s.Seq, vals[8+i]); err != nil || ch.Kind != ChangeItem || ch.Row != s.Row {
				bad("it is not in the log of the %s at %d", what, s.Seq)
			}
		}
	}
	c.names(m, s, it)
	l, err := makeLeaf(c.ctx, c.r, m, s.Row, vals[:3], true)
	if err != nil {
		bad("%v", err)
		return
	}
	if s.Flags&HasAttachments == 0 && len(l.attach) > 0 {
		bad("has %d attachments, its state says none", len(l.attach))
	}
	c.leaf(m, s.Row, s.Row, l, 0)
}

// names checks that what finds the item by the names in its summary is there.
func (c *verifier) names(m number, s *State, it *fullItem) {
	var keys [][]byte
	if it.msgID != "" {
		keys = append(keys, m.hashed(subByMessageID, messageIDHash(it.msgID), uint64(s.OID)))
	}
	if len(it.conv) == 16 {
		keys = append(keys, m.hashed(subConversation, [16]byte(it.conv), uint64(s.OID)))
	}
	if s.Place.Space == Normal {
		keys = append(keys, m.byTime(s.Place.Folder, mapi.FileTime(s.Time), s.OID))
	}
	c.ask(func(vals [][]byte) {
		for i, v := range vals {
			if v == nil {
				c.bad("mailbox %d: item %d: it is not in index %02x", m, s.Row, keys[i][5])
			} else if u, err := decodeTimed(v); keys[i][5] == subByTime && (err != nil || u != 0 && u != s.UID()) {
				c.bad("mailbox %d: item %d: index %02x does not say where it is", m, s.Row, keys[i][5])
			}
		}
	}, keys...)
}

// leaf checks what hangs on a row: its rows, references, embedded messages.
func (c *verifier) leaf(m number, item, at RowID, l *leaf, depth int) {
	if _, err := decodeBag(l.bag); err != nil {
		c.bad("mailbox %d: item %d: row %d: %v", m, item, at, err)
	}
	if _, err := decodeRecipients(l.recips); err != nil {
		c.bad("mailbox %d: item %d: row %d: %v", m, item, at, err)
	}
	for _, id := range l.ids {
		c.refers(m, item, uint64(at), id)
	}
	for _, a := range l.attach {
		if a.child == 0 {
			continue
		}
		child, err := readLeaf(c.ctx, c.r, m, a.child)
		if err == nil && depth >= maxEmbedded {
			err = corrupt("embedded messages")
		}
		if err != nil {
			c.bad("mailbox %d: item %d: embedded message %d: %v", m, item, a.number, err)
			continue
		}
		c.leaf(m, item, a.child, child, depth+1)
	}
}

// refers checks that the reference of a row to content, and the content, exist.
func (c *verifier) refers(m number, item RowID, row uint64, id content.ID) {
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
func (c *verifier) leafRow(m number, sub byte, rest []byte) {
	id := get48(rest)
	c.ask(func(vals [][]byte) {
		if p, err := decodePlace(vals[0]); err == nil {
			c.ask(func(vals [][]byte) {
				var s State
				if vals[0] == nil || s.decode(p, vals[0]) != nil || uint64(s.Row) != id {
					c.orphan(m, sub, id)
				}
			}, m.place(subState, p))
		} else if sub != subBag || id != 0 && vals[1] == nil {
			c.orphan(m, sub, id)
		}
	}, m.id(subByOID, id), m.id(subFolder, id))
	if sub == subFrozen {
		c.ask(func(vals [][]byte) {
			r, err := decodeRendering(vals[0])
			if err != nil {
				c.bad("mailbox %d: rendering %x: %v", m, rest, err)
				return
			}
			c.refers(m, RowID(id), renderingRef(RowID(id), RenderingKind(rest[6])), r.Stream.Content)
		}, append(m.key(sub), rest...))
	}
}

func (c *verifier) orphan(m number, sub byte, id uint64) {
	o := c.owners[m]
	if o == nil {
		var err error
		if o, err = c.d.ownersOf(c.ctx, m); err != nil {
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
func (d *Database) ownersOf(ctx context.Context, m number) (*owners, error) {
	snap, err := d.kv.NewSnapshot("verify", verifyTime)
	if err != nil {
		return nil, err
	}
	defer snap.Close()
	o := &owners{}
	v, err := snap.Get(ctx, m.key(subHeader))
	var h Header
	if err == nil && h.decode(v) == nil {
		if box, err := d.Mailbox(ctx, h.GUID); err == nil {
			snap.Close()
			o.upto = box.LastID() // what has a higher id is not in the view
			if snap, err = d.kv.NewSnapshot("verify", verifyTime); err != nil {
				return nil, err
			}
		}
	}
	if o.upto == 0 {
		o.upto = 1<<48 - 1
	}
	it := snap.Scan(ctx, kv.Range{Lower: m.key(subState), Upper: m.key(subSummary)})
	for it.Next() {
		var s State
		if p, ok := parsePlace(it.Key()); ok && s.decode(p, it.Value()) == nil {
			o.rows = append(o.rows, uint64(s.Row))
		}
	}
	if err := it.Close(); err != nil {
		return nil, err
	}
	p := m.key(subAttachment)
	it = snap.Scan(ctx, kv.Range{Lower: p, Upper: prefixEnd(p)})
	for it.Next() {
		if a, err := decodeAttachment(it.Key(), len(p)+6, it.Value()); err == nil && a.child != 0 {
			o.rows = append(o.rows, uint64(a.child))
		}
	}
	slices.Sort(o.rows)
	return o, it.Close()
}

// index checks that a name leads to an item that has it.
func (c *verifier) index(m number, sub byte, rest, v []byte) {
	if sub == subByOID || sub == subByMID || sub == subBySourceKey {
		p, err := decodePlace(v)
		if err != nil {
			c.bad("mailbox %d: index %02x: %v", m, sub, err)
			return
		}
		c.ask(func(vals [][]byte) {
			var s State
			ok := vals[0] != nil && s.decode(p, vals[0]) == nil
			switch sub {
			case subByOID:
				ok = ok && uint64(s.OID) == get48(rest)
			case subByMID:
				ok = ok && uint64(s.MID) == get48(rest)
			case subBySourceKey:
				ok = ok && bytes.Equal(m.sourceKey(s.Foreign.SourceKey)[6:], rest)
			}
			if !ok {
				c.bad("mailbox %d: index %02x: %x leads to no item that has it", m, sub, rest)
			}
		}, m.place(subState, p))
		return
	}
	c.ask(func(vals [][]byte) {
		p, err := decodePlace(vals[0])
		if err != nil {
			c.bad("mailbox %d: index %02x: %x is of no item", m, sub, rest)
			return
		}
		c.ask(func(vals [][]byte) { c.indexed(m, sub, rest, p, vals) }, m.place(subState, p), m.place(subSummary, p))
	}, m.id(subByOID, get48(rest[len(rest)-6:])))
}

func (c *verifier) indexed(m number, sub byte, rest []byte, p Place, vals [][]byte) {
	s := &State{}
	it := &fullItem{state: s, summary: vals[1]}
	ok := vals[0] != nil && s.decode(p, vals[0]) == nil && it.interpret() == nil
	if ok {
		switch sub {
		case subByMessageID:
			h := messageIDHash(it.msgID)
			ok = bytes.Equal(h[:], rest[:16])
		case subConversation:
			ok = bytes.Equal(it.conv, rest[:16])
		case subByTime:
			ok = p.Space == Normal && bytes.Equal(m.byTime(p.Folder, mapi.FileTime(s.Time), s.OID)[6:], rest)
		}
	}
	if !ok {
		c.bad("mailbox %d: index %02x: %x leads to an item that does not have it", m, sub, rest)
	}
}

// log checks an entry of either log against the rows.
func (c *verifier) log(m number, sub byte, rest, v []byte) {
	folder := FolderID(0)
	if sub == subFolderLog {
		folder = FolderID(get48(rest))
		rest = rest[6:]
	}
	seq := Seq(binary.BigEndian.Uint64(rest))
	ch, err := decodeChange(seq, v)
	if err != nil {
		c.bad("mailbox %d: log entry %d: %v", m, seq, err)
		return
	}
	if folder != 0 {
		c.exists(m.id(subFolder, uint64(folder)), "mailbox %d: log of folder %d, which does not exist", m, folder)
	}
	stale := func() { c.bad("mailbox %d: log entry %d, kind %d, of folder %d is stale", m, seq, ch.Kind, ch.Folder) }
	switch ch.Kind {
	case ChangeItem:
		c.ask(func(vals [][]byte) {
			p, err := decodePlace(vals[0])
			if err != nil {
				stale()
				return
			}
			c.ask(func(vals [][]byte) {
				var s State
				if vals[0] == nil || s.decode(p, vals[0]) != nil || s.Seq != seq || s.Row != ch.Row || p.Space == Deleted || folder != 0 && p.Folder != folder {
					stale()
				}
			}, m.place(subState, p))
		}, m.id(subByOID, uint64(ch.OID)))
	case ChangeFolder:
		c.ask(func(vals [][]byte) {
			if f, err := decodeFolder(ch.Folder, vals[0]); err != nil || f.Seq != seq {
				stale()
			}
		}, m.id(subFolder, uint64(ch.Folder)))
	case ChangeCounts:
		c.ask(func(vals [][]byte) {
			var k Counts
			if vals[0] == nil || k.decode(vals[0]) != nil || k.Seq != seq {
				stale()
			}
		}, m.id(subCounts, uint64(ch.Folder)))
	case ChangeGone, ChangeNoFolder:
	default:
		stale()
	}
}

// perFolder checks the rows of the remaining spaces, which belong to folders or
// to the mailbox.
func (c *verifier) perFolder(m number, sub byte, rest, v []byte) {
	switch sub {
	case subPermissions:
		if _, err := decodeACL(v); err != nil {
			c.bad("mailbox %d: permissions of folder %x: %v", m, rest, err)
		}
	case subHorizon, subSearch, subRule:
		if len(rest) < 6 {
			c.bad("mailbox %d: key %02x%x is malformed", m, sub, rest)
			return
		}
	case subReceive:
		if len(v) != 7 || checkReceiveClass(string(rest)) != nil || strings.ToLower(string(rest)) != string(rest) {
			c.bad("mailbox %d: receive folder of %q is malformed", m, rest)
			return
		}
		rest = v[1:]
	default:
		return
	}
	if id := get48(rest); id != 0 {
		c.exists(m.id(subFolder, id), "mailbox %d: space %02x has a row of folder %d, which does not exist", m, sub, id)
	}
}
