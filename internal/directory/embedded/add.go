package embedded

import (
	"context"
	"encoding/binary"
	"errors"
	"strings"

	"rialto/internal/directory"
	"rialto/internal/directory/schema"
	"rialto/internal/kv"
	"rialto/internal/model"
	"rialto/internal/wire/ldap"
)

// Add implements directory.Directory.
func (d *DB) Add(ctx context.Context, p directory.Principal, dn string, attrs []directory.Attribute) error {
	return d.update(ctx, p, "directory.add", func(t *txn) error {
		_, err := t.add(dn, attrs)
		return err
	})
}

// computed are attributes that nobody writes. The System may give an object its
// GUID and SID.
func computed(name string) bool {
	switch strings.ToLower(name) {
	case "objectguid", "objectsid", "usncreated", "usnchanged", "whencreated", "whenchanged", "distinguishedname",
		"name", "instancetype", "isdeleted", "memberof", "ntsecuritydescriptor", "lastknownparent":
		return true
	}
	return false
}

// secret are attributes that only the System reads or writes.
func secret(name string) bool {
	switch strings.ToLower(name) {
	case "supplementalcredentials", "unicodepwd", "userpassword":
		return true
	}
	return false
}

func (t *txn) add(name string, attrs []directory.Attribute) (*object, error) {
	dn, err := ldap.ParseDN(name)
	if err != nil || len(dn) == 0 || len(dn[0]) != 1 {
		return nil, model.E("directory.add", model.KindInvalid, name, err)
	}
	parent, err := t.find(dn.Parent().String())
	if err != nil {
		return nil, err
	}
	if err := t.container(parent, dn.Parent().String()); err != nil {
		return nil, err
	}
	if _, err := t.get(childKey(parent, dn[0][0])); !errors.Is(err, kv.ErrNotFound) {
		if err == nil {
			err = model.E("directory.add", model.KindExists, name, nil)
		}
		return nil, wrap("directory.add", name, err)
	}
	class, err := t.classOf(name, attrs)
	if err != nil {
		return nil, err
	}
	if err := t.checkRDN(dn[0][0]); err != nil {
		return nil, err
	}
	o := t.newObject(parent, t.spell(dn[0][0]))
	o.setText("objectClass", t.schema.Line(class.Name)...)
	o.setText("instanceType", "4")
	for _, a := range attrs {
		if strings.EqualFold(a.Name, "objectClass") {
			continue
		}
		if err := t.assign(o, a); err != nil {
			return nil, err
		}
	}
	if err := t.complete(o, class); err != nil {
		return nil, err
	}
	t.put(nil, o)
	return o, nil
}

// classOf picks the most specific structural class named.
func (t *txn) classOf(name string, attrs []directory.Attribute) (*schema.Class, error) {
	var best *schema.Class
	depth := 0
	for _, a := range attrs {
		if !strings.EqualFold(a.Name, "objectClass") {
			continue
		}
		for _, v := range a.Values {
			c := t.schema.Class(string(v))
			if c == nil {
				return nil, model.E("directory.add", model.KindInvalid, "unknown class "+string(v), nil)
			}
			if n := len(t.schema.Line(c.Name)); n > depth && c.Category != schema.Auxiliary {
				best, depth = c, n
			}
		}
	}
	if best == nil || best.Category == schema.Abstract {
		return nil, model.E("directory.add", model.KindInvalid, name+": no structural object class", nil)
	}
	return best, nil
}

func (t *txn) checkRDN(a ldap.AVA) error {
	sa := t.schema.Attribute(a.Type)
	if sa == nil || sa.Syntax != schema.SyntaxText {
		return model.E("directory.add", model.KindInvalid, "naming attribute "+a.Type, nil)
	}
	return sa.Check([]byte(a.Value))
}

// spell gives an RDN the spelling that DNs are shown in.
func (t *txn) spell(a ldap.AVA) ldap.AVA {
	switch s := strings.ToUpper(a.Type); s {
	case "CN", "OU", "DC", "O", "L", "C":
		a.Type = s
	default:
		a.Type = t.schema.Attribute(a.Type).Name
	}
	return a
}

// assign gives an object the values of an attribute, as Add does.
func (t *txn) assign(o *object, a directory.Attribute) error {
	sa := t.schema.Attribute(a.Name)
	if sa == nil {
		return model.E("directory.write", model.KindInvalid, "unknown attribute "+a.Name, nil)
	}
	if strings.EqualFold(sa.Name, o.rdn.Type) {
		return nil // the name says it
	}
	if err := t.mayWrite(sa, o); err != nil {
		return err
	}
	if err := t.allowed(sa, o); err != nil {
		return err
	}
	if len(a.Values) == 0 {
		return model.E("directory.write", model.KindInvalid, sa.Name+": no values", nil)
	}
	vals, err := t.storeValues(sa, a.Values)
	if err != nil {
		return err
	}
	if sa.Linked() {
		for _, v := range vals {
			t.link(sa, o.n, toDNT(v), true)
		}
		return nil
	}
	if sa.Name == "objectGUID" {
		if len(vals[0]) != len(o.guid) {
			return model.E("directory.write", model.KindInvalid, "objectGUID", nil)
		}
		if _, err := t.get(guidKey(model.GUID(vals[0]))); !errors.Is(err, kv.ErrNotFound) {
			if err == nil {
				err = model.E("directory.write", model.KindExists, "objectGUID", nil)
			}
			return wrap("directory.write", "objectGUID", err)
		}
		t.del(guidKey(o.guid))
		copy(o.guid[:], vals[0])
		t.set(guidKey(o.guid), o.n.bytes())
		return nil
	}
	o.set(sa.Name, distinct(sa, vals)...)
	return nil
}

func (t *txn) mayWrite(sa *schema.Attribute, o *object) error {
	sys := t.p.Level == directory.System
	switch {
	case sa.BackLink():
		return model.E("directory.write", model.KindInvalid, sa.Name+" is computed", nil)
	case computed(sa.Name) && !(sys && (sa.Name == "objectGUID" || sa.Name == "objectSid")),
		secret(sa.Name) && !sys:
		return model.E("directory.write", model.KindPermission, sa.Name, nil)
	}
	return nil
}

// allowed refuses attributes that no class of the object has.
func (t *txn) allowed(sa *schema.Attribute, o *object) error {
	if classes := o.classes(); !t.schema.Allows(classes, sa) {
		return model.E("directory.write", model.KindInvalid, sa.Name+": a "+classes[len(classes)-1]+" has no such attribute", nil)
	}
	return nil
}

// distinct drops values that equal an earlier one.
func distinct(sa *schema.Attribute, vals [][]byte) [][]byte {
	seen := map[string]bool{}
	out := vals[:0:0]
	for _, v := range vals {
		k := string(v)
		if sa.Syntax != schema.SyntaxDN {
			k = string(sa.Normalize(v))
		}
		if !seen[k] {
			seen[k] = true
			out = append(out, v)
		}
	}
	return out
}

// complete fills in what every object, and every security principal, has, and
// checks what its class demands.
func (t *txn) complete(o *object, class *schema.Class) error {
	o.set("objectGUID", o.guid[:])
	if o.get("objectCategory") == nil {
		if n, err := t.categoryOf(class); err != nil {
			return err
		} else if n != 0 {
			o.set("objectCategory", n.bytes())
		}
	}
	if o.is("classSchema") && o.get("defaultObjectCategory") == nil {
		o.set("defaultObjectCategory", o.n.bytes()) // itself (MS-ADTS 3.1.1.2.4.8)
	}
	if o.is("user") || o.is("group") {
		if err := t.completePrincipal(o); err != nil {
			return err
		}
	}
	for _, m := range t.schema.Must(append(o.classes(), class.Aux...)) {
		switch m {
		case "nTSecurityDescriptor", "objectCategory", "objectSid", "instanceType", "cn":
			continue
		}
		if o.get(m) == nil && !strings.EqualFold(m, o.rdn.Type) {
			if links, err := t.linkedTo(o, m); err != nil || !links {
				return model.E("directory.add", model.KindInvalid, class.Name+" must have "+m, err)
			}
		}
	}
	return t.unique(o)
}

func (t *txn) linkedTo(o *object, attr string) (bool, error) {
	sa := t.schema.Attribute(attr)
	if sa == nil || !sa.Linked() {
		return false, nil
	}
	l, err := t.links(spaceLink, sa.Link, o.n)
	return len(l) > 0, err
}

// categoryOf returns the schema object that objectCategory names; 0 while the
// tree is being made.
func (t *txn) categoryOf(class *schema.Class) (dnt, error) {
	n, err := t.get(childKey(t.facts.schemaHead, ldap.AVA{Type: "CN", Value: class.Object}))
	if errors.Is(err, kv.ErrNotFound) {
		return 0, nil
	}
	return toDNT(n), err
}

// completePrincipal gives users, computers and groups their SID and types
// (MS-ADTS 3.1.1.8, MS-SAMR).
func (t *txn) completePrincipal(o *object) error {
	if o.text("sAMAccountName") == "" {
		o.setText("sAMAccountName", o.rdn.Value)
	}
	if o.get("objectSid") == nil {
		o.set("objectSid", t.newSID())
	}
	setDefault := func(name, v string) {
		if o.get(name) == nil {
			o.setText(name, v)
		}
	}
	switch {
	case o.is("computer"):
		setDefault("userAccountControl", "4096")
		setDefault("sAMAccountType", "805306369")
		setDefault("primaryGroupID", "515")
	case o.is("user"):
		setDefault("userAccountControl", "512")
		setDefault("sAMAccountType", "805306368")
		setDefault("primaryGroupID", "513")
	default:
		setDefault("groupType", "-2147483646")
		setDefault("sAMAccountType", groupAccountType(o.text("groupType")))
	}
	return nil
}

// groupAccountType follows from groupType: distribution groups have another
// type, and so have domain local ones.
func groupAccountType(groupType string) string {
	n, _ := schema.Integer([]byte(groupType))
	security, local := n&0x80000000 != 0, n&4 != 0
	switch {
	case local && security:
		return "536870912"
	case local:
		return "536870913"
	case security:
		return "268435456"
	}
	return "268435457"
}

func (t *txn) newSID() []byte {
	t.facts.rid++
	return sidOf(t.facts.domainSID, t.facts.rid)
}

// sidOf appends a relative id to a domain's SID.
func sidOf(domain []byte, rid uint32) []byte {
	s := append([]byte(nil), domain...)
	s[1]++
	return binary.LittleEndian.AppendUint32(s, rid)
}

// unique refuses names that sign-in and mail need to be one object's alone.
func (t *txn) unique(o *object) error {
	for _, name := range []string{"sAMAccountName", "userPrincipalName", "proxyAddresses", "objectSid", "legacyExchangeDN", "msExchMailboxGuid"} {
		sa := t.schema.Attribute(name)
		if sa == nil {
			continue
		}
		for _, v := range o.get(name) {
			others, err := t.withValue(sa, sa.Normalize(v))
			if err != nil {
				return err
			}
			for _, n := range others {
				if n != o.n {
					return model.E("directory.write", model.KindExists, name+" "+string(sa.Normalize(v)), nil)
				}
			}
		}
	}
	return nil
}

// withValue finds objects by an indexed value, with this change's own writes.
func (t *txn) withValue(sa *schema.Attribute, norm []byte) ([]dnt, error) {
	found, err := indexLookup(t.ctx, t.d.kv, sa.Name, norm)
	if err != nil {
		return nil, err
	}
	prefix := string(append(indexPrefix(sa.Name, norm), 0))
	kept := found[:0]
	for _, n := range found {
		if v, ok := t.keys[prefix+string(n.bytes())]; !ok || v != nil {
			kept = append(kept, n)
		}
	}
	for k, v := range t.keys {
		if v != nil && strings.HasPrefix(k, prefix) && len(k) == len(prefix)+8 {
			kept = append(kept, toDNT([]byte(k[len(prefix):])))
		}
	}
	return kept, nil
}

// indexLookup returns the objects whose index has exactly this value.
func indexLookup(ctx context.Context, r kv.Reader, attr string, norm []byte) ([]dnt, error) {
	p := append(indexPrefix(attr, norm), 0)
	it := r.Scan(ctx, kv.Range{Lower: p, Upper: append(p[:len(p):len(p)], 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff)})
	var out []dnt
	for it.Next() {
		if k := it.Key(); len(k) == len(p)+8 {
			out = append(out, toDNT(k[len(p):]))
		}
	}
	return out, wrap("directory.lookup", attr, it.Close())
}
