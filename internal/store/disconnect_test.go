package store

import (
	"strings"
	"testing"
	"time"

	"rialto/internal/kv"
	"rialto/internal/mapi"
	"rialto/internal/model"
	"rialto/internal/store/layout"
)

func TestDisconnect(t *testing.T) {
	f := newFixture(t)
	m := f.mailbox("alice")
	f.ok(m.Disconnect(ctx, f.now))
	f.ok(m.Disconnect(ctx, f.now.Add(time.Hour)))
	f.ok(m.Rename(ctx, "Alicia"))
	f.eng.powerCut()
	f.db.Close()
	f.reopen()
	m, err := f.db.Mailbox(ctx, m.GUID())
	f.ok(err)
	if h := m.Header(); !h.Deleted.Equal(f.now) || h.DisplayName != "Alicia" {
		t.Errorf("%+v", h)
	}
	f.ok(m.Disconnect(ctx, time.Time{}))
	if h := m.Header(); !h.Deleted.IsZero() {
		t.Errorf("%+v", h)
	}
}

// A deleted mailbox leaves no row and no content of its own, whenever the power
// fails; what others share stays.
func TestDeleteMailbox(t *testing.T) {
	for cutAfter := range 4 {
		f := newFixture(t)
		keep, gone := f.mailbox("keep"), f.mailbox("gone")
		f.append(keep, FolderInbox, strings.Repeat("shared", 1000))
		f.append(gone, FolderInbox, strings.Repeat("shared", 1000), strings.Repeat("own", 2000))
		big := f.item(strings.Repeat("stream", 3000))
		_, err := gone.Append(ctx, FolderDrafts, &NewItem{Streams: []StreamValue{{mapi.TagBody, big.Content}},
			Attachments: []Attachment{{Content: f.item(strings.Repeat("attached", 1000)).Content, Embedded: &NewItem{}}}})
		f.ok(err)
		big.Content.Release()
		num := gone.num
		if cutAfter < 3 { // the removal stops after that many of its steps
			b := f.db.kv.NewBatch()
			b.Set(layout.MailboxDirKey(gone.GUID()), layout.DirEntry(layout.DirLeaves, num))
			f.ok(f.db.commit(ctx, b))
			if cutAfter > 0 {
				f.ok(f.db.dropRefs(ctx, num))
			}
			if cutAfter > 1 {
				b = f.db.kv.NewBatch()
				b.DeleteRange(num.Key(layout.SubBag), num.Key(layout.SubStream))
				f.ok(f.db.commit(ctx, b))
			}
			f.eng.powerCut()
			f.db.Close()
			f.reopen()
			if f.db.next <= num {
				t.Fatalf("number %d could be given again", num)
			}
			n, err := f.db.FinishMoves(ctx)
			if err != nil || n != 1 {
				t.Fatal(n, err)
			}
		} else {
			f.ok(f.db.DeleteMailbox(ctx, gone.GUID()))
			if _, err := gone.Append(ctx, FolderInbox, &NewItem{}); !model.IsKind(err, model.KindNotFound) {
				t.Error(err)
			}
			again, err := f.db.CreateMailbox(ctx, gone.GUID(), "again")
			if err != nil || again.num == num {
				t.Fatal(again, err)
			}
		}
		p := num.Key(0)[:5]
		it := f.db.kv.Scan(ctx, kv.Range{Lower: p, Upper: layout.PrefixEnd(p)})
		if it.Next() {
			t.Errorf("row %x is left", it.Key())
		}
		f.ok(it.Close())
		refs := f.db.kv.Scan(ctx, kv.Range{Lower: []byte{5}, Upper: []byte{6}})
		n := 0
		for refs.Next() {
			n++
		}
		f.ok(refs.Close())
		if n != 1 {
			t.Errorf("%d references are left", n)
		}
		keep, err = f.db.Mailbox(ctx, keep.GUID())
		f.ok(err)
		f.clean(keep)
	}
}

func TestQuotaWarning(t *testing.T) {
	f := newFixture(t)
	m := f.mailbox("alice")
	f.append(m, FolderInbox, strings.Repeat("x", 1000))
	warn := func(l Limits, since time.Time) bool {
		t.Helper()
		ok, err := m.WarnQuota(ctx, alice, l, since)
		f.ok(err)
		return ok
	}
	if warn(Limits{Warn: 2000}, f.now) || !warn(Limits{Warn: 500}, f.now) || warn(Limits{Warn: 500}, f.now) {
		t.Error("not warned once")
	}
	f.now = f.now.Add(time.Hour)
	if !warn(Limits{Send: 900}, f.now) {
		t.Error("not warned again")
	}
	f.ok(m.Notify(ctx, alice, "Report", "text"))
	if got := f.outgoing(); got != "7>alice@a.test |7>alice@a.test |8>alice@a.test text" {
		t.Error(got)
	}
}
