package layout

import (
	"encoding/binary"
	"time"

	"rialto/internal/kv"
	"rialto/internal/model"
	"rialto/internal/model/row"
	"rialto/internal/store/content"
)

// Limits are the octets at which a mailbox's owner is warned, may send no more,
// and the mailbox takes no more; 0: no limit. Recoverable items do not count.
type Limits struct{ Warn, Send, Hard int64 }

// OutboxID names a message that the store wants sent. It is never given twice
// under the GUID of a database, even if that is made anew or comes back from a
// backup.
type OutboxID uint64

// OutgoingKind says what the transport makes of an Outgoing.
type OutgoingKind uint8

// The kinds of outgoing mail.
const (
	SendForward  OutgoingKind = 1 + iota // a new message with the source in it
	SendAttached                         // a new message with the source attached
	SendRedirect                         // the source itself, resent
	SendReply                            // an answer with Text
	SendOOF                              // an out-of-office answer with Text
	SendBounce                           // the source comes back, for the reason Code
	SendQuota                            // a warning about the size of the mailbox
	SendNotice                           // Subject and Text, from the system
	lastOutgoing = SendNotice
)

// Party is somebody with an address.
type Party struct {
	Name    string
	Address model.Address
}

// Outgoing is one message that the store wants sent, written in the batch of
// what causes it.
type Outgoing struct {
	ID      OutboxID
	Kind    OutgoingKind
	Mailbox model.GUID    // on whose behalf
	Owner   Party         // of the mailbox
	To      []Party       // recipients
	Sender  model.Address // reverse-path of the source; zero for <>
	Created time.Time
	Subject string // of the source; of a notice its own
	// MessageID is the source's, with angle brackets.
	MessageID string
	Text      string // UTF-8
	HTML      bool   // Text is HTML
	Code      uint32 // of a bounce
	Used      int64  // octets in the mailbox, of a quota warning
	Limits    Limits // of a quota warning
	// Content is the source, kept until Sent; 0: none. Trace precedes it.
	Content content.ID
	Size    int64 // octets of Content
	Trace   []byte
}

const (
	outgoingVersion = 1
	MaxOutgoingText = 64 << 10 // octets
	MaxOutgoingTo   = 1000
	// maxOutgoingTrace is in octets; what is longer is left out.
	maxOutgoingTrace = 32 << 10
	outgoingHTML     = 1
)

func appendParty(b []byte, p Party) []byte {
	return row.AppendText(row.AppendText(row.AppendText(b, p.Name), p.Address.Local), p.Address.Domain)
}

func readParty(d *Reader) Party {
	return Party{d.Text(), model.Address{Local: d.Text(), Domain: d.Text()}}
}

// Encode returns the row of the outbox.
func (o *Outgoing) Encode() []byte {
	b := append([]byte{outgoingVersion, byte(o.Kind)}, o.Mailbox[:]...)
	b = appendParty(b, o.Owner)
	b = appendParty(b, Party{Address: o.Sender})
	b = AppendTime(b, o.Created)
	b = row.AppendText(row.AppendText(row.AppendText(b, o.Subject), o.MessageID), o.Text)
	var bits uint64
	if o.HTML {
		bits |= outgoingHTML
	}
	for _, v := range []uint64{bits, uint64(o.Code), uint64(o.Used), uint64(o.Limits.Warn), uint64(o.Limits.Send), uint64(o.Limits.Hard), uint64(o.Content), uint64(o.Size)} {
		b = binary.AppendUvarint(b, v)
	}
	b = row.AppendText(b, string(o.Trace))
	b = binary.AppendUvarint(b, uint64(len(o.To)))
	for _, p := range o.To {
		b = appendParty(b, p)
	}
	return b
}

// DecodeOutgoing reads a row of the outbox.
func DecodeOutgoing(id OutboxID, v []byte) (*Outgoing, error) {
	d := NewReader(v)
	if d.Byte() != outgoingVersion {
		d.Bad = true
	}
	o := &Outgoing{ID: id, Kind: OutgoingKind(d.Byte()), Mailbox: d.GUID(), Owner: readParty(&d), Sender: readParty(&d).Address, Created: d.Time(),
		Subject: d.Text(), MessageID: d.Text(), Text: d.Text()}
	o.HTML = d.Uvarint()&outgoingHTML != 0
	o.Code = uint32(d.Uvarint())
	o.Used, o.Limits.Warn, o.Limits.Send, o.Limits.Hard = int64(d.Uvarint()), int64(d.Uvarint()), int64(d.Uvarint()), int64(d.Uvarint())
	o.Content, o.Size = content.ID(d.Uvarint()), int64(d.Uvarint())
	o.Trace = d.Copied()
	n := d.Count()
	if o.Kind == 0 || o.Kind > lastOutgoing || n > MaxOutgoingTo || o.Size < 0 {
		d.Bad = true
	}
	for ; n > 0 && !d.Bad; n-- {
		o.To = append(o.To, readParty(&d))
	}
	return o, d.Err("outbox row")
}

// OutboxBlock is how many ids are reserved at once.
const OutboxBlock = 1024

// OutboxKey is the key of a message in the outbox.
func OutboxKey(id OutboxID) []byte {
	return binary.BigEndian.AppendUint64([]byte{SpaceOutbox}, uint64(id))
}

// OutboxMailbox is the number under which the outbox refers to content: no
// mailbox has it.
const OutboxMailbox = 0

// Clip shortens what is too long.
func (o *Outgoing) Clip() {
	o.Subject, o.MessageID, o.Text = clipText(o.Subject, 1024), clipText(o.MessageID, 1024), clipText(o.Text, MaxOutgoingText)
	if len(o.Trace) > maxOutgoingTrace {
		o.Trace = nil
	}
}

// clipText shortens s to n octets without cutting a character.
func clipText(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && s[n]&0xc0 == 0x80 {
		n--
	}
	return s[:n]
}

// OutboxStart is a first id of which nobody has ever seen the like, or one above
// it: never are 64 messages sent in a millisecond for long. References to content
// have 48 bits for it, which last until 2109.
func OutboxStart(now time.Time) OutboxID { return OutboxID(max(1, now.UnixMilli()<<6)) }

// PutRestored says that ids begin at next, and what is below came back.
func PutRestored(b kv.Batch, next OutboxID) {
	v := binary.BigEndian.AppendUint64(nil, uint64(next))
	b.Set(FactKey("outbox"), v)
	b.Set(FactKey("restored"), v)
}
