package imap

import (
	"io"
	"sort"
	"strings"

	"rialto/internal/message"
	"rialto/internal/store"
	wire "rialto/internal/wire/imap"
)

// verdict is what is known of a message's match.
type verdict uint8

const (
	never verdict = iota
	unknown
	yes
)

func is(b bool) verdict {
	if b {
		return yes
	}
	return never
}

// candidate is a message as far as it was read.
type candidate struct {
	level level
	i     int
	state *store.Brief
	env   *message.Envelope // from levelSummary on
	row   *fetchRow         // from levelBody on
	head  message.Header    // read when first needed
	isSet bool              // head was read
	buf   []byte
	room  *[]byte // for reading texts
	err   error   // reading the octets failed
}

// eval decides as far as c's level allows.
func (k *key) eval(c *candidate) verdict {
	switch k.op {
	case wire.SearchAnd:
		v := yes
		for _, sub := range k.keys {
			if v = min(v, sub.eval(c)); v == never {
				break
			}
		}
		return v
	case wire.SearchOr:
		v := never
		for _, sub := range k.keys {
			if v = max(v, sub.eval(c)); v == yes {
				break
			}
		}
		return v
	case wire.SearchNot:
		return yes - k.keys[0].eval(c)
	}
	if k.hits != nil && c.state != nil {
		if v := k.verdict(c.state); v != unknown {
			return v
		}
	}
	if k.level() > c.level {
		return unknown
	}
	switch k.level() {
	case levelSummary:
		return is(k.envelope(c))
	case levelBody:
		return is(k.octets(c))
	}
	return is(k.row(c))
}

// row decides keys about the state row.
func (k *key) row(c *candidate) bool {
	st := c.state
	switch k.op {
	case wire.SearchAll:
		return true
	case wire.SearchSeq, wire.SearchUID:
		i := sort.Search(len(k.spans), func(j int) bool { return k.spans[j].hi > c.i })
		return i < len(k.spans) && k.spans[i].lo <= c.i
	case wire.SearchFlag:
		if k.flag != 0 {
			return st.Flags&k.flag != 0
		}
		for _, have := range st.Keywords {
			if strings.EqualFold(have, k.name) {
				return true
			}
		}
		return false
	case wire.SearchBefore:
		return day(st.Time()) < k.day
	case wire.SearchOn:
		return day(st.Time()) == k.day
	case wire.SearchSince:
		return day(st.Time()) >= k.day
	case wire.SearchLarger:
		return st.Size > int64(k.num)
	case wire.SearchSmaller:
		return st.Size < int64(k.num)
	case wire.SearchOlder:
		return !st.Time().After(k.at)
	case wire.SearchYounger:
		return !st.Time().Before(k.at)
	case wire.SearchModSeq:
		return uint64(st.Seq) >= k.num
	case wire.SearchEmailID:
		return k.num != 0 && uint64(st.OID) == k.num
	}
	return false // RECENT: no message is, ever
}

// envelope decides keys about the envelope.
func (k *key) envelope(c *candidate) bool {
	e := c.env
	switch k.op {
	case wire.SearchSentBefore, wire.SearchSentOn, wire.SearchSentSince:
		t, ok := message.ParseDate(e.Date)
		if !ok {
			return false
		}
		switch d := day(t); k.op {
		case wire.SearchSentBefore:
			return d < k.day
		case wire.SearchSentOn:
			return d == k.day
		default:
			return d >= k.day
		}
	case wire.SearchThreadID:
		return false
	}
	switch k.name {
	case "FROM":
		return k.addresses(c, e.From)
	case "TO":
		return k.addresses(c, e.To)
	case "CC":
		return k.addresses(c, e.Cc)
	case "BCC":
		return k.addresses(c, e.Bcc)
	case "SENDER":
		return k.addresses(c, e.Sender)
	case "REPLY-TO":
		return k.addresses(c, e.ReplyTo)
	case "SUBJECT":
		return e.Has&message.HasSubject != 0 && k.text.in(message.DecodeText(e.Subject))
	case "MESSAGE-ID":
		return e.Has&message.HasMessageID != 0 && k.text.in(e.MessageID)
	case "IN-REPLY-TO":
		return e.Has&message.HasInReplyTo != 0 && k.text.in(e.InReplyTo)
	}
	return e.Has&message.HasDate != 0 && k.text.in(e.Date)
}

// addresses looks for the text in addresses as people read them: Name <a@b>.
func (k *key) addresses(c *candidate, as []message.Address) bool {
	if k.isEmpty {
		return len(as) > 0
	}
	for i := range as {
		a := &as[i]
		b := c.buf[:0]
		if a.Name != "" {
			b = append(append(b, message.DecodeText(a.Name)...), ' ')
		}
		b = append(append(b, '<'), a.Local...)
		if a.Host != "" {
			b = append(append(b, '@'), a.Host...)
		}
		b = append(b, '>')
		c.buf = b
		if k.text.inBytes(b) {
			return true
		}
	}
	return false
}

// octets decides keys about header and text.
func (k *key) octets(c *candidate) bool {
	if c.err != nil {
		return false
	}
	if k.op == wire.SearchHeader {
		for f := range c.header().Fields() {
			if f.Is(k.name) && k.text.in(message.DecodeText(message.Unfold(f.Value))) {
				return true
			}
		}
		return false
	}
	if k.op == wire.SearchText {
		for f := range c.header().Fields() {
			if k.text.in(f.Name + ": " + message.DecodeText(message.Unfold(f.Value))) {
				return true
			}
		}
	}
	return c.texts(&k.text)
}

// header reads the header of the message once.
func (c *candidate) header() message.Header {
	if !c.isSet && c.err == nil {
		c.isSet = true
		var e extent
		if e, _, c.err = c.row.locate(wire.Section{Specifier: "HEADER"}); c.err == nil {
			c.head, c.err = readHeader(c.row.body, e)
		}
	}
	return c.head
}

// texts looks into the text parts of the message.
func (c *candidate) texts(n *needle) bool {
	st, err := c.row.structure()
	if err != nil {
		return false // damaged: nothing is known of its text
	}
	trace := c.row.body.TraceSize()
	content := io.NewSectionReader(c.row.body, trace, c.row.body.Size()-trace)
	found := false
	st.Walk(func(p *message.Part, _ int) bool {
		if p.Type == "text" || p.IsMultipart() && len(p.Children) == 0 {
			found, err = n.inReader(message.PlainReader(content, p), c.room)
			if err != nil {
				c.err = err
			}
		}
		return !found && err == nil
	})
	return found
}
