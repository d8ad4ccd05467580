package store

import (
	"context"
	"encoding/binary"
	"io"
	"sync"
	"time"

	"rialto/internal/kv"
	"rialto/internal/model"
	"rialto/internal/model/row"
	"rialto/internal/store/content"
)

// OutboxID names a message that the store wants sent. It is never given twice
// under the GUID of a database, even if that is made anew or comes back from a
// backup.
type OutboxID uint64

// OutgoingKind says what the transport makes of an Outgoing.
type OutgoingKind uint8

// The kinds of outgoing mail.
const (
	SendForward  OutgoingKind = 1 + iota // a new message with the source in it
	SendAttached                         // a new message with the source attached
	SendRedirect                         // the source itself, resent
	SendReply                            // an answer with Text
	SendOOF                              // an out-of-office answer with Text
	SendBounce                           // the source comes back, for the reason Code
	SendQuota                            // a warning about the size of the mailbox
	SendNotice                           // Subject and Text, from the system
	lastOutgoing = SendNotice
)

// Party is somebody with an address.
type Party struct {
	Name    string
	Address model.Address
}

// Outgoing is one message that the store wants sent, written in the batch of
// what causes it.
type Outgoing struct {
	ID      OutboxID
	Kind    OutgoingKind
	Mailbox model.GUID    // on whose behalf
	Owner   Party         // of the mailbox
	To      []Party       // recipients
	Sender  model.Address // reverse-path of the source; zero for <>
	Created time.Time
	Subject string // of the source; of a notice its own
	// MessageID is the source's, with angle brackets.
	MessageID string
	Text      string // UTF-8
	HTML      bool   // Text is HTML
	Code      uint32 // of a bounce
	Used      int64  // octets in the mailbox, of a quota warning
	Limits    Limits // of a quota warning
	// Content is the source, kept until Sent; 0: none. Trace precedes it.
	Content content.ID
	Size    int64 // octets of Content
	Trace   []byte
}

const (
	outgoingVersion = 1
	maxOutgoingText = 64 << 10 // octets
	maxOutgoingTo   = 1000
	// maxOutgoingTrace is in octets; what is longer is left out.
	maxOutgoingTrace = 32 << 10
	outgoingHTML     = 1
)

func appendParty(b []byte, p Party) []byte {
	return row.AppendText(row.AppendText(row.AppendText(b, p.Name), p.Address.Local), p.Address.Domain)
}

func (d *reader) party() Party {
	return Party{d.Text(), model.Address{Local: d.Text(), Domain: d.Text()}}
}

func (o *Outgoing) encode() []byte {
	b := append([]byte{outgoingVersion, byte(o.Kind)}, o.Mailbox[:]...)
	b = appendParty(b, o.Owner)
	b = appendParty(b, Party{Address: o.Sender})
	b = appendTime(b, o.Created)
	b = row.AppendText(row.AppendText(row.AppendText(b, o.Subject), o.MessageID), o.Text)
	var bits uint64
	if o.HTML {
		bits |= outgoingHTML
	}
	for _, v := range []uint64{bits, uint64(o.Code), uint64(o.Used), uint64(o.Limits.Warn), uint64(o.Limits.Send), uint64(o.Limits.Hard), uint64(o.Content), uint64(o.Size)} {
		b = binary.AppendUvarint(b, v)
	}
	b = row.AppendText(b, string(o.Trace))
	b = binary.AppendUvarint(b, uint64(len(o.To)))
	for _, p := range o.To {
		b = appendParty(b, p)
	}
	return b
}

func decodeOutgoing(id OutboxID, v []byte) (*Outgoing, error) {
	d := newReader(v)
	if d.Byte() != outgoingVersion {
		d.Bad = true
	}
	o := &Outgoing{ID: id, Kind: OutgoingKind(d.Byte()), Mailbox: d.GUID(), Owner: d.party(), Sender: d.party().Address, Created: d.time(),
		Subject: d.Text(), MessageID: d.Text(), Text: d.Text()}
	o.HTML = d.Uvarint()&outgoingHTML != 0
	o.Code = uint32(d.Uvarint())
	o.Used, o.Limits.Warn, o.Limits.Send, o.Limits.Hard = int64(d.Uvarint()), int64(d.Uvarint()), int64(d.Uvarint()), int64(d.Uvarint())
	o.Content, o.Size = content.ID(d.Uvarint()), int64(d.Uvarint())
	o.Trace = d.copied()
	n := d.Count()
	if o.Kind == 0 || o.Kind > lastOutgoing || n > maxOutgoingTo || o.Size < 0 {
		d.Bad = true
	}
	for ; n > 0 && !d.Bad; n-- {
		o.To = append(o.To, d.party())
	}
	return o, d.err("outbox row")
}

// outbox gives out the ids of outgoing mail and tells who drains it.
type outbox struct {
	mu       sync.Mutex
	next     OutboxID
	reserved OutboxID
	restored OutboxID // what is below came back with a backup; 0: nothing did
	wake     func()   // may be nil
}

// outboxBlock is how many ids are reserved at once.
const outboxBlock = 1024

func outboxKey(id OutboxID) []byte {
	return binary.BigEndian.AppendUint64([]byte{spaceOutbox}, uint64(id))
}

// outboxMailbox is the number under which the outbox refers to content: no
// mailbox has it.
const outboxMailbox = 0

func (d *Database) openOutbox(ctx context.Context) error {
	vals, err := d.kv.GetMany(ctx, [][]byte{factKey("outbox"), factKey("restored")})
	if err != nil {
		return wrap("store.mount", d.opt.Name, err)
	}
	o := &d.outbox
	o.next = 1
	for i, to := range []*OutboxID{&o.next, &o.restored} {
		if v := vals[i]; v != nil {
			if len(v) != 8 {
				return corrupt("outbox counter")
			}
			*to = OutboxID(binary.BigEndian.Uint64(v))
		}
	}
	o.reserved = o.next
	return nil
}

// outboxStart is a first id of which nobody has ever seen the like, or one above
// it: never are 64 messages sent in a millisecond for long. References to content
// have 48 bits for it, which last until 2109.
func outboxStart(now time.Time) OutboxID { return OutboxID(max(1, now.UnixMilli()<<6)) }

// RestoredBelow returns the id below which what is in the outbox came back with a
// backup, or by a repair: who has sent it before has not to do it again. 0 if
// nothing did.
func (d *Database) RestoredBelow() OutboxID {
	d.outbox.mu.Lock()
	defer d.outbox.mu.Unlock()
	return d.outbox.restored
}

// putRestored says that ids begin at next, and what is below came back.
func putRestored(b kv.Batch, next OutboxID) {
	v := binary.BigEndian.AppendUint64(nil, uint64(next))
	b.Set(factKey("outbox"), v)
	b.Set(factKey("restored"), v)
}

// skipOutboxIDs makes the ids that come from now on higher than all there ever
// were, after the database has come back to an earlier state: the transport
// remembers which it has queued.
func (d *Database) skipOutboxIDs(ctx context.Context) error {
	o := &d.outbox
	o.mu.Lock()
	o.next = max(o.reserved, outboxStart(d.opt.Clock()))
	o.reserved, o.restored = o.next, o.next
	b := d.kv.NewBatch()
	putRestored(b, o.next)
	c, err := d.kv.Commit(ctx, b) // in the order of reservations
	o.mu.Unlock()
	if err == nil {
		err = c.Wait(context.WithoutCancel(ctx))
	}
	return wrap("store.outbox", d.opt.Name, err)
}

// outboxID returns a fresh id. The reservation of its block is ordered before
// any batch that uses it, so it is durable where those are.
func (d *Database) outboxID(ctx context.Context) (OutboxID, error) {
	o := &d.outbox
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.next >= o.reserved {
		upto := o.next + outboxBlock
		b := d.kv.NewBatch()
		b.Set(factKey("outbox"), binary.BigEndian.AppendUint64(nil, uint64(upto)))
		if _, err := d.kv.Commit(ctx, b); err != nil {
			return 0, wrap("store.outbox", d.opt.Name, err)
		}
		o.reserved = upto
	}
	o.next++
	return o.next - 1, nil
}

// clip shortens what is too long.
func (o *Outgoing) clip() {
	o.Subject, o.MessageID, o.Text = clipText(o.Subject, 1024), clipText(o.MessageID, 1024), clipText(o.Text, maxOutgoingText)
	if len(o.Trace) > maxOutgoingTrace {
		o.Trace = nil
	}
}

// put writes a message that has its id into the outbox, with the batch of what
// causes it.
func (t *txn) put(o *Outgoing) {
	o.clip()
	o.Mailbox, o.Created = t.m.header.GUID, t.now
	t.b.Set(outboxKey(o.ID), o.encode())
	if o.Content != 0 {
		content.AddRef(t.b, o.Content, outboxMailbox, uint64(o.ID))
	}
	t.sends = true
}

// send is put for a message that has no id yet.
func (t *txn) send(o *Outgoing) (err error) {
	if o.ID, err = t.m.db.outboxID(t.ctx); err == nil {
		t.put(o)
	}
	return err
}

// OnOutbox sets what is called when the outbox has something new that is
// durable. It must not block.
func (d *Database) OnOutbox(wake func()) {
	d.outbox.mu.Lock()
	defer d.outbox.mu.Unlock()
	d.outbox.wake = wake
}

// hintOutbox tells who drains the outbox.
func (d *Database) hintOutbox(txns ...*txn) {
	for _, t := range txns {
		if t.sends {
			d.outbox.mu.Lock()
			wake := d.outbox.wake
			d.outbox.mu.Unlock()
			if wake != nil {
				wake()
			}
			return
		}
	}
}

// Outbox returns at most limit messages with ids over after, in order. What it
// returns is durable.
func (d *Database) Outbox(ctx context.Context, after OutboxID, limit int) ([]*Outgoing, error) {
	snap, err := d.kv.NewSnapshot("outbox", time.Minute)
	if err != nil {
		return nil, wrap("store.outbox", d.opt.Name, err)
	}
	defer snap.Close()
	var out []*Outgoing
	it := snap.Scan(ctx, kv.Range{Lower: outboxKey(after + 1), Upper: []byte{spaceOutbox + 1}})
	for len(out) < limit && it.Next() {
		if len(it.Key()) != 9 {
			it.Close()
			return nil, corrupt("outbox key")
		}
		o, err := decodeOutgoing(OutboxID(binary.BigEndian.Uint64(it.Key()[1:])), it.Value())
		if err != nil {
			continue // kept for a person to look at; the rest must move
		}
		out = append(out, o)
	}
	if err := it.Close(); err != nil {
		return nil, wrap("store.outbox", d.opt.Name, err)
	}
	return out, wrap("store.outbox", d.opt.Name, d.kv.WaitDurable(ctx, snap.Sequence()))
}

// OutgoingSource opens the source of an outgoing message: its trace, then its
// octets. KindNotFound if it has none.
func (d *Database) OutgoingSource(ctx context.Context, o *Outgoing) (*io.SectionReader, error) {
	if o.Content == 0 {
		return nil, model.E("store.outbox", model.KindNotFound, "source", nil)
	}
	r, err := d.content.Open(ctx, d.kv, o.Content)
	if err != nil {
		return nil, err
	}
	body := &Body{trace: o.Trace, content: r}
	return io.NewSectionReader(body, 0, body.Size()), nil
}

// Sent drops messages from the outbox and returns when that is durable. Those
// that are not there are passed over.
func (d *Database) Sent(ctx context.Context, ids ...OutboxID) error {
	keys := make([][]byte, len(ids))
	for i, id := range ids {
		keys[i] = outboxKey(id)
	}
	vals, err := d.kv.GetMany(ctx, keys)
	if err != nil {
		return wrap("store.outbox", d.opt.Name, err)
	}
	b := d.kv.NewBatch()
	b.Reclaim()
	for i, v := range vals {
		if v == nil {
			continue
		}
		b.Delete(keys[i])
		if o, err := decodeOutgoing(ids[i], v); err == nil && o.Content != 0 {
			d.content.DropRef(b, o.Content, outboxMailbox, uint64(ids[i]))
		}
	}
	return d.commit(ctx, b)
}

// clipText shortens s to n octets without cutting a character.
func clipText(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && s[n]&0xc0 == 0x80 {
		n--
	}
	return s[:n]
}
