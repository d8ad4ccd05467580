package store

import (
	"encoding/binary"
	"slices"
	"strings"

	"rialto/internal/kv"
	"rialto/internal/mapi"
	"rialto/internal/model"
	"rialto/internal/store/layout"
	"rialto/internal/store/rules"
)

// Origin is what rules and automatic answers go by.
type Origin struct {
	Sender    model.Address // reverse-path; zero for <>
	Internal  bool          // the sender is of the organization, and has signed in
	Automatic bool          // a program made the message: it is not answered
	// Passed are the mailboxes whose rules have sent it on already.
	Passed []model.Address
	// Lazy gives PidTagBody, PidTagHtml, PidTagTransportMessageHeaders and, as
	// []mapi.Properties, PidTagMessageAttachments of a MIME message, which no row
	// holds; it is called, without a lock, if some rule asks. May be nil.
	Lazy func(mapi.Tag) (any, error)
}

// maxPassed is how often rules may send a message on.
const maxPassed = 3

// fetch gets what the rules of some mailbox ask for and no row holds. What can
// not be read is not taken for absent: a rule might delete for that.
func (o *Origin) fetch(jobs []deliveryJob) (map[mapi.Tag]any, error) {
	if o.Lazy == nil {
		return nil, nil
	}
	var out map[mapi.Tag]any
	for _, j := range jobs {
		tags := j.m.wanted.Load()
		if tags == nil {
			continue
		}
		for _, tag := range *tags {
			if _, ok := out[tag]; ok {
				continue
			}
			if out == nil {
				out = map[mapi.Tag]any{}
			}
			v, err := o.Lazy(tag)
			if err != nil {
				return nil, err
			}
			out[tag] = v
		}
	}
	return out, nil
}

// extra is how many octets of a batch the rules of a mailbox may add for each
// recipient, beyond the message itself.
func (b *box) extra(each int) int {
	n := 0
	for _, t := range b.tables {
		places, octets := t.Weight()
		n = max(n, places*each+octets)
	}
	if b.oof != nil && b.oof.On {
		n += len(b.oof.Internal) + len(b.oof.External) + 8<<10
	}
	return n
}

// accept puts a message where it belongs: into the folder, or wherever the
// folder's rules say.
func (t *txn) accept(to *DeliverTo, e *encodedItem, o *Origin) (*State, error) {
	folder := to.Folder
	if folder == 0 {
		folder, _ = t.receiveFolder(strings.ToLower(e.Summary.Props.Text(mapi.TagMessageClass)))
	}
	e = e.traced(to.Trace)
	table, away := t.rulesOf(folder), t.m.oof.Active(t.now) && folder == FolderInbox
	if table == nil && !away {
		return t.insert(folder, e)
	}
	r := &ruleRun{t: t, folder: folder, to: to, e: e, o: o}
	return r.run(table, away)
}

// ruleRun is one message on its way through the rules of a folder.
type ruleRun struct {
	t        *txn
	folder   FolderID
	to       *DeliverTo
	e        *encodedItem
	o        *Origin
	out      []ruleMail
	stranger []byte // the memory of a sender that no text is for
	failed   []rules.Failure
	stays    bool // what was to be sent on, or copied, is not: nothing deletes the message
}

// ruleMail is mail that a rule wants sent. Its memory is written with it.
type ruleMail struct {
	*Outgoing
	cause  rules.Effect // no Rule: the mailbox's own text
	memory []byte       // under which the sender has had this answer; nil: there is none
}

// run asks the rules and carries out what they say. What a rule can not do is as
// if it had not been asked for; its owner is told, and the message is delivered.
// What goes out, and the memory that it did, is written after everything that
// can fail.
func (r *ruleRun) run(table *rules.Table, away bool) (*State, error) {
	t := r.t
	item := &incoming{e: r.e, to: r.to, lazy: r.e.lazy}
	// What a rule has sent on comes from its mailbox, not from who wrote it.
	silent := r.o.Automatic || len(r.o.Passed) > 0 || r.o.Sender.IsZero() || r.to.owns(r.o.Sender.String()) || r.to.Owner.Address.IsZero()
	var got rules.Outcome
	if table != nil {
		got = table.Run(&rules.Message{Item: item, OOF: away, Automatic: silent, Looped: r.looped()})
	}
	r.failed = got.Failed
	if err := r.compose(&got); err != nil {
		return nil, err
	}
	if away && !silent && got.Bounced == nil && (item.listed(1) || item.listed(2)) {
		if err := r.outOfOffice(); err != nil {
			return nil, err
		}
	}
	r.shorten()
	for _, o := range r.out {
		var err error
		if o.ID, err = t.m.db.outboxID(t.ctx); err != nil {
			return nil, err
		}
	}
	s, err := r.place(&got)
	if err != nil {
		return nil, err
	}
	for _, o := range r.out {
		t.put(o.Outgoing)
		if o.memory != nil {
			t.remember(o.memory, false)
		}
	}
	if r.stranger != nil {
		t.remember(r.stranger, true)
	}
	r.report(s)
	return s, nil
}

// fail notes that an effect does not come about.
func (r *ruleRun) fail(e rules.Effect, code rules.ErrorCode) {
	r.failed = append(r.failed, e.Fail(code))
}

// shorten drops outgoing mail over what a batch has room for; the first always
// has it.
func (r *ruleRun) shorten() {
	room := batchReserve / 2
	r.out = slices.DeleteFunc(r.out, func(o ruleMail) bool {
		n := len(o.Encode())
		if n > room {
			r.stays = r.stays || o.Kind <= SendRedirect
			if o.cause.Rule != nil {
				r.fail(o.cause, rules.ErrExecuting)
			}
			return true
		}
		room -= n
		return false
	})
}

func (r *ruleRun) looped() bool {
	return len(r.o.Passed) >= maxPassed || r.to.Owner.Address.IsZero() ||
		slices.ContainsFunc(r.o.Passed, func(a model.Address) bool { return r.to.owns(a.String()) })
}

// source is outgoing mail that is made of the message.
func (r *ruleRun) source(kind OutgoingKind, to ...Party) *Outgoing {
	o := &Outgoing{Kind: kind, Owner: r.to.Owner, Sender: r.o.Sender, To: to,
		Subject: r.e.Summary.Props.Text(mapi.TagSubject), MessageID: r.e.msgID}
	if c := r.e.Content; c != nil {
		o.Content, o.Size, o.Trace = c.ID, c.Size, r.e.Trace
	}
	o.Clip()
	return o
}

// compose makes the mail that the rules want sent.
func (r *ruleRun) compose(got *rules.Outcome) error {
	effects := got.Effects
	if got.Bounced != nil {
		o := r.source(SendBounce, Party{Address: r.o.Sender})
		o.Code = got.Bounced.Action.(rules.Bounce).Code
		r.out = append(r.out, ruleMail{Outgoing: o, cause: *got.Bounced})
		// Who gets it back is not answered, and nobody else is told.
		effects = nil
	}
	for _, e := range effects {
		if err := r.composeOne(e); err != nil {
			return err
		}
	}
	return nil
}

func (r *ruleRun) composeOne(e rules.Effect) error {
	kind := SendForward
	var list []rules.Recipient
	switch a := e.Action.(type) {
	case rules.Reply:
		return r.reply(ruleMail{cause: e}, SendReply, a.Template, a.Flavor)
	case rules.OOFReply:
		key := r.t.m.num.OOFSent(r.o.Sender, e.Rule.ID)
		if had, err := r.answered(key, false); err != nil || had {
			return err
		}
		return r.reply(ruleMail{cause: e, memory: key}, SendOOF, a.Template, a.Flavor)
	case rules.Delegate:
		kind, list = SendRedirect, a.To
	case rules.Forward:
		list = a.To
		switch {
		case a.Flavor&(rules.PreserveSender|rules.DoNotChange) != 0:
			kind = SendRedirect
		case a.Flavor&rules.AsAttachment != 0:
			kind = SendAttached
		}
	default:
		return nil
	}
	if r.e.Content == nil {
		r.stays = true
		r.fail(e, rules.ErrExecuting) // there are no octets to send on
		return nil
	}
	r.out = append(r.out, ruleMail{Outgoing: r.source(kind, parties(list)...), cause: e})
	return nil
}

func parties(list []rules.Recipient) (out []Party) {
	for _, x := range list {
		out = append(out, Party(x))
	}
	return out
}

// reply answers with a template, which may be gone.
func (r *ruleRun) reply(m ruleMail, kind OutgoingKind, template uint64, flavor uint32) error {
	o := r.source(kind, Party{Address: r.o.Sender})
	if flavor != rules.ReplyStock {
		to, err := r.t.template(MID(template), o)
		if model.IsKind(err, model.KindNotFound) || model.IsKind(err, model.KindCorrupt) || model.IsKind(err, model.KindUnsupported) {
			r.fail(m.cause, rules.ErrTemplate)
			return nil
		}
		if err != nil {
			return err
		}
		if flavor&rules.ReplyNotToSender != 0 {
			o.To = to
		}
	}
	if len(o.To) > 0 {
		m.Outgoing = o
		r.out = append(r.out, m)
	}
	return nil
}

// outOfOffice answers with the mailbox's text, once per sender and absence. A
// sender that is not among the contacts is remembered too: they are not searched
// for every message.
func (r *ruleRun) outOfOffice() error {
	oof := r.t.m.oof
	text, known := oof.text(r.o.Internal)
	if text == "" {
		return nil
	}
	key := r.t.m.num.OOFSent(r.o.Sender, 0)
	if had, err := r.answered(key, known); err != nil || had {
		return err
	}
	if known {
		if ok, err := r.t.knows(r.o.Sender); err != nil {
			return err
		} else if !ok {
			r.stranger = key
			return nil
		}
	}
	o := r.source(SendOOF, Party{Address: r.o.Sender})
	o.Text, o.HTML = text, oof.HTML
	r.out = append(r.out, ruleMail{Outgoing: o, memory: key})
	return nil
}

// place writes the message, its copies and what is left to clients.
func (r *ruleRun) place(got *rules.Outcome) (*State, error) {
	t := r.t
	if got.Bounced != nil {
		return &State{}, nil
	}
	e := r.changed(got)
	var s *State
	for _, mv := range got.Moves {
		if x := r.into(e, mv, FolderID(mv.Action.(rules.Move).Folder), s != nil); s == nil {
			s = x
		}
	}
	if s == nil {
		var err error
		if s, err = t.insert(r.folder, e); err != nil {
			return nil, err
		}
	}
	for _, x := range got.Effects {
		if a, ok := x.Action.(rules.Copy); ok && r.into(e, x, FolderID(a.Folder), true) == nil {
			r.stays = true
		}
	}
	if got.Deleted && len(got.Moves) == 0 && !r.stays {
		full := &layout.FullItem{State: s, Summary: e.summary, MessageID: e.msgID, Conversation: e.conv, Class: e.Summary.Props.Text(mapi.TagMessageClass)}
		var err error
		if s, err = t.rekey(full, Place{Folder: r.folder, Space: Deleted, N: uint64(s.Row)}); err != nil {
			return nil, err
		}
	}
	for _, x := range got.Effects {
		if a, ok := x.Action.(rules.Defer); ok && t.deferAction(r.folder, s, x.Rule, a.Data) != nil {
			r.fail(x, rules.ErrDeferring)
		}
	}
	return s, nil
}

// batchReserve is what rules leave free in a batch, for what outgoing mail and
// the counts of folders take.
const batchReserve = 512 << 10

// into puts the message into a folder that a rule names; nil: it can not be done.
// A mailbox over its limit gets no second copy.
func (r *ruleRun) into(e *encodedItem, x rules.Effect, f FolderID, second bool) *State {
	if r.t.b.Size()+e.each+e.shared > kv.MaxBatch-batchReserve {
		r.fail(x, rules.ErrMoving)
		return nil
	}
	if second && r.to.HardLimit > 0 && r.t.total() >= r.to.HardLimit {
		r.fail(x, rules.ErrQuota)
		return nil
	}
	s, err := r.t.insert(f, e)
	switch model.KindOf(err) {
	case model.KindQuota:
		r.fail(x, rules.ErrFull)
	case model.KindPermission:
		r.fail(x, rules.ErrPermission)
	default:
		if err != nil {
			r.fail(x, rules.ErrMoving)
		}
	}
	if err != nil {
		return nil
	}
	return s
}

// changed is the message with the properties and flags that rules give it. If
// they make it too large it does without the properties.
func (r *ruleRun) changed(got *rules.Outcome) *encodedItem {
	item := *r.e.NewItem
	item.Props, item.Summary.Props = slices.Clone(item.Props), slices.Clone(item.Summary.Props)
	var tags []rules.Effect
	touched := false
	for _, x := range got.Effects {
		switch a := x.Action.(type) {
		case rules.MarkRead:
			item.Flags |= Read
		case rules.Defer:
			item.Props.Set(mapi.TagHasDeferredActions, true)
			touched = true
		case rules.Tag:
			if isComputed(a.Property.Tag.ID()) {
				continue
			}
			item.setTag(a.Property)
			tags, touched = append(tags, x), true
		}
	}
	if touched {
		if e, err := item.encode(); err == nil {
			return e
		}
		for _, x := range tags {
			r.fail(x, rules.ErrExecuting)
		}
		item.Props, item.Summary.Props = r.e.Props, r.e.Summary.Props
	}
	own := *r.e
	own.NewItem = &item
	return &own
}

// setTag sets a property in the row where it belongs, or is already.
func (n *NewItem) setTag(q mapi.Property) {
	if !InSummary(q.Tag) {
		if _, ok := n.Summary.Props.Get(q.Tag); ok {
			n.Summary.Props.Set(q.Tag, q.Value)
		} else {
			n.Props.Set(q.Tag, q.Value)
		}
		return
	}
	same := func(x mapi.Property) bool { return x.Tag == q.Tag }
	summary, bag := split(mapi.Properties{q})
	n.Summary.Props, n.Props = slices.DeleteFunc(n.Summary.Props, same), slices.DeleteFunc(n.Props, same)
	n.Summary.Props, n.Props = merge(n.Summary.Props, summary), merge(n.Props, bag)
}

// deferAction leaves a message for the client that made the rule
// (MS-OXORULE 2.2.6, 3.2.5.1.2).
func (t *txn) deferAction(folder FolderID, s *State, rule *rules.Rule, data []byte) error {
	in, at := t.entryIDs(folder, s)
	var p, sum mapi.Properties
	sum.Set(mapi.TagMessageClass, "IPC.Microsoft Exchange 4.0.Deferred Action")
	p.Set(mapi.TagDAMOriginalEntryID, at.Append(nil))
	p.Set(mapi.TagDAMBackPatched, false)
	p.Set(mapi.TagRuleFolderEntryID, in.Append(nil))
	p.Set(mapi.TagRuleProvider, rule.Provider)
	p.Set(mapi.TagRuleIDs, binary.LittleEndian.AppendUint64(nil, rule.ID))
	p.Set(mapi.TagClientActions, data)
	e, err := (&NewItem{Props: p, Summary: Summary{Props: sum}}).encode()
	if err == nil && t.b.Size()+e.each > kv.MaxBatch-batchReserve {
		err = model.E("store.rules", model.KindTooLarge, "deferred action", nil)
	}
	if err == nil {
		_, err = t.insert(FolderDeferredAction, e)
	}
	return err
}

// traced is the item with a recipient's own trace.
func (e *encodedItem) traced(trace []byte) *encodedItem {
	if len(trace) == 0 {
		return e
	}
	own := *e
	item := *e.NewItem
	item.Trace = append(append([]byte(nil), trace...), e.Trace...)
	own.NewItem = &item
	s := Stream{Truth: TruthMIME, Trace: item.Trace, Structure: item.Structure}
	if item.Content != nil {
		s.Content, s.Size = item.Content.ID, item.Content.Size
	}
	l := *e.leaf
	l.Stream = s.Encode(nil)
	own.leaf = &l
	own.size += int64(len(trace))
	return &own
}
