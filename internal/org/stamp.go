package org

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"rialto/internal/directory"
	"rialto/internal/model"
)

// stampAttributes are what the Recipient Update Service looks at.
var stampAttributes = []string{"objectClass", "objectGUID", "cn", "displayName", "mailNickname", "sAMAccountName", "givenName", "initials", "sn",
	"legacyExchangeDN", "proxyAddresses", "mail", "textEncodedORAddress", "targetAddress", "showInAddressBook", "msExchHideFromAddressLists",
	"msExchPoliciesIncluded", "msExchPoliciesExcluded", "userAccountControl", "msExchUserAccountControl", "homeMDB", "homeMTA",
	"msExchHomeServerName", "msExchMailboxGuid", "mDBUseDefaults"}

// stampTries is how often a stamp is made again when somebody else took one of
// its names meanwhile.
const stampTries = 5

// maxNumeral bounds the search for a free address or legacy DN.
const maxNumeral = 10000

// UpdateRecipient gives a mail-enabled object what the Recipient Update Service
// would: missing identity, addresses of its recipient policy, and its address
// lists. What is right already is not written.
// KindInvalid if the object has no alias.
func (o *Org) UpdateRecipient(ctx context.Context, p directory.Principal, g model.GUID) error {
	const op = "org.update"
	var err error
	for range stampTries {
		var e *directory.Entry
		if e, err = o.get(ctx, g, stampAttributes...); err != nil {
			return err
		}
		if e.Text("mailNickname") == "" {
			return model.E(op, model.KindInvalid, e.DN+" is not mail-enabled", nil)
		}
		st := stamp{o: o, s: o.now.Load(), e: e, g: g}
		if err = st.all(ctx); err != nil {
			return err
		}
		if len(st.mods) == 0 {
			return nil
		}
		err = o.dir.Modify(ctx, p, directory.GUIDName(g), st.mods)
		if !model.IsKind(err, model.KindExists) {
			return err
		}
	}
	return err
}

func (o *Org) get(ctx context.Context, g model.GUID, attrs ...string) (*directory.Entry, error) {
	return directory.Get(ctx, o.dir, directory.AsSystem, directory.GUIDName(g), attrs...)
}

// stamp collects what has to change on one recipient.
type stamp struct {
	o    *Org
	s    *snapshot
	e    *directory.Entry
	g    model.GUID
	mods []directory.Modification
}

// want sets an attribute to exactly these values, in any order.
func (st *stamp) want(name string, values ...string) {
	have := st.e.Texts(name)
	a, b := slices.Sorted(slices.Values(have)), slices.Sorted(slices.Values(values))
	if !slices.Equal(a, b) {
		st.mods = append(st.mods, directory.Modification{Op: directory.Replace, Attr: directory.Attr(name, values...)})
	}
}

// fill sets an attribute that is missing.
func (st *stamp) fill(name, value string) {
	if st.e.Values(name) == nil && value != "" {
		st.want(name, value)
	}
}

func (st *stamp) all(ctx context.Context) error {
	if err := st.identity(ctx); err != nil {
		return err
	}
	if err := st.proxies(ctx); err != nil {
		return err
	}
	var lists []string
	if !st.e.Bool("msExchHideFromAddressLists") {
		var err error
		if lists, err = st.o.listsOf(ctx, st.s, st.g); err != nil {
			return err
		}
	}
	st.want("showInAddressBook", lists...)
	return nil
}

func (st *stamp) identity(ctx context.Context) error {
	alias := st.e.Text("mailNickname")
	st.fill("displayName", alias)
	if st.e.Values("legacyExchangeDN") == nil {
		dn, err := st.o.freeLegacyDN(ctx, st.s, st.g, alias)
		if err != nil {
			return err
		}
		st.want("legacyExchangeDN", dn)
	}
	if st.e.Is("user") {
		uac, _ := st.e.Int("userAccountControl")
		st.want("msExchUserAccountControl", strconv.FormatInt(uac&accountDisabled, 10))
	}
	home := st.e.Text("homeMDB")
	if home == "" {
		return nil
	}
	if st.e.Values("msExchMailboxGuid") == nil {
		g := model.NewGUID()
		st.mods = append(st.mods, directory.Modification{Op: directory.Replace, Attr: directory.Octets("msExchMailboxGuid", g[:])})
	}
	ref, err := st.o.store(ctx, home)
	if err != nil {
		return err
	}
	if srv := st.s.serverNamed(ref.server); srv != nil {
		st.fill("msExchHomeServerName", srv.LegacyDN)
		st.fill("homeMTA", st.o.mta(ctx, st.s, srv))
	}
	return nil
}

func (s *snapshot) serverNamed(name string) *Server {
	for i := range s.config.Servers {
		if strings.EqualFold(s.config.Servers[i].Name, name) {
			return &s.config.Servers[i]
		}
	}
	return nil
}

// mta returns the DN of a server's MTA, "" if it has none.
func (o *Org) mta(ctx context.Context, s *snapshot, srv *Server) string {
	e := s.servers[srv.GUID]
	if e == nil {
		return ""
	}
	dn := "CN=Microsoft MTA," + e.DN
	if g, err := o.guidOf(ctx, dn); err != nil || g.IsZero() {
		return ""
	}
	return dn
}

// freeLegacyDN returns /o=Org/ou=AG/cn=Recipients/cn=alias with a numeral if
// the name is taken.
func (o *Org) freeLegacyDN(ctx context.Context, s *snapshot, g model.GUID, alias string) (string, error) {
	group, _, _ := strings.Cut(s.config.Server.LegacyDN, "/cn=Configuration")
	base := group + "/cn=Recipients/cn=" + clean(strings.ReplaceAll(alias, "/", "-"))
	for n := 1; n <= maxNumeral; n++ {
		dn := base
		if n > 1 {
			dn += strconv.Itoa(n)
		}
		if taken, err := o.taken(ctx, g, "legacyExchangeDN", dn); err != nil || !taken {
			return dn, err
		}
	}
	return "", model.E("org.update", model.KindExists, base, nil)
}

// proxies gives the addresses of the policy. An address that the policy made
// before stays; what was primary and is no more, and every other address, stays
// as secondary.
func (st *stamp) proxies(ctx context.Context) error {
	excluded := slices.ContainsFunc(st.e.Texts("msExchPoliciesExcluded"), func(v string) bool { return strings.EqualFold(v, emailPolicy) })
	have := st.e.Texts("proxyAddresses")
	if !excluded {
		pol, err := st.o.policyOf(ctx, st.s, st.g)
		if err != nil {
			return err
		}
		if pol != nil {
			if have, err = st.apply(ctx, pol, have); err != nil {
				return err
			}
			st.want("msExchPoliciesIncluded", "{"+strings.ToUpper(pol.guid.String())+"},"+emailPolicy)
		}
	}
	st.want("proxyAddresses", have...)
	for attr, typ := range map[string]string{"mail": "SMTP:", "textEncodedORAddress": "X400:"} {
		for _, v := range have {
			if a, ok := strings.CutPrefix(v, typ); ok {
				st.want(attr, a)
			}
		}
	}
	return nil
}

func (st *stamp) names() names {
	e := st.e
	return names{alias: e.Text("mailNickname"), given: e.Text("givenName"), initials: e.Text("initials"), surname: e.Text("sn"), display: e.Text("displayName"),
		spare: []string{e.Text("sAMAccountName"), "r" + strings.ReplaceAll(st.g.String(), "-", "")[:8]}}
}

// apply adds what the policy's templates make to have.
func (st *stamp) apply(ctx context.Context, pol *policy, have []string) ([]string, error) {
	have = slices.Clone(have)
	n := st.names()
	for _, t := range pol.templates {
		if t.typ != "SMTP" && t.typ != "X400" {
			continue
		}
		i := slices.IndexFunc(have, func(v string) bool {
			typ, addr, _ := strings.Cut(v, ":")
			return strings.EqualFold(typ, t.typ) && t.makes(n, addr)
		})
		if i < 0 {
			addr, err := st.free(ctx, t, n)
			if err != nil {
				return nil, err
			}
			have = append(have, strings.ToLower(t.typ)+":"+addr)
			i = len(have) - 1
		}
		if t.primary {
			have = makePrimary(have, t.typ, i)
		}
	}
	if typ, addr, ok := strings.Cut(st.e.Text("targetAddress"), ":"); ok && strings.EqualFold(typ, "SMTP") && !st.e.Is("publicFolder") {
		// The address of a contact is where it really is.
		i := slices.IndexFunc(have, func(v string) bool { return strings.EqualFold(v, "smtp:"+addr) })
		if i < 0 {
			have = append(have, "smtp:"+addr)
			i = len(have) - 1
		}
		have = makePrimary(have, "SMTP", i)
	}
	return have, nil
}

// makePrimary makes have[i] the only one of its type in upper case.
func makePrimary(have []string, typ string, i int) []string {
	for j, v := range have {
		t, addr, _ := strings.Cut(v, ":")
		switch {
		case j == i:
			have[j] = typ + ":" + addr
		case t == typ:
			have[j] = strings.ToLower(typ) + ":" + addr
		}
	}
	return have
}

// free returns the first address of a template that nobody has.
func (st *stamp) free(ctx context.Context, t template, n names) (string, error) {
	for choice := 1; choice <= maxNumeral; choice++ {
		addr := t.address(n, choice)
		taken, err := st.o.taken(ctx, st.g, "proxyAddresses", strings.ToLower(t.typ)+":"+addr)
		if err != nil || !taken {
			return addr, err
		}
	}
	return "", model.E("org.update", model.KindExists, t.address(n, 1), nil)
}
