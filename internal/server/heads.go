package server

import (
	"context"

	"rialto/internal/auth"
	"rialto/internal/model"
	"rialto/internal/org"
	"rialto/internal/protocol/imap"
	"rialto/internal/protocol/ldap"
	"rialto/internal/protocol/pop3"
	"rialto/internal/protocol/smtp"
	"rialto/internal/service"
	"rialto/internal/store"
)

func bindingFor(port int) org.Binding { return org.Binding{Port: port} }

// newServices makes the set of virtual servers, none started.
func (s *Server) newServices() {
	s.services = &services{host: s.cfg.Host, offset: s.cfg.PortOffset, events: s.events, build: s.head, m: map[model.GUID]*running{}}
}

// head builds the server behind a virtual server of the directory.
func (s *Server) head(v *org.VirtualServer) *service.Server {
	srv := &service.Server{TLS: s.certs.Config, Log: s.log, Events: s.events, Metrics: service.NewMetrics(s.metrics)}
	srv.Limits.MaxConns = v.MaxConnections
	switch v.Protocol {
	case org.IMAP:
		h := &imap.Server{Auth: s.auth, Stores: s, Index: s.indexes, Config: s.imapSettings, Events: s.events, Log: s.log}
		srv.Name, srv.Handler = service.SourceIMAP4, h.Handle
		srv.Limits.MaxConnsPerIP = imapPerAddress
		srv.Refuse = imap.Refusal
	case org.POP:
		h := &pop3.Server{Auth: s.auth, Stores: s, Config: s.popSettings, Events: s.events, Log: s.log}
		srv.Name, srv.Handler = service.SourcePOP3, h.Handle
		srv.Refuse = pop3.Refusal
	case org.SMTP:
		h := &smtp.Head{Transport: s.transport, Org: s.org, Auth: s.auth, Log: s.log}
		srv.Name, srv.Handler = service.SourceSMTP, h.Handler(v.GUID)
		srv.Refuse = smtp.Refusal
	default:
		return nil
	}
	return srv
}

// imapPerAddress is more than the default: a mail program holds a connection
// for every folder it watches, and many people share an address.
const imapPerAddress = 2000

// Mailbox implements the heads' StoreSet.
func (s *Server) Mailbox(ctx context.Context, a *auth.Account) (*store.Mailbox, error) {
	r, err := s.org.Recipient(ctx, a.GUID)
	if err != nil {
		return nil, err
	}
	return s.stores.Mailbox(ctx, r)
}

func (s *Server) imapSettings() imap.Settings {
	c := s.org.Config()
	return imap.Settings{Host: c.Server.FQDN, MaxMessage: c.Organization.MaxSend}
}

func (s *Server) popSettings() pop3.Settings {
	return pop3.Settings{Host: s.org.Config().Server.FQDN}
}

// startDirectoryServices serves the directory and the global catalog.
func (s *Server) startDirectoryServices(ctx context.Context) error {
	for _, d := range []struct {
		name          string
		global        bool
		plain, secure int
	}{{"Directory", false, 389, 636}, {"Global Catalog", true, 3268, 3269}} {
		h := &ldap.Server{Directory: s.directory, Auth: s.auth, Log: s.log, Global: d.global}
		srv := &service.Server{Name: service.SourceDirectory, Handler: h.Handle, TLS: s.certs.Config, Log: s.log, Events: s.events,
			Metrics: service.NewMetrics(s.metrics)}
		if err := s.services.add(ctx, d.name, srv, d.plain, d.secure); err != nil {
			return err
		}
	}
	return nil
}
