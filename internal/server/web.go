package server

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"time"

	"rialto/internal/admin"
	"rialto/internal/service"
	"rialto/internal/webapp"
)

// web is the HTTP virtual server: the site on 80 and 443, and the management
// API on the local socket.
type web struct {
	servers []*http.Server
	addrs   map[string]string
}

func newHTTPServer(h http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: time.Minute, WriteTimeout: 10 * time.Minute,
		IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug)}
}

// startWeb listens and serves until stop.
func (s *Server) startWeb(ctx context.Context) error {
	s.web = &web{addrs: map[string]string{}}
	site := &webapp.Site{Welcome: s.Welcome, Metrics: s.metrics, API: &webapp.API{Operations: s.admin.Operations(), Auth: s.auth, Log: s.log}}
	h, err := site.Handler()
	if err != nil {
		return err
	}
	local := (&webapp.API{Operations: s.admin.Operations(), Log: s.log}).Handler()
	for _, l := range []struct {
		name, network, addr string
		handler             http.Handler
		tls                 bool
	}{
		{"http", "tcp", s.services.binding(bindingFor(80), false).Address, h, false},
		{"https", "tcp", s.services.binding(bindingFor(443), true).Address, h, true},
		{"admin", "unix", s.cfg.Socket(), local, false},
	} {
		ln, err := service.Listen(ctx, l.network, l.addr)
		if err != nil {
			return err
		}
		s.web.addrs[l.name] = ln.Addr().String()
		srv := newHTTPServer(l.handler, s.log)
		s.web.servers = append(s.web.servers, srv)
		if l.tls {
			srv.TLSConfig = &tls.Config{GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return s.certs.Config(), nil }}
			ln = tls.NewListener(ln, srv.TLSConfig)
		}
		s.background.Go(func() { s.serveWeb(srv, ln) })
	}
	return nil
}

func (s *Server) serveWeb(srv *http.Server, ln net.Listener) {
	if err := srv.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
		s.log.Error("http server ended", "err", err)
	}
}

func (w *web) stop(ctx context.Context) {
	if w == nil {
		return
	}
	for _, srv := range w.servers {
		if srv.Shutdown(ctx) != nil {
			_ = srv.Close() // what did not finish in time is cut
		}
	}
}

// Welcome is what the front page and quickstart tell.
func (s *Server) Welcome() webapp.Welcome {
	c := s.org.Config()
	w := webapp.Welcome{Organization: c.Organization.Name}
	if len(c.Domains) > 0 {
		w.Domain = c.Domains[0].Name
	}
	e := s.Endpoints()
	for _, row := range []struct{ what, name, security string }{
		{"Incoming mail, IMAP", "imap", "STARTTLS"}, {"Incoming mail, IMAP", "imaps", "SSL/TLS"},
		{"Incoming mail, POP3", "pop3", "STARTTLS"}, {"Incoming mail, POP3", "pop3s", "SSL/TLS"},
		{"Outgoing mail, SMTP", "submission", "STARTTLS"}, {"Outgoing mail, SMTP", "submissions", "SSL/TLS"},
		{"Mail from other servers", "smtp", "STARTTLS offered"},
		{"Address book, LDAP", "ldap", "STARTTLS"}, {"Address book, LDAP", "ldaps", "SSL/TLS"},
	} {
		if a := e[row.name]; a != "" {
			w.Rows = append(w.Rows, webapp.WelcomeRow{What: row.what, Address: a, Security: row.security})
		}
	}
	return w
}

var _ admin.Services = (*services)(nil)
