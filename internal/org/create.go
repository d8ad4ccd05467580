package org

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"rialto/internal/directory"
	"rialto/internal/model"
	"rialto/internal/wire/ldap"
)

// Group types (MS-ADTS 2.2.12): universal, with the sign bit for security
// groups.
const (
	universalDistribution = "8"
	universalSecurity     = "-2147483640"
)

// mayManage refuses who may not write to the directory. Objects are made on
// behalf of the system, because only it writes credentials.
func mayManage(op string, p directory.Principal) error {
	if p.Level < directory.Administrator {
		return model.E(op, model.KindPermission, "", nil)
	}
	return nil
}

func (o *Org) container(dn string) string {
	if dn == "" {
		return "CN=Users," + o.dir.Root().Domain
	}
	return dn
}

// attrs collects attributes that have a value.
type attrs []directory.Attribute

func (a *attrs) add(name string, values ...string) {
	values = slices.DeleteFunc(values, func(v string) bool { return v == "" })
	if len(values) > 0 {
		*a = append(*a, directory.Attr(name, values...))
	}
}

// create adds an object and returns its GUID.
func (o *Org) create(ctx context.Context, rdn, container string, list attrs) (model.GUID, error) {
	dn := "CN=" + ldap.EscapeDN(rdn) + "," + o.container(container)
	if err := o.dir.Add(ctx, directory.AsSystem, dn, list); err != nil {
		return model.GUID{}, err
	}
	return o.guidOf(ctx, dn)
}

// CreateUser makes an account without a mailbox. KindExists if a name is taken.
func (o *Org) CreateUser(ctx context.Context, p directory.Principal, u NewUser) (model.GUID, error) {
	const op = "org.createuser"
	if err := mayManage(op, p); err != nil {
		return model.GUID{}, err
	}
	if u.Account == "" || len(u.Account) > 256 || strings.ContainsAny(u.Account, "\"/\\[]:;|=,+*?<>@\x00") {
		return model.GUID{}, model.E(op, model.KindInvalid, "account name "+u.Account, nil)
	}
	full := strings.TrimSpace(u.GivenName + " " + u.Surname)
	display := firstOf(u.DisplayName, full, u.Account)
	var a attrs
	a.add("objectClass", "user")
	a.add("sAMAccountName", u.Account)
	a.add("userPrincipalName", firstOf(u.UPN, u.Account+"@"+o.dir.Root().DNSDomain))
	a.add("displayName", display)
	a.add("givenName", u.GivenName)
	a.add("initials", u.Initials)
	a.add("sn", u.Surname)
	if u.Disabled {
		a.add("userAccountControl", "514")
	}
	if u.Credential != "" {
		a.add("supplementalCredentials", u.Credential)
		a.add("pwdLastSet", filetime(o.opts.Clock()))
	}
	// The account name is unique where people's names are not.
	g, err := o.create(ctx, u.Account, u.Container, append(a, u.Attributes...))
	return g, err
}

func firstOf(list ...string) string {
	for _, s := range list {
		if s != "" {
			return s
		}
	}
	return ""
}

// filetime is a time in 100 ns since 1601 (MS-DTYP 2.3.3).
func filetime(t time.Time) string {
	return strconv.FormatInt((t.Unix()+11644473600)*1e7+int64(t.Nanosecond())/100, 10)
}

// CreateContact makes a mail-enabled contact. If it is interrupted before the
// contact has its addresses, UpdateRecipient completes it.
func (o *Org) CreateContact(ctx context.Context, p directory.Principal, c NewContact) (model.GUID, error) {
	const op = "org.createcontact"
	if err := mayManage(op, p); err != nil {
		return model.GUID{}, err
	}
	if c.Name == "" || c.Target.IsZero() {
		return model.GUID{}, model.E(op, model.KindInvalid, "contact "+c.Name, nil)
	}
	if taken, err := o.taken(ctx, model.GUID{}, "proxyAddresses", "smtp:"+c.Target.String()); err != nil || taken {
		if err == nil {
			err = model.E(op, model.KindExists, c.Target.String(), nil)
		}
		return model.GUID{}, err
	}
	var a attrs
	a.add("objectClass", "contact")
	a.add("displayName", c.Name)
	a.add("givenName", c.GivenName)
	a.add("sn", c.Surname)
	a.add("mailNickname", firstOf(aliasOf(c.Alias), aliasOf(c.Name), aliasOf(c.Target.Local), "contact"))
	a.add("targetAddress", "SMTP:"+c.Target.String())
	g, err := o.create(ctx, c.Name, c.Container, append(a, c.Attributes...))
	if err != nil {
		return g, err
	}
	return g, o.UpdateRecipient(ctx, directory.AsSystem, g)
}

// CreateGroup makes a universal group, with addresses if it has an alias.
func (o *Org) CreateGroup(ctx context.Context, p directory.Principal, n NewGroup) (model.GUID, error) {
	const op = "org.creategroup"
	if err := mayManage(op, p); err != nil {
		return model.GUID{}, err
	}
	if n.Name == "" {
		return model.GUID{}, model.E(op, model.KindInvalid, "group without a name", nil)
	}
	var a attrs
	a.add("objectClass", "group")
	a.add("sAMAccountName", firstOf(n.Account, n.Name))
	a.add("displayName", n.Name)
	a.add("mailNickname", aliasOf(n.Alias))
	if n.Alias != "" {
		a.add("reportToOriginator", "TRUE")
	}
	kind := universalDistribution
	if n.Security {
		kind = universalSecurity
	}
	a.add("groupType", kind)
	members, err := o.dnsOf(ctx, n.Members)
	if err != nil {
		return model.GUID{}, err
	}
	a.add("member", members...)
	if !n.Owner.IsZero() {
		owner, err := o.dnsOf(ctx, []model.GUID{n.Owner})
		if err != nil {
			return model.GUID{}, err
		}
		a.add("managedBy", owner...)
	}
	g, err := o.create(ctx, n.Name, n.Container, append(a, n.Attributes...))
	if err != nil || aliasOf(n.Alias) == "" {
		return g, err
	}
	return g, o.UpdateRecipient(ctx, directory.AsSystem, g)
}

// aliasOf keeps what a mailNickname may hold, at most 64 characters.
func aliasOf(s string) string {
	s = strings.Map(func(r rune) rune {
		if r <= ' ' || r == 0x7f || strings.ContainsRune("@\"(),:;<>[]\\/", r) {
			return -1
		}
		return r
	}, s)
	return strings.Trim(take(s, 64), ".")
}

func (o *Org) dnsOf(ctx context.Context, list []model.GUID) (out []string, err error) {
	for _, g := range list {
		e, err := o.get(ctx, g, "1.1")
		if err != nil {
			return nil, err
		}
		out = append(out, e.DN)
	}
	return out, nil
}
