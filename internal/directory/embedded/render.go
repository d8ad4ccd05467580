package embedded

import (
	"context"

	"rialto/internal/directory"
	"rialto/internal/directory/schema"
	"rialto/internal/kv"
	"rialto/internal/model"
)

// readable reports whether a principal may read an attribute. Users read what
// an address book shows; administrators all but credentials.
func readable(p directory.Principal, sa *schema.Attribute) bool {
	switch p.Level {
	case directory.System:
		return true
	case directory.Administrator:
		return !secret(sa.Name)
	case directory.User:
		return addressBook(sa.Name)
	}
	return false
}

// addressBook names the attributes that a user may read of others: those of an
// address book's property sheets (MS-OXOABK) and what finds and names entries.
func addressBook(name string) bool {
	switch name {
	case "objectClass", "objectCategory", "cn", "name", "ou", "dc", "o", "distinguishedName", "objectGUID", "objectSid", "displayName",
		"sn", "givenName", "initials", "title", "description", "mail", "mailNickname", "proxyAddresses", "legacyExchangeDN",
		"telephoneNumber", "otherTelephone", "facsimileTelephoneNumber", "homePhone", "mobile", "pager", "ipPhone", "info",
		"physicalDeliveryOfficeName", "department", "company", "manager", "directReports", "streetAddress", "street", "postOfficeBox", "l", "st",
		"postalCode", "postalAddress", "c", "co", "member", "memberOf", "managedBy", "managedObjects", "targetAddress", "showInAddressBook",
		"wWWHomePage", "url", "userCertificate", "thumbnailPhoto", "employeeID", "userPrincipalName", "sAMAccountName", "uid",
		"textEncodedORAddress", "msExchFBURL", "publicDelegates", "hideDLMembership", "groupType",
		"extensionAttribute1", "extensionAttribute2", "extensionAttribute3", "extensionAttribute4", "extensionAttribute5",
		"extensionAttribute6", "extensionAttribute7", "extensionAttribute8", "extensionAttribute9", "extensionAttribute10",
		"whenCreated", "whenChanged", "uSNCreated", "uSNChanged", "namingContexts", "instanceType":
		return true
	}
	return false
}

// selection is what a search wants of each entry.
type selection struct {
	all   bool
	names []*schema.Attribute
}

func selectAttributes(s *schema.Schema, names []string) selection {
	sel := selection{all: len(names) == 0}
	for _, n := range names {
		switch {
		case n == "*":
			sel.all = true
		case n == "1.1", n == "+":
		default:
			if sa := s.Attribute(n); sa != nil {
				sel.names = append(sel.names, sa)
			}
		}
	}
	return sel
}

// render makes the entry that a principal sees of an object.
func (q *query) render(o *object) (*directory.Entry, error) {
	dn, err := q.d.nameOf(q.ctx, q.r, q.names, o.n)
	if err != nil {
		return nil, err
	}
	e := &directory.Entry{DN: dn.String()}
	sel := selectAttributes(q.schema, q.s.Attributes)
	if sel.all {
		err = q.renderAll(o, e)
	}
	for _, sa := range sel.names {
		if err != nil {
			return nil, err
		}
		if !readable(q.p, sa) || sel.all && e.Values(sa.Name) != nil {
			continue
		}
		var vals [][]byte
		if vals, err = q.valuesOf(o, sa, e.DN); len(vals) > 0 {
			e.Attributes = append(e.Attributes, directory.Attribute{Name: sa.Name, Values: vals})
		}
	}
	return e, err
}

// renderAll adds everything but back links and what nobody asks for by "*".
func (q *query) renderAll(o *object, e *directory.Entry) error {
	add := func(sa *schema.Attribute) error {
		if sa == nil || !readable(q.p, sa) {
			return nil
		}
		vals, err := q.valuesOf(o, sa, e.DN)
		if len(vals) > 0 {
			e.Attributes = append(e.Attributes, directory.Attribute{Name: sa.Name, Values: vals})
		}
		return err
	}
	for _, name := range []string{"objectClass", o.rdn.Type, "distinguishedName", "name"} {
		if err := add(q.schema.Attribute(name)); err != nil {
			return err
		}
	}
	for _, a := range o.attrs {
		if a.name == "objectClass" {
			continue
		}
		if err := add(q.schema.Attribute(a.name)); err != nil {
			return err
		}
	}
	// memberOf is the back link that everybody expects. Each link costs a scan, so
	// only those are looked for that the object can have.
	classes := o.classes()
	for _, sa := range q.schema.Links() {
		if (sa.Linked() || sa.Name == "memberOf") && q.schema.Allows(classes, sa) {
			if err := add(sa); err != nil {
				return err
			}
		}
	}
	return nil
}

// valuesOf returns the values of one attribute as they are shown.
func (q *query) valuesOf(o *object, sa *schema.Attribute, dn string) ([][]byte, error) {
	switch {
	case sa.Name == "distinguishedName":
		return [][]byte{[]byte(dn)}, nil
	case sa.Link != 0:
		space, link := sideOf(sa)
		targets, err := scanLinks(q.ctx, q.r, space, link, o.n)
		if err != nil {
			return nil, err
		}
		return q.namesOf(targets)
	case sa.Syntax == schema.SyntaxDN:
		var targets []dnt
		for _, v := range o.get(sa.Name) {
			targets = append(targets, toDNT(v))
		}
		return q.namesOf(targets)
	}
	return q.values(o, sa), nil
}

func (q *query) namesOf(ns []dnt) ([][]byte, error) {
	var out [][]byte
	for _, n := range ns {
		dn, err := q.d.nameOf(q.ctx, q.r, q.names, n)
		if model.IsKind(err, model.KindNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		out = append(out, []byte(dn.String()))
	}
	return out, nil
}

// Changes implements directory.Directory.
func (d *DB) Changes(ctx context.Context, p directory.Principal, c directory.Cookie, fn func(*directory.Entry) error) (directory.Cookie, bool, error) {
	const op = "directory.changes"
	if p.Level < directory.Administrator {
		return c, false, model.E(op, model.KindPermission, "", nil)
	}
	snap, gen, err := d.snapshot(ctx, op)
	if err != nil {
		return c, false, err
	}
	defer snap.Close()
	invocation := d.Root().Invocation
	complete := c.Invocation == invocation || c.USN == 0
	if !complete {
		c.USN = 0
	}
	c.Invocation = invocation
	q := &query{matcher: matcher{d: d, ctx: ctx, r: snap, names: gen, schema: d.schema.Load(), p: p}, s: &directory.Search{}}
	it := snap.Scan(ctx, kv.Range{Lower: usnKey(c.USN + 1), Upper: []byte{spaceUSN + 1}})
	for it.Next() {
		o, err := d.load(ctx, snap, toDNT(it.Value()))
		if err == nil {
			var e *directory.Entry
			if e, err = q.render(o); err == nil {
				err = fn(e)
			}
		}
		if err != nil {
			it.Close()
			return c, complete, err
		}
		c.USN = int64(toDNT(it.Key()[1:]))
	}
	return c, complete, wrap(op, "", it.Close())
}
