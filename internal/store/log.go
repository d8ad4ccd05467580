package store

import (
	"encoding/binary"
	"rialto/internal/model/row"

	"rialto/internal/kv"
)

// ChangeKind is what a log entry says happened.
type ChangeKind uint8

// The kinds of log entries. Entries of a folder definition and of a folder's
// counts stand beside an item's under the same seq.
const (
	ChangeItem     ChangeKind = 1 // created or changed; the rows tell
	ChangeGone     ChangeKind = 2 // left the folder; in the mailbox log: deleted
	ChangeFolder   ChangeKind = 3 // definition created or changed
	ChangeCounts   ChangeKind = 4
	ChangeNoFolder ChangeKind = 5 // folder deleted
)

// Change is an entry of a log. Of a thing that is gone it is all that is left.
type Change struct {
	Seq        Seq
	Kind       ChangeKind
	Folder     FolderID
	From       FolderID // where a moved item was; 0 otherwise
	UID        UID
	OID        OID
	MID        MID
	Row        RowID
	Associated bool
	Class      string // message class of an item that is gone
	Created    Seq
	Href       string // DAV name
}

const logVersion = 1

func (c *Change) encode() []byte {
	b := []byte{logVersion}
	var assoc uint64
	if c.Associated {
		assoc = 1
	}
	for _, v := range []uint64{
		uint64(c.Folder), uint64(c.From), uint64(c.UID), uint64(c.OID), uint64(c.MID), uint64(c.Row), assoc, uint64(c.Created),
	} {
		b = binary.AppendUvarint(b, v)
	}
	return row.AppendText(row.AppendText(b, c.Class), c.Href)
}

func (c *Change) decode(b []byte) error {
	d := newReader(b)
	if d.Byte() != logVersion {
		d.Bad = true
	}
	c.Folder = FolderID(d.Uvarint())
	c.From = FolderID(d.Uvarint())
	c.UID = UID(d.Uvarint())
	c.OID = OID(d.Uvarint())
	c.MID = MID(d.Uvarint())
	c.Row = RowID(d.Uvarint())
	c.Associated = d.Uvarint() != 0
	c.Created = Seq(d.Uvarint())
	c.Class = d.Text()
	c.Href = d.Text()
	return d.err("log entry")
}

// logKey is the key of an entry in the mailbox log: kinds share a seq.
func (m number) logKey(s Seq, k ChangeKind) []byte {
	slot := byte(0)
	switch k {
	case ChangeFolder, ChangeNoFolder:
		slot = 1
	case ChangeCounts:
		slot = 2
	}
	return append(m.seq(s), slot)
}

// parseLogKey reads seq from a key of either log, whose prefix has n bytes.
func parseLogSeq(key []byte, n int) (Seq, bool) {
	if len(key) < n+8 {
		return 0, false
	}
	return Seq(binary.BigEndian.Uint64(key[n:])), true
}

// logItem replaces an item's entries in both logs by new ones. old is nil for a
// new item.
func logItem(b kv.Batch, m number, old, s *State, from FolderID) {
	if old != nil {
		b.Delete(m.logKey(old.Seq, ChangeItem))
		b.Delete(m.folderSeq(old.Place.Folder, old.Seq))
	}
	c := Change{Folder: s.Place.Folder, From: from, UID: s.UID(), OID: s.OID, MID: s.MID, Row: s.Row,
		Associated: s.Place.Space == Associated, Created: s.Created, Href: s.Foreign.Href}
	v := append([]byte{byte(ChangeItem)}, c.encode()...)
	b.Set(m.logKey(s.Seq, ChangeItem), v)
	b.Set(m.folderSeq(s.Place.Folder, s.Seq), v)
}

// logGone replaces an item's entry in the log of the folder it left by a
// tombstone. A recoverable item had left already.
func logGone(b kv.Batch, m number, old *State, at Seq, class string) {
	b.Delete(m.logKey(old.Seq, ChangeItem))
	b.Delete(m.folderSeq(old.Place.Folder, old.Seq))
	if old.Place.Space == Deleted {
		return
	}
	c := Change{Folder: old.Place.Folder, UID: old.UID(), OID: old.OID, MID: old.MID,
		Row: old.Row, Associated: old.Place.Space == Associated, Created: old.Created, Class: class, Href: old.Foreign.Href}
	b.Set(m.folderSeq(old.Place.Folder, at), append([]byte{byte(ChangeGone)}, c.encode()...))
}

// logDeleted writes the mailbox's log entry of an item that nobody sees any
// more but who looks at recoverable items.
func logDeleted(b kv.Batch, m number, s *State, class string) {
	c := Change{Folder: s.Place.Folder, OID: s.OID, MID: s.MID, Row: s.Row, UID: s.UID(), Associated: s.Place.Space == Associated,
		Created: s.Created, Class: class, Href: s.Foreign.Href}
	if s.Place.Space == Deleted {
		c.UID, c.Associated = s.Origin, s.Origin == 0 // normal ones had a UID
	}
	b.Set(m.logKey(s.Seq, ChangeItem), append([]byte{byte(ChangeGone)}, c.encode()...))
}

// putFolder writes the definition of a folder and its log entry, under a new
// seq, which f gets.
func putFolder(b kv.Batch, m number, f *Folder, seq Seq) {
	if f.Seq != 0 {
		b.Delete(m.logKey(f.Seq, ChangeFolder))
	}
	f.Seq, f.CN = seq, CN{1, uint64(seq)}
	b.Set(m.id(subFolder, uint64(f.ID)), f.encode())
	c := Change{Folder: f.ID}
	b.Set(m.logKey(f.Seq, ChangeFolder), append([]byte{byte(ChangeFolder)}, c.encode()...))
}

// decodeChange reads an entry of either log.
func decodeChange(s Seq, v []byte) (c Change, err error) {
	if len(v) < 2 {
		return c, corrupt("log entry")
	}
	c.Seq, c.Kind = s, ChangeKind(v[0])
	err = c.decode(v[1:])
	return c, err
}
