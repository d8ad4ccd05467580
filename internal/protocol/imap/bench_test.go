package imap

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"rialto/internal/kv/pebble"
	"rialto/internal/protocol/transcript"
	"rialto/internal/store"
)

const benchMessages = 10000

// benchSite is a mailbox of 10,000 messages of 4 KB on disk, a quarter of them
// unread.
func benchSite(b *testing.B) func() net.Conn {
	b.Helper()
	db, err := pebble.Open(pebble.Options{Dir: b.TempDir(), Ballast: -1})
	if err != nil {
		b.Fatal(err)
	}
	site := transcript.NewSite(b, db, "alice")
	_, dial := serve(site, Settings{})
	body := strings.Repeat("All work and no play makes Jack a dull boy, said nobody.\r\n", 60)
	var items []*store.NewItem
	for i := range benchMessages {
		it := site.Item(transcript.Mail(fmt.Sprintf("Report number %d of the week", i), fmt.Sprintf("Sender %d <sender%d@contoso.test>", i%100, i%100), body))
		if i%4 != 0 {
			it.Flags = store.Read
		}
		if items = append(items, it); len(items) == 200 {
			if _, err := site.Box("alice").Append(b.Context(), store.FolderInbox, items...); err != nil {
				b.Fatal(err)
			}
			items = nil
		}
	}
	return dial
}

// rawClient sends commands and throws the answers away.
type rawClient struct {
	b  *testing.B
	c  net.Conn
	br *bufio.Reader
}

func (r *rawClient) run(cmd string) (octets int) {
	fmt.Fprintf(r.c, "a %s\r\n", cmd)
	for {
		l, err := r.br.ReadSlice('\n')
		if err != nil && err != bufio.ErrBufferFull {
			r.b.Fatal(err)
		}
		octets += len(l)
		if bytes.HasPrefix(l, []byte("a ")) {
			if !bytes.HasPrefix(l, []byte("a OK")) {
				r.b.Fatalf("%s: %s", cmd, l)
			}
			return octets
		}
	}
}

// cpu is the processor time of the process in nanoseconds: wall time tells
// little on a busy machine.
func cpu(b *testing.B) int64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return u.Utime.Nano() + u.Stime.Nano()
}

func BenchmarkSession(b *testing.B) {
	dial := benchSite(b)
	c := dial()
	defer c.Close()
	c.SetDeadline(time.Now().Add(5 * time.Minute))
	r := &rawClient{b, c, bufio.NewReaderSize(c, 64<<10)}
	r.br.ReadString('\n')
	r.run("LOGIN alice pw")
	r.run("SELECT INBOX")
	r.run("NOOP")
	for _, cmd := range []string{"SELECT INBOX", "NOOP", "UID FETCH 5000 (FLAGS)", "FETCH 1:* (FLAGS)", "FETCH 1:* (UID FLAGS INTERNALDATE RFC822.SIZE ENVELOPE)",
		"FETCH 1:* (BODY.PEEK[HEADER.FIELDS (FROM TO SUBJECT DATE)])", "FETCH 1:2000 (BODY.PEEK[])", "SEARCH UNSEEN", "SEARCH SUBJECT 9999", "SEARCH FROM sender99", "SEARCH BODY nowhere"} {
		b.Run(strings.ReplaceAll(cmd, " ", "_"), func(b *testing.B) {
			r.b = b
			b.ReportAllocs()
			n, before := 0, cpu(b)
			for b.Loop() {
				n += r.run(cmd)
			}
			// The client's share is in it too.
			b.ReportMetric(float64(cpu(b)-before)/1000/float64(b.N), "cpu-µs/op")
			b.SetBytes(int64(n / b.N))
		})
	}
}
