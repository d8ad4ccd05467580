// Package ldap is the LDAP head: the directory and its global catalog as any
// LDAP program reads and edits them (RFC 4511, MS-ADTS 3.1.1.3). Each operation
// is decoded, checked against the session's state, done by one call of the
// directory and answered; rights are the directory's to decide.
package ldap

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"strings"
	"time"

	"rialto/internal/auth"
	"rialto/internal/directory"
	"rialto/internal/model"
	"rialto/internal/service"
	"rialto/internal/wire/ldap"
)

// Limits of a session; the names are those of Active Directory's query policy.
const (
	idleTimeout    = 15 * time.Minute // MaxConnIdleTime
	maxPageSize    = 1000             // MaxPageSize: entries of one answer without paging
	maxQueryTime   = 120 * time.Second
	maxMessage     = ldap.DefaultMaxMessage
	anonymousBytes = 64 << 10 // of a message before sign-in
)

// Server speaks LDAP for one directory. Its Handle is a service.Handler.
type Server struct {
	Directory directory.Directory
	Auth      *auth.Authenticator
	Log       *slog.Logger
	// Global makes it a global catalog: searches cross naming contexts, only the
	// partial attribute set is shown, nothing can be written.
	Global bool
	Clock  model.Clock // nil: time.Now
}

// session is one connection.
type session struct {
	s    *Server
	ctx  context.Context
	c    *service.Conn
	who  directory.Principal
	name string // DN bound as, for Who am I
	out  []byte
}

// Handle serves one connection until it ends.
func (s *Server) Handle(ctx context.Context, c *service.Conn) {
	n := &session{s: s, ctx: ctx, c: c}
	for {
		if err := c.WaitInput(idleTimeout); err != nil {
			n.hangUp(err)
			return
		}
		limit := maxMessage
		if n.who.Level == directory.Anonymous {
			limit = anonymousBytes
		}
		m, err := ldap.ReadMessage(c.Reader(), limit)
		if err != nil {
			n.hangUp(err)
			return
		}
		if !n.serve(m) {
			return
		}
	}
}

// hangUp says why the session ends, where the protocol has words for it.
func (n *session) hangUp(err error) {
	code, text := ldap.ProtocolError, "malformed message"
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return
	case errors.Is(err, service.ErrDraining):
		code, text = ldap.Unavailable, "server is stopping"
	case errors.Is(err, os.ErrDeadlineExceeded):
		code, text = ldap.Busy, "idle for too long"
	case errors.Is(err, ldap.ErrTooLarge):
		text = "message too large"
	}
	n.out = ldap.AppendMessage(n.out[:0], ldap.NoticeOfDisconnection(code, text))
	_, _ = n.c.Writer().Write(n.out) // the session ends either way
	_ = n.c.Flush()
}

// serve does one operation. It reports whether the session goes on.
func (n *session) serve(m *ldap.Message) bool {
	switch op := m.Op.(type) {
	case *ldap.UnbindRequest:
		return false
	case *ldap.AbandonRequest:
		return true // operations are done one after the other: it is too late
	case *ldap.BindRequest:
		return n.bind(m, op)
	case *ldap.ExtendedRequest:
		return n.extended(m, op)
	}
	if c := criticalUnknown(m); c != "" {
		return n.reply(m, ldap.Result{Code: ldap.UnavailableCriticalExtension, Message: "control " + c})
	}
	switch op := m.Op.(type) {
	case *ldap.SearchRequest:
		return n.search(m, op)
	case *ldap.CompareRequest:
		return n.compare(m, op)
	}
	if n.s.Global {
		return n.reply(m, ldap.Result{Code: ldap.UnwillingToPerform, Message: "the global catalog is read-only"})
	}
	switch op := m.Op.(type) {
	case *ldap.AddRequest:
		return n.add(m, op)
	case *ldap.ModifyRequest:
		return n.modify(m, op)
	case *ldap.DeleteRequest:
		return n.delete(m, op)
	case *ldap.ModifyDNRequest:
		return n.modifyDN(m, op)
	}
	return n.reply(m, ldap.Result{Code: ldap.ProtocolError, Message: "not a request"})
}

// criticalUnknown returns the first control that has to be understood and is
// not.
func criticalUnknown(m *ldap.Message) string {
	for _, c := range m.Controls {
		known := false
		for _, oid := range controls() {
			known = known || oid == c.OID
		}
		if c.Critical && !known {
			return c.OID
		}
	}
	return ""
}

// controls are those that change what an operation does, or that may be ignored
// without harm.
func controls() []string {
	return []string{ldap.OIDPagedResults, ldap.OIDDomainScope, ldap.OIDManageDSAIT, ldap.OIDLazyCommit, ldap.OIDPermissiveModify, ldap.OIDShowDeleted}
}

// send writes one message.
func (n *session) send(id int32, op ldap.Op, controls ...ldap.Control) bool {
	n.out = ldap.AppendMessage(n.out[:0], &ldap.Message{ID: id, Op: op, Controls: controls})
	_, err := n.c.Writer().Write(n.out)
	if cap(n.out) > 64<<10 {
		n.out = nil
	}
	return err == nil
}

// reply answers m with a result.
func (n *session) reply(m *ldap.Message, r ldap.Result) bool {
	if op := ldap.ResponseTo(m.Op, r); op != nil {
		return n.send(m.ID, op)
	}
	return false
}

// done answers m with what an error, or none, means.
func (n *session) done(m *ldap.Message, err error) bool { return n.reply(m, n.result(err)) }

// result is the table from kinds of errors to LDAP's codes. What went wrong in
// here goes to the log, not to the client.
func (n *session) result(err error) ldap.Result {
	if err == nil {
		return ldap.Result{}
	}
	r := ldap.Result{Message: safeText(err)}
	switch model.KindOf(err) {
	case model.KindInvalid:
		r.Code = ldap.ConstraintViolation
	case model.KindNotFound:
		r.Code = ldap.NoSuchObject
		if strings.HasSuffix(r.Message, ": value") {
			r.Code = ldap.NoSuchAttribute
		}
	case model.KindExists:
		r.Code = ldap.EntryAlreadyExists
		if strings.HasSuffix(r.Message, ": value") {
			r.Code = ldap.AttributeOrValueExists
		}
	case model.KindPermission:
		r.Code = ldap.InsufficientAccessRights
	case model.KindAuth:
		r = ldap.Result{Code: ldap.InvalidCredentials}
	case model.KindTooLarge:
		r.Code = ldap.AdminLimitExceeded
	case model.KindConflict:
		r.Code = ldap.NotAllowedOnNonLeaf
	case model.KindUnsupported:
		r.Code = ldap.UnwillingToPerform
	case model.KindUnavailable, model.KindNoSpace, model.KindExpired:
		r = ldap.Result{Code: ldap.Unavailable, Message: "try again later"}
	case model.KindCanceled:
		r = ldap.Result{Code: ldap.TimeLimitExceeded}
	default:
		r = ldap.Result{Code: ldap.OperationsError, Message: "internal error"}
		if n.s.Log != nil {
			n.s.Log.Error("ldap operation failed", "conn", n.c.ID(), "err", err)
		}
	}
	return r
}

// safeText is the object an error names, without operation and cause.
func safeText(err error) string {
	var e *model.Error
	if errors.As(err, &e) && e.Object != "" {
		return e.Object
	}
	return ""
}
