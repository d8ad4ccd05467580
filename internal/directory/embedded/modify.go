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

// live returns the object of a name, if it is one that can be changed: no
// tombstone, and not a mere place in the tree.
func (t *txn) live(op, dn string) (*object, error) {
	n, err := t.find(dn)
	if err != nil {
		return nil, err
	}
	o, err := t.object(n)
	if err != nil {
		return nil, err
	}
	if o.deleted || o.phantom() {
		return nil, model.E(op, model.KindNotFound, dn, nil)
	}
	return o, nil
}

// Modify implements directory.Directory.
func (d *DB) Modify(ctx context.Context, p directory.Principal, dn string, mods []directory.Modification) error {
	return d.update(ctx, p, "directory.modify", func(t *txn) error {
		old, err := t.live("directory.modify", dn)
		if err != nil {
			return err
		}
		o := old.clone()
		for _, m := range mods {
			if err := t.modify(o, m); err != nil {
				return err
			}
		}
		for _, m := range t.schema.Must(o.classes()) {
			if old.get(m) != nil && o.get(m) == nil {
				return model.E("directory.modify", model.KindInvalid, m+" can not be removed", nil)
			}
		}
		if err := t.unique(o); err != nil {
			return err
		}
		t.put(old, o)
		return nil
	})
}

func (t *txn) modify(o *object, m directory.Modification) error {
	sa := t.schema.Attribute(m.Attr.Name)
	if sa == nil {
		return model.E("directory.modify", model.KindInvalid, "unknown attribute "+m.Attr.Name, nil)
	}
	if strings.EqualFold(sa.Name, o.rdn.Type) {
		return model.E("directory.modify", model.KindPermission, sa.Name+" is the name: rename the entry", nil)
	}
	if err := t.mayWrite(sa, o); err != nil {
		return err
	}
	if m.Op != directory.DeleteValues && len(m.Attr.Values) > 0 { // what is there may go
		if err := t.allowed(sa, o); err != nil {
			return err
		}
	}
	if sa.Name == "objectClass" {
		return model.E("directory.modify", model.KindUnsupported, "objectClass can not be changed", nil)
	}
	vals, err := t.modValues(sa, m)
	if err != nil {
		return err
	}
	if sa.Linked() {
		return t.modifyLinks(sa, o, m.Op, vals)
	}
	have := o.get(sa.Name)
	switch m.Op {
	case directory.AddValues:
		have = slices.Clip(have)
		for _, v := range vals {
			if hasValue(sa, have, v) {
				return model.E("directory.modify", model.KindExists, sa.Name+": value", nil)
			}
			have = append(have, v)
		}
	case directory.DeleteValues:
		if have, err = without(sa, have, vals); err != nil {
			return err
		}
	case directory.Replace:
		have = distinct(sa, vals)
	case directory.Increment:
		if have, err = increment(sa, have, vals); err != nil {
			return err
		}
	}
	if sa.Single && len(have) > 1 {
		return model.E("directory.modify", model.KindInvalid, sa.Name+" is single-valued", nil)
	}
	o.set(sa.Name, have...)
	return nil
}

// modValues checks the values of a modification. What is to be deleted need not
// satisfy the schema of today.
func (t *txn) modValues(sa *schema.Attribute, m directory.Modification) ([][]byte, error) {
	switch {
	case m.Op == directory.AddValues && len(m.Attr.Values) == 0:
		return nil, model.E("directory.modify", model.KindInvalid, sa.Name+": no values", nil)
	case m.Op == directory.DeleteValues && sa.Syntax != schema.SyntaxDN:
		return m.Attr.Values, nil
	}
	return t.storeValues(sa, m.Attr.Values)
}

func hasValue(sa *schema.Attribute, have [][]byte, v []byte) bool {
	return slices.ContainsFunc(have, func(h []byte) bool { return sameValue(sa, h, v) })
}

func sameValue(sa *schema.Attribute, a, b []byte) bool {
	if sa.Syntax == schema.SyntaxDN {
		return bytes.Equal(a, b)
	}
	return bytes.Equal(sa.Normalize(a), sa.Normalize(b))
}

// without removes values, all if none are named.
func without(sa *schema.Attribute, have, vals [][]byte) ([][]byte, error) {
	gone := model.E("directory.modify", model.KindNotFound, sa.Name+": value", nil)
	if len(vals) == 0 {
		if len(have) == 0 {
			return nil, gone
		}
		return nil, nil
	}
	out := slices.Clone(have)
	for _, v := range vals {
		i := slices.IndexFunc(out, func(h []byte) bool { return sameValue(sa, h, v) })
		if i < 0 {
			return nil, gone
		}
		out = slices.Delete(out, i, i+1)
	}
	return out, nil
}

func increment(sa *schema.Attribute, have, vals [][]byte) ([][]byte, error) {
	if sa.Syntax != schema.SyntaxInt || len(vals) != 1 || len(have) == 0 {
		return nil, model.E("directory.modify", model.KindInvalid, sa.Name+": increment", nil)
	}
	by, _ := schema.Integer(vals[0])
	out := make([][]byte, len(have))
	for i, h := range have {
		n, _ := schema.Integer(h)
		out[i] = strconv.AppendInt(nil, n+by, 10)
		if err := sa.Check(out[i]); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// modifyLinks changes a linked attribute. The targets' rows do not change: back
// links are computed.
func (t *txn) modifyLinks(sa *schema.Attribute, o *object, op directory.ModOp, vals [][]byte) error {
	have, err := t.links(spaceLink, sa.Link, o.n)
	if err != nil {
		return err
	}
	switch op {
	case directory.Replace:
		for _, n := range have {
			t.link(sa, o.n, n, false)
		}
		have = nil
		fallthrough
	case directory.AddValues:
		if sa.Single && len(have)+len(vals) > 1 {
			return model.E("directory.modify", model.KindInvalid, sa.Name+" is single-valued", nil)
		}
		for _, v := range vals {
			n := toDNT(v)
			if containsDNT(have, n) {
				return model.E("directory.modify", model.KindExists, sa.Name+": value", nil)
			}
			have = append(have, n)
			t.link(sa, o.n, n, true)
		}
	case directory.DeleteValues:
		if len(vals) == 0 {
			for _, n := range have {
				t.link(sa, o.n, n, false)
			}
		}
		for _, v := range vals {
			if !containsDNT(have, toDNT(v)) {
				return model.E("directory.modify", model.KindNotFound, sa.Name+": value", nil)
			}
			t.link(sa, o.n, toDNT(v), false)
		}
	default:
		return model.E("directory.modify", model.KindInvalid, sa.Name+": increment", nil)
	}
	return nil
}

// Rename implements directory.Directory.
func (d *DB) Rename(ctx context.Context, p directory.Principal, dn, rdn, parent string) error {
	return d.update(ctx, p, "directory.rename", func(t *txn) error {
		old, err := t.live("directory.rename", dn)
		if err != nil {
			return err
		}
		if t.protected(old.n) {
			return model.E("directory.rename", model.KindPermission, dn, nil)
		}
		name, err := ldap.ParseDN(rdn)
		if err != nil || len(name) != 1 || len(name[0]) != 1 || !strings.EqualFold(name[0][0].Type, old.rdn.Type) {
			return model.E("directory.rename", model.KindInvalid, rdn, err)
		}
		if err := t.checkRDN(name[0][0]); err != nil {
			return err
		}
		to := old.parent
		if parent != "" {
			if to, err = t.find(parent); err != nil {
				return err
			}
			if err := t.container(to, parent); err != nil {
				return err
			}
			if err := t.outside(to, old.n); err != nil {
				return err
			}
		}
		return t.moveTo(old, t.spell(name[0][0]), to)
	})
}

// protected are the objects the tree hangs on.
func (t *txn) protected(n dnt) bool {
	f := &t.facts
	if n == rootDNT || n == f.domain || n == f.config || n == f.schemaHead || n == f.server {
		return true
	}
	for _, del := range f.deleted {
		if n == del {
			return true
		}
	}
	return false
}

// outside refuses a parent that is the object itself, or below it, or in
// another naming context.
func (t *txn) outside(parent, n dnt) error {
	for p := parent; p != rootDNT; {
		if p == n {
			return model.E("directory.rename", model.KindInvalid, "an entry can not be put below itself", nil)
		}
		o, err := t.object(p)
		if err != nil {
			return err
		}
		p = o.parent
	}
	from, err := t.head(n)
	if err != nil {
		return err
	}
	to, err := t.head(parent)
	if err == nil && from != to {
		err = model.E("directory.rename", model.KindInvalid, "an entry can not go to another naming context", nil)
	}
	return err
}

func (t *txn) moveTo(old *object, rdn ldap.AVA, parent dnt) error {
	newKey, oldKey := childKey(parent, rdn), childKey(old.parent, old.rdn)
	if !bytes.Equal(newKey, oldKey) {
		if _, err := t.get(newKey); !errors.Is(err, kv.ErrNotFound) {
			if err == nil {
				err = model.E("directory.rename", model.KindExists, rdn.Value, nil)
			}
			return wrap("directory.rename", rdn.Value, err)
		}
		t.del(oldKey)
		t.set(newKey, old.n.bytes())
	}
	o := old.clone()
	o.rdn, o.parent = rdn, parent
	t.renamed = true
	t.put(old, o)
	return nil
}

// Delete implements directory.Directory.
func (d *DB) Delete(ctx context.Context, p directory.Principal, dn string) error {
	return d.update(ctx, p, "directory.delete", func(t *txn) error {
		old, err := t.live("directory.delete", dn)
		if err != nil {
			return err
		}
		if t.protected(old.n) {
			return model.E("directory.delete", model.KindPermission, dn, nil)
		}
		if child, err := t.hasChild(old.n); err != nil || child {
			if err == nil {
				err = model.E("directory.delete", model.KindConflict, dn+" has entries below it", nil)
			}
			return err
		}
		return t.bury(old)
	})
}

func (t *txn) hasChild(n dnt) (bool, error) {
	it := t.d.kv.Scan(t.ctx, kv.Range{Lower: key64(spaceChild, uint64(n)), Upper: key64(spaceChild, uint64(n)+1), Limit: 1})
	has := it.Next()
	return has, wrap("directory.delete", "", it.Close())
}

// bury makes a tombstone (MS-ADTS 3.1.1.5.5): the object moves below Deleted
// Objects of its naming context under a name of its own, loses its links and
// all attributes that tombstones do not keep.
func (t *txn) bury(old *object) error {
	if err := t.unlinkAll(old.n); err != nil {
		return err
	}
	head, err := t.head(old.parent)
	if err != nil {
		return err
	}
	o := &object{n: old.n, guid: old.guid, deleted: true, parent: t.facts.deleted[head], rdn: old.rdn}
	o.rdn.Value += "\nDEL:" + old.guid.String()
	for _, a := range old.attrs {
		sa := t.schema.Attribute(a.name)
		if sa != nil && (sa.Flags&8 != 0 || computed(a.name)) || a.name == "sAMAccountName" || a.name == "legacyExchangeDN" {
			o.attrs = append(o.attrs, a)
		}
	}
	o.set("objectClass", old.get("objectClass")...)
	o.setText("isDeleted", "TRUE")
	o.set("lastKnownParent", old.parent.bytes())
	t.del(childKey(old.parent, old.rdn))
	t.set(childKey(o.parent, o.rdn), o.n.bytes())
	t.renamed = true
	t.put(old, o)
	return nil
}

// unlinkAll removes the links from and to an object.
func (t *txn) unlinkAll(n dnt) error {
	for _, sa := range t.schema.Attributes() {
		if !sa.Linked() {
			continue
		}
		to, err := t.links(spaceLink, sa.Link, n)
		if err != nil {
			return err
		}
		for _, m := range to {
			t.link(sa, n, m, false)
		}
		from, err := t.links(spaceBack, sa.Link, n)
		if err != nil {
			return err
		}
		for _, m := range from {
			t.link(sa, m, n, false)
		}
	}
	return nil
}
