package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"rialto/internal/kv/postgres/pgtest"
)

// TestPostgresPointInTime: the administrator restores the database server with
// its own tools. IMAP clients learn that their cache is void, the event log says
// what happened to each database, and only once.
func TestPostgresPointInTime(t *testing.T) {
	server, err := pgtest.New(pgtest.Archive)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Remove)
	r := start(t, "--engine", server.URL())
	mail := func() {
		if out, err := r.swaks("smtp", "--to", "alice@contoso.test", "--from", "x@outside.test"); err != nil {
			t.Fatalf("swaks: %v\n%s", err, out)
		}
	}
	status := func() (messages, validity string) {
		out := r.curl("imap://"+r.addr["imap"]+"/INBOX", "alice:pw1", "-X", "STATUS INBOX (MESSAGES UIDVALIDITY)")
		_, rest, _ := strings.Cut(out, "MESSAGES ")
		messages, rest, _ = strings.Cut(rest, " ")
		_, validity, _ = strings.Cut(rest, "UIDVALIDITY ")
		validity, _, _ = strings.Cut(validity, ")")
		return messages, validity
	}
	rewinds := func() (sources string) {
		b, err := os.ReadFile(filepath.Join(r.data, "log", "events.jsonl"))
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(b)) {
			if strings.Contains(line, `"id":9534`) {
				_, rest, _ := strings.Cut(line, `"source":"`)
				source, _, _ := strings.Cut(rest, `"`)
				sources += source + "\n"
			}
		}
		return sources
	}
	mail()
	if err := server.BaseBackup(); err != nil {
		t.Fatal(err)
	}
	if err := server.Mark("here"); err != nil {
		t.Fatal(err)
	}
	mail()
	if out, err := tool(t, "", binary(t), "--data", r.data, "contact", "create", "Eve", "eve@partner.test"); err != nil {
		t.Fatal(err, out)
	}
	n, before := status()
	if n != "2" || before == "" {
		t.Fatalf("%s messages, UIDVALIDITY %q", n, before)
	}
	r.stop()
	if err := server.Restore("here"); err != nil {
		t.Fatal(err)
	}
	r.args = []string{"serve", "--data", r.data}
	r.run()
	mail()
	n, after := status()
	if n != "2" || after == before || after == "" {
		t.Errorf("%s messages, UIDVALIDITY %q after %q", n, after, before)
	}
	told := rewinds()
	if told != "MSExchangeDSAccess\nMSExchangeIS Mailbox Store\nMSExchangeTransport\n" {
		t.Errorf("events of %q", told)
	}
	r.stop()
	r.run()
	if n, again := status(); n != "2" || again != after || rewinds() != told {
		t.Errorf("renewed once more: UIDVALIDITY %q after %q, events of %q", again, after, rewinds())
	}
	r.verified()
}
