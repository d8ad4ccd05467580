package rules

import (
	"encoding/binary"

	"rialto/internal/mapi"
	"rialto/internal/model"
	"rialto/internal/model/row"
)

const ruleVersion = 1

// Codes of actions, those of the wire (MS-OXORULE 2.2.5.1.1).
const (
	codeMove     = 0x01
	codeCopy     = 0x02
	codeReply    = 0x03
	codeOOFReply = 0x04
	codeDefer    = 0x05
	codeBounce   = 0x06
	codeForward  = 0x07
	codeDelegate = 0x08
	codeTag      = 0x09
	codeDelete   = 0x0A
	codeMarkRead = 0x0B
)

// Encode returns the stored form of a rule that was checked, without its ID,
// which is in the key: a version byte, the fields, the condition, the actions.
func (r *Rule) Encode() ([]byte, error) {
	b := binary.AppendVarint([]byte{ruleVersion}, int64(r.Sequence))
	b = binary.AppendUvarint(b, uint64(r.State))
	b = row.AppendText(row.AppendText(b, r.Name), r.Provider)
	b = row.AppendText(b, string(r.ProviderData))
	b = binary.AppendVarint(b, int64(r.Level))
	b = binary.AppendUvarint(b, uint64(r.UserFlags))
	var cond []byte
	if r.Condition != nil {
		var err error
		if cond, err = mapi.AppendRestriction(nil, r.Condition); err != nil {
			return nil, err
		}
	}
	b = row.AppendText(b, string(cond))
	b = binary.AppendUvarint(b, uint64(len(r.Actions)))
	for _, a := range r.Actions {
		b = appendAction(b, a)
	}
	if len(b) > MaxSize {
		return nil, model.E("rules.encode", model.KindTooLarge, r.Name, nil)
	}
	return b, nil
}

func appendAction(b []byte, a Action) []byte {
	pair := func(code byte, x uint64, y uint32) []byte {
		return binary.AppendUvarint(binary.AppendUvarint(append(b, code), x), uint64(y))
	}
	switch a := a.(type) {
	case Move:
		return binary.AppendUvarint(append(b, codeMove), a.Folder)
	case Copy:
		return binary.AppendUvarint(append(b, codeCopy), a.Folder)
	case Reply:
		return pair(codeReply, a.Template, a.Flavor)
	case OOFReply:
		return pair(codeOOFReply, a.Template, a.Flavor)
	case Defer:
		return row.AppendText(append(b, codeDefer), string(a.Data))
	case Bounce:
		return binary.AppendUvarint(append(b, codeBounce), uint64(a.Code))
	case Forward:
		return appendRecipients(binary.AppendUvarint(append(b, codeForward), uint64(a.Flavor)), a.To)
	case Delegate:
		return appendRecipients(append(b, codeDelegate), a.To)
	case Tag:
		p, _ := mapi.AppendProperties(nil, mapi.Properties{a.Property}) // Check has seen that it can be stored
		return row.AppendText(append(b, codeTag), string(p))
	case Delete:
		return append(b, codeDelete)
	case MarkRead:
		return append(b, codeMarkRead)
	}
	return b
}

func appendRecipients(b []byte, to []Recipient) []byte {
	b = binary.AppendUvarint(b, uint64(len(to)))
	for _, r := range to {
		b = row.AppendText(row.AppendText(row.AppendText(b, r.Name), r.Address.Local), r.Address.Domain)
	}
	return b
}

// Decode reads what Encode wrote and checks it. Damage is KindCorrupt.
func Decode(id uint64, b []byte) (*Rule, error) {
	bad := model.E("rules.decode", model.KindCorrupt, "rule", nil)
	d := row.Reader{B: b}
	if len(b) > MaxSize || d.Byte() != ruleVersion {
		return nil, bad
	}
	r := &Rule{ID: id, Sequence: int32(d.Varint()), State: State(d.Uvarint()), Name: d.Text(), Provider: d.Text()}
	if p := d.Bytes(); len(p) > 0 {
		r.ProviderData = append([]byte{}, p...)
	}
	r.Level, r.UserFlags = int32(d.Varint()), uint32(d.Uvarint())
	if cond := d.Bytes(); len(cond) > 0 {
		var err error
		if r.Condition, err = mapi.DecodeRestriction(cond); err != nil {
			return nil, bad
		}
	}
	for n := d.Count(); n > 0 && !d.Bad; n-- {
		a, ok := readAction(&d)
		if !ok {
			return nil, bad
		}
		r.Actions = append(r.Actions, a)
	}
	if !d.Done() || r.Check() != nil {
		return nil, bad
	}
	return r, nil
}

func readAction(d *row.Reader) (Action, bool) {
	switch d.Byte() {
	case codeMove:
		return Move{d.Uvarint()}, !d.Bad
	case codeCopy:
		return Copy{d.Uvarint()}, !d.Bad
	case codeReply:
		return Reply{d.Uvarint(), uint32(d.Uvarint())}, !d.Bad
	case codeOOFReply:
		return OOFReply{d.Uvarint(), uint32(d.Uvarint())}, !d.Bad
	case codeDefer:
		return Defer{append([]byte{}, d.Bytes()...)}, !d.Bad
	case codeBounce:
		return Bounce{uint32(d.Uvarint())}, !d.Bad
	case codeForward:
		return Forward{uint32(d.Uvarint()), readRecipients(d)}, !d.Bad
	case codeDelegate:
		return Delegate{readRecipients(d)}, !d.Bad
	case codeTag:
		p, err := mapi.DecodeProperties(d.Bytes())
		if err != nil || len(p) != 1 {
			return nil, false
		}
		return Tag{p[0]}, true
	case codeDelete:
		return Delete{}, true
	case codeMarkRead:
		return MarkRead{}, true
	}
	return nil, false
}

func readRecipients(d *row.Reader) (to []Recipient) {
	for n := d.Count(); n > 0 && !d.Bad; n-- {
		to = append(to, Recipient{d.Text(), model.Address{Local: d.Text(), Domain: d.Text()}})
	}
	return to
}
