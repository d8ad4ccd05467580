package imap

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"rialto/internal/protocol/transcript"
	"rialto/internal/store"
)

// mbsync, if it is installed, mirrors the mailbox both ways.
func TestMbsync(t *testing.T) {
	program, err := exec.LookPath("mbsync")
	if err != nil {
		t.Skip("mbsync is not installed")
	}
	site, dial := newSite(t, Settings{MaxMessage: 1 << 20})
	c := dial()
	_, port, _ := net.SplitHostPort(c.RemoteAddr().String())
	c.Close()
	dir := t.TempDir()
	config := filepath.Join(dir, "mbsyncrc")
	text := fmt.Sprintf("IMAPAccount a\nHost 127.0.0.1\nPort %s\nUser alice\nPass pw\nSSLType None\nAuthMechs PLAIN\n\n"+
		"IMAPStore far\nAccount a\n\nMaildirStore near\nPath %s/mail/\nInbox %s/mail/INBOX\nSubFolders Verbatim\n\n"+
		"Channel c\nFar :far:\nNear :near:\nPatterns *\nCreate Both\nExpunge Both\nSyncState *\n", port, dir, dir)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "mail"), 0o700); err != nil {
		t.Fatal(err)
	}
	run := func() {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), program, "-c", config, "-a")
		cmd.Env = append(os.Environ(), "HOME="+dir)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("mbsync: %v\n%s", err, out)
		}
	}
	inbox := func() (files []string) {
		for _, sub := range []string{"cur", "new"} {
			fs, _ := filepath.Glob(filepath.Join(dir, "mail/INBOX", sub, "*"))
			files = append(files, fs...)
		}
		return files
	}
	run()
	if got := inbox(); len(got) != 3 {
		t.Fatalf("INBOX holds %v", got)
	}
	if _, err := os.Stat(filepath.Join(dir, "mail/Sent Items/cur")); err != nil {
		t.Error(err)
	}
	// Here one is deleted and one written, there one arrives and one is read.
	files := inbox()
	if err := os.Remove(files[0]); err != nil {
		t.Fatal(err)
	}
	own := strings.ReplaceAll(transcript.Mail("From here", "alice@contoso.test", "x"), "\r\n", "\n")
	if err := os.WriteFile(filepath.Join(dir, "mail/INBOX/new/1.own.host"), []byte(own), 0o600); err != nil {
		t.Fatal(err)
	}
	site.Deliver("alice", "", transcript.Mail("Fourth", "bob@contoso.test", "x"))
	run()
	run()
	if got := inbox(); len(got) != 4 {
		t.Errorf("INBOX holds %v", got)
	}
	v, err := site.Box("alice").View(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	if f, err := v.Folder(t.Context(), store.FolderInbox); err != nil || f.Counts.Total != 4 {
		t.Errorf("the store's Inbox is %+v, %v", f, err)
	}
}
