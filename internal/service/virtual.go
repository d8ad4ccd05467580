package service

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"sync"

	"rialto/internal/model"
)

// Binding is one address a virtual server listens on.
type Binding struct {
	Network string // "tcp" when empty
	Address string // host:port; an empty host is all addresses
	TLS     bool   // TLS from the first byte
}

// State of a virtual server, as `rialto service` shows and changes it.
type State string

// The states.
const (
	Stopped  State = "stopped"
	Running  State = "running"
	Paused   State = "paused" // listens, refuses new connections, keeps the open ones
	Stopping State = "stopping"
)

// VirtualServer is a Server with its bindings and its state: what an
// administrator starts, pauses, stops and moves to other ports while it runs.
type VirtualServer struct {
	server *Server

	mu       sync.Mutex
	state    State
	bindings []Binding
	open     map[Binding]net.Listener
	ctx      context.Context // of the running Serve calls
	cancel   context.CancelFunc
	serving  sync.WaitGroup
}

// NewVirtualServer returns a stopped virtual server.
func NewVirtualServer(s *Server, bindings ...Binding) *VirtualServer {
	return &VirtualServer{server: s, state: Stopped, bindings: slices.Clone(bindings), open: map[Binding]net.Listener{}}
}

// Server returns the server behind v.
func (v *VirtualServer) Server() *Server { return v.server }

// State returns the current state.
func (v *VirtualServer) State() State {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.state
}

// Start listens on the bindings, all or none. Starting a paused server resumes
// it, starting a running one does nothing. ctx bounds the start only.
func (v *VirtualServer) Start(ctx context.Context) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	switch v.state {
	case Running:
		return nil
	case Paused:
		v.server.Resume()
		v.setState(ctx, Running, EventResumed)
		return nil
	case Stopping:
		return model.E("service.start", model.KindConflict, v.server.Name, errors.New("still stopping"))
	}
	v.ctx, v.cancel = context.WithCancel(context.Background())
	v.server.Resume()
	if err := v.rebind(ctx, v.bindings); err != nil {
		v.cancel()
		return err
	}
	v.setState(ctx, Running, EventStarted)
	return nil
}

// Pause refuses new connections and keeps the open ones.
func (v *VirtualServer) Pause(ctx context.Context) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	switch v.state {
	case Paused:
		return nil
	case Running:
		v.server.Pause()
		v.setState(ctx, Paused, EventPaused)
		return nil
	}
	return model.E("service.pause", model.KindConflict, v.server.Name, fmt.Errorf("is %s", v.state))
}

// Stop closes the listeners, lets the sessions finish and cuts what is left
// when ctx ends; only then does it return. See Server.Shutdown for the error.
func (v *VirtualServer) Stop(ctx context.Context) error {
	v.mu.Lock()
	if v.state == Stopped || v.state == Stopping {
		v.mu.Unlock()
		return nil
	}
	v.state = Stopping
	v.closeAll()
	v.mu.Unlock()
	err := v.server.Shutdown(ctx)
	v.cancel()
	v.serving.Wait()
	v.mu.Lock()
	v.setState(ctx, Stopped, EventStopped)
	v.mu.Unlock()
	return err
}

// Rebind changes the bindings. While the server runs the new ones are opened
// first and the old ones closed after; open sessions stay. If one cannot be
// opened nothing changes.
func (v *VirtualServer) Rebind(ctx context.Context, bindings ...Binding) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.state == Running || v.state == Paused {
		if err := v.rebind(ctx, bindings); err != nil {
			return err
		}
	}
	v.bindings = slices.Clone(bindings)
	return nil
}

// Addrs returns the addresses in use, in the order of the bindings. A binding
// to port 0 shows the port it got.
func (v *VirtualServer) Addrs() []net.Addr {
	v.mu.Lock()
	defer v.mu.Unlock()
	var l []net.Addr
	for _, b := range v.bindings {
		if ln := v.open[b]; ln != nil {
			l = append(l, ln.Addr())
		}
	}
	return l
}

func (v *VirtualServer) rebind(ctx context.Context, want []Binding) error {
	fresh := map[Binding]net.Listener{}
	for _, b := range want {
		if v.open[b] != nil || fresh[b] != nil {
			continue
		}
		network := b.Network
		if network == "" {
			network = "tcp"
		}
		ln, err := Listen(ctx, network, b.Address)
		if err != nil {
			for _, ln := range fresh {
				ln.Close()
			}
			v.server.report(ctx, Event{ID: EventBindFailed, Level: slog.LevelError, Category: "General",
				Message: "An address could not be opened.", Attrs: []slog.Attr{slog.String("address", b.Address), slog.Any("err", err)}})
			return err
		}
		fresh[b] = ln
	}
	for b, ln := range v.open {
		if !slices.Contains(want, b) {
			ln.Close()
			delete(v.open, b)
		}
	}
	for b, ln := range fresh {
		v.open[b] = ln
		v.serving.Go(func() { v.server.serve(v.ctx, ln, b.TLS) })
	}
	return nil
}

func (v *VirtualServer) closeAll() {
	for b, ln := range v.open {
		ln.Close()
		delete(v.open, b)
	}
}

func (v *VirtualServer) setState(ctx context.Context, s State, id int) {
	v.state = s
	v.server.report(ctx, Event{ID: id, Level: slog.LevelInfo, Category: "General",
		Message: "The service is now " + string(s) + "."})
}
