package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"rialto/internal/model"
	"rialto/internal/server"
	"rialto/internal/service"
	"rialto/internal/setup"
)

// runSetup runs a plan with its progress on standard output and its log beside
// the data.
func runSetup(ctx context.Context, s *server.Server, cfg *server.Config, plan setup.Plan) error {
	log, err := os.OpenFile(cfg.SetupLog(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	plan.Log, plan.DataDir = log, cfg.DataDir
	plan.Event = func(e setup.Event) {
		s.Events().Report(ctx, service.Event{Source: e.Source, ID: e.ID, Level: slog.LevelInfo, Category: "Setup", Message: e.Text})
	}
	last := 0
	err = setup.Run(ctx, s.Directory(), plan, func(p setup.Progress) {
		if p.N != last {
			last = p.N
			fmt.Printf("[%*d/%d] %s\n", len(fmt.Sprint(p.Total)), p.N, p.Total, p.Text)
		}
	})
	if err != nil {
		return fmt.Errorf("setup stopped: %w; see %s", err, cfg.SetupLog())
	}
	fmt.Println()
	return nil
}

func setupCmd(g *globals) *cobra.Command {
	var domain, name, orgName, engine string
	withServer := func(ctx context.Context, plan setup.Plan) error {
		dir, err := absolute(g.data)
		if err != nil {
			return err
		}
		cfg, err := server.LoadConfig(dir)
		if model.IsKind(err, model.KindNotFound) {
			if domain == "" {
				return fmt.Errorf("--domain is needed to begin in %s", g.data)
			}
			cfg = &server.Config{DataDir: dir, Server: name, DNSDomain: strings.ToLower(domain)}
			if err = cfg.SetEngine(engine); err == nil {
				err = cfg.Save()
			}
		}
		if err != nil {
			return err
		}
		s, err := server.Open(ctx, cfg, server.Options{Log: stderrLog()})
		if err != nil {
			return err
		}
		plan.Server, plan.FQDN = strings.ToUpper(cfg.Server), cfg.Server+"."+cfg.DNSDomain
		err = runSetup(ctx, s, cfg, plan)
		if e := shutdown(s); err == nil {
			err = e
		}
		return err
	}
	step := func(use, short string, plan setup.Plan, next string) *cobra.Command {
		return &cobra.Command{Use: use, Short: short, Args: cobra.NoArgs, RunE: func(cmd *cobra.Command, _ []string) error {
			plan.Organization = orgName
			if err := withServer(cmd.Context(), plan); err != nil {
				return err
			}
			fmt.Println(strings.NewReplacer("DIR", g.data, "RIALTO", os.Args[0]).Replace(next))
			return nil
		}}
	}
	c := noun("setup", "Prepare a directory and install a server, step by step",
		step("forestprep", "Extend the schema and make room for the organization", setup.Plan{ForestPrep: true}, "Next: RIALTO setup domainprep --data DIR"),
		step("domainprep", "Make the groups and containers that servers need in the domain", setup.Plan{DomainPrep: true}, "Next: RIALTO setup install --data DIR --org NAME"),
		step("install", "Install this server, and the organization if it is the first", setup.Plan{Install: true}, "Next: RIALTO serve --data DIR"))
	f := c.PersistentFlags()
	f.StringVar(&domain, "domain", "", "DNS domain, when the directory is made")
	f.StringVar(&name, "server-name", "mail", "host name of this server within the domain")
	f.StringVar(&engine, "engine", "", "PostgreSQL server for all databases, postgres://…, when the directory is made; empty for files")
	f.StringVar(&orgName, "org", "", "name of the organization, for the first server")
	return c
}
