package admin

import (
	"context"

	"rialto/internal/directory"
	"rialto/internal/model"
	"rialto/internal/org"
)

// NewGroup is a distribution group to be made.
type NewGroup struct {
	Name     string   `json:"name"`
	Alias    string   `json:"alias"` // "": the name
	Members  []string `json:"members"`
	Security bool     `json:"security"`
}

// CreateGroup makes a mail-enabled group.
func (a *Admin) CreateGroup(ctx context.Context, c Caller, n NewGroup) (*Recipient, error) {
	const op = "group.create"
	if err := a.allow(c, op); err != nil {
		return nil, a.audit(ctx, c, op, n.Name, err)
	}
	r, err := a.createGroup(ctx, c, n)
	if err = a.audit(ctx, c, op, n.Name, err); err != nil {
		return nil, err
	}
	return a.show(r), nil
}

func (a *Admin) createGroup(ctx context.Context, c Caller, n NewGroup) (*org.Recipient, error) {
	if n.Alias == "" {
		n.Alias = n.Name
	}
	members, err := a.guids(ctx, n.Members)
	if err != nil {
		return nil, err
	}
	guid, err := a.Org.CreateGroup(ctx, c.Principal, org.NewGroup{Name: n.Name, Alias: n.Alias, Security: n.Security, Members: members})
	if err != nil {
		return nil, err
	}
	return a.Org.Recipient(ctx, guid)
}

func (a *Admin) guids(ctx context.Context, names []string) ([]model.GUID, error) {
	var out []model.GUID
	for _, n := range names {
		r, err := a.Org.Find(ctx, n)
		if err != nil {
			return nil, err
		}
		out = append(out, r.GUID)
	}
	return out, nil
}

// ListGroups lists groups.
func (a *Admin) ListGroups(ctx context.Context, c Caller, q Query) (*Page, error) {
	return a.list(ctx, c, "group.list", q, org.Group, org.DynamicGroup)
}

// DeleteGroup deletes a group.
func (a *Admin) DeleteGroup(ctx context.Context, c Caller, n Name) (*Nothing, error) {
	return a.remove(ctx, c, "group.delete", n, org.Group, org.DynamicGroup)
}

// GroupMembers lists the members of a group.
func (a *Admin) GroupMembers(ctx context.Context, c Caller, n Name) (*Page, error) {
	r, err := a.find(ctx, c, "group.members", n.Name, org.Group)
	if err != nil {
		return nil, err
	}
	members, err := a.Org.Members(ctx, r.GUID)
	p := &Page{Items: []*Recipient{}}
	for _, m := range members {
		p.Items = append(p.Items, a.show(m))
	}
	return p, err
}

// Members names members of a group.
type Members struct {
	Name    string   `json:"name"`
	Members []string `json:"members"`
}

// AddMembers adds members to a group.
func (a *Admin) AddMembers(ctx context.Context, c Caller, m Members) (*Nothing, error) {
	return a.changeMembers(ctx, c, "group.add", m, a.Org.AddMembers)
}

// RemoveMembers removes members from a group.
func (a *Admin) RemoveMembers(ctx context.Context, c Caller, m Members) (*Nothing, error) {
	return a.changeMembers(ctx, c, "group.remove", m, a.Org.RemoveMembers)
}

func (a *Admin) changeMembers(ctx context.Context, c Caller, op string, m Members,
	change func(ctx context.Context, p directory.Principal, group model.GUID, members ...model.GUID) error) (*Nothing, error) {
	r, err := a.find(ctx, c, op, m.Name, org.Group)
	if err == nil {
		var guids []model.GUID
		if guids, err = a.guids(ctx, m.Members); err == nil {
			err = change(ctx, c.Principal, r.GUID, guids...)
		}
	}
	return &Nothing{}, a.audit(ctx, c, op, m.Name, err)
}
