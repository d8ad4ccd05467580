package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"rialto/internal/admin"
	"rialto/internal/directory"
	"rialto/internal/model"
	"rialto/internal/org"
	"rialto/internal/server"
	"rialto/internal/setup"
)

// quickstart are the flags of that command.
type quickstart struct {
	*globals
	org, domain, adminPassword, host, serverName, engine string
	users, enable                                        []string
	offset                                               int
}

func quickstartCmd(g *globals) *cobra.Command {
	q := &quickstart{globals: g}
	c := &cobra.Command{
		Use:   "quickstart",
		Short: "Set up an organization on this machine, if there is none, and run it",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return q.run(cmd.Context()) },
	}
	f := c.Flags()
	f.StringVar(&q.org, "org", "Contoso", "name of the organization")
	f.StringVar(&q.domain, "domain", "contoso.test", "DNS domain")
	f.StringArrayVar(&q.users, "user", nil, "account to create if it is missing, NAME:PASSWORD; may be repeated")
	f.StringVar(&q.adminPassword, "admin-password", "", "password for administrator, if it has none yet")
	f.StringVar(&q.host, "host", "127.0.0.1", "address to listen on; empty for all")
	f.IntVar(&q.offset, "port-offset", 0, "added to every well-known port")
	f.StringVar(&q.serverName, "server-name", "mail", "host name of this server within the domain")
	f.StringVar(&q.engine, "engine", "", "keep all databases in a PostgreSQL server, postgres://USER:PASSWORD@HOST/DATABASE; empty for files in --data")
	f.StringSliceVar(&q.enable, "enable", nil, "protocols to turn on: pop3, imap4, nntp")
	return c
}

// maxOffset keeps the highest well-known port, 6004 of RPC, a port.
const maxOffset = 65535 - 6004

func (q *quickstart) run(ctx context.Context) error {
	protocols, err := q.protocols()
	if err != nil {
		return err
	}
	if q.offset < 0 || q.offset > maxOffset {
		return fmt.Errorf("--port-offset %d: it must be 0 to %d", q.offset, maxOffset)
	}
	for _, u := range q.users {
		if name, pw, ok := strings.Cut(u, ":"); !ok || name == "" || pw == "" {
			return fmt.Errorf("--user %s: it must be NAME:PASSWORD", name)
		}
	}
	cfg, err := q.config()
	if err != nil {
		return err
	}
	s, err := server.Open(ctx, cfg, server.Options{Log: stderrLog()})
	if err != nil {
		return err
	}
	if err := start(ctx, s, func() error { return q.prepare(ctx, s, cfg, protocols) }); err != nil {
		return err
	}
	q.greet(os.Stdout, s)
	return wait(ctx, s)
}

func (q *quickstart) protocols() ([]org.Protocol, error) {
	var out []org.Protocol
	for _, e := range q.enable {
		switch strings.ToLower(e) {
		case "pop3":
			out = append(out, org.POP)
		case "imap4", "imap":
			out = append(out, org.IMAP)
		case "nntp":
			out = append(out, org.NNTP)
			fmt.Fprintln(os.Stderr, "NNTP is turned on in the directory; this version does not speak it yet.")
		default:
			return nil, fmt.Errorf("--enable %s: it must be pop3, imap4 or nntp", e)
		}
	}
	return out, nil
}

// config loads the bootstrap file, or makes it. Where to listen is this run's to
// say; what the server is called was said when it was set up.
func (q *quickstart) config() (*server.Config, error) {
	dir, err := absolute(q.data)
	if err != nil {
		return nil, err
	}
	cfg, err := server.LoadConfig(dir)
	if model.IsKind(err, model.KindNotFound) {
		cfg, err = &server.Config{DataDir: dir, Server: q.serverName, DNSDomain: strings.ToLower(q.domain)}, nil
	}
	if err != nil {
		return nil, err
	}
	if err := cfg.SetEngine(q.engine); err != nil {
		return nil, err
	}
	cfg.Host, cfg.PortOffset = q.host, q.offset
	return cfg, cfg.Save()
}

// prepare runs Setup as far as it has not run, and creates what is missing.
func (q *quickstart) prepare(ctx context.Context, s *server.Server, cfg *server.Config, protocols []org.Protocol) error {
	state, err := setup.Installed(ctx, s.Directory())
	if err != nil {
		return err
	}
	if len(state.Servers) == 0 {
		plan := setup.Plan{ForestPrep: true, DomainPrep: true, Install: true, Organization: q.org, Server: strings.ToUpper(cfg.Server),
			FQDN: cfg.Server + "." + cfg.DNSDomain, Enable: protocols}
		if err := runSetup(ctx, s, cfg, plan); err != nil {
			return err
		}
	} else {
		for _, p := range protocols {
			if err := setup.EnableProtocol(ctx, s.Directory(), directory.AsSystem, state.Servers[0], p); err != nil {
				return err
			}
		}
	}
	if err := s.Prepare(ctx); err != nil {
		return err
	}
	return q.accounts(ctx, s)
}

// accounts creates the accounts that are missing.
func (q *quickstart) accounts(ctx context.Context, s *server.Server) error {
	local := admin.Caller{Principal: directory.AsSystem, Name: "quickstart", From: "local"}
	if q.adminPassword != "" {
		acct, err := (directory.Finder{Dir: s.Directory()}).FindAccount(ctx, "administrator")
		if err != nil {
			return err
		}
		if acct.Credential == "" {
			if _, err := s.Admin().SetPassword(ctx, local, admin.Password{Name: "administrator", Password: q.adminPassword}); err != nil {
				return err
			}
		}
	}
	for _, u := range q.users {
		name, pw, _ := strings.Cut(u, ":")
		have, err := s.Admin().ShowRecipient(ctx, local, admin.Name{Name: name})
		switch {
		case model.IsKind(err, model.KindNotFound):
			_, err = s.Admin().CreateUser(ctx, local, admin.NewUser{Account: name, Password: pw})
		case err == nil && have.Kind == admin.NoMail:
			// An earlier run was cut off before the account got its mailbox. Addresses
			// come later, from the recipient update service.
			_, err = s.Admin().EnableMailbox(ctx, local, admin.EnableMailbox{Name: name})
		}
		if err != nil {
			return fmt.Errorf("account %s: %w", name, err)
		}
	}
	return nil
}

// greet says where to point a mail program, and with which names.
func (q *quickstart) greet(out io.Writer, s *server.Server) {
	w := s.Welcome()
	fmt.Fprintf(out, "%s is running.\n\n", w.Organization)
	t := tabwriter.NewWriter(out, 2, 4, 3, ' ', 0)
	row(t, "  Service", "Address", "Security")
	for _, r := range w.Rows {
		row(t, "  "+r.What, r.Address, r.Security)
	}
	if a := s.Endpoints()["http"]; a != "" {
		row(t, "  This list in a browser", "http://"+a, "")
	}
	_ = t.Flush() // standard output is gone
	if len(q.users) > 0 {
		name, _, _ := strings.Cut(q.users[0], ":")
		fmt.Fprintf(out, "\nSign in as %s, %s@%s or %s\\%s; the administrator is \"administrator\".\n", name, name, w.Domain,
			s.Directory().Root().NetBIOS, name)
	}
	fmt.Fprintf(out, "Next: %s --data %s status\n\nready\n", os.Args[0], q.data)
}
