package admin_test

import (
	"encoding/json"
	"strings"
	"testing"

	"rialto/internal/admin"
	"rialto/internal/directory"
	"rialto/internal/model"
	"rialto/internal/store"
)

// refused runs an operation that must be refused with a kind and a text.
func (f *fixture) refused(name, args string, kind model.Kind, text string) {
	f.t.Helper()
	if _, err := f.call(directory.Administrator, name, args); !model.IsKind(err, kind) || !strings.Contains(err.Error(), text) {
		f.t.Errorf("%s %s: %v", name, args, err)
	}
}

// TestStorage: a group and a store come, serve a mailbox, and go when it is gone.
func TestStorage(t *testing.T) {
	f := contoso(t)
	f.do("storagegroup.create", `{"name":"Sales"}`)
	f.refused("storagegroup.create", `{"name":"sales"}`, model.KindExists, "sales")
	f.refused("store.create", `{"name":"Second"}`, model.KindInvalid, "2 storage groups")
	f.do("store.create", `{"name":"Sales 1","group":"sales","warn":1048576,"items":3}`)
	f.refused("store.create", `{"name":"SALES 1","group":"First Storage Group"}`, model.KindExists, "Sales 1")
	if got := f.do("store.list", ""); strings.Count(got, `"mounted"`) != 2 {
		t.Fatalf("the new store is not mounted: %s", got)
	}
	if got := f.do("storagegroup.list", ""); !strings.Contains(got, `"name":"Sales","stores":["Sales 1"]`) {
		t.Errorf("groups: %s", got)
	}
	f.refused("user.create", `{"account":"alice","store":"nowhere"}`, model.KindNotFound, "nowhere")
	if got := f.do("user.create", `{"account":"alice","store":"sales 1"}`); !strings.Contains(got, `"store":"Sales 1"`) {
		t.Errorf("alice: %s", got)
	}
	f.do("user.create", `{"account":"bob","noMailbox":true}`)
	f.do("mailbox.enable", `{"name":"bob","store":"Sales 1"}`)
	f.refused("store.delete", `{"name":"Sales 1"}`, model.KindConflict, "2; give their owners others")
	f.refused("storagegroup.delete", `{"name":"Sales"}`, model.KindConflict, "Sales 1")
	if got := f.do("mailbox.show", `{"name":"alice"}`); !strings.Contains(got, "Inbox") {
		t.Errorf("the store was harmed: %s", got)
	}
	f.do("mailbox.disable", `{"name":"alice"}`)
	f.do("mailbox.disable", `{"name":"bob"}`)
	f.refused("store.delete", `{"name":"Sales 1","purge":true}`, model.KindUnsupported, "files of")
	f.do("store.delete", `{"name":"Sales 1"}`)
	f.refused("store.delete", `{"name":"Sales 1"}`, model.KindNotFound, "Sales 1")
	f.do("storagegroup.delete", `{"name":"Sales"}`)
	if got := f.do("store.list", ""); strings.Contains(got, "Sales") {
		t.Errorf("still there: %s", got)
	}
}

// TestMaintainStore: it is a job, and what it did is in the state of the store.
func TestMaintainStore(t *testing.T) {
	f := contoso(t)
	f.do("user.create", `{"account":"alice"}`)
	var j admin.Job
	if err := json.Unmarshal([]byte(f.do("store.maintain", `{"name":"Mailbox Store (MAIL)"}`)), &j); err != nil {
		t.Fatal(err)
	}
	out, err := f.ShowJob(t.Context(), caller(directory.Administrator), admin.JobQuery{ID: j.ID, Wait: 30000})
	if err != nil {
		t.Fatal(err)
	}
	if m, ok := out.Result.(store.Maintenance); !ok || out.State != "done" || m.Mailboxes != 1 || out.Done != 1 || out.Total != 1 {
		t.Errorf("%+v", out)
	}
	if got := f.do("store.list", ""); !strings.Contains(got, `"maintenance":{"began"`) {
		t.Errorf("status: %s", got)
	}
	f.do("store.dismount", `{"name":"Mailbox Store (MAIL)"}`)
	f.refused("store.maintain", `{"name":"Mailbox Store (MAIL)"}`, model.KindUnavailable, "dismounted")
}
