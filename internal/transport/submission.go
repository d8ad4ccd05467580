package transport

import (
	"context"
	"net/netip"
	"strconv"

	"rialto/internal/message"
	"rialto/internal/model"
	"rialto/internal/org"
	"rialto/internal/store"
	"rialto/internal/store/content"
	"rialto/internal/wire/smtp"
)

// Session is what a head knows of who hands a message in.
type Session struct {
	Helo     string     // as the client called itself
	Remote   netip.Addr // not valid: this machine
	Proto    string     // for Received: "ESMTP", "ESMTPS", "ESMTPSA", …
	TLS      string     // version and cipher, "" in clear
	Account  model.GUID // the signed-in user, zero for none
	System   bool       // the server itself, or an administrator's tool: any sender, any recipient
	Settings org.SMTPSettings
	// Submission: signed-in users only, and their messages are completed (RFC 6409).
	Submission bool
}

// Submission is one message on its way in: Begin, AddRecipient for each, Data,
// Write, Commit. It belongs to one goroutine and ends with Commit or Abort.
//
// Errors have the kinds of model; those that SMTP has its own words for carry
// a *smtp.Reply, see ReplyOf.
type Submission struct {
	t      *Transport
	ses    *Session
	cfg    *org.Config
	mail   smtp.Mail
	sender *org.Recipient // the signed-in user, nil for none
	rcpts  []Rcpt
	known  map[string]*org.Recipient
	max    int64 // octets of the message, 0: no limit

	// From Data on.
	parser *message.Parser
	plan   []Rcpt
	db     *store.Database // of the shortcut; nil: queued
	w      *content.Writer
	body   *bodyWriter
	fix    *fixer // completes the header; nil when nothing is to be completed
	size   int64
	err    error // of Write, kept for Commit
}

// Begin starts a message. It checks who sends it and its declared size.
func (t *Transport) Begin(ctx context.Context, ses *Session, m *smtp.Mail) (*Submission, error) {
	const op = "transport.mail"
	s := &Submission{t: t, ses: ses, cfg: t.opt.Org.Config(), mail: *m}
	if !ses.Account.IsZero() {
		o, err := t.opt.Org.Recipient(ctx, ses.Account)
		if err != nil && !model.IsKind(err, model.KindNotFound) {
			return nil, err
		}
		s.sender = o
	} else if ses.Submission && !ses.System {
		return nil, refuse(op, model.KindAuth, "", 530, "5.7.0", "Authentication required")
	}
	if err := s.checkSendQuota(ctx); err != nil {
		return nil, err
	}
	if err := s.checkEnvelopeSender(ctx); err != nil {
		return nil, err
	}
	s.max = t.MaxSize(ses, s.sender)
	if s.max > 0 && m.Size > s.max {
		return nil, refuse(op, model.KindTooLarge, "", 552, "5.3.4", "Message is larger than the limit of "+strconv.FormatInt(s.max, 10)+" octets")
	}
	return s, nil
}

// MaxSize returns the size limit in octets for messages of a session, 0 for
// none: the virtual server's, else the sender's own, else the organization's.
func (t *Transport) MaxSize(ses *Session, sender *org.Recipient) int64 {
	cfg := t.opt.Org.Config()
	limit := ses.Settings.MaxMessageSize
	switch {
	case ses.System:
		return 0
	case !ses.Account.IsZero():
		own := cfg.Organization.MaxSend
		if sender != nil && sender.MaxSend > 0 {
			own = sender.MaxSend
		}
		if limit == 0 || own > 0 && own < limit {
			limit = own
		}
	case limit == 0:
		limit = cfg.Organization.MaxReceive
	}
	return limit
}

// maxRecipients returns how many the sender may address, 0 for no limit.
func (s *Submission) maxRecipients() int {
	limit := s.ses.Settings.MaxRecipients
	own := s.cfg.Organization.MaxRecipients
	if s.sender != nil && s.sender.MaxRecipients > 0 {
		own = s.sender.MaxRecipients
	}
	if own > 0 && (limit == 0 || own < limit) {
		limit = own
	}
	if s.ses.System || limit == 0 {
		return maxExpanded
	}
	return limit
}

// AddRecipient adds one recipient, or says why not: KindNotFound for an unknown
// one of ours, KindPermission for one we do not relay to or that may not be
// written to, KindQuota when there are too many.
func (s *Submission) AddRecipient(ctx context.Context, rc *smtp.Rcpt) error {
	const op = "transport.rcpt"
	if len(s.rcpts) >= s.maxRecipients() {
		return refuse(op, model.KindQuota, "", 452, "4.5.3", "Too many recipients")
	}
	to := rc.To
	if to.Domain == "" { // <postmaster>, RFC 5321 4.1.1.3
		if len(s.cfg.Domains) == 0 {
			return refuse(op, model.KindNotFound, to.Local, 550, "5.1.1", "No such recipient here")
		}
		to.Domain = s.cfg.Domains[0].Name
	}
	r := Rcpt{To: to, ORcptType: rc.ORcptType, ORcpt: rc.ORcpt, Notify: rc.Notify}
	dom := ours(s.cfg, to.Domain)
	if dom == nil {
		if !s.mayRelay() {
			return refuse(op, model.KindPermission, to.String(), 550, "5.7.1", "Unable to relay for "+to.String())
		}
		s.rcpts = append(s.rcpts, r)
		return nil
	}
	o, err := s.resolve(ctx, to)
	switch {
	case model.IsKind(err, model.KindNotFound) && !dom.Authoritative:
	case model.IsKind(err, model.KindNotFound):
		return refuse(op, model.KindNotFound, to.String(), 550, "5.1.1", "No such recipient here")
	case err != nil:
		return model.E(op, model.KindUnavailable, to.String(), err)
	default:
		env := s.envelope()
		env.size = s.mail.Size
		if status, why := restriction(s.cfg, env, o); status != "" {
			code := 550
			if status == "5.2.3" {
				code = 552
			}
			return refuse(op, model.KindPermission, to.String(), code, status, why)
		}
		if s.known == nil {
			s.known = make(map[string]*org.Recipient, 4)
		}
		s.known[to.Key()] = o
	}
	s.rcpts = append(s.rcpts, r)
	return nil
}

// resolve looks an address up. Every domain has a postmaster (RFC 5321 4.5.1):
// the administrator, if nobody else.
func (s *Submission) resolve(ctx context.Context, a model.Address) (*org.Recipient, error) {
	o, err := s.t.opt.Org.Resolve(ctx, a)
	if model.IsKind(err, model.KindNotFound) && (a.Local == "postmaster" || a.Local == "Postmaster") {
		return s.t.opt.Org.Resolve(ctx, model.Address{Local: "administrator", Domain: s.cfg.Domains[0].Name})
	}
	return o, err
}

func (s *Submission) envelope() envelope {
	e := envelope{trusted: s.ses.System || !s.ses.Account.IsZero(), size: -1}
	if s.sender != nil {
		e.sender = s.sender.GUID
	}
	return e
}

// mayRelay says whether mail for other organizations is taken: from signed-in
// users where the virtual server lets them, and from the addresses it lists.
func (s *Submission) mayRelay() bool {
	set := &s.ses.Settings
	if s.ses.System || s.ses.Submission || !s.ses.Account.IsZero() && set.RelayForAuth {
		return true
	}
	return s.ses.Remote.IsValid() && inNetworks(s.ses.Remote, set.RelayFor)
}

// inNetworks reports whether ip is one of the addresses or subnets.
func inNetworks(ip netip.Addr, list []string) bool {
	for _, n := range list {
		if p, err := netip.ParsePrefix(n); err == nil && p.Contains(ip) {
			return true
		}
		if a, err := netip.ParseAddr(n); err == nil && a == ip {
			return true
		}
	}
	return false
}

// MaxSize returns the size limit of this message in octets, 0 for none.
func (s *Submission) MaxSize() int64 { return s.max }
