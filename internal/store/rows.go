package store

import (
	"encoding/binary"
	"time"

	"rialto/internal/mapi"
	"rialto/internal/model"
	"rialto/internal/model/row"
	"rialto/internal/store/content"
)

// Flags is the state of an item that clients set.
type Flags uint32

// The flags. Read ticks ReadCN; Deleted only Seq; the others CN. See the
// package comment.
const (
	Read Flags = 1 << iota
	Answered
	Flagged
	DeletedMark // IMAP's \Deleted: a mark, not a deletion
	Draft
	Forwarded
	ReceiptSent // $MDNSent
	HasAttachments
	flagsKnown   = 1<<iota - 1
	flagsClient  = flagsKnown &^ HasAttachments
	flagsSeqOnly = DeletedMark
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
	// Keywords are IMAP keywords beyond the flags, sorted, at most maxKeywords.
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

const (
	stateVersion   = 1
	stateLong      = 2 // with what few items have
	maxKeywords    = 64
	maxKeywordSize = 128
)

func appendCN(b []byte, c CN) []byte {
	return binary.AppendUvarint(binary.AppendUvarint(b, uint64(c.Replica)), c.Counter)
}

func appendTime(b []byte, t time.Time) []byte {
	if t.IsZero() {
		return binary.AppendUvarint(b, 0)
	}
	return binary.AppendUvarint(b, mapi.FileTime(t))
}

func (s *State) encode(b []byte) []byte {
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
	b = appendTime(b, s.Time)
	b = appendTime(b, s.Deleted)
	b = binary.AppendUvarint(b, uint64(s.Origin))
	b = row.AppendText(b, string(s.Creator))
	b = binary.AppendUvarint(b, uint64(len(s.Keywords)))
	for _, k := range s.Keywords {
		b = row.AppendText(b, k)
	}
	if long {
		b = appendTime(b, s.Modified)
		b = row.AppendText(b, string(s.Foreign.SourceKey))
		b = row.AppendText(b, string(s.Foreign.ChangeKey))
		b = row.AppendText(b, string(s.Foreign.PCL))
		b = row.AppendText(b, s.Foreign.Href)
	}
	return b
}

func (s *State) decode(p Place, b []byte) error {
	d := newReader(b)
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
	s.Time = d.time()
	s.Deleted = d.time()
	s.Origin = UID(d.Uvarint())
	s.Creator = d.copied()
	if n := d.Uvarint(); n > 0 && !d.Bad {
		if n > maxKeywords {
			d.Bad = true
		}
		for i := uint64(0); i < n && !d.Bad; i++ {
			s.Keywords = append(s.Keywords, d.Text())
		}
	}
	if version == stateLong {
		s.Modified = d.time()
		s.Foreign = Foreign{SourceKey: d.copied(), ChangeKey: d.copied(), PCL: d.copied(), Href: d.Text()}
	}
	return d.err("state row")
}

// Summary is the row of an item that is written once: what lists show, and what
// IMAP's ENVELOPE needs. Envelope belongs to whoever writes MIME items; the
// store keeps it as it is.
type Summary struct {
	Props    mapi.Properties
	Envelope []byte
}

const summaryVersion = 1

func (s *Summary) encode(b []byte) ([]byte, bool) {
	b = append(b, summaryVersion)
	b = row.AppendText(b, string(s.Envelope))
	return mapi.AppendProperties(b, s.Props)
}

// splitSummary returns the envelope and the encoded properties of a row,
// pointing into b.
func splitSummary(b []byte) (envelope, props []byte, err error) {
	d := newReader(b)
	if d.Byte() != summaryVersion {
		d.Bad = true
	}
	envelope = d.Bytes()
	if d.Bad {
		return nil, nil, corrupt("summary row")
	}
	return envelope, d.B, nil
}

// Truth says which form of an item is the original.
type Truth uint8

// The truths. The stream of an item whose truth is not MAPI is
// kept as it came; properties beside it are an overlay.
const (
	TruthMIME  Truth = 1
	TruthMAPI  Truth = 2
	TruthICal  Truth = 3
	TruthVCard Truth = 4
)

// Stream is where the bytes of an item are: the trace headers that belong to
// this copy alone, then the content that copies share.
type Stream struct {
	Truth     Truth
	Content   content.ID // 0: none
	Size      int64      // octets of the content, without Trace
	Trace     []byte     // octets that come first
	Structure []byte     // the parsed form, offsets relative to the content; opaque
	// Evidence is the stream that was the truth until properties were written
	// over what it says; 0: none.
	Evidence content.ID
}

const (
	streamVersion  = 1
	streamEvidence = 2 // with the evidence
)

func (s *Stream) encode(b []byte) []byte {
	if s.Evidence != 0 {
		b = binary.AppendUvarint(append(b, streamEvidence), uint64(s.Evidence))
	} else {
		b = append(b, streamVersion)
	}
	b = append(b, byte(s.Truth))
	b = binary.AppendUvarint(b, uint64(s.Content))
	b = binary.AppendUvarint(b, uint64(s.Size))
	b = row.AppendText(b, string(s.Trace))
	return row.AppendText(b, string(s.Structure))
}

func (s *Stream) decode(b []byte) error {
	d := newReader(b)
	switch d.Byte() {
	case streamVersion:
	case streamEvidence:
		s.Evidence = content.ID(d.Uvarint())
	default:
		d.Bad = true
	}
	s.Truth = Truth(d.Byte())
	s.Content = content.ID(d.Uvarint())
	s.Size = int64(d.Uvarint())
	s.Trace = d.Bytes()
	s.Structure = d.Bytes()
	return d.err("stream row")
}

// contents lists what the row refers to.
func (s *Stream) contents() (ids []content.ID) {
	for _, id := range []content.ID{s.Content, s.Evidence} {
		if id != 0 {
			ids = append(ids, id)
		}
	}
	return ids
}

func encodePlace(p Place) []byte {
	b := append48(make([]byte, 0, 14), uint64(p.Folder))
	return append48(append(b, byte(p.Space)), p.N)
}

func decodePlace(b []byte) (Place, error) {
	if len(b) != 13 {
		return Place{}, corrupt("place")
	}
	return Place{FolderID(get48(b)), Space(b[6]), get48(b[7:])}, nil
}

const timedVersion = 1

// encodeTimed is the value of the index by time of delivery: where the item is
// in its folder.
func encodeTimed(u UID) []byte { return append48([]byte{timedVersion}, uint64(u)) }

// decodeTimed returns 0 for a row that does not say where its item is: those
// that were written before they did are empty.
func decodeTimed(b []byte) (UID, error) {
	if len(b) == 0 {
		return 0, nil
	}
	if len(b) != 7 || b[0] != timedVersion || get48(b[1:]) == 0 || get48(b[1:]) > uint64(^UID(0)) {
		return 0, corrupt("delivery time")
	}
	return UID(get48(b[1:])), nil
}

func corrupt(what string) error { return model.E("store.decode", model.KindCorrupt, what, nil) }
