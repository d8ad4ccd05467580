package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"reflect"
	"text/tabwriter"
	"time"

	"rialto/internal/admin"
	"rialto/internal/directory"
	"rialto/internal/model"
	"rialto/internal/server"
	"rialto/internal/service"
)

// caller runs management operations.
type caller interface {
	Call(op string, in, out any) error
}

// operator returns the server that the flags name, or, if none runs on --data,
// the operations themselves on what is there. close must be called.
func (g *globals) operator(ctx context.Context) (c caller, close func(), err error) {
	if g.server != "" || answers((&server.Config{DataDir: g.data}).Socket()) {
		c, err := g.client()
		return c, func() {}, err
	}
	cfg, err := server.LoadConfig(g.data)
	if err != nil {
		return nil, nil, err
	}
	s, err := server.Open(ctx, cfg, server.Options{Log: stderrLog()})
	if err == nil {
		err = s.Offline(ctx)
	}
	if err != nil {
		return nil, nil, err
	}
	return &direct{ctx, s.Admin()}, func() { _ = shutdown(s) }, nil
}

// answers reports whether a server listens on a socket.
func answers(path string) bool {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	c, err := (&service.Dialer{}).Dial(ctx, "unix", path)
	if err != nil {
		return false
	}
	_ = c.Close() // it was only to see
	return true
}

// direct calls operations in this process.
type direct struct {
	ctx   context.Context
	admin *admin.Admin
}

// Call implements caller.
func (d *direct) Call(name string, in, out any) error {
	args, err := json.Marshal(in)
	if err != nil {
		return err
	}
	for _, op := range d.admin.Operations() {
		if op.Name != name {
			continue
		}
		res, err := op.Call(d.ctx, admin.Caller{Principal: directory.AsSystem, Name: "local", From: "command line"}, args)
		if err != nil || out == nil {
			return err
		}
		b, err := json.Marshal(res)
		if err != nil {
			return err
		}
		return json.Unmarshal(b, out)
	}
	return model.E("rialto", model.KindUnsupported, name+" without a server", nil)
}

// answer is a job with its result as it came.
type answer struct {
	admin.Job
	Result json.RawMessage `json:"result"`
}

// pollTime is how long one question for a job waits, in milliseconds.
const pollTime = 2000

// runJob begins a job, waits for its end with progress on a terminal's standard
// error, and prints what came of it. An interrupt cancels the job.
func runJob[Out any](ctx context.Context, g *globals, op string, in any, show func(w *tabwriter.Writer, out *Out) error) error {
	// The work is not cut off by the interrupt itself: it is told to end.
	c, done, err := g.operator(context.WithoutCancel(ctx))
	if err != nil {
		return err
	}
	defer done()
	return follow(ctx, g, c, op, in, show)
}

func follow[Out any](ctx context.Context, g *globals, c caller, op string, in any, show func(w *tabwriter.Writer, out *Out) error) error {
	var j answer
	if err := c.Call(op, in, &j); err != nil {
		return err
	}
	st, err := os.Stderr.Stat()
	terminal := err == nil && st.Mode()&os.ModeCharDevice != 0
	for told := false; j.State == "running"; {
		if ctx.Err() != nil && !told {
			told = true
			if err := c.Call("job.cancel", admin.JobQuery{ID: j.ID}, nil); err != nil {
				return err
			}
		}
		if err := c.Call("job.show", admin.JobQuery{ID: j.ID, Wait: pollTime / (1 + 9*b2i(told))}, &j); err != nil {
			return err
		}
		if terminal {
			fmt.Fprintf(os.Stderr, "\r%s: %d of %d", j.Kind, j.Done, j.Total)
		}
	}
	if terminal {
		fmt.Fprintln(os.Stderr)
	}
	var out Out
	if len(j.Result) > 0 && string(j.Result) != "null" {
		if err := json.Unmarshal(j.Result, &out); err != nil {
			return err
		}
	}
	if g.json {
		e := json.NewEncoder(os.Stdout)
		e.SetIndent("", "  ")
		if err := e.Encode(out); err != nil {
			return err
		}
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 4, 2, ' ', 0)
	if g.json {
		w = tabwriter.NewWriter(discard{}, 0, 4, 2, ' ', 0)
	}
	if j.State == "done" || !reflect.ValueOf(out).IsZero() {
		err = show(w, &out) // also what a job did that was cut short
	}
	if e := w.Flush(); err == nil {
		err = e
	}
	if j.State != "done" {
		return errors.New(j.Error)
	}
	return err
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

// discard is where a table goes that nobody asked for.
type discard struct{}

// Write implements io.Writer.
func (discard) Write(p []byte) (int, error) { return len(p), nil }
