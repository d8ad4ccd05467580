package fsck

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"rialto/internal/kv"
	"rialto/internal/mapi"
	"rialto/internal/model"
	"rialto/internal/store/content"
	"rialto/internal/store/layout"
)

// Loss is something that a repair could not bring back, or only in part.
type Loss struct {
	Mailbox string    `json:"mailbox"`
	Folder  string    `json:"folder,omitempty"`
	Subject string    `json:"subject,omitempty"`
	From    string    `json:"from,omitempty"`
	Date    time.Time `json:"date,omitzero"`
	What    string    `json:"what"`
	// Items is how many were in the folder of which nothing at all is left, as far
	// as its counts tell.
	Items int `json:"items,omitempty"`
}

// Repaired is what a repair did.
type Repaired struct {
	Mailboxes int      `json:"mailboxes"` // that were damaged
	Items     int      `json:"items"`     // in those, afterwards
	Recovered int      `json:"recovered"` // of these, in the folder of recovered items
	Losses    []Loss   `json:"losses"`
	Notes     []string `json:"notes"`    // what else was found
	Problems  []string `json:"problems"` // that a check afterwards still finds
}

// RecoveredItems is the folder for what has lost its own.
const RecoveredItems = "Recovered items"

// Repair makes a database whole that nobody has open: what is derived is made
// again, what is true is kept, what is lost is named. Mailboxes without damage
// are not touched; the others get a new incarnation. It works in place: the
// caller gives it a copy and keeps the damaged original. mount opens what is in
// db, twice.
func Repair(ctx context.Context, db kv.DB, o RepairOptions, mount func(context.Context) (*Database, error)) (*Repaired, error) {
	r := &repair{ctx: ctx, kv: db, opt: o}
	err := r.run(mount)
	return &r.Repaired, content.Wrap("store.repair", o.Name, err)
}

func (r *repair) run(mount func(context.Context) (*Database, error)) error {
	if err := r.database(); err != nil {
		return err
	}
	d, err := mount(r.ctx)
	if err != nil {
		return err
	}
	damaged, err := r.damaged(d)
	if err != nil {
		return err
	}
	for _, m := range r.boxes {
		if !damaged[m] {
			continue
		}
		r.Mailboxes++
		if err := r.mailbox(m); err != nil {
			return content.Wrap("store.repair", fmt.Sprintf("mailbox %d", m), err)
		}
	}
	for m := range damaged {
		if slices.Contains(r.boxes, m) {
			continue
		}
		if err := r.write(func(kv.Batch) error { return r.dropRefs(m) }); err != nil {
			return err
		}
	}
	if err := r.write(r.candidates); err != nil {
		return err
	}
	// What the first one has read of damaged mailboxes is not so any more.
	if d, err = mount(r.ctx); err != nil {
		return err
	}
	for _, m := range r.boxes {
		if damaged[m] {
			if err := r.renew(d, m); err != nil {
				return err
			}
		}
	}
	v, err := Verify(r.ctx, d, VerifyOptions{Deep: true})
	if err == nil {
		r.Problems = v.Problems
	}
	return err
}

// damaged checks all rows and returns the mailboxes that have problems.
func (r *repair) damaged(d *Database) (map[layout.Number]bool, error) {
	c := &verifier{ctx: r.ctx, d: d, boxes: map[layout.Number]model.GUID{}, owners: map[layout.Number]*owners{}, damaged: map[layout.Number]bool{}}
	for from := []byte(nil); ; {
		var err error
		if from, err = c.chunk(from, nil, false); err != nil {
			return nil, err
		}
		if from == nil {
			break
		}
	}
	r.Notes = append(r.Notes, c.Problems...)
	return c.damaged, nil
}

// candidates has all content looked at for use.
func (r *repair) candidates(kv.Batch) error {
	var failed error
	err := content.Candidates(r.ctx, r.kv, r.opt.Clock, func(k, v []byte) {
		r.b.Set(k, v)
		failed = errors.Join(failed, r.flush(1<<20))
	})
	return errors.Join(err, failed)
}

// renew gives a mailbox a new incarnation: its history is not what clients know.
func (r *repair) renew(d *Database, m layout.Number) error {
	var h layout.Header
	v, err := r.kv.Get(r.ctx, m.Key(layout.SubHeader))
	if err == nil {
		err = h.Decode(v)
	}
	if err != nil {
		return err
	}
	return d.Boxes.NewIncarnation(r.ctx, h.GUID)
}

// dropRefs removes the references of a mailbox.
func (r *repair) dropRefs(m layout.Number) error {
	var failed error
	err := content.Refs(r.ctx, r.kv, uint32(m), func(k []byte) {
		r.b.Delete(k)
		failed = errors.Join(failed, r.flush(1<<20))
	})
	return errors.Join(err, failed)
}

// repair is one at work.
type repair struct {
	Repaired
	ctx   context.Context
	kv    kv.DB
	opt   RepairOptions
	boxes []layout.Number
	have  map[content.ID]bool
	b     kv.Batch
}

// write commits what build puts into a batch, in several if it is large.
func (r *repair) write(build func(b kv.Batch) error) error {
	r.b = r.kv.NewBatch()
	if err := build(r.b); err != nil {
		r.b.Close()
		return err
	}
	return r.flush(0)
}

func (r *repair) flush(over int) error {
	if r.b.Size() < over {
		return nil
	}
	err := kv.CommitDurable(r.ctx, r.kv, r.b)
	r.b = r.kv.NewBatch()
	return err
}

// scan calls fn for the rows below a prefix.
func (r *repair) scan(p []byte, fn func(k, v []byte)) error {
	it := r.kv.Scan(r.ctx, kv.Range{Lower: p, Upper: layout.PrefixEnd(p)})
	for it.Next() {
		fn(slices.Clone(it.Key()), slices.Clone(it.Value()))
	}
	return it.Close()
}

// database puts the facts, the mailbox directory and the content in order.
func (r *repair) database() error {
	dir := map[layout.Number]model.GUID{}
	err := r.write(func(b kv.Batch) error {
		b.Set(layout.FactKey("format"), binary.BigEndian.AppendUint32(nil, layout.FormatVersion))
		b.Set(layout.FactKey("guid"), r.opt.GUID[:])
		return r.scan([]byte{layout.SpaceMailboxDir}, func(k, v []byte) {
			if n, ok := layout.DecodeDirEntry(v); ok && len(k) == 17 {
				dir[n] = model.GUID(k[1:])
			} else {
				b.Delete(k)
			}
		})
	})
	if err != nil {
		return err
	}
	for from := layout.Number(0); ; from++ {
		it := r.kv.Scan(r.ctx, kv.Range{Lower: from.Key(0)[:5], Upper: []byte{layout.SpaceMailbox + 1}, Limit: 1})
		ok := it.Next()
		if ok && len(it.Key()) >= 5 {
			from = layout.Number(binary.BigEndian.Uint32(it.Key()[1:]))
		}
		if err := it.Close(); err != nil {
			return err
		}
		if !ok {
			break
		}
		r.boxes = append(r.boxes, from)
	}
	for n := range dir {
		if !slices.Contains(r.boxes, n) {
			r.boxes = append(r.boxes, n)
		}
	}
	need := map[content.ID]int64{}
	for _, m := range r.boxes {
		if err := r.heads(m, dir[m], need); err != nil {
			return err
		}
	}
	mail, err := r.outgoing(need)
	if err != nil {
		return err
	}
	if r.have, err = content.Repair(r.ctx, r.kv, need); err != nil {
		return err
	}
	return r.keepOutgoing(mail)
}

// heads gives a mailbox what it needs to be opened, and lists its content.
func (r *repair) heads(m layout.Number, guid model.GUID, need map[content.ID]int64) error {
	highest := uint64(layout.FirstFreeID)
	note := func(ids ...uint64) {
		for _, id := range ids {
			highest = max(highest, id)
		}
	}
	err := r.scan(m.Key(0)[:5], func(k, v []byte) {
		if len(k) < 12 {
			return
		}
		switch k[5] {
		case layout.SubState:
			var s layout.State
			if p, ok := layout.ParsePlace(k); ok && s.Decode(p, v) == nil {
				note(uint64(s.Row), uint64(s.OID), uint64(s.MID), uint64(s.Seq), uint64(s.Created), s.CN.Counter*b2u(s.CN.Replica == layout.OwnReplica))
			}
		case layout.SubFolder, layout.SubBag, layout.SubRecipients, layout.SubStream, layout.SubAttachment, layout.SubByOID, layout.SubByMID:
			note(layout.Get48(k[6:]))
		case layout.SubLog:
			if seq, ok := layout.ParseLogSeq(k, 6); ok {
				note(uint64(seq))
			}
		}
		sizes(k, v, need)
	})
	if err != nil {
		return err
	}
	return r.write(func(b kv.Batch) error {
		vals, err := r.kv.GetMany(r.ctx, [][]byte{m.Key(layout.SubHeader), m.Key(layout.SubCounters), m.Replica(layout.OwnReplica)})
		if err != nil {
			return err
		}
		h := layout.Header{GUID: guid, ReplGUID: model.NewGUID(), Incarnation: 1, DisplayName: fmt.Sprintf("Recovered mailbox %d", m), Created: r.opt.Clock()}
		var old layout.Header
		if vals[0] != nil && old.Decode(vals[0]) == nil {
			h = old
		} else {
			if h.GUID.IsZero() {
				h.GUID = model.NewGUID()
			}
			if len(vals[2]) >= 17 {
				h.ReplGUID = model.GUID(vals[2][1:17])
			}
			r.Losses = append(r.Losses, Loss{Mailbox: h.DisplayName, What: "the header of mailbox " + h.GUID.String() + " is lost"})
			b.Set(m.Key(layout.SubHeader), h.Encode())
		}
		b.Set(layout.MailboxDirKey(h.GUID), binary.BigEndian.AppendUint32([]byte{1}, uint32(m)))
		if vals[2] == nil {
			b.Set(m.Replica(layout.OwnReplica), append([]byte{layout.ReplicaVersion}, h.ReplGUID[:]...))
		}
		var c layout.Counters
		if vals[1] == nil || c.Decode(vals[1]) != nil {
			c = layout.Counters{Validity: uint32(r.opt.Clock().Unix())}
		}
		if vals[1] == nil || c.Seq < highest || c.ID < highest {
			c.Validity = max(c.Validity, uint32(r.opt.Clock().Unix()))
			b.Set(m.Key(layout.SubCounters), c.Encode(max(c.Seq, highest)+layout.CounterBlock, max(c.ID, highest)+layout.CounterBlock))
		}
		return nil
	})
}

func b2u(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}

// sizes notes which content a row uses and how large it is.
func sizes(k, v []byte, need map[content.ID]int64) {
	switch k[5] {
	case layout.SubStream:
		var s layout.Stream
		if s.Decode(v) == nil && s.Content != 0 {
			need[s.Content] = s.Size
		}
	case layout.SubBag:
		if b, err := layout.DecodeBag(v); err == nil {
			for _, s := range b.Streams {
				need[s.Content] = s.Size
			}
		}
	case layout.SubAttachment:
		if a, err := layout.DecodeAttachment(k, 12, v); err == nil && a.Content != 0 && a.Size > 0 {
			need[a.Content] = a.Size
		}
	case layout.SubFrozen:
		if s, err := layout.DecodeRendering(v); err == nil {
			need[s.Stream.Content] = s.Stream.Size
		}
	}
}

// lose notes a loss of an item that its summary tells of.
func (r *repair) lose(box *repairedBox, folder layout.FolderID, summary []byte, at time.Time, what string) {
	l := Loss{Mailbox: box.name, Date: at, What: what}
	if f := box.folders[folder]; f != nil {
		l.Folder = f.Name
	}
	if _, enc, err := layout.SplitSummary(summary); err == nil {
		if p, err := mapi.DecodeProperties(enc); err == nil {
			l.Subject, l.From = p.Text(mapi.TagSubject), p.Text(mapi.TagSenderName)
			if l.From == "" {
				l.From = p.Text(mapi.TagSenderAddress)
			}
		}
	}
	r.Losses = append(r.Losses, l)
}

// RepairOptions say what database it should be.
type RepairOptions struct {
	GUID  model.GUID // of the store's directory object
	Name  string
	Clock model.Clock
}
