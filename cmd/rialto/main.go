// Command rialto is the one binary: it sets an organization up, runs a server
// and administers a running one.
//
// Exit status: 0 done, 1 done with warnings, 2 failed.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"rialto/internal/server"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:]))
}

// errWarnings is returned by commands that did their work and want attention.
var errWarnings = errors.New("done with warnings")

func run(ctx context.Context, args []string) int {
	cmd := root()
	cmd.SetArgs(args)
	err := cmd.ExecuteContext(ctx)
	switch {
	case err == nil:
		return 0
	case errors.Is(err, errWarnings):
		return 1
	}
	fmt.Fprintln(os.Stderr, "rialto:", explain(err))
	return 2
}

// globals are the flags that every administrative command has.
type globals struct {
	data   string
	server string
	user   string
	caFile string
	json   bool
}

func root() *cobra.Command {
	g := &globals{}
	cmd := &cobra.Command{
		Use:           "rialto",
		Short:         "Messaging and collaboration for organizations",
		Version:       server.Version,
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	cmd.CompletionOptions.HiddenDefaultCmd = true
	f := cmd.PersistentFlags()
	f.StringVar(&g.data, "data", defaultData(), "data directory of the server on this machine")
	f.StringVar(&g.server, "server", "", "URL of a remote server instead (https://host)")
	f.StringVar(&g.user, "user", "", "account for --server; the password comes from RIALTO_PASSWORD or standard input")
	f.StringVar(&g.caFile, "cacert", "", "certificate (PEM) to trust for --server")
	f.BoolVar(&g.json, "json", false, "print JSON")
	cmd.AddCommand(quickstartCmd(g), serveCmd(g), setupCmd(g), statusCmd(g), eventCmd(g), userCmd(g), mailboxCmd(g),
		contactCmd(g), groupCmd(g), queueCmd(g), storageGroupCmd(g), storeCmd(g), serviceCmd(g), backupCmd(g), restoreCmd(g),
		recoveryCmd(g), jobCmd(g))
	sayUsage(cmd)
	return cmd
}

// sayUsage makes errors in the arguments and flags of c and what is below it say
// how the command is used.
func sayUsage(c *cobra.Command) {
	if c.HasParent() && c.Runnable() && !c.HasSubCommands() {
		check := c.Args
		c.Args = func(cmd *cobra.Command, args []string) error {
			if check == nil || check(cmd, args) == nil {
				return nil
			}
			return fmt.Errorf("usage: %s, given: %q; see %s --help", cmd.UseLine(), args, cmd.CommandPath())
		}
	}
	c.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return fmt.Errorf("%w; see %s --help", err, cmd.CommandPath())
	})
	for _, sub := range c.Commands() {
		sayUsage(sub)
	}
}

func defaultData() string {
	if d := os.Getenv("RIALTO_DATA"); d != "" {
		return d
	}
	return "run"
}
