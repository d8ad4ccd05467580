package server

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"sort"
	"strconv"
	"strings"
	"sync"
	"time"

	"rialto/internal/admin"
	"rialto/internal/model"
	"rialto/internal/org"
	"rialto/internal/service"
)

// running is a virtual server in this process. bindings and failed are under
// services.mu, enabled and byHand under services.work.
type running struct {
	name     string
	protocol string
	vs       *service.VirtualServer
	bindings []service.Binding
	enabled  bool   // as the directory says
	byHand   bool   // an administrator started or stopped it since
	failed   string // why it could not be started
}

// services keeps the virtual servers as the directory describes them. mu guards
// the map; starting and stopping is done by one goroutine at a time under work.
type services struct {
	host   string
	offset int
	events service.Log
	// build makes the server behind a virtual server; nil for protocols that
	// this version does not speak.
	build func(v *org.VirtualServer) *service.Server

	work sync.Mutex
	mu   sync.Mutex
	m    map[model.GUID]*running
}

// reconcile starts, stops and rebinds until all is as the configuration says.
// Virtual servers that an administrator stopped stay so until the directory
// changes its mind or the server restarts.
func (s *services) reconcile(ctx context.Context, c *org.Config) {
	s.work.Lock()
	defer s.work.Unlock()
	there := map[model.GUID]bool{}
	for i := range c.Server.VirtualServers {
		v := &c.Server.VirtualServers[i]
		there[v.GUID] = true
		s.apply(ctx, v)
	}
	s.mu.Lock()
	var gone []*running
	for g, r := range s.m {
		if !there[g] && r.protocol != protocolLDAP {
			gone = append(gone, r)
			delete(s.m, g)
		}
	}
	s.mu.Unlock()
	for _, r := range gone {
		_ = stopSoon(r.vs, ctx) // sessions that do not leave are cut
	}
}

// stopTime is how long sessions may take to leave a virtual server that is
// stopped while the others run on.
const stopTime = 30 * time.Second

func stopSoon(v *service.VirtualServer, ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, stopTime)
	defer cancel()
	return v.Stop(ctx)
}

const protocolLDAP = "LDAP"

func (s *services) apply(ctx context.Context, v *org.VirtualServer) {
	bindings := s.bindingsOf(v)
	s.mu.Lock()
	r := s.m[v.GUID]
	s.mu.Unlock()
	if r == nil {
		srv := s.build(v)
		if srv == nil {
			return
		}
		r = &running{name: v.Name, protocol: string(v.Protocol), vs: service.NewVirtualServer(srv, bindings...), bindings: bindings}
		s.mu.Lock()
		s.m[v.GUID] = r
		s.mu.Unlock()
	}
	var err error
	if !slices.Equal(bindings, r.bindings) {
		if err = r.vs.Rebind(ctx, bindings...); err == nil {
			s.mu.Lock()
			r.bindings = bindings
			s.mu.Unlock()
		}
	}
	if v.Enabled != r.enabled {
		r.enabled, r.byHand = v.Enabled, false
	}
	if err == nil && !r.byHand {
		if v.Enabled && r.vs.State() == service.Stopped {
			err = r.vs.Start(ctx)
		} else if !v.Enabled && r.vs.State() != service.Stopped {
			err = stopSoon(r.vs, ctx)
		}
	}
	s.note(ctx, r, err)
}

// note records whether the last change of a virtual server worked.
func (s *services) note(ctx context.Context, r *running, err error) {
	s.mu.Lock()
	r.failed = ""
	if err != nil {
		r.failed = err.Error()
	}
	s.mu.Unlock()
	if err != nil {
		s.events.Report(ctx, service.Event{Source: service.SourceAttendant, ID: service.EventBindFailed, Level: slog.LevelError, Category: "General",
			Message: "The virtual server \"" + r.name + "\" could not be changed.", Attrs: []slog.Attr{slog.String("error", err.Error())}})
	}
}

// bindingsOf turns bindings of the directory into addresses of this machine.
func (s *services) bindingsOf(v *org.VirtualServer) []service.Binding {
	var out []service.Binding
	for _, b := range v.Bindings {
		out = append(out, s.binding(b, false))
	}
	for _, b := range v.SecureBindings {
		out = append(out, s.binding(b, true))
	}
	return out
}

func (s *services) binding(b org.Binding, tls bool) service.Binding {
	host := b.Address
	if host == "" {
		host = s.host
	}
	return service.Binding{Address: net.JoinHostPort(host, strconv.Itoa(b.Port+s.offset)), TLS: tls}
}

// add puts a virtual server in that the directory does not describe, and starts
// it.
func (s *services) add(ctx context.Context, name string, srv *service.Server, ports ...int) error {
	var bindings []service.Binding
	for i, p := range ports {
		bindings = append(bindings, s.binding(org.Binding{Port: p}, i > 0))
	}
	r := &running{name: name, protocol: protocolLDAP, vs: service.NewVirtualServer(srv, bindings...), bindings: bindings, enabled: true}
	s.mu.Lock()
	s.m[model.NewGUID()] = r
	s.mu.Unlock()
	if err := r.vs.Start(ctx); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// stop stops all virtual servers at once.
func (s *services) stop(ctx context.Context) {
	s.work.Lock()
	defer s.work.Unlock()
	s.mu.Lock()
	all := make([]*running, 0, len(s.m))
	for _, r := range s.m {
		all = append(all, r)
	}
	s.mu.Unlock()
	var wg sync.WaitGroup
	for _, r := range all {
		wg.Go(func() { _ = r.vs.Stop(ctx) }) // sessions that do not leave are cut
	}
	wg.Wait()
}

// List implements admin.Services.
func (s *services) List() []admin.ServiceStatus {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []admin.ServiceStatus
	for _, r := range s.m {
		st := admin.ServiceStatus{Name: r.name, Protocol: r.protocol, State: string(r.vs.State()), Error: r.failed,
			Address: []string{}, Sessions: len(r.vs.Server().Conns())}
		for _, b := range r.bindings {
			st.Address = append(st.Address, b.Address)
		}
		out = append(out, st)
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Protocol+"\x00"+out[i].Name < out[j].Protocol+"\x00"+out[j].Name })
	return out
}

// Start implements admin.Services.
func (s *services) Start(ctx context.Context, name string) error {
	return s.byHand(ctx, name, (*service.VirtualServer).Start)
}

// Stop implements admin.Services.
func (s *services) Stop(ctx context.Context, name string) error {
	return s.byHand(ctx, name, stopSoon)
}

// Pause implements admin.Services.
func (s *services) Pause(ctx context.Context, name string) error {
	return s.byHand(ctx, name, (*service.VirtualServer).Pause)
}

// byHand does something to the virtual servers of a name or protocol.
func (s *services) byHand(ctx context.Context, name string, do func(*service.VirtualServer, context.Context) error) error {
	s.work.Lock()
	defer s.work.Unlock()
	s.mu.Lock()
	var found []*running
	for _, r := range s.m {
		if strings.EqualFold(r.name, name) || strings.EqualFold(r.protocol, name) {
			found = append(found, r)
		}
	}
	s.mu.Unlock()
	if len(found) == 0 {
		return model.E("service", model.KindNotFound, "service "+name, nil)
	}
	for _, r := range found {
		err := do(r.vs, ctx)
		r.byHand = true
		s.note(ctx, r, err)
		if err != nil {
			return model.E("service", model.KindUnavailable, r.name, err)
		}
	}
	return nil
}

// endpoints are the addresses in use, by the well-known names of their ports.
func (s *services) endpoints() map[string]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := map[string]string{}
	for _, r := range s.m {
		if r.vs.State() != service.Running {
			continue
		}
		addrs := r.vs.Addrs()
		for i, b := range r.bindings {
			_, port, err := net.SplitHostPort(b.Address)
			if err != nil || i >= len(addrs) {
				continue
			}
			n, _ := strconv.Atoi(port)
			if name := portName(n - s.offset); name != "" {
				out[name] = addrs[i].String()
			}
		}
	}
	return out
}

// portName names a well-known port as endpoints.json does.
func portName(port int) string {
	switch port {
	case 25:
		return "smtp"
	case 587:
		return "submission"
	case 465:
		return "submissions"
	case 143:
		return "imap"
	case 993:
		return "imaps"
	case 110:
		return "pop3"
	case 995:
		return "pop3s"
	case 119:
		return "nntp"
	case 563:
		return "nntps"
	case 389:
		return "ldap"
	case 636:
		return "ldaps"
	case 3268:
		return "gc"
	case 3269:
		return "gcs"
	case 80:
		return "http"
	case 443:
		return "https"
	}
	return ""
}
