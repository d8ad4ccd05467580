package e2e

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"rialto/internal/kv/postgres/pgtest"
)

// TestPostgresDamage flips octets of a store in a PostgreSQL server: mail is there
// after a repair or named as lost. A restore brings all of it back.
func TestPostgresDamage(t *testing.T) {
	server, err := pgtest.New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Remove)
	r := start(t, "--engine", server.URL())
	for n := range 30 {
		if out, err := r.swaks("smtp", "--to", "alice@contoso.test", "--from", "x@outside.test", "--header", fmt.Sprint("Subject: letter ", n)); err != nil {
			t.Fatalf("swaks: %v\n%s", err, out)
		}
	}
	eventually(t, "the mail", func() bool { return len(r.subjects("alice", "pw1", "INBOX")) == 30 })
	target := filepath.Join(filepath.Dir(r.data), "backups")
	contains(t, "full backup", r.cli("backup", "full", "--to", target), "written")
	r.stop()
	path, err := server.Query(`SELECT pg_relation_filepath(c.oid) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE n.nspname LIKE 'rialto\_store\_%' AND relname = 'r_mailboxes' AND pg_relation_size(c.oid) > 65536 ORDER BY pg_relation_size(c.oid) DESC LIMIT 1`)
	if err == nil {
		err = server.Stop()
	}
	if err == nil {
		err = server.Flip(path, 4*8192+4000, 8)
	}
	if err == nil {
		err = server.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	out, _ := tool(t, "", binary(t), "--data", r.data, "store", "repair", "Mailbox Store (MAIL)") // its status tells of losses
	contains(t, "repair", out, "damaged: table r_mailboxes, page 4", "What is damaged is kept in schema rialto_store_")
	r.run()
	got := r.subjects("alice", "pw1", "INBOX")
	unnamed := 0
	for n := range 30 {
		if s := fmt.Sprint("letter ", n); got[s] == 0 && !strings.Contains(out, s+" ") {
			unnamed++
		}
	}
	told := strings.Count(out, "its subject, sender and other headers are lost")
	for _, line := range strings.Split(out, "\n") {
		items := 0
		if _, err := fmt.Sscanf(line, "%d items are lost of which nothing is left", &items); err == nil {
			told += items
		}
	}
	if unnamed > told {
		t.Errorf("%d letters are gone without a word, %d are told of without a name:\n%s", unnamed, told, out)
	}
	r.verified()
	contains(t, "restore", r.cli("restore", "--from", target), "What the store held is in schema rialto_store_")
	r.run()
	if got := r.subjects("alice", "pw1", "INBOX"); len(got) != 30 {
		t.Errorf("after the restore: %d letters", len(got))
	}
	r.verified()
}
