package setup

import (
	"context"
	"regexp"
	"strings"

	"rialto/internal/directory"
	"rialto/internal/directory/schema"
	"rialto/internal/model"
	"rialto/internal/wire/ldap"
)

// Relative ids of groups whose members may run parts of Setup
// (MS-DTYP 2.4.2.4).
const (
	domainAdmins     = 512
	schemaAdmins     = 518
	enterpriseAdmins = 519
)

func stop(kind model.Kind, text string) error { return model.E("setup", kind, text, nil) }

// memberships returns the SIDs of who runs Setup: his own and his groups'; nil
// for the system and a local administrator, who are not asked.
func (r *run) memberships(ctx context.Context) ([][]byte, error) {
	if r.p.Level == directory.System || r.p.GUID.IsZero() {
		return nil, nil
	}
	e, err := directory.Get(ctx, r.dir, directory.AsSystem, directory.GUIDName(r.p.GUID), "objectSid")
	if err != nil {
		return nil, err
	}
	sids := e.Values("objectSid")
	groups, err := directory.Groups(ctx, r.dir, e.DN)
	for _, g := range groups {
		sids = append(sids, g.Values("objectSid")...)
	}
	return sids, err
}

// requireGroups stops Setup unless who runs it is in all the groups.
func (r *run) requireGroups(ctx context.Context, rids ...uint32) error {
	if r.p.Level < directory.Administrator {
		return stop(model.KindPermission, "Setup must be run by an administrator")
	}
	sids, err := r.memberships(ctx)
	if err != nil || sids == nil {
		return err
	}
	have := map[uint32]bool{}
	for _, s := range sids {
		have[directory.RID(s)] = true
	}
	names := map[uint32]string{domainAdmins: "Domain Admins", schemaAdmins: "Schema Admins", enterpriseAdmins: "Enterprise Admins"}
	for _, rid := range rids {
		if !have[rid] {
			return stop(model.KindPermission, "the account that runs Setup is not a member of "+names[rid])
		}
	}
	return nil
}

// requireFullAdministrator stops Setup unless who runs it has the role at the
// organization.
func (r *run) requireFullAdministrator(ctx context.Context, orgDN string) error {
	if r.p.Level < directory.Administrator {
		return stop(model.KindPermission, "Setup must be run by an administrator")
	}
	sids, err := r.memberships(ctx)
	if err != nil || sids == nil {
		return err
	}
	e, err := directory.Get(ctx, r.dir, directory.AsSystem, orgDN, "msExchAdmins")
	if err != nil {
		return err
	}
	for _, v := range e.Texts("msExchAdmins") {
		sid, ok := strings.CutPrefix(v, roleFull)
		for _, s := range sids {
			if ok && schema.FormatSID(s) == sid {
				return nil
			}
		}
	}
	return stop(model.KindPermission, "the account that runs Setup has not the role Full Administrator at the organization")
}

// organizationName is the rule for names of organizations.
var organizationName = regexp.MustCompile(`^[A-Za-z0-9 -]{1,63}$`)

var serverName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,15}$`)

// groupName leaves out what DNs and legacy names are made of.
var groupName = regexp.MustCompile(`^[^/\\,=+<>#;"\x00-\x1f]{1,64}$`)

func checkOrganizationName(name string) error {
	if !organizationName.MatchString(name) || strings.TrimSpace(name) != name {
		return stop(model.KindInvalid, "the organization's name must be 1 to 63 characters long, of A-Z a-z 0-9, space and hyphen")
	}
	return nil
}

// The groups that DomainPrep makes.
const (
	domainServers     = "Exchange Domain Servers"
	enterpriseServers = "Exchange Enterprise Servers"
)

func (r *run) groupDN(name string) string { return child(name, "CN=Users,"+r.root.Domain) }

// groupState tells where one of the Exchange groups is.
type groupState int

const (
	inPlace groupState = iota
	missing
	moved
)

func (r *run) groupState(ctx context.Context, name string) (groupState, error) {
	found, err := directory.Find(ctx, r.dir, directory.AsSystem, &directory.Search{Base: r.root.Domain, Scope: directory.Subtree,
		Filter: ldap.Equal("sAMAccountName", name), Attributes: []string{"objectClass"}})
	if err != nil {
		return missing, err
	}
	if len(found) == 1 && sameDN(found[0].DN, r.groupDN(name)) && found[0].Is("group") {
		return inPlace, nil
	}
	there, err := r.exists(ctx, r.groupDN(name))
	if len(found) > 0 || there {
		return moved, err
	}
	return missing, err
}

// requireGroupsInPlace stops Setup if an Exchange group was moved, renamed or,
// unless it may be missing, deleted.
func (r *run) requireGroupsInPlace(ctx context.Context, mayMiss bool) error {
	for _, g := range []string{domainServers, enterpriseServers} {
		s, err := r.groupState(ctx, g)
		switch {
		case err != nil:
			return err
		case s == moved:
			return stop(model.KindConflict, "the group "+g+" was moved or renamed; put it back to "+r.groupDN(g))
		case s == missing && !mayMiss:
			return stop(model.KindConflict, "the group "+g+" does not exist; run DomainPrep in this domain")
		}
	}
	return nil
}
