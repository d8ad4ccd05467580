// Package rules is the engine of server-side rules (MS-OXORULE): a pure function
// from a table of rules and a message to a list of effects. It reads and writes
// nothing; who delivers the message carries the effects out. It knows no Inbox:
// any folder may have a table.
//
// # Invariants
//
// The same table, message and state give the same effects, in the same order. A
// rule whose condition can not be evaluated has no effect and is named in
// Outcome.Failed; so is one whose actions are more than there is room for. A message that a program made is never answered, one that has
// been forwarded too often never forwarded, and no message has more than
// MaxEffects.
//
// A Table is for one goroutine at a time.
package rules

import (
	"rialto/internal/mapi"
	"rialto/internal/model"
)

// State is PidTagRuleState (MS-OXORULE 2.2.1.3.1.3).
type State uint32

// The bits of a state. ParseError and Error are the server's to set.
const (
	Enabled     State = 0x01
	Error       State = 0x02
	OnlyWhenOOF State = 0x04
	KeepOOFHist State = 0x08 // an out-of-office answer once per sender
	ExitLevel   State = 0x10 // later rules are passed over, those of the out-of-office state apart
	SkipIfSafe  State = 0x20
	ParseError  State = 0x40
)

// Rule is one row of a table. ID 0 is a rule without a number yet.
type Rule struct {
	ID           uint64 // PidTagRuleId
	Sequence     int32  // PidTagRuleSequence: lower ones first
	State        State
	Name         string
	Provider     string // PidTagRuleProvider
	ProviderData []byte // PidTagRuleProviderData
	Level        int32  // PidTagRuleLevel
	UserFlags    uint32 // PidTagRuleUserFlags
	Condition    mapi.Restriction
	Actions      []Action
}

// Action is what a rule does (MS-OXORULE 2.2.5.1.1): one of Move, Copy, Reply,
// OOFReply, Forward, Delegate, Bounce, Defer, Tag, Delete and MarkRead.
type Action interface{ action() }

// Move puts the message into another folder of the mailbox.
type Move struct{ Folder uint64 }

// Copy puts a copy there.
type Copy struct{ Folder uint64 }

// Flavors of Reply (MS-OXORULE 2.2.5.1.1).
const (
	ReplyNotToSender uint32 = 0x01 // to the template's recipients alone
	ReplyStock       uint32 = 0x02 // a text of the server's
)

// Reply answers with a template: an associated message of the mailbox.
type Reply struct {
	Template uint64 // its MID; 0 with ReplyStock
	Flavor   uint32
}

// OOFReply is Reply, once per sender and absence.
type OOFReply struct {
	Template uint64
	Flavor   uint32
}

// Flavors of Forward (MS-OXORULE 2.2.5.1.1).
const (
	PreserveSender uint32 = 0x01 // PR
	DoNotChange    uint32 = 0x02 // NC; with PR: redirect
	AsAttachment   uint32 = 0x04 // AT
)

// Recipient is where a message is sent on to.
type Recipient struct {
	Name    string
	Address model.Address
}

// Forward sends the message on.
type Forward struct {
	Flavor uint32
	To     []Recipient
}

// Delegate sends the message on to who works for the owner.
type Delegate struct{ To []Recipient }

// Codes of Bounce (MS-OXORULE 2.2.5.1.2.5).
const (
	BounceTooLarge uint32 = 0x0D
	BounceForm     uint32 = 0x1F
	BounceDenied   uint32 = 0x26
)

// Bounce returns the message to its sender.
type Bounce struct{ Code uint32 }

// Defer leaves something to the client that made the rule.
type Defer struct{ Data []byte }

// Tag sets a property.
type Tag struct{ Property mapi.Property }

// Delete drops the message.
type Delete struct{}

// MarkRead marks it read.
type MarkRead struct{}

func (Move) action()     {}
func (Copy) action()     {}
func (Reply) action()    {}
func (OOFReply) action() {}
func (Forward) action()  {}
func (Delegate) action() {}
func (Bounce) action()   {}
func (Defer) action()    {}
func (Tag) action()      {}
func (Delete) action()   {}
func (MarkRead) action() {}

// Limits of a table.
const (
	MaxRules      = 512       // in a table
	MaxSize       = 128 << 10 // octets of a rule as it is stored
	MaxTable      = 1 << 20   // octets of all rules of a table
	MaxActions    = 32        // of a rule
	MaxRecipients = 100       // of an action
	MaxEffects    = 64        // on one message
	maxName       = 256       // octets
	maxProvider   = 256
)

func invalid(what string) error { return model.E("rules.check", model.KindInvalid, what, nil) }

// Check refuses a rule that could not be carried out: KindInvalid, KindTooLarge
// or KindUnsupported.
func (r *Rule) Check() error {
	if len(r.Name) > maxName || len(r.Provider) > maxProvider || len(r.Actions) > MaxActions {
		return model.E("rules.check", model.KindTooLarge, r.Name, nil)
	}
	if r.Condition != nil {
		if err := mapi.CheckRestriction(r.Condition); err != nil {
			return err
		}
	}
	if len(r.Actions) == 0 {
		return invalid("a rule without actions")
	}
	for _, a := range r.Actions {
		if err := checkAction(a); err != nil {
			return err
		}
	}
	return nil
}

func checkAction(a Action) error {
	switch a := a.(type) {
	case Move:
		return nonzero(a.Folder, "folder")
	case Copy:
		return nonzero(a.Folder, "folder")
	case Reply:
		return checkReply(a.Template, a.Flavor)
	case OOFReply:
		return checkReply(a.Template, a.Flavor)
	case Forward:
		if a.Flavor&^(PreserveSender|DoNotChange|AsAttachment) != 0 || a.Flavor&AsAttachment != 0 && a.Flavor != AsAttachment {
			return invalid("flavor")
		}
		return checkRecipients(a.To)
	case Delegate:
		return checkRecipients(a.To)
	case Bounce:
		if a.Code != BounceTooLarge && a.Code != BounceForm && a.Code != BounceDenied {
			return invalid("bounce code")
		}
	case Tag:
		if _, ok := mapi.AppendProperties(nil, mapi.Properties{a.Property}); !ok {
			return invalid("property")
		}
	case Defer, Delete, MarkRead:
	default:
		return invalid("action")
	}
	return nil
}

func nonzero(id uint64, what string) error {
	if id == 0 || id >= 1<<48 {
		return invalid(what)
	}
	return nil
}

func checkReply(template uint64, flavor uint32) error {
	switch flavor {
	case 0, ReplyNotToSender:
		return nonzero(template, "template")
	case ReplyStock:
		return nil
	}
	return invalid("flavor")
}

func checkRecipients(to []Recipient) error {
	if len(to) == 0 || len(to) > MaxRecipients {
		return invalid("recipients")
	}
	for _, r := range to {
		if r.Address.Local == "" || r.Address.Domain == "" || len(r.Name) > maxName || len(r.Address.Local)+len(r.Address.Domain) > 320 {
			return invalid("recipient without an SMTP address")
		}
	}
	return nil
}
