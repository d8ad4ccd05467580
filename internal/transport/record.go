package transport

import (
	"encoding/binary"
	"time"

	"rialto/internal/model"
	"rialto/internal/model/row"
	"rialto/internal/org"
	"rialto/internal/wire/smtp"
)

// Record is a message in the queue, without its body. It is all that the
// stages of the transport know of it.
type Record struct {
	ID        uint64
	Accepted  time.Time
	From      model.Address // reverse-path; zero for <>
	Ret       string        // "", "FULL", "HDRS" (RFC 3461 4.3)
	EnvID     string
	Body      string     // "", "7BIT", "8BITMIME"
	Sender    model.GUID // the signed-in sender, zero for none
	Trusted   bool       // from a signed-in user or from the server itself
	Report    bool       // a report of ours: its failure is not reported
	Frozen    bool       // an administrator holds it back
	Size      int64      // octets of the body, Trace apart
	Trace     []byte     // our Received line
	MessageID string     // of the header, for eyes only
	Subject   string
	Client    string // who handed it in, for eyes only
	Rcpts     []Rcpt
}

// State is how far a recipient is. All from Delivered on are final.
type State uint8

// The states of a recipient.
const (
	Pending   State = iota // to be categorized
	Ready                  // to be delivered or relayed
	Delivered              // in a mailbox
	Relayed                // taken by a server that sends no reports
	Passed                 // taken by a server that will report (RFC 3461 5.2.1)
	Expanded               // a group whose members took its place
	Failed
)

var stateNames = [...]string{"pending", "ready", "delivered", "relayed", "passed", "expanded", "failed"}

// String returns the state in words.
func (s State) String() string {
	if int(s) < len(stateNames) {
		return stateNames[s]
	}
	return "unknown"
}

// Final reports whether nothing more will be tried.
func (s State) Final() bool { return s >= Delivered }

// Rcpt is one recipient of a Record.
type Rcpt struct {
	To        model.Address
	ORcptType string // "rfc822"; empty when the sender gave none
	ORcpt     string
	Notify    smtp.Notify
	Return    model.Address // where reports go; zero: to Record.From
	State     State
	Reported  bool // the final state was reported, or nobody wants to know
	DelayTold bool

	Mailbox model.GUID // of a mailbox; zero: remote
	Store   model.GUID // where Mailbox is
	Name    string     // display name of the mailbox

	Status string // "5.1.1" (RFC 3463), of the last attempt
	Diag   string // what was said: "550 5.1.1 No such user"
	Remote string // the server that said it

	object *org.Recipient // of a mailbox just categorized; not stored
}

// Limits of what is kept of texts, in bytes.
const (
	maxText      = 512
	maxTrace     = 4 << 10
	rcptsPerRow  = 100
	recordFormat = 1
)

const (
	bitTrusted = 1 << iota
	bitReport
	bitFrozen
)

const (
	bitReported = 1 << iota
	bitDelayTold
	bitMailbox
)

func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && s[n]&0xc0 == 0x80 {
		n--
	}
	return s[:n]
}

func appendAddress(b []byte, a model.Address) []byte {
	return row.AppendText(row.AppendText(b, a.Local), a.Domain)
}

// encodeHeader returns the record without its recipients, of which it keeps
// the number.
func (r *Record) encodeHeader() []byte {
	b := make([]byte, 0, 256+len(r.Trace))
	b = append(b, recordFormat)
	var bits byte
	if r.Trusted {
		bits |= bitTrusted
	}
	if r.Report {
		bits |= bitReport
	}
	if r.Frozen {
		bits |= bitFrozen
	}
	b = append(b, bits)
	b = binary.AppendUvarint(b, uint64(r.Accepted.UnixMilli()))
	b = appendAddress(b, r.From)
	b = row.AppendText(row.AppendText(row.AppendText(b, r.Ret), clip(r.EnvID, maxText)), r.Body)
	b = append(b, r.Sender[:]...)
	b = binary.AppendUvarint(b, uint64(r.Size))
	b = row.AppendText(b, clip(string(r.Trace), maxTrace))
	b = row.AppendText(row.AppendText(row.AppendText(b, clip(r.MessageID, maxText)), clip(r.Subject, maxText)), clip(r.Client, maxText))
	return binary.AppendUvarint(b, uint64(len(r.Rcpts)))
}

// decodeHeader is the inverse; Rcpts gets its length and nothing else.
func (r *Record) decodeHeader(b []byte) error {
	d := decoder{row.Reader{B: b}}
	if d.Byte() != recordFormat {
		return corrupt("record header")
	}
	bits := d.Byte()
	r.Trusted, r.Report, r.Frozen = bits&bitTrusted != 0, bits&bitReport != 0, bits&bitFrozen != 0
	r.Accepted = time.UnixMilli(int64(d.Uvarint()))
	r.From = d.address()
	r.Ret, r.EnvID, r.Body = d.Text(), d.Text(), d.Text()
	r.Sender = d.GUID()
	r.Size = int64(d.Uvarint())
	r.Trace = []byte(d.Text())
	r.MessageID, r.Subject, r.Client = d.Text(), d.Text(), d.Text()
	n := d.Uvarint()
	if d.Bad || n > maxExpanded*2 || r.Size < 0 {
		return corrupt("record header")
	}
	r.Rcpts = make([]Rcpt, n)
	return nil
}

// encodeRcpts returns one row of recipients.
func encodeRcpts(list []Rcpt) []byte {
	b := make([]byte, 0, 96*len(list)+2)
	b = append(b, recordFormat)
	for i := range list {
		b = list[i].append(b)
	}
	return b
}

func (r *Rcpt) append(b []byte) []byte {
	var bits byte
	if r.Reported {
		bits |= bitReported
	}
	if r.DelayTold {
		bits |= bitDelayTold
	}
	if !r.Mailbox.IsZero() {
		bits |= bitMailbox
	}
	b = append(b, byte(r.State), bits, byte(r.Notify))
	b = appendAddress(b, r.To)
	b = row.AppendText(row.AppendText(b, clip(r.ORcptType, 64)), clip(r.ORcpt, maxText))
	b = appendAddress(b, r.Return)
	if bits&bitMailbox != 0 {
		b = append(append(b, r.Mailbox[:]...), r.Store[:]...)
		b = row.AppendText(b, clip(r.Name, maxText/2))
	}
	b = row.AppendText(row.AppendText(b, clip(r.Status, 16)), clip(r.Diag, maxText))
	return row.AppendText(b, clip(r.Remote, 256))
}

// decodeRcpts fills list from a row.
func decodeRcpts(b []byte, list []Rcpt) error {
	d := decoder{row.Reader{B: b}}
	if d.Byte() != recordFormat {
		return corrupt("recipients")
	}
	for i := range list {
		r := &list[i]
		r.State = State(d.Byte())
		bits := d.Byte()
		r.Notify = smtp.Notify(d.Byte())
		r.Reported, r.DelayTold = bits&bitReported != 0, bits&bitDelayTold != 0
		r.To = d.address()
		r.ORcptType, r.ORcpt = d.Text(), d.Text()
		r.Return = d.address()
		if bits&bitMailbox != 0 {
			r.Mailbox, r.Store = d.GUID(), d.GUID()
			r.Name = d.Text()
		}
		r.Status, r.Diag, r.Remote = d.Text(), d.Text(), d.Text()
		if d.Bad || r.State > Failed {
			return corrupt("recipients")
		}
	}
	return nil
}

func corrupt(what string) error { return model.E("transport.queue", model.KindCorrupt, what, nil) }

// decoder reads rows of the queue.
type decoder struct{ row.Reader }

func (d *decoder) address() model.Address { return model.Address{Local: d.Text(), Domain: d.Text()} }
