package ldap

import (
	"rialto/internal/directory"
	"rialto/internal/wire/ldap"
)

// add answers RFC 4511 4.7.
func (n *session) add(m *ldap.Message, op *ldap.AddRequest) bool {
	attrs := make([]directory.Attribute, len(op.Attributes))
	for i, a := range op.Attributes {
		attrs[i] = directory.Attribute(a)
	}
	return n.done(m, n.s.Directory.Add(n.ctx, n.who, op.DN, attrs))
}
