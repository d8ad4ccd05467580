package e2e

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"rialto/test/ports"
)

// TestContract is the black-box contract of the product: every flag of
// quickstart, the ports, the names to sign in with, stopping and carrying on.
func TestContract(t *testing.T) { contract(t) }

func contract(t *testing.T, more ...string) {
	r := start(t, more...)
	for name, port := range map[string]int{"smtp": 25, "submission": 587, "submissions": 465, "imap": 143, "imaps": 993, "pop3": 110,
		"pop3s": 995, "ldap": 389, "ldaps": 636, "gc": 3268, "gcs": 3269, "http": 80, "https": 443} {
		if want := fmt.Sprintf("127.0.0.1:%d", port+r.offset); r.addr[name] != want {
			t.Errorf("endpoint %s is %q, want %s", name, r.addr[name], want)
			continue
		}
		c, err := net.DialTimeout("tcp", r.addr[name], 5*time.Second)
		if err != nil {
			t.Errorf("%s does not listen: %v", name, err)
			continue
		}
		c.Close()
	}
	for _, user := range []string{"alice", "alice@contoso.test", `CONTOSO\alice`} {
		contains(t, "IMAP LIST as "+user, r.curl("imap://"+r.addr["imap"]+"/", user+":pw1"), "INBOX", `"Sent Items"`)
		contains(t, "POP3 as "+user, r.curl("pop3://"+r.addr["pop3"]+"/", user+":pw1", "-v", "--stderr", "-"), "+OK Signed in")
		if out, err := r.swaks("submission", "--to", "bob@contoso.test", "--from", "alice@contoso.test", "--tls", "--auth", "PLAIN", "--auth-user", user, "--auth-password", "pw1"); err != nil {
			t.Errorf("submission as %s: %v\n%s", user, err, out)
		}
	}
	contains(t, "TLS sign-in", r.curl("imaps://"+r.addr["imaps"]+"/", "bob:pw2", "-k"), "INBOX")
	contains(t, "TLS sign-in", r.curl("pop3s://"+r.addr["pop3s"]+"/", "bob:pw2", "-k"), "1 ", "3 ")
	if out, err := tool(t, "", "curl", "-s", "-S", "--user", "alice:wrong", "--url", "imap://"+r.addr["imap"]+"/"); err == nil {
		t.Errorf("wrong password accepted: %s", out)
	}
	out := must(t, "", "ldapsearch", "-x", "-LLL", "-H", "ldap://"+r.addr["ldap"], "-D", "CN=Administrator,CN=Users,DC=contoso,DC=test", "-w", "pw",
		"-b", "CN=Contoso,CN=Microsoft Exchange,CN=Services,CN=Configuration,DC=contoso,DC=test", "-s", "base", "objectClass", "legacyExchangeDN")
	contains(t, "organization", out, "msExchOrganizationContainer", "legacyExchangeDN: /o=Contoso")

	if took := r.stop(); took > 10*time.Second {
		t.Errorf("SIGTERM took %v", took)
	}
	if _, err := os.Stat(filepath.Join(r.data, "endpoints.json")); !os.IsNotExist(err) {
		t.Error("endpoints.json outlives the server")
	}
	r.args = append(r.args, "--user", "carol:pw3")
	r.run()
	contains(t, "mail after a restart", r.curl("imap://"+r.addr["imap"]+"/INBOX", "bob:pw2", "-X", "STATUS INBOX (MESSAGES)"), "MESSAGES 3")
	contains(t, "account added later", r.curl("imap://"+r.addr["imap"]+"/", "carol:pw3"), "INBOX")
	if strings.Contains(r.out.String(), "Extending") {
		t.Error("Setup ran again")
	}
}

// TestNothingIsOnUnlessEnabled: POP3 and IMAP4 are off by default, and come on
// by an edit of the directory while the server runs.
func TestNothingIsOnUnlessEnabled(t *testing.T) {
	r := start(t, "--enable", "")
	r.stop()
	// A directory of its own, without --enable.
	for i, a := range r.args {
		if a == "--enable" {
			r.args = append(r.args[:i:i], r.args[i+2:]...)
			break
		}
	}
	r.args = r.args[:len(r.args)-2]
	if err := os.RemoveAll(r.data); err != nil {
		t.Fatal(err)
	}
	r.run()
	for _, name := range []string{"imap", "imaps", "pop3", "pop3s", "nntp"} {
		if a := r.addr[name]; a != "" {
			t.Errorf("%s listens on %s without being enabled", name, a)
		}
	}
	admin := []string{"-x", "-H", "ldap://" + r.addr["ldap"], "-D", "CN=Administrator,CN=Users,DC=contoso,DC=test", "-w", "pw"}
	dn := ldapDN(t, must(t, "", "ldapsearch", append(admin, "-LLL", "-o", "ldif-wrap=no", "-b", "CN=Configuration,DC=contoso,DC=test", "(objectClass=protocolCfgIMAPServer)", "dn")...))
	must(t, "dn: "+dn+"\nchangetype: modify\nreplace: msExchServerAutoStart\nmsExchServerAutoStart: TRUE\n", "ldapmodify", admin...)
	eventually(t, "IMAP after the edit", func() bool {
		b, err := os.ReadFile(filepath.Join(r.data, "endpoints.json"))
		return err == nil && json.Unmarshal(b, &r.addr) == nil && r.addr["imap"] != ""
	})
	contains(t, "IMAP", r.curl("imap://"+r.addr["imap"]+"/", "alice:pw1"), "INBOX")
}

func ldapDN(t *testing.T, ldif string) string {
	t.Helper()
	for _, l := range strings.Split(ldif, "\n") {
		if dn, ok := strings.CutPrefix(l, "dn: "); ok {
			return dn
		}
	}
	t.Fatalf("no entry in:\n%s", ldif)
	return ""
}

// TestManagement runs the management commands as an administrator would.
func TestManagement(t *testing.T) { management(t) }

func management(t *testing.T, more ...string) {
	r := start(t, more...)
	t.Setenv("RIALTO_PASSWORD", "pw4")
	contains(t, "user create", r.cli("user", "create", "dave", "--display-name", "Dave Jones"), "dave@contoso.test", "Mailbox Store (MAIL)")
	contains(t, "sign-in", r.curl("imap://"+r.addr["imap"]+"/", "dave:pw4"), "INBOX")
	r.cli("user", "disable", "dave")
	if out, err := tool(t, "", "curl", "-s", "-S", "--user", "dave:pw4", "--url", "imap://"+r.addr["imap"]+"/"); err == nil {
		t.Errorf("a disabled account signs in: %s", out)
	}
	r.cli("user", "enable", "dave")
	r.cli("contact", "create", "Eve Outside", "eve@partner.test")
	r.cli("group", "create", "staff", "alice", "bob")
	r.cli("group", "add", "staff", "dave")
	contains(t, "members", r.cli("group", "members", "staff"), "alice", "bob", "dave")
	if out, err := r.swaks("smtp", "--to", "staff@contoso.test", "--from", "x@outside.test"); err != nil {
		t.Fatalf("mail to the group: %v\n%s", err, out)
	}
	for user, pw := range map[string]string{"alice": "pw1", "bob": "pw2", "dave": "pw4"} {
		eventually(t, "delivery to "+user, func() bool {
			return strings.Contains(r.curl("imap://"+r.addr["imap"]+"/INBOX", user+":"+pw, "-X", "STATUS INBOX (MESSAGES)"), "MESSAGES 1")
		})
	}
	var users struct {
		Items []struct{ Name, Account string }
	}
	if err := json.Unmarshal([]byte(r.cli("user", "list", "--json")), &users); err != nil || len(users.Items) != 4 {
		t.Errorf("users: %+v, %v", users, err)
	}
	contains(t, "mailbox show", r.cli("mailbox", "show", "alice"), "1, 1 unread")
	contains(t, "mailbox verify", r.cli("mailbox", "verify", "alice"), "1 items in 21 folders, 0 problems")
	contains(t, "status", r.cli("status"), "Contoso", "mounted", "Default IMAP4 Virtual Server")

	r.cli("service", "pause", "IMAP4")
	r.cli("service", "stop", "POP3")
	contains(t, "services", r.cli("service", "list"), "paused", "stopped")
	r.cli("service", "start", "IMAP4")
	r.cli("service", "start", "POP3")
	contains(t, "POP3 again", r.curl("pop3://"+r.addr["pop3"]+"/", "alice:pw1"), "1 ")

	r.cli("store", "dismount", "Mailbox Store (MAIL)")
	if out, err := tool(t, "", "curl", "-s", "-S", "--user", "alice:pw1", "--url", "imap://"+r.addr["imap"]+"/INBOX"); err == nil {
		t.Errorf("a dismounted mailbox opens: %s", out)
	}
	if out, err := r.swaks("smtp", "--to", "alice@contoso.test", "--from", "x@outside.test"); err != nil && !strings.Contains(out, " 4") {
		t.Errorf("mail to a dismounted store is refused for good: %v\n%s", err, out)
	}
	r.cli("store", "mount", "Mailbox Store (MAIL)")
	contains(t, "mailbox after the mount", r.curl("imap://"+r.addr["imap"]+"/INBOX", "bob:pw2", "-X", "STATUS INBOX (MESSAGES)"), "MESSAGES 1")

	out, err := tool(t, "", binary(t), "--data", r.data, "user", "show", "nobody")
	if err == nil || !strings.Contains(out, "not found") {
		t.Errorf("unknown user: %v\n%s", err, out)
	}
	t.Setenv("RIALTO_PASSWORD", "pw")
	remote := must(t, "", binary(t), "--server", "https://"+strings.Replace(r.addr["https"], "127.0.0.1", "localhost", 1), "--user", "administrator",
		"--cacert", filepath.Join(r.data, "certs", "cert.pem"), "status")
	contains(t, "remote status", remote, "Contoso")
	t.Setenv("RIALTO_PASSWORD", "pw1")
	out, err = tool(t, "", binary(t), "--server", "http://"+r.addr["http"], "--user", "alice", "user", "list")
	if err == nil || !strings.Contains(out, "administrators only") {
		t.Errorf("a user lists users: %v\n%s", err, out)
	}
	r.cli("user", "delete", "dave")
	contains(t, "events", r.cli("event", "list"), "user.delete on dave", "MSExchangeSetup")
	metrics := must(t, "", "curl", "-s", "-S", "http://"+r.addr["http"]+"/metrics")
	contains(t, "metrics", metrics, "go_goroutines", `rialto_store_mounted{store="Mailbox Store (MAIL)"} 1`)
}

// TestSetupStepByStep prepares a directory with the commands of Setup, out of
// order first, and serves it.
func TestSetupStepByStep(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	setup := func(args ...string) (string, error) {
		return tool(t, "", binary(t), append([]string{"setup", "--data", dir, "--domain", "contoso.test"}, args...)...)
	}
	if out, err := setup("install", "--org", "Contoso"); err == nil {
		t.Fatalf("a server before ForestPrep:\n%s", out)
	}
	for _, step := range [][]string{{"forestprep"}, {"domainprep"}, {"domainprep"}, {"install", "--org", "Contoso"}} {
		if out, err := setup(step...); err != nil {
			t.Fatalf("%v: %v\n%s", step, err, out)
		}
	}
	log, err := os.ReadFile(filepath.Join(dir, "Exchange Server Setup Progress.log"))
	if err != nil {
		t.Fatal(err)
	}
	contains(t, "progress log", string(log), "ForestPrep", "DomainPrep")
	r := &rialto{t: t, data: dir, args: []string{"serve", "--data", dir}}
	b, err := os.ReadFile(filepath.Join(dir, "rialto.toml"))
	if err != nil {
		t.Fatal(err)
	}
	off := ports.Offset(t)
	text := strings.Replace(strings.Replace(string(b), "port_offset = 0", fmt.Sprintf("port_offset = %d", off), 1), "host = ''", "host = '127.0.0.1'", 1)
	if err := os.WriteFile(filepath.Join(dir, "rialto.toml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	r.run()
	defer r.kill()
	contains(t, "status", r.cli("status"), "Contoso", "mounted")
	r.stop()
}
