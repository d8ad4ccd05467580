package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"rialto/internal/kv/postgres/pgtest"
)

// TestPostgres is the black-box contract on the PostgreSQL engine: the same
// checks, several organizations in one server.
func TestPostgres(t *testing.T) {
	server, err := pgtest.New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Remove)
	engine := []string{"--engine", server.URL()}
	t.Run("Contract", func(t *testing.T) { contract(t, engine...) })
	t.Run("Management", func(t *testing.T) { management(t, engine...) })
	t.Run("Storage", func(t *testing.T) {
		r := start(t, engine...)
		storage(r)
		removal(r)
	})
	t.Run("Kill", func(t *testing.T) { killing(t, 3, engine...) })
	t.Run("Outage", func(t *testing.T) { outage(t, server) })
	t.Run("Engine", func(t *testing.T) { whereTheMailIs(t, server) })
}

// whereTheMailIs: nothing of it is in the data directory, "serve" finds it by
// the bootstrap file alone, and a wrong engine is explained.
func whereTheMailIs(t *testing.T, server *pgtest.Cluster) {
	r := start(t, "--engine", server.URL())
	if out, err := r.swaks("smtp", "--to", "alice@contoso.test", "--from", "x@outside.test"); err != nil {
		t.Fatalf("swaks: %v\n%s", err, out)
	}
	r.stop()
	for _, name := range []string{"directory", "queue", "stores"} {
		if _, err := os.Stat(filepath.Join(r.data, name)); !os.IsNotExist(err) {
			t.Errorf("%s is in the data directory: %v", name, err)
		}
	}
	if st, err := os.Stat(filepath.Join(r.data, "rialto.toml")); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("the bootstrap file may be read by others: %v, %v", st.Mode(), err)
	}
	quickstart := r.args
	r.args = []string{"serve", "--data", r.data}
	r.run()
	contains(t, "mail", r.curl("imap://"+r.addr["imap"]+"/INBOX", "alice:pw1", "-X", "STATUS INBOX (MESSAGES)"), "MESSAGES 1")
	again := append([]string{}, quickstart...)
	if out, err := tool(t, "", binary(t), again...); err == nil || !strings.Contains(out, "another server runs") {
		t.Errorf("a second server: %v\n%s", err, out)
	}
	r.stop()
	for i, a := range again {
		if a == "--engine" {
			again[i+1] = "postgres://rialto:secret@/mail?host=" + t.TempDir()
		}
	}
	out, err := tool(t, "", binary(t), again...)
	if err == nil || !strings.Contains(out, "cannot be reached") || strings.Contains(out, "secret") {
		t.Errorf("an engine that is not there: %v\n%s", err, out)
	}
}

// outage: the database server is killed and comes back, and mail goes on. An
// owner that another has fenced off ends, to be started again.
func outage(t *testing.T, server *pgtest.Cluster) {
	r := start(t, "--engine", server.URL())
	mail := func(n string) {
		if out, err := r.swaks("smtp", "--to", "alice@contoso.test", "--from", "x@outside.test"); err != nil {
			t.Fatalf("swaks: %v\n%s", err, out)
		}
		contains(t, "mail", r.curl("imap://"+r.addr["imap"]+"/INBOX", "alice:pw1", "-X", "STATUS INBOX (MESSAGES)"), "MESSAGES "+n)
	}
	mail("1")
	if err := server.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	mail("2")
	toml, err := os.ReadFile(filepath.Join(r.data, "rialto.toml"))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(toml), "instance = '")
	instance, _, _ := strings.Cut(rest, "'")
	if err := server.Exec("UPDATE rialto_directory_" + instance + ".owner SET epoch = epoch + 1"); err != nil {
		t.Fatal(err)
	}
	if out, err := tool(t, "", binary(t), "--data", r.data, "contact", "create", "Eve", "eve@partner.test"); err == nil {
		t.Errorf("a change by an owner that was fenced off: %s", out)
	}
	<-r.ends
	contains(t, "the last words", r.out.String(), "has to be started again")
	if r.cmd.ProcessState.ExitCode() == 0 {
		t.Error("it ended as if all were well")
	}
	r.run()
	mail("3")
	r.verified()
}
