package embedded

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"strconv"
	"strings"

	"rialto/internal/directory"
	"rialto/internal/directory/schema"
	"rialto/internal/kv"
	"rialto/internal/model"
	"rialto/internal/wire/ldap"
)

// firstRID is where relative ids of new principals begin (MS-SAMR).
const firstRID = 1000

// create makes the tree of a new forest with one domain, in one batch.
func (d *DB) create(ctx context.Context, o Options) error {
	labels := strings.Split(strings.ToLower(o.DNSDomain), ".")
	if len(labels) < 2 || o.DNSHost == "" {
		return model.E("directory.create", model.KindInvalid, "domain "+o.DNSDomain, nil)
	}
	f := &d.facts
	*f = facts{invocation: model.NewGUID(), next: rootDNT + 1, rid: firstRID - 1, deleted: map[dnt]dnt{}, host: o.DNSHost, netbios: o.NetBIOS, tables: schemaTables}
	if f.netbios == "" {
		f.netbios = strings.ToUpper(labels[0][:min(len(labels[0]), 15)])
	}
	f.domainSID = newDomainSID()
	if err := d.loadSchema(); err != nil {
		return err
	}
	d.root.Store(&directory.Root{})
	return d.update(ctx, directory.AsSystem, "directory.create", func(t *txn) error {
		return t.plant(labels, o)
	})
}

// newDomainSID draws S-1-5-21-x-y-z.
func newDomainSID() []byte {
	sid := schema.ParseSID("S-1-5-21")
	sid[1] += 3
	var r [12]byte
	_, _ = rand.Read(r[:]) // never fails
	return append(sid, r[:]...)
}

// plant builds the naming contexts and what Active Directory has in them.
func (t *txn) plant(labels []string, o Options) error {
	domain := "DC=" + strings.Join(labels, ",DC=")
	if err := t.phantoms(labels[1:]); err != nil {
		return err
	}
	config, sch := "CN=Configuration,"+domain, "CN=Schema,CN=Configuration,"+domain
	for _, h := range []struct {
		dn, class string
		fact      *dnt
	}{{domain, "domainDNS", &t.facts.domain}, {config, "configuration", &t.facts.config}, {sch, "dMD", &t.facts.schemaHead}} {
		obj, err := t.add(h.dn, []directory.Attribute{directory.Attr("objectClass", h.class)})
		if err != nil {
			return err
		}
		*h.fact = obj.n
	}
	if err := t.writeSchema(t.schema, sch); err != nil {
		return err
	}
	for _, n := range []dnt{t.facts.domain, t.facts.config, t.facts.schemaHead} {
		head, err := t.object(n)
		if err != nil {
			return err
		}
		// What it was made without: its category is below it.
		classes := head.classes()
		category, err := t.categoryOf(t.schema.Class(classes[len(classes)-1]))
		if err != nil {
			return err
		}
		c := head.clone()
		c.set("objectCategory", category.bytes())
		if n == t.facts.domain {
			c.set("objectSid", t.facts.domainSID)
		}
		t.put(head, c)
	}
	site := o.Site
	if site == "" {
		site = "Default-First-Site-Name"
	}
	if err := t.plantConfiguration(domain, config, site); err != nil {
		return err
	}
	if err := t.plantDomain(domain); err != nil {
		return err
	}
	for _, nc := range []struct {
		dn string
		n  dnt
	}{{domain, t.facts.domain}, {config, t.facts.config}, {sch, t.facts.schemaHead}} {
		obj, err := t.add("CN=Deleted Objects,"+nc.dn, []directory.Attribute{directory.Attr("objectClass", "container")})
		if err != nil {
			return err
		}
		hidden := obj.clone()
		hidden.deleted = true
		t.put(obj, hidden)
		t.facts.deleted[nc.n] = obj.n
	}
	return nil
}

// phantoms makes the upper labels of the domain's name, which hold a place and
// are no objects.
func (t *txn) phantoms(labels []string) error {
	parent := rootDNT
	for i := len(labels) - 1; i >= 0; i-- {
		o := t.newObject(parent, ldap.AVA{Type: "DC", Value: labels[i]})
		t.put(nil, o)
		parent = o.n
	}
	return nil
}

// container adds objects of a class whose names are all there is to say.
func (t *txn) containers(class string, dns ...string) error {
	for _, dn := range dns {
		if _, err := t.add(dn, []directory.Attribute{directory.Attr("objectClass", class)}); err != nil {
			return err
		}
	}
	return nil
}

func (t *txn) plantConfiguration(domain, config, site string) error {
	err := t.containers("container", "CN=Services,"+config, "CN=DisplaySpecifiers,"+config, "CN=Extended-Rights,"+config)
	if err != nil {
		return err
	}
	if err := t.containers("lostAndFound", "CN=LostAndFoundConfig,"+config); err != nil {
		return err
	}
	if err := t.containers("crossRefContainer", "CN=Partitions,"+config); err != nil {
		return err
	}
	for _, ref := range []struct{ name, nc string }{{t.facts.netbios, domain}, {"Enterprise Configuration", config}, {"Enterprise Schema", "CN=Schema," + config}} {
		attrs := []directory.Attribute{directory.Attr("objectClass", "crossRef"), directory.Attr("nCName", ref.nc), directory.Attr("dnsRoot", dnsName(domain))}
		if ref.nc == domain {
			attrs = append(attrs, directory.Attr("nETBIOSName", t.facts.netbios))
		}
		if _, err := t.add("CN="+ref.name+",CN=Partitions,"+config, attrs); err != nil {
			return err
		}
	}
	if err := t.containers("sitesContainer", "CN=Sites,"+config); err != nil {
		return err
	}
	siteDN := "CN=" + ldap.EscapeDN(site) + ",CN=Sites," + config
	if err := t.containers("site", siteDN); err != nil {
		return err
	}
	if err := t.containers("serversContainer", "CN=Servers,"+siteDN); err != nil {
		return err
	}
	server := "CN=" + ldap.EscapeDN(shortHost(t.facts.host)) + ",CN=Servers," + siteDN
	obj, err := t.add(server, []directory.Attribute{directory.Attr("objectClass", "server"), directory.Attr("dNSHostName", t.facts.host)})
	if err != nil {
		return err
	}
	t.facts.server = obj.n
	if err := t.containers("nTDSDSA", "CN=NTDS Settings,"+server); err != nil {
		return err
	}
	if err := t.containers("container", "CN=Windows NT,CN=Services,"+config); err != nil {
		return err
	}
	_, err = t.add("CN=Directory Service,CN=Windows NT,CN=Services,"+config,
		[]directory.Attribute{directory.Attr("objectClass", "nTDSService"), directory.Attr("tombstoneLifetime", "60")})
	return err
}

// dnsName is the DNS form of a domain's DN.
func dnsName(domain string) string {
	return strings.ReplaceAll(strings.TrimPrefix(domain, "DC="), ",DC=", ".")
}

func shortHost(host string) string {
	s, _, _ := strings.Cut(host, ".")
	return strings.ToUpper(s)
}

// Group types (MS-ADTS 2.2.12): scope, with the sign bit for security groups.
const (
	globalSecurity    = "-2147483646"
	localSecurity     = "-2147483644"
	universalSecurity = "-2147483640"
	builtinSecurity   = "-2147483643"
)

func (t *txn) plantDomain(domain string) error {
	if err := t.containers("container", "CN=Users,"+domain, "CN=Computers,"+domain, "CN=System,"+domain,
		"CN=Program Data,"+domain, "CN=ForeignSecurityPrincipals,"+domain); err != nil {
		return err
	}
	if err := t.containers("organizationalUnit", "OU=Domain Controllers,"+domain); err != nil {
		return err
	}
	if err := t.containers("lostAndFound", "CN=LostAndFound,"+domain); err != nil {
		return err
	}
	if err := t.containers("builtinDomain", "CN=Builtin,"+domain); err != nil {
		return err
	}
	if _, err := t.add("CN=AdminSDHolder,CN=System,"+domain, []directory.Attribute{directory.Attr("objectClass", "container")}); err != nil {
		return err
	}
	users := "CN=Users," + domain
	admin := "CN=Administrator," + users
	if err := t.principal(admin, "user", 500, directory.Attr("description", "Built-in account for administering the domain"),
		directory.Attr("userPrincipalName", "administrator@"+dnsName(domain)), directory.Attr("adminCount", "1")); err != nil {
		return err
	}
	for _, g := range []struct {
		name, kind string
		rid        uint32
		admin      bool
	}{
		{"Domain Admins", globalSecurity, 512, true}, {"Domain Users", globalSecurity, 513, false},
		{"Domain Guests", globalSecurity, 514, false}, {"Domain Computers", globalSecurity, 515, false},
		{"Domain Controllers", globalSecurity, 516, false}, {"Schema Admins", universalSecurity, 518, true},
		{"Enterprise Admins", universalSecurity, 519, true},
	} {
		attrs := []directory.Attribute{directory.Attr("groupType", g.kind)}
		if g.admin {
			attrs = append(attrs, directory.Attr("member", admin))
		}
		if err := t.principal("CN="+g.name+","+users, "group", g.rid, attrs...); err != nil {
			return err
		}
	}
	for _, g := range []struct {
		name    string
		rid     uint32
		members []string
	}{
		{"Administrators", 544, []string{admin, "CN=Domain Admins," + users, "CN=Enterprise Admins," + users}},
		{"Users", 545, []string{"CN=Domain Users," + users}}, {"Guests", 546, nil},
		{"Pre-Windows 2000 Compatible Access", 554, nil},
	} {
		attrs := []directory.Attribute{directory.Attr("objectClass", "group"), directory.Attr("groupType", builtinSecurity),
			directory.Octets("objectSid", schema.ParseSID("S-1-5-32-"+strconv.Itoa(int(g.rid))))}
		if g.members != nil {
			attrs = append(attrs, directory.Attr("member", g.members...))
		}
		if _, err := t.add("CN="+g.name+",CN=Builtin,"+domain, attrs); err != nil {
			return err
		}
	}
	return nil
}

// principal adds an account with a well-known relative id.
func (t *txn) principal(dn, class string, rid uint32, attrs ...directory.Attribute) error {
	attrs = append(attrs, directory.Attr("objectClass", class), directory.Octets("objectSid", sidOf(t.facts.domainSID, rid)))
	_, err := t.add(dn, attrs)
	return err
}

// reindexChunk is how many objects one batch indexes.
const reindexChunk = 250

// reindexAll writes the indexes that a new schema asks for.
func (d *DB) reindexAll(ctx context.Context) error {
	from := key64(spaceObject, 0)
	for {
		var objs []*object
		it := d.kv.Scan(ctx, kv.Range{Lower: from, Upper: []byte{spaceObject + 1}, Limit: reindexChunk})
		for it.Next() {
			o, err := decodeObject(dnt(binary.BigEndian.Uint64(it.Key()[1:])), append([]byte(nil), it.Value()...))
			if err != nil {
				it.Close()
				return err
			}
			objs = append(objs, o)
		}
		if err := it.Close(); err != nil {
			return wrap("directory.reindex", "", err)
		}
		if len(objs) == 0 {
			return nil
		}
		from = key64(spaceObject, uint64(objs[len(objs)-1].n)+1)
		err := d.update(ctx, directory.AsSystem, "directory.reindex", func(t *txn) error {
			for _, o := range objs {
				now, err := t.object(o.n)
				if err != nil {
					return err
				}
				t.reindex(nil, now)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
}
