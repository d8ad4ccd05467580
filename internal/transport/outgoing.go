package transport

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"rialto/internal/message"
	"rialto/internal/model"
	"rialto/internal/org"
	"rialto/internal/store"
	"rialto/internal/wire/smtp"
)

// loopField names the mailboxes whose rules have sent a message on: a rule of
// one of them does not do it again, and none does after three.
const loopField = "X-MS-Exchange-Inbox-Rules-Loop"

// composer makes a message of what a store wants sent.
type composer struct {
	t      *Transport
	cfg    *org.Config
	o      *store.Outgoing
	w      *bodyWriter
	src    *io.SectionReader // nil: there is none
	header message.Header    // of the source
	body   int64             // where its body begins
	id     string            // of the new message, without brackets
	b      message.Builder
}

// composeOutgoing writes the message into body and returns its record.
func (t *Transport) composeOutgoing(ctx context.Context, db *store.Database, o *store.Outgoing, body *bodyWriter) (*Record, error) {
	c := &composer{t: t, cfg: t.opt.Org.Config(), o: o, w: body}
	// The number makes it unique: no message has it but this.
	c.id = strconv.FormatUint(body.id, 36) + "." + t.serialID() + "@" + t.hostname(c.cfg)
	if o.Content != 0 {
		src, err := db.OutgoingSource(ctx, o)
		if err != nil {
			return nil, err
		}
		c.src = src
		if err := c.readHeader(); err != nil {
			return nil, err
		}
	}
	r := &Record{ID: body.id, Accepted: t.opt.Clock(), Trusted: true, MessageID: "<" + c.id + ">", Client: "store"}
	if err := c.write(ctx, r); err != nil {
		return nil, err
	}
	r.Size = body.size
	notify := smtp.Notify(0)
	if r.From.IsZero() {
		notify = smtp.NotifyNever
	}
	for _, p := range o.To {
		r.Rcpts = append(r.Rcpts, Rcpt{To: p.Address, Notify: notify})
	}
	if len(r.Rcpts) == 0 {
		return nil, model.E("transport.outbox", model.KindInvalid, "message without recipients", nil)
	}
	r.Trace = received(&Session{Helo: "store", Proto: "local"}, t.hostname(c.cfg), strconv.FormatUint(body.id, 10), nil, r.Accepted)
	return r, nil
}

// readHeader reads the header of the source.
func (c *composer) readHeader() error {
	buf := make([]byte, min(c.src.Size(), maxFixed))
	if _, err := io.ReadFull(io.NewSectionReader(c.src, 0, c.src.Size()), buf); err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		return err
	}
	end := headerEnd(buf, 0)
	if end < 0 {
		end = len(buf)
	}
	c.header, c.body = message.Header(buf[:end]), int64(end)
	return nil
}

func (c *composer) write(ctx context.Context, r *Record) error {
	o := c.o
	switch o.Kind {
	case store.SendForward, store.SendAttached, store.SendRedirect:
		return c.sendOn(ctx, r)
	case store.SendReply:
		return c.answer(r, "Re: ", "Your message has been received.")
	case store.SendOOF:
		return c.answer(r, "Out of Office AutoReply: ", "I am out of the office.")
	case store.SendBounce:
		return c.bounce(r)
	case store.SendQuota:
		title, text := quotaWarning(o)
		return c.notice(r, title, text)
	case store.SendNotice:
		return c.notice(r, o.Subject, o.Text)
	}
	return model.E("transport.outbox", model.KindInvalid, "outgoing mail", nil)
}

func address(p store.Party) message.Address {
	return message.Address{Name: p.Name, Local: p.Address.Local, Host: p.Address.Domain}
}

func addresses(ps []store.Party) (out []message.Address) {
	for _, p := range ps {
		out = append(out, address(p))
	}
	return out
}

// sendOn forwards or redirects. It is the owner who sends: restrictions of the
// recipients are about him, and it is he who hears of failures.
func (c *composer) sendOn(ctx context.Context, r *Record) error {
	if c.src == nil {
		return model.E("transport.outbox", model.KindInvalid, "nothing to send on", nil)
	}
	owner, err := c.t.opt.Org.Resolve(ctx, c.o.Owner.Address)
	switch {
	case err == nil:
		r.Sender = owner.GUID
	case !model.IsKind(err, model.KindNotFound):
		return err
	}
	if !c.o.Sender.IsZero() {
		r.From = c.o.Owner.Address
	}
	r.Subject = c.o.Subject
	now := c.t.opt.Clock()
	if c.o.Kind == store.SendRedirect {
		c.b.Addresses("Resent-From", address(c.o.Owner))
		c.b.Addresses("Resent-To", addresses(c.o.To)...)
		c.b.RawField("Resent-Date", message.FormatDate(now))
		c.b.RawField("Resent-Message-ID", "<"+c.id+">")
		c.b.RawField(loopField, c.o.Owner.Address.String())
		c.put(c.b.Bytes())
		c.put(withoutReturnPath(c.header))
		return c.copyBody()
	}
	if !strings.HasPrefix(strings.ToUpper(r.Subject), "FW:") {
		r.Subject = "FW: " + r.Subject
	}
	c.b.Addresses("From", address(c.o.Owner))
	c.b.Addresses("To", addresses(c.o.To)...)
	c.b.Date(now)
	c.b.MessageID(c.id)
	c.b.Field("Subject", r.Subject)
	c.references(false)
	c.b.RawField("Auto-Submitted", "auto-generated")
	for _, v := range c.header.Values(loopField) {
		c.b.RawField(loopField, strings.TrimSpace(v))
	}
	c.b.RawField(loopField, c.o.Owner.Address.String())
	if c.o.Kind == store.SendAttached {
		return c.attach()
	}
	for f := range c.header.Fields() {
		if name := strings.ToLower(f.Name); name == "mime-version" || strings.HasPrefix(name, "content-") {
			c.b.RawField(f.Name, message.Unfold(f.Value))
		}
	}
	c.put(c.b.Bytes())
	if c.body == c.src.Size() { // there was no empty line, or nothing after it
		c.put([]byte("\r\n"))
		return c.w.err()
	}
	c.put([]byte("\r\n"))
	return c.copyBody()
}

// attach puts the source into an attachment.
func (c *composer) attach() error {
	c.b.Multipart("mixed", "=_"+c.t.queue.guid.String()+"."+strconv.FormatUint(c.w.id, 36)+"."+c.t.serialID())
	c.b.Part()
	c.b.Text("text/plain", "\r\n")
	c.b.Part()
	c.b.ContentType("message/rfc822")
	c.b.Raw(nil)
	c.put(c.b.Bytes())
	c.put(withoutReturnPath(c.header))
	if err := c.copyBody(); err != nil {
		return err
	}
	before := len(c.b.Bytes())
	c.b.End()
	c.put([]byte("\r\n"))
	c.put(bytes.TrimLeft(c.b.Bytes()[before:], "\r\n"))
	return c.w.err()
}

func (c *composer) put(b []byte) { _, _ = c.w.Write(b) } // the writer keeps its error

func (c *composer) copyBody() error {
	if _, err := io.CopyBuffer(c.w, onlyReader{io.NewSectionReader(c.src, c.body, c.src.Size()-c.body)}, make([]byte, 32<<10)); err != nil {
		return err
	}
	return c.w.err()
}

// withoutReturnPath is a header less what belongs to its final delivery.
func withoutReturnPath(h message.Header) []byte {
	out := make([]byte, 0, len(h))
	skip := false
	for line := range strings.SplitAfterSeq(string(h), "\n") {
		if line == "" || line[0] != ' ' && line[0] != '\t' {
			skip = len(line) > 12 && strings.EqualFold(line[:12], "return-path:")
		}
		if !skip {
			out = append(out, line...)
		}
	}
	return out
}

// references links a message to the source (RFC 5322 3.6.4).
func (c *composer) references(reply bool) {
	ids := message.MessageIDs(c.o.MessageID)
	if len(ids) == 0 {
		return
	}
	if reply {
		c.b.RawField("In-Reply-To", ids[0])
	}
	chain := message.MessageIDs(c.header.Get("References"))
	if len(chain) > 20 {
		chain = append(chain[:1], chain[len(chain)-19:]...)
	}
	c.b.RawField("References", strings.Join(append(chain, ids[0]), " "))
}

// answer replies to the sender, automatically (RFC 3834).
func (c *composer) answer(r *Record, prefix, stock string) error {
	o := c.o
	r.Subject = o.Subject
	if !strings.HasPrefix(strings.ToLower(r.Subject), strings.ToLower(strings.TrimSpace(prefix))) {
		r.Subject = prefix + r.Subject
	}
	c.b.Addresses("From", address(o.Owner))
	c.b.Addresses("To", addresses(o.To)...)
	c.b.Date(c.t.opt.Clock())
	c.b.MessageID(c.id)
	c.b.Field("Subject", r.Subject)
	c.references(true)
	c.b.RawField("Auto-Submitted", "auto-replied")
	c.b.RawField("X-Auto-Response-Suppress", "All")
	media, text := "text/plain", o.Text
	if text == "" {
		text = stock
	} else if o.HTML {
		media = "text/html"
	}
	c.b.Text(media, text+"\r\n")
	c.put(c.b.Bytes())
	return c.w.err()
}

func (c *composer) postmaster() model.Address {
	domain := c.t.hostname(c.cfg)
	if len(c.cfg.Domains) > 0 {
		domain = c.cfg.Domains[0].Name
	}
	return model.Address{Local: "postmaster", Domain: domain}
}

// bounce returns the source: a rule of the recipient wants it so.
func (c *composer) bounce(r *Record) error {
	o := c.o
	status, why := "5.7.1", "The recipient's rules do not take the message"
	switch o.Code {
	case 0x0D:
		status, why = "5.2.3", "The message is larger than the recipient takes"
	case 0x1F:
		status, why = "5.6.1", "The recipient cannot show a message of this form"
	}
	r.Report, r.Subject = true, "Delivery status: "+o.Subject
	n := &notice{kind: noticeFailure, host: c.t.hostname(c.cfg), postmast: c.postmaster(), to: o.Sender, id: c.id, now: c.t.opt.Clock(),
		boundary: "=_" + c.t.queue.guid.String() + "." + strconv.FormatUint(c.w.id, 36) + "." + c.t.serialID(),
		record:   &Record{Subject: o.Subject, MessageID: o.MessageID, Accepted: o.Created},
		rcpts:    []Rcpt{{To: o.Owner.Address, State: Failed, Status: status, Diag: why}}}
	if c.src != nil {
		n.original, n.whole = withoutReturnPath(c.header), c.src.Size() <= maxReturned
		if n.whole {
			rest, err := io.ReadAll(io.NewSectionReader(c.src, c.body, c.src.Size()-c.body))
			if err != nil {
				return err
			}
			n.original = append(n.original, rest...)
		}
	}
	c.put(n.build())
	return c.w.err()
}

// notice is a letter from the system.
func (c *composer) notice(r *Record, title, text string) error {
	r.Subject = title
	pm := c.postmaster()
	c.b.Addresses("From", message.Address{Name: "System Administrator", Local: pm.Local, Host: pm.Domain})
	c.b.Addresses("To", addresses(c.o.To)...)
	c.b.Date(c.t.opt.Clock())
	c.b.MessageID(c.id)
	c.b.Field("Subject", title)
	c.b.RawField("Importance", "high")
	c.b.RawField("Auto-Submitted", "auto-generated")
	c.b.RawField("X-Auto-Response-Suppress", "All")
	c.b.Text("text/plain", text)
	c.put(c.b.Bytes())
	return c.w.err()
}

// quotaWarning is what the owner of a full mailbox reads.
func quotaWarning(o *store.Outgoing) (title, text string) {
	kb := func(n int64) string { return strconv.FormatInt((n+1023)/1024, 10) + " KB" }
	var b strings.Builder
	fmt.Fprintf(&b, "Your mailbox has reached one or more of its size limits.\n\nIts size is %s.\n\nSize limits:\n", kb(o.Used))
	for _, l := range []struct {
		octets int64
		what   string
	}{{o.Limits.Warn, "you are warned"}, {o.Limits.Send, "you cannot send mail"}, {o.Limits.Hard, "you cannot send or receive mail"}} {
		if l.octets > 0 {
			fmt.Fprintf(&b, "  from %s on %s\n", kb(l.octets), l.what)
		}
	}
	b.WriteString("\nTo make room, delete what you no longer need, and empty the Deleted Items folder.\n")
	title = "Your mailbox is almost full"
	if l := o.Limits; l.Send > 0 && o.Used >= l.Send || l.Hard > 0 && o.Used >= l.Hard {
		title = "Your mailbox is full"
	}
	return title, b.String()
}
