package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestSwaksCurlMutt: mail in by swaks, read by curl and mutt.
func TestSwaksCurlMutt(t *testing.T) {
	r := start(t)
	attach := filepath.Join(t.TempDir(), "report.txt")
	if err := os.WriteFile(attach, []byte(strings.Repeat("figures\n", 5000)), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := r.swaks("smtp", "--to", "alice@contoso.test,bob@contoso.test", "--from", "x@outside.test", "--tls", "--header", "Subject: Gr=?utf-8?q?=C3=BC?=sse",
		"--body", "hello alice", "--attach", "@"+attach)
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	contains(t, "EHLO", out, "PIPELINING", "8BITMIME", "CHUNKING", "ENHANCEDSTATUSCODES", "SIZE", "STARTTLS", "DSN")
	mail := r.curl("imap://"+r.addr["imap"]+"/INBOX;UID=1", "alice:pw1")
	contains(t, "message", mail, "Return-Path: <x@outside.test>", "hello alice", "Subject: Gr")
	if other := r.curl("imap://"+r.addr["imap"]+"/INBOX;UID=1", "bob:pw2"); len(other) != len(mail) && !strings.Contains(other, "hello alice") {
		t.Error("the second recipient has another message")
	}
	contains(t, "envelope", r.curl("imap://"+r.addr["imap"]+"/INBOX", "alice:pw1", "-X", "FETCH 1 (FLAGS ENVELOPE BODYSTRUCTURE)"),
		`"report.txt"`, `"mixed"`, `"outside.test"`)
	contains(t, "search", r.curl("imap://"+r.addr["imap"]+"/INBOX", "alice:pw1", "-X", "SEARCH BODY \"hello ALICE\""), "SEARCH 1")
	contains(t, "search in the subject", r.curl("imap://"+r.addr["imap"]+"/INBOX", "alice:pw1", "-X", "SEARCH FROM outside UNDELETED"), "SEARCH 1")
	mutt(t, r)
}

// mutt reads, answers and files in batch mode.
func mutt(t *testing.T, r *rialto) {
	dir := t.TempDir()
	rc := filepath.Join(dir, "muttrc")
	conf := fmt.Sprintf(`set imap_user=alice
set imap_pass=pw1
set smtp_url=smtp://alice@127.0.0.1:%s/
set smtp_pass=pw1
set from=alice@contoso.test
set realname="Alice"
set folder=imap://127.0.0.1:%s/
set spoolfile=+INBOX
set record="=Sent Items"
set ssl_starttls=no
set ssl_force_tls=no
set smtp_authenticators=plain
unset mark_old
set header_cache=
set certificate_file=%s/certs
set ssl_verify_host=no
set ssl_verify_dates=no
`, r.port("submission"), r.port("imap"), dir)
	if err := os.WriteFile(rc, []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	// Sends by the submission port and files the copy by IMAP APPEND.
	if out, err := tool(t, "dear bob\n", "mutt", "-n", "-F", rc, "-s", "from mutt", "bob@contoso.test"); err != nil {
		t.Fatalf("mutt sends: %v\n%s", err, out)
	}
	contains(t, "copy in Sent Items", r.curl("imap://"+r.addr["imap"]+"/Sent%20Items;UID=1", "alice:pw1"), "from mutt", "dear bob")
	contains(t, "bob's message", r.curl("imap://"+r.addr["imap"]+"/INBOX;UID=2", "bob:pw2"), "from mutt", "dear bob", "From: Alice <alice@contoso.test>")
	// Opens the Inbox, marks everything read and saves a message elsewhere.
	script := `push "<tag-pattern>~A<enter><tag-prefix><clear-flag>N<first-entry><copy-message>=Drafts<enter>y<sync-mailbox><quit>"`
	if out, err := tool(t, "", "script", "-qec", fmt.Sprintf("TERM=xterm mutt -n -F %s -e %s", rc, shellQuote(script)), "/dev/null"); err != nil {
		t.Fatalf("mutt reads: %v\n%s", err, out)
	}
	contains(t, "flags", r.curl("imap://"+r.addr["imap"]+"/INBOX", "alice:pw1", "-X", "FETCH 1 FLAGS"), `\Seen`)
	contains(t, "copy", r.curl("imap://"+r.addr["imap"]+"/Drafts", "alice:pw1", "-X", "STATUS Drafts (MESSAGES)"), "MESSAGES 1")
}

func shellQuote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// TestSubmission: signed-in users send as themselves only, strangers not at all.
func TestSubmission(t *testing.T) {
	r := start(t)
	as := func(user, pw, from, to string, more ...string) (string, error) {
		return r.swaks("submission", append([]string{"--to", to, "--from", from, "--tls", "--auth-user", user, "--auth-password", pw}, more...)...)
	}
	if out, err := as("alice", "pw1", "alice@contoso.test", "bob@contoso.test", "--auth", "LOGIN"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	contains(t, "delivery", r.curl("imap://"+r.addr["imap"]+"/INBOX;UID=1", "bob:pw2"), "From: alice@contoso.test")
	for name, args := range map[string][]string{
		"somebody else's address": {"alice", "pw1", "bob@contoso.test", "bob@contoso.test"},
		"a stranger's address":    {"alice", "pw1", "x@outside.test", "bob@contoso.test"},
		"wrong password":          {"alice", "nope", "alice@contoso.test", "bob@contoso.test"},
	} {
		if out, err := as(args[0], args[1], args[2], args[3]); err == nil {
			t.Errorf("%s was accepted:\n%s", name, out)
		}
	}
	if out, err := r.swaks("submission", "--to", "bob@contoso.test", "--from", "alice@contoso.test"); err == nil {
		t.Errorf("submission without signing in:\n%s", out)
	}
	if out, err := r.swaks("smtp", "--to", "x@else.test", "--from", "y@outside.test"); err == nil || !strings.Contains(out, "550 5.7.1") {
		t.Errorf("an open relay:\n%s", out)
	}
	if out, err := r.swaks("smtp", "--to", "nobody@contoso.test", "--from", "y@outside.test"); err == nil || !strings.Contains(out, "550 5.1.1") {
		t.Errorf("unknown recipient:\n%s", out)
	}
}

// TestPOP3 reads and deletes by curl.
func TestPOP3(t *testing.T) {
	r := start(t)
	for i := range 3 {
		if out, err := r.swaks("smtp", "--to", "alice@contoso.test", "--from", "x@outside.test", "--body", fmt.Sprintf("body %d\n.dot", i)); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	url := "pop3://" + r.addr["pop3"] + "/"
	contains(t, "message", r.curl(url+"2", "alice:pw1"), "body 1", "\n.dot")
	uidl := r.curl(url, "alice:pw1", "-X", "UIDL")
	if n := strings.Count(uidl, "\n"); n != 3 {
		t.Errorf("UIDL: %q", uidl)
	}
	contains(t, "TOP", r.curl(url, "alice:pw1", "-X", "TOP 1 0"), "Return-Path")
	r.curl(url+"1", "alice:pw1", "-X", "DELE", "-l")
	if after := r.curl(url, "alice:pw1", "-X", "UIDL"); strings.Count(after, "\n") != 2 || !strings.HasPrefix(after[2:], uidl[strings.Index(uidl, "\n")+3:][:10]) {
		t.Errorf("UIDL after DELE: %q, before %q", after, uidl)
	}
	contains(t, "STLS", r.curl(url, "alice:pw1", "--ssl-reqd", "-k"), "1 ")
}

// TestLDAP reads the organization as administrator and the address book as a
// user.
func TestLDAP(t *testing.T) {
	r := start(t)
	search := func(who, pw string, args ...string) string {
		return must(t, "", "ldapsearch", append([]string{"-x", "-LLL", "-o", "ldif-wrap=no", "-H", "ldap://" + r.addr["ldap"], "-D", who, "-w", pw}, args...)...)
	}
	admin := "CN=Administrator,CN=Users,DC=contoso,DC=test"
	org := search(admin, "pw", "-b", "CN=Contoso,CN=Microsoft Exchange,CN=Services,CN=Configuration,DC=contoso,DC=test", "-E", "pr=50/noprompt", "dn")
	contains(t, "organization", org, "CN=First Administrative Group,CN=Administrative Groups", "CN=First Storage Group,CN=InformationStore,CN=MAIL,CN=Servers",
		"CN=Default Global Address List", "CN=1,CN=SMTP,CN=Protocols,CN=MAIL", "CN=Default Policy,CN=Recipient Policies")
	book := search("alice", "pw1", "-b", "DC=contoso,DC=test", "(&(mailNickname=*)(|(cn=b*)(mail=b*)))", "cn", "mail", "userAccountControl")
	contains(t, "address book", book, "dn: CN=bob,CN=Users,DC=contoso,DC=test", "mail: bob@contoso.test")
	if strings.Contains(book, "userAccountControl") {
		t.Error("a user reads more than an address book")
	}
	root := must(t, "", "ldapsearch", "-x", "-LLL", "-H", "ldap://"+r.addr["ldap"], "-s", "base", "-b", "", "defaultNamingContext")
	contains(t, "root DSE", root, "defaultNamingContext: DC=contoso,DC=test")
	if out, err := tool(t, "", "ldapsearch", "-x", "-H", "ldap://"+r.addr["ldap"], "-b", "DC=contoso,DC=test", "cn"); err == nil {
		t.Errorf("anonymous reads the domain:\n%s", out)
	}
	if out, err := tool(t, "dn: CN=bob,CN=Users,DC=contoso,DC=test\nchangetype: modify\nreplace: title\ntitle: boss\n", "ldapmodify", "-x", "-H", "ldap://"+r.addr["ldap"], "-D", "alice", "-w", "pw1"); err == nil {
		t.Errorf("a user writes:\n%s", out)
	}
	gc := must(t, "", "ldapsearch", "-x", "-LLL", "-H", "ldap://"+r.addr["gc"], "-D", "alice", "-w", "pw1", "-b", "", "(proxyAddresses=smtp:alice@contoso.test)", "cn")
	contains(t, "global catalog", gc, "CN=alice")
	// A quota set by LDAP is obeyed without a restart.
	store := ldapDN(t, search(admin, "pw", "-b", "CN=Configuration,DC=contoso,DC=test", "(objectClass=msExchPrivateMDB)", "dn"))
	must(t, "dn: "+store+"\nchangetype: modify\nreplace: mDBOverHardQuotaLimit\nmDBOverHardQuotaLimit: 1\n", "ldapmodify", "-x", "-H", "ldap://"+r.addr["ldap"], "-D", admin, "-w", "pw")
	eventually(t, "the quota", func() bool {
		out, err := r.swaks("smtp", "--to", "bob@contoso.test", "--from", "x@outside.test", "--body", strings.Repeat("x", 2000))
		return err != nil && strings.Contains(out, "5.2.2")
	})
}
