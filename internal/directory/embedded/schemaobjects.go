package embedded

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"

	"rialto/internal/directory"
	"rialto/internal/directory/schema"
	"rialto/internal/kv"
	"rialto/internal/model"
	"rialto/internal/wire/ldap"
)

// schemaTables is the version of the tables that the schema's objects were
// written from.
const schemaTables = 2

// writeSchema makes the objects of a schema say what it says. Those that are
// there, by another RDN perhaps, are changed.
func (t *txn) writeSchema(s *schema.Schema, sch string) error {
	class := func(c *schema.Class) error {
		return t.ensureSchemaObject(c.CN, "classSchema", c.Name, sch, classObject(c))
	}
	for _, name := range []string{"classSchema", "attributeSchema"} { // the categories of all others
		if c := s.Class(name); c != nil {
			if err := class(c); err != nil {
				return err
			}
		}
	}
	for _, a := range s.Attributes() {
		if err := t.ensureSchemaObject(a.CN, "attributeSchema", a.Name, sch, attributeObject(a)); err != nil {
			return err
		}
	}
	for _, c := range s.Classes() {
		if err := class(c); err != nil {
			return err
		}
	}
	// Classes name each other.
	for _, c := range s.Classes() {
		n, err := t.categoryOf(c)
		if err != nil {
			return err
		}
		if n == 0 {
			continue // of a later part
		}
		old, err := t.schemaObject(c.CN, c.Name)
		if err != nil {
			return err
		}
		o := old.clone()
		o.set("defaultObjectCategory", n.bytes())
		if !bytes.Equal(o.encode(), old.encode()) {
			t.put(old, o)
		}
	}
	return nil
}

func attributeObject(a *schema.Attribute) []directory.Attribute {
	attrs := []directory.Attribute{
		directory.Attr("lDAPDisplayName", a.Name), directory.Attr("attributeID", a.OID),
		directory.Attr("attributeSyntax", a.SyntaxOID), directory.Attr("oMSyntax", strconv.Itoa(a.OM)),
		directory.Attr("isSingleValued", boolText(a.Single)), directory.Octets("schemaIDGUID", a.GUID[:]),
		directory.Attr("searchFlags", strconv.Itoa(a.Flags)), directory.Attr("isMemberOfPartialAttributeSet", boolText(a.GC)),
		directory.Attr("systemOnly", boolText(a.System)),
	}
	if !a.Set.IsZero() {
		attrs = append(attrs, directory.Octets("attributeSecurityGUID", a.Set[:]))
	}
	for _, x := range []struct {
		name string
		n    int
	}{{"linkID", a.Link}, {"rangeLower", a.Lower}, {"rangeUpper", a.Upper}, {"mAPIID", a.MAPIID}} {
		if x.n != 0 {
			attrs = append(attrs, directory.Attr(x.name, strconv.Itoa(x.n)))
		}
	}
	return attrs
}

func classObject(c *schema.Class) []directory.Attribute {
	attrs := []directory.Attribute{
		directory.Attr("lDAPDisplayName", c.Name), directory.Attr("governsID", c.OID),
		directory.Attr("objectClassCategory", strconv.Itoa(int(c.Category))), directory.Attr("subClassOf", c.Super),
		directory.Octets("schemaIDGUID", c.GUID[:]), directory.Attr("rDNAttID", c.RDN),
	}
	if c.Descriptor != "" {
		attrs = append(attrs, directory.Attr("defaultSecurityDescriptor", c.Descriptor))
	}
	for _, x := range []struct {
		name   string
		values []string
	}{{"auxiliaryClass", c.Aux}, {"mustContain", c.Must}, {"mayContain", c.May}, {"possSuperiors", c.Superiors}} {
		if len(x.values) > 0 {
			attrs = append(attrs, directory.Attr(x.name, x.values...))
		}
	}
	return attrs
}

// schemaAttributes are the attributes of schema objects that only the tables of
// the first version wrote and a later one may have dropped.
func schemaAttributes() []string {
	return []string{"linkID", "rangeLower", "rangeUpper", "mAPIID", "auxiliaryClass", "mustContain", "mayContain", "possSuperiors"}
}

// schemaObject finds the object of an attribute or class. In a tree that an
// earlier version has written it may have another RDN. KindNotFound.
func (t *txn) schemaObject(cn, name string) (*object, error) {
	missing := model.E("directory.schema", model.KindNotFound, name, nil)
	b, err := t.get(childKey(t.facts.schemaHead, ldap.AVA{Type: "CN", Value: cn}))
	if err == nil {
		if o, err := t.object(toDNT(b)); err != nil || strings.EqualFold(o.text("lDAPDisplayName"), name) {
			return o, err
		}
	} else if !errors.Is(err, kv.ErrNotFound) {
		return nil, err
	}
	if t.facts.tables >= schemaTables {
		return nil, missing
	}
	sa := t.schema.Attribute("lDAPDisplayName")
	found, err := t.withValue(sa, sa.Normalize([]byte(name)))
	if err != nil {
		return nil, err
	}
	for _, n := range found {
		if o, err := t.object(n); err != nil || o.parent == t.facts.schemaHead {
			return o, err
		}
	}
	return nil, missing
}

// makeRoom gives what has the RDN of another schema object one that nothing has;
// its turn to get its own comes.
func (t *txn) makeRoom(cn string) error {
	b, err := t.get(childKey(t.facts.schemaHead, ldap.AVA{Type: "CN", Value: cn}))
	if errors.Is(err, kv.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	o, err := t.object(toDNT(b))
	if err != nil {
		return err
	}
	return t.moveTo(o, ldap.AVA{Type: "CN", Value: o.guid.String()}, o.parent)
}

// ensureSchemaObject makes or corrects one object.
func (t *txn) ensureSchemaObject(cn, class, name, sch string, attrs []directory.Attribute) error {
	old, err := t.schemaObject(cn, name)
	if model.IsKind(err, model.KindNotFound) {
		if err := t.makeRoom(cn); err != nil {
			return err
		}
		_, err := t.add("CN="+ldap.EscapeDN(cn)+","+sch, append(attrs, directory.Attr("objectClass", class)))
		return err
	}
	if err != nil {
		return err
	}
	if old.rdn.Value != cn {
		if err := t.makeRoom(cn); err != nil {
			return err
		}
		if err := t.moveTo(old, ldap.AVA{Type: "CN", Value: cn}, old.parent); err != nil {
			return err
		}
		if old, err = t.object(old.n); err != nil {
			return err
		}
	}
	o := old.clone()
	if o.get("objectCategory") == nil {
		n, err := t.categoryOf(t.schema.Class(class))
		if err != nil {
			return err
		}
		o.set("objectCategory", n.bytes())
	}
	if t.facts.tables < schemaTables {
		for _, name := range schemaAttributes() {
			o.set(name)
		}
	}
	for _, a := range attrs {
		sa := t.schema.Attribute(a.Name)
		vals, err := t.storeValues(sa, a.Values)
		if err != nil {
			return err
		}
		if !sa.Single { // what others have added stays
			vals = distinct(sa, append(slices.Clone(o.get(sa.Name)), vals...))
		}
		o.set(sa.Name, vals...)
	}
	if !bytes.Equal(o.encode(), old.encode()) {
		t.put(old, o)
	}
	return nil
}

// upgradeSchema brings the schema's objects of an older tree up to the tables.
// It may be stopped and run again.
func (d *DB) upgradeSchema(ctx context.Context) error {
	if d.facts.tables >= schemaTables {
		return nil
	}
	if err := d.writeTables(ctx, directory.AsSystem, d.schema.Load(), func(int, int) {}); err != nil {
		return err
	}
	if err := d.reindexAll(ctx); err != nil {
		return err
	}
	return d.update(ctx, directory.AsSystem, "directory.upgrade", func(t *txn) error {
		t.facts.tables = schemaTables
		t.b.Set(factsKey, t.facts.encode())
		return nil
	})
}

// writeTables writes the objects of a schema in parts.
func (d *DB) writeTables(ctx context.Context, p directory.Principal, s *schema.Schema, progress func(done, total int)) error {
	sch := d.Root().Schema
	attrs, classes := s.Attributes(), s.Classes()
	total := len(attrs) + len(classes)
	// Classes come twice: their categories may be in later parts.
	for i := 0; i < total+len(classes); i += extendChunk {
		at := i
		if at >= total {
			at -= len(classes)
		}
		part := schema.Part(attrs[min(at, len(attrs)):min(at+extendChunk, len(attrs))],
			classes[max(0, min(at-len(attrs), len(classes))):max(0, min(at+extendChunk-len(attrs), len(classes)))])
		err := d.update(ctx, p, "directory.extendschema", func(t *txn) error { return t.writeSchema(part, sch) })
		if err != nil {
			return err
		}
		progress(min(i+extendChunk, total), total)
	}
	return nil
}

func boolText(b bool) string {
	if b {
		return "TRUE"
	}
	return "FALSE"
}

// ExtendSchema adds the Exchange classes and attributes; progress is told of
// objects written. It may be stopped and run again.
func (d *DB) ExtendSchema(ctx context.Context, p directory.Principal, progress func(done, total int)) error {
	ext, err := schema.Extended()
	if err != nil {
		return err
	}
	if err := d.writeTables(ctx, p, ext, progress); err != nil {
		return err
	}
	// Changes from here on keep the new indexes; those of older objects follow.
	// Only then does the directory say, for good, that it has the extension.
	d.mu.Lock()
	d.schema.Store(ext)
	d.mu.Unlock()
	if err := d.reindexAll(ctx); err != nil {
		return err
	}
	return d.update(ctx, p, "directory.extendschema", func(t *txn) error {
		if t.facts.extended {
			return nil
		}
		t.facts.extended = true
		t.b.Set(factsKey, t.facts.encode())
		return nil
	})
}

// extendChunk is how many schema objects one batch holds.
const extendChunk = 250
