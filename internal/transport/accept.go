package transport

import (
	"cmp"
	"context"
	"errors"
	"io"
	"slices"
	"strconv"

	"rialto/internal/convert"
	"rialto/internal/message"
	"rialto/internal/model"
	"rialto/internal/store"
	"rialto/internal/store/content"
	"rialto/internal/wire/smtp"
)

// Data ends the recipients and decides where the message goes: straight into a
// database, or into the queue. Errors are as AddRecipient's.
func (s *Submission) Data(ctx context.Context) error {
	if len(s.rcpts) == 0 {
		return refuse("transport.data", model.KindInvalid, "", 554, "5.5.1", "No valid recipients")
	}
	s.plan = categorize(ctx, s.t.opt.Org, s.cfg, s.envelope(), s.rcpts, s.known)
	if err := allFailed(s.plan); err != nil {
		return err
	}
	if s.ses.Submission || !s.ses.Account.IsZero() {
		s.fix = &fixer{}
	}
	s.parser = s.t.parsers.Get().(*message.Parser)
	s.parser.Reset()
	if s.db = s.shortcut(); s.db != nil {
		s.w = s.db.NewContent(ctx)
		return nil
	}
	var err error
	s.body, err = s.t.queue.newBody(ctx)
	return err
}

// allFailed turns a message that nobody gets into a refusal, so that no report
// has to be sent to what may be a forged address.
func allFailed(plan []Rcpt) error {
	for i := range plan {
		if plan[i].State != Failed {
			return nil
		}
	}
	if len(plan) == 0 {
		return refuse("transport.data", model.KindNotFound, "", 554, "5.1.1", "The message has no recipients")
	}
	r := &plan[0]
	return refuse("transport.data", model.KindPermission, r.To.String(), 550, r.Status, r.Diag)
}

// shortcut returns the one database that takes the message whole, nil if there
// is none: some recipient is elsewhere, or a report is due.
func (s *Submission) shortcut() *store.Database {
	first := &s.plan[0]
	for i := range s.plan {
		r := &s.plan[i]
		if r.State != Ready || r.Mailbox.IsZero() || r.Store != first.Store || r.Notify&smtp.NotifySuccess != 0 {
			return nil
		}
	}
	db, err := s.t.opt.Stores.Database(first.Store)
	if err != nil {
		return nil
	}
	return db
}

// Write takes octets of the message. An error is final, and Commit repeats it.
func (s *Submission) Write(p []byte) (int, error) {
	if s.size += int64(len(p)); s.err == nil && s.max > 0 && s.size > s.max {
		s.err = refuse("transport.data", model.KindTooLarge, "", 552, "5.3.4", "Message is larger than the limit of "+strconv.FormatInt(s.max, 10)+" octets")
	}
	if s.err != nil {
		return 0, s.err
	}
	if s.fix == nil || s.fix.done {
		return len(p), s.store(p)
	}
	rest, ok := s.fix.take(p)
	if ok {
		s.releaseHeader()
		s.store(rest)
	}
	return len(p), s.err
}

// releaseHeader lets the header go, with what it lacked before it.
func (s *Submission) releaseHeader() {
	s.fix.done = true
	var add []byte
	if add, s.err = s.completeHeader(s.fix.buf); s.err != nil {
		return
	}
	s.store(add)
	s.store(s.fix.buf)
	s.fix.buf = nil
}

func (s *Submission) store(p []byte) error {
	if s.err != nil || len(p) == 0 {
		return s.err
	}
	s.parser.Write(p)
	if s.w != nil {
		_, s.err = s.w.Write(p)
	} else {
		_, s.err = s.body.Write(p)
	}
	return s.err
}

// Receipt is what the sender of an accepted message can be told.
type Receipt struct {
	MessageID string // of the header, with angle brackets; may be empty
	Queue     string // the queue's number, or a serial name if it was delivered at once
}

// Commit ends the message. When it returns nil the message is durable: in the
// mailboxes or in the queue.
func (s *Submission) Commit(ctx context.Context) (*Receipt, error) {
	defer s.Abort()
	if s.parser == nil {
		return nil, refuse("transport.data", model.KindInvalid, "", 503, "5.5.1", "DATA comes first")
	}
	if s.fix != nil && !s.fix.done {
		s.releaseHeader()
	}
	if s.err != nil {
		return nil, s.err
	}
	st := s.parser.Close()
	if why := loops(s.parser.Header(), s.t.hostname(s.cfg), s.ses.Settings); why != "" && !s.ses.System {
		s.t.metrics.refused()
		return nil, refuse("transport.data", model.KindPermission, "", 554, "5.4.6", why)
	}
	s.checkSizes()
	if err := allFailed(s.plan); err != nil {
		return nil, err
	}
	if s.w != nil {
		return s.deliverNow(ctx, st)
	}
	return s.enqueue(ctx, st)
}

// checkSizes fails the recipients whose own limit the message exceeds, now
// that its size is known.
func (s *Submission) checkSizes() {
	if s.ses.System {
		return
	}
	limit := s.cfg.Organization.MaxReceive
	for i := range s.plan {
		r := &s.plan[i]
		if r.object == nil || r.State != Ready {
			continue
		}
		if limit := cmp.Or(r.object.MaxReceive, limit); limit > 0 && s.size > limit {
			r.State, r.Status, r.Diag = Failed, "5.2.3", "The message is larger than the recipient takes"
		}
	}
}

// trace returns the Received line of this acceptance.
func (s *Submission) trace(id string) []byte {
	var only *model.Address
	if len(s.rcpts) == 1 {
		only = &s.rcpts[0].To
	}
	return received(s.ses, s.t.hostname(s.cfg), id, only, s.t.opt.Clock())
}

// deliverNow is the shortcut: one commit, and the message is where it belongs.
// Recipients that cannot take it are reported before the sender is told.
func (s *Submission) deliverNow(ctx context.Context, st *message.Structure) (*Receipt, error) {
	p := convert.FromMIME(s.parser, st)
	staged, err := s.w.Finish(ctx)
	if err != nil {
		return nil, storeError(err)
	}
	defer staged.Release()
	id := s.t.serialID()
	dv := &store.Delivery{Item: newItem(staged, &p, s.trace(id), s.t)}
	dv.Origin = origin(ctx, s.db, staged, s.parser.Header(), st, s.mail.From, s.envelope().sender)
	var idx []int
	for i := range s.plan {
		if s.plan[i].State == Ready {
			dv.To = append(dv.To, s.t.deliverTo(s.cfg, &s.plan[i], s.mail.From))
			idx = append(idx, i)
		}
	}
	res, err := s.t.deliver(ctx, s.db, dv, s.plan, idx)
	if err != nil {
		return nil, storeError(err)
	}
	done := 0
	for k, i := range idx {
		s.plan[i].settle(outcomeOf(&res[k]))
		if s.plan[i].State == Delivered {
			done++
		}
	}
	s.t.metrics.delivered(done)
	s.trackDelivered(id, &p)
	switch {
	case done == len(s.plan):
	case done == 0 && allFailed(s.plan) != nil:
		return nil, allFailed(s.plan)
	case done == 0:
		return nil, model.E("transport.deliver", model.KindUnavailable, "", errors.New(s.plan[0].Diag))
	default:
		if err := s.enqueueRest(ctx, p, staged); err != nil {
			return nil, err
		}
	}
	return &Receipt{MessageID: messageID(&p), Queue: id}, nil
}

// trackDelivered reports what the shortcut delivered.
func (s *Submission) trackDelivered(id string, p *convert.Projection) {
	if s.t.opt.Track == nil {
		return
	}
	var k tracking
	for i := range s.plan {
		if s.plan[i].State == Delivered {
			k.add(TrackDeliver, &s.plan[i])
		}
	}
	r := &Record{From: s.mail.From, MessageID: messageID(p), Subject: subject(p), Client: s.client(), Size: s.size}
	s.t.track(&k, r, id)
}

// client names who hands the message in.
func (s *Submission) client() string {
	if !s.ses.Remote.IsValid() {
		return s.ses.Helo
	}
	return s.ses.Helo + " [" + s.ses.Remote.String() + "]"
}

// enqueueRest queues a message of which some copies were delivered: for the
// reports of those that were not, and for later tries.
func (s *Submission) enqueueRest(ctx context.Context, p convert.Projection, staged *content.Staged) error {
	body, err := s.t.queue.newBody(ctx)
	if err != nil {
		return err
	}
	rest := slices.DeleteFunc(slices.Clone(s.plan), func(r Rcpt) bool { return r.State == Delivered })
	err = s.copyContent(ctx, staged.ID, body)
	if err != nil {
		body.abort()
		return storeError(err)
	}
	return s.put(ctx, body, rest, messageID(&p), subject(&p))
}

// copyContent copies what was delivered to some mailbox of the database.
func (s *Submission) copyContent(ctx context.Context, id content.ID, to io.Writer) error {
	for i := range s.plan {
		if s.plan[i].State != Delivered {
			continue
		}
		m, err := s.db.Mailbox(ctx, s.plan[i].Mailbox)
		if err != nil {
			return err
		}
		v, err := m.View(ctx)
		if err != nil {
			return err
		}
		defer v.Close()
		r, err := v.OpenContent(ctx, id)
		if err != nil {
			return err
		}
		return r.WriteRange(to, 0, r.Size())
	}
	return corrupt("delivered message")
}

// enqueue makes the message durable in the queue.
func (s *Submission) enqueue(ctx context.Context, st *message.Structure) (*Receipt, error) {
	mid, subj := "", ""
	if env := st.Root.Envelope; env != nil {
		mid, subj = env.MessageID, message.DecodeText(env.Subject)
	}
	body := s.body
	s.body = nil
	if err := s.put(ctx, body, s.plan, mid, subj); err != nil {
		return nil, err
	}
	return &Receipt{MessageID: mid, Queue: strconv.FormatUint(body.id, 10)}, nil
}

// put writes the record and hands it to the scheduler.
func (s *Submission) put(ctx context.Context, body *bodyWriter, rcpts []Rcpt, mid, subj string) error {
	r := &Record{
		ID: body.id, Accepted: s.t.opt.Clock(), From: s.mail.From, Ret: s.mail.Ret, EnvID: s.mail.EnvID, Body: s.mail.Body,
		Trusted: s.envelope().trusted, Sender: s.envelope().sender, Size: body.size, MessageID: mid, Subject: subj,
		Trace: s.trace(strconv.FormatUint(body.id, 10)), Client: s.client(), Rcpts: rcpts,
	}
	if err := s.t.enqueue(ctx, body, r); err != nil {
		body.abort()
		return err
	}
	return nil
}

// enqueue makes r and its body durable and schedules it.
func (t *Transport) enqueue(ctx context.Context, body *bodyWriter, r *Record) error {
	return t.enqueueMarked(ctx, body, r, nil)
}

// enqueueMarked is enqueue with a key to be set in the same batch; nil: none.
func (t *Transport) enqueueMarked(ctx context.Context, body *bodyWriter, r *Record, mark []byte) error {
	b := t.queue.db.NewBatch()
	body.finish(b)
	b, err := t.queue.put(ctx, b, r, nil)
	if err == nil {
		if mark != nil {
			b.Set(mark, []byte{1})
		}
		err = t.queue.commit(ctx, b)
	}
	if err != nil {
		return err
	}
	t.metrics.queued()
	t.trackAll(TrackSubmit, r)
	t.schedule(r)
	return nil
}

// Abort drops the message; after Commit it does nothing.
func (s *Submission) Abort() {
	if s.parser != nil {
		s.t.parsers.Put(s.parser)
		s.parser = nil
	}
	if s.w != nil {
		s.w.Abort()
		s.w = nil
	}
	if s.body != nil {
		s.body.abort()
		s.body = nil
	}
}

// storeError leaves the kinds of the store as they are.
func storeError(err error) error {
	return model.E("transport.deliver", model.KindOf(err), "", err)
}
