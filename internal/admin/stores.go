package admin

import (
	"context"
	"strings"

	"rialto/internal/attendant"
	"rialto/internal/model"
)

// ListStores lists the stores and their state.
func (a *Admin) ListStores(ctx context.Context, c Caller, _ Nothing) ([]attendant.Status, error) {
	if err := a.allow(c, "store.list"); err != nil {
		return nil, err
	}
	return a.Stores.Status(ctx), nil
}

func (a *Admin) storeNamed(ctx context.Context, name string) (model.GUID, error) {
	for _, s := range a.Stores.Status(ctx) {
		if strings.EqualFold(s.Name, name) || s.GUID.String() == strings.ToLower(name) {
			return s.GUID, nil
		}
	}
	return model.GUID{}, model.E("store", model.KindNotFound, "store "+name, nil)
}

// MountStore names a store to be mounted.
type MountStore struct {
	Name        string `json:"name"`
	CreateEmpty bool   `json:"createEmpty,omitempty"` // if its database is lost, begin a new one
}

// MountStore mounts a store. One whose database was there and is missing is
// begun anew only if that is asked for.
func (a *Admin) MountStore(ctx context.Context, c Caller, m MountStore) (*Nothing, error) {
	do := a.Stores.Mount
	if m.CreateEmpty {
		do = a.Stores.MountEmpty
	}
	return a.onStore(ctx, c, "store.mount", Name{m.Name}, do)
}

// DismountStore dismounts a store until it is mounted again or the server
// restarts.
func (a *Admin) DismountStore(ctx context.Context, c Caller, n Name) (*Nothing, error) {
	return a.onStore(ctx, c, "store.dismount", n, a.Stores.Dismount)
}

func (a *Admin) onStore(ctx context.Context, c Caller, op string, n Name, do func(context.Context, model.GUID) error) (*Nothing, error) {
	if err := a.allow(c, op); err != nil {
		return nil, a.audit(ctx, c, op, n.Name, err)
	}
	guid, err := a.storeNamed(ctx, n.Name)
	if err == nil {
		err = do(ctx, guid)
	}
	return &Nothing{}, a.audit(ctx, c, op, n.Name, err)
}

// ListServices lists the virtual servers.
func (a *Admin) ListServices(_ context.Context, c Caller, _ Nothing) ([]ServiceStatus, error) {
	if err := a.allow(c, "service.list"); err != nil {
		return nil, err
	}
	return a.Services.List(), nil
}

// StartService starts, or resumes, a virtual server.
func (a *Admin) StartService(ctx context.Context, c Caller, n Name) (*Nothing, error) {
	return a.onService(ctx, c, "service.start", n, a.Services.Start)
}

// StopService stops a virtual server; its sessions are told to end.
func (a *Admin) StopService(ctx context.Context, c Caller, n Name) (*Nothing, error) {
	return a.onService(ctx, c, "service.stop", n, a.Services.Stop)
}

// PauseService makes a virtual server refuse new sessions.
func (a *Admin) PauseService(ctx context.Context, c Caller, n Name) (*Nothing, error) {
	return a.onService(ctx, c, "service.pause", n, a.Services.Pause)
}

func (a *Admin) onService(ctx context.Context, c Caller, op string, n Name, do func(context.Context, string) error) (*Nothing, error) {
	if err := a.allow(c, op); err != nil {
		return nil, a.audit(ctx, c, op, n.Name, err)
	}
	return &Nothing{}, a.audit(ctx, c, op, n.Name, do(ctx, n.Name))
}
