package store

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"rialto/internal/kv"
	"rialto/internal/mapi"
	"rialto/internal/model"
	"rialto/internal/store/content"
	"rialto/internal/store/layout"
)

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
	_, err = m.Delete(ctx, FolderInbox, layout.UIDs(3, 4))
	steps = append(steps, err)
	_, err = m.Move(ctx, FolderInbox, layout.UIDs(5, 6), sub.ID)
	if err := errors.Join(append(steps, err)...); err != nil {
		t.Fatal(err)
	}
	return m
}

func problems(t *testing.T, d *Database, o VerifyOptions) []string {
	t.Helper()
	v, err := d.Verify(ctx, o)
	if err != nil || v.Next != nil {
		t.Fatal(err, v.Next)
	}
	return v.Problems
}

// firstKey returns the first row below a prefix.
func firstKey(t *testing.T, d *Database, p []byte) (k, v []byte) {
	t.Helper()
	it := d.kv.Scan(ctx, kv.Range{Lower: p, Upper: layout.PrefixEnd(p), Limit: 1})
	for it.Next() {
		k, v = append(k, it.Key()...), append(v, it.Value()...)
	}
	if err := it.Close(); err != nil || k == nil {
		t.Fatalf("nothing below %x: %v", p, err)
	}
	return k, v
}

// TestVerifyFinds takes away, and damages, the first row of every space.
func TestVerifyFinds(t *testing.T) {
	f := newFixture(t)
	m := furnished(t, f)
	if p := problems(t, f.db, VerifyOptions{Deep: true}); len(p) > 0 {
		t.Fatalf("a sound database: %q", p)
	}
	n := m.num
	spaces := map[string][]byte{"directory": {layout.SpaceMailboxDir}, "content": {0x03}, "reference": {0x05}, "segment": {0x07}}
	for _, sub := range []byte{layout.SubHeader, layout.SubCounters, layout.SubReplica, layout.SubNamedProp, layout.SubPropByName, layout.SubFolder, layout.SubCounts, layout.SubFolderName, layout.SubState, layout.SubSummary,
		layout.SubStream, layout.SubAttachment, layout.SubByOID, layout.SubByMID, layout.SubByMessageID, layout.SubConversation, layout.SubByTime} {
		spaces[fmt.Sprintf("%02x", sub)] = n.Key(sub)
	}
	spaces["log of an item"] = n.Key(layout.SubLog)
	for name, p := range spaces {
		if name == "segment" && f.kv == nil {
			continue // the engine keeps chunks in the map
		}
		k, v := firstKey(t, f.db, p)
		for what, change := range map[string]func(kv.Batch){
			"removed": func(b kv.Batch) { b.Delete(k) },
			"damaged": func(b kv.Batch) { b.Set(k, append([]byte{0xff}, v...)) },
		} {
			if what == "damaged" && (len(v) == 0 || k[0] == 0x04) {
				continue
			}
			write(t, f.db, change)
			if got := problems(t, f.db, VerifyOptions{}); len(got) == 0 {
				t.Errorf("row of %s %s: not found", name, what)
			}
			write(t, f.db, func(b kv.Batch) { b.Set(k, v) })
		}
	}
	strange := map[string][]byte{
		"reference of no row":  content.RefKey(1, uint32(n), 999),
		"bag of no item":       n.ID(layout.SubBag, 200),
		"space of its own":     n.Key(0x2f),
		"OID of no item":       n.ID(layout.SubByOID, 5555),
		"rule of no folder":    append(n.ID(layout.SubRule, 4444), 0, 0, 0, 0, 0, 1),
		"horizon of no folder": n.ID(layout.SubHorizon, 4444),
		"no mailbox":           layout.Number(99).Key(layout.SubHeader),
		"no space":             {0xfe, 1},
	}
	for name, k := range strange {
		write(t, f.db, func(b kv.Batch) { b.Set(k, binary.BigEndian.AppendUint64([]byte{1}, 1)) })
		if got := problems(t, f.db, VerifyOptions{}); len(got) == 0 {
			t.Errorf("%s: not found", name)
		}
		write(t, f.db, func(b kv.Batch) { b.Delete(k) })
	}
	verify(t, m)
}

func write(t *testing.T, d *Database, change func(kv.Batch)) {
	t.Helper()
	b := d.kv.NewBatch()
	change(b)
	if err := d.commit(ctx, b); err != nil {
		t.Fatal(err)
	}
}

// TestVerifyWhileInUse: what changes between the chunks is not damage.
func TestVerifyWhileInUse(t *testing.T) {
	f := newFixture(t)
	m := furnished(t, f)
	stop := make(chan struct{})
	var all sync.WaitGroup
	for w := range 2 {
		all.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				st, err := m.Append(ctx, FolderDrafts, &NewItem{Summary: Summary{Props: mapi.Properties{{Tag: mapi.TagInternetMessageID, Value: fmt.Sprint(w, i)}}}})
				if err == nil && i%2 == 0 {
					_, err = m.Move(ctx, FolderDrafts, layout.UIDs(st[0].UID()), FolderNotes)
				} else if err == nil && i%3 == 0 {
					_, err = m.DeleteItems(ctx, FolderDrafts, []OID{st[0].OID}, i%9 == 0)
				}
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for range 5 {
		for _, p := range problems(t, f.db, VerifyOptions{Deep: true}) {
			t.Error(p)
		}
	}
	close(stop)
	all.Wait()
}

// TestVerifyGoesOn stops a check after each chunk and goes on with the next.
func TestVerifyGoesOn(t *testing.T) {
	f := newFixture(t)
	m := furnished(t, f)
	whole, err := f.db.Verify(ctx, VerifyOptions{})
	if err != nil {
		t.Fatal(err)
	}
	stop := errors.New("stop")
	rows, items := 0, 0
	for o := (VerifyOptions{Step: func(context.Context, *Verified) error { return stop }}); ; {
		v, err := f.db.Verify(ctx, o)
		if !errors.Is(err, stop) {
			t.Fatal(err)
		}
		rows, items = rows+v.Rows, items+v.Items
		if o.From = v.Next; o.From == nil {
			break
		}
	}
	if rows != whole.Rows || items != whole.Items || items != 21 {
		t.Errorf("in parts %d rows and %d items, as a whole %d and %d", rows, items, whole.Rows, whole.Items)
	}
	gone, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := f.db.Verify(gone, VerifyOptions{}); !model.IsKind(err, model.KindCanceled) {
		t.Errorf("canceled: %v", err)
	}
	if _, err := f.db.Verify(ctx, VerifyOptions{Mailbox: model.GUID{9}}); err == nil {
		t.Error("a mailbox that does not exist")
	}
	if v, err := m.Verify(ctx, true); err != nil || v.Mailboxes != 1 || v.Items != 21 {
		t.Errorf("one mailbox: %+v, %v", v, err)
	}
}
