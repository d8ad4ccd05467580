package store

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"slices"
	"strings"
	"time"

	"rialto/internal/kv"
	"rialto/internal/mapi"
	"rialto/internal/model"
	"rialto/internal/model/row"
	"rialto/internal/store/layout"
)

// Audience says who outside the organization gets an out-of-office answer.
type Audience uint8

// The audiences.
const (
	AudienceNone  Audience = iota // nobody
	AudienceKnown                 // who is among the owner's contacts
	AudienceAll
)

// OOF is the out-of-office state of a mailbox (MS-OXWOOF 2.2.5).
type OOF struct {
	On       bool
	Start    time.Time // zero: at once; with End, the absence is scheduled
	End      time.Time // zero: until switched off
	Internal string    // to senders of the organization, UTF-8
	External string    // to others
	Audience Audience
	HTML     bool // the texts are HTML
}

// Active reports whether the owner is away at a time.
func (o *OOF) Active(now time.Time) bool {
	return o != nil && o.On && !now.Before(o.Start) && (o.End.IsZero() || now.Before(o.End))
}

const (
	oofVersion = 1
	maxOOFText = 32 << 10 // octets of one text
	settingOOF = "oof"
)

func (o *OOF) encode() []byte {
	var bits uint64
	for i, on := range []bool{o.On, o.HTML} {
		if on {
			bits |= 1 << i
		}
	}
	b := binary.AppendUvarint([]byte{oofVersion}, bits)
	b = layout.AppendTime(layout.AppendTime(b, o.Start), o.End)
	b = row.AppendText(row.AppendText(b, o.Internal), o.External)
	return append(b, byte(o.Audience))
}

func decodeOOF(v []byte) (*OOF, error) {
	d := layout.NewReader(v)
	if d.Byte() != oofVersion {
		d.Bad = true
	}
	bits := d.Uvarint()
	o := &OOF{On: bits&1 != 0, HTML: bits&2 != 0, Start: d.Time(), End: d.Time(), Internal: d.Text(), External: d.Text(), Audience: Audience(d.Byte())}
	if o.Audience > AudienceAll {
		d.Bad = true
	}
	return o, d.Err("out of office")
}

// readOOF returns the state of a mailbox, nil if it was never set.
func readOOF(ctx context.Context, r kv.Reader, n layout.Number) (*OOF, error) {
	v, err := r.Get(ctx, n.Setting(settingOOF))
	if errors.Is(err, kv.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, wrap("store.oof", "mailbox", err)
	}
	return decodeOOF(v)
}

// OOF returns the out-of-office state.
func (m *Mailbox) OOF() (OOF, error) {
	if err := m.mayAll("store.oof"); err != nil {
		return OOF{}, err
	}
	if err := m.lock(); err != nil {
		return OOF{}, err
	}
	defer m.mu.Unlock()
	if m.oof == nil {
		return OOF{}, nil
	}
	return *m.oof, nil
}

// SetOOF changes the out-of-office state. Who was answered is forgotten when
// the state is switched off, or another absence begins.
func (m *Mailbox) SetOOF(ctx context.Context, o OOF) error {
	const op = "store.oof"
	switch {
	case len(o.Internal) > maxOOFText || len(o.External) > maxOOFText:
		return model.E(op, model.KindTooLarge, "text", nil)
	case o.Audience > AudienceAll, !o.End.IsZero() && !o.Start.Before(o.End):
		return model.E(op, model.KindInvalid, "out of office", nil)
	}
	if err := m.mayAll(op); err != nil {
		return err
	}
	return m.update(ctx, op, func(t *txn) error {
		old := t.m.oof
		if old == nil || !old.On || !o.On || !old.Start.Equal(o.Start) || !old.End.Equal(o.End) {
			p := m.num.Key(layout.SubOOFSent)
			t.b.DeleteRange(p, layout.PrefixEnd(p))
		}
		t.b.Set(m.num.Setting(settingOOF), o.encode())
		t.oof = &o
		return nil
	})
}

const (
	sentVersion  = 1
	sentStranger = 1 // after the time: no answer, for the sender is not known
)

// answered reports whether a sender had the answer of a key in this absence.
// With known, who was found to be a stranger counts too.
func (r *ruleRun) answered(key []byte, known bool) (bool, error) {
	same := func(k []byte) bool { return bytes.Equal(k, key) }
	// By another recipient of this batch, or by this very message.
	if slices.ContainsFunc(r.t.oofKeys, same) || slices.ContainsFunc(r.out, func(o ruleMail) bool { return same(o.memory) }) {
		return true, nil
	}
	vals, err := r.t.m.db.kv.GetMany(r.t.ctx, [][]byte{key})
	if err != nil || vals[0] == nil {
		return false, wrap("store.oof", "mailbox", err)
	}
	d := layout.NewReader(vals[0])
	d.Byte()
	d.Uvarint()
	return known || d.Done() || d.Byte() != sentStranger, nil
}

// remember notes, with the batch of the answer, that a sender had it; or that he
// gets none, for he is a stranger.
func (t *txn) remember(key []byte, stranger bool) {
	v := binary.AppendUvarint([]byte{sentVersion}, uint64(t.now.Unix()))
	if stranger {
		v = append(v, sentStranger)
	} else {
		t.oofKeys = append(t.oofKeys, key)
	}
	t.b.Set(key, v)
}

// text is what a sender is told; "": nothing. known: if he is among the contacts.
func (o *OOF) text(internal bool) (text string, known bool) {
	switch {
	case internal:
		return o.Internal, false
	case o.Audience == AudienceNone:
		return "", false
	}
	return o.External, o.Audience == AudienceKnown
}

// maxContacts is how many contacts are looked at for an address.
const maxContacts = 5000

// knows reports whether an address is among the contacts.
func (t *txn) knows(a model.Address) (bool, error) {
	var tags []mapi.Tag
	for _, lid := range []uint32{0x8083, 0x8093, 0x80A3} { // PidLidEmail1EmailAddress, 2 and 3
		if id, ok := t.m.db.wellKnown.id(mapi.PropertyName{Set: mapi.PSAddress.GUID(), LID: lid}); ok {
			tags = append(tags, mapi.MakeTag(id, mapi.TypeString))
		}
	}
	var rows []RowID
	err := layout.ScanStates(t.ctx, t.m.db.kv, t.m.num, FolderContacts, Normal, 0, layout.MaxN, maxContacts, func(s *State) bool {
		rows = append(rows, s.Row)
		return true
	})
	if err != nil {
		return false, err
	}
	for ; len(rows) > 0; rows = rows[min(len(rows), chunkItems):] {
		var keys [][]byte
		for _, r := range rows[:min(len(rows), chunkItems)] {
			keys = append(keys, t.m.num.ID(layout.SubBag, uint64(r)))
		}
		vals, err := t.m.db.kv.GetMany(t.ctx, keys)
		if err != nil {
			return false, wrap("store.oof", "contacts", err)
		}
		for _, v := range vals {
			bag, err := layout.DecodeBag(v)
			if err != nil {
				continue // one damaged contact is nobody known
			}
			for _, tag := range tags {
				if strings.EqualFold(bag.Props.Text(tag), a.String()) {
					return true, nil
				}
			}
		}
	}
	return false, nil
}
