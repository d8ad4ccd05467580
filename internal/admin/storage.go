package admin

import (
	"context"
	"fmt"
	"strings"
	"time"

	"rialto/internal/model"
	"rialto/internal/org"
)

// StorageGroup is a storage group with its stores.
type StorageGroup struct {
	GUID     model.GUID `json:"guid"`
	Name     string     `json:"name"`
	Recovery bool       `json:"recovery,omitempty"`
	Stores   []string   `json:"stores"` // names, public folder stores too
}

// ListStorageGroups lists the storage groups of this server.
func (a *Admin) ListStorageGroups(_ context.Context, c Caller, _ Nothing) ([]StorageGroup, error) {
	if err := a.allow(c, "storagegroup.list"); err != nil {
		return nil, err
	}
	out := []StorageGroup{}
	for _, g := range a.Org.Config().Server.StorageGroups {
		v := StorageGroup{GUID: g.GUID, Name: g.Name, Recovery: g.Recovery, Stores: []string{}}
		for _, st := range g.Stores {
			v.Stores = append(v.Stores, st.Name)
		}
		out = append(out, v)
	}
	return out, nil
}

// CreateStorageGroup makes an empty storage group on this server.
func (a *Admin) CreateStorageGroup(ctx context.Context, c Caller, n Name) (*Nothing, error) {
	const op = "storagegroup.create"
	err := a.allow(c, op)
	if err == nil {
		_, err = a.Org.CreateStorageGroup(ctx, c.Principal, n.Name)
	}
	if err == nil {
		err = a.await(ctx, op, func(cfg *org.Config) bool { _, err := cfg.StorageGroup(n.Name); return err == nil })
	}
	return &Nothing{}, a.audit(ctx, c, op, n.Name, err)
}

// DeleteStorageGroup deletes a storage group that has no stores.
func (a *Admin) DeleteStorageGroup(ctx context.Context, c Caller, n Name) (*Nothing, error) {
	const op = "storagegroup.delete"
	return &Nothing{}, a.audit(ctx, c, op, n.Name, a.deleteStorageGroup(ctx, c, op, n.Name))
}

func (a *Admin) deleteStorageGroup(ctx context.Context, c Caller, op, name string) error {
	if err := a.allow(c, op); err != nil {
		return err
	}
	g, err := a.Org.Config().StorageGroup(name)
	if err != nil {
		return err
	}
	if err := a.Org.DeleteStorageGroup(ctx, c.Principal, g.GUID); err != nil {
		return err
	}
	return a.await(ctx, op, func(cfg *org.Config) bool { _, err := cfg.StorageGroup(g.GUID.String()); return err != nil })
}

// mostAwaited is how long a change of the directory may take to be in force.
const mostAwaited = 30 * time.Second

// await waits until the configuration in force shows a change that is in the
// directory, and lets the stores know of it.
func (a *Admin) await(ctx context.Context, op string, ok func(*org.Config) bool) error {
	ctx, cancel := context.WithTimeout(ctx, mostAwaited)
	defer cancel()
	changed := a.Org.Watch(ctx)
	for !ok(a.Org.Config()) {
		if _, open := <-changed; !open {
			return model.E(op, model.KindUnavailable, "the change is made but not yet in force", ctx.Err())
		}
	}
	a.Stores.Know()
	return nil
}

// NewStore is a mailbox store to be made.
type NewStore struct {
	Name        string `json:"name"`
	Group       string `json:"group"`           // name or GUID of a storage group; "": the only one
	Warn        int64  `json:"warn,omitempty"`  // octets at which owners are warned
	Send        int64  `json:"send,omitempty"`  // at which they send no more
	Hard        int64  `json:"hard,omitempty"`  // at which they receive no more
	Items       int    `json:"items,omitempty"` // days deleted items are kept; 0: 7
	Mailboxes   int    `json:"mailboxes,omitempty"`
	UntilBackup bool   `json:"untilBackup,omitempty"` // keep deleted items until they are backed up
}

// CreateStore makes a mailbox store and mounts it.
func (a *Admin) CreateStore(ctx context.Context, c Caller, n NewStore) (*Nothing, error) {
	const op = "store.create"
	return &Nothing{}, a.audit(ctx, c, op, n.Name, a.createStore(ctx, c, op, n))
}

func (a *Admin) createStore(ctx context.Context, c Caller, op string, n NewStore) error {
	if err := a.allow(c, op); err != nil {
		return err
	}
	if n.Group == "" {
		groups := a.Org.Config().Server.StorageGroups
		if len(groups) != 1 {
			return model.E(op, model.KindInvalid, fmt.Sprintf("there are %d storage groups; name one", len(groups)), nil)
		}
		n.Group = groups[0].Name
	}
	guid, err := a.Org.CreateStore(ctx, c.Principal, org.NewStore{Name: n.Name, Group: n.Group, WarnQuota: n.Warn, SendQuota: n.Send, HardQuota: n.Hard,
		KeepItems: time.Duration(n.Items) * day, KeepMailboxes: time.Duration(n.Mailboxes) * day, UntilBackup: n.UntilBackup})
	if err != nil {
		return err
	}
	if err := a.await(ctx, op, func(cfg *org.Config) bool { _, _, ok := cfg.Store(guid); return ok }); err != nil {
		return err
	}
	if err := a.Stores.Mount(ctx, guid); err != nil {
		return model.E(op, model.KindOther, n.Name+" is made but could not be mounted", err)
	}
	return nil
}

// DeleteStore names a mailbox store to be deleted.
type DeleteStore struct {
	Name  string `json:"name"`
	Purge bool   `json:"purge,omitempty"` // its database too
}

// Deleted says what is left of a deleted store.
type Deleted struct {
	Files string `json:"files,omitempty"` // directory on the server
}

// DeleteStore deletes a mailbox store that no mailboxes are in. Its database
// stays, unless it is to be purged, which cannot be taken back.
func (a *Admin) DeleteStore(ctx context.Context, c Caller, d DeleteStore) (*Deleted, error) {
	const op = "store.delete"
	out, err := a.deleteStore(ctx, c, op, d)
	if err = a.audit(ctx, c, op, d.Name, err); err != nil {
		return nil, err
	}
	return out, nil
}

func (a *Admin) deleteStore(ctx context.Context, c Caller, op string, d DeleteStore) (*Deleted, error) {
	if err := a.allow(c, op); err != nil {
		return nil, err
	}
	guid, err := a.storeNamed(ctx, d.Name)
	if err != nil {
		return nil, err
	}
	// What would be refused is, before anything is dismounted.
	if n, err := a.Org.Homed(ctx, guid); err != nil || n > 0 {
		if err == nil {
			err = org.StillHomed(op, n)
		}
		return nil, err
	}
	wasMounted := false
	if _, err := a.Stores.Database(guid); err == nil {
		wasMounted = true
	}
	if err := a.Stores.Dismount(ctx, guid); err != nil {
		return nil, err
	}
	out := &Deleted{Files: a.Stores.Where(guid)}
	// The database goes first: what is cut short then is done again by the same
	// command.
	if d.Purge {
		if err := a.Stores.Drop(ctx, guid); err != nil {
			return nil, err
		}
		out.Files = ""
	}
	if err := a.Org.DeleteStore(ctx, c.Principal, guid); err != nil {
		if wasMounted && !d.Purge {
			_ = a.Stores.Mount(ctx, guid) // the error before is the one to report
		}
		return nil, err
	}
	return out, a.await(ctx, op, func(cfg *org.Config) bool { _, _, ok := cfg.Store(guid); return !ok })
}

// MaintainStore begins a job that maintains a store now, whatever its schedule
// says; the result is a store.Maintenance. It goes on where one was interrupted.
func (a *Admin) MaintainStore(ctx context.Context, c Caller, n Name) (*Job, error) {
	const op = "store.maintain"
	var guid model.GUID
	err := a.allow(c, op)
	if err == nil {
		guid, err = a.storeNamed(ctx, n.Name)
	}
	if err == nil {
		_, err = a.Stores.Database(guid)
	}
	if err != nil {
		return nil, a.audit(ctx, c, op, n.Name, err)
	}
	return a.start(ctx, c, op, n.Name, func(ctx context.Context, r *running) (any, error) {
		return a.Stores.MaintainNow(ctx, guid, a.jobs.progress(r, false))
	})
}

// home finds the store that a new mailbox goes to; "" is the first of the
// server.
func (a *Admin) home(op, name string) (model.GUID, error) {
	if name == "" {
		return model.GUID{}, nil
	}
	for _, s := range a.Org.Config().Servers {
		for _, g := range s.StorageGroups {
			for _, st := range g.Stores {
				if !st.Public && !g.Recovery && (strings.EqualFold(st.Name, name) || st.GUID.String() == strings.ToLower(name)) {
					return st.GUID, nil
				}
			}
		}
	}
	return model.GUID{}, model.E(op, model.KindNotFound, "mailbox store "+name, nil)
}
