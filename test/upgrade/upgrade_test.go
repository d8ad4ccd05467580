// Package upgrade opens data directories that earlier versions wrote. Each
// testdata/VERSION.tar.gz was made by freeze.sh with that version's binary and
// is never changed again: what it holds must open, and be whole, for ever.
package upgrade

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"rialto/internal/admin"
	"rialto/internal/auth"
	"rialto/internal/directory"
	"rialto/internal/server"
	"rialto/internal/store"
)

func TestFrozenDirectories(t *testing.T) {
	frozen, err := filepath.Glob("testdata/*.tar.gz")
	if err != nil || len(frozen) == 0 {
		t.Fatalf("no frozen directories: %v", err)
	}
	for _, f := range frozen {
		t.Run(strings.TrimSuffix(filepath.Base(f), ".tar.gz"), func(t *testing.T) { open(t, f) })
	}
}

// open checks what freeze.sh put in: the accounts, a group, and in alice's Inbox
// a small message, flagged and read, and a large one in segments.
func open(t *testing.T, archive string) {
	ctx := context.Background()
	dir := t.TempDir()
	extract(t, archive, dir)
	cfg, err := server.LoadConfig(dir)
	if err != nil {
		t.Fatal(err)
	}
	s, err := server.Open(ctx, cfg, server.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Shutdown(ctx)
	if err := s.Prepare(ctx); err != nil {
		t.Fatal(err)
	}
	local := admin.Caller{Principal: directory.AsSystem, Name: "test"}
	for _, name := range []string{"alice", "bob"} {
		v, err := s.Admin().VerifyMailbox(ctx, local, admin.Name{Name: name})
		if err != nil || len(v.Problems) > 0 {
			t.Fatalf("%s: %v, %v", name, v, err)
		}
	}
	p, err := s.Admin().GroupMembers(ctx, local, admin.Name{Name: "staff"})
	if err != nil || len(p.Items) != 2 {
		t.Errorf("members %v, %v", p, err)
	}
	acct, err := (directory.Finder{Dir: s.Directory()}).FindAccount(ctx, "alice@contoso.test")
	if err != nil {
		t.Fatal(err)
	}
	if ok, err := auth.NewHasher(auth.DefaultParams(), 0).Verify(ctx, acct.Credential, "pw1"); err != nil || !ok {
		t.Errorf("alice's password: %v, %v", ok, err)
	}
	m, err := s.Mailbox(ctx, acct)
	if err != nil {
		t.Fatal(err)
	}
	inbox(t, m)
}

func inbox(t *testing.T, m *store.Mailbox) {
	ctx := context.Background()
	v, err := m.View(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	var rows []store.RowID
	var flags []store.Flags
	err = v.States(ctx, store.FolderInbox, 1, ^store.UID(0), func(s *store.State) bool {
		rows, flags = append(rows, s.Row), append(flags, s.Flags)
		return true
	})
	if err != nil || len(rows) != 2 || flags[0] != store.Read|store.Flagged || flags[1] != 0 {
		t.Fatalf("items %v with flags %v, %v", rows, flags, err)
	}
	streams, err := v.Streams(ctx, rows)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{"Subject: frozen small", "Subject: frozen large"} {
		b, err := v.Open(ctx, streams[i])
		if err != nil {
			t.Fatal(err)
		}
		var text bytes.Buffer
		if err := b.WriteRange(&text, 0, b.Size()); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(text.String(), want) || i == 1 && strings.Count(text.String(), "0123456789") < 20000 {
			t.Errorf("message %d has %d octets and lacks something", i+1, text.Len())
		}
	}
}

func extract(t *testing.T, archive, dir string) {
	t.Helper()
	f, err := os.Open(archive)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	r := tar.NewReader(z)
	for {
		h, err := r.Next()
		if err == io.EOF {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, filepath.FromSlash(h.Name))
		if h.FileInfo().IsDir() {
			err = os.MkdirAll(path, 0o700)
		} else {
			err = write(path, r)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func write(path string, r io.Reader) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, r)
	if e := f.Close(); err == nil {
		err = e
	}
	return err
}
