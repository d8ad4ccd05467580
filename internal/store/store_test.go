package store

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rialto/internal/kv"
	"rialto/internal/kv/memory"
	"rialto/internal/mapi"
	"rialto/internal/model"
	"rialto/internal/store/content"
)

var ctx = context.Background()

// fixture is a database in memory with its mailboxes.
type fixture struct {
	t    *testing.T
	kv   *memory.DB // nil on another engine
	eng  powered
	db   *Database
	guid model.GUID
	now  time.Time
	opt  content.Options
}

func newFixture(t *testing.T) *fixture { return fixtureOn(t, newEngine(t)) }

// newEngine makes the engine of fixtures; TestSuiteOnPostgres puts another.
var newEngine = func(*testing.T) powered { return &inMemory{memory.New(memory.Options{MinFree: 1 << 20})} }

// powered is an engine that can lose its power.
type powered interface {
	db() kv.DB
	powerCut()
	reopen() error
}

type inMemory struct{ kv *memory.DB }

func (p *inMemory) db() kv.DB { return p.kv }
func (p *inMemory) powerCut() { p.kv.PowerCut() }
func (p *inMemory) reopen() (err error) {
	p.kv, err = p.kv.Reopen()
	return err
}

func fixtureOn(t *testing.T, e powered) *fixture {
	f := &fixture{t: t, eng: e, guid: model.NewGUID(), now: time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC),
		opt: content.Options{InlineMax: 2000, SegmentSize: 100000, Grace: time.Minute}}
	f.open()
	t.Cleanup(func() { f.db.Close() })
	return f
}

func (f *fixture) open() {
	f.t.Helper()
	if mem, ok := f.eng.(*inMemory); ok {
		f.kv = mem.kv
	}
	db, err := Open(ctx, f.eng.db(), Options{GUID: f.guid, Name: "Mailbox Store", Clock: func() time.Time { return f.now }, Content: f.opt})
	if err != nil {
		f.t.Fatal(err)
	}
	f.db = db
}

func (f *fixture) reopen() {
	f.t.Helper()
	if err := f.eng.reopen(); err != nil {
		f.t.Fatal(err)
	}
	f.open()
}

func (f *fixture) mailbox(name string) *Mailbox {
	f.t.Helper()
	m, err := f.db.CreateMailbox(ctx, model.NewGUID(), name)
	if err != nil {
		f.t.Fatal(err)
	}
	return m
}

// item stages a message whose bytes are body.
func (f *fixture) item(body string) *NewItem {
	f.t.Helper()
	w := f.db.NewContent(ctx)
	if _, err := io.WriteString(w, body); err != nil {
		f.t.Fatal(err)
	}
	st, err := w.Finish(ctx)
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(st.Release)
	var p mapi.Properties
	p.Set(mapi.TagSubject, "subject of "+body[:min(10, len(body))])
	p.Set(mapi.TagInternetMessageID, "<"+body[:min(20, len(body))]+"@x>")
	p.Set(mapi.TagConversationID, bytes.Repeat([]byte{1}, 16))
	return &NewItem{Content: st, Structure: []byte("structure"), Summary: Summary{Props: p, Envelope: []byte("env")}}
}

func (f *fixture) append(m *Mailbox, folder FolderID, bodies ...string) []*State {
	f.t.Helper()
	var items []*NewItem
	for _, b := range bodies {
		items = append(items, f.item(b))
	}
	st, err := m.Append(ctx, folder, items...)
	if err != nil {
		f.t.Fatal(err)
	}
	return st
}

// list returns uid:flags of a folder.
func list(t *testing.T, m *Mailbox, folder FolderID) string {
	t.Helper()
	v, err := m.View(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	var out []string
	err = v.States(ctx, folder, 1, ^UID(0), func(s *State) bool {
		out = append(out, fmt.Sprintf("%d:%x%s", s.UID(), uint32(s.Flags), strings.Join(s.Keywords, "+")))
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(out, " ")
}

func body(t *testing.T, m *Mailbox, row RowID) string {
	t.Helper()
	v, err := m.View(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	st, err := v.Streams(ctx, []RowID{row})
	if err != nil || st[0] == nil {
		t.Fatalf("stream of row %d: %v, %v", row, st, err)
	}
	b, err := v.Open(ctx, st[0])
	if err != nil {
		t.Fatal(err)
	}
	var sb strings.Builder
	if err := b.WriteRange(&sb, 0, b.Size()); err != nil {
		t.Fatal(err)
	}
	return sb.String()
}

func verify(t *testing.T, ms ...*Mailbox) {
	t.Helper()
	for _, m := range ms {
		v, err := m.Verify(ctx, true)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range v.Problems {
			t.Error(p)
		}
	}
	if t.Failed() {
		t.FailNow()
	}
}

func TestNewMailbox(t *testing.T) {
	f := newFixture(t)
	m := f.mailbox("Alice")
	v, err := m.View(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	folders, err := v.Folders(ctx)
	if err != nil || len(folders) != int(FolderSpoolerQueue) {
		t.Fatalf("%d folders, %v", len(folders), err)
	}
	seen := map[uint32]bool{}
	for _, fo := range folders {
		if fo.UIDValidity == 0 || seen[fo.UIDValidity] || fo.Counts.NextUID != 1 {
			t.Errorf("%+v", fo)
		}
		seen[fo.UIDValidity] = true
	}
	if in, err := v.Child(ctx, FolderSubtree, "INBOX"); err != nil || in.ID != FolderInbox {
		t.Errorf("inbox by name: %v, %v", in, err)
	}
	if _, err := f.db.CreateMailbox(ctx, m.GUID(), "x"); !model.IsKind(err, model.KindExists) {
		t.Errorf("second mailbox with the GUID: %v", err)
	}
	verify(t, m)
}

func TestDeliverToMany(t *testing.T) {
	f := newFixture(t)
	var boxes []*Mailbox
	d := &Delivery{Item: *f.item(strings.Repeat("hello ", 2000))}
	for i := range 20 {
		m := f.mailbox(fmt.Sprint("user", i))
		boxes = append(boxes, m)
		d.To = append(d.To, DeliverTo{Mailbox: m.GUID(), Trace: fmt.Appendf(nil, "Delivered-To: %d\r\n", i)})
	}
	d.To = append(d.To, DeliverTo{Mailbox: model.NewGUID()}, DeliverTo{Mailbox: boxes[0].GUID(), HardLimit: 10})
	before := f.eng.db().(kv.Metered).Metrics().Commits
	res, err := f.db.Deliver(ctx, d)
	if err != nil {
		t.Fatal(err)
	}
	if n := f.eng.db().(kv.Metered).Metrics().Commits - before; n != 1 {
		t.Errorf("%d commits for one delivery", n)
	}
	for i, m := range boxes {
		if res[i].Err != nil || res[i].UID != 1 {
			t.Fatalf("%d: %+v", i, res[i])
		}
		want := fmt.Sprintf("Delivered-To: %d\r\n", i) + strings.Repeat("hello ", 2000)
		if got := body(t, m, RowID(res[i].OID)); got != want {
			t.Errorf("%d: body of %d bytes, want %d", i, len(got), len(want))
		}
	}
	if !model.IsKind(res[20].Err, model.KindNotFound) || !model.IsKind(res[21].Err, model.KindQuota) {
		t.Errorf("unknown and full mailbox: %v, %v", res[20].Err, res[21].Err)
	}
	verify(t, boxes...)
}

func TestDeliverTwiceWithQueueID(t *testing.T) {
	f := newFixture(t)
	m := f.mailbox("a")
	d := &Delivery{QueueID: "q1", Item: *f.item("x"), To: []DeliverTo{{Mailbox: m.GUID(), Key: "a@x"}}}
	for i := range 3 {
		res, err := f.db.Deliver(ctx, d)
		if err != nil || res[0].Err != nil || res[0].UID != 1 || res[0].Duplicate != (i > 0) {
			t.Fatalf("%d: %+v, %v", i, res, err)
		}
	}
	if err := f.db.ForgetDelivered(ctx, "q1", []string{"a@x"}); err != nil {
		t.Fatal(err)
	}
	if got := list(t, m, FolderInbox); got != "1:0" {
		t.Error(got)
	}
	verify(t, m)
}

func TestFlags(t *testing.T) {
	f := newFixture(t)
	m := f.mailbox("a")
	st := f.append(m, FolderInbox, "a", "b", "c")
	since := st[2].Seq
	res, err := m.SetFlags(ctx, FolderInbox, UIDs(1, 3, 9), FlagChange{Set: Read | Flagged, SetKeywords: []string{"$x", "a"}})
	if err != nil || len(res.States) != 2 {
		t.Fatalf("%+v, %v", res, err)
	}
	if s := res.States[0]; s.ReadCN.Counter != uint64(s.Seq) || s.CN.Counter != uint64(s.Seq) || s.Seq <= since {
		t.Errorf("numbers %+v", s)
	}
	if got := list(t, m, FolderInbox); got != "1:5$x+a 2:0 3:5$x+a" {
		t.Error(got)
	}
	before := res.States[0]
	res, _ = m.SetFlags(ctx, FolderInbox, UIDs(1), FlagChange{Set: DeletedMark, ClearKeywords: []string{"a"}})
	if s := res.States[0]; s.CN != before.CN || s.ReadCN != before.ReadCN || s.Seq <= before.Seq {
		t.Errorf("an IMAP-only change ticked more than seq: %+v then %+v", before, s)
	}
	same, _ := m.SetFlags(ctx, FolderInbox, UIDs(1), FlagChange{Set: DeletedMark})
	if same.States[0].Seq != res.States[0].Seq {
		t.Error("a change that changes nothing ticked seq")
	}
	res, _ = m.SetFlags(ctx, FolderInbox, UIDs(1, 2), FlagChange{Set: Draft, Conditional: true, UnchangedSince: since})
	if !slices.Equal(res.Conflict, []UID{1}) || len(res.States) != 1 {
		t.Errorf("unchangedsince: %+v", res)
	}
	_, _ = m.SetFlags(ctx, FolderInbox, UIDs(1, 2, 3), FlagChange{Replace: true, Set: Answered})
	if got := list(t, m, FolderInbox); got != "1:2 2:2 3:2" {
		t.Error(got)
	}
	if _, err := m.SetFlags(ctx, FolderInbox, UIDs(1), FlagChange{SetKeywords: []string{strings.Repeat("k", 200)}}); !model.IsKind(err, model.KindInvalid) {
		t.Errorf("huge keyword: %v", err)
	}
	verify(t, m)
}

func TestCopyMoveDeleteRecover(t *testing.T) {
	f := newFixture(t)
	m := f.mailbox("a")
	st := f.append(m, FolderInbox, "one", "two", strings.Repeat("three", 3000))
	cp, err := m.Copy(ctx, FolderInbox, UIDSet{{From: 1, To: ^UID(0)}}, FolderSentItems)
	if err != nil || len(cp) != 3 || cp[2].To != 3 || cp[2].OID == st[2].OID {
		t.Fatalf("%v, %v", cp, err)
	}
	mv, err := m.Move(ctx, FolderInbox, UIDs(2, 3), FolderDrafts)
	if err != nil || len(mv) != 2 || mv[0] != (Copied{2, 1, st[1].OID}) {
		t.Fatalf("%v, %v", mv, err)
	}
	if got := body(t, m, st[2].Row); len(got) != 15000 {
		t.Errorf("moved body has %d bytes", len(got))
	}
	verify(t, m)
	del, err := m.Delete(ctx, FolderDrafts, UIDs(1, 2))
	if err != nil || !slices.Equal(del, []UID{1, 2}) {
		t.Fatalf("%v, %v", del, err)
	}
	verify(t, m)
	rec, err := m.Recover(ctx, FolderDrafts, []RowID{st[1].Row, 99999})
	if err != nil || len(rec) != 1 || rec[0].From != 1 || rec[0].To != 3 || rec[0].OID <= st[1].OID {
		t.Fatalf("%v, %v", rec, err)
	}
	verify(t, m)
	f.now = f.now.Add(time.Hour)
	if n, err := m.Purge(ctx, FolderDrafts, f.now); err != nil || n != 1 {
		t.Fatalf("purged %d, %v", n, err)
	}
	if got := list(t, m, FolderDrafts); got != "3:0" {
		t.Error(got)
	}
	if got, want := changes(t, m, FolderDrafts, 0), "gone1 gone2 item3"; got != want {
		t.Errorf("folder log %q, want %q", got, want)
	}
	verify(t, m)
}

// changes prints a folder's log.
func changes(t *testing.T, m *Mailbox, folder FolderID, since Seq) string {
	t.Helper()
	v, err := m.View(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	var out []string
	complete, err := v.Changes(ctx, folder, since, func(c *Change) bool {
		out = append(out, fmt.Sprintf("%s%d", map[ChangeKind]string{ChangeItem: "item", ChangeGone: "gone"}[c.Kind], c.UID))
		return true
	})
	if err != nil || !complete {
		t.Fatal(complete, err)
	}
	return strings.Join(out, " ")
}

func TestExpungeOnlyMarked(t *testing.T) {
	f := newFixture(t)
	m := f.mailbox("a")
	f.append(m, FolderInbox, "a", "b", "c", "d")
	_, _ = m.SetFlags(ctx, FolderInbox, UIDs(2, 4), FlagChange{Set: DeletedMark})
	if got, err := m.Expunge(ctx, FolderInbox, UIDSet{{From: 1, To: 3}}); err != nil || !slices.Equal(got, []UID{2}) {
		t.Errorf("%v, %v", got, err)
	}
	if got := list(t, m, FolderInbox); got != "1:0 3:0 4:8" {
		t.Error(got)
	}
	verify(t, m)
}

func TestBulkOperationsInChunks(t *testing.T) {
	f := newFixture(t)
	m := f.mailbox("a")
	n := 3*chunkItems + 7
	var items []*NewItem
	it := f.item("same body")
	for range n {
		items = append(items, it)
		if len(items) == 400 {
			if _, err := m.Append(ctx, FolderInbox, items...); err != nil {
				t.Fatal(err)
			}
			items = nil
		}
	}
	if _, err := m.Append(ctx, FolderInbox, items...); err != nil {
		t.Fatal(err)
	}
	if cp, err := m.Copy(ctx, FolderInbox, UIDSet{{From: 1, To: ^UID(0)}}, FolderInbox); err != nil || len(cp) != n {
		t.Fatalf("copied %d, %v", len(cp), err)
	}
	if res, err := m.SetFlags(ctx, FolderInbox, UIDSet{{From: 1, To: ^UID(0)}}, FlagChange{Set: DeletedMark}); err != nil || len(res.States) != 2*n {
		t.Fatalf("flagged %d, %v", len(res.States), err)
	}
	if gone, err := m.Expunge(ctx, FolderInbox, UIDSet{{From: 1, To: ^UID(0)}}); err != nil || len(gone) != 2*n {
		t.Fatalf("expunged %d, %v", len(gone), err)
	}
	verify(t, m)
}

func TestFolders(t *testing.T) {
	f := newFixture(t)
	m := f.mailbox("a")
	a, err := m.CreateFolder(ctx, FolderSubtree, "Projects", "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.CreateFolder(ctx, FolderSubtree, "PROJECTS", ""); !model.IsKind(err, model.KindExists) {
		t.Errorf("same name in capitals: %v", err)
	}
	b, err := m.CreateFolder(ctx, a.ID, "2026", "")
	if err != nil {
		t.Fatal(err)
	}
	f.append(m, b.ID, "x", "y")
	for name, err := range map[string]error{
		"below itself":   m.RenameFolder(ctx, a.ID, b.ID, "x"),
		"default folder": m.RenameFolder(ctx, FolderInbox, a.ID, "x"),
		"bad name":       m.RenameFolder(ctx, a.ID, FolderSubtree, "a\x00"),
		"with children":  m.DeleteFolder(ctx, a.ID),
		"inbox":          m.DeleteFolder(ctx, FolderInbox),
	} {
		if err == nil {
			t.Errorf("%s was allowed", name)
		}
	}
	if err := m.RenameFolder(ctx, b.ID, FolderInbox, "projects"); err != nil {
		t.Fatal(err)
	}
	if got := list(t, m, b.ID); got != "1:0 2:0" {
		t.Error(got)
	}
	verify(t, m)
	if err := m.DeleteFolder(ctx, b.ID); err != nil {
		t.Fatal(err)
	}
	if err := m.DeleteFolder(ctx, b.ID); !model.IsKind(err, model.KindNotFound) {
		t.Errorf("second deletion: %v", err)
	}
	v, _ := m.View(ctx)
	defer v.Close()
	n := 0
	_ = v.Recoverable(ctx, FolderDeletedItems, func(*State) bool { n++; return true })
	if n != 2 {
		t.Errorf("%d items recoverable", n)
	}
	again, err := m.CreateFolder(ctx, FolderInbox, "projects", "")
	if err != nil || again.UIDValidity <= b.UIDValidity || again.ID == b.ID {
		t.Errorf("second folder of the name: %+v, %v", again, err)
	}
	verify(t, m)
}

func TestPropertiesRecipientsAttachments(t *testing.T) {
	f := newFixture(t)
	m := f.mailbox("a")
	data := f.item(strings.Repeat("attachment", 1000))
	var props, rcpt, at mapi.Properties
	props.Set(mapi.TagBody, "text")
	rcpt.Set(mapi.TagDisplayName, "Bob")
	at.Set(mapi.TagAttachFilename, "a.txt")
	st, err := m.Append(ctx, FolderDrafts, &NewItem{Creator: []byte{1, 5}, Props: props, Recipients: []mapi.Properties{rcpt, rcpt},
		Attachments: []Attachment{{Props: at, Content: data.Content}, {Props: at}}, Flags: Draft | Read})
	if err != nil {
		t.Fatal(err)
	}
	mv, err := m.Move(ctx, FolderDrafts, UIDs(1), FolderOutbox)
	if err != nil || len(mv) != 1 {
		t.Fatal(mv, err)
	}
	cp, err := m.Copy(ctx, FolderOutbox, UIDs(1), FolderSentItems)
	if err != nil || len(cp) != 1 {
		t.Fatal(cp, err)
	}
	v, _ := m.View(ctx)
	defer v.Close()
	err = v.States(ctx, FolderSentItems, 1, ^UID(0), func(s *State) bool {
		if !bytes.Equal(s.Creator, []byte{1, 5}) {
			t.Errorf("creator %v", s.Creator)
		}
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []RowID{st[0].Row, RowID(cp[0].OID)} {
		p, err1 := v.Props(ctx, row)
		r, err2 := v.Recipients(ctx, row)
		a, err3 := v.Attachments(ctx, row)
		if err1 != nil || err2 != nil || err3 != nil {
			t.Fatal(err1, err2, err3)
		}
		if d := cmp.Diff(props, p); d != "" || len(r) != 2 || len(a) != 2 || a[0].Props.Text(mapi.TagAttachFilename) != "a.txt" {
			t.Errorf("%s %v %v", d, r, a)
		}
		rd, err := v.OpenContent(ctx, a[0].Content)
		if err != nil || rd.Size() != 10000 {
			t.Error(err)
		}
	}
	verify(t, m)
}

func TestRefusedBatchLeavesNoTrace(t *testing.T) {
	f := newFixture(t)
	m := f.mailbox("a")
	f.append(m, FolderInbox, "a")
	it := f.item("b")
	f.kv.SetFree(0)
	if _, err := m.Append(ctx, FolderInbox, it); !model.IsKind(err, model.KindNoSpace) {
		t.Fatalf("append on a full disk: %v", err)
	}
	if _, err := m.Delete(ctx, FolderInbox, UIDs(1)); err != nil {
		t.Errorf("deletion on a full disk: %v", err)
	}
	f.kv.SetFree(1 << 40)
	st, err := m.Append(ctx, FolderInbox, it)
	if err != nil || st[0].UID() != 2 {
		t.Errorf("after space is back: %+v, %v", st, err)
	}
	verify(t, m)
}

func TestDismount(t *testing.T) {
	f := newFixture(t)
	m := f.mailbox("a")
	st := f.append(m, FolderInbox, "a")
	sub := m.Subscribe()
	if err := f.db.Close(); err != nil {
		t.Fatal(err)
	}
	if _, open := <-sub.C; open {
		if _, open = <-sub.C; open {
			t.Error("subscription survives the dismount")
		}
	}
	if _, err := m.View(ctx); !model.IsKind(err, model.KindUnavailable) {
		t.Errorf("view of a dismounted mailbox: %v", err)
	}
	f.reopen()
	m, err := f.db.Mailbox(ctx, m.GUID())
	if err != nil {
		t.Fatal(err)
	}
	next := f.append(m, FolderInbox, "b")
	if next[0].Seq != st[0].Seq+1 || next[0].OID != st[0].OID+1 {
		t.Errorf("a clean dismount skipped numbers: %+v then %+v", st[0], next[0])
	}
	verify(t, m)
}

func TestEventsAreHints(t *testing.T) {
	f := newFixture(t)
	m := f.mailbox("a")
	sub := m.Subscribe()
	defer sub.Close()
	f.append(m, FolderInbox, "a")
	f.append(m, FolderInbox, "b")
	<-sub.C
	select {
	case <-sub.C:
		t.Error("hints are not coalesced")
	default:
	}
	if got := changes(t, m, FolderInbox, 0); got != "item1 item2" {
		t.Error(got)
	}
}

// TestDeliverToThousand: one message for a thousand mailboxes is one commit and
// one copy of its octets, and the batch is no larger than was reckoned.
func TestDeliverToThousand(t *testing.T) {
	f := newFixture(t)
	d := &Delivery{QueueID: "q", Item: *f.item(strings.Repeat("body ", 4000))}
	for i := range 1000 {
		d.To = append(d.To, DeliverTo{Mailbox: f.mailbox(fmt.Sprint(i)).GUID(), Key: fmt.Sprint(i, "@example.test"), Trace: []byte("Return-Path: <someone@example.test>\r\n")})
	}
	before := f.eng.db().(kv.Metered).Metrics()
	res, err := f.db.Deliver(ctx, d)
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range res {
		if r.Err != nil || r.UID != 1 {
			t.Fatalf("%d: %+v", i, r)
		}
	}
	after := f.eng.db().(kv.Metered).Metrics()
	if n := after.Commits - before.Commits; n != 1 {
		t.Errorf("%d commits", n)
	}
	if n := f.count([]byte{0x03}, []byte{0x04}); n != 1 {
		t.Errorf("%d contents", n)
	}
	enc, err := d.Item.encode()
	if err != nil {
		t.Fatal(err)
	}
	if n := int(after.CommitBytes - before.CommitBytes); n > enc.shared+1000*enc.each {
		t.Errorf("a batch of %d octets, reckoned %d + 1000 × %d", n, enc.shared, enc.each)
	}
}
