package store

import (
	"errors"
	"path/filepath"
	"testing"
	"time"

	"rialto/internal/kv"
	"rialto/internal/kv/postgres"
	"rialto/internal/kv/postgres/pgtest"
)

// TestPointInTime: after the server was restored to a moment, no client takes
// what arrives now for what it saw in the lost time, even if the program crashes
// before it has told all; and it is told once.
func TestPointInTime(t *testing.T) {
	server, err := pgtest.New(pgtest.Archive)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Remove)
	o := postgres.Options{URL: server.URL(), Schema: "store", Once: Once, Witness: filepath.Join(t.TempDir(), "w")}
	var told []int
	var engine *postgres.DB
	f := &fixture{t: t, now: time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)}
	mount := func() error {
		if engine, err = postgres.Open(ctx, o); err != nil {
			t.Fatal(err)
		}
		f.db, err = Open(ctx, engine, Options{GUID: f.guid, Name: "s", Clock: func() time.Time { return f.now }, Rewound: func(_ kv.Rewind, n int) { told = append(told, n) }})
		return err
	}
	seen := func(m *Mailbox) (inbox Folder, h Header) {
		if err := m.look(func(v *View) error {
			fs, err := v.Folders(ctx)
			if err == nil {
				inbox = *fs[FolderInbox]
			}
			return err
		}); err != nil {
			t.Fatal(err)
		}
		return inbox, m.Header()
	}
	f.ok(mount())
	a, b := f.mailbox("a"), f.mailbox("b")
	f.append(a, FolderInbox, "one")
	f.ok(server.BaseBackup())
	f.append(a, FolderInbox, "two")
	f.ok(server.Mark("here"))
	f.append(a, FolderInbox, "three", "four")
	lost, before := seen(a)
	_, beforeB := seen(b)
	f.ok(f.db.Close())
	f.ok(server.Restore("here"))
	f.now = f.now.Add(time.Hour)

	// The program ends between the open and the renewal.
	engine, err = postgres.Open(ctx, o)
	f.ok(err)
	engine.Abandon(errors.New("crash"))
	_ = engine.Close() // it was abandoned
	f.ok(mount())
	if len(told) != 1 || told[0] != 2 {
		t.Fatalf("told %v", told)
	}
	boxes := func() {
		a, err = f.db.Mailbox(ctx, a.GUID())
		f.ok(err)
		b, err = f.db.Mailbox(ctx, b.GUID())
		f.ok(err)
	}
	boxes()
	inbox, after := seen(a)
	_, afterB := seen(b)
	if inbox.Counts.Total != 2 || inbox.UIDValidity <= lost.UIDValidity {
		t.Errorf("the Inbox had %+v, has %+v", lost, inbox)
	}
	if after.ReplGUID == before.ReplGUID || after.Incarnation == before.Incarnation || afterB.Incarnation == beforeB.Incarnation {
		t.Errorf("%+v became %+v", before, after)
	}
	f.append(a, FolderInbox, "another third")
	f.clean(a, b)
	f.ok(f.db.Close())
	f.ok(mount())
	defer f.db.Close()
	boxes()
	if again, h := seen(a); again.UIDValidity != inbox.UIDValidity || h.Incarnation != after.Incarnation || len(told) != 1 {
		t.Errorf("renewed again: %+v, told %v", h, told)
	}
	if v, err := f.db.Verify(ctx, VerifyOptions{Deep: true}); err != nil || len(v.Problems) > 0 {
		t.Error(v, err)
	}
}
