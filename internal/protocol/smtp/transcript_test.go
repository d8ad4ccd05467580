package smtp

import (
	"bufio"
	"crypto/tls"
	"errors"
	"flag"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"rialto/internal/org"
	"rialto/internal/service"
)

var update = flag.Bool("update", false, "write what the server says into the transcripts")

// TestTranscripts plays testdata/*.txt. Lines are
//
//	C: text           sent with CR LF; C" text without
//	S: text           one line of an answer, every line of it is given
//	S: (closed)       the server hangs up
//	TLS               the client starts a handshake
//	SUBMISSION        at the top: the virtual server is for submission
//	# comment
//
// Consecutive C lines are sent at once, as a pipelining client does; that, and
// replies of several lines, are why this is not package transcript.
func TestTranscripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no transcripts", err)
	}
	for _, f := range files {
		t.Run(strings.TrimSuffix(filepath.Base(f), ".txt"), func(t *testing.T) { play(t, f) })
	}
}

func play(t *testing.T, file string) {
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	script := string(raw)
	s := newSite(t, "contoso.test", newWorld(), func(s *site) {
		s.selfSigned()
		small := s.addUser("small", s.guid)
		small.MaxReceive = 1000
		shy := s.addUser("shy", s.guid)
		shy.RequireAuth = true
		s.head.Limits = Limits{Errors: 7, Idle: 40}
	}, "alice", "bob", "administrator")
	s.edit(func(c *org.Config) {
		c.Organization.MaxReceive = 100000
		c.Organization.MaxRecipients = 3
		c.Server.VirtualServers[0].SMTP.Submission = strings.Contains(script, "\nSUBMISSION\n")
	})
	d := service.Dialer{}
	nc, err := d.Dial(t.Context(), "tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { nc.Close() }()
	nc.SetDeadline(time.Now().Add(20 * time.Second))
	got := exchange(t, script, nc)
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if got != script {
		t.Errorf("differs:\n%s", diff(script, got))
	}
}

// exchange plays the client's lines and returns the script with what the
// server said.
func exchange(t *testing.T, script string, nc net.Conn) string {
	var out strings.Builder
	var pending strings.Builder
	br := bufio.NewReader(nc)
	lines := strings.Split(strings.TrimSuffix(script, "\n"), "\n")
	for i, l := range lines {
		switch {
		case strings.HasPrefix(l, "C: "):
			pending.WriteString(l[3:] + "\r\n")
		case strings.HasPrefix(l, "C\" "):
			pending.WriteString(l[3:])
		case l == "C:":
			pending.WriteString("\r\n")
		case l == "TLS":
			tc := tls.Client(nc, &tls.Config{InsecureSkipVerify: true})
			if err := tc.Handshake(); err != nil {
				t.Fatal(err)
			}
			nc, br = tc, bufio.NewReader(tc)
		}
		if strings.HasPrefix(l, "S: ") {
			continue
		}
		out.WriteString(l + "\n")
		// The server's turn: as many replies as the script has here.
		want := 0
		for _, n := range lines[i+1:] {
			if !strings.HasPrefix(n, "S: ") {
				break
			}
			if n == "S: (closed)" || len(n) > 6 && n[6] == ' ' {
				want++
			}
		}
		if want == 0 {
			continue
		}
		io.WriteString(nc, pending.String())
		pending.Reset()
		for ; want > 0; want-- {
			out.WriteString(readReply(br))
		}
	}
	return out.String()
}

var volatile = regexp.MustCompile(`ready at .*|[0-9A-Z]{11,} Queued|\[[0-9a-f]+-[0-9a-f]+\]$`)

func readReply(br *bufio.Reader) string {
	var out string
	for {
		l, err := br.ReadString('\n')
		if errors.Is(err, io.EOF) || err != nil && l == "" {
			return out + "S: (closed)\n"
		}
		l = strings.TrimSuffix(l, "\r\n")
		l = volatile.ReplaceAllStringFunc(l, func(m string) string {
			switch {
			case strings.HasPrefix(m, "ready"):
				return "ready at DATE"
			case strings.HasSuffix(m, "Queued"):
				return "ID Queued"
			}
			return "[ID]"
		})
		out += "S: " + l + "\n"
		if len(l) < 4 || l[3] == ' ' {
			return out
		}
	}
}

func diff(want, got string) string {
	w, g := strings.Split(want, "\n"), strings.Split(got, "\n")
	var b strings.Builder
	for i := range max(len(w), len(g)) {
		var x, y string
		if i < len(w) {
			x = w[i]
		}
		if i < len(g) {
			y = g[i]
		}
		if x != y {
			b.WriteString("want " + x + "\n got " + y + "\n")
		}
	}
	return b.String()
}
