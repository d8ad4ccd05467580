package layout

import (
	"context"
	"encoding/binary"

	"rialto/internal/kv"
	"rialto/internal/model/row"
	"rialto/internal/store/content"
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

// Encode returns a log entry without its kind, which comes first.
func (c *Change) Encode() []byte {
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
	d := NewReader(b)
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
	return d.Err("log entry")
}

// ParseLogSeq reads seq from a key of either log, whose prefix has n bytes.
func ParseLogSeq(key []byte, n int) (Seq, bool) {
	if len(key) < n+8 {
		return 0, false
	}
	return Seq(binary.BigEndian.Uint64(key[n:])), true
}

// LogItem replaces an item's entries in both logs by new ones. old is nil for a
// new item.
func LogItem(b kv.Batch, m Number, old, s *State, from FolderID) {
	if old != nil {
		b.Delete(m.LogKey(old.Seq, ChangeItem))
		b.Delete(m.FolderLogAt(old.Place.Folder, old.Seq))
	}
	c := Change{Folder: s.Place.Folder, From: from, UID: s.UID(), OID: s.OID, MID: s.MID, Row: s.Row,
		Associated: s.Place.Space == Associated, Created: s.Created, Href: s.Foreign.Href}
	v := append([]byte{byte(ChangeItem)}, c.Encode()...)
	b.Set(m.LogKey(s.Seq, ChangeItem), v)
	b.Set(m.FolderLogAt(s.Place.Folder, s.Seq), v)
}

// LogGone replaces an item's entry in the log of the folder it left by a
// tombstone. A recoverable item had left already.
func LogGone(b kv.Batch, m Number, old *State, at Seq, class string) {
	b.Delete(m.LogKey(old.Seq, ChangeItem))
	b.Delete(m.FolderLogAt(old.Place.Folder, old.Seq))
	if old.Place.Space == Deleted {
		return
	}
	c := Change{Folder: old.Place.Folder, UID: old.UID(), OID: old.OID, MID: old.MID,
		Row: old.Row, Associated: old.Place.Space == Associated, Created: old.Created, Class: class, Href: old.Foreign.Href}
	b.Set(m.FolderLogAt(old.Place.Folder, at), append([]byte{byte(ChangeGone)}, c.Encode()...))
}

// LogDeleted writes the mailbox's log entry of an item that nobody sees any
// more but who looks at recoverable items.
func LogDeleted(b kv.Batch, m Number, s *State, class string) {
	c := Change{Folder: s.Place.Folder, OID: s.OID, MID: s.MID, Row: s.Row, UID: s.UID(), Associated: s.Place.Space == Associated,
		Created: s.Created, Class: class, Href: s.Foreign.Href}
	if s.Place.Space == Deleted {
		c.UID, c.Associated = s.Origin, s.Origin == 0 // normal ones had a UID
	}
	b.Set(m.LogKey(s.Seq, ChangeItem), append([]byte{byte(ChangeGone)}, c.Encode()...))
}

// PutFolder writes the definition of a folder and its log entry, under a new
// seq, which f gets.
func PutFolder(b kv.Batch, m Number, f *Folder, seq Seq) {
	if f.Seq != 0 {
		b.Delete(m.LogKey(f.Seq, ChangeFolder))
	}
	f.Seq, f.CN = seq, CN{1, uint64(seq)}
	b.Set(m.ID(SubFolder, uint64(f.ID)), f.Encode())
	c := Change{Folder: f.ID}
	b.Set(m.LogKey(f.Seq, ChangeFolder), append([]byte{byte(ChangeFolder)}, c.Encode()...))
}

// DecodeChange reads an entry of either log.
func DecodeChange(s Seq, v []byte) (c Change, err error) {
	if len(v) < 2 {
		return c, Corrupt("log entry")
	}
	c.Seq, c.Kind = s, ChangeKind(v[0])
	err = c.decode(v[1:])
	return c, err
}

// ScanChanges calls fn for the entries of a folder's log after since, in order,
// until it returns false. complete is false if that is before the horizon.
func ScanChanges(ctx context.Context, r kv.Reader, m Number, f FolderID, since Seq, fn func(*Change) bool) (complete bool, err error) {
	h, err := ReadHorizon(ctx, r, m, f)
	if err != nil {
		return false, err
	}
	return since >= h, ScanLog(ctx, r, m.FolderLogAt(f, since+1), m.ID(SubFolderLog, uint64(f)), fn)
}

// ScanLog calls fn for the entries of a log from a key on, in order, until it
// returns false. prefix is what all keys of the log begin with.
func ScanLog(ctx context.Context, r kv.Reader, from, prefix []byte, fn func(*Change) bool) error {
	it := r.Scan(ctx, kv.Range{Lower: from, Upper: PrefixEnd(prefix)})
	for it.Next() {
		s, ok := ParseLogSeq(it.Key(), len(prefix))
		if !ok {
			it.Close()
			return Corrupt("log key")
		}
		c, err := DecodeChange(s, it.Value())
		if err != nil {
			it.Close()
			return err
		}
		if !fn(&c) {
			break
		}
	}
	return content.Wrap("store.changes", "log", it.Close())
}

// ReadHorizon returns the seq below which the log of a folder (0: of the mailbox)
// may have been cut; 0: it is whole.
func ReadHorizon(ctx context.Context, r kv.Reader, m Number, f FolderID) (Seq, error) {
	vals, err := r.GetMany(ctx, [][]byte{m.ID(SubHorizon, uint64(f))})
	if err != nil || len(vals[0]) != 9 {
		return 0, content.Wrap("store.horizon", "folder", err)
	}
	return Seq(binary.BigEndian.Uint64(vals[0][1:])), nil
}

// HorizonRow is the value of a horizon: below seq there is no history.
func HorizonRow(seq uint64) []byte { return binary.BigEndian.AppendUint64([]byte{1}, seq) }
