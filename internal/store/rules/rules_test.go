package rules

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rialto/internal/mapi"
	"rialto/internal/model"
)

// item is a message of properties; asking for what is bad fails.
type item mapi.Properties

func (i item) Value(t mapi.Tag) (any, error) {
	if t == mapi.TagBody {
		return nil, errors.New("unreadable")
	}
	v, _ := mapi.Properties(i).Get(t)
	return v, nil
}

func (item) Each(mapi.Tag, func(mapi.Getter) (bool, error)) error { return nil }

func subject(s string) mapi.Restriction {
	return &mapi.Content{Tag: mapi.TagSubject, Match: mapi.Substring, Fold: mapi.IgnoreCase, Value: s}
}

func to(a string) []Recipient {
	addr, _ := model.ParseAddress(a)
	return []Recipient{{"N", addr}}
}

// words says what an outcome is.
func words(o Outcome) string {
	var out []string
	for _, list := range [][]Effect{o.Effects, o.Moves} {
		for _, e := range list {
			out = append(out, fmt.Sprintf("%d:%s", e.Rule.ID, strings.TrimPrefix(fmt.Sprintf("%T", e.Action), "rules.")))
		}
	}
	if o.Deleted {
		out = append(out, "deleted")
	}
	if o.Bounced != nil {
		out = append(out, fmt.Sprintf("%d:bounced", o.Bounced.Rule.ID))
	}
	for _, f := range o.Failed {
		out = append(out, fmt.Sprintf("%d:failed %d", f.Rule.ID, f.Code))
	}
	return strings.Join(out, " ")
}

func TestRun(t *testing.T) {
	fwd, reply := Forward{To: to("x@y.test")}, Reply{Template: 300}
	for name, c := range map[string]struct {
		rules []*Rule
		msg   Message
		want  string
	}{
		"sequence, then id": {rules: []*Rule{{ID: 1, Sequence: 9, State: Enabled, Actions: []Action{MarkRead{}}}, {ID: 3, Sequence: 2, State: Enabled, Actions: []Action{Move{5}}},
			{ID: 2, Sequence: 2, State: Enabled, Actions: []Action{Move{6}, Copy{7}}}}, want: "2:Copy 1:MarkRead 2:Move 3:Move"},
		"states": {rules: []*Rule{{ID: 1, Actions: []Action{Delete{}}}, {ID: 2, State: Enabled | Error, Actions: []Action{MarkRead{}}},
			{ID: 3, State: OnlyWhenOOF, Actions: []Action{Delete{}}}, {ID: 4, State: Enabled | ParseError, Actions: []Action{Delete{}}}}, want: "2:MarkRead"},
		"condition": {rules: []*Rule{{ID: 1, State: Enabled, Condition: subject("HELLO"), Actions: []Action{Move{5}}},
			{ID: 2, State: Enabled, Condition: subject("other"), Actions: []Action{Delete{}}}}, want: "1:Move"},
		"exit level": {rules: []*Rule{{ID: 1, State: Enabled | ExitLevel, Actions: []Action{MarkRead{}}}, {ID: 2, State: Enabled, Actions: []Action{Delete{}}},
			{ID: 3, State: OnlyWhenOOF | ExitLevel, Actions: []Action{OOFReply{Template: 9}}}, {ID: 4, State: OnlyWhenOOF, Actions: []Action{Delete{}}}},
			msg: Message{OOF: true}, want: "1:MarkRead 3:OOFReply"},
		"deletion ends": {rules: []*Rule{{ID: 1, State: Enabled, Actions: []Action{Delete{}, fwd}}, {ID: 2, State: Enabled, Actions: []Action{Move{5}}}}, want: "1:Forward deleted"},
		"automatic":     {rules: []*Rule{{ID: 1, State: Enabled, Actions: []Action{reply, OOFReply{Template: 1}, Bounce{BounceDenied}, fwd}}}, msg: Message{Automatic: true}, want: "1:Forward"},
		"looped":        {rules: []*Rule{{ID: 1, State: Enabled, Actions: []Action{fwd, Delegate{to("d@y.test")}, reply}}}, msg: Message{Looped: true}, want: "1:Reply"},
		"looped, and not kept": {rules: []*Rule{{ID: 1, State: Enabled, Actions: []Action{Delete{}, fwd}}, {ID: 2, State: Enabled, Actions: []Action{Move{5}}}},
			msg: Message{Looped: true}},
		"bounce": {rules: []*Rule{{ID: 1, State: Enabled, Actions: []Action{Bounce{BounceForm}}}, {ID: 2, State: Enabled, Actions: []Action{fwd}}}, want: "1:bounced"},
		"unreadable": {rules: []*Rule{{ID: 1, State: Enabled, Condition: &mapi.Exists{Tag: mapi.TagBody}, Actions: []Action{Delete{}}},
			{ID: 2, State: Enabled, Actions: []Action{MarkRead{}}}}, want: "2:MarkRead 1:failed 5"},
	} {
		t.Run(name, func(t *testing.T) {
			tab, err := NewTable(c.rules)
			if err != nil {
				t.Fatal(err)
			}
			c.msg.Item = item{{Tag: mapi.TagSubject, Value: "say hello"}}
			for range 2 {
				if got := words(tab.Run(&c.msg)); got != c.want {
					t.Errorf("got %q, want %q", got, c.want)
				}
			}
		})
	}
	many := &Rule{ID: 1, State: Enabled}
	for range MaxActions {
		many.Actions = append(many.Actions, Copy{5})
	}
	tab, _ := NewTable([]*Rule{many, many, many, many})
	got := tab.Run(&Message{Item: item{}})
	if n := len(got.Effects); n != MaxEffects {
		t.Errorf("%d effects", n)
	}
	if len(got.Failed) != 2 || got.Failed[0].Code != ErrExecuting || got.Failed[0].Number != 0 {
		t.Errorf("%+v", got.Failed)
	}
}

// The codes of actions are the wire's (MS-OXORULE 2.2.5.1.1).
func TestFailure(t *testing.T) {
	want := []int32{1, 2, 3, 4, 5, 6, 7, 8, 9, 0x0A, 0x0B}
	for i, a := range full().Actions {
		f := Effect{full(), a, i}.Fail(ErrQuota)
		if got := f.ActionType(); got != want[i] || f.Number != i || f.Code != ErrQuota {
			t.Errorf("%T: %d, %+v", a, got, f)
		}
	}
	if (&Failure{}).ActionType() != 0 {
		t.Error("a failure of no action has a type")
	}
}

func TestCheck(t *testing.T) {
	for name, r := range map[string]*Rule{
		"no action":    {},
		"no folder":    {Actions: []Action{Move{}}},
		"no address":   {Actions: []Action{Forward{To: []Recipient{{Name: "N"}}}}},
		"no recipient": {Actions: []Action{Delegate{}}},
		"flavor":       {Actions: []Action{Forward{Flavor: AsAttachment | DoNotChange, To: to("a@b")}}},
		"bounce code":  {Actions: []Action{Bounce{1}}},
		"property":     {Actions: []Action{Tag{mapi.Property{Tag: mapi.TagSubject, Value: 1}}}},
		"condition":    {Actions: []Action{Delete{}}, Condition: &mapi.Content{Tag: mapi.TagSubject, Value: 7}},
		"template":     {Actions: []Action{Reply{}}},
		"nil action":   {Actions: []Action{nil}},
		"long name":    {Name: strings.Repeat("x", 300), Actions: []Action{Delete{}}},
	} {
		if r.Check() == nil {
			t.Errorf("%s is taken", name)
		}
	}
}

func full() *Rule {
	return &Rule{ID: 7, Sequence: -3, State: Enabled | KeepOOFHist, Name: "näme", Provider: "RuleOrganizer", ProviderData: []byte{1, 2}, Level: 2, UserFlags: 9,
		Condition: mapi.And{subject("x"), &mapi.Not{R: &mapi.Exists{Tag: mapi.TagBody}}},
		Actions: []Action{Move{1}, Copy{2}, Reply{3, ReplyNotToSender}, OOFReply{0, ReplyStock}, Defer{[]byte("d")}, Bounce{BounceDenied},
			Forward{PreserveSender | DoNotChange, to("a@b.test")}, Delegate{to("c@d.test")}, Tag{mapi.Property{Tag: mapi.TagImportance, Value: int32(2)}}, Delete{}, MarkRead{}}}
}

func TestStored(t *testing.T) {
	r := full()
	if err := r.Check(); err != nil {
		t.Fatal(err)
	}
	b, err := r.Encode()
	if err != nil {
		t.Fatal(err)
	}
	got, err := Decode(7, b)
	if err != nil || !cmp.Equal(r, got) {
		t.Fatal(err, cmp.Diff(r, got))
	}
	for i := range b {
		if _, err := Decode(7, b[:i]); !model.IsKind(err, model.KindCorrupt) {
			t.Fatalf("cut at %d: %v", i, err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	b, _ := full().Encode()
	f.Add(b)
	f.Add([]byte{1})
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := Decode(1, b)
		if err != nil {
			return
		}
		again, err := r.Encode()
		if err != nil {
			return // shorter numbers may have been written longer
		}
		if r2, err := Decode(1, again); err != nil || fmt.Sprintf("%#v", r2.Actions) != fmt.Sprintf("%#v", r.Actions) {
			t.Fatalf("%v: %#v, then %#v", err, r, r2)
		}
	})
}
