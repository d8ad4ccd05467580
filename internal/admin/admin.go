// Package admin is every management operation, once, with its permission check
// and its audit event. Command line, web console and API are views of it.
//
// Arguments and results are structs that travel as JSON; sizes are octets, times
// RFC 3339. A name that means an object is an account name, alias, address or
// GUID.
package admin

import (
	"context"
	"log/slog"
	"time"

	"rialto/internal/attendant"
	"rialto/internal/auth"
	"rialto/internal/directory"
	"rialto/internal/model"
	"rialto/internal/org"
	"rialto/internal/service"
	"rialto/internal/transport"
)

// Caller is who asks.
type Caller struct {
	Principal directory.Principal
	Name      string // account name, or "local" on the server's own socket
	From      string // address
}

// Services are the virtual servers of this server.
type Services interface {
	List() []ServiceStatus
	Start(ctx context.Context, name string) error
	Stop(ctx context.Context, name string) error
	Pause(ctx context.Context, name string) error
}

// ServiceStatus is what is known of a virtual server.
type ServiceStatus struct {
	Name     string   `json:"name"`
	Protocol string   `json:"protocol"`
	State    string   `json:"state"`
	Address  []string `json:"addresses"`
	Sessions int      `json:"sessions"`
	Error    string   `json:"error,omitempty"`
}

// Admin performs operations on a running server.
type Admin struct {
	Org       *org.Org
	Directory directory.Directory
	Stores    *attendant.Stores
	Transport *transport.Transport
	Services  Services
	Hasher    *auth.Hasher
	Passwords *auth.Cache // forgets what was proven when a password changes; may be nil
	Events    *service.EventLog
	Version   string
	Started   time.Time

	jobs jobs
}

// allow is the permission check of every operation. Managing takes an
// administrator; finer roles come with the organization's role model.
func (a *Admin) allow(c Caller, op string) error {
	if c.Principal.Level < directory.Administrator {
		return model.E(op, model.KindPermission, "administrators only", nil)
	}
	return nil
}

// audit records an operation that changed something, or was meant to.
func (a *Admin) audit(ctx context.Context, c Caller, op, object string, err error) error {
	e := service.Event{Source: service.SourceAttendant, ID: eventAudit, Level: slog.LevelInfo, Category: "Audit",
		Message: c.Name + " did " + op + " on " + object + ".",
		Attrs:   []slog.Attr{slog.String("operation", op), slog.String("object", object), slog.String("by", c.Name), slog.String("from", c.From)}}
	if err != nil {
		e.Level = slog.LevelWarn
		e.Message = c.Name + " failed to do " + op + " on " + object + "."
		e.Attrs = append(e.Attrs, slog.String("error", err.Error()))
	}
	a.Events.Report(ctx, e)
	return err
}

const eventAudit = 9001

// Status is an overview of the server.
type Status struct {
	Server       string             `json:"server"`
	Organization string             `json:"organization"`
	Version      string             `json:"version"`
	Uptime       string             `json:"uptime"`
	Domains      []string           `json:"domains"`
	Services     []ServiceStatus    `json:"services"`
	Stores       []attendant.Status `json:"stores"`
	Queued       int                `json:"queued"`
}

// Nothing is the argument or result of operations that have none.
type Nothing struct{}

// Status returns an overview.
func (a *Admin) Status(ctx context.Context, c Caller, _ Nothing) (*Status, error) {
	if err := a.allow(c, "status"); err != nil {
		return nil, err
	}
	cfg := a.Org.Config()
	s := &Status{Server: cfg.Server.Name, Organization: cfg.Organization.Name, Version: a.Version,
		Uptime: time.Since(a.Started).Round(time.Second).String(), Services: a.Services.List(), Stores: a.Stores.Status(ctx)}
	for _, d := range cfg.Domains {
		s.Domains = append(s.Domains, d.Name)
	}
	for _, q := range a.Transport.Queues() {
		s.Queued += q.Messages
	}
	return s, nil
}

// EventQuery selects events.
type EventQuery struct {
	Count  int    `json:"count"`  // most to return; 0: 50
	Source string `json:"source"` // "": any
}

// ListEvents returns the newest events, newest first.
func (a *Admin) ListEvents(_ context.Context, c Caller, q EventQuery) ([]service.Event, error) {
	if err := a.allow(c, "event.list"); err != nil {
		return nil, err
	}
	if q.Count <= 0 || q.Count > 1000 {
		q.Count = 50
	}
	return a.Events.Recent(q.Count, func(e service.Event) bool { return q.Source == "" || e.Source == q.Source }), nil
}
