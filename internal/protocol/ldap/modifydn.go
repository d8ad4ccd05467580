package ldap

import "rialto/internal/wire/ldap"

// modifyDN answers RFC 4511 4.9. The old RDN always goes: names of this
// directory have one value.
func (n *session) modifyDN(m *ldap.Message, op *ldap.ModifyDNRequest) bool {
	if !op.DeleteOldRDN {
		return n.reply(m, ldap.Result{Code: ldap.UnwillingToPerform, Message: "deleteoldrdn must be TRUE"})
	}
	parent := ""
	if op.NewSuperior != nil {
		if parent = *op.NewSuperior; parent == "" {
			return n.reply(m, ldap.Result{Code: ldap.NamingViolation, Message: "nothing can be put beside the domain"})
		}
	}
	return n.done(m, n.s.Directory.Rename(n.ctx, n.who, op.DN, op.NewRDN, parent))
}
