package message

import "strings"

// Envelope is what IMAP's ENVELOPE shows (RFC 9051 7.5.2) and References. The
// texts are raw and unfolded: encoded words are kept, 8-bit bytes may occur. Use
// DecodeText for a form that people read.
type Envelope struct {
	Date, Subject, InReplyTo, MessageID string
	Has                                 Present
	From, Sender, ReplyTo, To, Cc, Bcc  []Address
	References                          []string // message ids with angle brackets, oldest first
}

// Present tells a text field that is empty from one that is absent.
type Present uint8

// The text fields of an Envelope.
const (
	HasDate Present = 1 << iota
	HasSubject
	HasInReplyTo
	HasMessageID
)

// SenderOrFrom returns Sender, or From where there is none, as IMAP shows it.
func (e *Envelope) SenderOrFrom() []Address {
	if len(e.Sender) > 0 {
		return e.Sender
	}
	return e.From
}

// ReplyToOrFrom returns Reply-To, or From where there is none.
func (e *Envelope) ReplyToOrFrom() []Address {
	if len(e.ReplyTo) > 0 {
		return e.ReplyTo
	}
	return e.From
}

// ReadEnvelope returns the envelope of a header.
func ReadEnvelope(h Header) *Envelope {
	e := new(Envelope)
	room := MaxAddresses
	for f := range h.Fields() {
		e.add(f, &room)
	}
	return e
}

// add takes one field. Of several text fields the first counts; address fields
// are joined.
func (e *Envelope) add(f Field, room *int) {
	switch len(f.Name) { // most fields are none of ours: compare few
	case 2:
		if f.Is("To") {
			e.To = appendAddresses(e.To, f.Value, room)
		} else if f.Is("Cc") {
			e.Cc = appendAddresses(e.Cc, f.Value, room)
		}
	case 3:
		if f.Is("Bcc") {
			e.Bcc = appendAddresses(e.Bcc, f.Value, room)
		}
	case 4:
		if f.Is("From") {
			e.From = appendAddresses(e.From, f.Value, room)
		} else if f.Is("Date") {
			e.text(&e.Date, HasDate, f)
		}
	case 6:
		if f.Is("Sender") {
			e.Sender = appendAddresses(e.Sender, f.Value, room)
		}
	case 7:
		if f.Is("Subject") {
			e.text(&e.Subject, HasSubject, f)
		}
	case 8:
		if f.Is("Reply-To") {
			e.ReplyTo = appendAddresses(e.ReplyTo, f.Value, room)
		}
	case 10:
		if f.Is("Message-ID") {
			e.text(&e.MessageID, HasMessageID, f)
		} else if f.Is("References") && e.References == nil {
			e.References = MessageIDs(f.Value)
		}
	case 11:
		if f.Is("In-Reply-To") {
			e.text(&e.InReplyTo, HasInReplyTo, f)
		}
	}
}

func (e *Envelope) text(dst *string, bit Present, f Field) {
	if e.Has&bit == 0 {
		*dst = Unfold(f.Value)
		e.Has |= bit
	}
}

// MessageIDs returns the message ids in a References or In-Reply-To value, with
// their angle brackets. Of more than MaxReferences the first and the last stay.
func MessageIDs(v string) []string {
	var ids []string
	for {
		i := strings.IndexByte(v, '<')
		if i < 0 {
			return ids
		}
		v = v[i:]
		j := strings.IndexByte(v, '>')
		if j < 0 {
			return ids
		}
		id := v[:j+1]
		v = v[j+1:]
		if k := strings.LastIndexByte(id, '<'); k > 0 {
			id = id[k:]
		}
		if strings.ContainsAny(id, " \t\r\n") { // folded inside: rejoin
			id = strings.Join(strings.Fields(id), "")
		}
		if len(id) < 3 {
			continue
		}
		if len(ids) == MaxReferences {
			copy(ids[1:], ids[2:])
			ids = ids[:MaxReferences-1]
		}
		ids = append(ids, id)
	}
}
