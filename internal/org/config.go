package org

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"rialto/internal/directory"
	"rialto/internal/model"
	"rialto/internal/wire/ldap"
)

// snapshot is a Config with what only this package needs beside it.
type snapshot struct {
	config     *Config
	invocation model.GUID
	orgDN      string
	stores     map[string]storeRef // by normalized DN
	servers    map[model.GUID]*directory.Entry
	policies   []policy
	lists      []addressList
	domain     string // DN of the domain naming context
}

// storeRef is where a store is.
type storeRef struct {
	guid   model.GUID
	server string // name
	public bool
	dn     string
}

// configAttributes are all that reading the configuration needs.
var configAttributes = []string{"objectClass", "objectGUID", "cn", "legacyExchangeDN", "displayName", "adminDisplayName",
	"msExchMixedMode", "delivContLength", "submissionContLength", "msExchRecipLimit", "networkAddress", "msExchServerRole",
	"msExchHomeRoutingGroup", "msExchRecovery", "msExchEDBOffline", "mDBStorageQuota", "mDBOverQuotaLimit", "mDBOverHardQuotaLimit",
	"garbageCollPeriod", "deletedItemFlags", "quotaNotificationStyle", "quotaNotificationSchedule", "activationStyle", "activationSchedule", "msExchDatabaseCreated", "msExchMailboxRetentionPeriod", "msExchServerAutoStart", "msExchServerBindings", "msExchSecureBindings",
	"msExchAuthenticationFlags", "msExchMaxIncomingConnections", "msExchIncomingConnectionTimeout",
	"msExchSmtpFullyQualifiedDomainName", "msExchSmtpMaxMessageSize", "msExchSmtpMaxRecipients", "msExchSmtpMaxHopCount",
	"msExchSmtpSmartHost", "msExchSmtpRemoteQueueRetries", "msExchSmtpRemoteQueueDelayNotification",
	"msExchSmtpRemoteQueueExpirationTimeout", "msExchSmtpRelayIpList", "msExchSmtpRelayForAuth", "msExchSmtpMasqueradeDomain",
	"purportedSearch", "msExchPolicyOrder", "gatewayProxy", "disabledGatewayProxy", "msExchNonAuthoritativeDomains"}

// read reads the whole configuration. The Config says the USN of before, so
// that a change during the reading is seen again.
func (o *Org) read(ctx context.Context) (*snapshot, error) {
	const op = "org.read"
	root := o.dir.Root()
	entries, err := directory.Find(ctx, o.dir, directory.AsSystem,
		&directory.Search{Base: exchangeContainer(root.Configuration), Scope: directory.Subtree, Attributes: configAttributes})
	if err != nil {
		return nil, err
	}
	r := newReader(entries, o.odd)
	orgs := r.byClass["msexchorganizationcontainer"]
	if len(orgs) != 1 {
		return nil, model.E(op, model.KindNotFound, "organization", nil)
	}
	s := &snapshot{config: &Config{USN: root.HighestUSN}, invocation: root.Invocation, orgDN: orgs[0].DN,
		stores: map[string]storeRef{}, servers: map[model.GUID]*directory.Entry{}, domain: root.Domain}
	s.config.Organization = r.organization(orgs[0])
	for _, e := range r.byClass["msexchexchangeserver"] {
		s.servers[e.GUID()] = e
		s.config.Servers = append(s.config.Servers, r.server(e, s))
	}
	slices.SortFunc(s.config.Servers, func(a, b Server) int { return cmp.Compare(strings.ToLower(a.Name), strings.ToLower(b.Name)) })
	self := slices.IndexFunc(s.config.Servers, func(v Server) bool {
		return strings.EqualFold(v.Name, o.server) || v.GUID.String() == strings.ToLower(strings.Trim(o.server, "{}"))
	})
	if self < 0 {
		return nil, model.E(op, model.KindNotFound, "server "+o.server, nil)
	}
	s.config.Server = s.config.Servers[self]
	s.policies = r.policies()
	s.config.Domains = domainsOf(s.policies)
	s.lists = r.addressLists()
	return s, nil
}

// reader turns the entries below the Exchange container into types.
type reader struct {
	byClass  map[string][]*directory.Entry // lower case
	children map[string][]*directory.Entry // by normalized DN of the parent
	odd      func(dn, what string)
}

func newReader(entries []*directory.Entry, odd func(dn, what string)) *reader {
	r := &reader{byClass: map[string][]*directory.Entry{}, children: map[string][]*directory.Entry{}, odd: odd}
	for _, e := range entries {
		for _, c := range e.Texts("objectClass") {
			c = strings.ToLower(c)
			r.byClass[c] = append(r.byClass[c], e)
		}
		p := parentKey(e.DN)
		r.children[p] = append(r.children[p], e)
	}
	for _, list := range r.children {
		slices.SortFunc(list, func(a, b *directory.Entry) int { return cmp.Compare(strings.ToLower(a.DN), strings.ToLower(b.DN)) })
	}
	return r
}

func dnKey(dn string) string {
	d, err := ldap.ParseDN(dn)
	if err != nil {
		return strings.ToLower(dn)
	}
	return d.Key()
}

func parentKey(dn string) string {
	d, err := ldap.ParseDN(dn)
	if err != nil || len(d) == 0 {
		return ""
	}
	return d.Parent().Key()
}

// below returns the entries directly below a DN that are of a class.
func (r *reader) below(dn, class string) (out []*directory.Entry) {
	for _, e := range r.children[dnKey(dn)] {
		if e.Is(class) {
			out = append(out, e)
		}
	}
	return out
}

// number reads an integer that is left out when it is missing or negative.
func number(e *directory.Entry, name string) int64 {
	n, _ := e.Int(name)
	return max(n, 0)
}

func (r *reader) organization(e *directory.Entry) Organization {
	v := Organization{GUID: e.GUID(), Name: e.Text("cn"), LegacyDN: e.Text("legacyExchangeDN"), MixedMode: e.Bool("msExchMixedMode")}
	from := e
	// The console writes the global limits to Message Delivery.
	for _, m := range r.byClass["msexchmessagedeliveryconfig"] {
		if hasSuffixFold(m.DN, e.DN) {
			from = m
		}
	}
	v.MaxReceive = 1024 * number(from, "delivContLength")
	v.MaxSend = 1024 * number(from, "submissionContLength")
	v.MaxRecipients = int(number(from, "msExchRecipLimit"))
	return v
}

// rdnUp returns the value of the RDN n levels above an entry.
func rdnUp(dn string, n int) string {
	d, err := ldap.ParseDN(dn)
	if err != nil || len(d) <= n || len(d[n]) == 0 {
		return ""
	}
	return d[n][0].Value
}

func (r *reader) server(e *directory.Entry, s *snapshot) Server {
	v := Server{GUID: e.GUID(), Name: e.Text("cn"), FQDN: e.Text("cn"), LegacyDN: e.Text("legacyExchangeDN"),
		AdminGroup: rdnUp(e.DN, 2), RoutingGroup: rdnUp(e.Text("msExchHomeRoutingGroup"), 0)}
	for _, a := range e.Texts("networkAddress") {
		if host, ok := strings.CutPrefix(a, "ncacn_ip_tcp:"); ok {
			v.FQDN = host
		}
	}
	role, _ := e.Int("msExchServerRole")
	v.FrontEnd = role == 1
	for _, is := range r.below(e.DN, "msExchInformationStore") {
		for _, g := range r.below(is.DN, "msExchStorageGroup") {
			v.StorageGroups = append(v.StorageGroups, r.storageGroup(g, s, v.Name))
		}
	}
	for _, protocols := range r.children[dnKey(e.DN)] {
		for _, kind := range r.children[dnKey(protocols.DN)] {
			for _, vs := range r.children[dnKey(kind.DN)] {
				if p := protocolOf(vs); p != "" {
					v.VirtualServers = append(v.VirtualServers, r.virtualServer(vs, p))
				}
			}
		}
	}
	return v
}

func (r *reader) storageGroup(e *directory.Entry, s *snapshot, server string) StorageGroup {
	g := StorageGroup{GUID: e.GUID(), Name: e.Text("cn"), Recovery: e.Bool("msExchRecovery")}
	for _, m := range r.below(e.DN, "msExchMDB") {
		st := Store{GUID: m.GUID(), Name: m.Text("cn"), Public: m.Is("msExchPublicMDB"), MountAtStart: !m.Bool("msExchEDBOffline"),
			WarnQuota: 1024 * number(m, "mDBStorageQuota"), SendQuota: 1024 * number(m, "mDBOverQuotaLimit"), HardQuota: 1024 * number(m, "mDBOverHardQuotaLimit"),
			KeepItems: seconds(number(m, "garbageCollPeriod")), KeepMailboxes: seconds(number(m, "msExchMailboxRetentionPeriod")),
			UntilBackup: number(m, "deletedItemFlags") == keepUntilBackup, QuotaSchedule: schedule(m, "quotaNotificationStyle", "quotaNotificationSchedule"), Created: m.Bool("msExchDatabaseCreated")}
		st.Maintenance, st.OwnMaintenance = ownSchedule(m, "activationStyle", "activationSchedule")
		g.Stores = append(g.Stores, st)
		s.stores[dnKey(m.DN)] = storeRef{guid: st.GUID, server: server, public: st.Public, dn: m.DN}
	}
	return g
}
