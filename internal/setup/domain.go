package setup

import (
	"context"
	"strconv"
)

// Group types (MS-ADTS 2.2.12).
const (
	globalSecurity = "-2147483646"
	localSecurity  = "-2147483644"
)

func (r *run) systemObjects() string { return "CN=Microsoft Exchange System Objects," + r.root.Domain }

func (r *run) domainSteps() []step {
	return []step{
		{class: "CDomainPrep", method: "Prerequisites", text: "Checking the prerequisites of DomainPrep", check: r.checkDomain},
		{class: "CDomainPrep", method: "CreateGroups", text: "Creating the Exchange groups", do: r.createGroups},
		{class: "CDomainPrep", method: "CreateSystemObjects", text: "Creating the Exchange System Objects container", do: func(ctx context.Context) error {
			if err := r.ensure(ctx, r.systemObjects(), "msExchSystemObjectsContainer"); err != nil {
				return err
			}
			return r.set(ctx, r.systemObjects(), "objectVersion", strconv.Itoa(systemObjectsVer))
		}},
	}
}

func (r *run) checkDomain(ctx context.Context) error {
	if err := r.requireGroups(ctx, domainAdmins); err != nil {
		return err
	}
	if _, err := r.requireForest(ctx); err != nil {
		return err
	}
	return r.requireGroupsInPlace(ctx, true)
}

// createGroups makes the two groups and nests them.
func (r *run) createGroups(ctx context.Context) error {
	servers, enterprise := r.groupDN(domainServers), r.groupDN(enterpriseServers)
	err := r.ensureAll(ctx,
		object{servers, "group", attrs{text("sAMAccountName", domainServers), text("groupType", globalSecurity),
			text("description", "Members can manage Exchange information of the domain")}},
		object{enterprise, "group", attrs{text("sAMAccountName", enterpriseServers), text("groupType", localSecurity),
			text("description", "The Exchange servers of all domains")}})
	if err != nil {
		return err
	}
	if err := r.include(ctx, enterprise, "member", servers); err != nil {
		return err
	}
	return r.include(ctx, "CN=Pre-Windows 2000 Compatible Access,CN=Builtin,"+r.root.Domain, "member", servers)
}
