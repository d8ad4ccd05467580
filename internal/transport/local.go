package transport

import (
	"context"
	"io"
	"time"

	"rialto/internal/convert"
	"rialto/internal/mapi"
	"rialto/internal/message"
	"rialto/internal/model"
	"rialto/internal/org"
	"rialto/internal/store"
	"rialto/internal/store/content"
)

// newItem is what the store gets of a message; content and projection are the
// same for every recipient.
func newItem(c *content.Staged, p *convert.Projection, trace []byte, t *Transport) store.NewItem {
	return store.NewItem{
		Content: c, Trace: trace, Structure: p.Structure,
		Summary:    store.Summary{Props: p.Summary, Envelope: p.Envelope},
		Recipients: p.Recipients, Time: t.opt.Clock(),
	}
}

// deliverTo names one mailbox for the store, with the quota of its owner or
// store.
func (t *Transport) deliverTo(cfg *org.Config, r *Rcpt, from model.Address) store.DeliverTo {
	d := store.DeliverTo{Mailbox: r.Mailbox, Key: r.Mailbox.String(), Trace: returnPath(from)}
	if s := storeOf(cfg, r.Store); s != nil {
		d.HardLimit = s.HardQuota
	}
	return d
}

// deliver delivers and makes the mailboxes that do not exist yet: the first
// message creates them. idx maps dv.To to recipients.
func (t *Transport) deliver(ctx context.Context, db *store.Database, dv *store.Delivery, rcpts []Rcpt, idx []int) ([]store.Delivered, error) {
	if err := t.owners(ctx, dv, rcpts, idx); err != nil {
		return nil, err
	}
	t.wakeable(db)
	res, err := db.Deliver(ctx, dv)
	if err != nil {
		return nil, err
	}
	var again []int
	for k := range res {
		if !model.IsKind(res[k].Err, model.KindNotFound) {
			continue
		}
		r := &rcpts[idx[k]]
		if _, err := db.CreateMailbox(ctx, r.Mailbox, r.Name); err != nil && !model.IsKind(err, model.KindExists) {
			res[k].Err = err
			continue
		}
		again = append(again, k)
	}
	if len(again) == 0 {
		return res, nil
	}
	second := *dv
	second.To = nil
	for _, k := range again {
		second.To = append(second.To, dv.To[k])
	}
	more, err := db.Deliver(ctx, &second)
	for i, k := range again {
		if err != nil {
			res[k] = store.Delivered{Err: err}
			continue
		}
		res[k] = more[i]
	}
	return res, nil
}

// owners says whose the mailboxes are, and sets the limits of those that do not
// use their store's.
func (t *Transport) owners(ctx context.Context, dv *store.Delivery, rcpts []Rcpt, idx []int) error {
	for k, i := range idx {
		o, err := rcpts[i].object, error(nil)
		if o == nil {
			o, err = t.opt.Org.Resolve(ctx, rcpts[i].To)
		}
		if model.IsKind(err, model.KindNotFound) || err == nil && o.MailboxGUID != rcpts[i].Mailbox {
			continue // reached by another way than its address; the store's limit holds
		}
		if err != nil {
			return model.E("transport.deliver", model.KindUnavailable, "", err)
		}
		dv.To[k].Owner = store.Party{Name: o.Name, Address: o.Primary}
		dv.To[k].Aliases = o.Addresses
		if !o.UseDefaults {
			dv.To[k].HardLimit = o.HardQuota
		}
	}
	return nil
}

// outcome is what an attempt says of one recipient.
type outcome struct {
	state  State // Delivered, Relayed, Passed or Failed; Ready: try again
	status string
	diag   string
	remote string
}

func temporary(status, diag string) outcome {
	return outcome{state: Ready, status: status, diag: diag}
}

// settle writes an outcome into the recipient.
func (r *Rcpt) settle(o outcome) {
	r.State, r.Status = o.state, o.status
	r.Diag, r.Remote = clip(o.diag, maxText), o.remote
}

// outcomeOf translates the store's answer.
func outcomeOf(d *store.Delivered) outcome {
	switch {
	case d.Err == nil:
		return outcome{state: Delivered, status: "2.0.0"}
	case model.IsKind(d.Err, model.KindQuota):
		return outcome{state: Failed, status: "5.2.2", diag: "The mailbox is full"}
	case model.IsKind(d.Err, model.KindTooLarge):
		return outcome{state: Failed, status: "5.3.4", diag: "The message is too large for the store"}
	case model.IsKind(d.Err, model.KindNoSpace):
		return temporary("4.3.1", "The server is short of disk")
	}
	return temporary("4.3.2", "The mailbox store is not available")
}

// deliverQueued delivers a queued message to the recipients idx, which are all
// mailboxes of one database here.
func (t *Transport) deliverQueued(ctx context.Context, r *Record, idx []int) []outcome {
	out := make([]outcome, len(idx))
	fail := func(err error) []outcome {
		t.opt.Log.Info("local delivery failed", "message", r.ID, "err", err)
		for i := range out {
			out[i] = outcomeOf(&store.Delivered{Err: err})
		}
		return out
	}
	db, err := t.opt.Stores.Database(r.Rcpts[idx[0]].Store)
	if err != nil {
		return fail(err)
	}
	w := db.NewContent(ctx)
	defer w.Abort()
	parser := t.parsers.Get().(*message.Parser)
	defer t.parsers.Put(parser)
	parser.Reset()
	if _, err := io.CopyBuffer(tee{w, parser}, onlyReader{t.queue.body(ctx, r)}, make([]byte, 32<<10)); err != nil {
		return fail(err)
	}
	staged, err := w.Finish(ctx)
	if err != nil {
		return fail(err)
	}
	defer staged.Release()
	st := parser.Close()
	p := convert.FromMIME(parser, st)
	dv := &store.Delivery{QueueID: t.queue.name(r.ID), Item: newItem(staged, &p, r.Trace, t)}
	dv.Origin = origin(ctx, db, staged, parser.Header(), st, r.From, r.Sender)
	cfg := t.opt.Org.Config()
	for _, i := range idx {
		dv.To = append(dv.To, t.deliverTo(cfg, &r.Rcpts[i], r.From))
	}
	start := time.Now()
	res, err := t.deliver(ctx, db, dv, r.Rcpts, idx)
	if err != nil {
		return fail(err)
	}
	done := 0
	for i := range res {
		if out[i] = outcomeOf(&res[i]); res[i].Err == nil && !res[i].Duplicate {
			done++
		}
	}
	t.metrics.delivered(done)
	t.opt.Log.Debug("delivered", "message", r.ID, "mailboxes", done, "took", time.Since(start))
	return out
}

// forget drops the marks of a message that has left the queue for good. A
// database that is not mounted keeps them; they do no harm, as no id comes
// again.
func (t *Transport) forget(ctx context.Context, r *Record) {
	keys := map[model.GUID][]string{}
	for i := range r.Rcpts {
		if c := &r.Rcpts[i]; !c.Mailbox.IsZero() && c.State == Delivered {
			keys[c.Store] = append(keys[c.Store], c.Mailbox.String())
		}
	}
	for guid, k := range keys {
		if db, err := t.opt.Stores.Database(guid); err == nil {
			_ = db.ForgetDelivered(ctx, t.queue.name(r.ID), k)
		}
	}
}

// tee writes to a content writer and a parser.
type tee struct {
	w io.Writer
	p *message.Parser
}

func (t tee) Write(b []byte) (int, error) {
	t.p.Write(b)
	return t.w.Write(b)
}

// onlyReader hides everything but Read, so that the buffer given is used.
type onlyReader struct{ io.Reader }

func messageID(p *convert.Projection) string { return p.Summary.Text(mapi.TagInternetMessageID) }

func subject(p *convert.Projection) string { return p.Summary.Text(mapi.TagSubject) }
