package setup

import (
	"context"
	"path/filepath"

	"rialto/internal/directory"
)

// server makes the server's object and the services below it, and makes it a
// member, and if it is the first the master, of the routing group.
func (r *run) server(ctx context.Context) error {
	p, err := r.places(ctx)
	if err != nil {
		return err
	}
	name := r.plan.Server
	a := attrs{text("legacyExchangeDN", p.legacy), text("serialNumber", serialNumber), number("msExchServerRole", 0),
		text("networkAddress", "ncacn_vns_spp:"+name, "netbios:"+name, "ncacn_np:"+name, "ncacn_spx:"+name, "ncacn_ip_tcp:"+r.plan.FQDN, "ncalrpc:"+name),
		yes("messageTrackingEnabled"), number("msExchTrkLogCleaningInterval", 7), text("msExchHomeRoutingGroup", p.routing), number("heuristics", 0)}
	if r.plan.DataDir != "" {
		a = append(a, text("msExchInstallPath", r.plan.DataDir))
	}
	err = r.ensureAll(ctx,
		object{p.server, "msExchExchangeServer", a},
		object{p.mta, "mTA", attrs{text("mTALocalDesig", name), number("transRetryMins", 5), number("transTimeoutMins", 20),
			text("legacyExchangeDN", p.legacy+"/cn=Microsoft MTA")}},
		object{child("Microsoft System Attendant", p.server), "exchangeAdminService", attrs{number("deliveryMechanism", 0),
			text("legacyExchangeDN", p.legacy+"/cn=Microsoft System Attendant"), text("displayName", "Microsoft System Attendant ("+name+")"),
			text("mailNickname", name+"-SA"), text("homeMTA", p.mta)}},
		object{p.routing, "msExchRoutingGroup", attrs{text("msExchRoutingMasterDN", p.server)}},
		object{p.server, "msExchExchangeServer", attrs{text("msExchResponsibleMTAServer", p.server)}})
	if err != nil {
		return err
	}
	return r.include(ctx, p.routing, "msExchRoutingGroupMembersDN", p.server)
}

// Times that deleted items and mailboxes are kept, in seconds:
// a week and thirty days.
const (
	keepItems     = 604800
	keepMailboxes = 2592000
)

// notToRename is systemFlags of a storage group: it may be moved and renamed
// only by its own tools (MS-ADTS 2.2.10).
const notToRename = 1610612736

func (r *run) stores(ctx context.Context) error {
	p, err := r.places(ctx)
	if err != nil {
		return err
	}
	file := func(name string) attrs { return nil }
	if r.plan.DataDir != "" {
		file = func(name string) attrs {
			base := filepath.Join(r.plan.DataDir, "mdbdata", name)
			return attrs{text("msExchEDBFile", base+".edb"), text("msExchSLVFile", base+".stm")}
		}
	}
	err = r.ensureAll(ctx,
		object{p.is, "msExchInformationStore", attrs{number("msExchMaxStorageGroups", 4), number("msExchMaxStoresPerGroup", 5), number("msExchMaxRestoreStorageGroups", 1)}},
		object{p.storageGroup, "msExchStorageGroup", attrs{text("displayName", "First Storage Group"), number("systemFlags", notToRename),
			text("msExchESEParamBaseName", "E00"), number("msExchESEParamCircularLog", 0), no("msExchRecovery")}},
		object{p.public, "msExchPublicMDB", append(file("pub1"), number("deliveryMechanism", 1), text("displayName", "Public Folder Store ("+r.plan.Server+")"),
			text("legacyExchangeDN", p.legacy+"/cn=Microsoft Public MDB"), text("msExchOwningServer", p.server), text("msExchOwningPFTree", p.tree),
			number("messageSizeLimit", maxMessageKB), number("garbageCollPeriod", keepItems), yes("msExchFirstInstance"), no("msExchEDBOffline"),
			text("mailNickname", r.plan.Server+"-IS"), text("proxyAddresses", "SMTP:"+r.plan.Server+"-IS@"+r.plan.SMTPDomain),
			text("mail", r.plan.Server+"-IS@"+r.plan.SMTPDomain))},
		object{p.private, "msExchPrivateMDB", append(file("priv1"), number("deliveryMechanism", 1), text("displayName", "Mailbox Store ("+r.plan.Server+")"),
			text("legacyExchangeDN", p.legacy+"/cn=Microsoft Private MDB"), text("msExchOwningServer", p.server), text("msExchHomePublicMDB", p.public),
			number("garbageCollPeriod", keepItems), number("msExchMailboxRetentionPeriod", keepMailboxes), number("deletedItemFlags", 5), no("msExchEDBOffline"))},
		object{child("Microsoft System Attendant", p.server), "exchangeAdminService", attrs{text("homeMDB", p.private),
			text("proxyAddresses", "SMTP:"+r.plan.Server+"-SA@"+r.plan.SMTPDomain), text("mail", r.plan.Server+"-SA@"+r.plan.SMTPDomain)}},
		object{p.group, "msExchAdminGroup", attrs{text("siteFolderServer", p.public)}})
	return err
}

// octets of a schedule that begins once a day at 12:00 GMT:
// seven days of 96 quarter hours.
func daily() []byte {
	s := make([]byte, 84)
	for day := range 7 {
		s[12*day+6] = 0x80
	}
	return s
}

// Searches of the address lists.
const (
	mailUsers    = "(&(objectCategory=person)(objectClass=user)(!(homeMDB=*))(!(msExchHomeServerName=*)))"
	mailboxUsers = "(&(objectCategory=person)(objectClass=user)(|(homeMDB=*)(msExchHomeServerName=*)))"
	contacts     = "(&(objectCategory=person)(objectClass=contact))"
	everybody    = "(&(mailnickname=*)(|" + mailUsers + mailboxUsers + contacts +
		"(objectCategory=group)(objectCategory=publicFolder)(objectCategory=msExchDynamicDistributionList)))"
)

func (r *run) addressLists(ctx context.Context) error {
	p, err := r.places(ctx)
	if err != nil {
		return err
	}
	all, global, offline := child("All Address Lists", p.lists), child("All Global Address Lists", p.lists), child("Offline Address Lists", p.lists)
	list := []object{
		{p.lists, "msExchContainer", nil},
		{all, "addressBookContainer", attrs{text("displayName", "All Address Lists")}},
		{global, "addressBookContainer", attrs{text("displayName", "All Global Address Lists")}},
		{p.gal, "addressBookContainer", attrs{text("displayName", "Default Global Address List"), text("purportedSearch", everybody)}},
		{offline, "msExchContainer", nil},
	}
	for _, l := range []struct{ name, search string }{
		{"All Users", "(&(mailnickname=*)(|" + mailUsers + mailboxUsers + "))"},
		{"All Contacts", "(&(mailnickname=*)(|" + contacts + "))"},
		{"All Groups", "(&(mailnickname=*)(|(objectCategory=group)))"},
		{"Public Folders", "(&(mailnickname=*)(|(objectCategory=publicFolder)))"},
	} {
		list = append(list, object{child(l.name, all), "addressBookContainer", attrs{text("displayName", l.name), text("purportedSearch", l.search)}})
	}
	if err := r.ensureAll(ctx, list...); err != nil {
		return err
	}
	// The offline address book lives in the site folders of the group.
	group, err := directory.Get(ctx, r.dir, directory.AsSystem, p.group, "siteFolderGUID")
	if err != nil {
		return err
	}
	site := group.Values("siteFolderGUID")
	return r.ensureAll(ctx,
		object{p.offline, "msExchOAB", attrs{number("offLineABStyle", 1), text("offLineABServer", p.server), directory.Octets("offLineABSchedule", daily()),
			text("offLineABContainers", p.gal), directory.Octets("msExchOABFolder", site...), number("doOABVersion", 1), yes("msExchOABDefault"),
			directory.Octets("siteFolderGUID", site...), text("siteFolderServer", p.public),
			text("legacyExchangeDN", "/o="+p.name+"/cn=addrlists/cn=oabs/cn=Default Offline Address List")}},
		object{p.private, "msExchPrivateMDB", attrs{text("msExchUseOAB", p.offline)}})
}
