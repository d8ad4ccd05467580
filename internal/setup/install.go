package setup

import (
	"context"
	"strconv"
	"strings"

	"rialto/internal/directory"
	"rialto/internal/model"
	"rialto/internal/wire/ldap"
)

func (r *run) installSteps() []step {
	return []step{
		{class: "CServerInstall", method: "Prerequisites", text: "Checking the prerequisites of the server", check: r.checkInstall},
		{class: "CServerInstall", method: "NameOrganization", text: "Naming the organization", do: r.nameOrganization},
		{class: "CServerInstall", method: "GlobalSettings", text: "Setting the global defaults", do: r.defaults},
		{class: "CServerInstall", method: "AdminGroup", text: "Creating the administrative group", do: r.adminGroup},
		{class: "CServerInstall", method: "Server", text: "Creating the server", do: r.server},
		{class: "CServerInstall", method: "InformationStore", text: "Creating the information store", do: r.stores},
		{class: "CServerInstall", method: "Protocols", text: "Creating the virtual servers", do: r.protocols},
		{class: "CServerInstall", method: "AddressLists", text: "Creating the address lists", do: r.addressLists},
		{class: "CServerInstall", method: "RecipientPolicies", text: "Creating the recipient policies", do: r.recipientPolicies},
		{class: "CServerInstall", method: "UpdateServices", text: "Creating the Recipient Update Services", do: r.updateServices},
		{class: "CServerInstall", method: "ServerAccount", text: "Registering the server in the domain", do: r.serverAccount},
		{class: "CServerInstall", method: "Commit", text: "Finishing the installation", do: r.commit},
	}
}

func (r *run) checkInstall(ctx context.Context) error {
	o, err := r.requireForest(ctx)
	if err != nil {
		return err
	}
	if err := r.requireFullAdministrator(ctx, o.DN); err != nil {
		return err
	}
	e, err := directory.Get(ctx, r.dir, directory.AsSystem, r.systemObjects(), "objectVersion")
	if v := int64(0); err == nil {
		if v, _ = e.Int("objectVersion"); v < systemObjectsVer {
			err = model.E("setup", model.KindNotFound, "", nil)
		}
	}
	if model.IsKind(err, model.KindNotFound) {
		return stop(model.KindConflict, "the domain is not prepared; run DomainPrep first")
	}
	if err != nil {
		return err
	}
	if err := r.requireGroupsInPlace(ctx, false); err != nil {
		return err
	}
	return r.checkNames(ctx, o)
}

func (r *run) checkNames(ctx context.Context, o *directory.Entry) error {
	named, want := !strings.EqualFold(o.Text("cn"), placeholder), r.plan.Organization
	switch {
	case named && want != "" && !strings.EqualFold(o.Text("cn"), want):
		return stop(model.KindConflict, "the organization is named "+o.Text("cn")+" already")
	case !named:
		if err := checkOrganizationName(want); err != nil {
			return err
		}
	}
	if !serverName.MatchString(r.plan.Server) {
		return stop(model.KindInvalid, "the server's name must be 1 to 15 characters long, of letters, digits, hyphen and underscore")
	}
	if _, err := model.ParseAddress("postmaster@" + r.plan.SMTPDomain); err != nil {
		return stop(model.KindInvalid, "the SMTP domain "+r.plan.SMTPDomain+" is no domain name")
	}
	if strings.TrimSpace(r.plan.AdminGroup) != r.plan.AdminGroup || !groupName.MatchString(r.plan.AdminGroup) {
		return stop(model.KindInvalid, "the administrative group's name "+r.plan.AdminGroup+" has characters that are not allowed")
	}
	servers, err := servers(ctx, r.dir)
	if err != nil {
		return err
	}
	for _, s := range servers {
		group, _ := ldap.ParseDN(s.DN)
		if strings.EqualFold(s.Text("cn"), r.plan.Server) && (len(group) < 3 || !strings.EqualFold(group[2][0].Value, r.plan.AdminGroup)) {
			return stop(model.KindConflict, "the server "+r.plan.Server+" is installed in another administrative group")
		}
	}
	if _, err := directory.Get(ctx, r.dir, directory.AsSystem, child(r.plan.AdminGroup, child("Administrative Groups", o.DN)), "cn"); len(servers) > 0 && err != nil {
		return stop(model.KindNotFound, "there is no administrative group "+r.plan.AdminGroup)
	}
	return nil
}

func servers(ctx context.Context, d directory.Directory) ([]*directory.Entry, error) {
	found, err := directory.Find(ctx, d, directory.AsSystem, &directory.Search{Base: "CN=Microsoft Exchange,CN=Services," + d.Root().Configuration,
		Scope: directory.Subtree, Filter: ldap.Equal("objectClass", "msExchExchangeServer"), Attributes: []string{"cn", "versionNumber"}})
	if model.IsKind(err, model.KindNotFound) {
		return nil, nil
	}
	return found, err
}

// places are the DNs that several steps need; they follow from the plan once
// the organization has its name.
type places struct {
	org, name           string
	groups, group       string
	routing             string
	server, legacy      string // of the server
	tree                string // the MAPI public folder tree
	is, storageGroup    string
	private, public     string
	lists, gal, offline string
	mta                 string
}

func (r *run) places(ctx context.Context) (p places, err error) {
	o, err := organization(ctx, r.dir)
	if err != nil {
		return p, err
	}
	p.org, p.name = o.DN, o.Text("cn")
	p.groups = child("Administrative Groups", p.org)
	p.group = child(r.plan.AdminGroup, p.groups)
	p.routing = child("First Routing Group", child("Routing Groups", p.group))
	p.server = child(r.plan.Server, child("Servers", p.group))
	p.legacy = "/o=" + p.name + "/ou=" + r.plan.AdminGroup + "/cn=Configuration/cn=Servers/cn=" + r.plan.Server
	p.tree = child("Public Folders", child("Folder Hierarchies", p.group))
	p.is = child("InformationStore", p.server)
	p.storageGroup = child("First Storage Group", p.is)
	p.private = child("Mailbox Store ("+r.plan.Server+")", p.storageGroup)
	p.public = child("Public Folder Store ("+r.plan.Server+")", p.storageGroup)
	p.lists = child("Address Lists Container", p.org)
	p.gal = child("Default Global Address List", child("All Global Address Lists", p.lists))
	p.offline = child("Default Offline Address List", child("Offline Address Lists", p.lists))
	p.mta = child("Microsoft MTA", p.server)
	return p, nil
}

// nameOrganization gives the placeholder its name, or finds that it has one.
func (r *run) nameOrganization(ctx context.Context) error {
	o, err := organization(ctx, r.dir)
	if err != nil {
		return err
	}
	if strings.EqualFold(o.Text("cn"), placeholder) {
		if err := r.dir.Rename(ctx, r.p, o.DN, "CN="+ldap.EscapeDN(r.plan.Organization), ""); err != nil {
			return err
		}
	}
	p, err := r.places(ctx)
	if err != nil {
		return err
	}
	return r.ensure(ctx, p.org, "msExchOrganizationContainer", text("legacyExchangeDN", "/o="+p.name), no("msExchMixedMode"),
		yes("msExchAdminGroupsEnabled"), yes("msExchRoutingEnabled"), number("heuristics", 0))
}

// Defaults of the organization where nothing is set: messages of
// 10 MB to 5000 recipients.
const (
	maxMessageKB  = 10240
	maxRecipients = 5000
)

func (r *run) defaults(ctx context.Context) error {
	p, err := r.places(ctx)
	if err != nil {
		return err
	}
	global := child("Global Settings", p.org)
	return r.ensureAll(ctx,
		object{child("Message Delivery", global), "msExchMessageDeliveryConfig", attrs{number("delivContLength", maxMessageKB),
			number("submissionContLength", maxMessageKB), number("msExchRecipLimit", maxRecipients)}},
		object{child("UCE Content Filter", child("Message Delivery", global)), "msExchUce", attrs{number("msExchUceEnabled", 0),
			text("msExchUceBlockThreshold", "8"), number("msExchUceStoreActionThreshold", 8)}},
		object{child("Default", child("Internet Message Formats", global)), "msExchDomainContentConfig", attrs{text("domainName", "*"),
			number("contentType", 3), text("characterSet", "iso-8859-1"), text("msExchNonMIMECharacterSet", "iso-8859-1"), number("lineWrap", 0),
			number("msExchRoutingAcceptMessageType", 20), yes("msExchRoutingDisplaySenderEnabled")}},
		object{child("Connections", p.org), "msExchConnectors", nil},
		object{child("System Policies", p.org), "msExchSystemPolicyContainer", nil},
		object{child("Addressing", p.org), "msExchContainer", attrs{number("containerInfo", 16)}},
		object{child("Address-Templates", child("Addressing", p.org)), "msExchContainer", attrs{number("containerInfo", 32)}},
		object{child("Address-Types", child("Addressing", p.org)), "msExchContainer", attrs{number("containerInfo", 128)}},
		object{child("Display-Templates", child("Addressing", p.org)), "msExchContainer", attrs{number("containerInfo", 64)}})
}

func (r *run) adminGroup(ctx context.Context) error {
	p, err := r.places(ctx)
	if err != nil {
		return err
	}
	folders := model.NewGUID()
	return r.ensureAll(ctx,
		object{p.groups, "msExchAdminGroupContainer", nil},
		object{p.group, "msExchAdminGroup", attrs{text("legacyExchangeDN", "/o="+p.name+"/ou="+r.plan.AdminGroup), number("msExchAdminGroupMode", 0),
			yes("msExchDefaultAdminGroup"), directory.Octets("siteFolderGUID", folders[:]), text("displayName", r.plan.AdminGroup)}},
		object{child("Servers", p.group), "msExchServersContainer", attrs{number("containerInfo", 8)}},
		object{child("Routing Groups", p.group), "msExchRoutingGroupContainer", nil},
		object{p.routing, "msExchRoutingGroup", nil},
		object{child("Connections", p.routing), "msExchConnectors", nil},
		object{child("Folder Hierarchies", p.group), "msExchPublicFolderTreeContainer", nil},
		object{p.tree, "msExchPFTree", attrs{number("msExchPFTreeType", 1), text("msExchPFDSContainer", r.systemObjects()), text("displayName", "Public Folders")}},
		object{child("System Policies", p.group), "msExchPoliciesContainer", nil})
}

// serverAccount registers the machine and puts it into Exchange Domain Servers.
func (r *run) serverAccount(ctx context.Context) error {
	p, err := r.places(ctx)
	if err != nil {
		return err
	}
	account := child(r.plan.Server, "CN=Computers,"+r.root.Domain)
	found, err := directory.Find(ctx, r.dir, directory.AsSystem, &directory.Search{Base: r.root.Domain, Scope: directory.Subtree,
		Filter: ldap.Equal("sAMAccountName", r.plan.Server+"$"), Attributes: []string{"objectClass"}})
	if err != nil {
		return err
	}
	if len(found) > 0 {
		account = found[0].DN
	} else if err := r.ensure(ctx, account, "computer", text("sAMAccountName", r.plan.Server+"$"), text("dNSHostName", r.plan.FQDN)); err != nil {
		return err
	}
	if err := r.include(ctx, r.groupDN(domainServers), "member", account); err != nil {
		return err
	}
	return r.ensure(ctx, p.server, "msExchExchangeServer", text("msExchComputerLink", account))
}

// commit sets the marks that say that the installation is whole.
func (r *run) commit(ctx context.Context) error {
	p, err := r.places(ctx)
	if err != nil {
		return err
	}
	for _, proto := range r.plan.Enable {
		if err := EnableProtocol(ctx, r.dir, r.p, r.plan.Server, proto); err != nil {
			return err
		}
	}
	if err := r.set(ctx, p.server, "versionNumber", strconv.Itoa(build)); err != nil {
		return err
	}
	return r.set(ctx, p.org, "objectVersion", strconv.Itoa(organizationVersion))
}
