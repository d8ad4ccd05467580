package layout

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"strings"
	"time"

	"rialto/internal/mapi"
	"rialto/internal/model"
)

// DeviceRow is the key of a row of a device's state. Collection 0…0 is the
// device itself.
func (m Number) DeviceRow(device, collection [16]byte, generation byte, n uint16) []byte {
	k := append(append(m.Key(SubDevice), device[:]...), collection[:]...)
	return binary.BigEndian.AppendUint16(append(k, generation), n)
}

// RecipientRow is the key of the nth row of a recipients table.
func (m Number) RecipientRow(r RowID, n int) []byte {
	k := m.ID(SubRecipients, uint64(r))
	if n > 0 {
		k = binary.BigEndian.AppendUint16(k, uint16(n))
	}
	return k
}

// LeafKeys are the keys whose values MakeLeaf takes.
func (m Number) LeafKeys(at RowID) [][]byte {
	return [][]byte{m.ID(SubBag, uint64(at)), m.ID(SubRecipients, uint64(at)), m.ID(SubStream, uint64(at))}
}

// LogKey is the key of an entry in the mailbox log: kinds share a seq.
func (m Number) LogKey(s Seq, k ChangeKind) []byte {
	slot := byte(0)
	switch k {
	case ChangeFolder, ChangeNoFolder:
		slot = 1
	case ChangeCounts:
		slot = 2
	}
	return append(m.LogAt(s), slot)
}

// NamedProp is the key of the name of a property id.
func (m Number) NamedProp(id uint16) []byte {
	return binary.BigEndian.AppendUint16(m.Key(SubNamedProp), id)
}

// PropByName is the key of the id of a property name, which FoldProperty made.
func (m Number) PropByName(n mapi.PropertyName) []byte {
	h := textHash(fmt.Sprintf("%x/%x/%s", n.Set[:], n.LID, n.Name))
	return append(m.Key(SubPropByName), h[:]...)
}

// Setting is the key of a setting of the mailbox.
func (m Number) Setting(name string) []byte { return append(m.Key(SubSettings), name...) }

// OOFSent is the key that says that a sender had an answer of a rule; rule 0: that
// the owner is out of office.
func (m Number) OOFSent(sender model.Address, rule uint64) []byte {
	h := sha256.Sum256(binary.BigEndian.AppendUint64([]byte(strings.ToLower(sender.String())+"\x00"), rule))
	return append(m.Key(SubOOFSent), h[:16]...)
}

// ReadState is the key of what a user has read in a public folder.
func (m Number) ReadState(user [16]byte, f FolderID) []byte {
	return append48(append(m.Key(SubReadState), user[:]...), uint64(f))
}

// Rendering is the key of a frozen rendering.
func (m Number) Rendering(r RowID, k RenderingKind) []byte {
	return append(m.ID(SubFrozen, uint64(r)), byte(k))
}

// Replica is the key of the GUID of a replica.
func (m Number) Replica(r ReplicaID) []byte {
	return binary.BigEndian.AppendUint16(m.Key(SubReplica), uint16(r))
}

// ReservedMID is the key of a range of ids that a client has reserved.
func (m Number) ReservedMID(from uint64) []byte {
	return append48(binary.BigEndian.AppendUint16(m.Key(SubReservedMID), uint16(OwnReplica)), from)
}

// Mark is the key of the seq at a time, in the horizon space of the mailbox.
func (m Number) Mark(at time.Time) []byte {
	return binary.BigEndian.AppendUint64(append(m.ID(SubHorizon, 0), 1), mapi.FileTime(at))
}

// Rule is the key of a rule of a folder.
func (m Number) Rule(f FolderID, id uint64) []byte {
	return append48(m.ID(SubRule, uint64(f)), id)
}

// Search is the key of a row of a search folder.
func (m Number) Search(f FolderID, slot byte) []byte {
	return append(m.ID(SubSearch, uint64(f)), slot)
}

// Member is the key of a member of a search folder.
func (m Number) Member(f FolderID, o OID) []byte {
	return append48(m.Search(f, SearchSlotMember), uint64(o))
}
