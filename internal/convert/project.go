// Package convert derives one form of an item from another: what the store
// keeps of a MIME message beside its bytes, and later MIME from properties,
// RTF, iCalendar, vCard and TNEF. Pure functions; no clocks, no I/O.
package convert

import (
	"crypto/sha256"
	"strings"
	"time"

	"rialto/internal/mapi"
	"rialto/internal/message"
)

// Projection is what is known of a MIME message without its bytes.
type Projection struct {
	Summary    mapi.Properties   // what lists show
	Recipients []mapi.Properties // To, Cc and Bcc as the sender wrote them
	Envelope   []byte            // message.Envelope.AppendBinary
	Structure  []byte            // message.Structure.AppendBinary, without the envelope of the root
}

// Limits of what is stored for one message; the bytes of the message are always
// whole. What is over is left out of lists, never out of the mail.
const (
	maxStructure   = 160 << 10 // octets
	maxEnvelope    = 48 << 10  // octets
	maxRecipients  = 1000
	maxText        = 1024 // characters of one summary text
	previewSize    = 255  // characters (MS-OXPROPS PidTagPreview)
	maxMessageID   = 998
	maxDisplayList = 2048
)

// FromMIME projects a message that p has parsed to its end.
func FromMIME(p *message.Parser, s *message.Structure) Projection {
	env := s.Root.Envelope
	if env == nil {
		env = &message.Envelope{}
	}
	out := Projection{Envelope: encodeEnvelope(env), Structure: encodeStructure(s)}
	out.Summary = summary(p.Header(), env, s, p.Preview(previewSize))
	out.Recipients = recipients(env)
	return out
}

// encodeStructure drops the root's envelope, which is stored apart, and, if the
// rest is too large, the parts: such a message is shown as one part.
func encodeStructure(s *message.Structure) []byte {
	root := *s.Root
	root.Envelope = nil
	c := message.Structure{Root: &root, Size: s.Size, Truncated: s.Truncated}
	b := c.AppendBinary(nil)
	if len(b) <= maxStructure {
		return b
	}
	c.Root = &message.Part{HeaderStart: root.HeaderStart, BodyStart: root.BodyStart, BodyEnd: root.BodyEnd,
		Lines: root.Lines, Type: "application", Subtype: "octet-stream", Encoding: root.Encoding}
	c.Truncated = true
	return c.AppendBinary(nil)
}

// encodeEnvelope shortens lists and texts until the envelope fits.
func encodeEnvelope(e *message.Envelope) []byte {
	b := e.AppendBinary(nil)
	for n := 500; len(b) > maxEnvelope; n /= 4 {
		c := *e
		for _, l := range []*[]message.Address{&c.From, &c.Sender, &c.ReplyTo, &c.To, &c.Cc, &c.Bcc} {
			*l = shortList(*l, n)
		}
		c.References = c.References[:min(len(c.References), n)]
		for _, t := range []*string{&c.Date, &c.Subject, &c.InReplyTo, &c.MessageID} {
			*t = (*t)[:min(len(*t), 8*n)]
		}
		b = c.AppendBinary(nil)
	}
	return b
}

// shortList keeps the first n addresses whose texts are of sane length.
func shortList(as []message.Address, n int) []message.Address {
	var out []message.Address
	for _, a := range as {
		if len(out) == n {
			break
		}
		if len(a.Name)+len(a.Route)+len(a.Local)+len(a.Host) <= 1024 {
			out = append(out, a)
		}
	}
	return out
}

func summary(h message.Header, env *message.Envelope, s *message.Structure, preview string) mapi.Properties {
	subject := clip(message.DecodeText(env.Subject), maxText)
	normal := NormalizeSubject(subject)
	var p mapi.Properties
	p.Set(mapi.TagImportance, importance(h))
	p.Set(mapi.TagMessageClass, messageClass(s.Root))
	p.Set(mapi.TagSubject, subject)
	p.Set(mapi.TagConversationTopic, normal)
	p.Set(mapi.TagNormalizedSubject, normal)
	if t, ok := message.ParseDate(env.Date); ok {
		p.Set(mapi.TagClientSubmitTime, t.UTC().Truncate(time.Second))
	}
	from, sender := first(env.From), first(env.SenderOrFrom())
	p.Set(mapi.TagSentRepresentingName, display(from))
	p.Set(mapi.TagSentRepresentingAddress, clip(from.Addr(), maxText))
	p.Set(mapi.TagSenderName, display(sender))
	p.Set(mapi.TagSenderAddress, clip(sender.Addr(), maxText))
	p.Set(mapi.TagDisplayTo, displayList(env.To))
	if cc := displayList(env.Cc); cc != "" {
		p.Set(mapi.TagDisplayCc, cc)
	}
	p.Set(mapi.TagHasAttachments, hasAttachments(s))
	if id := strings.TrimSpace(env.MessageID); id != "" && len(id) <= maxMessageID {
		p.Set(mapi.TagInternetMessageID, id)
	}
	p.Set(mapi.TagConversationID, conversationID(env, normal))
	p.Set(mapi.TagPreview, preview)
	return p
}

// importance reads Importance, X-Priority and Priority (MS-OXCMAIL 2.2.3.2.5).
func importance(h message.Header) int32 {
	switch strings.ToLower(h.Get("Importance")) {
	case "high":
		return 2
	case "low":
		return 0
	case "normal":
		return 1
	}
	if x := h.Get("X-Priority"); x != "" {
		switch x[0] {
		case '1', '2':
			return 2
		case '4', '5':
			return 0
		}
		return 1
	}
	switch strings.ToLower(h.Get("Priority")) {
	case "urgent":
		return 2
	case "non-urgent":
		return 0
	}
	return 1
}

// messageClass tells reports, signed mail and meetings apart by the type of the
// whole message (MS-OXCMAIL 2.2.3.2.1).
func messageClass(root *message.Part) string {
	switch root.MediaType() {
	case "multipart/report":
		switch strings.ToLower(root.Param("report-type")) {
		case "delivery-status":
			return "REPORT.IPM.Note.NDR"
		case "disposition-notification":
			return "REPORT.IPM.Note.IPNRN"
		}
	case "multipart/signed":
		return "IPM.Note.SMIME.MultipartSigned"
	case "application/pkcs7-mime", "application/x-pkcs7-mime":
		return "IPM.Note.SMIME"
	case "text/calendar":
		return calendarClass(root)
	case "multipart/alternative":
		for _, c := range root.Children {
			if c.MediaType() == "text/calendar" {
				return calendarClass(c)
			}
		}
	}
	return "IPM.Note"
}

func calendarClass(p *message.Part) string {
	switch strings.ToUpper(p.Param("method")) {
	case "REQUEST":
		return "IPM.Schedule.Meeting.Request"
	case "CANCEL":
		return "IPM.Schedule.Meeting.Canceled"
	}
	return "IPM.Note"
}

// hasAttachments reports whether a paper clip should be shown: some part is
// neither text to be read nor an inline picture of it.
func hasAttachments(s *message.Structure) bool {
	found := false
	s.Walk(func(p *message.Part, depth int) bool {
		switch {
		case p.IsMultipart():
			return true
		case p.Disposition == "attachment", p.IsMessage() && depth > 0:
			found = true
		case p.Type == "text" && p.Filename() == "", p.ID != "" && p.Type == "image":
		case p.Disposition == "inline" && p.Type == "image":
		case p.Subtype == "pkcs7-signature", p.Subtype == "x-pkcs7-signature", p.Subtype == "pgp-signature":
		case p.Type == "message", p.Type == "text":
			found = found || p.Filename() != ""
		default:
			found = depth > 0 || p.Filename() != ""
		}
		return !found
	})
	return found
}

func first(as []message.Address) message.Address {
	for _, a := range as {
		if a.Kind == message.Mailbox {
			return a
		}
	}
	return message.Address{}
}

func display(a message.Address) string {
	if n := a.DisplayName(); n != "" {
		return clip(n, maxText)
	}
	return clip(a.Addr(), maxText)
}

func displayList(as []message.Address) string {
	var b strings.Builder
	for _, a := range as {
		if a.Kind != message.Mailbox {
			continue
		}
		if b.Len() > 0 {
			b.WriteString("; ")
		}
		b.WriteString(display(a))
		if b.Len() > maxDisplayList {
			break
		}
	}
	return clip(b.String(), maxDisplayList)
}

// recipients is the recipients table of the message as its header tells it
// (MS-OXCMAIL 2.2.3.1.2).
func recipients(env *message.Envelope) []mapi.Properties {
	var out []mapi.Properties
	for i, list := range [][]message.Address{env.To, env.Cc, env.Bcc} {
		for _, a := range list {
			if a.Kind != message.Mailbox || len(out) == maxRecipients {
				continue
			}
			var p mapi.Properties
			p.Set(mapi.TagRecipientType, int32(i+1))
			p.Set(mapi.TagDisplayName, display(a))
			p.Set(mapi.TagAddressType, "SMTP")
			p.Set(mapi.TagEmailAddress, clip(a.Addr(), maxText))
			out = append(out, p)
		}
	}
	return out
}

// conversationID groups mail (MS-OXOMSG 2.2.1.3): by the first message id of the
// thread, or by topic where a message names none.
func conversationID(env *message.Envelope, topic string) []byte {
	root := strings.TrimSpace(env.MessageID)
	if ids := message.MessageIDs(env.InReplyTo); len(ids) > 0 {
		root = ids[0]
	}
	if len(env.References) > 0 {
		root = env.References[0]
	}
	if root == "" {
		root = "topic:" + strings.ToLower(topic)
	}
	h := sha256.Sum256([]byte(root))
	return h[:16]
}

// clip shortens s to at most n bytes without cutting a character.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && s[n]&0xc0 == 0x80 {
		n--
	}
	return s[:n]
}
