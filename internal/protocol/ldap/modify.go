package ldap

import (
	"rialto/internal/directory"
	"rialto/internal/model"
	"rialto/internal/wire/ldap"
)

// modify answers RFC 4511 4.6. With permissive modify, adding what is there and
// deleting what is not are no errors (MS-ADTS 3.1.1.3.4.1.8).
func (n *session) modify(m *ldap.Message, op *ldap.ModifyRequest) bool {
	mods := make([]directory.Modification, len(op.Changes))
	for i, c := range op.Changes {
		mods[i] = directory.Modification{Op: directory.ModOp(c.Op), Attr: directory.Attribute(c.Attribute)}
	}
	if m.Control(ldap.OIDPermissiveModify) != nil {
		return n.done(m, n.permissive(op.DN, mods))
	}
	return n.done(m, n.s.Directory.Modify(n.ctx, n.who, op.DN, mods))
}

// permissive leaves out the values that make no difference.
func (n *session) permissive(dn string, mods []directory.Modification) error {
	var kept []directory.Modification
	for _, mod := range mods {
		if mod.Op != directory.AddValues && mod.Op != directory.DeleteValues || len(mod.Attr.Values) == 0 {
			kept = append(kept, mod)
			continue
		}
		var vals [][]byte
		for _, v := range mod.Attr.Values {
			f := &ldap.Filter{Kind: ldap.FilterEqual, Attr: mod.Attr.Name, Value: v}
			has := false
			_, err := n.s.Directory.Search(n.ctx, n.who, &directory.Search{Base: dn, Filter: f, Attributes: []string{"1.1"}},
				func(*directory.Entry) error { has = true; return nil })
			if err != nil {
				return err
			}
			if has == (mod.Op == directory.DeleteValues) {
				vals = append(vals, v)
			}
		}
		if len(vals) > 0 {
			mod.Attr.Values = vals
			kept = append(kept, mod)
		}
	}
	if len(kept) == 0 {
		// Nothing to do is still refused to those who may not do it.
		if n.who.Level < directory.Administrator {
			return model.E("ldap.modify", model.KindPermission, dn, nil)
		}
		_, err := directory.Get(n.ctx, n.s.Directory, n.who, dn, "1.1")
		return err
	}
	return n.s.Directory.Modify(n.ctx, n.who, dn, kept)
}
