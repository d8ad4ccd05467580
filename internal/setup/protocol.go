package setup

import (
	"context"
	"slices"
	"strings"

	"rialto/internal/directory"
	"rialto/internal/model"
	"rialto/internal/org"
	"rialto/internal/wire/ldap"
)

// Authentication flags of virtual servers and directories, as
// msExchAuthenticationFlags has them.
const (
	basic      = 2
	integrated = 4
)

// virtual is a virtual server as Setup makes it.
type virtual struct {
	proto         org.Protocol
	rdn, class    string
	name          string
	plain, secure string // bindings, with the well-known ports
	auth          int
	on            bool
	more          attrs
}

func (r *run) virtuals() []virtual {
	smtp := attrs{text("msExchSmtpFullyQualifiedDomainName", r.plan.FQDN), number("msExchSmtpMaxRecipients", 64000), number("msExchSmtpMaxHopCount", 30),
		number("msExchSmtpMaxOutboundMsgPerDomain", 20), text("msExchSmtpRemoteQueueRetries", "10,10,10,15"),
		number("msExchSmtpRemoteQueueDelayNotification", 720), number("msExchSmtpRemoteQueueExpirationTimeout", 2880),
		number("msExchSmtpLocalQueueDelayNotification", 720), number("msExchSmtpLocalQueueExpirationTimeout", 2880), yes("msExchSmtpRelayForAuth")}
	return []virtual{
		{org.SMTP, "1", "protocolCfgSMTPServer", "Default SMTP Virtual Server", ":25:", "", org.AnonymousAccess | basic | integrated, true, smtp},
		// Without anonymous access: this is what makes it a submission server.
		{org.SMTP, "2", "protocolCfgSMTPServer", "Submission", ":587:", ":465:", basic | integrated, true, smtp},
		{org.IMAP, "1", "protocolCfgIMAPServer", "Default IMAP4 Virtual Server", ":143:", ":993:", basic | integrated, false, nil},
		{org.POP, "1", "protocolCfgPOPServer", "Default POP3 Virtual Server", ":110:", ":995:", basic | integrated, false, nil},
		{org.NNTP, "1", "protocolCfgNNTPServer", "Default NNTP Virtual Server", ":119:", ":563:", basic | integrated, false, nil},
		{org.HTTP, "1", "protocolCfgHTTPServer", "Exchange Virtual Server", ":80:", ":443:", basic | integrated, true, attrs{no("hTTPPubGAL")}},
	}
}

// containerClass names the class of the container of a protocol's virtual
// servers.
func containerClass(p org.Protocol) string {
	return map[org.Protocol]string{org.SMTP: "msExchProtocolCfgSMTPContainer", org.IMAP: "msExchProtocolCfgIMAPContainer",
		org.POP: "msExchProtocolCfgPOPContainer", org.NNTP: "msExchProtocolCfgNNTPContainer", org.HTTP: "msExchProtocolCfgHTTPContainer"}[p]
}

func (r *run) protocols(ctx context.Context) error {
	p, err := r.places(ctx)
	if err != nil {
		return err
	}
	all := child("Protocols", p.server)
	if err := r.ensure(ctx, all, "protocolCfgSharedServer"); err != nil {
		return err
	}
	for _, v := range r.virtuals() {
		container := child(string(v.proto), all)
		if err := r.ensure(ctx, container, containerClass(v.proto)); err != nil {
			return err
		}
		a := append(attrs{text("adminDisplayName", v.name), text("msExchServerBindings", v.plain), number("msExchAuthenticationFlags", v.auth)}, v.more...)
		if v.secure != "" {
			a = append(a, text("msExchSecureBindings", v.secure))
		}
		start := no("msExchServerAutoStart")
		if v.on {
			start = yes("msExchServerAutoStart")
		}
		if err := r.ensure(ctx, child(v.rdn, container), v.class, append(a, start)...); err != nil {
			return err
		}
	}
	return r.directories(ctx, child("1", child("HTTP", all)))
}

// directories makes the HTTP virtual directories.
func (r *run) directories(ctx context.Context, server string) error {
	for _, d := range []struct {
		name string
		auth int
	}{{"Exchange", basic | integrated}, {"Public", basic | integrated}, {"Exadmin", integrated}, {"ExchWeb", org.AnonymousAccess},
		{"OMA", basic}, {"Microsoft-Server-ActiveSync", basic}, {"Rpc", integrated}} {
		err := r.ensure(ctx, child(d.name, server), "msExchProtocolCfgHTTPVirtualDirectory", no("hTTPPubGAL"),
			text("adminDisplayName", d.name), number("msExchAuthenticationFlags", d.auth), number("msExchAccessFlags", 1))
		if err != nil {
			return err
		}
	}
	return nil
}

// EnableProtocol turns the virtual servers of a protocol on; a running server
// obeys at once. KindNotFound if there is no such server or protocol.
func EnableProtocol(ctx context.Context, d directory.Directory, p directory.Principal, server string, proto org.Protocol) error {
	const op = "setup.protocol"
	list, err := servers(ctx, d)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(list, func(e *directory.Entry) bool { return strings.EqualFold(e.Text("cn"), server) })
	if i < 0 {
		return model.E(op, model.KindNotFound, "server "+server, nil)
	}
	r := &run{dir: d, p: p}
	found, err := directory.Find(ctx, d, directory.AsSystem, &directory.Search{Base: child(string(proto), child("Protocols", list[i].DN)), Scope: directory.One,
		Filter: ldap.Present("msExchServerBindings"), Attributes: []string{"cn"}})
	if err != nil {
		return err
	}
	for _, e := range found {
		if err := r.set(ctx, e.DN, "msExchServerAutoStart", "TRUE"); err != nil {
			return err
		}
	}
	return nil
}
