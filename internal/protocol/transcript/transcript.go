// Package transcript is test support for the protocol heads: it plays dialogues
// kept as text against a server and compares what it says, line by line.
//
//	# a comment
//	C: a1 NOOP
//	S: a1 OK Done
//	2C: …        the same on a second connection; 1 is the default
//
// Lines end in CRLF on the wire. With update the server's lines are written anew
// instead of compared; the change is for people to review.
package transcript

import (
	"bufio"
	"net"
	"os"
	"strings"
	"testing"
	"time"
)

const (
	patience = 10 * time.Second       // for a line that must come
	quiet    = 120 * time.Millisecond // after which a server has said all, with update
)

// player is a dialogue under way.
type player struct {
	t     testing.TB
	dial  func() net.Conn
	conns map[string]*peer
	order []string
}

type peer struct {
	net.Conn
	br *bufio.Reader
}

// Run plays the dialogue in file. dial opens a connection; it is closed by Run.
func Run(t testing.TB, file string, dial func() net.Conn, update bool) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	p := &player{t: t, dial: dial, conns: map[string]*peer{}}
	defer func() {
		for _, c := range p.conns {
			c.Close()
		}
	}()
	lines := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
	if !update {
		for i, l := range lines {
			if !p.check(l) {
				t.Fatalf("%s:%d", file, i+1)
			}
		}
		return
	}
	if err := os.WriteFile(file, []byte(p.rewrite(lines)), 0o644); err != nil {
		t.Fatal(err)
	}
}

// parse splits a line into connection, side ('C', 'S', 0 for comments) and text.
func parse(line string) (conn string, side byte, text string) {
	head, text, ok := strings.Cut(line, ":")
	if !ok || head == "" || len(head) > 2 || strings.HasPrefix(line, "#") {
		return "", 0, ""
	}
	conn, side = head[:len(head)-1], head[len(head)-1]
	if side != 'C' && side != 'S' {
		return "", 0, ""
	}
	return conn, side, strings.TrimPrefix(text, " ")
}

// peer returns a connection by its name, opening it when first named.
func (p *player) peer(name string) *peer {
	if name == "" {
		name = "1"
	}
	c := p.conns[name]
	if c == nil {
		nc := p.dial()
		c = &peer{nc, bufio.NewReader(nc)}
		p.conns[name] = c
		p.order = append(p.order, name)
	}
	return c
}

func (p *player) check(line string) bool {
	p.t.Helper()
	conn, side, want := parse(line)
	switch side {
	case 'C':
		return p.say(p.peer(conn), want)
	case 'S':
		c := p.peer(conn)
		c.SetReadDeadline(time.Now().Add(patience))
		got, err := c.br.ReadString('\n')
		if got = strings.TrimRight(got, "\r\n "); err != nil || got != want {
			p.t.Errorf("got  %q (%v)\nwant %q", got, err, want)
			return false
		}
	}
	return true
}

func (p *player) say(c *peer, text string) bool {
	c.SetWriteDeadline(time.Now().Add(patience))
	if _, err := c.Write([]byte(text + "\r\n")); err != nil {
		p.t.Error(err)
		return false
	}
	return true
}

// rewrite plays the client's lines and returns the dialogue as it was.
func (p *player) rewrite(lines []string) string {
	var out strings.Builder
	for _, l := range lines {
		conn, side, text := parse(l)
		if side == 'S' {
			continue
		}
		if side == 'C' {
			c := p.peer(conn)
			p.listen(&out)
			p.say(c, text)
		}
		out.WriteString(l + "\n")
		p.listen(&out)
	}
	return out.String()
}

// listen takes down what the servers say until they are quiet.
func (p *player) listen(out *strings.Builder) {
	for _, name := range p.order {
		c := p.conns[name]
		for {
			c.SetReadDeadline(time.Now().Add(quiet))
			line, err := c.br.ReadString('\n')
			if err != nil {
				break
			}
			if name == "1" {
				name = ""
			}
			out.WriteString(strings.TrimRight(name+"S: "+strings.TrimRight(line, "\r\n"), " ") + "\n")
		}
	}
}
