package store

import (
	"bytes"
	"fmt"
	"path"
	"strings"
	"testing"

	"rialto/internal/mapi"
	"rialto/internal/model"
	"rialto/internal/store/rules"
)

// ruleErrors says what deferred errors a mailbox has: code, type and number of
// the action, and the folder of the message. Each is of a rule that is there.
func (f *fixture) ruleErrors(m *Mailbox) string {
	f.t.Helper()
	v, err := m.View(ctx)
	f.ok(err)
	defer v.Close()
	var places []Place
	f.ok(v.SpaceStates(ctx, FolderDeferredAction, Normal, func(s *State) bool { places = append(places, s.Place); return true }))
	list, err := m.Rules(FolderInbox)
	f.ok(err)
	var out []string
	for _, p := range places {
		it, err := v.ItemAt(ctx, p)
		f.ok(err)
		if it.Summary.Props.Text(mapi.TagMessageClass) != "IPC.Microsoft Exchange 4.0.Deferred Error" {
			continue
		}
		b := it.Bag.Props
		in, err := mapi.ParseEntryID(b.Binary(mapi.TagRuleFolderEntryID))
		f.ok(err)
		id, _ := b.Get(mapi.TagRuleID)
		known := false
		for _, r := range list {
			known = known || id == int64(r.ID) && r.Provider == b.Text(mapi.TagRuleProvider) && r.State&rules.Error != 0 && r.State&rules.Enabled != 0
		}
		if in.Folder.Counter != uint64(FolderInbox) || in.Message != nil || !known {
			f.t.Errorf("error of rule %v in %+v", id, in)
		}
		s := fmt.Sprintf("%x/%x/%d", b.Int32(mapi.TagRuleError), b.Int32(mapi.TagRuleActionType), b.Int32(mapi.TagRuleActionNumber))
		if at := b.Binary(mapi.TagDAMOriginalEntryID); at != nil {
			msg, err := mapi.ParseEntryID(at)
			f.ok(err)
			if _, err := v.FindMID(ctx, MID(msg.Message.Counter)); err != nil {
				f.t.Errorf("the message of an error: %v", err)
			}
			s += fmt.Sprintf("@%d", msg.Folder.Counter)
		}
		out = append(out, s)
	}
	return strings.Join(out, " ")
}

// TestRuleErrors: what a rule can not do is as if it had not asked; its owner is
// told once until the rule is changed.
func TestRuleErrors(t *testing.T) {
	stock := rules.Reply{Flavor: rules.ReplyStock}
	var copies, many []rules.Action
	for range 24 {
		copies = append(copies, rules.Copy{Folder: uint64(FolderDrafts)})
	}
	for range rules.MaxActions {
		many = append(many, rules.MarkRead{})
	}
	big := strings.Repeat("p", 200<<10)
	at := fmt.Sprintf("@%d", FolderInbox)
	for _, c := range []struct {
		name   string
		rules  []rules.Rule
		text   string // of the template, which stands for MID 1
		large  bool   // the message has a large property
		bare   bool   // and no octets
		oof    bool
		limit  int64
		errors string
		inbox  string
		sent   int
	}{
		{name: "the target of a move is gone", rules: []rules.Rule{{Provider: "RuleOrganizer", Actions: []rules.Action{rules.MarkRead{}, rules.Move{Folder: 4711}}}}, errors: "6/1/1" + at, inbox: "1:1"},
		{name: "the target of a copy is gone, which spares the message", rules: []rules.Rule{{Actions: []rules.Action{rules.Delete{}, rules.Copy{Folder: 4711}}}}, errors: "6/2/1" + at, inbox: "1:0"},
		{name: "others go on", rules: []rules.Rule{{Actions: []rules.Action{rules.Move{Folder: 4711}}}, {Actions: []rules.Action{stock, rules.MarkRead{}}}}, errors: "6/1/0" + at, inbox: "1:1", sent: 1},
		{name: "no template", rules: []rules.Rule{{Actions: []rules.Action{rules.Reply{Template: 4711}}}}, errors: "a/3/0" + at, inbox: "1:0"},
		{name: "no template for the absence", rules: []rules.Rule{{State: rules.OnlyWhenOOF, Actions: []rules.Action{rules.OOFReply{Template: 4711}}}}, oof: true, errors: "a/4/0" + at, inbox: "1:0"},
		{name: "nothing to send on", rules: []rules.Rule{{Actions: []rules.Action{fwd(0), rules.Delete{}}}}, bare: true, errors: "b/7/0" + at, inbox: "1:0"},
		{name: "no quota for a copy", rules: []rules.Rule{{Actions: []rules.Action{rules.Copy{Folder: uint64(FolderDrafts)}}}}, limit: 10, errors: "c/2/0" + at, inbox: "1:0"},
		{name: "a property that is too large", rules: []rules.Rule{{Actions: []rules.Action{rules.MarkRead{}, rules.Tag{Property: mapi.Property{Tag: mapi.MakeTag(0x6001, mapi.TypeString), Value: strings.Repeat("k", 100<<10)}}}}},
			large: true, errors: "b/9/1" + at, inbox: "1:1"},
		{name: "no room in the batch", rules: []rules.Rule{{Actions: copies}, {Actions: []rules.Action{rules.Defer{Data: bytes.Repeat([]byte{1}, 120<<10)}}}, {Actions: []rules.Action{rules.Defer{Data: bytes.Repeat([]byte{1}, 120<<10)}}}},
			large: true, errors: "6/2/*" + at + " 8/5/0" + at, inbox: "1:0"},
		{name: "too many effects", rules: []rules.Rule{{Actions: many}, {Actions: many}, {Actions: many}}, errors: "b/b/0" + at, inbox: "1:1"},
		{name: "too much to send", rules: []rules.Rule{{Actions: []rules.Action{rules.Reply{Template: 1}, rules.Reply{Template: 1}, rules.Reply{Template: 1}, rules.Reply{Template: 1}}}},
			text: strings.Repeat("x", 80<<10), errors: "b/3/3" + at, inbox: "1:0", sent: 3},
		{name: "returned all the same", rules: []rules.Rule{{Actions: many}, {Actions: []rules.Action{rules.Bounce{Code: rules.BounceDenied}}}, {State: rules.OnlyWhenOOF, Actions: many}, {State: rules.OnlyWhenOOF, Actions: many}}, oof: true, errors: "b/b/0"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFixture(t)
			m := f.mailbox("alice")
			if c.text != "" {
				tpl, err := m.Append(ctx, FolderDrafts, &NewItem{Associated: true, Props: mapi.Properties{{Tag: mapi.TagBody, Value: c.text}}})
				f.ok(err)
				for i, a := range c.rules[0].Actions {
					r := a.(rules.Reply)
					r.Template = uint64(tpl[0].MID)
					c.rules[0].Actions[i] = r
				}
			}
			if c.oof {
				f.ok(m.SetOOF(ctx, OOF{On: true}))
			}
			f.setRules(m, c.rules...)
			it := f.item("Subject: x\r\n\r\nbody")
			if c.bare {
				it.Content, it.Structure = nil, nil
			}
			if c.large {
				it.Props.Set(mapi.TagComment, big)
			}
			deliver := func() {
				t.Helper()
				res, err := f.db.Deliver(ctx, &Delivery{Item: *it, Origin: Origin{Sender: bob}, To: []DeliverTo{{Mailbox: m.GUID(), Owner: alice, HardLimit: c.limit}}})
				if err != nil || c.limit == 0 && res[0].Err != nil {
					t.Fatal(err, res)
				}
			}
			deliver()
			first := f.ruleErrors(m)
			if ok, err := path.Match(c.errors, first); !ok || err != nil {
				t.Errorf("errors %q, want %q", first, c.errors)
			}
			if got := list(t, m, FolderInbox); got != c.inbox {
				t.Errorf("the Inbox holds %q, want %q", got, c.inbox)
			}
			if out, err := f.db.Outbox(ctx, 0, 100); err != nil || c.inbox != "" && len(out) != c.sent {
				t.Errorf("%d messages go out, want %d, %v", len(out), c.sent, err)
			}
			deliver()
			if got := f.ruleErrors(m); got != first {
				t.Errorf("told again: %q", got)
			}
			if c.limit == 0 {
				rewrite(f, m)
				deliver()
				if got := f.ruleErrors(m); strings.Count(got, "/") != 4*strings.Count(c.errors, " ")+4 {
					t.Errorf("after the rules were changed: %q", got)
				}
			}
			f.clean(m)
		})
	}
}

// rewrite changes nothing of a mailbox's rules but that they are changed.
func rewrite(f *fixture, m *Mailbox) {
	f.t.Helper()
	list, err := m.Rules(FolderInbox)
	f.ok(err)
	for _, r := range list {
		_, err := m.ModifyRules(ctx, FolderInbox, false, RuleChange{RuleModify, r})
		f.ok(err)
	}
	for _, r := range mustRules(f, m) {
		if r.State&rules.Error != 0 {
			f.t.Errorf("rule %d is still in error", r.ID)
		}
	}
}

func mustRules(f *fixture, m *Mailbox) []rules.Rule {
	f.t.Helper()
	list, err := m.Rules(FolderInbox)
	f.ok(err)
	return list
}

// A rule in error is tried again, and no message causes more than MaxErrors.
func TestRulesInError(t *testing.T) {
	f := newFixture(t)
	m := f.mailbox("alice")
	var six []rules.Rule
	for range 6 {
		six = append(six, rules.Rule{Actions: []rules.Action{rules.Move{Folder: 4711}}})
	}
	f.setRules(m, six...)
	for _, want := range []int{rules.MaxErrors, 6, 6} {
		f.arrive(m, fmt.Sprint("to ", want, list(t, m, FolderInbox)), Origin{})
		if got := len(strings.Fields(f.ruleErrors(m))); got != want {
			t.Errorf("%d errors, want %d", got, want)
		}
	}
	// What the rule lacked is there with the next message; it stays marked.
	ids := f.setRules(m, rules.Rule{Actions: []rules.Action{rules.Copy{Folder: uint64(FolderDrafts)}}})
	for _, limit := range []int64{m.Size() + 1, 0} {
		it := f.item("Subject: x\r\n\r\nbody")
		res, err := f.db.Deliver(ctx, &Delivery{Item: *it, Origin: Origin{Sender: bob}, To: []DeliverTo{{Mailbox: m.GUID(), Owner: alice, HardLimit: limit}}})
		if err != nil || res[0].Err != nil {
			t.Fatal(err, res)
		}
		if got := list(t, m, FolderDrafts) != ""; got != (limit == 0) {
			t.Errorf("copied: %v", got)
		}
		if s := mustRules(f, m)[0].State; s != rules.Enabled|rules.Error {
			t.Errorf("state %x", s)
		}
	}
	_, err := m.ModifyRules(ctx, FolderInbox, false, RuleChange{RuleModify, rules.Rule{ID: ids[0], State: rules.Enabled | rules.Error | rules.ParseError, Actions: six[0].Actions}})
	f.ok(err)
	if s := mustRules(f, m)[0].State; s != rules.Enabled {
		t.Errorf("a client set state %x", s)
	}
	f.eng.powerCut()
	f.db.Close()
	f.reopen()
	if m, err = f.db.Mailbox(ctx, m.GUID()); err != nil || mustRules(f, m)[0].State != rules.Enabled {
		t.Error(err)
	}
	f.clean(m)
}

// TestAnswersAndMemory: an answer that does not go out is not remembered.
func TestAnswersAndMemory(t *testing.T) {
	f := newFixture(t)
	m := f.mailbox("alice")
	n := 0
	come := func(o Origin) string {
		n++
		before := f.outgoing()
		f.arrive(m, fmt.Sprint("m", n), o)
		return strings.Trim(strings.TrimPrefix(f.outgoing(), before), "|")
	}
	f.ok(m.SetOOF(ctx, OOF{On: true}))
	ids := f.setRules(m, rules.Rule{State: rules.OnlyWhenOOF, Actions: []rules.Action{rules.OOFReply{Template: 4711}, rules.OOFReply{Template: 4711}}})
	if got := come(Origin{}); got != "" {
		t.Errorf("without a template: %s", got)
	}
	tpl, err := m.Append(ctx, FolderInbox, &NewItem{Associated: true, Props: mapi.Properties{{Tag: mapi.TagBody, Value: "gone"}}})
	f.ok(err)
	reply := rules.OOFReply{Template: uint64(tpl[0].MID)}
	_, err = m.ModifyRules(ctx, FolderInbox, false, RuleChange{RuleModify, rules.Rule{ID: ids[0], State: rules.OnlyWhenOOF, Actions: []rules.Action{reply, reply}}})
	f.ok(err)
	if got := come(Origin{}); got != "5>bob@b.test gone" {
		t.Errorf("with a template: %q", got)
	}
	if got := come(Origin{}); got != "" {
		t.Errorf("once more: %q", got)
	}
	f.setRules(m)
	f.ok(m.SetOOF(ctx, OOF{On: true, Audience: AudienceAll}))
	for _, c := range []struct {
		name string
		set  OOF
		want string
	}{
		{"no text yet", OOF{On: true, Audience: AudienceAll}, ""},
		{"a stranger", OOF{On: true, Audience: AudienceKnown, External: "a"}, ""},
		{"still a stranger", OOF{On: true, Audience: AudienceKnown, External: "a"}, ""},
		{"nobody is told", OOF{On: true, Audience: AudienceNone, External: "a"}, ""},
		{"everybody is told", OOF{On: true, Audience: AudienceAll, External: "a"}, "5>bob@b.test a"},
		{"once", OOF{On: true, Audience: AudienceAll, External: "b"}, ""},
		{"nor as a stranger", OOF{On: true, Audience: AudienceKnown, External: "b"}, ""},
	} {
		f.ok(m.SetOOF(ctx, c.set))
		if got := come(Origin{}); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
	// A mailbox that is over its limit does not take the message: nobody was told.
	carol := Origin{Sender: model.Address{Local: "carol", Domain: "c.test"}}
	f.ok(m.SetOOF(ctx, OOF{On: true, Audience: AudienceAll, External: "c"}))
	it := f.item("Subject: full\r\n\r\n")
	it.Recipients = []mapi.Properties{{{Tag: mapi.TagRecipientType, Value: int32(1)}, {Tag: mapi.TagEmailAddress, Value: alice.Address.String()}}}
	dv := &Delivery{Item: *it, Origin: carol, To: []DeliverTo{{Mailbox: m.GUID(), Owner: alice, HardLimit: 1}, {Mailbox: m.GUID(), Key: "folder", Folder: 4711, Owner: alice}}}
	before := f.outgoing()
	res, err := f.db.Deliver(ctx, dv)
	if err != nil || res[0].Err == nil || res[1].Err == nil || f.outgoing() != before {
		t.Fatal(err, res, f.outgoing())
	}
	if got := come(carol); got != "5>carol@c.test c" {
		t.Errorf("after a delivery that failed: %q", got)
	}
	f.eng.powerCut()
	f.db.Close()
	f.reopen()
	m, err = f.db.Mailbox(ctx, m.GUID())
	f.ok(err)
	if got := come(carol); got != "" {
		t.Errorf("after a power cut: %q", got)
	}
	f.clean(m)
}

// TestAttachmentConditions: conditions see the attachments of a message made of
// properties, and those that Origin.Lazy finds in one that came as MIME.
func TestAttachmentConditions(t *testing.T) {
	named := func(s string) mapi.Restriction {
		return &mapi.Sub{Table: mapi.TagMessageAttachments, R: &mapi.Content{Tag: mapi.TagAttachLongFilename, Match: mapi.Substring, Fold: mapi.IgnoreCase, Value: s}}
	}
	large := &mapi.Sub{Table: mapi.TagMessageAttachments, R: mapi.And{&mapi.Comparison{Relation: mapi.Greater, Tag: mapi.TagAttachSize, Value: int32(100)},
		&mapi.Comparison{Relation: mapi.Equal, Tag: mapi.TagAttachMethod, Value: int32(1)}}}
	row := func(name string, size int32) mapi.Properties {
		return mapi.Properties{{Tag: mapi.TagAttachSize, Value: size}, {Tag: mapi.TagAttachMethod, Value: int32(1)}, {Tag: mapi.TagAttachLongFilename, Value: name}}
	}
	for _, c := range []struct {
		name  string
		cond  mapi.Restriction
		mime  []mapi.Properties
		own   string // name of an attachment made of properties
		moved bool
	}{
		{"of the stream", named(".EXE"), []mapi.Properties{row("a.txt", 1), row("virus.exe", 2)}, "", true},
		{"none of them", named(".exe"), []mapi.Properties{row("a.txt", 1)}, "", false},
		{"not one", &mapi.Not{R: named(".exe")}, []mapi.Properties{row("a.txt", 1)}, "", true},
		{"two of one row", large, []mapi.Properties{row("a", 1), row("b", 101)}, "", true},
		{"deep", mapi.And{mapi.Or{&mapi.Comment{R: &mapi.Count{Limit: 1, R: named("b")}}}}, []mapi.Properties{row("b", 1)}, "", true},
		{"of properties", named("b.txt"), nil, "b.txt", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFixture(t)
			m := f.mailbox("alice")
			f.setRules(m, rules.Rule{Condition: c.cond, Actions: []rules.Action{rules.Move{Folder: uint64(FolderDrafts)}}})
			it, asked := f.item("Subject: x\r\n\r\nx"), 0
			if c.own != "" {
				it = &NewItem{Attachments: []Attachment{{Props: row(c.own, 5)}}}
			}
			o := Origin{Sender: bob, Lazy: func(tag mapi.Tag) (any, error) {
				if asked++; tag != mapi.TagMessageAttachments {
					t.Errorf("asked for %x", uint32(tag))
				}
				return c.mime, nil
			}}
			res, err := f.db.Deliver(ctx, &Delivery{Item: *it, Origin: o, To: []DeliverTo{{Mailbox: m.GUID(), Owner: alice}}})
			if err != nil || res[0].Err != nil || asked != 1 {
				t.Fatal(err, res, asked)
			}
			if moved := list(t, m, FolderDrafts) != ""; moved != c.moved {
				t.Errorf("moved: %v", moved)
			}
			f.clean(m)
		})
	}
}
