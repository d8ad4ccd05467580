package store

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"rialto/internal/mapi"
	"rialto/internal/model"
	"rialto/internal/store/layout"
)

// pictured is all that is seen of a mailbox, by every name of every item.
func pictured(t *testing.T, m *Mailbox) string {
	t.Helper()
	var b strings.Builder
	if err := m.look(func(v *View) error {
		fs, err := v.Folders(ctx)
		if err != nil {
			return err
		}
		for _, id := range sortedFolders(fs) {
			fmt.Fprintf(&b, "%+v\n", *fs[id])
			for _, sp := range []Space{Normal, Associated, Deleted} {
				var all []State
				if err := v.SpaceStates(ctx, id, sp, func(s *State) bool { all = append(all, *s); return true }); err != nil {
					return err
				}
				for i := range all {
					it, err := v.ItemAt(ctx, all[i].Place)
					if err != nil {
						return err
					}
					fmt.Fprintf(&b, " %+v %v %v %d %d", it.State, it.Summary.Props, it.Bag.Props, len(it.Recipients), len(it.Attachments))
					for _, s := range it.Bag.Streams {
						r, err := v.OpenContent(ctx, s.Content)
						if err != nil {
							return err
						}
						fmt.Fprint(&b, " ", s.Tag, r.Size())
					}
					fmt.Fprintln(&b, len(body(t, m, all[i].Row)))
				}
			}
		}
		_, err = v.MailboxChanges(ctx, 0, func(c *Change) bool { fmt.Fprintf(&b, "%+v\n", *c); return true })
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// furnished is a mailbox that has something in every space.
func furnished(t *testing.T, f *fixture) *Mailbox {
	t.Helper()
	m := f.mailbox("Alice")
	sub, err := m.CreateFolder(ctx, FolderInbox, "Projects", "")
	if err != nil {
		t.Fatal(err)
	}
	for i := range 20 {
		f.append(m, FolderInbox, fmt.Sprintf("%02d %s", i, strings.Repeat("long text ", 100*i)))
	}
	inner := f.item("the message inside")
	n := f.item("with attachments")
	n.Attachments = []Attachment{{Content: f.item(strings.Repeat("attached ", 1000)).Content}, {Embedded: inner}}
	n.Flags |= HasAttachments
	if _, err := m.Append(ctx, sub.ID, n); err != nil {
		t.Fatal(err)
	}
	if _, err := m.PropertyIDs(ctx, []mapi.PropertyName{{Set: model.GUID{7}, Name: "color"}}); err != nil {
		t.Fatal(err)
	}
	steps := []error{
		m.SetReceiveFolder(ctx, "ipm.fax", sub.ID),
		m.SetPermissions(ctx, sub.ID, []Permission{{Rights: RoleReviewer}}),
		m.SetFolderProps(ctx, sub.ID, mapi.Properties{{Tag: mapi.TagComment, Value: "of a folder"}}),
	}
	_, err = m.Delete(ctx, FolderInbox, UIDs(3, 4))
	steps = append(steps, err)
	_, err = m.Move(ctx, FolderInbox, UIDs(5, 6), sub.ID)
	if err := errors.Join(append(steps, err)...); err != nil {
		t.Fatal(err)
	}
	return m
}

func laden(t *testing.T, f *fixture) *Mailbox {
	t.Helper()
	m := f.mailbox("mover")
	f.append(m, FolderInbox, "small", strings.Repeat("large", 10000))
	s, err := m.Create(ctx, FolderDrafts, &NewItem{Props: props(mapi.TagSubject, "s", mapi.TagBody, strings.Repeat("b", 30000)), Attachments: []Attachment{{Embedded: nested(2)},
		{Props: props(mapi.TagAttachDataBinary, []byte(strings.Repeat("z", 20000)))}}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.Freeze(ctx, s.OID, s.CN, RenderingMIME, f.item(strings.Repeat("rendering", 1000)).Content, nil, nil); err != nil {
		t.Fatal(err)
	}
	mime := f.append(m, FolderInbox, strings.Repeat("evidence", 3000))[0]
	if _, err := m.Save(ctx, mime.OID, &Edit{Set: props(mapi.TagSubject, "other"), Derived: &NewItem{}}); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Delete(ctx, FolderInbox, UIDs(1)); err != nil {
		t.Fatal(err)
	}
	if err := m.SetPermissions(ctx, FolderInbox, []Permission{{SID: sid(1), Rights: RoleEditor}}); err != nil {
		t.Fatal(err)
	}
	return m
}

func TestMoveMailbox(t *testing.T) {
	f, g := newFixture(t), newFixture(t)
	g.mailbox("there already")
	m := laden(t, f)
	before, head := pictured(t, m), m.Header()
	calls := 0
	moved, err := f.db.MoveMailbox(ctx, m.GUID(), g.db, func(Moved) { calls++ })
	if err != nil {
		t.Fatal(err)
	}
	if after := pictured(t, moved); after != before || calls == 0 {
		t.Errorf("before:\n%s\nafter:\n%s", before, after)
	}
	if moved.Header() != head {
		t.Errorf("%+v became %+v", head, moved.Header())
	}
	if _, err := m.Append(ctx, FolderInbox, f.item("late")); !model.IsKind(err, model.KindUnavailable) {
		t.Errorf("writing where it was: %v", err)
	}
	if _, err := f.db.Mailbox(ctx, m.GUID()); !model.IsKind(err, model.KindNotFound) {
		t.Errorf("it is there still: %v", err)
	}
	g.append(moved, FolderInbox, "new mail")
	verify(t, moved)
	f.now = f.now.Add(10 * f.opt.Grace)
	if _, err := f.db.Collect(ctx); err != nil {
		t.Fatal(err)
	}
	if n := f.count([]byte{0x02}, []byte{0x03}) + f.count([]byte{0x05}, []byte{0x06}) + f.count([]byte{0x10}, []byte{0xff}); n != 0 {
		t.Errorf("%d rows were left behind", n)
	}
	// And back, after a restart of both: under a number of its own.
	for _, x := range []*fixture{f, g} {
		x.eng.powerCut()
		x.reopen()
	}
	back, err := g.db.MoveMailbox(ctx, m.GUID(), f.db, nil)
	if err != nil || back.num <= m.num {
		t.Fatal(back.num, m.num, err)
	}
	verify(t, back)
}

// TestMoveCutShort gives a move up when its rows are copied.
func TestMoveCutShort(t *testing.T) {
	f, g := newFixture(t), newFixture(t)
	m := laden(t, f)
	before, guid := pictured(t, m), m.GUID()
	c, cancel := context.WithCancel(ctx)
	if _, err := f.db.MoveMailbox(c, guid, g.db, func(Moved) { cancel() }); !errors.Is(err, context.Canceled) && !model.IsKind(err, model.KindCanceled) {
		t.Fatal(err)
	}
	if _, err := g.db.Mailbox(ctx, guid); !model.IsKind(err, model.KindNotFound) {
		t.Fatalf("half a mailbox: %v", err)
	}
	if n, err := g.db.CountMailboxes(ctx); n != 0 || err != nil {
		t.Errorf("%d mailboxes, %v", n, err)
	}
	again, err := f.db.Mailbox(ctx, guid)
	if err != nil {
		t.Fatal(err)
	}
	if got := pictured(t, again); got != before {
		t.Fatal("the mailbox is not as it was")
	}
	if n, err := g.db.FinishMoves(ctx); err != nil || n != 1 {
		t.Fatal(n, err)
	}
	if n := g.count([]byte{0x10}, []byte{0xff}); n != 0 {
		t.Errorf("%d rows of half a mailbox", n)
	}
	moved, err := f.db.MoveMailbox(ctx, guid, g.db, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := pictured(t, moved); got != before {
		t.Error("the mailbox is not as it was")
	}
}

// TestMoveAlone moves a mailbox while others move it, finish moves, and deliver
// to it and read it where it was.
func TestMoveAlone(t *testing.T) {
	f, g, h := newFixture(t), newFixture(t), newFixture(t)
	m := furnished(t, f)
	before, guid := pictured(t, m), m.GUID()
	moved, err := f.db.MoveMailbox(ctx, guid, g.db, func(Moved) {
		for _, x := range []*fixture{g, h} {
			if _, err := f.db.MoveMailbox(ctx, guid, x.db, nil); !model.IsKind(err, model.KindConflict) {
				t.Errorf("a second move at the same time: %v", err)
			}
		}
		if n, err := g.db.FinishMoves(ctx); n != 0 || err != nil {
			t.Errorf("%d moves under way were finished, %v", n, err)
		}
		if _, err := m.View(ctx); !model.IsKind(err, model.KindUnavailable) {
			t.Errorf("reading it meanwhile: %v", err)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := pictured(t, moved); got != before {
		t.Error("the mailbox is not as it was")
	}
	if _, err := m.View(ctx); !model.IsKind(err, model.KindUnavailable) {
		t.Errorf("a session that was open sees the place it left: %v", err)
	}
}

// TestMoveLastStep delivers while a move is between its last steps, and cuts
// the power there.
func TestMoveLastStep(t *testing.T) {
	f, g := newFixture(t), newFixture(t)
	m := furnished(t, f)
	before, guid := pictured(t, m), m.GUID()
	deliver := func() error {
		res, err := f.db.Deliver(ctx, &Delivery{Item: *f.item("new"), To: []DeliverTo{{Mailbox: guid}}})
		if err != nil {
			return err
		}
		return res[0].Err
	}
	done := make(chan error, 1)
	f.db.creating.Lock() // leaving takes it
	go func() {
		_, err := f.db.MoveMailbox(ctx, guid, g.db, nil)
		done <- err
	}()
	for state := byte(0); state != layout.DirWhole && state != layout.DirLive; runtime.Gosched() {
		if v, err := g.db.kv.Get(ctx, layout.MailboxDirKey(guid)); err == nil {
			state = v[0]
		}
	}
	if err := deliver(); err == nil {
		t.Error("mail was delivered to the mailbox that is left")
	}
	f.db.creating.Unlock()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	// As if the power had failed before the copy was live.
	if err := g.db.setDir(ctx, guid, layout.DirWhole, 1); err != nil {
		t.Fatal(err)
	}
	g.eng.powerCut()
	g.reopen()
	if n, err := g.db.FinishMoves(ctx); n != 0 || err != nil {
		t.Fatalf("the only copy was dropped: %d, %v", n, err)
	}
	moved, err := f.db.MoveMailbox(ctx, guid, g.db, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := pictured(t, moved); got != before {
		t.Error("the mailbox is not as it was")
	}
}
