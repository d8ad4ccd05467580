package store

import (
	"encoding/binary"
	"time"

	"rialto/internal/model"
	"rialto/internal/model/row"
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

func (f *Folder) encode() []byte {
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
	return appendTime(b, f.Created)
}

func decodeFolder(id FolderID, b []byte) (*Folder, error) {
	d := newReader(b)
	if d.Byte() != folderVersion {
		d.Bad = true
	}
	f := &Folder{ID: id, Parent: FolderID(d.Uvarint()), Name: d.Text(), Class: d.Text()}
	bits := d.Uvarint()
	f.Hidden, f.Subscribed = bits&folderHidden != 0, bits&folderSubscribed != 0
	f.UIDValidity = uint32(d.Uvarint())
	f.Seq = Seq(d.Uvarint())
	f.CN = d.cn()
	f.Created = d.time()
	return f, d.err("folder row")
}

func (c *Counts) encode() []byte {
	b := []byte{countsVersion}
	for _, v := range []uint64{
		uint64(c.Total), uint64(c.Unseen), uint64(c.FirstUnseen), uint64(c.Size), uint64(c.Associated),
		uint64(c.Deleted), uint64(c.DeletedSize), uint64(c.NextUID), uint64(c.Seq),
	} {
		b = binary.AppendUvarint(b, v)
	}
	return b
}

func (c *Counts) decode(b []byte) error {
	d := newReader(b)
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
	return d.err("counts row")
}

// add counts an item in (sign 1) or out (-1).
func (c *Counts) add(s *State, sign int64) {
	switch s.Place.Space {
	case Normal:
		c.Total += uint32(sign)
		c.Size += sign * s.Size
		if s.Flags&Read == 0 {
			c.unseen(UID(s.Place.N), sign)
		}
	case Associated:
		c.Associated += uint32(sign)
		c.Size += sign * s.Size
	case Deleted:
		c.Deleted += uint32(sign)
		c.DeletedSize += sign * s.Size
	}
}

func (c *Counts) unseen(u UID, sign int64) {
	c.Unseen += uint32(sign)
	switch {
	case c.Unseen == 0:
		c.FirstUnseen = 0
	case sign > 0 && (c.FirstUnseen == 0 || u < c.FirstUnseen):
		c.FirstUnseen = u
	}
}

// maxFolderName is in octets of UTF-8.
const maxFolderName = 1024

// checkFolderName refuses names that no protocol could show.
func checkFolderName(name string) error {
	if name == "" || len(name) > maxFolderName {
		return model.E("store.folder", model.KindInvalid, name, nil)
	}
	for _, r := range name {
		if r < ' ' || r == 0x7f || r == 0xfffd {
			return model.E("store.folder", model.KindInvalid, "folder name", nil)
		}
	}
	return nil
}

// defaultFolders are made with every mailbox.
func defaultFolders() []Folder {
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
