package admin_test

import (
	"context"
	"encoding/json"
	"strings"
	"sync"
	"testing"
	"time"

	"rialto/internal/admin"
	"rialto/internal/attendant"
	"rialto/internal/auth"
	"rialto/internal/directory"
	"rialto/internal/directory/embedded"
	"rialto/internal/kv"
	"rialto/internal/kv/memory"
	"rialto/internal/model"
	"rialto/internal/org"
	"rialto/internal/service"
	"rialto/internal/setup"
	"rialto/internal/transport"
)

// services are virtual servers that only note what they are told.
type services struct{ told []string }

func (s *services) List() []admin.ServiceStatus {
	return []admin.ServiceStatus{{Name: "Default", Protocol: "smtp", State: "running"}}
}

func (s *services) do(what, name string) error {
	if name != "Default" {
		return model.E("service", model.KindNotFound, name, nil)
	}
	s.told = append(s.told, what)
	return nil
}

func (s *services) Start(_ context.Context, name string) error { return s.do("start", name) }
func (s *services) Stop(_ context.Context, name string) error  { return s.do("stop", name) }
func (s *services) Pause(_ context.Context, name string) error { return s.do("pause", name) }

// fixture is the management of an organization in memory; its mail does not
// move.
type fixture struct {
	*admin.Admin
	t        *testing.T
	services *services
}

// planted is the directory of an organization with one server.
var planted = sync.OnceValues(func() (*memory.DB, error) {
	m := memory.New(memory.Options{})
	d, err := embedded.Open(context.Background(), m, embedded.Options{DNSDomain: "contoso.test", DNSHost: "mail.contoso.test"})
	if err == nil {
		err = setup.Run(context.Background(), d, setup.Plan{ForestPrep: true, DomainPrep: true, Install: true, Organization: "Contoso"}, nil)
	}
	return m, err
})

func contoso(t *testing.T) *fixture {
	t.Helper()
	ctx := t.Context()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	m, err := planted()
	must(err)
	dir, err := embedded.Open(ctx, m.Copy(), embedded.Options{DNSDomain: "contoso.test", DNSHost: "mail.contoso.test"})
	must(err)
	t.Cleanup(func() { dir.Close() })
	o, err := org.Open(ctx, dir, "mail", org.Options{})
	must(err)
	t.Cleanup(func() { o.Close() })
	events := service.NewEventLog(nil, 0)
	// A store keeps its map over a dismount.
	engines := map[model.GUID]*memory.DB{}
	stores := attendant.NewStores(attendant.Options{Org: o, Events: events, OpenEngine: func(_ context.Context, _ org.StorageGroup, st org.Store) (kv.DB, error) {
		if old := engines[st.GUID]; old != nil {
			again, err := old.Reopen()
			engines[st.GUID] = again
			return again, err
		}
		engines[st.GUID] = memory.New(memory.Options{})
		return engines[st.GUID], nil
	}})
	stores.Start(ctx)
	t.Cleanup(func() { stores.Close(context.Background()) })
	tr, err := transport.New(ctx, transport.Options{Org: o, Stores: stores, Queue: memory.New(memory.Options{})})
	must(err)
	t.Cleanup(func() {
		if err := tr.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	})
	f := &fixture{t: t, services: &services{}}
	f.Admin = &admin.Admin{Org: o, Directory: dir, Stores: stores, Transport: tr, Services: f.services, Events: events,
		Hasher: auth.NewHasher(auth.Params{Time: 1, MemoryKiB: 64, Threads: 1}, 0), Passwords: auth.NewCache(auth.CacheOptions{}), Version: "test", Started: time.Now()}
	return f
}

func caller(l directory.Level) admin.Caller {
	return admin.Caller{Principal: directory.Principal{Level: l}, Name: "somebody", From: "192.0.2.1"}
}

// call runs an operation by name with arguments as JSON.
func (f *fixture) call(l directory.Level, name, args string) (any, error) {
	f.t.Helper()
	for _, op := range f.Operations() {
		if op.Name == name {
			return op.Call(f.t.Context(), caller(l), []byte(args))
		}
	}
	f.t.Fatalf("no operation %s", name)
	return nil, nil
}

// do runs an operation as an administrator; it must succeed. The result is as
// JSON has it.
func (f *fixture) do(name, args string) string {
	f.t.Helper()
	out, err := f.call(directory.Administrator, name, args)
	if err != nil {
		f.t.Fatalf("%s %s: %v", name, args, err)
	}
	b, err := json.Marshal(out)
	if err != nil {
		f.t.Fatal(err)
	}
	return string(b)
}

// audits returns the audit events, newest first.
func (f *fixture) audits() []service.Event {
	return f.Events.Recent(1000, func(e service.Event) bool { return e.Category == "Audit" })
}

// TestOnlyAdministratorsManage: every operation there is refuses everybody else,
// and does nothing.
func TestOnlyAdministratorsManage(t *testing.T) {
	f := contoso(t)
	f.do("user.create", `{"account":"alice"}`)
	before := f.do("mailbox.list", "") + f.do("store.list", "")
	seen := map[string]bool{}
	for _, op := range f.Operations() {
		if seen[op.Name] {
			t.Errorf("%s is there twice", op.Name)
		}
		seen[op.Name] = true
		for _, l := range []directory.Level{directory.Anonymous, directory.User} {
			for _, args := range []string{"", "{}"} {
				if _, err := op.Call(t.Context(), caller(l), []byte(args)); !model.IsKind(err, model.KindPermission) {
					t.Errorf("%s %q at level %d: %v", op.Name, args, l, err)
				}
			}
		}
		if _, err := op.Call(t.Context(), caller(directory.Administrator), nil); model.IsKind(err, model.KindPermission) {
			t.Errorf("%s refuses an administrator: %v", op.Name, err)
		}
	}
	for name, args := range map[string]string{"user.delete": `{"name":"alice"}`, "user.create": `{"account":"mallory","password":"x"}`,
		"store.dismount": `{"name":"Mailbox Store (MAIL)"}`, "service.stop": `{"name":"Default"}`, "group.create": `{"name":"g","members":["alice"]}`} {
		if _, err := f.call(directory.User, name, args); !model.IsKind(err, model.KindPermission) {
			t.Errorf("%s %s: %v", name, args, err)
		}
	}
	if after := f.do("mailbox.list", "") + f.do("store.list", ""); after != before || len(f.services.told) > 0 {
		t.Errorf("something was done: %v\n%s\n%s", f.services.told, before, after)
	}
}

// TestArguments: what is misspelt is said, not ignored.
func TestArguments(t *testing.T) {
	f := contoso(t)
	for _, op := range f.Operations() {
		for _, args := range []string{`{"nonsense":1}`, `[`, `[]`, `{} {}`, `{}}`, `"x"`, `{"name":{}}`, "\x00"} {
			if _, err := op.Call(t.Context(), caller(directory.Administrator), []byte(args)); !model.IsKind(err, model.KindInvalid) {
				t.Errorf("%s %q: %v", op.Name, args, err)
			}
		}
	}
	if _, err := f.call(directory.Administrator, "user.show", `{"nmae":"alice"}`); err == nil || !strings.Contains(err.Error(), "nmae") {
		t.Errorf("the error does not name the field: %v", err)
	}
	if n := len(f.audits()); n != 0 {
		t.Errorf("%d audit events of what was never tried", n)
	}
}
