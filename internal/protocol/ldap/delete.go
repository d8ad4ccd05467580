package ldap

import "rialto/internal/wire/ldap"

// delete answers RFC 4511 4.8.
func (n *session) delete(m *ldap.Message, op *ldap.DeleteRequest) bool {
	return n.done(m, n.s.Directory.Delete(n.ctx, n.who, op.DN))
}
