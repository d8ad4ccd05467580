package ldap

import (
	"rialto/internal/auth"
	"rialto/internal/directory"
	"rialto/internal/model"
	"rialto/internal/wire/ldap"
)

// bind signs in (RFC 4511 4.2). A failed bind leaves the session anonymous.
func (n *session) bind(m *ldap.Message, op *ldap.BindRequest) bool {
	n.who, n.name = directory.Principal{}, ""
	answer := func(r ldap.Result) bool { return n.send(m.ID, &ldap.BindResponse{Result: r}) }
	switch {
	case op.Version != 3:
		return answer(ldap.Result{Code: ldap.ProtocolError, Message: "version 3 only"})
	case op.SASL != nil:
		return n.bindSASL(op, answer)
	case op.Simple == nil:
		return answer(ldap.Result{Code: ldap.AuthMethodNotSupported})
	case len(op.Simple) == 0:
		if op.Name != "" {
			// A name without a password proves nothing (RFC 4513 5.1.2).
			return answer(ldap.Result{Code: ldap.UnwillingToPerform, Message: "a name needs a password"})
		}
		return answer(ldap.Result{})
	case !n.c.Protected(false):
		return answer(ldap.Result{Code: ldap.ConfidentialityRequired, Message: "use StartTLS or LDAPS before sending a password"})
	}
	acct, err := n.s.Auth.Password(n.ctx, op.Name, string(op.Simple), n.c.RemoteIP(), "ldap")
	return n.signedIn(acct, err, answer)
}

func (n *session) signedIn(acct *auth.Account, err error, answer func(ldap.Result) bool) bool {
	if err != nil {
		if model.IsKind(err, model.KindPermission) || model.IsKind(err, model.KindNotFound) {
			err = model.E("ldap.bind", model.KindAuth, "", err)
		}
		return answer(n.result(err))
	}
	n.who = directory.Principal{GUID: acct.GUID, Level: directory.User}
	if acct.Admin {
		n.who.Level = directory.Administrator
	}
	n.name = acct.DN
	n.c.SetUser(acct.Name)
	return answer(ldap.Result{})
}

// bindSASL takes mechanisms that need one message: PLAIN.
func (n *session) bindSASL(op *ldap.BindRequest, answer func(ldap.Result) bool) bool {
	if op.SASL.Mechanism != "PLAIN" {
		return answer(ldap.Result{Code: ldap.AuthMethodNotSupported})
	}
	peer := auth.Peer{Addr: n.c.RemoteIP(), Proto: "ldap", TLS: n.c.TLSState()}
	mech, err := n.s.Auth.Passwords().Start(op.SASL.Mechanism, peer, n.c.Protected(false))
	if model.IsKind(err, model.KindPermission) {
		return answer(ldap.Result{Code: ldap.ConfidentialityRequired})
	}
	if err != nil {
		return answer(n.result(err))
	}
	_, acct, err := mech.Next(n.ctx, op.SASL.Credentials)
	if err == nil && acct == nil {
		err = model.E("ldap.bind", model.KindAuth, "", nil)
	}
	return n.signedIn(acct, err, answer)
}
