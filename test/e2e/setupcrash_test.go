package e2e

import (
	"os"
	"os/exec"
	"testing"
	"time"
)

// TestKillDuringSetup kills the first starts of a server at ever later moments:
// the next one carries on, and ends with a whole organization.
func TestKillDuringSetup(t *testing.T) {
	r := start(t)
	contains(t, "no mailbox", r.cli("mailbox", "disable", "bob"), "bob")
	r.stop()
	r.run() // bob's account is there, as if the run had ended before his mailbox
	contains(t, "bob", r.curl("imap://"+r.addr["imap"]+"/", "bob:pw2"), "INBOX")
	r.stop()
	if err := os.RemoveAll(r.data); err != nil {
		t.Fatal(err)
	}
	for wait := 40 * time.Millisecond; wait < 900*time.Millisecond; wait += 40 * time.Millisecond {
		c := exec.Command(binary(t), r.args...)
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(wait)
		_ = c.Process.Kill() // it may have failed, which the next run shows
		_ = c.Wait()
	}
	r.run()
	for user, pw := range map[string]string{"alice": "pw1", "bob": "pw2"} {
		contains(t, user, r.curl("imap://"+r.addr["imap"]+"/", user+":"+pw), "INBOX", "Sent Items")
		contains(t, "mailbox of "+user, r.cli("mailbox", "verify", user), "0 problems")
		if out, err := r.swaks("smtp", "--to", user+"@contoso.test", "--from", "x@outside.test"); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
	}
	contains(t, "status", r.cli("status"), "Contoso", "mounted", "running")
	r.verified()
}
