package transport

import (
	"context"
	"slices"

	"rialto/internal/model"
	"rialto/internal/org"
	"rialto/internal/wire/smtp"
)

// Limits of one message's expansion.
const (
	maxExpanded = 100000 // recipients
	maxNesting  = 32     // groups and forwards within each other
)

// envelope is what categorization may depend on besides the recipients.
type envelope struct {
	sender  model.GUID // signed-in sender, zero for none
	trusted bool
	size    int64 // octets; -1 while not known
}

// categorizer turns the recipients of a message into mailboxes and remote
// addresses. It asks the directory and decides; it changes nothing.
type categorizer struct {
	dir  org.Directory
	cfg  *org.Config
	env  envelope
	out  []Rcpt
	seen map[model.GUID]bool // objects that have been visited
	addr map[string]bool     // remote addresses taken
	box  map[model.GUID]bool // mailboxes taken in an earlier round
	// known spares look-ups of what was resolved a moment ago.
	known map[string]*org.Recipient
}

// categorize returns the recipients with Pending ones resolved, expanded and
// redirected. Those the directory has no certain answer for stay Pending.
func categorize(ctx context.Context, dir org.Directory, cfg *org.Config, env envelope, in []Rcpt, known map[string]*org.Recipient) []Rcpt {
	c := &categorizer{dir: dir, cfg: cfg, env: env, seen: map[model.GUID]bool{}, addr: map[string]bool{}, box: map[model.GUID]bool{}, known: known}
	c.out = make([]Rcpt, 0, len(in))
	for i := range in {
		if r := &in[i]; r.State != Pending {
			c.out = append(c.out, *r)
			if r.Mailbox.IsZero() {
				c.addr[r.To.Key()] = true
			} else {
				c.box[r.Mailbox] = true
			}
		}
	}
	for i := range in {
		if in[i].State != Pending {
			continue
		}
		mark, trail := len(c.out), &trail{}
		if err := c.address(ctx, in[i], 0, trail); err != nil {
			for _, g := range trail.objects {
				delete(c.seen, g)
			}
			for _, a := range trail.addrs {
				delete(c.addr, a)
			}
			c.out = append(c.out[:mark], in[i])
			c.out[mark].Status, c.out[mark].Diag = "4.3.0", "The directory does not answer"
		}
	}
	return c.out
}

// trail is what one recipient has added, to be taken back.
type trail struct {
	objects []model.GUID
	addrs   []string
}

func (c *categorizer) fail(r Rcpt, status, diag string) {
	r.State, r.Status, r.Diag = Failed, status, diag
	c.out = append(c.out, r)
}

// address handles a recipient known by address. The error is for answers that
// are not certain.
func (c *categorizer) address(ctx context.Context, r Rcpt, depth int, tr *trail) error {
	dom := ours(c.cfg, r.To.Domain)
	if dom == nil {
		c.remote(r, tr)
		return nil
	}
	o, err := c.resolve(ctx, r.To)
	switch {
	case model.IsKind(err, model.KindNotFound) && !dom.Authoritative:
		c.remote(r, tr)
		return nil
	case model.IsKind(err, model.KindNotFound):
		c.fail(r, "5.1.1", "No such recipient")
		return nil
	case err != nil:
		return err
	}
	return c.object(ctx, r, o, depth, tr)
}

func (c *categorizer) resolve(ctx context.Context, a model.Address) (*org.Recipient, error) {
	if o := c.known[a.Key()]; o != nil {
		return o, nil
	}
	return c.dir.Resolve(ctx, a)
}

func (c *categorizer) remote(r Rcpt, tr *trail) {
	key := r.To.Key()
	if c.addr[key] {
		return
	}
	c.addr[key] = true
	tr.addrs = append(tr.addrs, key)
	r.State = Ready
	c.out = append(c.out, r)
}

// object handles a recipient whose directory object is known.
func (c *categorizer) object(ctx context.Context, r Rcpt, o *org.Recipient, depth int, tr *trail) error {
	if c.seen[o.GUID] {
		return nil // once is enough; a loop ends here too
	}
	if depth > maxNesting {
		c.fail(r, "5.4.6", "Groups or forwards are nested too deeply")
		return nil
	}
	if len(c.out) >= maxExpanded {
		c.fail(r, "5.5.3", "Too many recipients")
		return nil
	}
	c.seen[o.GUID] = true
	tr.objects = append(tr.objects, o.GUID)
	if status, why := restriction(c.cfg, c.env, o); status != "" {
		c.fail(r, status, why)
		return nil
	}
	switch o.Kind {
	case org.Mailbox:
		return c.mailbox(ctx, r, o, depth, tr)
	case org.MailUser, org.Contact:
		if o.Target.IsZero() {
			c.fail(r, "5.1.6", "The recipient has no target address")
			return nil
		}
		c.originally(&r)
		r.To = o.Target
		return c.address(ctx, r, depth+1, tr)
	case org.Group, org.DynamicGroup:
		return c.group(ctx, r, o, depth, tr)
	}
	c.fail(r, "5.2.1", "The recipient does not take mail")
	return nil
}

// originally keeps the address the sender knows (RFC 3461 4.2).
func (c *categorizer) originally(r *Rcpt) {
	if r.ORcptType == "" {
		r.ORcptType, r.ORcpt = "rfc822", r.To.String()
	}
}

// mailbox delivers, forwards or both (altRecipient, deliverAndRedirect).
func (c *categorizer) mailbox(ctx context.Context, r Rcpt, o *org.Recipient, depth int, tr *trail) error {
	if o.ForwardTo.IsZero() || o.KeepCopy {
		c.deliver(r, o)
	}
	if o.ForwardTo.IsZero() {
		return nil
	}
	to, err := c.dir.Recipient(ctx, o.ForwardTo)
	if model.IsKind(err, model.KindNotFound) {
		if !o.KeepCopy { // better in the mailbox than nowhere
			c.deliver(r, o)
		}
		return nil
	}
	if err != nil {
		return err
	}
	if c.seen[to.GUID] && !o.KeepCopy && !slices.ContainsFunc(c.out, func(r Rcpt) bool { return r.Mailbox == to.MailboxGUID && r.State == Ready }) {
		c.fail(r, "5.4.6", "Forwarding goes round in circles")
		return nil
	}
	c.originally(&r)
	r.To = to.Primary
	if o.KeepCopy { // one success is enough
		r.Notify = without(r.Notify, smtp.NotifySuccess)
	}
	return c.object(ctx, r, to, depth+1, tr)
}

func (c *categorizer) deliver(r Rcpt, o *org.Recipient) {
	if o.MailboxGUID.IsZero() || o.StoreGUID.IsZero() {
		c.fail(r, "5.2.1", "The recipient has no mailbox")
		return
	}
	if c.box[o.MailboxGUID] {
		return
	}
	r.State, r.Mailbox, r.Store, r.Name, r.object = Ready, o.MailboxGUID, o.StoreGUID, o.Name, o
	c.out = append(c.out, r)
}

// group puts the members in a group's place. Who hears of failures is the
// group's choice (reportToOriginator, reportToOwner); success is reported once,
// for the group (RFC 3461 5.2.7).
func (c *categorizer) group(ctx context.Context, r Rcpt, o *org.Recipient, depth int, tr *trail) error {
	members, err := c.dir.Members(ctx, o.GUID)
	if err != nil {
		return err
	}
	if r.Notify&smtp.NotifySuccess != 0 {
		g := r
		g.State, g.Status = Expanded, "2.0.0"
		c.out = append(c.out, g)
	}
	m := r
	m.Notify = without(r.Notify, smtp.NotifySuccess)
	c.originally(&m)
	if !o.ReportToSender {
		m.Notify = smtp.NotifyNever
		if o.ReportToOwner && !o.Owner.IsZero() {
			owner, err := c.dir.Recipient(ctx, o.Owner)
			if err != nil && !model.IsKind(err, model.KindNotFound) {
				return err
			}
			if err == nil {
				m.Notify, m.Return = smtp.NotifyFailure, owner.Primary
			}
		}
	}
	for _, o := range members {
		one := m
		one.To = o.Primary
		if one.To.IsZero() {
			one.To = o.Target
		}
		if err := c.object(ctx, one, o, depth+1, tr); err != nil {
			return err
		}
	}
	return nil
}

// without takes a condition out of a list; one that becomes empty is NEVER, as
// zero means that nothing was said.
func without(n, bit smtp.Notify) smtp.Notify {
	if n == 0 {
		return 0
	}
	if n &^= bit; n == 0 {
		return smtp.NotifyNever
	}
	return n
}

// restriction says why o does not take this message, "" if it does
// (msExchRequireAuthToSendTo, authOrig, unauthOrig, delivContLength). What the
// server itself sends is trusted and has no sender.
func restriction(cfg *org.Config, env envelope, o *org.Recipient) (status, why string) {
	if o.RequireAuth && !env.trusted {
		return "5.7.1", "The recipient takes mail from signed-in senders only"
	}
	system := env.trusted && env.sender.IsZero()
	if len(o.AcceptOnly) > 0 && !system && (env.sender.IsZero() || !slices.Contains(o.AcceptOnly, env.sender)) {
		return "5.7.1", "The recipient does not take mail from this sender"
	}
	if !env.sender.IsZero() && slices.Contains(o.Reject, env.sender) {
		return "5.7.1", "The recipient does not take mail from this sender"
	}
	limit := o.MaxReceive
	if limit == 0 {
		limit = cfg.Organization.MaxReceive
	}
	if limit > 0 && env.size > limit && !system {
		return "5.2.3", "The message is larger than the recipient takes"
	}
	return "", ""
}
