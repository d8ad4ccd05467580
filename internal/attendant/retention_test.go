package attendant

import (
	"testing"
	"time"

	"rialto/internal/mapi"
	"rialto/internal/model"
	"rialto/internal/store"
)

// TestFolderRetention: a folder's own retention counts before the mailbox's, for
// its items and for its deleted items.
func TestFolderRetention(t *testing.T) {
	s, p, m, now := office(t)
	ctx := t.Context()
	day := 24 * time.Hour
	p.list[0].KeepItems = 10 * day
	*now = now.Add(-3 * day)
	for _, f := range []store.FolderID{store.FolderInbox, store.FolderDrafts} {
		for _, age := range []time.Duration{40 * day, 29 * day} {
			if _, err := m.Append(ctx, f, &store.NewItem{Time: now.Add(-age)}); err != nil {
				t.Fatal(err)
			}
		}
		new, err := m.Append(ctx, f, &store.NewItem{Time: *now})
		if err == nil {
			_, err = m.DeleteItems(ctx, f, []store.OID{new[0].OID}, false)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	*now = now.Add(3 * day)
	want := store.Retention{Recoverable: 2 * day, Age: 35 * day}
	if err := m.SetRetention(ctx, store.FolderInbox, want); err != nil {
		t.Fatal(err)
	}
	for _, bad := range []store.Retention{{Age: -1}, {Recoverable: time.Second}, {Recoverable: -time.Minute}, {Age: 100 * 365 * day}} {
		if err := m.SetRetention(ctx, store.FolderInbox, bad); !model.IsKind(err, model.KindInvalid) {
			t.Errorf("%+v: %v", bad, err)
		}
	}
	counts := func(f store.FolderID) (store.Counts, store.Retention) {
		t.Helper()
		v, err := m.View(ctx)
		if err != nil {
			t.Fatal(err)
		}
		defer v.Close()
		def, err := v.Folder(ctx, f)
		if err != nil {
			t.Fatal(err)
		}
		r, err := v.Retention(ctx, f)
		if err != nil {
			t.Fatal(err)
		}
		return def.Counts, r
	}
	run := func(expired, items uint64) {
		t.Helper()
		done, err := s.MaintainNow(ctx, p.list[0].StoreGUID, nil)
		if err != nil || done.Expired != expired || done.Items != items {
			t.Errorf("%+v %v", done, err)
		}
	}
	// Of the Inbox's two one expires, and its deleted one goes.
	run(1, 1)
	if c, r := counts(store.FolderInbox); c.Total != 1 || c.Deleted != 1 || r != want {
		t.Errorf("Inbox: %+v %+v", c, r)
	}
	if c, _ := counts(store.FolderDrafts); c.Total != 2 || c.Deleted != 1 {
		t.Errorf("Drafts: %+v", c)
	}
	// A client's property of nonsense is none; without its own the mailbox's counts.
	nonsense := mapi.Properties{{Tag: mapi.TagOverallAgeLimit, Value: int32(-5)}}
	if err := m.SetFolderProps(ctx, store.FolderInbox, nonsense, mapi.TagRetentionAgeLimit); err != nil {
		t.Fatal(err)
	}
	*now = now.Add(5 * day)
	run(0, 0)
	*now = now.Add(6 * day)
	run(0, 2)
}
