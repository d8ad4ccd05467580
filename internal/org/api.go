package org

import (
	"context"

	"rialto/internal/directory"
	"rialto/internal/model"
)

var _ Directory = (*Org)(nil)

func unsupported() error { return model.E("org", model.KindUnsupported, "", nil) }

func (o *Org) Resolve(ctx context.Context, a model.Address) (*Recipient, error) {
	return nil, unsupported()
}
func (o *Org) Recipient(ctx context.Context, g model.GUID) (*Recipient, error) {
	return nil, unsupported()
}
func (o *Org) Members(ctx context.Context, group model.GUID) ([]*Recipient, error) {
	return nil, unsupported()
}

// Find finds one object by account name, UPN, DOMAIN\account, alias, any SMTP address, display name, DN or GUID.
func (o *Org) Find(ctx context.Context, name string) (*Recipient, error) { return nil, unsupported() }

// List hands out recipients and accounts; kinds none means all.
func (o *Org) List(ctx context.Context, q Query, fn func(*Recipient) error) (next string, err error) {
	return "", unsupported()
}

func (o *Org) CreateUser(ctx context.Context, p directory.Principal, u NewUser) (model.GUID, error) {
	return model.GUID{}, unsupported()
}
func (o *Org) CreateContact(ctx context.Context, p directory.Principal, c NewContact) (model.GUID, error) {
	return model.GUID{}, unsupported()
}
func (o *Org) CreateGroup(ctx context.Context, p directory.Principal, g NewGroup) (model.GUID, error) {
	return model.GUID{}, unsupported()
}
func (o *Org) MailboxEnable(ctx context.Context, p directory.Principal, user model.GUID, m NewMailbox) (*Recipient, error) {
	return nil, unsupported()
}
func (o *Org) MailboxDisable(ctx context.Context, p directory.Principal, user model.GUID) error {
	return unsupported()
}
func (o *Org) UpdateRecipient(ctx context.Context, p directory.Principal, g model.GUID) error {
	return unsupported()
}
func (o *Org) SetPassword(ctx context.Context, p directory.Principal, user model.GUID, credential string) error {
	return unsupported()
}
func (o *Org) AddMembers(ctx context.Context, p directory.Principal, group model.GUID, members ...model.GUID) error {
	return unsupported()
}
func (o *Org) RemoveMembers(ctx context.Context, p directory.Principal, group model.GUID, members ...model.GUID) error {
	return unsupported()
}
func (o *Org) SetLimits(ctx context.Context, p directory.Principal, g model.GUID, l Limits) error {
	return unsupported()
}

// Modify changes any object, configuration included, by its GUID.
func (o *Org) Modify(ctx context.Context, p directory.Principal, g model.GUID, mods ...directory.Modification) error {
	return unsupported()
}
func (o *Org) DeleteObject(ctx context.Context, p directory.Principal, g model.GUID) error {
	return unsupported()
}
