package admin_test

import (
	"log/slog"
	"strings"
	"testing"

	"rialto/internal/directory"
	"rialto/internal/model"
	"rialto/internal/service"
)

func attrs(e service.Event) map[string]string {
	out := map[string]string{}
	for _, a := range e.Attrs {
		out[a.Key] = a.Value.String()
	}
	return out
}

// changes are operations that change something, in an order in which each can.
var changes = []struct{ op, args, object string }{
	{"user.create", `{"account":"alice","password":"first-secret"}`, "alice"},
	{"user.create", `{"account":"bob","noMailbox":true}`, "bob"},
	{"user.password", `{"name":"alice","password":"second-secret"}`, "alice"},
	{"user.disable", `{"name":"alice"}`, "alice"},
	{"user.enable", `{"name":"alice"}`, "alice"},
	{"mailbox.enable", `{"name":"bob"}`, "bob"},
	{"mailbox.limits", `{"name":"bob","warn":1048576}`, "bob"},
	{"contact.create", `{"name":"Carol","alias":"carol","target":"carol@fabrikam.test"}`, "Carol"},
	{"group.create", `{"name":"team","members":["alice"]}`, "team"},
	{"group.add", `{"name":"team","members":["bob"]}`, "team"},
	{"group.remove", `{"name":"team","members":["alice"]}`, "team"},
	{"group.delete", `{"name":"team"}`, "team"},
	{"contact.delete", `{"name":"carol"}`, "carol"},
	{"mailbox.disable", `{"name":"bob"}`, "bob"},
	{"user.delete", `{"name":"alice"}`, "alice"},
	{"store.dismount", `{"name":"Mailbox Store (MAIL)"}`, "Mailbox Store (MAIL)"},
	{"store.mount", `{"name":"mailbox store (mail)"}`, "mailbox store (mail)"},
	{"storagegroup.create", `{"name":"Sales"}`, "Sales"},
	{"store.create", `{"name":"Sales 1","group":"Sales"}`, "Sales 1"},
	{"store.delete", `{"name":"sales 1"}`, "sales 1"},
	{"storagegroup.delete", `{"name":"sales"}`, "sales"},
	{"service.pause", `{"name":"Default"}`, "Default"},
	{"service.start", `{"name":"Default"}`, "Default"},
	{"service.stop", `{"name":"Default"}`, "Default"},
	{"queue.retry", `{}`, ""},
}

// TestChangesAreAudited: who did what to what, from where, is in the event log;
// passwords are not.
func TestChangesAreAudited(t *testing.T) {
	f := contoso(t)
	for i, c := range changes {
		f.do(c.op, c.args)
		list := f.audits()
		if len(list) != i+1 {
			t.Fatalf("%s: %d audit events, want %d", c.op, len(list), i+1)
		}
		e := list[0]
		a := attrs(e)
		if e.Source != service.SourceAttendant || e.ID != 9001 || e.Level != slog.LevelInfo || !strings.Contains(e.Message, "somebody did "+c.op) {
			t.Errorf("%s: %+v", c.op, e)
		}
		if a["operation"] != c.op || a["object"] != c.object || a["by"] != "somebody" || a["from"] != "192.0.2.1" || a["error"] != "" {
			t.Errorf("%s: %v", c.op, a)
		}
		for k, v := range a {
			if strings.Contains(v, "secret") {
				t.Errorf("%s: a password is in %s", c.op, k)
			}
		}
	}
	if got := strings.Join(f.services.told, " "); got != "pause start stop" {
		t.Errorf("the services were told: %s", got)
	}
}

// TestFailuresAreAudited: what was meant to change something and did not is
// recorded as a warning, whether it could not be done or was not allowed.
func TestFailuresAreAudited(t *testing.T) {
	f := contoso(t)
	failures := map[string]string{"user.create": `{"account":""}`, "contact.create": `{"name":"x","target":"no address"}`,
		"group.create": `{"name":"x","members":["nobody"]}`, "queue.remove": `{"id":"x"}`, "queue.retry": `{"name":"domain:nowhere.test"}`,
		"storagegroup.create": `{"name":"a/b"}`, "store.create": `{"name":"x","group":"nowhere"}`}
	for _, c := range changes {
		if failures[c.op] == "" {
			failures[c.op] = `{"name":"nobody"}`
		}
	}
	n := 0
	for op, args := range failures {
		for _, l := range []directory.Level{directory.Administrator, directory.User} {
			_, err := f.call(l, op, args)
			if err == nil || (l == directory.User) != model.IsKind(err, model.KindPermission) {
				t.Errorf("%s %s at level %d: %v", op, args, l, err)
				continue
			}
			n++
			list := f.audits()
			if len(list) != n {
				t.Fatalf("%s at level %d: %d audit events, want %d", op, l, len(list), n)
			}
			if e, a := list[0], attrs(list[0]); e.Level != slog.LevelWarn || a["operation"] != op || a["error"] == "" || !strings.Contains(e.Message, "failed to do "+op) {
				t.Errorf("%s: %+v", op, e)
			}
		}
	}
}

// TestLookingIsNotAudited: the log is for what changed.
func TestLookingIsNotAudited(t *testing.T) {
	f := contoso(t)
	f.do("user.create", `{"account":"alice"}`)
	for op, want := range map[string]string{"status": `"organization":"Contoso"`, "user.list": `"account":"alice"`, "mailbox.list": `"alias":"alice"`,
		"contact.list": `"items":[]`, "group.list": `"items":[`, "store.list": "Mailbox Store", "service.list": `"Default"`, "storagegroup.list": "First Storage Group", "queue.list": "[]", "queue.show": "[]", "event.list": "user.create"} {
		if got := f.do(op, ""); !strings.Contains(got, want) {
			t.Errorf("%s: %s is not in %s", op, want, got)
		}
	}
	for op, want := range map[string]string{"user.show": `"account":"alice"`, "mailbox.show": `"Inbox"`, "mailbox.verify": `"problems":null`} {
		if got := f.do(op, `{"name":"alice"}`); !strings.Contains(got, want) {
			t.Errorf("%s: %s is not in %s", op, want, got)
		}
	}
	if n := len(f.audits()); n != 1 {
		t.Errorf("%d audit events, want the one of the account", n)
	}
}
