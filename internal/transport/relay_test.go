package transport_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	gosmtp "github.com/emersion/go-smtp"

	"rialto/internal/kv/memory"
	"rialto/internal/model"
	"rialto/internal/org"
	"rialto/internal/service"
	"rialto/internal/transport"
	"rialto/internal/wire/smtp"
)

// peer is a server of another make that does as it is told.
type peer struct {
	mu    sync.Mutex
	rcpt  map[string]*gosmtp.SMTPError // by address
	data  *gosmtp.SMTPError
	got   []string
	opts  []gosmtp.RcptOptions
	drops int // connections to cut at DATA
}

func (p *peer) NewSession(c *gosmtp.Conn) (gosmtp.Session, error) { return &peerSession{p, c}, nil }

type peerSession struct {
	p *peer
	c *gosmtp.Conn
}

func (s *peerSession) Mail(string, *gosmtp.MailOptions) error { return nil }
func (s *peerSession) Reset()                                 {}
func (s *peerSession) Logout() error                          { return nil }

func (s *peerSession) Rcpt(to string, o *gosmtp.RcptOptions) error {
	s.p.mu.Lock()
	defer s.p.mu.Unlock()
	s.p.opts = append(s.p.opts, *o)
	if e := s.p.rcpt[to]; e != nil {
		return e
	}
	return nil
}

func (s *peerSession) Data(r io.Reader) error {
	s.p.mu.Lock()
	defer s.p.mu.Unlock()
	if s.p.drops > 0 {
		s.p.drops--
		s.c.Conn().Close()
		return nil
	}
	b, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	if s.p.data != nil {
		return s.p.data
	}
	s.p.got = append(s.p.got, string(b))
	return nil
}

func (p *peer) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.got)
}

// startPeer serves p and returns its port.
func startPeer(t *testing.T, p *peer, dsn bool) int {
	t.Helper()
	ln, err := service.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := gosmtp.NewServer(p)
	s.Domain, s.EnableDSN = "peer.test", dsn
	go s.Serve(ln)
	t.Cleanup(func() { s.Close() })
	_, port, _ := net.SplitHostPort(ln.Addr().String())
	n, _ := strconv.Atoi(port)
	return n
}

// office is an organization a.test with a smart host and a clock.
type office struct {
	*machine
	mu  sync.Mutex
	now time.Time
	tr  *transport.Transport
	ev  *service.EventLog

	tracked []string
}

// note keeps the tracking entries in words.
func (o *office) note(e transport.Tracked) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.tracked = append(o.tracked, fmt.Sprintf("%s %s %v", e.Message, e.Kind, e.Rcpts))
}

func newOffice(t *testing.T, port int) *office {
	o := &office{machine: newMachine(t, 0), now: time.Date(2026, 11, 22, 13, 0, 0, 0, time.UTC), ev: service.NewEventLog(nil, 100)}
	o.dir.Cfg.Server.VirtualServers = []org.VirtualServer{{Protocol: org.SMTP, SMTP: org.SMTPSettings{SmartHost: "127.0.0.1:" + strconv.Itoa(port)}}}
	o.machine.boot()
	o.machine.tr.Shutdown(t.Context())
	tr, err := transport.New(t.Context(), transport.Options{Org: o.dir, Stores: o, Queue: memory.New(memory.Options{}), Events: o.ev, Track: o.note, Clock: o.clock, Hostname: "mail.a.test",
		Rand: func(int) int { return 0 }})
	if err != nil {
		t.Fatal(err)
	}
	o.tr = tr
	if err := tr.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tr.Shutdown(context.Background()) })
	return o
}

func (o *office) clock() time.Time {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.now
}

// later moves the clock and lets what has become due happen.
func (o *office) later(d time.Duration) {
	o.mu.Lock()
	o.now = o.now.Add(d)
	o.mu.Unlock()
	o.tr.Retry(func(uint64, transport.Hop) bool { return false }) // only looks at the clock
}

func (o *office) send(from string, to ...smtp.Rcpt) {
	o.t.Helper()
	ctx := o.t.Context()
	f, _ := model.ParseAddress(from)
	s, err := o.tr.Begin(ctx, &transport.Session{System: true, Proto: "test"}, &smtp.Mail{From: f, Size: -1, EnvID: "E1"})
	if err != nil {
		o.t.Fatal(err)
	}
	for _, r := range to {
		if err := s.AddRecipient(ctx, &r); err != nil {
			o.t.Fatal(err)
		}
	}
	if err := s.Data(ctx); err != nil {
		o.t.Fatal(err)
	}
	io.WriteString(s, "Subject: out\r\n\r\n.x\r\n")
	if _, err := s.Commit(ctx); err != nil {
		o.t.Fatal(err)
	}
}

func rcpt(a string, n smtp.Notify) smtp.Rcpt {
	x, _ := model.ParseAddress(a)
	return smtp.Rcpt{To: x, Notify: n}
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(5 * time.Second); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("never: " + what)
		}
	}
}

func (o *office) empty() bool { return len(o.tr.Queues()) == 0 }

// state is that of the only queue.
func (o *office) state() string {
	if q := o.tr.Queues(); len(q) == 1 {
		return q[0].State
	}
	return ""
}

func TestRelayMixedAnswers(t *testing.T) {
	p := &peer{rcpt: map[string]*gosmtp.SMTPError{
		"bad@z.test":  {Code: 550, EnhancedCode: gosmtp.EnhancedCode{5, 1, 1}, Message: "never heard of"},
		"slow@z.test": {Code: 451, EnhancedCode: gosmtp.EnhancedCode{4, 7, 1}, Message: "greylisted"},
	}}
	o := newOffice(t, startPeer(t, p, false))
	o.send("a0@a.test", rcpt("good@z.test", smtp.NotifySuccess), rcpt("bad@z.test", 0), rcpt("slow@z.test", 0))
	eventually(t, "first try", func() bool { return p.count() == 1 && o.state() == "retry" })
	eventually(t, "reports", func() bool { return len(o.copies("a0")) == 2 })
	m := o.tr.Messages(o.tr.Queues()[0].Hop, 0)
	r, err := o.tr.Show(t.Context(), m[0].ID)
	if err != nil || r.Rcpts[0].State != transport.Relayed || r.Rcpts[1].State != transport.Failed || r.Rcpts[2].State != transport.Ready || r.Rcpts[2].Status != "4.7.1" {
		t.Fatalf("%+v %v", r, err)
	}
	if d := m[0].NextTry.Sub(o.clock()); d != 10*time.Minute {
		t.Errorf("next try in %v", d)
	}
	p.mu.Lock()
	delete(p.rcpt, "slow@z.test")
	p.mu.Unlock()
	o.later(9 * time.Minute)
	time.Sleep(20 * time.Millisecond)
	if p.count() != 1 {
		t.Error("tried too early")
	}
	o.later(time.Minute)
	eventually(t, "second try", func() bool { return p.count() == 2 && o.empty() })
	if !strings.HasSuffix(p.got[1], "\r\n.x\r\n") {
		t.Errorf("body %q", p.got[1])
	}
	c := o.copies("a0")
	if c["Undeliverable: out"] != 1 || c["Delivered: out"] != 1 {
		t.Errorf("reports %v", c)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	var mine []string
	for _, e := range o.tracked {
		if strings.HasPrefix(e, "1 ") {
			mine = append(mine, e)
		}
	}
	if want := "1 submit [good@z.test bad@z.test slow@z.test] 1 send [good@z.test] 1 fail [bad@z.test] 1 defer [slow@z.test] 1 send [slow@z.test]"; strings.Join(mine, " ") != want {
		t.Errorf("tracked %q", mine)
	}
}

func TestRelayPassesDSN(t *testing.T) {
	p := &peer{}
	o := newOffice(t, startPeer(t, p, true))
	r := rcpt("x@z.test", smtp.NotifySuccess|smtp.NotifyFailure)
	r.ORcptType, r.ORcpt = "rfc822", "old@z.test"
	o.send("a0@a.test", r)
	eventually(t, "sent", func() bool { return p.count() == 1 && o.empty() })
	if len(p.opts[0].Notify) != 2 || p.opts[0].OriginalRecipient != "old@z.test" {
		t.Errorf("options %+v", p.opts[0])
	}
	if c := o.copies("a0"); len(c) != 0 {
		t.Errorf("reported what the peer reports: %v", c)
	}
}

// TestRelayDelayThenExpiry follows a message that nobody takes: the sender is
// told once of the delay, and gets it back after two days.
func TestRelayDelayThenExpiry(t *testing.T) {
	p := &peer{data: &gosmtp.SMTPError{Code: 452, EnhancedCode: gosmtp.EnhancedCode{4, 3, 1}, Message: "disk full"}}
	o := newOffice(t, startPeer(t, p, false))
	o.send("a0@a.test", rcpt("x@z.test", 0))
	eventually(t, "first try", func() bool { return o.state() == "retry" })
	for range 2 {
		o.later(12 * time.Hour)
		eventually(t, "delay", func() bool { return o.copies("a0")["Delayed: out"] == 1 && o.state() == "retry" })
	}
	o.later(25 * time.Hour)
	eventually(t, "expiry", func() bool { return o.copies("a0")["Undeliverable: out"] == 1 && o.empty() })
	if c := o.copies("a0"); c["Delayed: out"] != 1 {
		t.Errorf("reports %v", c)
	}
}

// TestHopDown does the same where no connection comes about at all, for more
// messages than are tried.
func TestHopDown(t *testing.T) {
	o := newOffice(t, 1)
	for range 5 {
		o.send("a0@a.test", rcpt("x@z.test", 0))
	}
	eventually(t, "tried", func() bool { q := o.tr.Queues(); return len(q) == 1 && q[0].Failures > 0 && q[0].State == "retry" })
	o.later(49 * time.Hour)
	eventually(t, "all came back", func() bool { return o.copies("a0")["Undeliverable: out"] == 5 && o.empty() })
}

func TestDroppedConnection(t *testing.T) {
	p := &peer{drops: 1}
	o := newOffice(t, startPeer(t, p, false))
	o.send("a0@a.test", rcpt("x@z.test", 0))
	eventually(t, "drop", func() bool { return o.state() == "retry" })
	o.later(11 * time.Minute)
	eventually(t, "second try", func() bool { return p.count() == 1 && o.empty() })
}

func TestFreezeAndRemove(t *testing.T) {
	p := &peer{data: &gosmtp.SMTPError{Code: 450, Message: "later"}}
	o := newOffice(t, startPeer(t, p, false))
	for range 3 {
		o.send("a0@a.test", rcpt("x@z.test", 0))
	}
	eventually(t, "tried", func() bool { return o.state() == "retry" })
	hop := o.tr.Queues()[0].Hop
	ids := o.tr.Messages(hop, 0)
	if len(ids) != 3 {
		t.Fatalf("%+v", ids)
	}
	if err := o.tr.Freeze(t.Context(), ids[0].ID, true); err != nil {
		t.Fatal(err)
	}
	if err := o.tr.Remove(t.Context(), ids[1].ID, true); err != nil {
		t.Fatal(err)
	}
	if err := o.tr.Remove(t.Context(), ids[2].ID, false); err != nil {
		t.Fatal(err)
	}
	eventually(t, "report of the removal", func() bool { return o.copies("a0")["Undeliverable: out"] == 1 })
	p.mu.Lock()
	p.data = nil
	p.mu.Unlock()
	o.tr.Retry(nil)
	o.later(time.Hour)
	time.Sleep(20 * time.Millisecond)
	if m := o.tr.Messages(hop, 0); len(m) != 1 || !m[0].Frozen || p.count() != 0 {
		t.Fatalf("%+v, %d sent", m, p.count())
	}
	if err := o.tr.Freeze(t.Context(), ids[0].ID, false); err != nil {
		t.Fatal(err)
	}
	eventually(t, "thawed", func() bool { return p.count() == 1 && o.empty() })
	if err := o.tr.Remove(t.Context(), ids[0].ID, false); !model.IsKind(err, model.KindNotFound) {
		t.Errorf("removed twice: %v", err)
	}
}

// TestPartialThenFrozen serves one of two recipients: only the other is tried
// again, and not before its frozen queue is thawed.
func TestPartialThenFrozen(t *testing.T) {
	p := &peer{rcpt: map[string]*gosmtp.SMTPError{"slow@z.test": {Code: 451, Message: "later"}}}
	o := newOffice(t, startPeer(t, p, false))
	o.send("a0@a.test", rcpt("good@z.test", 0), rcpt("slow@z.test", 0))
	eventually(t, "first try", func() bool { return p.count() == 1 && o.state() == "retry" })
	hop := o.tr.Queues()[0].Hop
	r, err := o.tr.Show(t.Context(), o.tr.Messages(hop, 0)[0].ID)
	if err != nil || r.Rcpts[0].State != transport.Relayed || r.Rcpts[1].State != transport.Ready {
		t.Fatalf("%+v %v", r, err)
	}
	b, err := io.ReadAll(o.tr.Open(t.Context(), r))
	if err != nil || !strings.HasPrefix(string(b), "Received: from localhost") || !strings.HasSuffix(string(b), "\r\n\r\n.x\r\n") {
		t.Errorf("queued message %q, %v", b, err)
	}
	o.tr.FreezeQueue(hop, true)
	p.mu.Lock()
	clear(p.rcpt)
	p.mu.Unlock()
	o.later(time.Hour)
	time.Sleep(20 * time.Millisecond)
	if p.count() != 1 || o.state() != "frozen" {
		t.Errorf("%d sent from a frozen queue, %s", p.count(), o.state())
	}
	o.tr.FreezeQueue(hop, false)
	eventually(t, "thawed", func() bool { return p.count() == 2 && o.empty() })
	if len(p.opts) != 3 { // good and slow, then slow alone
		t.Errorf("%d recipients offered", len(p.opts))
	}
}
