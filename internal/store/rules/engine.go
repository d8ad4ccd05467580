package rules

import (
	"cmp"
	"slices"

	"rialto/internal/mapi"
)

// Table is the rules of a folder made ready to run.
type Table struct {
	rules  []compiled
	places int
	weight int
	whole  int // rules that are not in error
}

type compiled struct {
	*Rule
	match *mapi.Matcher // nil: always
}

// NewTable prepares rules, which must have passed Check. They are not changed.
func NewTable(list []*Rule) (*Table, error) {
	t := &Table{}
	for _, r := range list {
		c := compiled{Rule: r}
		if r.Condition != nil {
			var err error
			if c.match, err = mapi.Compile(r.Condition); err != nil {
				return nil, err
			}
		}
		t.rules = append(t.rules, c)
		if err := t.weigh(r); err != nil {
			return nil, err
		}
	}
	slices.SortStableFunc(t.rules, func(a, b compiled) int {
		return cmp.Or(cmp.Compare(a.Sequence, b.Sequence), cmp.Compare(a.ID, b.ID))
	})
	return t, nil
}

// Rules lists the rules in the order in which they run.
func (t *Table) Rules() []*Rule {
	var out []*Rule
	if t != nil {
		for _, c := range t.rules {
			out = append(out, c.Rule)
		}
	}
	return out
}

// Octets that an outgoing message takes at most, and a text from a template.
const (
	sendWeight = 4 << 10
	textWeight = 64 << 10
)

// errorWeight is what a deferred error message takes at most.
const errorWeight = 4 << 10

// weigh adds up what a rule can come to.
func (t *Table) weigh(r *Rule) error {
	v, err := r.Encode()
	if err != nil {
		return err
	}
	t.weight += 2 * len(v) // what it sends, and its own row if it fails
	if r.State&Error == 0 {
		t.whole++
	}
	for _, a := range r.Actions {
		switch a.(type) {
		case Move, Copy, Defer:
			t.places++
		case Reply, OOFReply:
			t.weight += textWeight + sendWeight
		case Forward, Delegate, Bounce:
			t.weight += sendWeight
		}
	}
	return nil
}

// Weight is the most places that the rules can put one message into, and the
// octets beside that which their effects and their failing can take.
func (t *Table) Weight() (places, octets int) {
	return min(t.places, MaxEffects), t.weight + min(t.whole, MaxErrors)*errorWeight
}

// Message is what rules are asked about, and the state they are asked in.
type Message struct {
	Item      mapi.Getter
	OOF       bool // the owner is out of office
	Automatic bool // a program made it: it is not answered
	Looped    bool // it was forwarded too often, or by this mailbox: not again
}

// Effect is an action to carry out, and the rule that wants it.
type Effect struct {
	Rule   *Rule
	Action Action
	Number int // of the action in its rule, from 0
}

// Outcome is what a table makes of a message. Effects are those that leave the
// message where it is, and Moves; Deleted and Bounced say that it does not stay.
type Outcome struct {
	Effects []Effect
	Moves   []Effect // the first is where it goes, the others get copies
	Deleted bool
	Bounced *Effect
	Failed  []Failure // what could not be evaluated, or is beyond MaxEffects
}

// Run asks every rule in turn (MS-OXORULE 3.2.5.1.1). One that is in error is
// asked too: what it lacked may be there again.
func (t *Table) Run(m *Message) Outcome {
	var out Outcome
	ended := false // only rules of the out-of-office state go on
	for _, c := range t.rules {
		oof := c.State&OnlyWhenOOF != 0
		if c.State&(Enabled|OnlyWhenOOF) == 0 || c.State&ParseError != 0 || oof && !m.OOF || ended && !oof {
			continue
		}
		if c.match != nil {
			hit, err := c.match.Match(m.Item)
			if err != nil {
				out.Failed = append(out.Failed, Failure{Rule: c.Rule, Code: ErrProcessing})
				continue
			}
			if !hit {
				continue
			}
		}
		stop := out.take(c.Rule, m)
		if c.State&ExitLevel != 0 {
			if oof {
				break
			}
			stop = true
		}
		ended = ended || stop
	}
	return out
}

// sendsOn reports whether a rule gives the message to somebody else.
func (r *Rule) sendsOn() bool {
	return slices.ContainsFunc(r.Actions, func(a Action) bool {
		switch a.(type) {
		case Forward, Delegate:
			return true
		}
		return false
	})
}

// take adds the actions of a rule whose condition holds; stop says that the
// message is gone.
func (o *Outcome) take(r *Rule, m *Message) (stop bool) {
	for i, a := range r.Actions {
		e := Effect{r, a, i}
		if len(o.Effects)+len(o.Moves) >= MaxEffects {
			o.Failed = append(o.Failed, e.Fail(ErrExecuting))
			return stop
		}
		switch a.(type) {
		case Move:
			o.Moves = append(o.Moves, e)
		case Delete:
			// The copy that was to be sent on would have been the only one.
			if !m.Looped || !r.sendsOn() {
				o.Deleted = true
			}
			stop = true
		case Bounce:
			// What nobody is told of can not be returned: it stays.
			if m.Automatic || m.Looped {
				continue
			}
			if o.Bounced == nil {
				o.Bounced = &e
			}
			stop = true
		case Reply, OOFReply:
			if !m.Automatic {
				o.Effects = append(o.Effects, e)
			}
		case Forward, Delegate:
			if !m.Looped {
				o.Effects = append(o.Effects, e)
			}
		default:
			o.Effects = append(o.Effects, e)
		}
	}
	return stop
}
