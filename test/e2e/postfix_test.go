package e2e

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"rialto/test/ports"
)

// postfix is a Postfix instance of our own: the mail server of peer.test.
type postfix struct {
	t    *testing.T
	dir  string
	addr string
}

// newPostfix configures an instance that hosts peer.test and sends mail for
// contoso.test to ours. Its master daemon drops privileges, so it needs root.
func newPostfix(t *testing.T, ours string) *postfix {
	t.Helper()
	if os.Getuid() != 0 {
		t.Fatal("Postfix can only be started by root")
	}
	owner, err := user.Lookup("postfix")
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "rialto-postfix-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	p := &postfix{t: t, dir: dir, addr: fmt.Sprintf("127.0.0.1:%d", ports.Offset(t)+2)}
	uid, _ := strconv.Atoi(owner.Uid)
	gid, _ := strconv.Atoi(owner.Gid)
	for name, own := range map[string]bool{"etc": false, "queue": false, "data": true, "mail": true} {
		path := filepath.Join(dir, name)
		if err := os.Mkdir(path, 0o755); err != nil {
			t.Fatal(err)
		}
		if own {
			if err := os.Chown(path, uid, gid); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	host, port, _ := net.SplitHostPort(ours)
	p.write("main.cf", fmt.Sprintf(`compatibility_level = 3.6
config_directory = %[1]s/etc
queue_directory = %[1]s/queue
data_directory = %[1]s/data
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
maillog_file = %[1]s/log
maillog_file_prefixes = %[1]s
myhostname = mx.peer.test
mydestination =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
relay_domains = contoso.test
smtp_dns_support_level = disabled
smtpd_tls_security_level = none
transport_maps = inline:{ {contoso.test=smtp:[%[2]s]:%[3]s}, {peer.test=virtual:}, {broken@peer.test = smtp:[%[2]s]:%[3]s} }
virtual_mailbox_domains = peer.test
virtual_mailbox_base = %[1]s/mail
virtual_mailbox_maps = inline:{ dan@peer.test=dan/, broken@peer.test=broken/ }
virtual_uid_maps = static:%[4]d
virtual_gid_maps = static:%[5]d
virtual_minimum_uid = 1
alias_maps =
alias_database =
notify_classes =
in_flow_delay = 0
smtputf8_enable = no
`, dir, host, port, uid, gid))
	p.master()
	must(t, "", "postfix", "-c", filepath.Join(dir, "etc"), "check")
	t.Cleanup(p.stop)
	return p
}

func (p *postfix) write(name, text string) {
	p.t.Helper()
	if err := os.WriteFile(filepath.Join(p.dir, "etc", name), []byte(text), 0o644); err != nil {
		p.t.Fatal(err)
	}
}

// master lists the daemons; none is locked into the queue directory.
func (p *postfix) master() {
	p.t.Helper()
	b := p.addr + " inet n - n - - smtpd\npostlog unix-dgram n - n - 1 postlogd\n"
	for _, s := range []string{"cleanup n 0 cleanup", "qmgr n 1 qmgr", "rewrite - - trivial-rewrite", "bounce - 0 bounce", "defer - 0 bounce",
		"trace - 0 bounce", "smtp - - smtp", "relay - - smtp", "error - - error", "retry - - error", "virtual - - virtual", "anvil - 1 anvil",
		"scache - 1 scache", "proxymap - - proxymap", "showq n - showq", "tlsmgr - 1 tlsmgr", "flush n 0 flush", "pickup n 1 pickup"} {
		f := strings.Fields(s)
		private, kind, unpriv := f[1], "unix", "-"
		if f[0] == "virtual" {
			unpriv = "n"
		}
		b += fmt.Sprintf("%s %s %s %s n - %s %s\n", f[0], kind, private, unpriv, f[2], f[3])
	}
	p.write("master.cf", b)
}

func (p *postfix) start() {
	p.t.Helper()
	must(p.t, "", "postfix", "-c", filepath.Join(p.dir, "etc"), "start")
	eventually(p.t, "Postfix's greeting", func() bool {
		c, err := net.DialTimeout("tcp", p.addr, time.Second)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
}

func (p *postfix) stop() {
	_ = exec.Command("postfix", "-c", filepath.Join(p.dir, "etc"), "stop").Run() // it may be down already
}

func (p *postfix) log() string {
	b, _ := os.ReadFile(filepath.Join(p.dir, "log")) // missing until the first start
	return string(b)
}

// mails returns what was delivered to a mailbox.
func (p *postfix) mails(name string) (out []string) {
	files, _ := filepath.Glob(filepath.Join(p.dir, "mail", name, "new", "*"))
	for _, f := range files {
		if b, err := os.ReadFile(f); err == nil {
			out = append(out, string(b))
		}
	}
	return out
}

// submit sends as alice.
func (r *rialto) submit(to, subject string) {
	r.t.Helper()
	out, err := r.swaks("submission", "--to", to, "--from", "alice@contoso.test", "--tls", "--auth", "PLAIN", "--auth-user", "alice", "--auth-password", "pw1",
		"--header", "Subject: "+subject, "--body", "text of "+subject)
	if err != nil {
		r.t.Fatalf("%v\n%s", err, out)
	}
}

// bounced waits for the n-th message in alice's Inbox, a report, and returns
// what it says of its recipient and the whole.
func (r *rialto) bounced(n int) (fields func(string) string, mail string) {
	r.t.Helper()
	var all []string
	eventually(r.t, fmt.Sprintf("report %d", n), func() bool {
		all = r.mails("alice", "pw1", "INBOX")
		return len(all) >= n
	})
	if len(all) != n {
		r.t.Fatalf("%d messages, want %d:\n%s", len(all), n, strings.Join(all, "\n=====\n"))
	}
	return report(r.t, all[n-1]).Get, all[n-1]
}

// TestPostfix exchanges mail with Postfix as smart host, while it works, refuses
// and is away.
func TestPostfix(t *testing.T) {
	r := start(t)
	p := newPostfix(t, r.addr["smtp"])
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("Postfix:\n%s", p.log())
		}
	})
	p.start()
	host, port, _ := net.SplitHostPort(p.addr)
	r.ldapmodify(r.outbound(), "msExchSmtpSmartHost", "["+host+"]:"+port)
	time.Sleep(500 * time.Millisecond) // the change is followed, not waited for

	r.submit("dan@peer.test", "hello")
	eventually(t, "delivery by Postfix", func() bool { return len(p.mails("dan")) == 1 })
	contains(t, "delivered message", p.mails("dan")[0], "Return-Path: <alice@contoso.test>", "Subject: hello", "text of hello", "by mail.contoso.test", "by mx.peer.test")

	// Postfix takes it, finds nobody who does, and sends it back itself.
	r.submit("broken@peer.test", "to be returned")
	fields, mail := r.bounced(1)
	if fields("Action") != "failed" || fields("Status") != "5.7.1" {
		t.Errorf("Postfix's report: %q %q", fields("Action"), fields("Status"))
	}
	contains(t, "Postfix's report", mail, "MAILER-DAEMON@mx.peer.test", "broken@peer.test", "text of to be returned")

	// Postfix refuses it, so the report is ours.
	r.submit("nobody@peer.test", "to nobody")
	fields, mail = r.bounced(2)
	if fields("Action") != "failed" || fields("Status") != "5.1.1" || fields("Final-Recipient") != "rfc822;nobody@peer.test" {
		t.Errorf("our report: %q %q %q", fields("Action"), fields("Status"), fields("Final-Recipient"))
	}
	contains(t, "our report", fields("Diagnostic-Code"), "smtp;", "550 5.1.1")
	contains(t, "our report", mail, "Subject: to nobody", "Return-Path: <>")

	// One message for a good and a bad recipient.
	r.submit("dan@peer.test,nobody@peer.test", "to both")
	eventually(t, "delivery to one of two", func() bool { return len(p.mails("dan")) == 2 })
	fields, _ = r.bounced(3)
	if fields("Final-Recipient") != "rfc822;nobody@peer.test" {
		t.Errorf("report of %q", fields("Final-Recipient"))
	}

	// The other way, to somebody and to nobody: Postfix tells its own user.
	c, nc, err := smtpClient(p.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	for _, to := range []string{"bob@contoso.test", "nobody@contoso.test"} {
		if err := deliver(c, "dan@peer.test", letter("in", 1), to); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "delivery from Postfix", func() bool { return len(r.mails("bob", "pw2", "INBOX")) == 1 })
	contains(t, "message from Postfix", r.mails("bob", "pw2", "INBOX")[0], "Return-Path: <dan@peer.test>", "by mail.contoso.test", "by mx.peer.test", "Grüße 1")
	eventually(t, "Postfix's report to dan", func() bool {
		return strings.Contains(strings.Join(p.mails("dan"), ""), "550 5.1.1")
	})
	away(t, r, p, len(p.mails("dan")))
}

// outbound is the virtual server whose settings outgoing mail follows.
func (r *rialto) outbound() string {
	r.t.Helper()
	return r.find("(&(objectClass=protocolCfgSMTPServer)(cn=1))")
}

var queueID = regexp.MustCompile(`(?m)^(\w+) +host:`)

// away: mail waits while the smart host is down. dan had so many messages.
func away(t *testing.T, r *rialto, p *postfix, had int) {
	p.stop()
	r.submit("dan@peer.test", "while you were out")
	r.submit("dan@peer.test", "never mind")
	eventually(t, "a failed attempt", func() bool { return strings.Contains(r.cli("queue", "list"), "refused") })
	list := r.cli("queue", "list")
	contains(t, "queue list", list, "retry", "127.0.0.1")
	ids := queueID.FindAllStringSubmatch(r.cli("queue", "show"), -1)
	if len(ids) != 2 {
		t.Fatalf("want 2 messages in the queue:\n%s", r.cli("queue", "show"))
	}
	contains(t, "queue show", r.cli("queue", "show", ids[0][1]), "alice@contoso.test", "while you were out", "dan@peer.test", "4.4.1")
	contains(t, "queue show", r.cli("queue", "show", ids[1][1]), "never mind")

	// The queue outlives the server.
	r.stop()
	r.run()
	contains(t, "queue after a restart", r.cli("queue", "show", ids[0][1]), "while you were out")
	r.cli("queue", "remove", "--report", ids[1][1])
	fields, mail := r.bounced(4)
	if fields("Action") != "failed" {
		t.Errorf("report of a removed message: %q %q", fields("Action"), fields("Status"))
	}
	contains(t, "report of a removed message", mail, "Subject: never mind")
	p.start()
	r.cli("queue", "retry")
	eventually(t, "delivery after the retry", func() bool { return len(p.mails("dan")) == had+1 })
	eventually(t, "an empty queue", func() bool { return strings.Contains(r.cli("queue", "list"), "empty") })
	found := false
	for _, m := range p.mails("dan") {
		found = found || strings.Contains(m, "text of while you were out")
		if strings.Contains(m, "never mind") {
			t.Error("a removed message was delivered")
		}
	}
	if !found {
		t.Error("the message that waited is not there")
	}
	if all := r.mails("alice", "pw1", "INBOX"); len(all) != 4 {
		t.Errorf("%d messages in the Inbox", len(all))
	}
}
