package layout

import (
	"encoding/binary"
	"time"

	"rialto/internal/mapi"
	"rialto/internal/model"
	"rialto/internal/model/row"
)

// Flags is the state of an item that clients set.
type Flags uint32

// The flags. Read ticks ReadCN; DeletedMark only Seq; the others CN. See package
// store.
const (
	Read Flags = 1 << iota
	Answered
	Flagged
	DeletedMark // IMAP's \Deleted: a mark, not a deletion
	Draft
	Forwarded
	ReceiptSent // $MDNSent
	HasAttachments
	FlagsKnown   = 1<<iota - 1
	FlagsClient  = FlagsKnown &^ HasAttachments
	FlagsSeqOnly = DeletedMark
)

// State is the row of an item that is rewritten often.
type State struct {
	Place   Place
	Flags   Flags
	Seq     Seq
	CN      CN
	ReadCN  CN
	Created Seq // the seq at which the item came to this folder
	Row     RowID
	OID     OID
	MID     MID
	Size    int64     // octets of the stream with its trace headers, or of the properties
	Time    time.Time // of delivery: INTERNALDATE
	Deleted time.Time // when it became recoverable; zero otherwise
	// Keywords are IMAP keywords beyond the flags, sorted, at most MaxKeywords.
	Keywords []string
	// Origin is the UID an item had before it became recoverable.
	Origin UID
	// Creator is the SID of who made the item; nil for mail from outside.
	Creator []byte
	// Modified is when the content last changed; zero: not since it came.
	Modified time.Time
	Foreign  Foreign
}

// Foreign is what other replicas and clients gave an item: stored, not derived
// (MS-OXCFXICS 2.2.1.2). The zero value is an item that only this mailbox has
// changed.
type Foreign struct {
	SourceKey []byte // PidTagSourceKey if it is not the mailbox's own (REPLGUID, MID)
	ChangeKey []byte // PidTagChangeKey if the last change was another's
	PCL       []byte // predecessor change list without the mailbox's own entry
	Href      string // name given by a DAV client, which sees to it that it is the only one in the folder
}

func (f *Foreign) zero() bool {
	return f.SourceKey == nil && f.ChangeKey == nil && f.PCL == nil && f.Href == ""
}

// LastModified is PidTagLastModificationTime.
func (s *State) LastModified() time.Time {
	if s.Modified.IsZero() {
		return s.Time
	}
	return s.Modified
}

// UID returns the item's UID, 0 outside the normal space.
func (s *State) UID() UID {
	if s.Place.Space != Normal {
		return 0
	}
	return UID(s.Place.N)
}

// MaxSID is in octets (MS-DTYP 2.4.2).
const MaxSID = 68

// Limits of what others say of an item, in octets.
const (
	maxSourceKey = 255
	maxPCL       = 64 << 10 // entries of 23 octets at most: 2,800 replicas
	maxHref      = 2048
)

// Check refuses what would not fit a state row or a log entry.
func (f *Foreign) Check() error {
	if len(f.SourceKey) > maxSourceKey || len(f.ChangeKey) > maxSourceKey || len(f.PCL) > maxPCL || len(f.Href) > maxHref {
		return model.E("store.append", model.KindTooLarge, "foreign names", nil)
	}
	return nil
}

const (
	stateVersion   = 1
	stateLong      = 2 // with what few items have
	MaxKeywords    = 64
	MaxKeywordSize = 128
)

// Encode appends the state row, whose key is the place.
func (s *State) Encode(b []byte) []byte {
	long := !s.Modified.IsZero() || !s.Foreign.zero()
	if long {
		b = append(b, stateLong)
	} else {
		b = append(b, stateVersion)
	}
	b = binary.AppendUvarint(b, uint64(s.Flags))
	b = binary.AppendUvarint(b, uint64(s.Seq))
	b = appendCN(b, s.CN)
	b = appendCN(b, s.ReadCN)
	b = binary.AppendUvarint(b, uint64(s.Created))
	b = binary.AppendUvarint(b, uint64(s.Row))
	b = binary.AppendUvarint(b, uint64(s.OID))
	b = binary.AppendUvarint(b, uint64(s.MID))
	b = binary.AppendUvarint(b, uint64(s.Size))
	b = AppendTime(b, s.Time)
	b = AppendTime(b, s.Deleted)
	b = binary.AppendUvarint(b, uint64(s.Origin))
	b = row.AppendText(b, string(s.Creator))
	b = binary.AppendUvarint(b, uint64(len(s.Keywords)))
	for _, k := range s.Keywords {
		b = row.AppendText(b, k)
	}
	if long {
		b = AppendTime(b, s.Modified)
		b = row.AppendText(b, string(s.Foreign.SourceKey))
		b = row.AppendText(b, string(s.Foreign.ChangeKey))
		b = row.AppendText(b, string(s.Foreign.PCL))
		b = row.AppendText(b, s.Foreign.Href)
	}
	return b
}

// Decode reads the state row of a place into s, of which nothing stays.
func (s *State) Decode(p Place, b []byte) error {
	d := NewReader(b)
	version := d.Byte()
	if version != stateVersion && version != stateLong {
		d.Bad = true
	}
	*s = State{Place: p}
	s.Flags = Flags(d.Uvarint())
	s.Seq = Seq(d.Uvarint())
	s.CN = d.cn()
	s.ReadCN = d.cn()
	s.Created = Seq(d.Uvarint())
	s.Row = RowID(d.Uvarint())
	s.OID = OID(d.Uvarint())
	s.MID = MID(d.Uvarint())
	s.Size = int64(d.Uvarint())
	s.Time = d.Time()
	s.Deleted = d.Time()
	s.Origin = UID(d.Uvarint())
	s.Creator = d.Copied()
	if n := d.Uvarint(); n > 0 && !d.Bad {
		if n > MaxKeywords {
			d.Bad = true
		}
		for i := uint64(0); i < n && !d.Bad; i++ {
			s.Keywords = append(s.Keywords, d.Text())
		}
	}
	if version == stateLong {
		s.Modified = d.Time()
		s.Foreign = Foreign{SourceKey: d.Copied(), ChangeKey: d.Copied(), PCL: d.Copied(), Href: d.Text()}
	}
	return d.Err("state row")
}

// Brief is what lists and searches ask of an item: the part of its state row
// that the index of its folder keeps in memory.
type Brief struct {
	UID      UID
	Flags    Flags
	Seq      Seq
	Size     int64
	Row      RowID
	OID      OID
	Keywords []string // sorted; shared, not to be changed
	Ticks    uint64   // FILETIME of delivery, 0: none
}

// Time is that of delivery, in UTC.
func (b *Brief) Time() time.Time {
	if b.Ticks == 0 {
		return time.Time{}
	}
	return mapi.FromFileTime(b.Ticks)
}

// Brief returns the brief of an item of the normal space.
func (s *State) Brief() Brief {
	b := Brief{UID: s.UID(), Flags: s.Flags, Seq: s.Seq, Size: s.Size, Row: s.Row, OID: s.OID, Keywords: s.Keywords}
	if !s.Time.IsZero() {
		b.Ticks = mapi.FileTime(s.Time)
	}
	return b
}

const timedVersion = 1

// EncodeTimed is the value of the index by time of delivery: where the item is
// in its folder.
func EncodeTimed(u UID) []byte { return append48([]byte{timedVersion}, uint64(u)) }

// DecodeTimed returns 0 for a row that does not say where its item is: those
// that were written before they did are empty.
func DecodeTimed(b []byte) (UID, error) {
	if len(b) == 0 {
		return 0, nil
	}
	if len(b) != 7 || b[0] != timedVersion || Get48(b[1:]) == 0 || Get48(b[1:]) > uint64(^UID(0)) {
		return 0, Corrupt("delivery time")
	}
	return UID(Get48(b[1:])), nil
}
