package transcript

import (
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"rialto/internal/auth"
	"rialto/internal/convert"
	"rialto/internal/kv"
	"rialto/internal/kv/memory"
	"rialto/internal/message"
	"rialto/internal/model"
	"rialto/internal/service"
	"rialto/internal/store"
	"rialto/internal/store/content"
)

// Site is a mailbox store with its users, for the tests of heads. Passwords are
// "pw". Its clock stands still, so that what servers say is always the same.
type Site struct {
	Auth *auth.Authenticator
	DB   *store.Database

	t     testing.TB
	accts map[string]*auth.Account
	boxes map[model.GUID]*store.Mailbox
}

// NewSite returns a site on db (nil: in memory) with a mailbox for each user.
func NewSite(t testing.TB, db kv.DB, users ...string) *Site {
	t.Helper()
	if db == nil {
		db = memory.New(memory.Options{MinFree: 1 << 20})
	}
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	s := &Site{t: t, accts: map[string]*auth.Account{}, boxes: map[model.GUID]*store.Mailbox{}}
	var err error
	s.DB, err = store.Open(t.Context(), db, store.Options{GUID: model.NewGUID(), Name: "Mailbox Store", Clock: func() time.Time { return now },
		Content: content.Options{InlineMax: 4096}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.DB.Close() })
	h := auth.NewHasher(auth.Params{MemoryKiB: 64, Time: 1, Threads: 1}, 2)
	s.Auth = &auth.Authenticator{Finder: s, Hasher: h, Cache: auth.NewCache(auth.CacheOptions{})}
	phc, err := h.Hash(t.Context(), "pw")
	if err != nil {
		t.Fatal(err)
	}
	for _, u := range users {
		a := &auth.Account{GUID: model.NewGUID(), Name: u, UPN: u + "@contoso.test", Credential: phc, MailboxGUID: model.NewGUID()}
		s.accts[u], s.accts[a.UPN] = a, a
		m, err := s.DB.CreateMailbox(t.Context(), a.MailboxGUID, u)
		if err != nil {
			t.Fatal(err)
		}
		s.boxes[a.MailboxGUID] = m
	}
	return s
}

// FindAccount implements auth.Finder.
func (s *Site) FindAccount(_ context.Context, name string) (*auth.Account, error) {
	if a := s.accts[strings.ToLower(name)]; a != nil {
		return a, nil
	}
	return nil, model.E("site.find", model.KindNotFound, name, nil)
}

// Mailbox returns an account's mailbox, as heads ask for it.
func (s *Site) Mailbox(_ context.Context, a *auth.Account) (*store.Mailbox, error) {
	if m := s.boxes[a.MailboxGUID]; m != nil {
		return m, nil
	}
	return nil, model.E("site.mailbox", model.KindNotFound, a.Name, nil)
}

// Account returns a user, to be changed before he signs in.
func (s *Site) Account(user string) *auth.Account { return s.accts[user] }

// Box returns the mailbox of a user.
func (s *Site) Box(user string) *store.Mailbox { return s.boxes[s.accts[user].MailboxGUID] }

// Item makes a MIME message ready to be appended, released with the test.
func (s *Site) Item(mail string) *store.NewItem {
	s.t.Helper()
	w := s.DB.NewContent(s.t.Context())
	p := new(message.Parser)
	if _, err := io.WriteString(io.MultiWriter(w, p), mail); err != nil {
		s.t.Fatal(err)
	}
	st, err := w.Finish(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(st.Release)
	proj := convert.FromMIME(p, p.Close())
	return &store.NewItem{Content: st, Structure: proj.Structure, Recipients: proj.Recipients,
		Summary: store.Summary{Props: proj.Summary, Envelope: proj.Envelope}}
}

// Deliver puts mails into a user's Inbox with trace lines, as transport does.
func (s *Site) Deliver(user, trace string, mails ...string) {
	s.t.Helper()
	for _, m := range mails {
		it := s.Item(m)
		it.Trace = []byte(trace)
		if _, err := s.Box(user).Append(s.t.Context(), store.FolderInbox, it); err != nil {
			s.t.Fatal(err)
		}
	}
}

// Serve starts a head on a port of its own and returns how to reach it.
func (s *Site) Serve(name string, h service.Handler, limits service.Limits) (srv *service.Server, dial func() net.Conn) {
	s.t.Helper()
	ln, err := service.Listen(s.t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		s.t.Fatal(err)
	}
	srv = &service.Server{Name: name, Handler: h, Limits: limits}
	done := make(chan struct{})
	go func() { defer close(done); srv.Serve(context.Background(), ln) }()
	s.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := srv.Shutdown(ctx); err != nil {
			s.t.Error(err)
		}
		<-done
	})
	return srv, func() net.Conn {
		c, err := net.Dial(ln.Addr().Network(), ln.Addr().String())
		if err != nil {
			s.t.Fatal(err)
		}
		return c
	}
}

// Mail returns a small message.
func Mail(subject, from, body string) string {
	return fmt.Sprintf("From: %s\r\nTo: Alice <alice@contoso.test>\r\nSubject: %s\r\nDate: Sun, 22 Nov 2026 10:00:00 +0100\r\n"+
		"Message-ID: <%x@contoso.test>\r\n\r\n%s\r\n", from, subject, subject, body)
}
