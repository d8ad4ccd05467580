package attendant

import (
	"context"
	"fmt"
	"testing"
	"time"

	"rialto/internal/model"
	"rialto/internal/store"
)

// holding says how many items the folders hold that have any.
func holding(t *testing.T, m *store.Mailbox) string {
	t.Helper()
	v, err := m.View(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	all, err := v.Folders(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]uint32{}
	for _, f := range all {
		if f.Counts.Total+f.Counts.Deleted > 0 {
			out[f.Name+"/"+all[f.Parent].Name] = f.Counts.Total
		}
	}
	return fmt.Sprint(out)
}

func TestCleanUp(t *testing.T) {
	for action, want := range map[CleanupAction]string{
		CleanupReport:  "map[Drafts/Top of Information Store:2 Inbox/Top of Information Store:3]",
		CleanupDeleted: "map[Deleted Items/Top of Information Store:3 Drafts/Top of Information Store:1 Inbox/Top of Information Store:1]",
		CleanupSystem:  "map[Drafts/System Cleanup:1 Drafts/Top of Information Store:1 Inbox/System Cleanup:2 Inbox/Top of Information Store:1]",
		CleanupDelete:  "map[Drafts/Top of Information Store:1 Inbox/Top of Information Store:1]",
	} {
		t.Run(string(action), func(t *testing.T) {
			s, p, m, now := office(t)
			day := 24 * time.Hour
			put := func(f store.FolderID, age time.Duration) {
				t.Helper()
				if _, err := m.Append(t.Context(), f, &store.NewItem{Time: now.Add(-age)}); err != nil {
					t.Fatal(err)
				}
			}
			for _, age := range []time.Duration{40 * day, 31 * day, 29 * day} {
				put(store.FolderInbox, age)
			}
			put(store.FolderDrafts, 31*day)
			put(store.FolderDrafts, 91*day)
			c := &Cleanup{Action: action, Notify: true, Folders: []FolderLimit{{Age: 30 * day}, {Folder: "drafts", Age: 90 * day}}}
			gone, cancel := context.WithCancel(t.Context())
			cancel()
			if _, err := s.CleanUp(gone, p.list[0], c); err == nil {
				t.Error("a cancelled run goes on")
			}
			done, err := s.CleanUp(t.Context(), p.list[0], c)
			if err != nil || len(done) != 2 || done[0].Items != 2 || done[1].Items != 1 {
				t.Fatalf("%+v %v", done, err)
			}
			if got := holding(t, m); got != want {
				t.Errorf("holds %s", got)
			}
			again, err := s.CleanUp(t.Context(), p.list[0], c)
			if err != nil || action != CleanupReport && len(again) != 0 {
				t.Errorf("again: %+v %v", again, err)
			}
			list, err := m.Database().Outbox(t.Context(), 0, 10)
			if err != nil || len(list) == 0 || list[0].Kind != store.SendNotice {
				t.Errorf("no report: %+v %v", list, err)
			}
		})
	}
	s, p, _, _ := office(t)
	for _, bad := range []Cleanup{{}, {Action: "x", Folders: []FolderLimit{{Age: 1}}}, {Action: CleanupDelete}, {Action: CleanupDelete, Folders: []FolderLimit{{}}}} {
		if _, err := s.CleanUp(t.Context(), p.list[0], &bad); !model.IsKind(err, model.KindInvalid) {
			t.Errorf("%+v: %v", bad, err)
		}
	}
}
