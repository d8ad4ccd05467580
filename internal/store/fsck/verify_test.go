package fsck_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"testing"

	"rialto/internal/kv"
	"rialto/internal/mapi"
	"rialto/internal/model"
	"rialto/internal/store"
	"rialto/internal/store/content"
	"rialto/internal/store/fsck"
	"rialto/internal/store/layout"
)

func problems(t *testing.T, d *store.Database, o fsck.VerifyOptions) []string {
	t.Helper()
	v, err := d.Verify(ctx, o)
	if err != nil || v.Next != nil {
		t.Fatal(err, v.Next)
	}
	return v.Problems
}

// firstKey returns the first row below a prefix.
func firstKey(t *testing.T, d *store.Database, p []byte) (k, v []byte) {
	t.Helper()
	it := d.Engine().Scan(ctx, kv.Range{Lower: p, Upper: layout.PrefixEnd(p), Limit: 1})
	for it.Next() {
		k, v = append(k, it.Key()...), append(v, it.Value()...)
	}
	if err := it.Close(); err != nil || k == nil {
		t.Fatalf("nothing below %x: %v", p, err)
	}
	return k, v
}

// TestVerifyFinds takes away, and damages, the first row of every space.
func TestVerifyFinds(t *testing.T) { verifyFinds(t, newFixture(t)) }

func verifyFinds(t *testing.T, f *fixture) {
	m := furnished(t, f)
	if p := problems(t, f.db, fsck.VerifyOptions{Deep: true}); len(p) > 0 {
		t.Fatalf("a sound database: %q", p)
	}
	n := layout.Number(1) // the first mailbox of a database
	spaces := map[string][]byte{"directory": {layout.SpaceMailboxDir}, "content": {0x03}, "reference": {0x05}, "segment": {0x07}}
	for _, sub := range []byte{layout.SubHeader, layout.SubCounters, layout.SubReplica, layout.SubNamedProp, layout.SubPropByName, layout.SubFolder, layout.SubCounts, layout.SubFolderName, layout.SubState, layout.SubSummary,
		layout.SubStream, layout.SubAttachment, layout.SubByOID, layout.SubByMID, layout.SubByMessageID, layout.SubConversation, layout.SubByTime} {
		spaces[fmt.Sprintf("%02x", sub)] = n.Key(sub)
	}
	spaces["log of an item"] = n.Key(layout.SubLog)
	for name, p := range spaces {
		if name == "segment" && !f.segments {
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
			if got := problems(t, f.db, fsck.VerifyOptions{}); len(got) == 0 {
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
		if got := problems(t, f.db, fsck.VerifyOptions{}); len(got) == 0 {
			t.Errorf("%s: not found", name)
		}
		write(t, f.db, func(b kv.Batch) { b.Delete(k) })
	}
	if p := problems(t, f.db, fsck.VerifyOptions{Mailbox: m.GUID(), Deep: true}); len(p) > 0 {
		t.Errorf("all is as it was: %q", p)
	}
}

func write(t *testing.T, d *store.Database, change func(kv.Batch)) {
	t.Helper()
	b := d.Engine().NewBatch()
	change(b)
	c, err := d.Engine().Commit(ctx, b)
	if err == nil {
		err = c.Wait(ctx)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestVerifyOnPostgres runs the tests of a check on a server.
func TestVerifyOnPostgres(t *testing.T) {
	engine := onServer(t)
	t.Run("finds", func(t *testing.T) { verifyFinds(t, engine(t)) })
	t.Run("while in use", func(t *testing.T) { verifyWhileInUse(t, engine(t)) })
}

// TestVerifyWhileInUse: what changes between the chunks is not damage.
func TestVerifyWhileInUse(t *testing.T) { verifyWhileInUse(t, newFixture(t)) }

func verifyWhileInUse(t *testing.T, f *fixture) {
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
				st, err := m.Append(ctx, store.FolderDrafts, &store.NewItem{Summary: store.Summary{Props: mapi.Properties{{Tag: mapi.TagInternetMessageID, Value: fmt.Sprint(w, i)}}}})
				if err == nil && i%2 == 0 {
					_, err = m.Move(ctx, store.FolderDrafts, store.UIDs(st[0].UID()), store.FolderNotes)
				} else if err == nil && i%3 == 0 {
					_, err = m.DeleteItems(ctx, store.FolderDrafts, []store.OID{st[0].OID}, i%9 == 0)
				}
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for range 5 {
		for _, p := range problems(t, f.db, fsck.VerifyOptions{Deep: true}) {
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
	whole, err := f.db.Verify(ctx, fsck.VerifyOptions{})
	if err != nil {
		t.Fatal(err)
	}
	stop := errors.New("stop")
	rows, items := 0, 0
	for o := (fsck.VerifyOptions{Step: func(context.Context, *fsck.Verified) error { return stop }}); ; {
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
	if _, err := f.db.Verify(gone, fsck.VerifyOptions{}); !model.IsKind(err, model.KindCanceled) {
		t.Errorf("canceled: %v", err)
	}
	if _, err := f.db.Verify(ctx, fsck.VerifyOptions{Mailbox: model.GUID{9}}); err == nil {
		t.Error("a mailbox that does not exist")
	}
	if v, err := m.Verify(ctx, true); err != nil || v.Mailboxes != 1 || v.Items != 21 {
		t.Errorf("one mailbox: %+v, %v", v, err)
	}
}
