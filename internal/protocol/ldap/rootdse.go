package ldap

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"rialto/internal/directory/schema"
	"rialto/internal/wire/ldap"
)

// rootDSE answers a search of the root (RFC 4512 5.1, MS-ADTS 3.1.1.3.2), which
// everybody may read.
func (n *session) rootDSE(m *ldap.Message, op *ldap.SearchRequest) bool {
	all := n.rootAttributes()
	e := &ldap.SearchEntry{}
	want := map[string]bool{}
	for _, a := range op.Attributes {
		want[strings.ToLower(a)] = true
	}
	for _, a := range all {
		if len(want) == 0 || want["*"] || want["+"] || want[strings.ToLower(a.Name)] {
			if op.TypesOnly {
				a.Values = nil
			}
			e.Attributes = append(e.Attributes, a)
		}
	}
	return n.send(m.ID, e) && n.send(m.ID, &ldap.SearchDone{})
}

func (n *session) rootAttributes() []ldap.Attribute {
	r := n.s.Directory.Root()
	clock := n.s.Clock
	if clock == nil {
		clock = time.Now
	}
	var out []ldap.Attribute
	add := func(name string, values ...string) {
		a := ldap.Attribute{Name: name}
		for _, v := range values {
			a.Values = append(a.Values, []byte(v))
		}
		out = append(out, a)
	}
	add("objectClass", "top")
	add("currentTime", schema.FormatTime(clock()))
	add("subschemaSubentry", "CN=Aggregate,"+r.Schema)
	add("dsServiceName", "CN=NTDS Settings,"+r.ServerName)
	add("namingContexts", r.Domain, r.Configuration, r.Schema)
	add("defaultNamingContext", r.Domain)
	add("schemaNamingContext", r.Schema)
	add("configurationNamingContext", r.Configuration)
	add("rootDomainNamingContext", r.Domain)
	add("supportedControl", controls()...)
	add("supportedExtension", ldap.OIDStartTLS, ldap.OIDWhoAmI)
	add("supportedLDAPVersion", "3")
	add("supportedLDAPPolicies", "MaxPageSize", "MaxQueryDuration", "MaxConnIdleTime")
	add("supportedSASLMechanisms", n.s.Auth.Passwords().Names(n.c.Protected(false))...)
	add("highestCommittedUSN", strconv.FormatInt(r.HighestUSN, 10))
	add("dnsHostName", r.DNSHost)
	add("ldapServiceName", fmt.Sprintf("%s:%s@%s", r.DNSDomain, strings.ToLower(r.NetBIOS), strings.ToUpper(r.DNSDomain)))
	add("serverName", r.ServerName)
	add("supportedCapabilities", "1.2.840.113556.1.4.800", "1.2.840.113556.1.4.1670")
	add("isSynchronized", "TRUE")
	add("isGlobalCatalogReady", "TRUE")
	add("domainFunctionality", "2")
	add("forestFunctionality", "2")
	add("domainControllerFunctionality", "2")
	add("vendorName", "Rialto")
	return out
}

// subschema answers a search of the subschema entry (RFC 4512 4.2): what
// attributes and classes there are, for programs that edit entries.
func (n *session) subschema(m *ldap.Message, op *ldap.SearchRequest) bool {
	if op.Scope != ldap.ScopeBase {
		return n.send(m.ID, &ldap.SearchDone{})
	}
	s := n.s.Directory.Schema()
	e := &ldap.SearchEntry{DN: "CN=Aggregate," + n.s.Directory.Root().Schema}
	want := map[string]bool{}
	for _, a := range op.Attributes {
		want[strings.ToLower(a)] = true
	}
	add := func(name string, values [][]byte) {
		if len(want) == 0 || want["*"] || want["+"] || want[strings.ToLower(name)] {
			e.Attributes = append(e.Attributes, ldap.Attribute{Name: name, Values: values})
		}
	}
	add("objectClass", [][]byte{[]byte("top"), []byte("subSchema")})
	var attrs, classes [][]byte
	for _, a := range s.Attributes() {
		attrs = append(attrs, []byte(describeAttribute(a)))
	}
	for _, c := range s.Classes() {
		classes = append(classes, []byte(describeClass(c)))
	}
	add("attributeTypes", attrs)
	add("objectClasses", classes)
	return n.send(m.ID, e) && n.send(m.ID, &ldap.SearchDone{})
}

// describeAttribute is an AttributeTypeDescription (RFC 4512 4.1.2).
func describeAttribute(a *schema.Attribute) string {
	syntax := map[schema.Syntax]string{
		schema.SyntaxText: "1.3.6.1.4.1.1466.115.121.1.15", schema.SyntaxDN: "1.3.6.1.4.1.1466.115.121.1.12",
		schema.SyntaxOID: "1.3.6.1.4.1.1466.115.121.1.38", schema.SyntaxBool: "1.3.6.1.4.1.1466.115.121.1.7",
		schema.SyntaxInt: "1.3.6.1.4.1.1466.115.121.1.27", schema.SyntaxTime: "1.3.6.1.4.1.1466.115.121.1.24",
	}[a.Syntax]
	if syntax == "" {
		syntax = "1.3.6.1.4.1.1466.115.121.1.40"
	}
	d := "( " + a.OID + " NAME '" + a.Name + "' SYNTAX '" + syntax + "'"
	if a.Single {
		d += " SINGLE-VALUE"
	}
	return d + " )"
}

// describeClass is an ObjectClassDescription (RFC 4512 4.1.1).
func describeClass(c *schema.Class) string {
	d := "( " + c.OID + " NAME '" + c.Name + "'"
	if c.Super != c.Name {
		d += " SUP " + c.Super
	}
	switch c.Category {
	case schema.Abstract:
		d += " ABSTRACT"
	case schema.Auxiliary:
		d += " AUXILIARY"
	default:
		d += " STRUCTURAL"
	}
	if len(c.Must) > 0 {
		d += " MUST ( " + strings.Join(c.Must, " $ ") + " )"
	}
	return d + " )"
}
