package directory

import (
	"context"
	"encoding/binary"
	"strings"
	"time"

	"rialto/internal/auth"
	"rialto/internal/model"
	"rialto/internal/wire/ldap"
)

// Finder finds accounts for sign-in in a directory: by account name
// (alice), user principal name or any SMTP address (alice@contoso.test),
// domain and account (CONTOSO\alice), or DN. Names that mean a group or a
// contact are not found.
type Finder struct {
	Dir   Directory
	Clock model.Clock // for accountExpires; nil: time.Now
}

var _ auth.Finder = Finder{}

var accountAttributes = []string{"objectClass", "objectGUID", "objectSid", "sAMAccountName", "userPrincipalName", "displayName",
	"userAccountControl", "accountExpires", "supplementalCredentials", "msExchMailboxGuid", "msExchHomeServerName", "protocolSettings"}

// FindAccount implements auth.Finder. A user principal name goes before a mail
// address of another account.
func (f Finder) FindAccount(ctx context.Context, name string) (*auth.Account, error) {
	const op = "directory.finder"
	for _, q := range f.filters(name) {
		found, err := Find(ctx, f.Dir, AsSystem, &Search{Base: f.Dir.Root().Domain, Scope: Subtree, Filter: q, Attributes: accountAttributes, Limit: 2})
		if err != nil {
			return nil, err
		}
		if len(found) == 1 && found[0].Is("user") {
			return f.account(ctx, found[0])
		}
	}
	return nil, model.E(op, model.KindNotFound, name, nil)
}

// filters lists what a name may mean, the surest first.
func (f Finder) filters(name string) []*ldap.Filter {
	root := f.Dir.Root()
	if dom, account, ok := strings.Cut(name, `\`); ok {
		if strings.EqualFold(dom, root.NetBIOS) || strings.EqualFold(dom, root.DNSDomain) {
			return []*ldap.Filter{ldap.Equal("sAMAccountName", account)}
		}
		return nil
	}
	if strings.Contains(name, "=") {
		if dn, err := ldap.ParseDN(name); err == nil && len(dn) > 1 {
			return []*ldap.Filter{ldap.Equal("distinguishedName", name)}
		}
	}
	if account, dom, ok := strings.Cut(name, "@"); ok {
		list := []*ldap.Filter{ldap.Equal("userPrincipalName", name)}
		if strings.EqualFold(dom, root.DNSDomain) {
			// Every account may sign in so, even without a principal name (MS-ADTS 5.1.1.1.1).
			list = append(list, ldap.Equal("sAMAccountName", account))
		}
		if a, err := model.ParseAddress(name); err == nil && f.Dir.Schema().Attribute("proxyAddresses") != nil {
			list = append(list, ldap.Equal("proxyAddresses", "smtp:"+a.Key()))
		}
		return list
	}
	return []*ldap.Filter{ldap.Equal("sAMAccountName", name)}
}

func (f Finder) account(ctx context.Context, e *Entry) (*auth.Account, error) {
	a := &auth.Account{GUID: e.GUID(), Name: e.Text("sAMAccountName"), UPN: e.Text("userPrincipalName"), DN: e.DN,
		DisplayName: e.Text("displayName"), Credential: e.Text("supplementalCredentials")}
	if v := e.Values("objectSid"); len(v) > 0 {
		a.SID = v[0]
	}
	if v := e.Values("msExchMailboxGuid"); len(v) > 0 && len(v[0]) == 16 {
		copy(a.MailboxGUID[:], v[0])
	}
	home := e.Text("msExchHomeServerName")
	a.HomeServer = home[strings.LastIndexByte(home, '=')+1:]
	uac, _ := e.Int("userAccountControl")
	expires, _ := e.Int("accountExpires")
	a.Disabled = uac&2 != 0 || f.expired(expires)
	for name, on := range ProtocolSettings(e.Texts("protocolSettings")) {
		if a.Protocols == nil {
			a.Protocols = map[string]bool{}
		}
		a.Protocols[strings.ToLower(name)] = on
	}
	if on, said := a.Protocols["http"]; said {
		a.Protocols["owa"] = on
	}
	groups, err := Groups(ctx, f.Dir, e.DN)
	if err != nil {
		return nil, err
	}
	a.Admin = isAdministrator(a.SID, groups)
	return a, nil
}

// expired tells of accountExpires: 100 ns since 1601, 0 or the largest number
// for never.
func (f Finder) expired(t int64) bool {
	if t <= 0 || t == 1<<63-1 {
		return false
	}
	now := time.Now()
	if f.Clock != nil {
		now = f.Clock()
	}
	return now.After(time.Unix(t/1e7-11644473600, 0))
}

// Relative ids that make an administrator (MS-DTYP 2.4.2.4).
const (
	ridAdministrator    = 500
	ridDomainAdmins     = 512
	ridEnterpriseAdmins = 519
	ridAdministrators   = 544
)

func isAdministrator(sid []byte, groups []*Entry) bool {
	if RID(sid) == ridAdministrator {
		return true
	}
	for _, g := range groups {
		if v := g.Values("objectSid"); len(v) > 0 {
			switch RID(v[0]) {
			case ridDomainAdmins, ridEnterpriseAdmins, ridAdministrators:
				return true
			}
		}
	}
	return false
}

// RID returns the last part of a SID, 0 if it is none.
func RID(sid []byte) uint32 {
	if len(sid) < 12 {
		return 0
	}
	return binary.LittleEndian.Uint32(sid[len(sid)-4:])
}

// maxGroups bounds the groups that one account is a member of.
const maxGroups = 1000

// Groups returns the groups an object is a member of, directly or through
// others, with their SIDs. Groups that are members of each other do no harm.
func Groups(ctx context.Context, d Directory, dn string) ([]*Entry, error) {
	seen := map[model.GUID]bool{}
	var out []*Entry
	for next := []string{dn}; len(next) > 0; next = next[1:] {
		found, err := Find(ctx, d, AsSystem, &Search{Scope: Subtree, Global: true,
			Filter: ldap.Equal("member", next[0]), Attributes: []string{"objectGUID", "objectSid", "sAMAccountName"}})
		if err != nil {
			return nil, err
		}
		for _, g := range found {
			if !seen[g.GUID()] && len(out) < maxGroups {
				seen[g.GUID()] = true
				out = append(out, g)
				next = append(next, g.DN)
			}
		}
	}
	return out, nil
}

// maxSettings bounds the values of protocolSettings that are looked at.
const maxSettings = 32

// ProtocolSettings reads the values of protocolSettings: fields separated by
// "§", the protocol's name first, then 0 if the user may not use it.
// It says of each protocol named, in upper case, whether
// it is allowed; what is not named is. nil if nothing is named.
func ProtocolSettings(values []string) map[string]bool {
	var out map[string]bool
	for _, v := range values[:min(len(values), maxSettings)] {
		f := strings.Split(v, "§")
		name := strings.ToUpper(strings.TrimSpace(f[0]))
		if len(f) < 2 || name == "" || len(v) > 256 {
			continue
		}
		if out == nil {
			out = map[string]bool{}
		}
		out[name] = strings.TrimSpace(f[1]) != "0"
	}
	return out
}
