package layout

import (
	"encoding/base32"
	"encoding/binary"
	"strings"

	"rialto/internal/model"
)

// The names and numbers of a mailbox; see the package comment for which is
// which. Counters have 48 bits.
type (
	Seq      uint64
	FolderID uint64
	RowID    uint64
	OID      uint64
	MID      uint64
	UID      uint32
)

// ReplicaID is the short number of a replica GUID in one mailbox; 1 is the
// mailbox's own.
type ReplicaID uint16

// CN is a change number: a counter of a replica.
type CN struct {
	Replica ReplicaID
	Counter uint64
}

// Space tells normal, associated and recoverable items of a folder apart.
type Space uint8

// The spaces of a folder.
const (
	Normal Space = iota
	Associated
	Deleted
)

// MaxN is the highest N of a Place: keys have 48 bits of it.
const MaxN = 1<<48 - 1

// Place is where an item's rows are.
type Place struct {
	Folder FolderID
	Space  Space
	N      uint64 // UID in Normal, RowID otherwise; at most MaxN
}

// Folders that every mailbox has, with fixed ids (below FirstFreeID).
const (
	FolderRoot           FolderID = 1 + iota
	FolderSubtree                 // IPM subtree: what users see
	FolderInbox                   //
	FolderOutbox                  //
	FolderSentItems               //
	FolderDeletedItems            //
	FolderCalendar                //
	FolderContacts                //
	FolderJournal                 //
	FolderNotes                   //
	FolderTasks                   //
	FolderDrafts                  //
	FolderJunk                    //
	FolderViews                   // hidden from here on
	FolderCommonViews             //
	FolderFinder                  //
	FolderSchedule                //
	FolderShortcuts               //
	FolderDeferredAction          //
	FolderReminders               //
	FolderSpoolerQueue            //
	FirstFreeID          = 256
)

var oidEncoding = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// ObjectName returns the textual name of an item or folder that protocols hand
// to clients (EMAILID, MAILBOXID, UIDL): letters and digits only, the same for
// ever, distinct between incarnations of the mailbox.
func ObjectName(kind byte, incarnation uint32, id uint64) string {
	var b [10]byte
	binary.BigEndian.PutUint32(b[:4], incarnation)
	put48(b[4:], id)
	return string(kind) + oidEncoding.EncodeToString(b[:])
}

// ParseObjectName is the reverse of ObjectName.
func ParseObjectName(s string) (kind byte, incarnation uint32, id uint64, err error) {
	if len(s) != 17 {
		return 0, 0, 0, model.E("store.objectname", model.KindInvalid, s, nil)
	}
	b, err := oidEncoding.DecodeString(strings.ToLower(s[1:]))
	if err != nil || len(b) != 10 {
		return 0, 0, 0, model.E("store.objectname", model.KindInvalid, s, err)
	}
	return s[0], binary.BigEndian.Uint32(b), Get48(b[4:]), nil
}

func put48(b []byte, v uint64) {
	_ = b[5]
	b[0], b[1], b[2], b[3], b[4], b[5] = byte(v>>40), byte(v>>32), byte(v>>24), byte(v>>16), byte(v>>8), byte(v)
}

// Get48 reads an id of six octets, of which b has at least as many.
func Get48(b []byte) uint64 {
	_ = b[5]
	return uint64(b[0])<<40 | uint64(b[1])<<32 | uint64(b[2])<<24 | uint64(b[3])<<16 | uint64(b[4])<<8 | uint64(b[5])
}

func append48(b []byte, v uint64) []byte {
	return append(b, byte(v>>40), byte(v>>32), byte(v>>24), byte(v>>16), byte(v>>8), byte(v))
}

// OwnReplica is the replica under which a mailbox numbers its own changes.
const OwnReplica ReplicaID = 1

// EncodePlace is the value of what leads to an item.
func EncodePlace(p Place) []byte {
	b := append48(make([]byte, 0, 14), uint64(p.Folder))
	return append48(append(b, byte(p.Space)), p.N)
}

// DecodePlace reads the value of what leads to an item.
func DecodePlace(b []byte) (Place, error) {
	if len(b) != 13 {
		return Place{}, Corrupt("place")
	}
	return Place{FolderID(Get48(b)), Space(b[6]), Get48(b[7:])}, nil
}
