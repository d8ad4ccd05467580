// Package pop3 is the POP3 head (RFC 1939, RFC 2449, RFC 2595, RFC 3206, RFC
// 5034) over the Inbox of a mailbox.
//
// The maildrop is what the Inbox held at sign-in. Other clients may delete
// messages meanwhile, as Exchange allows: those answer -ERR. Messages are named
// by their OID, which lasts as long as they do. DELE takes effect at QUIT.
package pop3

import (
	"context"
	"log/slog"
	"time"

	"rialto/internal/auth"
	"rialto/internal/service"
	"rialto/internal/store"
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
	IdleTimeout time.Duration // default 10 min, the least RFC 1939 3 allows
	Plaintext   bool          // passwords may travel in clear from other machines
	MaxFailures int           // sign-ins that fail before the session ends; default 3
	MaxBad      int           // commands in a row that make no sense; default 20
	MaxMessages int           // of a maildrop; default 100,000
}

func (s Settings) withDefaults() Settings {
	if s.Host == "" {
		s.Host = "localhost"
	}
	if s.IdleTimeout <= 0 {
		s.IdleTimeout = 10 * time.Minute
	}
	if s.MaxFailures <= 0 {
		s.MaxFailures = 3
	}
	if s.MaxBad <= 0 {
		s.MaxBad = 20
	}
	if s.MaxMessages <= 0 {
		s.MaxMessages = 100000
	}
	return s
}

// Server is a POP3 head. Auth and Stores must be set; the rest has useful zero
// values. It is safe for concurrent use and not changed while it serves.
type Server struct {
	Auth   *auth.Authenticator
	Offer  auth.Offer // SASL mechanisms; nil: Auth's password mechanisms
	Stores StoreSet
	Config func() Settings // nil: the defaults
	Events service.Log     // nil discards
	Log    *slog.Logger    // nil discards
}

// Events of this head under service.SourcePOP3.
const (
	EventLogonFailed = 100 // too many failed sign-ins on one connection
	EventInternal    = 101 // a command failed for no fault of the client
)

// proto is the name of the protocol in accounts (auth.Account.Protocols).
const proto = "pop3"

// Handle speaks POP3 on one connection; it is a service.Handler.
func (srv *Server) Handle(ctx context.Context, c *service.Conn) {
	set := Settings{}
	if srv.Config != nil {
		set = srv.Config()
	}
	s := &session{srv: srv, conn: c, set: set.withDefaults()}
	s.serve(ctx)
}

func (srv *Server) logger() *slog.Logger { return service.Logger(srv.Log) }

func (srv *Server) report(ctx context.Context, e service.Event) {
	service.Report(ctx, srv.Events, service.SourcePOP3, e)
}

func (srv *Server) offer() auth.Offer { return srv.Auth.OfferOr(srv.Offer) }

// Refusal is what a refused client is told, for service.Server.Refuse.
func Refusal(why service.Reason) []byte {
	if why == service.RefusedPeer {
		return []byte("-ERR [SYS/PERM] Access denied\r\n")
	}
	return []byte("-ERR [SYS/TEMP] Too many connections or not in service; try later\r\n")
}
