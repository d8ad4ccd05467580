package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"rialto/internal/model"
	"rialto/internal/server"
)

func serveCmd(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "serve",
		Short: "Run the server that was set up in --data",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return g.serve(cmd.Context()) },
	}
}

func (g *globals) serve(ctx context.Context) error {
	dir, err := absolute(g.data)
	if err != nil {
		return err
	}
	cfg, err := server.LoadConfig(dir)
	if model.IsKind(err, model.KindNotFound) {
		return fmt.Errorf("%s holds no server; set one up with \"rialto setup install\" or \"rialto quickstart\"", g.data)
	}
	if err != nil {
		return err
	}
	s, err := server.Open(ctx, cfg, server.Options{Log: stderrLog()})
	if err != nil {
		return err
	}
	if err := start(ctx, s, func() error { return s.Prepare(ctx) }); err != nil {
		return err
	}
	fmt.Println("ready")
	return wait(ctx, s)
}

// start prepares an open server and starts everything that listens. All or
// nothing: after an error the server is shut down.
func start(ctx context.Context, s *server.Server, prepare func() error) error {
	err := prepare()
	if err == nil {
		err = s.Listen(ctx)
	}
	if err == nil {
		if failed := s.Failed(); len(failed) > 0 {
			err = errors.New(strings.Join(failed, "; "))
		}
	}
	if err != nil {
		_ = shutdown(s) // the first error is the one to report
	}
	return err
}

// wait runs until a signal comes or the directory is lost, then drains.
func wait(ctx context.Context, s *server.Server) error {
	select {
	case <-ctx.Done():
		return shutdown(s)
	case err := <-s.Broken():
		_ = shutdown(s) // the first error is the one to report
		return fmt.Errorf("the server has to be started again: %w", err)
	}
}

// shutdownTime is how long sessions may take to end.
const shutdownTime = 8 * time.Second

func shutdown(s *server.Server) error {
	ctx, cancel := context.WithTimeout(context.Background(), shutdownTime)
	defer cancel()
	return s.Shutdown(ctx)
}

func stderrLog() *slog.Logger {
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
}
