//go:build !race

package imap

import (
	"bufio"
	"io"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"rialto/internal/protocol/transcript"
)

// An idle session costs little: no buffers, no list of messages.
func TestIdleMemory(t *testing.T) {
	const sessions, limit = 150, 24 << 10
	site := transcript.NewSite(t, nil, "alice")
	_, dial := serve(site, Settings{})
	site.Deliver("alice", "", transcript.Mail("one", "bob@x.test", "text"))
	open := func() net.Conn {
		c := dial()
		c.SetDeadline(time.Now().Add(30 * time.Second))
		br := bufio.NewReader(c)
		if _, err := io.WriteString(c, "a LOGIN alice pw\r\nb SELECT INBOX\r\nc FETCH 1 (FLAGS ENVELOPE)\r\nd IDLE\r\n"); err != nil {
			t.Fatal(err)
		}
		for {
			l, err := br.ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			if strings.HasPrefix(l, "+ ") {
				return c
			}
		}
	}
	defer open().Close()
	used := func() int64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapInuse + m.StackInuse)
	}
	before := used()
	conns := make([]net.Conn, sessions)
	for i := range conns {
		conns[i] = open()
		defer conns[i].Close()
	}
	time.Sleep(50 * time.Millisecond)
	each := (used() - before) / sessions
	t.Logf("%d bytes for an idle session, the client's end of the connection included", each)
	if each > limit {
		t.Errorf("%d bytes for an idle session, more than %d", each, limit)
	}
}
