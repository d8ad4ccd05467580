package store

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
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

// answered reports whether a sender had its answer in this absence, and notes
// that it has now. rule 0 is the mailbox's own text.
func (t *txn) answered(sender model.Address, rule uint64) (bool, error) {
	key := t.m.num.OOFSent(sender, rule)
	for _, k := range t.oofKeys {
		if bytes.Equal(k, key) {
			return true, nil // by another recipient of this batch
		}
	}
	vals, err := t.m.db.kv.GetMany(t.ctx, [][]byte{key})
	if err != nil || vals[0] != nil {
		return true, wrap("store.oof", "mailbox", err)
	}
	t.b.Set(key, binary.AppendUvarint([]byte{1}, uint64(t.now.Unix())))
	t.oofKeys = append(t.oofKeys, key)
	return false, nil
}

// oofText is what a sender is told; ok false: nothing.
func (t *txn) oofText(o *OOF, from *Origin) (text string, ok bool, err error) {
	if from.Internal {
		return o.Internal, o.Internal != "", nil
	}
	ok = o.Audience == AudienceAll
	if o.Audience == AudienceKnown {
		ok, err = t.knows(from.Sender)
	}
	return o.External, ok && o.External != "", err
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
	err := layout.ScanStates(t.ctx, t.m.db.kv, t.m.num, FolderContacts, Normal, 0, 1<<48-1, maxContacts, func(s *State) bool {
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
