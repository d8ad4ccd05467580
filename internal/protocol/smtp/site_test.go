package smtp

import (
	"context"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"rialto/internal/auth"
	"rialto/internal/kv"
	"rialto/internal/kv/memory"
	"rialto/internal/message"
	"rialto/internal/model"
	"rialto/internal/org"
	"rialto/internal/org/orgtest"
	"rialto/internal/service"
	"rialto/internal/store"
	"rialto/internal/transport"
	wire "rialto/internal/wire/smtp"
)

// site is one organization with one server, in memory.
type site struct {
	t      *testing.T
	domain string
	dir    *orgtest.Static
	guid   model.GUID // of the first store
	vs     model.GUID
	dbs    map[model.GUID]*store.Database
	mu     sync.Mutex
	down   map[model.GUID]bool
	queue  kv.DB
	tr     *transport.Transport
	head   *Head
	srv    *service.Server
	addr   string
	events *service.EventLog
	hash   string
	opt    transport.Options
}

// world is the DNS of a test: mail exchangers of domains and ports of hosts.
type world struct {
	mu    sync.Mutex
	mx    map[string][]*net.MX
	ports map[string]int
}

func newWorld() *world { return &world{mx: map[string][]*net.MX{}, ports: map[string]int{}} }

func (w *world) LookupMX(_ context.Context, domain string) ([]*net.MX, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if m := w.mx[domain]; m != nil {
		return m, nil
	}
	return nil, &net.DNSError{Err: "no such host", Name: domain, IsNotFound: true}
}

func (w *world) LookupHost(_ context.Context, host string) ([]string, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ports[host] != 0 {
		return []string{"127.0.0.1"}, nil
	}
	return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
}

func (w *world) port(host string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.ports[host]
}

func (w *world) add(s *site) {
	w.mu.Lock()
	defer w.mu.Unlock()
	_, port, _ := net.SplitHostPort(s.addr)
	n, _ := strconv.Atoi(port)
	host := "mail." + s.domain
	w.mx[s.domain] = []*net.MX{{Host: host + ".", Pref: 10}}
	w.ports[host] = n
}

func (s *site) Database(g model.GUID) (*store.Database, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if db := s.dbs[g]; db != nil && !s.down[g] {
		return db, nil
	}
	return nil, model.E("site.database", model.KindUnavailable, "store", nil)
}

func (s *site) FindAccount(_ context.Context, name string) (*auth.Account, error) {
	name, _, _ = strings.Cut(name, "@")
	for _, r := range s.dir.Recipients {
		if r.Kind == org.Mailbox && strings.EqualFold(r.Account, name) {
			return &auth.Account{GUID: r.GUID, Name: r.Account, Credential: s.hash}, nil
		}
	}
	return nil, model.E("site.find", model.KindNotFound, name, nil)
}

// newSite makes an organization with mailboxes for users, all in one store. dns
// may be nil. change may adjust the configuration and options before the start.
func newSite(t *testing.T, domain string, dns *world, change func(*site), users ...string) *site {
	t.Helper()
	s := &site{t: t, domain: domain, guid: model.NewGUID(), vs: model.NewGUID(), dbs: map[model.GUID]*store.Database{}, down: map[model.GUID]bool{},
		queue: memory.New(memory.Options{}), events: service.NewEventLog(nil, 100)}
	s.dir = &orgtest.Static{Groups: map[model.GUID][]model.GUID{}, Cfg: &org.Config{
		Organization: org.Organization{Name: "Test", MaxReceive: 1 << 20, MaxSend: 1 << 20, MaxRecipients: 10},
		Domains:      []org.Domain{{Name: domain, Authoritative: true}},
		Server: org.Server{GUID: model.NewGUID(), Name: "MAIL", FQDN: "mail." + domain,
			VirtualServers: []org.VirtualServer{{GUID: s.vs, Protocol: org.SMTP, SMTP: org.SMTPSettings{RelayForAuth: true}}},
			StorageGroups:  []org.StorageGroup{{Stores: []org.Store{{GUID: s.guid}}}}},
	}}
	s.addStore(s.guid)
	for _, u := range users {
		s.addUser(u, s.guid)
	}
	h := auth.NewHasher(auth.Params{MemoryKiB: 64, Time: 1, Threads: 1}, 0)
	s.hash, _ = h.Hash(t.Context(), "pw")
	s.opt = transport.Options{Org: s.dir, Stores: s, Queue: s.queue, Events: s.events}
	if dns != nil {
		s.opt.Resolver, s.opt.Port = dns, dns.port
	}
	s.head = &Head{Org: s.dir, Auth: &auth.Authenticator{Finder: s, Hasher: h}}
	s.srv = &service.Server{Name: "SMTP"}
	if change != nil {
		change(s)
	}
	s.start()
	t.Cleanup(s.stop)
	if dns != nil {
		dns.add(s)
	}
	return s
}

func (s *site) addStore(g model.GUID) {
	db, err := store.Open(s.t.Context(), memory.New(memory.Options{}), store.Options{GUID: g, Name: "Mailbox Store"})
	if err != nil {
		s.t.Fatal(err)
	}
	s.dbs[g] = db
}

func (s *site) addUser(name string, at model.GUID) *org.Recipient {
	r := &org.Recipient{GUID: model.NewGUID(), Kind: org.Mailbox, Name: strings.ToUpper(name[:1]) + name[1:], Account: name,
		Primary: model.Address{Local: name, Domain: s.domain}, MailboxGUID: model.NewGUID(), StoreGUID: at, UseDefaults: true}
	s.dir.Add(r)
	return r
}

// edit changes the configuration as an administrator would.
func (s *site) edit(f func(*org.Config)) {
	c := *s.dir.Config()
	c.Server.VirtualServers = append([]org.VirtualServer(nil), c.Server.VirtualServers...)
	f(&c)
	s.dir.Set(&c)
}

func (s *site) start() {
	tr, err := transport.New(s.t.Context(), s.opt)
	if err != nil {
		s.t.Fatal(err)
	}
	s.tr, s.head.Transport = tr, tr
	if err := tr.Start(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
	s.srv.Handler = s.head.Handler(s.vs)
	ln, err := service.Listen(s.t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		s.t.Fatal(err)
	}
	s.addr = ln.Addr().String()
	go s.srv.Serve(context.Background(), ln)
}

func (s *site) stop() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	s.srv.Shutdown(ctx)
	s.tr.Shutdown(ctx)
	for _, db := range s.dbs {
		db.Close()
	}
}

// inbox returns the messages in a user's Inbox as their clients see them.
func (s *site) inbox(user string) []string {
	s.t.Helper()
	var out []string
	r, err := s.dir.Resolve(s.t.Context(), model.Address{Local: user, Domain: s.domain})
	if err != nil {
		s.t.Fatal(err)
	}
	m, err := s.dbs[r.StoreGUID].Mailbox(s.t.Context(), r.MailboxGUID)
	if model.IsKind(err, model.KindNotFound) {
		return nil
	}
	if err != nil {
		s.t.Fatal(err)
	}
	v, err := m.View(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	defer v.Close()
	var rows []store.RowID
	v.States(s.t.Context(), store.FolderInbox, 1, 1<<32-1, func(st *store.State) bool {
		rows = append(rows, st.Row)
		return true
	})
	streams, err := v.Streams(s.t.Context(), rows)
	if err != nil {
		s.t.Fatal(err)
	}
	for _, st := range streams {
		b, err := v.Open(s.t.Context(), st)
		if err != nil {
			s.t.Fatal(err)
		}
		raw, err := io.ReadAll(io.NewSectionReader(b, 0, b.Size()))
		if err != nil {
			s.t.Fatal(err)
		}
		out = append(out, string(raw))
	}
	return out
}

// wait waits until a user's Inbox has n messages.
func (s *site) wait(user string, n int) []string {
	s.t.Helper()
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if in := s.inbox(user); len(in) >= n || time.Now().After(end) {
			if len(in) != n {
				s.t.Fatalf("%s has %d messages, want %d; queues %+v", user, len(in), n, s.tr.Queues())
			}
			return in
		}
	}
}

// client returns our own client, greeted.
func (s *site) client() (*wire.Client, net.Conn) {
	s.t.Helper()
	d := service.Dialer{}
	nc, err := d.Dial(s.t.Context(), "tcp", s.addr)
	if err != nil {
		s.t.Fatal(err)
	}
	nc.SetDeadline(time.Now().Add(20 * time.Second))
	s.t.Cleanup(func() { nc.Close() })
	c := wire.NewClient(nc)
	if _, err := c.Greet(); err != nil {
		s.t.Fatal(err)
	}
	if err := c.Hello("client.test"); err != nil {
		s.t.Fatal(err)
	}
	return c, nc
}

func addr(s string) model.Address {
	if s == "" {
		return model.Address{}
	}
	a, err := model.ParseAddress(s)
	if err != nil {
		panic(err)
	}
	return a
}

// send sends a message and demands that it is accepted.
func (s *site) send(user, from string, body string, to ...wire.Rcpt) *wire.Result {
	s.t.Helper()
	c, nc := s.client()
	defer nc.Close()
	if user != "" {
		if err := c.Auth(&auth.PasswordClient{Mechanism: "PLAIN", User: user, Password: "pw"}); err != nil {
			s.t.Fatal(err)
		}
	}
	res, err := c.Send(&wire.Envelope{From: addr(from), Size: -1, Rcpts: to}, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	if res.Data == nil || res.Data.Code != 250 {
		s.t.Fatalf("not accepted: %+v %v %v", res.Mail, res.Rcpts, res.Data)
	}
	return res
}

func to(list ...string) (out []wire.Rcpt) {
	for _, a := range list {
		out = append(out, wire.Rcpt{To: addr(a)})
	}
	return out
}

// report returns the fields of the n-th recipient of a report.
func report(t *testing.T, raw string, n int) message.Header {
	t.Helper()
	st := message.Parse([]byte(raw))
	if st.Root.Param("report-type") != "delivery-status" || len(st.Root.Children) != 3 {
		t.Fatalf("not a report:\n%s", raw)
	}
	p := st.Root.Children[1]
	groups := strings.Split(strings.TrimSpace(raw[p.BodyStart:p.BodyEnd]), "\r\n\r\n")
	if len(groups) <= n {
		t.Fatalf("no recipient %d in report:\n%s", n, raw)
	}
	return message.Header(groups[n] + "\r\n")
}

// selfSigned gives the server a certificate.
func (s *site) selfSigned() {
	cert, key, err := service.SelfSigned([]string{"127.0.0.1"})
	if err != nil {
		s.t.Fatal(err)
	}
	var cs service.Certificates
	if err := cs.Set(cert, key); err != nil {
		s.t.Fatal(err)
	}
	s.srv.TLS = cs.Config
}
