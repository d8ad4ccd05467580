package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"rialto/internal/model"
	"rialto/internal/server"
	"rialto/internal/service"
	"rialto/internal/webapp"
)

// client returns the management API that the flags name.
func (g *globals) client() (*webapp.Client, error) {
	d := &service.Dialer{}
	if g.server == "" {
		socket := (&server.Config{DataDir: g.data}).Socket()
		if _, err := os.Stat(socket); err != nil {
			return nil, fmt.Errorf("no server is running on %s; start one with \"rialto serve --data %s\", or name one with --data or --server", g.data, g.data)
		}
		tr := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return d.Dial(ctx, "unix", socket) }}
		return &webapp.Client{HTTP: &http.Client{Transport: tr}, Base: "http://local"}, nil
	}
	if err := checkServer(g.server); err != nil {
		return nil, err
	}
	if g.user == "" {
		return nil, errors.New("--server needs --user")
	}
	pw, err := password()
	if err != nil {
		return nil, err
	}
	tr := &http.Transport{DialContext: d.Dial}
	if g.caFile != "" {
		pem, err := os.ReadFile(g.caFile)
		if err != nil {
			return nil, err
		}
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("--cacert %s holds no certificate", g.caFile)
		}
		tr.TLSClientConfig = &tls.Config{RootCAs: pool}
	}
	// A redirection could lead the password to where nothing is encrypted.
	stay := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &webapp.Client{HTTP: &http.Client{Transport: tr, CheckRedirect: stay}, Base: strings.TrimSuffix(g.server, "/"), User: g.user, Password: pw}, nil
}

// checkServer refuses URLs that are none, and those that would send a password
// over the network in clear.
func checkServer(server string) error {
	u, err := url.Parse(server)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "" {
		return fmt.Errorf("--server %s is no URL; it looks like https://mail.example.com", server)
	}
	ip := net.ParseIP(u.Hostname())
	if u.Scheme == "http" && !strings.EqualFold(u.Hostname(), "localhost") && !ip.IsLoopback() {
		return fmt.Errorf("--server %s would send the password in clear; use https://%s, with --cacert if its certificate is the server's own", server, u.Hostname())
	}
	return nil
}

// password comes from the environment or the first line of standard input.
func password() (string, error) {
	if pw := os.Getenv("RIALTO_PASSWORD"); pw != "" {
		return pw, nil
	}
	line, err := bufio.NewReader(io.LimitReader(os.Stdin, 4096)).ReadString('\n')
	if err != nil && line == "" {
		return "", errors.New("no password: set RIALTO_PASSWORD or give it on standard input")
	}
	return strings.TrimRight(line, "\r\n"), nil
}

// call runs an operation and prints what came back: as JSON, or by show.
func call[Out any](g *globals, op string, in any, show func(io.Writer, *Out)) error {
	c, err := g.client()
	if err != nil {
		return err
	}
	var out Out
	if err := c.Call(op, in, &out); err != nil {
		return err
	}
	if g.json {
		e := json.NewEncoder(os.Stdout)
		e.SetIndent("", "  ")
		return e.Encode(out)
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 4, 2, ' ', 0)
	show(w, &out)
	return w.Flush()
}

// said prints one line for an operation that has no result.
func said(format string, args ...any) func(io.Writer, *struct{}) {
	return func(w io.Writer, _ *struct{}) { fmt.Fprintf(w, format+"\n", args...) }
}

// row prints cells of a table.
func row(w io.Writer, cells ...any) {
	for i, c := range cells {
		if i > 0 {
			fmt.Fprint(w, "\t")
		}
		fmt.Fprint(w, c)
	}
	fmt.Fprintln(w)
}

// noun makes a command that only groups others; alone it prints its help.
func noun(use, short string, verbs ...*cobra.Command) *cobra.Command {
	c := &cobra.Command{Use: use, Short: short, Args: cobra.NoArgs, RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() }}
	c.AddCommand(verbs...)
	return c
}

// verb makes a command that takes exactly the named arguments.
func verb(use, short string, run func(args []string) error) *cobra.Command {
	n := len(strings.Fields(use)) - 1
	return &cobra.Command{Use: use, Short: short, Args: cobra.ExactArgs(n), RunE: func(_ *cobra.Command, args []string) error { return run(args) }}
}

// size prints octets for people.
func size(n int64) string {
	f, units := float64(n), []string{"B", "KB", "MB", "GB", "TB"}
	i := 0
	for f >= 1024 && i < len(units)-1 {
		f /= 1024
		i++
	}
	if i == 0 {
		return fmt.Sprintf("%d B", n)
	}
	return fmt.Sprintf("%.1f %s", f, units[i])
}

// explain turns an error into a sentence for a person.
func explain(err error) string {
	var e *model.Error
	if !errors.As(err, &e) {
		return err.Error()
	}
	s := e.Kind.String()
	if e.Object != "" {
		s = e.Object + ": " + s
	}
	if e.Err != nil {
		s += " (" + e.Err.Error() + ")"
	}
	// What stands around the error says where it happened.
	return strings.Replace(err.Error(), e.Error(), s, 1)
}

func absolute(path string) (string, error) {
	p, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	return p, os.MkdirAll(p, 0o700)
}
