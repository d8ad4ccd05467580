package backup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"rialto/internal/kv"
	"rialto/internal/kv/pebble"
	"rialto/internal/kv/postgres"
	"rialto/internal/kv/postgres/pgtest"
	"rialto/internal/mapi"
	"rialto/internal/model"
	"rialto/internal/store"
)

var ctx = context.Background()

// engine opens the same database again and again.
type engine func(t *testing.T, name string) kv.DB

func files(t *testing.T) engine {
	dir := t.TempDir()
	return func(t *testing.T, name string) kv.DB {
		db, err := pebble.Open(pebble.Options{Dir: filepath.Join(dir, name), Ballast: -1})
		if err != nil {
			t.Fatal(err)
		}
		return db
	}
}

func server(t *testing.T) engine {
	s, err := pgtest.New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Remove)
	return func(t *testing.T, name string) kv.DB {
		db, err := postgres.Open(ctx, postgres.Options{URL: s.URL(), Schema: name, Once: store.Once})
		if err != nil {
			t.Fatal(err)
		}
		return db
	}
}

var (
	storeGUID = model.GUID{1}
	boxGUID   = model.GUID{2}
)

func open(t *testing.T, e kv.DB) (*store.Database, *store.Mailbox) {
	t.Helper()
	db, err := store.Open(ctx, e, store.Options{GUID: storeGUID, Name: "Mailbox Store"})
	if err != nil {
		t.Fatal(err)
	}
	m, err := db.Mailbox(ctx, boxGUID)
	if model.IsKind(err, model.KindNotFound) {
		m, err = db.CreateMailbox(ctx, boxGUID, "Alice")
	}
	if err != nil {
		t.Fatal(err)
	}
	return db, m
}

func fill(t *testing.T, m *store.Mailbox, f store.FolderID, from, to int) {
	t.Helper()
	for i := from; i < to; i++ {
		w := m.Database().NewContent(ctx)
		fmt.Fprintf(w, "Subject: %d\r\n\r\n%s", i, strings.Repeat(fmt.Sprintf("%d ", i*7919), 20*(i%50)*(i%50)))
		st, err := w.Finish(ctx)
		if err != nil {
			t.Fatal(err)
		}
		_, err = m.Append(ctx, f, &store.NewItem{Content: st, Time: time.Unix(int64(1e9+i), 0),
			Summary: store.Summary{Props: mapi.Properties{{Tag: mapi.TagInternetMessageID, Value: fmt.Sprintf("<%d@x>", i)}}}})
		st.Release()
		if err != nil {
			t.Fatal(err)
		}
	}
}

func sound(t *testing.T, db *store.Database, items int) {
	t.Helper()
	v, err := db.Verify(ctx, store.VerifyOptions{Deep: true})
	if err != nil || len(v.Problems) > 0 || v.Items != items {
		t.Errorf("%d items, want %d; %q; %v", v.Items, items, v.Problems, err)
	}
}

func TestBackupOnPebble(t *testing.T)   { backups(t, files(t)) }
func TestBackupOnPostgres(t *testing.T) { backups(t, server(t)) }

// backups writes a full and an incremental backup, brings both back elsewhere,
// and merges what was deleted.
func backups(t *testing.T, e engine) {
	db, m := open(t, e(t, "live"))
	fill(t, m, store.FolderInbox, 0, 120)
	w := db.NewContent(ctx)
	if _, err := io.Copy(w, io.LimitReader(rand.NewChaCha8([32]byte{}), 4<<20)); err != nil {
		t.Fatal(err)
	}
	st, err := w.Finish(ctx)
	if err == nil {
		_, err = m.Append(ctx, store.FolderDrafts, &store.NewItem{Content: st})
		st.Release()
	}
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	db, m = open(t, e(t, "live"))
	target := t.TempDir()
	opt := Options{Target: target, Scratch: filepath.Join(target, "scratch")}
	opt.Incremental = true
	if _, err := Write(ctx, db, opt); !model.IsKind(err, model.KindNotFound) {
		t.Fatalf("incremental without full: %v", err)
	}
	opt.Incremental = false
	stop := errors.New("stop")
	opt.Step = func(_ context.Context, done, _ int64) error { return stop }
	if _, err := Write(ctx, db, opt); !errors.Is(err, stop) {
		t.Fatalf("stopped: %v", err)
	}
	opt.Step = nil
	full, err := Write(ctx, db, opt)
	if err != nil {
		t.Fatal(err)
	}
	fill(t, m, store.FolderSentItems, 120, 130)
	opt.Incremental = true
	inc, err := Write(ctx, db, opt)
	if err != nil {
		t.Fatal(err)
	}
	if inc.Written >= full.Bytes/2 || inc.Bytes < full.Bytes {
		t.Errorf("incremental wrote %d of %d, full has %d", inc.Written, inc.Bytes, full.Bytes)
	}
	at, incAt, err := db.BackedUp(ctx)
	if err != nil || at.Unix() != full.Time.Unix() || incAt.Unix() != inc.Time.Unix() {
		t.Errorf("marks %v and %v: %v", at, incAt, err)
	}
	list, err := List(target)
	if err != nil || len(list) != 2 || list[0].Path() != full.Path() || filepath.Dir(list[1].Path()) != filepath.Dir(full.Path()) {
		t.Fatalf("%d backups, %v", len(list), err)
	}
	if m, err := Open(target); err != nil || m.Path() != inc.Path() {
		t.Errorf("the newest is %v, %v", m, err)
	}
	for n, b := range list {
		if err := Verify(ctx, b, nil); err != nil {
			t.Error(err)
		}
		copied, box := restored(t, e, b, fmt.Sprint("copy", n))
		sound(t, copied, 121+10*n)
		if n == 1 {
			mergeBack(t, box, m)
			before := box.Header()
			if boxes, err := copied.NewIncarnations(ctx); err != nil || boxes != 1 {
				t.Error(boxes, err)
			}
			if after := box.Header(); after.Incarnation == before.Incarnation || after.ReplGUID == before.ReplGUID {
				t.Errorf("incarnation %d after %d", after.Incarnation, before.Incarnation)
			}
		}
		if err := copied.Close(); err != nil {
			t.Error(err)
		}
	}
	sound(t, db, 132+10) // ten deleted ones are recoverable still
	if err := db.Close(); err != nil {
		t.Error(err)
	}
	spoil(t, inc)
}

func restored(t *testing.T, e engine, b *Manifest, name string) (*store.Database, *store.Mailbox) {
	t.Helper()
	if b.Format == FormatRows {
		kv := e(t, name)
		if err := Load(ctx, b, kv, nil); err != nil {
			t.Fatal(err)
		}
		return open(t, kv)
	}
	dir := filepath.Join(t.TempDir(), name)
	if err := Extract(ctx, b, dir, nil); err != nil {
		t.Fatal(err)
	}
	db, err := pebble.Open(pebble.Options{Dir: dir, Ballast: -1})
	if err != nil {
		t.Fatal(err)
	}
	return open(t, db)
}

// mergeBack deletes and moves some mail, and merges it from the copy, twice.
func mergeBack(t *testing.T, from, to *store.Mailbox) {
	t.Helper()
	if _, err := to.Delete(ctx, store.FolderInbox, store.UIDSet{{From: 1, To: 10}}); err != nil {
		t.Fatal(err)
	}
	if _, err := to.Move(ctx, store.FolderInbox, store.UIDSet{{From: 11, To: 20}}, store.FolderNotes); err != nil {
		t.Fatal(err)
	}
	fill(t, to, store.FolderInbox, 500, 501)
	got, err := Merge(ctx, from, to, MergeOptions{})
	if err != nil || got.Copied != 10 || got.There != 121 {
		t.Errorf("first: %+v, %v", got, err)
	}
	if got, err = Merge(ctx, from, to, MergeOptions{}); err != nil || got.Copied != 0 || got.There != 131 {
		t.Errorf("second: %+v, %v", got, err)
	}
	if _, err = Merge(ctx, from, to, MergeOptions{Folder: "Inbox/none"}); !model.IsKind(err, model.KindNotFound) {
		t.Error(err)
	}
	if got, err = Merge(ctx, from, to, MergeOptions{Folder: "inbox", Into: "Recovered Data"}); err != nil || got.Folders != 2 || got.Copied != 10 {
		// The ten that were deleted have other OIDs now than in the copy.
		t.Errorf("into a folder: %+v, %v", got, err)
	}
	v, err := to.View(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	f, err := v.Child(ctx, store.FolderSubtree, "Recovered Data")
	if err == nil {
		f, err = v.Child(ctx, f.ID, "Inbox")
	}
	if err != nil || f.Counts.Total != 10 {
		t.Fatal(f, err)
	}
	if _, err := to.DeleteItems(ctx, f.ID, all(t, v, f.ID), true); err != nil {
		t.Fatal(err)
	}
}

func all(t *testing.T, v *store.View, f store.FolderID) (out []store.OID) {
	t.Helper()
	if err := v.States(ctx, f, 1, ^store.UID(0), func(s *store.State) bool { out = append(out, s.OID); return true }); err != nil {
		t.Fatal(err)
	}
	return out
}

// spoil damages a file of a backup, and takes one away.
func spoil(t *testing.T, m *Manifest) {
	t.Helper()
	path := filepath.Join(m.files(), m.Files[0].SHA256)
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)/2] ^= 1
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Verify(ctx, m, nil); !model.IsKind(err, model.KindCorrupt) {
		t.Errorf("a flipped bit: %v", err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := Verify(ctx, m, nil); !model.IsKind(err, model.KindCorrupt) {
		t.Errorf("a file that is gone: %v", err)
	}
}

func FuzzManifest(f *testing.F) {
	f.Add([]byte(`{"version":1,"format":"files","guid":"01000000-0000-0000-0000-000000000000","files":[{"name":"../x","sha256":""}]}`))
	f.Add([]byte(`{"version":1,"format":"rows","guid":"00000001-0000-0000-0000-000000000000","files":[{"name":"rows/1","sha256":"` + strings.Repeat("ab", 32) + `"}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := parseManifest(b)
		if err != nil {
			return
		}
		for _, x := range m.Files {
			if p := filepath.Join("/base", filepath.FromSlash(x.Name)); !strings.HasPrefix(p, "/base") {
				t.Errorf("%q leads to %s", x.Name, p)
			}
		}
	})
}

func FuzzRows(f *testing.F) {
	f.Add([]byte{1, 'k', 2, 'v', 'w', 1, 'l', 0})
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		n := 0
		_ = eachRow(b, func(k, v []byte) error { n += len(k) + len(v) + 2; return nil }) // it may be damaged
		if n > len(b) {
			t.Errorf("%d octets of rows from %d", n, len(b))
		}
	})
}
