package admin_test

import (
	"encoding/json"
	"strings"
	"testing"

	"rialto/internal/attendant"
	"rialto/internal/directory"
)

func TestDisconnectedMailboxes(t *testing.T) {
	f := contoso(t)
	f.do("user.create", `{"account":"alice","password":"pw1234"}`)
	f.do("user.create", `{"account":"bob","password":"pw1234","noMailbox":true}`)
	f.do("mailbox.addrule", `{"name":"alice","rule":"r","subject":"x","moveTo":"Drafts"}`)
	f.do("mailbox.disable", `{"name":"alice"}`)
	list := func() (out []attendant.Disconnected) {
		t.Helper()
		if err := json.Unmarshal([]byte(f.do("mailbox.disconnected", `{}`)), &out); err != nil {
			t.Fatal(err)
		}
		return out
	}
	ds := list()
	if len(ds) != 1 || ds[0].Name != "alice" || ds[0].Until.Sub(ds[0].Since).Hours() != 30*24 {
		t.Fatalf("%+v", ds)
	}
	guid := ds[0].GUID.String()
	if _, err := f.call(directory.Administrator, "mailbox.reconnect", `{"mailbox":"`+guid+`","user":"nobody"}`); err == nil {
		t.Error("given to nobody")
	}
	f.do("mailbox.reconnect", `{"mailbox":"`+guid+`","user":"bob"}`)
	if len(list()) != 0 {
		t.Error("still disconnected")
	}
	if got := f.do("mailbox.rules", `{"name":"bob"}`); !strings.Contains(got, `"name":"r"`) {
		t.Errorf("another mailbox: %s", got)
	}
	if _, err := f.call(directory.Administrator, "mailbox.purge", `{"name":"`+guid+`"}`); err == nil {
		t.Error("a mailbox in use is purged")
	}
	f.do("mailbox.disable", `{"name":"bob"}`)
	list()
	f.do("mailbox.purge", `{"name":"`+guid+`"}`)
	if len(list()) != 0 {
		t.Error("not purged")
	}
}

func TestOutOfOffice(t *testing.T) {
	f := contoso(t)
	f.do("user.create", `{"account":"alice","password":"pw1234"}`)
	f.do("mailbox.oof", `{"name":"alice","on":true,"internal":"a","external":"b","audience":"known","end":"2030-01-01T00:00:00Z"}`)
	got := f.do("mailbox.oof", `{"name":"alice"}`)
	for _, s := range []string{`"on":true`, `"internal":"a"`, `"external":"b"`, `"audience":"known"`, `"end":"2030-01-01T00:00:00Z"`} {
		if !strings.Contains(got, s) {
			t.Errorf("no %s in %s", s, got)
		}
	}
	if _, err := f.call(directory.Administrator, "mailbox.oof", `{"name":"alice","audience":"some"}`); err == nil {
		t.Error("an unknown audience")
	}
	if _, err := f.call(directory.User, "mailbox.oof", `{"name":"alice"}`); err == nil {
		t.Error("a user may")
	}
	f.do("mailbox.addrule", `{"name":"alice","rule":"r","from":"x@y.test","forward":"z@y.test","redirect":"w@y.test","delete":true,"stop":true}`)
	if got := f.do("mailbox.rules", `{"name":"alice"}`); !strings.Contains(got, `"actions":3`) {
		t.Error(got)
	}
	if _, err := f.call(directory.Administrator, "mailbox.addrule", `{"name":"alice","rule":"r","moveTo":"no such"}`); err == nil {
		t.Error("a folder that is not there")
	}
	if got := f.do("mailbox.clean", `{"name":"alice","action":"report","days":30}`); got != "[]" {
		t.Error(got)
	}
	if _, err := f.call(directory.Administrator, "mailbox.removerule", `{"name":"alice","id":1}`); err == nil {
		t.Error("a rule that is not there")
	}
}

func TestFolderRetention(t *testing.T) {
	f := contoso(t)
	f.do("user.create", `{"account":"alice","password":"pw1234"}`)
	if got := f.do("mailbox.retention", `{"name":"alice"}`); got != "[]" {
		t.Error(got)
	}
	f.do("mailbox.retention", `{"name":"alice","folder":"Sent Items","deletedDays":3}`)
	f.do("mailbox.retention", `{"name":"alice","folder":"Drafts","days":30,"deletedDays":3}`)
	want := `[{"folder":"Drafts","days":30,"deletedDays":3},{"folder":"Sent Items","deletedDays":3}]`
	if got := f.do("mailbox.retention", `{"name":"alice"}`); got != want {
		t.Error(got)
	}
	// What is not named stays; 0 takes a setting away.
	if got := f.do("mailbox.retention", `{"name":"alice","folder":"drafts","days":0}`); got != strings.Replace(want, `"days":30,`, "", 1) {
		t.Error(got)
	}
	for _, bad := range []string{`{"name":"alice","days":1}`, `{"name":"alice","folder":"none","days":1}`, `{"name":"alice","folder":"Drafts","days":-1}`, `{"name":"alice","folder":"Drafts","deletedDays":99999}`} {
		if _, err := f.call(directory.Administrator, "mailbox.retention", bad); err == nil {
			t.Errorf("%s is taken", bad)
		}
	}
	if _, err := f.call(directory.User, "mailbox.retention", `{"name":"alice"}`); err == nil {
		t.Error("a user may")
	}
}
