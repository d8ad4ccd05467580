package ldap

import (
	"rialto/internal/directory"
	"rialto/internal/wire/ldap"
)

// extended answers RFC 4511 4.12.
func (n *session) extended(m *ldap.Message, op *ldap.ExtendedRequest) bool {
	switch op.OID {
	case ldap.OIDStartTLS:
		return n.startTLS(m)
	case ldap.OIDWhoAmI: // RFC 4532
		r := &ldap.ExtendedResponse{Value: []byte{}}
		if n.name != "" {
			r.Value = []byte("dn:" + n.name)
		}
		return n.send(m.ID, r)
	}
	return n.send(m.ID, &ldap.ExtendedResponse{Result: ldap.Result{Code: ldap.ProtocolError, Message: "unknown extended operation"}})
}

// startTLS answers RFC 4511 4.14. Who was bound is forgotten: what was said in
// clear may have been somebody else's words.
func (n *session) startTLS(m *ldap.Message) bool {
	r := ldap.Result{}
	switch {
	case n.c.TLS():
		r = ldap.Result{Code: ldap.OperationsError, Message: "TLS is established already"}
	case !n.c.CanStartTLS():
		r = ldap.Result{Code: ldap.Unavailable, Message: "no certificate"}
	}
	if !n.send(m.ID, &ldap.ExtendedResponse{Result: r, OID: ldap.OIDStartTLS}) {
		return false
	}
	if r.Code != ldap.Success {
		return true
	}
	n.who, n.name = directory.Principal{}, ""
	return n.c.StartTLS(n.ctx) == nil
}
