package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// verified stops the server, if it runs, and checks every database that it has.
func (r *rialto) verified() {
	r.t.Helper()
	r.kill()
	out, err := tool(r.t, "", binary(r.t), "--data", r.data, "store", "verify", "--deep")
	if err != nil || !strings.Contains(out, " 0 problems") {
		r.t.Errorf("store verify: %v\n%s", err, out)
	}
}

// subjects returns how often each subject is in a folder.
func (r *rialto) subjects(user, pw, folder string) map[string]int {
	r.t.Helper()
	c := r.imap(user, pw)
	defer c.Close()
	if _, err := c.Select(folder); err != nil {
		r.t.Fatal(err)
	}
	got, err := c.Fetch(false, "1:*", "(ENVELOPE)")
	if err != nil {
		r.t.Fatal(err)
	}
	out := map[string]int{}
	for _, f := range got {
		if env, ok := f.Items.Get("ENVELOPE"); ok && len(env.List) == 10 {
			out[env.List[1].Str]++
		}
	}
	return out
}

// TestRestoreOneMailbox brings the mail of one mailbox back from a backup while
// mail flows: all of it is there afterwards, and nothing twice. Then the whole
// store is restored in its place.
func TestRestoreOneMailbox(t *testing.T) {
	r := start(t)
	send := func(n int, to string) error {
		c, nc, err := smtpClient(r.addr["smtp"])
		if err != nil {
			return err
		}
		defer nc.Close()
		body := fmt.Sprintf("From: x@outside.test\r\nSubject: %s %d\r\nMessage-ID: <%s.%d@outside.test>\r\n\r\n%s", to, n, to, n, strings.Repeat(fmt.Sprintf("%x ", n*7919), n%40*500))
		return deliver(c, "x@outside.test", body, to+"@contoso.test")
	}
	for n := range 40 {
		if err := send(n, "alice"); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "the mail", func() bool { return len(r.subjects("alice", "pw1", "INBOX")) == 40 })
	var sent atomic.Int64
	stop := make(chan struct{})
	var all sync.WaitGroup
	for w := range 2 {
		all.Go(func() {
			for n := 1000; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				if send(n, []string{"bob", "alice"}[w]) == nil {
					sent.Add(1)
				}
			}
		})
	}
	target := filepath.Join(filepath.Dir(r.data), "backups")
	contains(t, "full backup", r.cli("backup", "full", "--to", target), "written")
	r.curl("imap://"+r.addr["imap"]+"/INBOX", "alice:pw1", "-X", "STORE 1:30 +FLAGS.SILENT (\\Deleted)")
	r.curl("imap://"+r.addr["imap"]+"/INBOX", "alice:pw1", "-X", "EXPUNGE")
	contains(t, "incremental backup", r.cli("backup", "incremental", "--to", target), "written")
	sets, err := filepath.Glob(filepath.Join(target, "*", "backup-0000.json"))
	if err != nil || len(sets) != 1 {
		t.Fatal(sets, err)
	}
	contains(t, "backup list", r.cli("backup", "list", target), "full", "incremental")
	contains(t, "backup verify", r.cli("backup", "verify", sets[0]), "files")
	contains(t, "restore beside it", r.cli("restore", "--recovery", "--from", sets[0]), "recovery storage group")
	contains(t, "recovery list", r.cli("recovery", "list"), "alice", "bob")
	contains(t, "verify in use", r.cli("store", "verify", "--deep", "--fast"), " 0 problems")
	contains(t, "copy", r.cli("recovery", "copy-mailbox", "alice"), "30 items copied")
	contains(t, "copy again", r.cli("recovery", "copy-mailbox", "alice"), "0 items copied")
	contains(t, "copy a folder apart", r.cli("recovery", "copy-folder", "bob", "Inbox", "--apart"), "0 items copied")
	close(stop)
	all.Wait()
	if sent.Load() == 0 {
		t.Error("no mail flowed")
	}
	whole := func(when string) {
		t.Helper()
		got := r.subjects("alice", "pw1", "INBOX")
		for n := range 40 {
			if s := fmt.Sprintf("alice %d", n); got[s] != 1 {
				t.Errorf("%s: %q is there %d times", when, s, got[s])
			}
		}
	}
	whole("after the merge")
	if out, err := exec.Command(binary(t), "--data", r.data, "restore", "--from", sets[0]).CombinedOutput(); err == nil {
		t.Errorf("a mounted store was restored: %s", out)
	}
	r.stop()
	contains(t, "restore", r.cli("restore", "--from", filepath.Dir(sets[0])), "What the store held")
	r.run()
	r.verified()
	damage(t, r)
}

// damage flips octets of a store of a stopped server: what the disk still has is
// there after a repair, and what it has not is named.
func damage(t *testing.T, r *rialto) {
	segs, err := filepath.Glob(filepath.Join(r.data, "stores", "*", "*", "segments", "*.seg"))
	if err != nil || len(segs) == 0 {
		t.Fatal(segs, err)
	}
	for _, p := range segs {
		b, err := os.ReadFile(p)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(p, ".before-") {
			continue
		}
		b[len(b)/2] ^= 0x10
		if err := os.WriteFile(p, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	out, err := tool(t, "", binary(t), "--data", r.data, "store", "verify", "--deep")
	if err == nil {
		t.Errorf("damage was not found:\n%s", out)
	}
	out, err = tool(t, "", binary(t), "--data", r.data, "store", "repair", "Mailbox Store (MAIL)")
	if err == nil {
		t.Errorf("nothing was lost:\n%s", out)
	}
	contains(t, "repair", out, "its content is lost", "What is damaged is kept in")
	r.run()
	r.verified()
}
