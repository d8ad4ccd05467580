package layout

import (
	"crypto/sha256"
	"encoding/binary"
	"strings"

	"golang.org/x/text/cases"

	"rialto/internal/kv"
	"rialto/internal/model"
)

// Key spaces of a database; the table is in the package comment.
const (
	SpaceFact       = 0x01
	SpaceMailboxDir = 0x02
	// 03 to 07 and 0a belong to package content.
	SpaceOutbox    = 0x08
	SpaceDelivered = 0x09
	SpaceMailbox   = 0x10
)

// Key spaces of a mailbox.
const (
	SubHeader       = 0x00
	SubCounters     = 0x01
	SubReplica      = 0x02
	SubNamedProp    = 0x03
	SubPropByName   = 0x04
	SubFolder       = 0x05
	SubCounts       = 0x06
	SubFolderName   = 0x07
	SubState        = 0x10
	SubSummary      = 0x11
	SubBag          = 0x12
	SubRecipients   = 0x13
	SubAttachment   = 0x14
	SubStream       = 0x15
	SubByOID        = 0x18
	SubByMID        = 0x19
	SubBySourceKey  = 0x1a
	SubByMessageID  = 0x1b
	SubConversation = 0x1c
	SubByTime       = 0x1d
	SubLog          = 0x20
	SubFolderLog    = 0x21
	SubHorizon      = 0x22
	SubDevice       = 0x23
	SubStaging      = 0x24
	SubReadState    = 0x25
	SubPermissions  = 0x26
	SubReceive      = 0x27
	SubSearch       = 0x28
	SubRule         = 0x29
	SubFrozen       = 0x2a
	SubOOFSent      = 0x2b
	SubReservedMID  = 0x2c
	SubReplicaLog   = 0x2d
	SubSettings     = 0x2e
	SubDerived      = 0x30
)

// Number is a mailbox's number in its database.
type Number uint32

// Key is the prefix of a key space of the mailbox, with room for the rest.
func (m Number) Key(sub byte) []byte {
	b := make([]byte, 6, 32)
	b[0] = SpaceMailbox
	binary.BigEndian.PutUint32(b[1:], uint32(m))
	b[5] = sub
	return b
}

// ID is the key of a row id, OID, MID or folder, as the space sub has them.
func (m Number) ID(sub byte, id uint64) []byte { return append48(m.Key(sub), id) }

// Place is the key of a state or summary row.
func (m Number) Place(sub byte, p Place) []byte {
	b := append48(m.Key(sub), uint64(p.Folder))
	return append48(append(b, byte(p.Space)), p.N)
}

// Places is the range of state or summary rows from one place of a space to
// another of it, both included.
func (m Number) Places(sub byte, from, to Place) kv.Range {
	return kv.Range{Lower: m.Place(sub, from), Upper: PrefixEnd(m.Place(sub, to))}
}

// Hashed is the key of an OID below a hash.
func (m Number) Hashed(sub byte, h [16]byte, id uint64) []byte {
	return append48(append(m.Key(sub), h[:]...), id)
}

// LogAt is the prefix of the entries of the mailbox log at s.
func (m Number) LogAt(s Seq) []byte {
	return binary.BigEndian.AppendUint64(m.Key(SubLog), uint64(s))
}

// FolderLogAt is the key of an entry of a folder's log.
func (m Number) FolderLogAt(f FolderID, s Seq) []byte {
	return binary.BigEndian.AppendUint64(append48(m.Key(SubFolderLog), uint64(f)), uint64(s))
}

// ChildName is the key of a folder by name.
func (m Number) ChildName(parent FolderID, name string) []byte {
	h := nameHash(name)
	return append(append48(m.Key(SubFolderName), uint64(parent)), h[:]...)
}

// SourceKey is the key of the place of a foreign source key.
func (m Number) SourceKey(k []byte) []byte {
	h := textHash(string(k))
	return append(m.Key(SubBySourceKey), h[:]...)
}

// Attachment is the key of an attachment row.
func (m Number) Attachment(r RowID, n uint32) []byte {
	return binary.BigEndian.AppendUint32(m.ID(SubAttachment, uint64(r)), n)
}

// ByTime is the key of an item by time of delivery, ft in FILETIME ticks.
func (m Number) ByTime(f FolderID, ft uint64, o OID) []byte {
	b := append48(m.Key(SubByTime), uint64(f))
	return append48(binary.BigEndian.AppendUint64(b, ft), uint64(o))
}

// ParsePlace reads the place out of a state or summary key.
func ParsePlace(key []byte) (Place, bool) {
	if len(key) != 6+6+1+6 {
		return Place{}, false
	}
	return Place{FolderID(Get48(key[6:])), Space(key[12]), Get48(key[13:])}, true
}

// MailboxDirKey is the key of an entry of the mailbox directory.
func MailboxDirKey(g model.GUID) []byte { return append([]byte{SpaceMailboxDir}, g[:]...) }

// FactKey is the key of a fact of the database.
func FactKey(name string) []byte { return append([]byte{SpaceFact}, name...) }

// DeliveredKey hashes the pair so that no queue id or address is too long.
func DeliveredKey(queueID, recipient string) []byte {
	h := sha256.Sum256([]byte(queueID + "\x00" + recipient))
	return append([]byte{SpaceDelivered}, h[:16]...)
}

// PrefixEnd returns the first key after all that start with p.
func PrefixEnd(p []byte) []byte {
	e := append([]byte(nil), p...)
	for i := len(e) - 1; i >= 0; i-- {
		if e[i] < 0xff {
			e[i]++
			return e[:i+1]
		}
	}
	return nil
}

// FoldName returns the form in which two folder names are the same name.
func FoldName(name string) string { return cases.Fold().String(name) }

// nameHash keys a folder name, compared without case.
func nameHash(name string) [16]byte { return textHash(FoldName(name)) }

// MessageIDHash keys an Internet message id, compared as it stands but for
// angle brackets and white space.
func MessageIDHash(id string) [16]byte { return textHash(strings.Trim(id, "<> \t\r\n")) }

func textHash(s string) (h [16]byte) {
	full := sha256.Sum256([]byte(s))
	copy(h[:], full[:])
	return h
}
