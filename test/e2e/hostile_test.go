package e2e

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"rialto/internal/wire/imap"
)

// quick runs a step and says if it took long.
func quick(t *testing.T, what string, f func()) {
	t.Helper()
	began := time.Now()
	f()
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("%s took %v", what, took)
	}
}

// TestHostileUsers: people who may sign in and do what no mail program does.
func TestHostileUsers(t *testing.T) {
	r := start(t, "--user", "carol:pw3")
	c := r.imap("alice", "pw1")
	try := func(words ...any) error {
		_, err := c.Command(words...)
		if _, said := err.(*imap.ServerError); err != nil && !said {
			t.Fatalf("%.100v: %v", words, err)
		}
		return err
	}
	quick(t, "odd patterns", func() {
		for _, p := range []string{strings.Repeat("*%", 500) + "x", strings.Repeat("*a", 500), strings.Repeat("%", 1000), strings.Repeat("*/", 500)} {
			_ = try("LIST", `""`, imap.Quote(p)) // NO would do as well
		}
	})
	quick(t, "deep folders", func() {
		for _, name := range []string{strings.Repeat("d/", 400) + "d", strings.Repeat("n", 900), "a//b", "/", "INBOX/" + strings.Repeat("x/", 300), "\u202e", "\u0085", "..", "../../etc/passwd"} {
			_ = try("CREATE", imap.QuoteMailbox(name)) // NO would do as well
		}
		_ = try("LIST", `""`, `"*"`)
		_ = try("RENAME", `"d"`, `"d/d/d"`)
		_ = try("DELETE", `"d"`)
	})
	body := "Subject: x\r\n\r\nx\r\n"
	if _, err := c.Append("INBOX", nil, time.Now(), strings.NewReader(body), int64(len(body))); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Select("INBOX"); err != nil {
		t.Fatal(err)
	}
	quick(t, "many keywords", func() {
		for n := range 100 {
			var words []string
			for k := range 100 {
				words = append(words, fmt.Sprintf("keyword-%d-%d", n, k))
			}
			_ = try("STORE", "1", "+FLAGS", "("+strings.Join(words, " ")+")") // NO would do as well
		}
	})
	quick(t, "doubling by COPY", func() {
		for range 12 {
			if err := try("COPY", "1:*", "INBOX"); err != nil {
				t.Error(err)
			}
			if err := try("NOOP"); err != nil {
				t.Error(err)
			}
		}
	})
	quick(t, "searches", func() {
		for _, s := range []string{strings.Repeat("NOT ", 40) + "ALL", strings.Repeat("OR ALL ", 40) + "ALL", "UID 1:4294967295,1:4294967295", "BODY \"" + strings.Repeat("x", 900) + "\""} {
			_ = try("SEARCH", s) // NO would do as well
		}
		_ = try("FETCH", "4294967295:1", "(FLAGS)")
		_ = try("UID FETCH", strings.Repeat("1:*,", 200)+"1", "(FLAGS)")
		_ = try("FETCH", "1:*", "("+strings.TrimSpace(strings.Repeat("BODY.PEEK[] ", 20))+")")
	})
	if n := len(r.mails("alice", "pw1", "INBOX")); n != 4096 {
		t.Errorf("%d messages after 12 doublings", n)
	}
	manyRecipients(t, r)
	filters(t, r)
	guessers(t, r)
	contains(t, "mailbox verify", r.cli("mailbox", "verify", "alice"), " 0 problems")
	r.well("hostile users")
	t.Logf("%d MB at most", r.peak()>>10)
}

// manyRecipients sends to more recipients than the organization allows.
func manyRecipients(t *testing.T, r *rialto) {
	t.Helper()
	c, _ := r.smtp("smtp")
	if _, err := c.Cmd(250, "MAIL FROM:<x@outside.test>"); err != nil {
		t.Fatal(err)
	}
	quick(t, "too many recipients", func() {
		taken := 0
		for range 5100 {
			if _, err := c.Cmd(250, "RCPT TO:<alice@contoso.test>"); err != nil {
				if !strings.Contains(err.Error(), "452 ") && !strings.Contains(err.Error(), "421 ") {
					t.Errorf("recipient %d: %v", taken, err)
				}
				return
			}
			taken++
		}
		t.Errorf("%d recipients were taken", taken)
	})
}

// filters ask the directory for what is hard to find.
func filters(t *testing.T, r *rialto) {
	t.Helper()
	for name, f := range map[string]string{
		"stars":  "(cn=" + strings.Repeat("*a", 400) + "*b)",
		"nested": strings.Repeat("(!", 60) + "(cn=x)" + strings.Repeat(")", 60),
		"many":   "(|" + strings.Repeat("(cn=*x*)", 1000) + ")",
		"bits":   "(userAccountControl:1.2.840.113556.1.4.803:=99999999999999999999)",
	} {
		quick(t, name, func() {
			// An error is as good as no entry.
			_, _ = tool(t, "", "ldapsearch", "-x", "-LLL", "-H", "ldap://"+r.addr["ldap"], "-D", "alice@contoso.test", "-w", "pw1", "-b", "DC=contoso,DC=test", f, "dn")
		})
	}
	out, err := tool(t, "dn: CN=alice,CN=Users,DC=contoso,DC=test\nchangetype: modify\nreplace: memberOf\nmemberOf: CN=Domain Admins,CN=Users,DC=contoso,DC=test\n",
		"ldapmodify", "-x", "-H", "ldap://"+r.addr["ldap"], "-D", "alice@contoso.test", "-w", "pw1")
	if err == nil {
		t.Errorf("alice made herself an administrator:\n%s", out)
	}
}

// guessers try passwords all at once, on every port that takes one.
func guessers(t *testing.T, r *rialto) {
	t.Helper()
	var all sync.WaitGroup
	for n := range 60 {
		for port, words := range map[string]string{
			"imap":       fmt.Sprintf("a LOGIN carol wrong%d\r\nb LOGIN user%d wrong\r\nc LOGOUT\r\n", n, n),
			"pop3":       fmt.Sprintf("USER carol\r\nPASS wrong%d\r\nQUIT\r\n", n),
			"ldap":       "0#\x02\x01\x01`\x1e\x02\x01\x03\x04\x12" + "carol@contoso.test\x80\x05" + "wrong\x30\x05\x02\x01\x02\x42\x00",
			"submission": "EHLO x\r\nAUTH PLAIN AGNhcm9sAHdyb25n\r\nQUIT\r\n",
		} {
			all.Go(func() {
				nc, err := dial(r.addr[port])
				if err != nil {
					return
				}
				defer nc.Close()
				_, _ = io.WriteString(nc, words)   // it may be refused
				_ = nc.(*net.TCPConn).CloseWrite() // the same
				b, _ := io.ReadAll(io.LimitReader(nc, 1<<16))
				if strings.Contains(string(b), "a OK") || strings.Contains(string(b), "235 ") {
					t.Errorf("%s let a guesser in: %s", port, b)
				}
			})
		}
	}
	done := make(chan struct{})
	go func() { all.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(time.Minute):
		t.Error("guessers are still waiting")
	}
	// Others from the same machine come in; carol has to wait.
	c, err := imapClient(r.addr["imap"], "alice", "pw1")
	if err != nil {
		t.Fatalf("alice after the guessing: %v", err)
	}
	c.Close()
	if _, err := imapClient(r.addr["imap"], "carol", "pw3"); err == nil {
		t.Error("guessing is not slowed down")
	}
}

// TestBadTLS says what is no TLS to every port that speaks nothing else, and TLS
// that is too old.
func TestBadTLS(t *testing.T) {
	r := start(t)
	for _, port := range []string{"submissions", "imaps", "pop3s", "ldaps", "gcs", "https"} {
		for name, write := range map[string]func(io.Writer) error{
			"nothing":     says(),
			"clear text":  says("EHLO x\r\na LOGIN alice pw1\r\n"),
			"binary":      noise(1 << 20),
			"endless":     endless("\x16\x03\x01\x40\x00", 16<<20),
			"half a word": says("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
		} {
			quick(t, port+", "+name, func() { abuse(t, port+", "+name, r.addr[port], write) })
		}
		c, err := tls.Dial("tcp", r.addr[port], &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11})
		if err == nil {
			t.Errorf("%s speaks TLS 1.1", port)
			c.Close()
		}
		if c, err = tls.Dial("tcp", r.addr[port], &tls.Config{InsecureSkipVerify: true}); err != nil {
			t.Errorf("%s: %v", port, err)
			continue
		}
		c.Close()
	}
	r.well("bad TLS")
}
