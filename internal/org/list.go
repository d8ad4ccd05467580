package org

import (
	"context"
	"slices"
	"strings"

	"rialto/internal/directory"
	"rialto/internal/model"
	"rialto/internal/wire/ldap"
)

// Query selects what List hands out.
type Query struct {
	Kinds []RecipientKind // none: users, contacts and groups, with mail or without
	Match string          // beginning of a name, alias or address; "": all
	Limit int             // most entries of a page looked at; 0: no limit
	After string          // token of the page before
}

func person() *ldap.Filter { return ldap.Equal("objectCategory", "person") }

// List hands out accounts and recipients page by page, in the order in which
// they were made. next is "" at the end.
func (o *Org) List(ctx context.Context, q Query, fn func(*Recipient) error) (next string, err error) {
	f := ldap.Or(person(), ldap.Equal("objectCategory", "group"))
	if len(q.Kinds) > 0 {
		var kinds []*ldap.Filter
		for _, k := range q.Kinds {
			kinds = append(kinds, kindFilter(k))
		}
		f = ldap.Or(kinds...)
	}
	if q.Match != "" {
		f = ldap.And(&ldap.Filter{Kind: ldap.FilterEqual, Attr: "anr", Value: []byte(q.Match)}, f)
	}
	s := &directory.Search{Base: o.dir.Root().Domain, Scope: directory.Subtree, Filter: f, Attributes: recipientAttributes, Limit: q.Limit, After: q.After}
	return o.dir.Search(ctx, directory.AsSystem, s, func(e *directory.Entry) error {
		if k := kindOf(e); len(q.Kinds) > 0 && !slices.Contains(q.Kinds, k) {
			return nil
		}
		r, err := o.recipient(ctx, e)
		if err != nil {
			return err
		}
		return fn(r)
	})
}

func kindFilter(k RecipientKind) *ldap.Filter {
	switch k {
	case Mailbox, MailUser:
		return ldap.And(person(), ldap.Equal("objectClass", "user"), ldap.Present("mailNickname"))
	case Contact:
		return ldap.And(person(), ldap.Equal("objectClass", "contact"))
	case Group:
		return ldap.Equal("objectCategory", "group")
	case PublicFolder:
		return ldap.Equal("objectCategory", "publicFolder")
	case DynamicGroup:
		return ldap.Equal("objectCategory", "msExchDynamicDistributionList")
	}
	return ldap.Or(ldap.And(person(), ldap.Equal("objectClass", "user")), ldap.Equal("objectCategory", "group"))
}

// all collects a list.
func (o *Org) all(ctx context.Context, kinds ...RecipientKind) (out []*Recipient, err error) {
	_, err = o.List(ctx, Query{Kinds: kinds}, func(r *Recipient) error {
		out = append(out, r)
		return nil
	})
	return out, err
}

// Users returns all user accounts, with mail or without.
func (o *Org) Users(ctx context.Context) ([]*Recipient, error) {
	all, err := o.all(ctx, 0, Mailbox, MailUser)
	return slices.DeleteFunc(all, func(r *Recipient) bool { return !r.User }), err
}

// Mailboxes returns the mailbox-enabled users.
func (o *Org) Mailboxes(ctx context.Context) ([]*Recipient, error) { return o.all(ctx, Mailbox) }

// Contacts returns the mail-enabled contacts.
func (o *Org) Contacts(ctx context.Context) ([]*Recipient, error) { return o.all(ctx, Contact) }

// Groups returns the mail-enabled groups, dynamic ones included.
func (o *Org) Groups(ctx context.Context) ([]*Recipient, error) {
	return o.all(ctx, Group, DynamicGroup)
}

// Find finds one account or recipient by what an administrator types: a GUID, a
// DN, an SMTP address, a user principal name, DOMAIN\account, an account name,
// an alias or the exact display name. KindNotFound, or KindConflict if several
// objects have the name.
func (o *Org) Find(ctx context.Context, name string) (*Recipient, error) {
	const op = "org.find"
	if g, err := model.ParseGUID(name); err == nil {
		return o.Recipient(ctx, g)
	}
	if a, err := model.ParseAddress(name); err == nil {
		if r, err := o.Resolve(ctx, a); !model.IsKind(err, model.KindNotFound) {
			return r, err
		}
	}
	short := name
	if dom, account, ok := strings.Cut(name, `\`); ok && strings.EqualFold(dom, o.dir.Root().NetBIOS) {
		short = account
	}
	tries := []*ldap.Filter{ldap.Equal("sAMAccountName", short), ldap.Equal("userPrincipalName", name),
		ldap.Equal("mailNickname", name), ldap.Equal("displayName", name), ldap.Equal("name", name)}
	if strings.Contains(name, "=") {
		tries = append(tries, ldap.Equal("distinguishedName", name))
	}
	for _, f := range tries {
		var found []*directory.Entry
		s := &directory.Search{Base: o.dir.Root().Domain, Scope: directory.Subtree, Filter: f, Attributes: recipientAttributes, Limit: 2}
		found, err := directory.Find(ctx, o.dir, directory.AsSystem, s)
		if err != nil {
			return nil, unavailable(op, name, err)
		}
		found = slices.DeleteFunc(found, func(e *directory.Entry) bool {
			return kindOf(e) == 0 && !e.Is("user") && !e.Is("group") && !e.Is("contact")
		})
		switch len(found) {
		case 0:
		case 1:
			r, err := o.recipient(ctx, found[0])
			if err != nil {
				return nil, unavailable(op, name, err)
			}
			return r, nil
		default:
			return nil, model.E(op, model.KindConflict, name+" is the name of several objects", nil)
		}
	}
	return nil, model.E(op, model.KindNotFound, name, nil)
}
