package store

import (
	"crypto/sha256"
	"encoding/binary"
	"strings"

	"golang.org/x/text/cases"

	"rialto/internal/model"
)

// Key spaces of a database; the table is in the package comment.
const (
	spaceFact       = 0x01
	spaceMailboxDir = 0x02
	// 03 to 07 and 0a belong to package content.
	spaceOutbox    = 0x08
	spaceDelivered = 0x09
	spaceMailbox   = 0x10
)

// Key spaces of a mailbox.
const (
	subHeader       = 0x00
	subCounters     = 0x01
	subReplica      = 0x02
	subNamedProp    = 0x03
	subPropByName   = 0x04
	subFolder       = 0x05
	subCounts       = 0x06
	subFolderName   = 0x07
	subState        = 0x10
	subSummary      = 0x11
	subBag          = 0x12
	subRecipients   = 0x13
	subAttachment   = 0x14
	subStream       = 0x15
	subByOID        = 0x18
	subByMID        = 0x19
	subBySourceKey  = 0x1a
	subByMessageID  = 0x1b
	subConversation = 0x1c
	subByTime       = 0x1d
	subLog          = 0x20
	subFolderLog    = 0x21
	subHorizon      = 0x22
	subDevice       = 0x23
	subStaging      = 0x24
	subReadState    = 0x25
	subPermissions  = 0x26
	subReceive      = 0x27
	subSearch       = 0x28
	subRule         = 0x29
	subFrozen       = 0x2a
	subOOFSent      = 0x2b
	subReservedMID  = 0x2c
	subReplicaLog   = 0x2d
	subSettings     = 0x2e
)

// number is a mailbox's number in its database.
type number uint32

func (m number) key(sub byte) []byte {
	b := make([]byte, 6, 32)
	b[0] = spaceMailbox
	binary.BigEndian.PutUint32(b[1:], uint32(m))
	b[5] = sub
	return b
}

func (m number) id(sub byte, id uint64) []byte { return append48(m.key(sub), id) }

func (m number) place(sub byte, p Place) []byte {
	b := append48(m.key(sub), uint64(p.Folder))
	return append48(append(b, byte(p.Space)), p.N)
}

func (m number) hashed(sub byte, h [16]byte, id uint64) []byte {
	return append48(append(m.key(sub), h[:]...), id)
}

func (m number) seq(s Seq) []byte {
	return binary.BigEndian.AppendUint64(m.key(subLog), uint64(s))
}

func (m number) folderSeq(f FolderID, s Seq) []byte {
	return binary.BigEndian.AppendUint64(append48(m.key(subFolderLog), uint64(f)), uint64(s))
}

func (m number) childName(parent FolderID, name string) []byte {
	h := nameHash(name)
	return append(append48(m.key(subFolderName), uint64(parent)), h[:]...)
}

func (m number) sourceKey(k []byte) []byte {
	h := textHash(string(k))
	return append(m.key(subBySourceKey), h[:]...)
}

func (m number) attachment(r RowID, n uint32) []byte {
	return binary.BigEndian.AppendUint32(m.id(subAttachment, uint64(r)), n)
}

func (m number) byTime(f FolderID, ft uint64, o OID) []byte {
	b := append48(m.key(subByTime), uint64(f))
	return append48(binary.BigEndian.AppendUint64(b, ft), uint64(o))
}

// parsePlace reads the place out of a state or summary key.
func parsePlace(key []byte) (Place, bool) {
	if len(key) != 6+6+1+6 {
		return Place{}, false
	}
	return Place{FolderID(get48(key[6:])), Space(key[12]), get48(key[13:])}, true
}

func mailboxDirKey(g model.GUID) []byte { return append([]byte{spaceMailboxDir}, g[:]...) }

func factKey(name string) []byte { return append([]byte{spaceFact}, name...) }

// deliveredKey hashes the pair so that no queue id or address is too long.
func deliveredKey(queueID, recipient string) []byte {
	h := sha256.Sum256([]byte(queueID + "\x00" + recipient))
	return append([]byte{spaceDelivered}, h[:16]...)
}

// prefixEnd returns the first key after all that start with p.
func prefixEnd(p []byte) []byte {
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

// messageIDHash keys an Internet message id, compared as it stands but for
// angle brackets and white space.
func messageIDHash(id string) [16]byte { return textHash(strings.Trim(id, "<> \t\r\n")) }

func textHash(s string) (h [16]byte) {
	full := sha256.Sum256([]byte(s))
	copy(h[:], full[:])
	return h
}
