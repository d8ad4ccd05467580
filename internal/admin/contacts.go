package admin

import (
	"context"

	"rialto/internal/model"
	"rialto/internal/org"
)

// NewContact is a contact to be made.
type NewContact struct {
	Name   string `json:"name"`
	Alias  string `json:"alias"`
	Target string `json:"target"` // SMTP address
}

// CreateContact makes a contact: an address outside that lists show.
func (a *Admin) CreateContact(ctx context.Context, c Caller, n NewContact) (*Recipient, error) {
	const op = "contact.create"
	if err := a.allow(c, op); err != nil {
		return nil, a.audit(ctx, c, op, n.Name, err)
	}
	var r *org.Recipient
	target, err := model.ParseAddress(n.Target)
	if err == nil {
		var guid model.GUID
		if guid, err = a.Org.CreateContact(ctx, c.Principal, org.NewContact{Name: n.Name, Alias: n.Alias, Target: target}); err == nil {
			r, err = a.Org.Recipient(ctx, guid)
		}
	}
	if err = a.audit(ctx, c, op, n.Name, err); err != nil {
		return nil, err
	}
	return a.show(r), nil
}

// ListContacts lists contacts.
func (a *Admin) ListContacts(ctx context.Context, c Caller, q Query) (*Page, error) {
	return a.list(ctx, c, "contact.list", q, org.Contact)
}

// DeleteContact deletes a contact.
func (a *Admin) DeleteContact(ctx context.Context, c Caller, n Name) (*Nothing, error) {
	return a.remove(ctx, c, "contact.delete", n, org.Contact)
}
