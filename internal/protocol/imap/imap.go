// Package imap is the IMAP head: IMAP4rev1 and IMAP4rev2 (RFC 3501, RFC 9051)
// over the information store.
//
// A session is one goroutine. It keeps of a selected mailbox how many messages
// the client was told of, the position in the folder's log and, once a command
// needs message numbers, the ascending list of UIDs. Everything else is read
// from the store's rows, page by page: a view of the store is closed before the
// page is written to the client. What others changed is read from the folder's
// log between commands, or when the store says that there is something while
// the client idles. No command parses MIME but SEARCH of bodies, and that only
// for the messages of which the search index can not tell.
package imap

import (
	"context"
	"log/slog"
	"time"

	"rialto/internal/auth"
	"rialto/internal/service"
	"rialto/internal/store"
	"rialto/internal/store/content"
	"rialto/internal/store/fulltext"
)

// StoreSet finds the mailbox of an account. KindUnavailable if its store is not
// mounted here, KindNotFound if it has none.
type StoreSet interface {
	Mailbox(ctx context.Context, acct *auth.Account) (*store.Mailbox, error)
}

// Settings are what an administrator can change while the server runs. A
// session reads them when it begins. Zero fields mean the defaults.
type Settings struct {
	Host        string        // in the greeting
	MaxMessage  int64         // octets of an appended message; default and most 2 GB
	IdleTimeout time.Duration // of a signed-in session; default 30 min (RFC 9051 5.4)
	LoginWait   time.Duration // before sign-in; default 5 min
	Plaintext   bool          // passwords may travel in clear from other machines
	MaxFailures int           // sign-ins that fail before the session ends; default 3
	MaxBad      int           // commands in a row that make no sense; default 20
}

func (s Settings) withDefaults() Settings {
	if s.Host == "" {
		s.Host = "localhost"
	}
	if s.MaxMessage <= 0 || s.MaxMessage > content.MaxSize {
		s.MaxMessage = content.MaxSize
	}
	if s.IdleTimeout <= 0 {
		s.IdleTimeout = 30 * time.Minute
	}
	if s.LoginWait <= 0 {
		s.LoginWait = 5 * time.Minute
	}
	if s.MaxFailures <= 0 {
		s.MaxFailures = 3
	}
	if s.MaxBad <= 0 {
		s.MaxBad = 20
	}
	return s
}

// TextIndex looks for text without regard to case; nil if it can not tell.
type TextIndex interface {
	Find(ctx context.Context, m *store.Mailbox, text string, fields ...fulltext.Field) (*fulltext.Hits, error)
}

// Server is an IMAP head. Auth and Stores must be set; the rest has useful zero
// values. It is safe for concurrent use and not changed while it serves.
type Server struct {
	Auth   *auth.Authenticator
	Offer  auth.Offer // SASL mechanisms; nil: Auth's password mechanisms
	Stores StoreSet
	Index  TextIndex       // nil: SEARCH reads every message
	Config func() Settings // nil: the defaults
	Events service.Log     // nil discards
	Log    *slog.Logger    // nil discards
}

// Events of this head under service.SourceIMAP4.
const (
	EventLogonFailed = 100 // too many failed sign-ins on one connection
	EventInternal    = 101 // a command failed for no fault of the client
)

// proto is the name of the protocol in accounts (auth.Account.Protocols).
const proto = "imap4"

// Handle speaks IMAP on one connection; it is a service.Handler.
func (srv *Server) Handle(ctx context.Context, c *service.Conn) {
	s := newSession(srv, c)
	defer s.close()
	s.serve(ctx)
}

func (srv *Server) settings() Settings {
	if srv.Config == nil {
		return Settings{}.withDefaults()
	}
	return srv.Config().withDefaults()
}

func (srv *Server) logger() *slog.Logger { return service.Logger(srv.Log) }

func (srv *Server) report(ctx context.Context, e service.Event) {
	service.Report(ctx, srv.Events, service.SourceIMAP4, e)
}

func (srv *Server) offer() auth.Offer { return srv.Auth.OfferOr(srv.Offer) }

// Refusal is what a refused client is told, for service.Server.Refuse.
func Refusal(why service.Reason) []byte {
	if why == service.RefusedPeer {
		return []byte("* BYE Access denied\r\n")
	}
	return []byte("* BYE [UNAVAILABLE] Too many connections or not in service; try later\r\n")
}
