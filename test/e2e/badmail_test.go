package e2e

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"rialto/internal/wire/imap"
	"rialto/internal/wire/pop3"
)

// nestedParts is a message of n multiparts, each within the one before.
func nestedParts(n int) string {
	var b strings.Builder
	b.WriteString("Subject: nested\r\nMIME-Version: 1.0\r\n")
	for i := range n {
		fmt.Fprintf(&b, "Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n", i, i)
	}
	b.WriteString("\r\nwithin\r\n")
	for i := n - 1; i >= 0; i-- {
		fmt.Fprintf(&b, "--b%d--\r\n", i)
	}
	return b.String()
}

// nestedMessages is a message within a message, and so on.
func nestedMessages(n int) string {
	return strings.Repeat("Subject: nested\r\nContent-Type: message/rfc822\r\n\r\n", n) + "Subject: last\r\n\r\nwithin\r\n"
}

// badMails are messages that no program should write, by name.
func badMails() map[string]string {
	const mb = 1 << 20
	rnd := rand.New(rand.NewPCG(1, 2))
	junk := make([]byte, mb)
	for i := range junk {
		if junk[i] = byte(rnd.Uint32()); junk[i] == '\r' || junk[i] == '\n' {
			junk[i] = 0
		}
	}
	return map[string]string{
		"10,000 nested parts":       nestedParts(10000),
		"10,000 nested messages":    nestedMessages(10000),
		"100,000 parts":             "Content-Type: multipart/mixed; boundary=b\r\n\r\n" + strings.Repeat("--b\r\n\r\nx\r\n", 100000) + "--b--\r\n",
		"a header of 100 MB":        "Subject: " + strings.Repeat("bomb ", 20*mb) + "\r\n\r\nbody\r\n",
		"a million header fields":   strings.Repeat("X-Bomb: y\r\n", mb) + "\r\nbody\r\n",
		"header lines of 1 MB":      strings.Repeat("To: "+strings.Repeat("a@b.test, ", mb/10)+"\r\n", 10) + "\r\nbody\r\n",
		"folded for ever":           "Subject: x\r\n" + strings.Repeat(" y\r\n", mb) + "\r\nbody\r\n",
		"a line of 100 MB":          "Subject: line\r\n\r\n" + strings.Repeat("0123456789", 10*mb) + "\r\n",
		"a line of 100 MB, base64":  "Subject: line\r\nContent-Type: text/plain\r\nContent-Transfer-Encoding: base64\r\n\r\n" + strings.Repeat("QUJD", 25*mb) + "\r\n",
		"a line of 20 MB of HTML":   "Content-Type: text/html\r\n\r\n" + strings.Repeat("<a><b &", 3*mb) + "\r\n",
		"binary":                    "Subject: \x00\x01\xff\r\nContent-Type: \x80/\x81; \x00=\xff\r\n\r\n" + string(junk) + "\r\n",
		"invalid UTF-8":             "Subject: \xff\xfe\xc3\x28\r\nFrom: \xf0\x28 <x@\xff.test>\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n\xff\xfe\xc3\x28\r\n",
		"no header":                 "\r\n\r\n",
		"nothing but a header":      "Subject: header",
		"encoded words":             "Subject: " + strings.Repeat("=?utf-8?b?/////w==?= ", 50000) + "\r\n\r\nbody\r\n",
		"a boundary for ever":       "Content-Type: multipart/mixed; boundary=\"" + strings.Repeat("b", mb) + "\"\r\n\r\n--" + strings.Repeat("b", mb) + "\r\n\r\nx\r\n",
		"parameters":                "Content-Type: text/plain" + strings.Repeat("; a*0*=%ff", 100000) + "\r\n\r\nbody\r\n",
		"a million addresses":       "From: " + strings.Repeat("\"x\" <x@outside.test>, ", mb/4) + "\r\n\r\nbody\r\n",
		"comments within comments":  "From: " + strings.Repeat("(", mb) + "\r\nDate: " + strings.Repeat("(", mb) + "\r\n\r\nbody\r\n",
		"references":                "References: " + strings.Repeat("<a@b> ", mb) + "\r\n\r\nbody\r\n",
		"groups":                    "To: " + strings.Repeat("a:", mb) + "\r\n\r\nbody\r\n",
		"quotes that do not end":    "To: \"" + strings.Repeat("\\", mb) + "\r\nContent-Type: text/plain; a=\"" + strings.Repeat("\\", mb) + "\r\n\r\nbody\r\n",
		"quoted-printable for ever": "Content-Transfer-Encoding: quoted-printable\r\n\r\n" + strings.Repeat("=", 4*mb) + "\r\n" + strings.Repeat("=\r\n", mb) + "\r\n",
	}
}

// TestBadMessages: what is accepted is kept to the byte, whatever it is, and
// every question about it is answered.
func TestBadMessages(t *testing.T) {
	r := start(t)
	delivery := r.find("(objectClass=msExchMessageDeliveryConfig)")
	r.ldapmodify(delivery, "delivContLength", "200000", "submissionContLength", "200000")
	eventually(t, "the larger limit", func() bool {
		c, nc, err := smtpClient(r.addr["smtp"])
		if err != nil {
			return false
		}
		nc.Close()
		return c.Extensions().MaxSize() == 200000<<10
	})
	c := r.imap("alice", "pw1")
	if _, err := c.Select("INBOX"); err != nil {
		t.Fatal(err)
	}
	kept := map[int]string{} // by number
	for name, mail := range badMails() {
		began := time.Now()
		if err := r.deliver(mail, "alice@contoso.test"); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		n := len(kept) + 1
		kept[n] = mail
		ask(t, c, name, n, mail)
		if took := time.Since(began); took > 20*time.Second {
			t.Errorf("%s took %v", name, took)
		}
		if kb := r.peak(); kb > maxMemory {
			t.Fatalf("%d MB of memory after %s", kb>>10, name)
		}
	}
	for _, search := range []string{`TEXT "within"`, `HEADER Subject "bomb"`, `BODY "0123"`, `OR FROM "outside" TO "b.test"`, `SENTSINCE 1-Jan-2000`, `SUBJECT "bomb"`} {
		if _, err := c.Command("SEARCH", search); err != nil {
			t.Errorf("SEARCH %s: %v", search, err)
		}
	}
	popAll(t, r, kept)
	deaf(t, r, kept)
	if out := r.cli("mailbox", "verify", "alice"); !strings.Contains(out, " 0 problems") {
		t.Error(out)
	}
	r.well("bad messages")
	t.Logf("%d MB at most", r.peak()>>10)
	r.kill()
	r.run()
	popAll(t, r, kept)
	tooBig(t, r, delivery)
}

// ask puts the questions of mail programs about message n.
func ask(t *testing.T, c *imap.Client, name string, n int, mail string) {
	t.Helper()
	if _, err := c.Command("NOOP"); err != nil {
		t.Fatal(err)
	}
	set := fmt.Sprint(n)
	for _, items := range []string{"(FLAGS RFC822.SIZE INTERNALDATE ENVELOPE)", "(BODYSTRUCTURE)", "(BODY.PEEK[HEADER.FIELDS (FROM TO SUBJECT DATE CONTENT-TYPE)])",
		"(BODY.PEEK[1])", "(BODY.PEEK[1.1.1.1.1.MIME])", "(BODY.PEEK[TEXT]<10.1000>)"} {
		got, err := c.Fetch(false, set, items)
		if err != nil || len(got) != 1 {
			t.Fatalf("%s: FETCH %s: %d answers, %v", name, items, len(got), err)
		}
	}
	got, err := c.Fetch(false, set, "(BODY.PEEK[])")
	if err != nil || len(got) != 1 {
		t.Fatalf("%s: %d answers, %v", name, len(got), err)
	}
	v, _ := got[0].Items.Get("BODY[]")
	trace := v.Str[:max(0, len(v.Str)-len(mail))]
	if !strings.HasSuffix(strings.TrimSuffix(v.Str, "\r\n"), strings.TrimSuffix(mail, "\r\n")) || !strings.HasPrefix(trace, "Return-Path: ") {
		t.Errorf("%s: %d bytes came as %d with %.200q before", name, len(mail), len(v.Str), trace)
	}
}

// popAll reads everything by POP3.
func popAll(t *testing.T, r *rialto, kept map[int]string) {
	t.Helper()
	nc, err := dial(r.addr["pop3"])
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	c, err := pop3.NewClient(nc)
	if err == nil {
		err = c.Login("alice", "pw1")
	}
	if err != nil {
		t.Fatal(err)
	}
	for n, mail := range kept {
		var b bytes.Buffer
		if err := c.Retr(n, &b); err != nil {
			t.Fatalf("RETR %d: %v", n, err)
		}
		if got := strings.TrimSuffix(b.String(), "\r\n"); !strings.HasSuffix(got, strings.TrimSuffix(mail, "\r\n")) {
			t.Errorf("message %d of %d bytes came as %d others", n, len(mail), len(got))
		}
	}
}

// deaf are clients that ask for everything large and read nothing.
func deaf(t *testing.T, r *rialto, kept map[int]string) {
	t.Helper()
	for n, mail := range kept {
		if len(mail) < 100<<20 {
			continue
		}
		for range 20 {
			for port, ask := range map[string]string{
				"imap": fmt.Sprintf("a LOGIN alice pw1\r\nb SELECT INBOX\r\nc FETCH %d BODY.PEEK[]\r\nd FETCH 1:* BODY.PEEK[HEADER]\r\n", n),
				"pop3": fmt.Sprintf("USER bob\r\nPASS pw2\r\nRETR %d\r\n", n),
			} {
				nc, err := dial(r.addr[port])
				if err != nil {
					t.Fatal(err)
				}
				defer nc.Close()
				if _, err := nc.Write([]byte(ask)); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	time.Sleep(time.Second)
	r.well("clients that do not read")
}

// tooBig sends more than the limit, with and without saying so before.
func tooBig(t *testing.T, r *rialto, delivery string) {
	t.Helper()
	r.ldapmodify(delivery, "delivContLength", "1000", "submissionContLength", "1000")
	eventually(t, "the smaller limit", func() bool {
		c, nc, err := smtpClient(r.addr["smtp"])
		if err != nil {
			return false
		}
		nc.Close()
		return c.Extensions().MaxSize() == 1000<<10
	})
	c, _ := r.smtp("smtp")
	if _, err := c.Cmd(250, "MAIL FROM:<x@outside.test> SIZE=1100000"); err == nil || !strings.Contains(err.Error(), "552 5.3.4") {
		t.Errorf("SIZE above the limit: %v", err)
	}
	said := abuse(t, "too big", r.addr["smtp"], then(says("EHLO x\r\nMAIL FROM:<x@outside.test>\r\nRCPT TO:<alice@contoso.test>\r\nDATA\r\n"),
		endless("too much of it\r\n", 3<<20), says(".\r\nQUIT\r\n")))
	contains(t, "the answer", string(said), "552 5.3.4", "221 ")
	ic := r.imap("alice", "pw1")
	_, err := ic.Append("INBOX", nil, time.Time{}, strings.NewReader(strings.Repeat("x", 1100<<10)), 1100<<10)
	if err == nil || !strings.Contains(err.Error(), "NO ") {
		t.Errorf("APPEND above the limit: %v", err)
	}
	r.well("too much")
}
