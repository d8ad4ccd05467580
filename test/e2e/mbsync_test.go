package e2e

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"rialto/internal/message"
	"rialto/internal/wire/imap"
)

// kept is what both sides must agree on about a message.
type kept struct {
	flags string // Maildir letters in order
	sum   string // of the message, without what mbsync adds
}

// content brings a message to a form that both sides share: mbsync adds X-TUID
// and files have bare line feeds.
func content(mail string) (id, digest string) {
	mail = strings.ReplaceAll(mail, "\r\n", "\n")
	head, body, _ := strings.Cut(mail, "\n\n")
	var lines []string
	for _, l := range strings.Split(head, "\n") {
		if !strings.HasPrefix(l, "X-TUID:") {
			lines = append(lines, l)
		}
	}
	head = strings.Join(lines, "\n")
	return message.Header(head + "\n").Get("Message-ID"), sum(head + "\n\n" + body)
}

// far reads a folder by IMAP.
func far(t *testing.T, c *imap.Client, folder string) map[string]kept {
	t.Helper()
	sel, err := c.Select(folder)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]kept{}
	if sel.Exists == 0 {
		return out
	}
	bodies, flags := fetch(t, c, "1:*", "BODY.PEEK[]"), fetch(t, c, "1:*", "FLAGS")
	for uid, mail := range bodies {
		var letters []string
		for flag, l := range map[string]string{`\Draft`: "D", `\Flagged`: "F", `\Answered`: "R", `\Seen`: "S", `\Deleted`: "T"} {
			if strings.Contains(flags[uid], flag) {
				letters = append(letters, l)
			}
		}
		slices.Sort(letters)
		id, digest := content(mail)
		if _, twice := out[id]; twice {
			t.Errorf("%s is there twice in %s", id, folder)
		}
		out[id] = kept{strings.Join(letters, ""), digest}
	}
	return out
}

// near reads a Maildir; paths are the files by message.
func near(t *testing.T, dir string) (all map[string]kept, paths map[string]string) {
	t.Helper()
	all, paths = map[string]kept{}, map[string]string{}
	for _, sub := range []string{"cur", "new"} {
		files, err := os.ReadDir(filepath.Join(dir, sub))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			path := filepath.Join(dir, sub, f.Name())
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			id, digest := content(string(b))
			_, flags, _ := strings.Cut(f.Name(), ":2,")
			if _, twice := all[id]; twice {
				t.Errorf("%s is there twice in %s", id, dir)
			}
			all[id], paths[id] = kept{flags, digest}, path
		}
	}
	return all, paths
}

func same(t *testing.T, what string, a, b map[string]kept, n int) {
	t.Helper()
	if len(a) != n || len(b) != n {
		t.Errorf("%s: %d and %d messages, want %d", what, len(a), len(b), n)
	}
	shown := 0
	for id, x := range a {
		if y, ok := b[id]; (!ok || x != y) && shown < 5 {
			shown++
			t.Errorf("%s: %s is %+v on the server, %+v here", what, id, x, y)
		}
	}
}

func letter(id string, n int) string {
	return fmt.Sprintf("From: x@outside.test\r\nTo: alice@contoso.test\r\nSubject: number %d\r\nMessage-ID: <%s@outside.test>\r\n"+
		"MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nGrüße %d\r\n%s\r\n.\r\n", n, id, n, strings.Repeat("line\r\n", n%40))
}

// local puts a new message into a Maildir.
func local(t *testing.T, dir, id, flags string, n int) {
	t.Helper()
	for _, sub := range []string{"cur", "new", "tmp"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "cur", id+":2,"+flags), []byte(strings.ReplaceAll(letter(id, n), "\r\n", "\n")), 0o600); err != nil {
		t.Fatal(err)
	}
}

func mbsyncrc(t *testing.T, r *rialto, dir string) string {
	t.Helper()
	rc := filepath.Join(dir, "mbsyncrc")
	conf := fmt.Sprintf(`FSync no

IMAPAccount rialto
Host localhost
Port %[1]s
User alice
Pass pw1
SSLType STARTTLS
CertificateFile %[2]s/certs/cert.pem

IMAPStore far
Account rialto

MaildirStore near
Path %[3]s/mail/
Inbox %[3]s/mail/INBOX
SubFolders Verbatim

Channel all
Far :far:
Near :near:
Patterns INBOX Projects* Local*
Create Both
Remove Both
Expunge Both
SyncState *
`, r.port("imap"), r.data, dir)
	if err := os.WriteFile(rc, []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "mail"), 0o700); err != nil {
		t.Fatal(err)
	}
	return rc
}

// TestMbsync keeps a mailbox and a Maildir the same while both change.
func TestMbsync(t *testing.T) {
	r := start(t)
	dir := t.TempDir()
	rc := mbsyncrc(t, r, dir)
	inbox := filepath.Join(dir, "mail", "INBOX")
	c := r.imap("alice", "pw1")
	sync := func() { t.Helper(); must(t, "", "mbsync", "-q", "-c", rc, "all") }
	put := func(folder, id string, n int, flags ...string) {
		t.Helper()
		body := letter(id, n)
		if _, err := c.Append(folder, flags, time.Now(), strings.NewReader(body), int64(len(body))); err != nil {
			t.Fatal(err)
		}
	}
	do := func(words ...any) {
		t.Helper()
		if _, err := c.Command(words...); err != nil {
			t.Fatalf("%v: %v", words, err)
		}
	}
	for i := range 1000 {
		var flags []string
		for k, f := range []string{`\Seen`, `\Flagged`, `\Answered`, `\Draft`} {
			if i%(k+2) == 0 {
				flags = append(flags, f)
			}
		}
		put("INBOX", fmt.Sprintf("first-%d", i), i, flags...)
	}
	sync()
	all, paths := near(t, inbox)
	same(t, "first sync", far(t, c, "INBOX"), all, 1000)

	// Both sides change: flags, messages gone, messages new.
	do("UID STORE", "1:100", "+FLAGS.SILENT", `(\Flagged)`)
	do("UID STORE", "101:200", "-FLAGS.SILENT", `(\Seen)`)
	do("UID STORE", "201:250", "+FLAGS.SILENT", `(\Deleted)`)
	do("EXPUNGE")
	for i := range 20 {
		put("INBOX", fmt.Sprintf("server-%d", i), i, `\Seen`)
		local(t, inbox, fmt.Sprintf("local-%d", i), "FS", i)
	}
	for i := 300; i < 400; i++ {
		path := paths[fmt.Sprintf("<first-%d@outside.test>", i)]
		base, _, _ := strings.Cut(filepath.Base(path), ":2,")
		if err := os.Rename(path, filepath.Join(inbox, "cur", base+":2,RS")); err != nil {
			t.Fatal(err)
		}
	}
	for i := 400; i < 450; i++ {
		if err := os.Remove(paths[fmt.Sprintf("<first-%d@outside.test>", i)]); err != nil {
			t.Fatal(err)
		}
	}
	sync()
	all, _ = near(t, inbox)
	server := far(t, c, "INBOX")
	same(t, "second sync", server, all, 940)
	for id, flags := range map[string]string{"first-0": "DFRS", "first-1": "F", "first-100": "DR", "first-350": "RS", "server-3": "S", "local-3": "FS"} {
		if got := server["<"+id+"@outside.test>"].flags; got != flags {
			t.Errorf("%s has flags %q, want %q", id, got, flags)
		}
	}
	for _, id := range []string{"first-200", "first-249", "first-400", "first-449"} {
		if _, ok := server["<"+id+"@outside.test>"]; ok {
			t.Errorf("%s is back", id)
		}
	}
	folders(t, c, dir, sync, do, put)
	before := maps.Clone(server)
	sync()
	all, _ = near(t, inbox)
	same(t, "a sync of nothing", before, all, 940)
	contains(t, "mailbox verify", r.cli("mailbox", "verify", "alice"), " 0 problems")
}

// folders come and go on both sides.
func folders(t *testing.T, c *imap.Client, dir string, sync func(), do func(...any), put func(string, string, int, ...string)) {
	t.Helper()
	for _, f := range []string{"Projects", "Projects/2026 Q1", "Projects/Grüße & mehr", "Projects/Old"} {
		do("CREATE", imap.QuoteMailbox(f))
	}
	put("Projects/2026 Q1", "quarter", 1, `\Flagged`)
	put("Projects/Grüße & mehr", "greeting", 2)
	local(t, filepath.Join(dir, "mail", "Local"), "here", "S", 3)
	local(t, filepath.Join(dir, "mail", "Local", "Deep er"), "deeper", "", 4)
	sync()
	for folder, id := range map[string]string{"Projects/2026 Q1": "quarter", "Projects/Grüße & mehr": "greeting", "Local": "here", "Local/Deep er": "deeper"} {
		all, _ := near(t, filepath.Join(dir, "mail", filepath.FromSlash(imap.EncodeUTF7(folder))))
		same(t, folder, far(t, c, folder), all, 1)
		if _, ok := all["<"+id+"@outside.test>"]; !ok {
			t.Errorf("%s lacks %s", folder, id)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "mail", "Projects", "Old", "cur")); err != nil {
		t.Error(err)
	}
	do("DELETE", imap.QuoteMailbox("Projects/Old"))
	sync()
	if _, err := os.Stat(filepath.Join(dir, "mail", "Projects", "Old", "cur")); !os.IsNotExist(err) {
		t.Errorf("a deleted folder is still here: %v", err)
	}
}
