package setup

import (
	"context"
	"strconv"
	"strings"

	"rialto/internal/directory"
	"rialto/internal/directory/schema"
	"rialto/internal/model"
	"rialto/internal/wire/ldap"
)

// extender is a directory whose schema can be extended here. SchemaMaster of a
// directory that is not its own schema master says which domain has it.
type extender interface {
	ExtendSchema(ctx context.Context, p directory.Principal, progress func(done, total int)) error
}

type mastered interface {
	SchemaMaster(ctx context.Context) (domain string, here bool, err error)
}

// roleFull goes before the SID of a Full Administrator in msExchAdmins.
const roleFull = "FullAdministrator:"

// mobileBrowseOff is the bit of msExchOmaAdminWirelessEnable that turns Outlook
// Mobile Access off; synchronization stays on.
const mobileBrowseOff = 2

func (r *run) exchange() string { return "CN=Microsoft Exchange,CN=Services," + r.root.Configuration }

func (r *run) schemaMarker() string { return "CN=ms-Exch-Schema-Version-Pt," + r.root.Schema }

func (r *run) forestSteps() []step {
	return []step{
		{class: "CForestPrep", method: "Prerequisites", text: "Checking the prerequisites of ForestPrep", check: r.checkForest},
		{class: "CForestPrep", method: "ExtendSchema", text: "Extending the Active Directory schema", do: r.extendSchema},
		{class: "CForestPrep", method: "SetSchemaVersion", text: "Marking the version of the schema", do: func(ctx context.Context) error {
			return r.set(ctx, r.schemaMarker(), "rangeUpper", strconv.Itoa(schema.ExchangeVersion))
		}},
		{class: "CForestPrep", method: "CreateOrganization", text: "Creating the organization container", do: r.placeOrganization},
		{class: "CForestPrep", method: "DelegateAdministrator", text: "Recording the first Full Administrator", do: r.delegate},
		{class: "CForestPrep", method: "GlobalSettings", text: "Creating the global settings", do: r.globalSettings},
	}
}

func (r *run) checkForest(ctx context.Context) error {
	if err := r.requireGroups(ctx, schemaAdmins, enterpriseAdmins); err != nil {
		return err
	}
	if _, ok := r.dir.(extender); !ok && !r.dir.Schema().HasExchange() {
		return stop(model.KindUnsupported, "the schema of this directory can not be extended from here")
	}
	if m, ok := r.dir.(mastered); ok {
		domain, here, err := m.SchemaMaster(ctx)
		if err != nil {
			return model.E("setup", model.KindUnavailable, "the schema master can not be reached", err)
		}
		if !here {
			return stop(model.KindConflict, "run ForestPrep in the domain of the schema master, "+domain)
		}
	}
	if _, err := directory.Get(ctx, r.dir, r.p, r.root.Schema, "objectClass"); err != nil {
		return model.E("setup", model.KindUnavailable, "the schema can not be read", err)
	}
	_, err := r.administrator(ctx)
	return err
}

func (r *run) extendSchema(ctx context.Context) error {
	x, ok := r.dir.(extender)
	if !ok || r.dir.Schema().HasExchange() {
		return nil
	}
	return x.ExtendSchema(ctx, r.p, func(done, total int) {
		p := r.now
		p.Done, p.Of = done, total
		r.progress(p)
	})
}

func (r *run) placeOrganization(ctx context.Context) error {
	if err := r.ensure(ctx, r.exchange(), "msExchConfigurationContainer"); err != nil {
		return err
	}
	o, err := organization(ctx, r.dir)
	if err != nil || o != nil {
		return err
	}
	return r.ensure(ctx, child(placeholder, r.exchange()), "msExchOrganizationContainer")
}

// organization finds the organization or its placeholder; nil if there is none.
func organization(ctx context.Context, d directory.Directory) (*directory.Entry, error) {
	base := "CN=Microsoft Exchange,CN=Services," + d.Root().Configuration
	found, err := directory.Find(ctx, d, directory.AsSystem, &directory.Search{Base: base, Scope: directory.One,
		Filter: ldap.Equal("objectClass", "msExchOrganizationContainer"), Attributes: []string{"objectClass", "cn", "objectVersion"}})
	if model.IsKind(err, model.KindNotFound) || err == nil && len(found) == 0 {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return found[0], nil
}

// requireForest returns the organization that ForestPrep made.
func (r *run) requireForest(ctx context.Context) (*directory.Entry, error) {
	if !r.dir.Schema().HasExchange() {
		return nil, stop(model.KindConflict, "the schema is not extended; run ForestPrep first")
	}
	o, err := organization(ctx, r.dir)
	if err == nil && o == nil {
		err = stop(model.KindConflict, "there is no organization container; run ForestPrep first")
	}
	return o, err
}

// administrator finds the account or group that becomes Full Administrator.
func (r *run) administrator(ctx context.Context) (*directory.Entry, error) {
	name := r.plan.FullAdministrator
	f := ldap.Equal("objectSid", domainSID(r.root.DomainSID, domainAdmins))
	if name != "" {
		_, account, ok := strings.Cut(name, `\`)
		if !ok {
			account = name
		}
		f = ldap.Or(ldap.Equal("sAMAccountName", account), ldap.Equal("userPrincipalName", name))
		if strings.Contains(name, "=") {
			f = ldap.Equal("distinguishedName", name)
		}
	}
	found, err := directory.Find(ctx, r.dir, directory.AsSystem, &directory.Search{Base: r.root.Domain, Scope: directory.Subtree, Filter: f,
		Attributes: []string{"objectClass", "objectSid"}})
	if err != nil {
		return nil, err
	}
	if len(found) != 1 || found[0].Values("objectSid") == nil {
		return nil, stop(model.KindNotFound, "there is no account or group "+name+" to become Full Administrator")
	}
	return found[0], nil
}

func domainSID(domain []byte, rid uint32) string {
	return schema.FormatSID(domain) + "-" + strconv.Itoa(int(rid))
}

// delegate records the first Full Administrator. Who is named in the plan is
// added; the default is for an organization that has nobody.
func (r *run) delegate(ctx context.Context) error {
	e, err := r.administrator(ctx)
	if err != nil {
		return err
	}
	o, err := organization(ctx, r.dir)
	if err != nil {
		return err
	}
	have, err := directory.Get(ctx, r.dir, directory.AsSystem, o.DN, "msExchAdmins")
	if err != nil || r.plan.FullAdministrator == "" && have.Values("msExchAdmins") != nil {
		return err
	}
	return r.include(ctx, o.DN, "msExchAdmins", roleFull+schema.FormatSID(e.Values("objectSid")[0]))
}

func (r *run) globalSettings(ctx context.Context) error {
	o, err := organization(ctx, r.dir)
	if err != nil {
		return err
	}
	global := child("Global Settings", o.DN)
	mobile := child("Outlook Mobile Access", global)
	return r.ensureAll(ctx,
		object{global, "msExchContainer", nil},
		object{mobile, "msExchOmaConfigurationContainer", attrs{number("msExchOmaAdminWirelessEnable", mobileBrowseOff)}},
		object{child("Carriers", mobile), "msExchOmaContainer", nil},
		object{child("Devices", mobile), "msExchOmaContainer", nil},
		object{child("Internet Message Formats", global), "msExchContentConfigContainer", nil},
		object{child("Message Delivery", global), "msExchMessageDeliveryConfig", nil})
}

type attrs = []directory.Attribute
