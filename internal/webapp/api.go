// Package webapp is what the HTTP virtual server offers: the management API,
// metrics and, on the way there, the page that tells people where to point
// their mail programs.
//
// The management API is one POST per operation, /api/v1/NAME, with JSON both
// ways. On the server's own socket the caller is whoever may open the socket;
// elsewhere HTTP basic authentication over TLS says who it is.
package webapp

import (
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/netip"

	"rialto/internal/admin"
	"rialto/internal/auth"
	"rialto/internal/directory"
	"rialto/internal/model"
)

// maxArguments bounds the body of an API call.
const maxArguments = 1 << 20

// API serves the management operations.
type API struct {
	Operations []admin.Operation
	Auth       *auth.Authenticator // nil: callers are local and trusted
	Log        *slog.Logger
}

// Failure is the body of an answer that is not 200.
type Failure struct {
	Kind  string `json:"kind"`
	Error string `json:"error"`
}

// Handler returns the API as an HTTP handler for /api/v1/. A browser that knows
// an administrator's password must not be made to use it by another site's
// page: what browsers mark as coming from elsewhere is refused.
func (a *API) Handler() http.Handler {
	mux := http.NewServeMux()
	for _, op := range a.Operations {
		mux.HandleFunc("POST /api/v1/"+op.Name, func(w http.ResponseWriter, r *http.Request) { a.serve(w, r, op) })
	}
	guard := http.NewCrossOriginProtection()
	guard.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		a.fail(w, "api", model.E("api", model.KindPermission, "request of another site", nil))
	}))
	return guard.Handler(mux)
}

func (a *API) serve(w http.ResponseWriter, r *http.Request, op admin.Operation) {
	caller, err := a.caller(r)
	if err != nil {
		if model.IsKind(err, model.KindAuth) {
			w.Header().Set("WWW-Authenticate", `Basic realm="Rialto", charset="UTF-8"`)
		}
		a.fail(w, op.Name, err)
		return
	}
	args, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxArguments))
	if err != nil {
		a.fail(w, op.Name, model.E(op.Name, model.KindTooLarge, "arguments", err))
		return
	}
	out, err := op.Call(r.Context(), caller, args)
	if err != nil {
		a.fail(w, op.Name, err)
		return
	}
	answerType(w)
	_ = json.NewEncoder(w).Encode(out) // the client went away
}

// caller says who asks.
func (a *API) caller(r *http.Request) (admin.Caller, error) {
	if a.Auth == nil {
		return admin.Caller{Principal: directory.AsSystem, Name: "local", From: "socket"}, nil
	}
	name, pw, ok := r.BasicAuth()
	if !ok {
		return admin.Caller{}, model.E("api", model.KindAuth, "", nil)
	}
	from, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return admin.Caller{}, model.E("api", model.KindInvalid, "address", err)
	}
	if r.TLS == nil && !from.Addr().Unmap().IsLoopback() {
		return admin.Caller{}, model.E("api", model.KindPermission, "passwords only over TLS", nil)
	}
	acct, err := a.Auth.Password(r.Context(), name, pw, from.Addr(), "admin")
	if err != nil {
		return admin.Caller{}, err
	}
	c := admin.Caller{Principal: directory.Principal{GUID: acct.GUID, Level: directory.User}, Name: acct.Name, From: from.Addr().String()}
	if acct.Admin {
		c.Principal.Level = directory.Administrator
	}
	return c, nil
}

// status is the table from kinds of errors to HTTP.
func status(k model.Kind) int {
	switch k {
	case model.KindInvalid:
		return http.StatusBadRequest
	case model.KindNotFound:
		return http.StatusNotFound
	case model.KindExists, model.KindConflict:
		return http.StatusConflict
	case model.KindPermission:
		return http.StatusForbidden
	case model.KindAuth:
		return http.StatusUnauthorized
	case model.KindTooLarge, model.KindQuota:
		return http.StatusRequestEntityTooLarge
	case model.KindNoSpace:
		return http.StatusInsufficientStorage
	case model.KindUnavailable, model.KindCanceled, model.KindExpired:
		return http.StatusServiceUnavailable
	case model.KindUnsupported:
		return http.StatusNotImplemented
	}
	return http.StatusInternalServerError
}

func (a *API) fail(w http.ResponseWriter, op string, err error) {
	k := model.KindOf(err)
	f := Failure{Kind: k.String(), Error: explain(op, err)}
	if k == model.KindOther || k == model.KindCorrupt {
		f.Error = op + " failed; the log has the cause"
		if a.Log != nil {
			a.Log.Error("operation failed", "operation", op, "err", err)
		}
	}
	answerType(w)
	w.WriteHeader(status(k))
	_ = json.NewEncoder(w).Encode(f) // the client went away
}

func answerType(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Cache-Control", "no-store")
}

// explain is what an administrator reads: the object and what is wrong with it.
func explain(op string, err error) string {
	var e *model.Error
	if !errors.As(err, &e) {
		return op + " failed"
	}
	if e.Object == "" {
		return e.Kind.String()
	}
	return e.Object + ": " + e.Kind.String()
}
