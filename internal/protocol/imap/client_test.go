package imap

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"

	"rialto/internal/auth"
	"rialto/internal/protocol/transcript"
	"rialto/internal/service"
	"rialto/internal/store"
	wire "rialto/internal/wire/imap"
)

// An independent client does a day's work.
func TestIndependentClient(t *testing.T) {
	site, dial := newSite(t, Settings{})
	news := make(chan uint32, 10)
	c := imapclient.New(dial(), &imapclient.Options{UnilateralDataHandler: &imapclient.UnilateralDataHandler{
		Mailbox: func(d *imapclient.UnilateralDataMailbox) {
			if d.NumMessages != nil {
				news <- *d.NumMessages
			}
		}}})
	defer c.Close()
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	check(c.Login("alice", "pw").Wait())
	boxes, err := c.List("", "*", &imap.ListOptions{ReturnStatus: &imap.StatusOptions{NumMessages: true}}).Collect()
	check(err)
	uses := ""
	for _, b := range boxes {
		for _, a := range b.Attrs {
			if a == imap.MailboxAttrSent || a == imap.MailboxAttrTrash {
				uses += b.Mailbox + ";"
			}
		}
	}
	if uses != "Deleted Items;Sent Items;" {
		t.Errorf("special uses: %s", uses)
	}
	sel, err := c.Select("INBOX", &imap.SelectOptions{CondStore: true}).Wait()
	check(err)
	if sel.NumMessages != 3 || sel.UIDNext != 4 || sel.HighestModSeq == 0 {
		t.Errorf("SELECT: %+v", sel)
	}
	msgs, err := c.Fetch(imap.SeqSetNum(2), &imap.FetchOptions{Envelope: true, BodyStructure: &imap.FetchItemBodyStructure{Extended: true},
		RFC822Size: true, BodySection: []*imap.FetchItemBodySection{{Peek: true}}}).Collect()
	check(err)
	m := msgs[0]
	if m.Envelope.Subject != "Grüße from Bonn" || m.Envelope.From[0].Name != "Jürgen" || len(m.Envelope.To) < 2 {
		t.Errorf("envelope: %+v", m.Envelope)
	}
	if bs, ok := m.BodyStructure.(*imap.BodyStructureMultiPart); !ok || len(bs.Children) != 3 || bs.Children[1].MediaType() != "message/rfc822" {
		t.Errorf("structure: %+v", m.BodyStructure)
	}
	whole := m.BodySection[0].Bytes
	if string(whole) != trace+multi || m.RFC822Size != int64(len(whole)) {
		t.Errorf("octets: %d, size %d", len(whole), m.RFC822Size)
	}
	found, err := c.UIDSearch(&imap.SearchCriteria{Header: []imap.SearchCriteriaHeaderField{{Key: "Subject", Value: "third"}}}, nil).Wait()
	check(err)
	if found.AllUIDs()[0] != 3 {
		t.Errorf("SEARCH: %v", found.AllUIDs())
	}
	mv, err := c.Move(imap.UIDSetNum(3), "Deleted Items").Wait()
	check(err)
	if mv.DestUIDs.String() != "1" {
		t.Errorf("MOVE: %+v", mv)
	}
	ap := c.Append("INBOX", 6, nil)
	_, err = io.WriteString(ap, "A: b\r\n")
	check(err)
	check(ap.Close())
	_, err = ap.Wait()
	check(err)
	idle, err := c.Idle()
	check(err)
	for len(news) > 0 {
		<-news
	}
	site.Deliver("alice", "", transcript.Mail("while idle", "x@y.test", "z"))
	select {
	case n := <-news:
		if n != 4 {
			t.Errorf("EXISTS %d", n)
		}
	case <-time.After(5 * time.Second):
		t.Error("nothing was told of new mail")
	}
	check(idle.Close())
	check(idle.Wait())
	check(c.Logout().Wait())
}

// STARTTLS; what was sent in clear after it ends the session.
func TestStartTLS(t *testing.T) {
	site := transcript.NewSite(t, nil, "alice")
	head := &Server{Auth: site.Auth, Stores: site}
	certPEM, keyPEM, err := service.SelfSigned([]string{"mail.contoso.test"})
	if err != nil {
		t.Fatal(err)
	}
	cert, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		t.Fatal(err)
	}
	srv := &service.Server{Name: "IMAP4", Handler: head.Handle, TLS: func() *tls.Config { return &tls.Config{Certificates: []tls.Certificate{cert}} }}
	ln, err := service.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { srv.Serve(context.Background(), ln); close(ended) }()
	defer func() { srv.Shutdown(t.Context()); <-ended }()
	for _, injected := range []bool{false, true} {
		nc, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		nc.SetDeadline(time.Now().Add(10 * time.Second))
		c, err := wire.NewClient(nc)
		if err != nil {
			t.Fatal(err)
		}
		if injected {
			io.WriteString(nc, "x STARTTLS\r\ny NOOP\r\n")
			b, _ := io.ReadAll(nc)
			if !bytes.Contains(b, []byte("BYE")) || bytes.Contains(b, []byte("y ")) {
				t.Errorf("after injection: %q", b)
			}
			continue
		}
		if !strings.Contains(c.Greeting.Code, "STARTTLS") {
			t.Errorf("greeting %q", c.Greeting.Code)
		}
		if _, err := c.Command("STARTTLS"); err != nil {
			t.Fatal(err)
		}
		c.Upgrade(tls.Client(nc, &tls.Config{InsecureSkipVerify: true}))
		if err := c.Plain("alice", "pw"); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Command("STARTTLS"); err == nil {
			t.Error("TLS within TLS")
		}
		if err := c.Logout(); err != nil && !strings.Contains(err.Error(), "close") {
			t.Error(err)
		}
	}
}

// elsewhere makes connections look as if they came from another machine.
type elsewhere struct{ net.Listener }

type elsewhereConn struct{ net.Conn }

func (l elsewhere) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	return elsewhereConn{c}, err
}

func (elsewhereConn) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 1} }

// From other machines nobody signs in without TLS.
func TestPlaintextRefused(t *testing.T) {
	site := transcript.NewSite(t, nil, "alice")
	head := &Server{Auth: site.Auth, Stores: site}
	plain, err := service.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ln := elsewhere{plain}
	srv := &service.Server{Name: "IMAP4", Handler: head.Handle}
	ended := make(chan struct{})
	go func() { srv.Serve(context.Background(), ln); close(ended) }()
	defer func() { srv.Shutdown(t.Context()); <-ended }()
	nc, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	nc.SetDeadline(time.Now().Add(10 * time.Second))
	c, err := wire.NewClient(nc)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if !strings.Contains(c.Greeting.Code, "LOGINDISABLED") || strings.Contains(c.Greeting.Code, "AUTH=PLAIN") {
		t.Errorf("greeting %q", c.Greeting.Code)
	}
	for _, err := range []error{c.Login("alice", "pw"), c.Plain("alice", "pw")} {
		if err == nil || !strings.Contains(err.Error(), "PRIVACYREQUIRED") {
			t.Errorf("sign-in: %v", err)
		}
	}
}

// limited is a site whose mailboxes hold so many octets.
type limited struct {
	*transcript.Site
	octets int64
}

func (l limited) Mailbox(ctx context.Context, a *auth.Account) (*store.Mailbox, error) {
	m, err := l.Site.Mailbox(ctx, a)
	if err == nil {
		m.SetLimits(store.Limits{Hard: l.octets})
	}
	return m, err
}

func TestQuota(t *testing.T) {
	site := transcript.NewSite(t, nil, "alice")
	site.Deliver("alice", "", transcript.Mail("one", "bob@x.test", "text"))
	head := &Server{Auth: site.Auth, Stores: limited{site, 1000}}
	_, dial := site.Serve("IMAP4", head.Handle, service.Limits{})
	w := watch(t, dial, "alice", "")
	put := func(n int) error {
		_, err := w.c.Append("INBOX", nil, time.Time{}, strings.NewReader(strings.Repeat("x", n)), int64(n))
		return err
	}
	if err := put(900); err == nil || !strings.Contains(err.Error(), "OVERQUOTA") {
		t.Errorf("over the limit: %v", err)
	}
	if err := put(700); err != nil {
		t.Errorf("within the limit: %v", err)
	}
}

// What fails for no fault of the client is told with a reference, and a store
// that goes away ends the session.
func TestDismounted(t *testing.T) {
	site := transcript.NewSite(t, nil, "alice")
	_, dial := serve(site, Settings{})
	w := watch(t, dial, "alice", "")
	site.DB.Close()
	res, err := w.c.Command(`STATUS Drafts (MESSAGES)`)
	if err == nil || !strings.HasPrefix(res.Code, "UNAVAILABLE") || !strings.Contains(res.Text, "reference ") {
		t.Errorf("STATUS: %v", err)
	}
	if u := res.Untagged; len(u) != 1 || u[0].Cond != "BYE" {
		t.Errorf("untagged: %v", u)
	}
}

// A server that stops says goodbye to who idles.
func TestShutdown(t *testing.T) {
	site := transcript.NewSite(t, nil, "alice")
	srv, dial := serve(site, Settings{})
	w := watch(t, dial, "idler", "")
	got := make(chan error, 1)
	go func() { got <- w.c.Idle(func(*wire.Response) bool { return true }) }()
	time.Sleep(50 * time.Millisecond)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if err := srv.Shutdown(ctx); err != nil {
		t.Error(err)
	}
	if err := <-got; err == nil || !strings.Contains(err.Error(), "BYE") {
		t.Errorf("Idle: %v", err)
	}
}

func TestRefusal(t *testing.T) {
	for _, why := range []service.Reason{service.RefusedFull, service.RefusedPerIP, service.RefusedPaused, service.RefusedPeer} {
		if got := string(Refusal(why)); !strings.HasPrefix(got, "* BYE ") || !strings.HasSuffix(got, "\r\n") {
			t.Errorf("%s: %q", why, got)
		}
	}
}

// Whatever a client sends, the server answers or hangs up.
func FuzzSession(f *testing.F) {
	for _, s := range []string{
		"SELECT INBOX\r\na FETCH 1:* (ENVELOPE BODYSTRUCTURE BODY[1.2.HEADER]<3.4> PREVIEW)\r\na SEARCH OR TEXT x NOT (HEADER a b UID 1:*)\r\n",
		"SELECT INBOX (QRESYNC (1 2 3:4))\r\na STORE 1:* (UNCHANGEDSINCE 3) FLAGS (x \\Seen)\r\na EXPUNGE\r\na MOVE 1 Drafts\r\n",
		"APPEND INBOX (\\Seen) {5+}\r\nA: b\n\r\na LIST (SUBSCRIBED) \"\" (a % *) RETURN (STATUS (UNSEEN))\r\na IDLE\r\nDONE\r\n",
		"CREATE a/b\r\na RENAME a c/d\r\na RENAME INBOX z\r\na DELETE c/d/b\r\na STATUS z (SIZE DELETED)\r\na ENABLE IMAP4rev2 QRESYNC\r\n",
		"UID FETCH $ (UID)\r\na UID EXPUNGE 1:*\r\na COPY 1:2 INBOX\r\na UID SEARCH RETURN (SAVE MIN) MODSEQ 1\r\n",
	} {
		f.Add([]byte(s))
	}
	_, dial := newSite(f, Settings{})
	f.Fuzz(func(t *testing.T, in []byte) {
		c := dial()
		defer c.Close()
		c.SetDeadline(time.Now().Add(20 * time.Second))
		go func() {
			io.WriteString(c, "l LOGIN alice pw\r\ns SELECT INBOX\r\na ")
			c.Write(in)
			c.(*net.TCPConn).CloseWrite()
		}()
		out, err := io.ReadAll(c)
		if err != nil && !strings.Contains(err.Error(), "reset") {
			t.Fatal(err)
		}
		if !bytes.HasPrefix(out, []byte("* OK ")) || bytes.Contains(out, []byte("SERVERBUG")) {
			t.Fatalf("%q", out)
		}
	})
}
