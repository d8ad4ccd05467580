package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestStorage: a storage group and a store on files.
func TestStorage(t *testing.T) {
	r := start(t)
	dirs := func() []string {
		t.Helper()
		list, err := filepath.Glob(filepath.Join(r.data, "stores", "*", "*"))
		if err != nil {
			t.Fatal(err)
		}
		return list
	}
	first := dirs()
	storage(r)
	target := filepath.Join(filepath.Dir(r.data), "backups")
	r.cli("backup", "full", "Sales 1", "--to", target)
	second := ""
	for _, d := range dirs() {
		if len(first) == 1 && d != first[0] {
			second = d
		}
	}
	if second == "" {
		t.Fatalf("no second store: %v", dirs())
	}
	// The database is lost while the server is down.
	lose := func(to string) {
		t.Helper()
		r.stop()
		if err := os.Rename(second, to); err != nil {
			t.Fatal(err)
		}
		r.run()
		out, err := tool(t, "", binary(t), "--data", r.data, "store", "mount", "Sales 1")
		if err == nil {
			t.Errorf("a lost database was mounted: %s", out)
		}
		contains(t, "mount", out, "is missing", "rialto restore", "--create-empty")
		contains(t, "status", r.cli("store", "status"), "failed", "--create-empty")
		if _, err := os.Stat(second); err == nil {
			t.Error("something was made where the database was")
		}
	}
	away := t.TempDir()
	lose(filepath.Join(away, "1"))
	sets, err := filepath.Glob(filepath.Join(target, "*"))
	if err != nil || len(sets) != 1 {
		t.Fatal(sets, err)
	}
	r.cli("restore", "--from", sets[0])
	contains(t, "mount", r.cli("store", "mount", "Sales 1"), "is mounted")
	contains(t, "the mailbox", r.curl("imap://"+r.addr["imap"]+"/INBOX", "carol:pw3", "-X", "STATUS INBOX (MESSAGES)"), "MESSAGES 1")
	lose(filepath.Join(away, "2"))
	contains(t, "mount", r.cli("store", "mount", "Sales 1", "--create-empty"), "is mounted")
	contains(t, "a new mailbox", r.curl("imap://"+r.addr["imap"]+"/INBOX", "carol:pw3", "-X", "STATUS INBOX (MESSAGES)"), "MESSAGES 0")
	removal(r)
	if _, err := os.Stat(second); err == nil {
		t.Error("purged files are still there")
	}
	// Without --purge they stay.
	r.cli("store", "create", "Sales 2")
	contains(t, "delete", r.cli("store", "delete", "Sales 2"), "deleted", "files are still in "+filepath.Join(r.data, "stores"))
	if len(dirs()) != 2 {
		t.Errorf("files: %v", dirs())
	}
	r.verified()
}

// storage makes a group and a store in it, with a mailbox that gets mail.
func storage(r *rialto) {
	t := r.t
	t.Helper()
	contains(t, "group", r.cli("storagegroup", "create", "Sales"), "Sales created")
	contains(t, "store", r.cli("store", "create", "Sales 1", "--group", "Sales", "--warn", "10"), "Sales 1 created")
	contains(t, "groups", r.cli("storagegroup", "list"), "Sales 1", "First Storage Group")
	if out := must(t, "pw3\n", binary(t), "--data", r.data, "user", "create", "carol", "--store", "Sales 1"); !strings.Contains(out, "Sales 1") {
		t.Errorf("carol: %s", out)
	}
	if out, err := r.swaks("smtp", "--to", "carol@contoso.test,alice@contoso.test", "--from", "x@outside.test"); err != nil {
		t.Fatalf("swaks: %v\n%s", err, out)
	}
	for _, who := range []string{"carol:pw3", "alice:pw1"} {
		eventually(t, "mail for "+who, func() bool {
			return strings.Contains(r.curl("imap://"+r.addr["imap"]+"/INBOX", who, "-X", "STATUS INBOX (MESSAGES)"), "MESSAGES 1")
		})
	}
	contains(t, "maintenance", r.cli("store", "maintain", "Sales 1"), "Sales 1: 1 mailboxes, 0 items expired, 0 deleted items dropped")
	contains(t, "status", r.cli("store", "status"), "Sales 1 was maintained: 20")
	for _, args := range [][]string{{"store", "delete", "Sales 1", "--purge"}, {"storagegroup", "delete", "Sales"}} {
		if out, err := tool(t, "", binary(t), append([]string{"--data", r.data}, args...)...); err == nil {
			t.Errorf("%v was not refused: %s", args, out)
		}
	}
}

// removal takes what storage made away again.
func removal(r *rialto) {
	r.t.Helper()
	r.cli("mailbox", "disable", "carol")
	contains(r.t, "delete", r.cli("store", "delete", "Sales 1", "--purge"), "Sales 1 deleted")
	contains(r.t, "delete", r.cli("storagegroup", "delete", "Sales"), "Sales deleted")
	if out := r.cli("store", "status"); strings.Contains(out, "Sales") {
		r.t.Errorf("still there: %s", out)
	}
}
