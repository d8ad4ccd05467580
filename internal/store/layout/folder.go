package layout

import (
	"context"
	"encoding/binary"
	"time"

	"rialto/internal/kv"
	"rialto/internal/model/row"
	"rialto/internal/store/content"
)

// Folder is the definition of a folder and its counts.
type Folder struct {
	ID          FolderID
	Parent      FolderID
	Name        string
	Class       string // PidTagContainerClass: "IPF.Note", …
	Hidden      bool   // not for users: views, search roots, …
	Subscribed  bool   // IMAP's LSUB
	UIDValidity uint32
	Seq         Seq // of the definition
	CN          CN
	Created     time.Time
	Counts      Counts
}

// Counts are what a folder's items add up to. They are kept, never counted.
type Counts struct {
	Total       uint32
	Unseen      uint32
	FirstUnseen UID   // no unseen item has a lower UID; 0 if none is unseen
	Size        int64 // octets of normal and associated items
	Associated  uint32
	Deleted     uint32 // recoverable items
	DeletedSize int64
	NextUID     UID
	Seq         Seq // of the last change to an item or to these counts
}

const (
	folderVersion = 1
	countsVersion = 1

	folderHidden     = 1
	folderSubscribed = 2
)

// Encode returns the definition row; the counts have a row of their own.
func (f *Folder) Encode() []byte {
	b := []byte{folderVersion}
	b = binary.AppendUvarint(b, uint64(f.Parent))
	b = row.AppendText(b, f.Name)
	b = row.AppendText(b, f.Class)
	var bits uint64
	if f.Hidden {
		bits |= folderHidden
	}
	if f.Subscribed {
		bits |= folderSubscribed
	}
	b = binary.AppendUvarint(b, bits)
	b = binary.AppendUvarint(b, uint64(f.UIDValidity))
	b = binary.AppendUvarint(b, uint64(f.Seq))
	b = appendCN(b, f.CN)
	return AppendTime(b, f.Created)
}

// DecodeFolder reads a definition row.
func DecodeFolder(id FolderID, b []byte) (*Folder, error) {
	d := NewReader(b)
	if d.Byte() != folderVersion {
		d.Bad = true
	}
	f := &Folder{ID: id, Parent: FolderID(d.Uvarint()), Name: d.Text(), Class: d.Text()}
	bits := d.Uvarint()
	f.Hidden, f.Subscribed = bits&folderHidden != 0, bits&folderSubscribed != 0
	f.UIDValidity = uint32(d.Uvarint())
	f.Seq = Seq(d.Uvarint())
	f.CN = d.cn()
	f.Created = d.Time()
	return f, d.Err("folder row")
}

// Encode returns the counts row.
func (c *Counts) Encode() []byte {
	b := []byte{countsVersion}
	for _, v := range []uint64{
		uint64(c.Total), uint64(c.Unseen), uint64(c.FirstUnseen), uint64(c.Size), uint64(c.Associated),
		uint64(c.Deleted), uint64(c.DeletedSize), uint64(c.NextUID), uint64(c.Seq),
	} {
		b = binary.AppendUvarint(b, v)
	}
	return b
}

// Decode reads a counts row.
func (c *Counts) Decode(b []byte) error {
	d := NewReader(b)
	if d.Byte() != countsVersion {
		d.Bad = true
	}
	c.Total = uint32(d.Uvarint())
	c.Unseen = uint32(d.Uvarint())
	c.FirstUnseen = UID(d.Uvarint())
	c.Size = int64(d.Uvarint())
	c.Associated = uint32(d.Uvarint())
	c.Deleted = uint32(d.Uvarint())
	c.DeletedSize = int64(d.Uvarint())
	c.NextUID = UID(d.Uvarint())
	c.Seq = Seq(d.Uvarint())
	return d.Err("counts row")
}

// Add counts an item in (sign 1) or out (-1).
func (c *Counts) Add(s *State, sign int64) {
	switch s.Place.Space {
	case Normal:
		c.Total += uint32(sign)
		c.Size += sign * s.Size
		if s.Flags&Read == 0 {
			c.CountUnseen(UID(s.Place.N), sign)
		}
	case Associated:
		c.Associated += uint32(sign)
		c.Size += sign * s.Size
	case Deleted:
		c.Deleted += uint32(sign)
		c.DeletedSize += sign * s.Size
	}
}

// CountUnseen counts an unseen item in (sign 1) or out (-1). FirstUnseen stays a
// lower bound.
func (c *Counts) CountUnseen(u UID, sign int64) {
	c.Unseen += uint32(sign)
	switch {
	case c.Unseen == 0:
		c.FirstUnseen = 0
	case sign > 0 && (c.FirstUnseen == 0 || u < c.FirstUnseen):
		c.FirstUnseen = u
	}
}

// DefaultFolders are made with every mailbox.
func DefaultFolders() []Folder {
	note := "IPF.Note"
	return []Folder{
		{ID: FolderRoot, Hidden: true},
		{ID: FolderSubtree, Parent: FolderRoot, Name: "Top of Information Store", Hidden: true},
		{ID: FolderInbox, Parent: FolderSubtree, Name: "Inbox", Class: note},
		{ID: FolderOutbox, Parent: FolderSubtree, Name: "Outbox", Class: note},
		{ID: FolderSentItems, Parent: FolderSubtree, Name: "Sent Items", Class: note},
		{ID: FolderDeletedItems, Parent: FolderSubtree, Name: "Deleted Items", Class: note},
		{ID: FolderCalendar, Parent: FolderSubtree, Name: "Calendar", Class: "IPF.Appointment"},
		{ID: FolderContacts, Parent: FolderSubtree, Name: "Contacts", Class: "IPF.Contact"},
		{ID: FolderJournal, Parent: FolderSubtree, Name: "Journal", Class: "IPF.Journal"},
		{ID: FolderNotes, Parent: FolderSubtree, Name: "Notes", Class: "IPF.StickyNote"},
		{ID: FolderTasks, Parent: FolderSubtree, Name: "Tasks", Class: "IPF.Task"},
		{ID: FolderDrafts, Parent: FolderSubtree, Name: "Drafts", Class: note},
		{ID: FolderJunk, Parent: FolderSubtree, Name: "Junk E-mail", Class: note},
		{ID: FolderViews, Parent: FolderRoot, Name: "Views", Hidden: true},
		{ID: FolderCommonViews, Parent: FolderRoot, Name: "Common Views", Hidden: true},
		{ID: FolderFinder, Parent: FolderRoot, Name: "Finder", Hidden: true},
		{ID: FolderSchedule, Parent: FolderRoot, Name: "Schedule", Hidden: true},
		{ID: FolderShortcuts, Parent: FolderRoot, Name: "Shortcuts", Hidden: true},
		{ID: FolderDeferredAction, Parent: FolderRoot, Name: "Deferred Action", Hidden: true},
		{ID: FolderReminders, Parent: FolderRoot, Name: "Reminders", Hidden: true},
		{ID: FolderSpoolerQueue, Parent: FolderRoot, Name: "Spooler Queue", Hidden: true},
	}
}

// FolderRef is the value of what leads to a folder: its name, a class.
func FolderRef(id FolderID) []byte { return append48([]byte{1}, uint64(id)) }

// MaxDepth bounds the hierarchy.
const MaxDepth = 300

// ReadFolders returns all folders of a mailbox as r has them.
func ReadFolders(ctx context.Context, r kv.Reader, n Number) (map[FolderID]*Folder, error) {
	folders := map[FolderID]*Folder{}
	it := r.Scan(ctx, kv.Range{Lower: n.Key(SubFolder), Upper: n.Key(SubFolderName)})
	for it.Next() {
		k := it.Key()
		if len(k) != 12 {
			continue
		}
		id := FolderID(Get48(k[6:]))
		if k[5] == SubFolder {
			f, err := DecodeFolder(id, it.Value())
			if err != nil {
				it.Close()
				return nil, err
			}
			folders[id] = f
		} else if f := folders[id]; f != nil {
			if err := f.Counts.Decode(it.Value()); err != nil {
				it.Close()
				return nil, err
			}
		}
	}
	if err := it.Close(); err != nil {
		return nil, content.Wrap("store.folders", "mailbox", err)
	}
	return folders, nil
}

// Take counts an item, for adding up.
func (c *Counts) Take(s *State) bool {
	c.Add(s, 1)
	c.Seq = max(c.Seq, s.Seq)
	if s.Place.Space == Normal {
		c.NextUID = max(c.NextUID, UID(s.Place.N)+1)
	}
	return true
}
