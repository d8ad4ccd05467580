package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// swaks delivers; rules move and forward; an absence is told once, across a
// crash; a full mailbox is warned of, and its owner may not send.
func TestRulesOutOfOfficeQuota(t *testing.T) {
	r := start(t)
	in := func(user, pw string) string { return strings.Join(r.mails(user, pw, "INBOX"), "\n--\n") }
	send := func(subject, body string, more ...string) {
		t.Helper()
		out, err := r.swaks("smtp", append([]string{"--to", "alice@contoso.test", "--from", "x@outside.test", "--header", "Subject: " + subject, "--body", body}, more...)...)
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	r.cli("mailbox", "addrule", "alice", "drafts", "--subject", "filed", "--move", "Drafts", "--mark-read")
	r.cli("mailbox", "addrule", "alice", "on", "--body", "tell bob", "--redirect", "bob@contoso.test")
	send("filed away", "please tell bob")
	eventually(t, "redirection", func() bool { return strings.Contains(in("bob", "pw2"), "Resent-From: alice") })
	contains(t, "moved", strings.Join(r.mails("alice", "pw1", "Drafts"), ""), "please tell bob")
	if got := in("alice", "pw1"); got != "" {
		t.Errorf("the Inbox holds %s", got)
	}
	contains(t, "out of office", r.cli("mailbox", "oof", "alice", "--on", "--internal", "away, colleagues", "--external", "away, all", "--audience", "all"), "out of office", "away, all")
	ask := func() {
		t.Helper()
		out, err := r.swaks("submission", "--to", "alice@contoso.test", "--from", "bob@contoso.test", "--auth-user", "bob", "--auth-password", "pw2", "--header", "Subject: are you there")
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	ask()
	eventually(t, "answer", func() bool { return strings.Contains(in("bob", "pw2"), "away, colleagues") })
	ask()
	r.kill()
	r.run()
	ask()
	if n := strings.Count(in("bob", "pw2"), "away, colleagues"); n != 1 {
		t.Errorf("bob was answered %d times", n)
	}
	r.cli("mailbox", "oof", "alice", "--off")
	big := filepath.Join(t.TempDir(), "big.bin")
	if err := os.WriteFile(big, make([]byte, 3<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	send("big", "see there", "--attach", "@"+big)
	r.cli("mailbox", "limits", "alice", "--warn", "1", "--send", "2")
	contains(t, "warned", r.cli("mailbox", "warn"), "1 warned")
	eventually(t, "warning", func() bool { return strings.Contains(in("alice", "pw1"), "Your mailbox is full") })
	out, err := r.swaks("submission", "--to", "bob@contoso.test", "--from", "alice@contoso.test", "--auth-user", "alice", "--auth-password", "pw1")
	if err == nil || !strings.Contains(out, "552 5.2.2 Your mailbox holds") {
		t.Errorf("a full mailbox sends: %v\n%s", err, out)
	}
}
