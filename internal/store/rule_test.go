package store

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"rialto/internal/mapi"
	"rialto/internal/model"
	"rialto/internal/store/layout"
	"rialto/internal/store/rules"
)

var alice, bob = Party{Name: "Alice", Address: model.Address{Local: "alice", Domain: "a.test"}}, model.Address{Local: "bob", Domain: "b.test"}

// arrive delivers a message with a subject to alice.
func (f *fixture) arrive(m *Mailbox, subject string, o Origin) Delivered {
	f.t.Helper()
	it := f.item("Subject: " + subject + "\r\n\r\n" + subject + " body of it")
	it.Summary.Props.Set(mapi.TagSubject, subject)
	it.Summary.Props.Set(mapi.TagSenderAddress, "bob@b.test")
	var r mapi.Properties
	r.Set(mapi.TagRecipientType, int32(1))
	r.Set(mapi.TagEmailAddress, "Alice@A.test")
	it.Recipients = []mapi.Properties{r}
	if o.Sender.IsZero() {
		o.Sender = bob
	}
	res, err := f.db.Deliver(ctx, &Delivery{QueueID: subject, Item: *it, Origin: o, To: []DeliverTo{{Mailbox: m.GUID(), Key: "k", Owner: alice, Trace: []byte("Return-Path: <b>\r\n")}}})
	if err != nil || res[0].Err != nil {
		f.t.Fatal(err, res)
	}
	return res[0]
}

// outgoing says what the outbox holds: kind, recipient and source of each.
func (f *fixture) outgoing() string {
	f.t.Helper()
	list, err := f.db.Outbox(ctx, 0, 100)
	if err != nil {
		f.t.Fatal(err)
	}
	var out []string
	for _, o := range list {
		s := fmt.Sprintf("%d>%s", o.Kind, o.To[0].Address)
		if o.Content != 0 {
			src, err := f.db.OutgoingSource(ctx, o)
			if err != nil {
				f.t.Fatal(err)
			}
			b, err := io.ReadAll(src)
			if err != nil || !bytes.HasPrefix(b, []byte("Return-Path: <b>\r\nSubject: "+o.Subject)) && o.Kind < SendReply {
				f.t.Fatalf("%v %q", err, b)
			}
		}
		out = append(out, s+" "+o.Text)
	}
	return strings.Join(out, "|")
}

func (f *fixture) ok(err error) {
	f.t.Helper()
	if err != nil {
		f.t.Fatal(err)
	}
}

func (f *fixture) setRules(m *Mailbox, list ...rules.Rule) []uint64 {
	f.t.Helper()
	var ch []RuleChange
	for i, r := range list {
		r.Sequence, r.State = int32(i), r.State|rules.Enabled
		ch = append(ch, RuleChange{RuleAdd, r})
	}
	ids, err := m.ModifyRules(ctx, FolderInbox, true, ch...)
	f.ok(err)
	return ids
}

func (f *fixture) clean(ms ...*Mailbox) {
	f.t.Helper()
	for _, m := range ms {
		if v, err := m.Verify(ctx, true); err != nil || len(v.Problems) > 0 {
			f.t.Fatal(err, v.Problems)
		}
	}
}

func about(s string) mapi.Restriction {
	return &mapi.Content{Tag: mapi.TagSubject, Match: mapi.Substring, Value: s}
}

func fwd(flavor uint32) rules.Action {
	return rules.Forward{Flavor: flavor, To: []rules.Recipient{{Name: "C", Address: model.Address{Local: "c", Domain: "c.test"}}}}
}

// TestRulesThatCannotRead: what cannot be read now is not taken for absent. The
// sender tries again.
func TestRulesThatCannotRead(t *testing.T) {
	f := newFixture(t)
	m := f.mailbox("alice")
	not := &mapi.Not{R: &mapi.Content{Tag: mapi.TagBody, Match: mapi.Substring, Value: "keep"}}
	f.setRules(m, rules.Rule{Condition: not, Actions: []rules.Action{rules.Delete{}}})
	broken := errors.New("the disk does not answer")
	text := func(tag mapi.Tag) (any, error) { return nil, broken }
	dv := &Delivery{QueueID: "q", Item: *f.item("text"), To: []DeliverTo{{Mailbox: m.GUID(), Key: "k"}}, Origin: Origin{Sender: bob, Lazy: text}}
	if _, err := f.db.Deliver(ctx, dv); !errors.Is(err, broken) {
		t.Errorf("delivered: %v", err)
	}
	dv.Origin.Lazy = func(tag mapi.Tag) (any, error) { return "keep this", nil }
	if res, err := f.db.Deliver(ctx, dv); err != nil || res[0].Err != nil || res[0].UID != 1 {
		t.Errorf("%+v %v", res, err)
	}
}

func TestRulesAtDelivery(t *testing.T) {
	f := newFixture(t)
	m := f.mailbox("alice")
	sub, err := m.CreateFolder(ctx, FolderInbox, "sub", "")
	f.ok(err)
	tpl, err := m.Append(ctx, FolderInbox, &NewItem{Associated: true, Props: mapi.Properties{{Tag: mapi.TagBody, Value: "from the template"}}})
	f.ok(err)
	red := &mapi.Comparison{Relation: mapi.Equal, Tag: mapi.TagSenderSearchKey, Value: []byte("SMTP:BOB@B.TEST\x00")}
	f.setRules(m,
		rules.Rule{Condition: about("move"), Actions: []rules.Action{rules.Move{Folder: uint64(sub.ID)}, rules.MarkRead{}, rules.Copy{Folder: uint64(FolderSentItems)}}},
		rules.Rule{Condition: about("delete"), Actions: []rules.Action{rules.Delete{}}},
		rules.Rule{Condition: about("bounce"), Actions: []rules.Action{rules.Bounce{Code: rules.BounceDenied}}},
		rules.Rule{Condition: mapi.And{about("forward"), red}, Actions: []rules.Action{fwd(0), fwd(rules.AsAttachment), fwd(rules.PreserveSender | rules.DoNotChange)}},
		rules.Rule{Condition: about("reply"), Actions: []rules.Action{rules.Reply{Template: uint64(tpl[0].MID)}}},
		rules.Rule{Condition: about("tag"), Actions: []rules.Action{rules.Tag{Property: mapi.Property{Tag: mapi.TagImportance, Value: int32(2)}}, rules.Defer{Data: []byte("do it")}}},
		rules.Rule{Condition: &mapi.Content{Tag: mapi.TagBody, Match: mapi.Substring, Value: "lazy"}, Actions: []rules.Action{rules.Move{Folder: uint64(sub.ID)}}})
	f.arrive(m, "plain", Origin{})
	f.arrive(m, "move", Origin{})
	if d := f.arrive(m, "delete", Origin{}); d.OID == 0 || d.UID != 0 {
		t.Errorf("deleted: %+v", d)
	}
	f.arrive(m, "tag", Origin{})
	f.arrive(m, "body", Origin{Lazy: func(tag mapi.Tag) (any, error) { return "a lazy text", nil }})
	if got := list(t, m, FolderInbox) + "/" + list(t, m, sub.ID) + "/" + list(t, m, FolderSentItems); got != "1:0 3:0/1:1 2:0/1:1" {
		t.Errorf("folders hold %s", got)
	}
	if got := f.outgoing(); got != "" {
		t.Errorf("outbox holds %s", got)
	}
	f.arrive(m, "forward", Origin{})
	f.arrive(m, "reply", Origin{})
	f.arrive(m, "bounce", Origin{})
	f.arrive(m, "reply of a program", Origin{Automatic: true})
	f.arrive(m, "forward again", Origin{Passed: []model.Address{alice.Address}})
	want := "1>c@c.test |2>c@c.test |3>c@c.test |4>bob@b.test from the template|6>bob@b.test "
	if got := f.outgoing(); got != want {
		t.Errorf("outbox holds %s", got)
	}
	f.clean(m)
	v, err := m.View(ctx)
	f.ok(err)
	defer v.Close()
	var dam *Item
	f.ok(v.SpaceStates(ctx, FolderDeferredAction, Normal, func(s *State) bool { dam, err = v.ItemAt(ctx, s.Place); return true }))
	if err != nil || dam == nil || string(dam.Bag.Props.Binary(mapi.TagClientActions)) != "do it" {
		t.Fatal(dam, err)
	}
	id, err := mapi.ParseEntryID(dam.Bag.Props.Binary(mapi.TagDAMOriginalEntryID))
	if err != nil || id.Folder.Counter != uint64(FolderInbox) {
		t.Error(id, err)
	}
}

// A rule that can not be carried out is in error; the mail is in the Inbox.
func TestFailingRule(t *testing.T) {
	f := newFixture(t)
	m := f.mailbox("alice")
	ids := f.setRules(m, rules.Rule{Actions: []rules.Action{rules.Move{Folder: 4711}}}, rules.Rule{Actions: []rules.Action{rules.Reply{Template: 4711}}})
	f.arrive(m, "one", Origin{})
	got, err := m.Rules(FolderInbox)
	f.ok(err)
	if len(got) != 2 || got[0].State&rules.Error == 0 || got[1].State&rules.Error == 0 || list(t, m, FolderInbox) != "1:0" {
		t.Fatalf("%+v", got)
	}
	f.eng.powerCut()
	f.db.Close()
	f.reopen()
	m, err = f.db.Mailbox(ctx, m.GUID())
	f.ok(err)
	mended := got[0]
	mended.Actions = []rules.Action{rules.Move{Folder: uint64(FolderDrafts)}}
	_, err = m.ModifyRules(ctx, FolderInbox, false, RuleChange{RuleModify, mended}, RuleChange{RuleRemove, rules.Rule{ID: ids[1]}})
	f.ok(err)
	f.arrive(m, "two", Origin{})
	if got, _ = m.Rules(FolderInbox); len(got) != 1 || got[0].State&rules.Error != 0 || list(t, m, FolderDrafts) != "1:0" {
		t.Errorf("%+v", got)
	}
	stranger := m.As(Caller{SID: []byte("s")})
	if _, err := stranger.Rules(FolderInbox); !model.IsKind(err, model.KindPermission) {
		t.Error(err)
	}
	if _, err := stranger.ModifyRules(ctx, FolderInbox, true); !model.IsKind(err, model.KindPermission) {
		t.Error(err)
	}
	if _, err := m.ModifyRules(ctx, FolderInbox, true, RuleChange{RuleModify, mended}); !model.IsKind(err, model.KindInvalid) {
		t.Error(err)
	}
	if _, err := m.ModifyRules(ctx, FolderInbox, false, RuleChange{RuleModify, rules.Rule{ID: 1}}); !model.IsKind(err, model.KindNotFound) {
		t.Error(err)
	}
	var many []RuleChange
	for range rules.MaxRules + 1 {
		many = append(many, RuleChange{RuleAdd, rules.Rule{Actions: []rules.Action{rules.Delete{}}}})
	}
	if _, err := m.ModifyRules(ctx, FolderInbox, true, many...); !model.IsKind(err, model.KindQuota) {
		t.Error(err)
	}
	f.clean(m)
}

func TestOutOfOffice(t *testing.T) {
	f := newFixture(t)
	m := f.mailbox("alice")
	f.ok(m.SetOOF(ctx, OOF{On: true, Internal: "inside", External: "outside", Audience: AudienceAll, Start: f.now.Add(time.Hour), End: f.now.Add(2 * time.Hour)}))
	f.arrive(m, "early", Origin{})
	f.now = f.now.Add(90 * time.Minute)
	f.arrive(m, "1", Origin{})
	f.arrive(m, "2", Origin{})
	f.arrive(m, "3", Origin{Sender: model.Address{Local: "carol", Domain: "a.test"}, Internal: true})
	f.arrive(m, "4", Origin{Sender: model.Address{Local: "robot", Domain: "b.test"}, Automatic: true})
	f.arrive(m, "5", Origin{Sender: alice.Address})
	if got := f.outgoing(); got != "5>bob@b.test outside|5>carol@a.test inside" {
		t.Fatal(got)
	}
	f.now = f.now.Add(time.Hour)
	f.arrive(m, "late", Origin{Sender: model.Address{Local: "dave", Domain: "b.test"}})
	// Another absence: bob is told once more, if he is known.
	f.ok(m.SetOOF(ctx, OOF{On: true, External: "again", Audience: AudienceKnown}))
	f.arrive(m, "unknown", Origin{})
	id, ok := f.db.wellKnown.id(mapi.PropertyName{Set: mapi.PSAddress.GUID(), LID: 0x8093})
	if !ok {
		t.Fatal("no id")
	}
	_, err := m.Append(ctx, FolderContacts, &NewItem{Props: mapi.Properties{{Tag: mapi.MakeTag(id, mapi.TypeString), Value: "BOB@b.test"}}})
	f.ok(err)
	f.ok(m.SetOOF(ctx, OOF{}))
	f.ok(m.SetOOF(ctx, OOF{On: true, External: "again", Audience: AudienceKnown}))
	f.arrive(m, "known", Origin{})
	if got := f.outgoing(); got != "5>bob@b.test outside|5>carol@a.test inside|5>bob@b.test again" {
		t.Fatal(got)
	}
	if o, err := m.OOF(); err != nil || o.External != "again" || !o.On {
		t.Error(o, err)
	}
	for _, bad := range []OOF{{Audience: 9}, {Start: f.now, End: f.now}, {Internal: strings.Repeat("x", maxOOFText+1)}} {
		if m.SetOOF(ctx, bad) == nil {
			t.Errorf("%+v is taken", bad)
		}
	}
}

// What is in the outbox was delivered with its cause and keeps its source; ids
// are never given twice.
// What rules can not send on, or back, nothing makes vanish.
func TestRulesLoseNothing(t *testing.T) {
	f := newFixture(t)
	m := f.mailbox("alice")
	deliver := func(it *NewItem, trace []byte) {
		t.Helper()
		it.Trace = trace
		res, err := f.db.Deliver(ctx, &Delivery{Item: *it, Origin: Origin{Sender: bob}, To: []DeliverTo{{Mailbox: m.GUID(), Owner: alice}}})
		if err != nil || res[0].Err != nil {
			t.Fatal(err, res)
		}
	}
	f.setRules(m, rules.Rule{Actions: []rules.Action{rules.Delete{}, fwd(0)}})
	f.arrive(m, "came back", Origin{Passed: []model.Address{alice.Address}})
	deliver(&NewItem{Props: mapi.Properties{{Tag: mapi.TagBody, Value: "without a stream"}}}, nil)
	if got := list(t, m, FolderInbox); got != "1:0 2:0" {
		t.Errorf("the Inbox holds %s", got)
	}
	f.setRules(m, rules.Rule{Actions: []rules.Action{rules.Bounce{Code: rules.BounceDenied}}})
	it := f.item("Subject: long\r\n\r\n")
	it.Summary.Props.Set(mapi.TagSubject, strings.Repeat("s", 200<<10))
	deliver(it, []byte(strings.Repeat("X: y\r\n", 20<<10)))
	if got := f.outgoing(); got != "6>bob@b.test " {
		t.Errorf("outbox holds %q", got)
	}
	f.clean(m)
}

func TestOutboxPassesOverDamage(t *testing.T) {
	f := newFixture(t)
	m := f.mailbox("alice")
	f.setRules(m, rules.Rule{Actions: []rules.Action{fwd(0)}})
	b := f.db.kv.NewBatch()
	for range 3 {
		id, err := f.db.outboxID(ctx)
		f.ok(err)
		b.Set(layout.OutboxKey(id), []byte{99})
	}
	f.ok(f.db.commit(ctx, b))
	f.arrive(m, "one", Origin{})
	if list, err := f.db.Outbox(ctx, 0, 2); err != nil || len(list) != 1 || list[0].Subject != "one" {
		t.Errorf("%+v, %v", list, err)
	}
}

func TestOutboxSurvives(t *testing.T) {
	f := newFixture(t)
	m := f.mailbox("alice")
	f.setRules(m, rules.Rule{Actions: []rules.Action{fwd(0), rules.Delete{}}})
	woken := 0
	f.db.OnOutbox(func() { woken++ })
	var seen []OutboxID
	for i := range 4 {
		f.arrive(m, fmt.Sprint(i), Origin{})
		list, err := f.db.Outbox(ctx, 0, 10)
		f.ok(err)
		if len(list) != 1 || slices.Contains(seen, list[0].ID) {
			t.Fatalf("%d: %+v after %v", i, list, seen)
		}
		seen = append(seen, list[0].ID)
		_, err = m.Purge(ctx, FolderInbox, f.now.Add(time.Hour))
		f.ok(err)
		f.now = f.now.Add(time.Hour)
		_, err = f.db.Collect(ctx)
		f.ok(err)
		if got := f.outgoing(); got != "1>c@c.test " {
			t.Fatal(got)
		}
		f.ok(f.db.Sent(ctx, list[0].ID, 9999))
		f.eng.powerCut()
		f.db.Close()
		f.reopen()
		m, err = f.db.Mailbox(ctx, m.GUID())
		f.ok(err)
		f.now = f.now.Add(time.Hour)
		if c, err := f.db.Collect(ctx); err != nil || c.Removed != 1 {
			t.Fatalf("%+v %v", c, err)
		}
	}
	if woken != 1 {
		t.Errorf("woken %d times", woken)
	}
}

func TestLimits(t *testing.T) {
	f := newFixture(t)
	m := f.mailbox("alice")
	f.append(m, FolderInbox, strings.Repeat("x", 1000))
	m.SetLimits(Limits{Hard: 1600})
	other := f.mailbox("other")
	src := f.append(other, FolderInbox, strings.Repeat("y", 1000))
	_, e1 := m.Append(ctx, FolderInbox, f.item(strings.Repeat("z", 1000)))
	_, e2 := m.Copy(ctx, FolderInbox, UIDs(1), FolderDrafts)
	_, e3 := other.CopyTo(ctx, []OID{src[0].OID}, m, FolderInbox)
	small, e4 := m.Append(ctx, FolderInbox, &NewItem{})
	f.ok(e4)
	_, e5 := m.Save(ctx, small[0].OID, &Edit{Set: mapi.Properties{{Tag: mapi.TagBody, Value: strings.Repeat("b", 2000)}}})
	for i, err := range []error{e1, e2, e3, e5, m.Room(1000)} {
		if !model.IsKind(err, model.KindQuota) {
			t.Errorf("%d: %v", i, err)
		}
	}
	_, err := m.Move(ctx, FolderInbox, UIDs(1), FolderDrafts)
	f.ok(err)
	f.ok(m.Room(100))
	// What was deleted does not count, and comes back only if there is room.
	_, err = m.Delete(ctx, FolderDrafts, UIDSet{{From: 1, To: 9}})
	f.ok(err)
	_, err = m.Append(ctx, FolderInbox, f.item(strings.Repeat("n", 1000)))
	f.ok(err)
	v, err := m.View(ctx)
	f.ok(err)
	var rows []RowID
	f.ok(v.Recoverable(ctx, FolderDrafts, func(s *State) bool { rows = append(rows, s.Row); return true }))
	v.Close()
	if _, err := m.Recover(ctx, FolderDrafts, rows); !model.IsKind(err, model.KindQuota) || len(rows) == 0 {
		t.Errorf("recovered %d beyond the limit: %v", len(rows), err)
	}
	f.clean(m)
}

// FuzzOOF reads whatever may stand in the row of the out-of-office setting.
func FuzzOOF(f *testing.F) {
	f.Add((&OOF{On: true, Internal: "a"}).encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		if o, err := decodeOOF(b); err == nil {
			if _, err := decodeOOF(o.encode()); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// Rules that make much of a message do not break the limit of a batch, nor keep
// it from others.
func TestRulesAndBatches(t *testing.T) {
	f := newFixture(t)
	var copies []rules.Action
	for range 24 {
		copies = append(copies, rules.Copy{Folder: uint64(FolderDrafts)})
	}
	it := f.item("Subject: much\r\n\r\n" + strings.Repeat("x", 100))
	it.Summary.Props.Set(mapi.TagSubject, "much")
	it.Props.Set(mapi.TagComment, strings.Repeat("p", 100000))
	dv := &Delivery{QueueID: "q", Item: *it, Origin: Origin{Sender: bob}}
	var boxes []*Mailbox
	for i := range 6 {
		m := f.mailbox(fmt.Sprint(i))
		if i%2 == 0 {
			f.setRules(m, rules.Rule{Actions: copies}, rules.Rule{Actions: []rules.Action{fwd(0)}})
		}
		boxes = append(boxes, m)
		for _, k := range []string{"a", "b"} {
			dv.To = append(dv.To, DeliverTo{Mailbox: m.GUID(), Key: fmt.Sprint(i, k), Owner: alice, Trace: []byte("Return-Path: <b>\r\n")})
		}
	}
	for again := range 2 {
		res, err := f.db.Deliver(ctx, dv)
		f.ok(err)
		for i, d := range res {
			if d.Err != nil || d.Duplicate != (again == 1) {
				t.Errorf("%d: %+v", i, d)
			}
		}
	}
	for i, m := range boxes {
		drafts := strings.Count(list(t, m, FolderDrafts), ":")
		if want := (1 - i%2) * 48; drafts != want || strings.Count(list(t, m, FolderInbox), ":") != 2 {
			t.Errorf("%d holds %d copies", i, drafts)
		}
	}
	if n := strings.Count(f.outgoing(), "c@c.test"); n != 6 {
		t.Errorf("%d forwards", n)
	}
	f.clean(boxes...)
}

func BenchmarkDeliver(b *testing.B) {
	for _, with := range []string{"plain", "rules"} {
		b.Run(with, func(b *testing.B) {
			f := &fixture{t: new(testing.T), eng: newEngine(nil), guid: model.NewGUID(), now: time.Now()}
			f.open()
			defer f.db.Close()
			m := f.mailbox("alice")
			if with == "rules" {
				f.setRules(m, rules.Rule{Condition: about("nothing like it"), Actions: []rules.Action{rules.Delete{}}})
			}
			it := f.item("Subject: x\r\n\r\n" + strings.Repeat("text ", 1600))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := f.db.Deliver(ctx, &Delivery{Item: *it, To: []DeliverTo{{Mailbox: m.GUID(), Key: "k", Trace: []byte("Return-Path: <b>\r\n")}}}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
