package e2e

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"strings"
	"testing"
	"time"
)

// maxMemory is what the server may take at most while it is abused, in KB.
const maxMemory = 600 << 10

// peak returns the most memory the server had so far, in KB.
func (r *rialto) peak() int {
	r.t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", r.cmd.Process.Pid))
	if err != nil {
		r.t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(b), "VmHWM:")
	n := 0
	if _, err := fmt.Sscan(rest, &n); err != nil {
		r.t.Fatal(err)
	}
	return n
}

// well checks that the server runs, within its memory, and that mail passes.
func (r *rialto) well(after string) {
	r.t.Helper()
	select {
	case <-r.ends:
		r.t.Fatalf("the server ended after %s", after)
	default:
	}
	if kb := r.peak(); kb > maxMemory {
		r.t.Errorf("%d MB of memory after %s", kb>>10, after)
	}
	before := len(r.mails("bob", "pw2", "INBOX"))
	if err := r.deliver(letter("well", 1), "bob@contoso.test"); err != nil {
		r.t.Errorf("mail after %s: %v", after, err)
	}
	if n := len(r.mails("bob", "pw2", "INBOX")); n != before+1 {
		r.t.Errorf("%d messages after %s, want %d", n, after, before+1)
	}
	if out := r.out.String(); strings.Contains(out, "panic") {
		r.t.Errorf("after %s:\n%s", after, out)
	}
}

// endless writes a piece again and again, up to a limit in bytes.
func endless(piece string, limit int) func(io.Writer) error {
	block := []byte(strings.Repeat(piece, max(1, (64<<10)/len(piece))))
	return func(w io.Writer) error {
		for n := 0; n < limit; n += len(block) {
			if _, err := w.Write(block); err != nil {
				return err
			}
		}
		return nil
	}
}

func says(parts ...string) func(io.Writer) error {
	return func(w io.Writer) error {
		for _, p := range parts {
			if _, err := io.WriteString(w, p); err != nil {
				return err
			}
		}
		return nil
	}
}

func then(steps ...func(io.Writer) error) func(io.Writer) error {
	return func(w io.Writer) error {
		for _, s := range steps {
			if err := s(w); err != nil {
				return err
			}
		}
		return nil
	}
}

func noise(n int) func(io.Writer) error {
	rnd := rand.NewChaCha8([32]byte{1})
	b := make([]byte, n)
	rnd.Read(b)
	return says(string(b))
}

// abuse writes to a port, ends its side and returns what was answered until the
// server ended the other. It has to do that soon.
func abuse(t *testing.T, name, addr string, write func(io.Writer) error) []byte {
	t.Helper()
	nc, err := net.DialTimeout("tcp", addr, 5*time.Second)
	if err != nil {
		t.Errorf("%s: %v", name, err)
		return nil
	}
	defer nc.Close()
	_ = nc.SetDeadline(time.Now().Add(30 * time.Second)) // a socket that is open
	done := make(chan []byte)
	go func() {
		b, err := io.ReadAll(io.LimitReader(nc, 1<<20))
		if err == nil {
			_, err = io.Copy(io.Discard, nc)
		}
		if errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%s: the server does not end the connection; it said %.200q", name, b)
		}
		done <- b
	}()
	if err := write(nc); errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%s: the server neither reads nor ends the connection", name)
	}
	_ = nc.(*net.TCPConn).CloseWrite() // it may be gone
	return <-done
}

// TestBadCommands says what no client should say to every port.
func TestBadCommands(t *testing.T) {
	r := start(t)
	const mb = 1 << 20
	smtpHello := "EHLO x\r\nMAIL FROM:<x@outside.test>\r\nRCPT TO:<alice@contoso.test>\r\n"
	ber := func(tag byte, body string) string {
		return string([]byte{tag, 0x84, byte(len(body) >> 24), byte(len(body) >> 16), byte(len(body) >> 8), byte(len(body))}) + body
	}
	filter := "\x87\x0bobjectClass"
	for range 5000 {
		filter = ber(0xa2, filter)
	}
	search := ber(0x30, "\x02\x01\x01"+ber(0x63, "\x04\x00\x0a\x01\x00\x0a\x01\x00\x02\x01\x00\x02\x01\x00\x01\x01\x00"+filter+"\x30\x00"))
	special := map[string]map[string]func(io.Writer) error{
		"smtp": {
			"long argument":     says("EHLO "+strings.Repeat("a.", 50000)+"\r\n", "QUIT\r\n"),
			"long path":         says("EHLO x\r\nMAIL FROM:<" + strings.Repeat("@a", 50000) + ":x@y>\r\nQUIT\r\n"),
			"many parameters":   says("EHLO x\r\nMAIL FROM:<x@outside.test>" + strings.Repeat(" A=B", 2000) + "\r\nQUIT\r\n"),
			"endless data":      then(says(smtpHello, "DATA\r\n"), endless("no end in sight ", 64*mb)),
			"endless lines":     then(says(smtpHello, "DATA\r\n"), endless("\r\n", 32*mb)),
			"cut off in data":   says(smtpHello, "DATA\r\n", "Subject: cut off\r\n\r\nhalf a mess"),
			"huge chunk":        then(says(smtpHello, "BDAT 99999999999999 LAST\r\n"), endless("chunk", 64*mb)),
			"overflowing chunk": says(smtpHello, "BDAT 99999999999999999999999999 LAST\r\nQUIT\r\n"),
			"commands for ever": endless("NOOP\r\n", 16*mb),
			"bad TLS":           then(says("EHLO x\r\nSTARTTLS\r\n"), noise(100000)),
			"bad names":         says("EHLO \xff\xfe\x80\r\nMAIL FROM:<\xc3\x28@\xff>\r\nVRFY \x00\x01\x02\r\nQUIT\r\n"),
		},
		"imap": {
			"huge literal":      then(says("a LOGIN {99999999999}\r\n"), endless("x", 8*mb)),
			"huge literal+":     then(says("a LOGIN {999999999+}\r\n"), endless("x", 8*mb)),
			"overflow":          says("a SELECT {99999999999999999999999}\r\n"),
			"nested":            then(says("a LOGIN alice pw1\r\nb SELECT INBOX\r\nc SEARCH "), endless("(", mb), says("\r\n")),
			"nested fetch":      then(says("a LOGIN alice pw1\r\nb SELECT INBOX\r\nc FETCH 1 BODY["), endless("1.", mb), says("TEXT]\r\n")),
			"long set":          then(says("a LOGIN alice pw1\r\nb SELECT INBOX\r\nc FETCH "), endless("1:*,", 8*mb), says("1 FLAGS\r\n")),
			"huge append":       then(says("a LOGIN alice pw1\r\nb APPEND INBOX {4000000000+}\r\n"), endless("x", 32*mb)),
			"cut off in append": says("a LOGIN alice pw1\r\nb APPEND INBOX {100+}\r\nSubject: cut off\r\n"),
			"bad names":         says("a LOGIN alice pw1\r\nb CREATE \"\xff\xfe\"\r\nc CREATE \"&&&&\"\r\nd SELECT \"&2AA-\"\r\ne CREATE {3+}\r\n\x00\x01\x02\r\n"),
			"commands for ever": endless("a NOOP\r\n", 16*mb),
			"errors for ever":   endless("a BLURB\r\n", 16*mb),
			"bad TLS":           then(says("a STARTTLS\r\n"), noise(100000)),
		},
		"pop3": {
			"long name":         says("USER " + strings.Repeat("u", mb) + "\r\nQUIT\r\n"),
			"bad name":          says("USER \xff\xfe\x00\r\nPASS \x80\r\nQUIT\r\n"),
			"big numbers":       says("USER alice\r\nPASS pw1\r\nRETR 99999999999999999999\r\nTOP 1 -1\r\nDELE 0\r\nLIST -5\r\n"),
			"commands for ever": endless("CAPA\r\n", mb),
		},
		"ldap": {
			"huge message":     then(says("\x30\x84\x7f\xff\xff\xff"), endless("x", 32*mb)),
			"endless length":   then(says("\x30\xff"), endless("\xff", mb)),
			"indefinite":       then(says("\x30\x80"), endless("\x30\x80", mb)),
			"nested filter":    says(search),
			"cut off":          says(search[:len(search)/2]),
			"requests forever": endless("\x30\x05\x02\x01\x01\x42\x00", mb),
		},
		"http": {
			"long header":   then(says("GET / HTTP/1.1\r\nHost: x\r\nX: "), endless("x", 64*mb)),
			"many headers":  then(says("GET / HTTP/1.1\r\nHost: x\r\n"), endless("X: y\r\n", 64*mb)),
			"endless chunk": then(says("POST /api/v1/user.list HTTP/1.1\r\nHost: x\r\nAuthorization: Basic YWRtaW5pc3RyYXRvcjpwdw==\r\nTransfer-Encoding: chunked\r\n\r\nfffffff\r\n"), endless("[", 64*mb)),
			"long body":     then(says("POST /api/v1/user.list HTTP/1.1\r\nHost: x\r\nAuthorization: Basic YWRtaW5pc3RyYXRvcjpwdw==\r\nContent-Length: 99999999999\r\n\r\n"), endless("{\"a\":", 64*mb)),
		},
	}
	special["submission"], special["gc"] = special["smtp"], special["ldap"]
	for _, port := range []string{"smtp", "submission", "imap", "pop3", "ldap", "gc", "http"} {
		all := map[string]func(io.Writer) error{
			"nothing":   says(),
			"endless":   endless("A", 64*mb),
			"words":     endless("A ", 16*mb),
			"lines":     endless("\r\n", 16*mb),
			"zeros":     endless("\x00", 16*mb),
			"binary":    noise(mb),
			"truncated": says("EH"),
		}
		for k, v := range special[port] {
			all[k] = v
		}
		for name, write := range all {
			began := time.Now()
			said := abuse(t, port+", "+name, r.addr[port], write)
			if port != "ldap" && port != "gc" && bytes.ContainsFunc(said, func(c rune) bool { return c > 0x7e || c < ' ' && c != '\r' && c != '\n' && c != '\t' }) {
				t.Errorf("%s, %s: the answer is no text: %.200q", port, name, said)
			}
			if took := time.Since(began); took > 10*time.Second {
				t.Errorf("%s, %s took %v", port, name, took)
			}
			if kb := r.peak(); kb > maxMemory {
				t.Fatalf("%d MB of memory after %s, %s", kb>>10, port, name)
			}
		}
		r.well(port)
	}
	t.Logf("%d MB at most", r.peak()>>10)
	if n := len(r.mails("alice", "pw1", "INBOX")); n != 0 {
		t.Errorf("%d of the broken messages were delivered", n)
	}
	crowd(t, r)
}

// crowd is a client that opens connections and says nothing on them.
func crowd(t *testing.T, r *rialto) {
	for _, port := range []string{"smtp", "pop3", "submission"} {
		var open []net.Conn
		refused := 0
		for range 260 {
			nc, err := dial(r.addr[port])
			if err != nil {
				refused++
				continue
			}
			open = append(open, nc)
			_, _ = io.WriteString(nc, "N") // a refused one is closed
		}
		for _, nc := range open[200:] {
			_ = nc.SetReadDeadline(time.Now().Add(5 * time.Second)) // a socket that is open
			if b, err := io.ReadAll(nc); !errors.Is(err, os.ErrDeadlineExceeded) {
				refused++
				if port != "pop3" && len(b) > 0 && !bytes.HasPrefix(b, []byte("421 ")) {
					t.Errorf("%s: a refused client is told %q", port, b)
				}
			}
		}
		if refused < 50 {
			t.Errorf("%s: %d of 260 connections from one address were refused", port, refused)
		}
		// Others get in: TLS on the same service has its own listener but the same limits, so ask another protocol.
		contains(t, "IMAP meanwhile", r.curl("imap://"+r.addr["imap"]+"/", "alice:pw1"), "INBOX")
		for _, nc := range open {
			nc.Close()
		}
	}
	eventually(t, "mail after the crowd has gone", func() bool { return r.deliver(letter("after", 1), "bob@contoso.test") == nil })
	c, err := tls.Dial("tcp", r.addr["submissions"], &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	r.well("the crowd")
}
