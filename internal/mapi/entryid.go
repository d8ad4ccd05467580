package mapi

import (
	"encoding/binary"

	"rialto/internal/model"
)

// GID is a counter of a replica: what a folder or message is named by.
type GID struct {
	Replica model.GUID
	Counter uint64 // 48 bits
}

// ShortID is a folder or message id: the REPLID in the low 16 bits, then the
// octets of the counter, the highest first (MS-OXCDATA 2.2.1.1, 2.2.1.2).
type ShortID uint64

// MakeShortID joins a replica number and a counter.
func MakeShortID(r ReplID, counter uint64) ShortID {
	var b [8]byte
	binary.LittleEndian.PutUint16(b[:], uint16(r))
	appendOctets(b[:2], counter, 0, globOctets)
	return ShortID(binary.LittleEndian.Uint64(b[:]))
}

// Split is the reverse of MakeShortID.
func (s ShortID) Split() (r ReplID, counter uint64) {
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], uint64(s))
	return ReplID(binary.LittleEndian.Uint16(b[:])), get48(b[2:])
}

func get48(b []byte) (n uint64) {
	for _, c := range b[:globOctets] {
		n = n<<8 | uint64(c)
	}
	return n
}

const (
	sourceKeySize = 22
	longIDSize    = 24
	folderIDSize  = 46
	messageIDSize = 70
)

// AppendSourceKey appends the 22 octets of a GID (MS-OXCDATA 2.2.1.3).
func (g GID) AppendSourceKey(b []byte) []byte {
	return appendOctets(append(b, g.Replica[:]...), g.Counter, 0, globOctets)
}

// AppendLongID appends a long-term id: a GID and two zeros (LongTermID,
// MS-OXCDATA 2.2.1.3.1).
func (g GID) AppendLongID(b []byte) []byte { return append(g.AppendSourceKey(b), 0, 0) }

// ParseSourceKey reads 22 octets.
func ParseSourceKey(b []byte) (GID, error) {
	if len(b) != sourceKeySize {
		return GID{}, model.E("mapi.sourcekey", model.KindInvalid, "source key", nil)
	}
	return GID{model.GUID(b[:16]), get48(b[16:])}, nil
}

// ParseLongID reads 24 octets.
func ParseLongID(b []byte) (GID, error) {
	if len(b) != longIDSize {
		return GID{}, model.E("mapi.longid", model.KindInvalid, "long-term id", nil)
	}
	return ParseSourceKey(b[:sourceKeySize])
}

// PublicProvider is the provider UID in entry ids of public folders and their
// messages (MS-OXCDATA 2.2.4.1).
func PublicProvider() model.GUID {
	return model.GUID{0x1a, 0x44, 0x73, 0x90, 0xaa, 0x66, 0x11, 0xcd, 0x9b, 0xc8, 0x00, 0xaa, 0x00, 0x2f, 0xc4, 0x5a}
}

// Kinds of objects in entry ids (MS-OXCDATA 2.2.4).
const (
	privateFolder  = 0x0001
	publicFolder   = 0x0003
	privateMessage = 0x0007
	publicMessage  = 0x0009
)

// EntryID names a folder, or a message in one, in a store
// (MS-OXCDATA 2.2.4.1, 2.2.4.2).
type EntryID struct {
	Flags    uint32     // 0: for ever; otherwise for this session
	Provider model.GUID // the mailbox's GUID, or PublicProvider
	Public   bool
	Folder   GID
	Message  *GID // nil: the folder
}

// Append appends the 46 octets of a folder's entry id or the 70 of a message's.
func (e *EntryID) Append(b []byte) []byte {
	b = binary.LittleEndian.AppendUint32(b, e.Flags)
	b = append(b, e.Provider[:]...)
	kind := uint16(privateFolder)
	switch {
	case e.Message != nil && e.Public:
		kind = publicMessage
	case e.Message != nil:
		kind = privateMessage
	case e.Public:
		kind = publicFolder
	}
	b = binary.LittleEndian.AppendUint16(b, kind)
	b = e.Folder.AppendLongID(b)
	if e.Message != nil {
		b = e.Message.AppendLongID(b)
	}
	return b
}

// ParseEntryID reads an entry id of a folder or message; anything else is
// KindInvalid.
func ParseEntryID(b []byte) (*EntryID, error) {
	bad := model.E("mapi.entryid", model.KindInvalid, "entry id", nil)
	if len(b) != folderIDSize && len(b) != messageIDSize {
		return nil, bad
	}
	e := &EntryID{Flags: binary.LittleEndian.Uint32(b), Provider: model.GUID(b[4:20])}
	kind := binary.LittleEndian.Uint16(b[20:])
	e.Public = kind == publicFolder || kind == publicMessage
	e.Folder = GID{model.GUID(b[22:38]), get48(b[38:])}
	message := kind == privateMessage || kind == publicMessage
	if !message && !e.Public && kind != privateFolder || message != (len(b) == messageIDSize) {
		return nil, bad
	}
	if message {
		e.Message = &GID{model.GUID(b[46:62]), get48(b[62:])}
	}
	return e, nil
}
