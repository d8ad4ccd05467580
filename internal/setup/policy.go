package setup

import (
	"context"

	"rialto/internal/directory"
	"rialto/internal/directory/schema"
	"rialto/internal/model"
)

// addressesTab says that a recipient policy has addresses, in
// msExchPolicyOptionList: {26491CFC-9E50-4857-861B-0CB8DF22B5D7}.
var addressesTab = model.GUID{0xfc, 0x1c, 0x49, 0x26, 0x50, 0x9e, 0x57, 0x48, 0x86, 0x1b, 0x0c, 0xb8, 0xdf, 0x22, 0xb5, 0xd7}

// lowest is the msExchPolicyOrder of the default policy.
const lowest = 2147483647

func (r *run) recipientPolicies(ctx context.Context) error {
	p, err := r.places(ctx)
	if err != nil {
		return err
	}
	tab := addressesTab
	container := child("Recipient Policies", p.org)
	return r.ensureAll(ctx,
		object{container, "msExchRecipientPolicyContainer", nil},
		object{child("Default Policy", container), "msExchRecipientPolicy", attrs{text("purportedSearch", "(mailnickname=*)"),
			number("msExchPolicyOrder", lowest), directory.Octets("msExchPolicyOptionList", tab[:]),
			text("gatewayProxy", "SMTP:@"+r.plan.SMTPDomain, "X400:c=US;a= ;p="+p.name[:min(len(p.name), 16)]+";o=Exchange;")}})
}

// updateServices makes the Recipient Update Services: one for the domain, one
// for the configuration.
func (r *run) updateServices(ctx context.Context) error {
	p, err := r.places(ctx)
	if err != nil {
		return err
	}
	container := child("Recipient Update Services", p.lists)
	if err := r.ensure(ctx, container, "msExchAddressListServiceContainer"); err != nil {
		return err
	}
	common := attrs{text("msExchAddressListServiceLink", p.server), text("msExchServer1NetworkAddress", r.root.DNSHost),
		number("msExchServer1PageSize", 20), number("msExchPollInterval", 60), number("activationStyle", 2)}
	domain := append(attrs{text("msExchDomainLink", r.root.Domain)}, common...)
	for _, g := range []struct{ name, guid, sid string }{
		{enterpriseServers, "msExchDomainLocalGroupGuid", "msExchDomainLocalGroupSid"},
		{domainServers, "msExchDomainGlobalGroupGuid", "msExchDomainGlobalGroupSid"},
	} {
		e, err := directory.Get(ctx, r.dir, directory.AsSystem, r.groupDN(g.name), "objectGUID", "objectSid")
		if err != nil {
			return err
		}
		domain = append(domain, text(g.guid, "{"+e.GUID().String()+"}"), text(g.sid, schema.FormatSID(e.Values("objectSid")[0])))
	}
	return r.ensureAll(ctx,
		object{child("Recipient Update Service (Enterprise Configuration)", container), "msExchAddressListService",
			append(attrs{text("msExchDomainLink", r.root.Configuration)}, common...)},
		object{child("Recipient Update Service ("+r.root.NetBIOS+")", container), "msExchAddressListService", domain})
}
