// Package e2e drives the built binary with programs we did not write: swaks,
// curl, mutt, mbsync, ldapsearch, Postfix. RIALTO_BIN names the binary; the
// Makefile sets it.
package e2e

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"rialto/test/ports"
)

// rialto is a running server.
type rialto struct {
	t      *testing.T
	data   string
	offset int
	args   []string
	cmd    *exec.Cmd
	out    *output
	ends   chan struct{} // closed when the process is gone
	addr   map[string]string
}

// output gathers what a process prints.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

func binary(t *testing.T) string {
	t.Helper()
	bin := os.Getenv("RIALTO_BIN")
	if bin == "" {
		t.Fatal("RIALTO_BIN is not set: run \"make e2e\"")
	}
	return bin
}

// start runs quickstart in a new data directory.
func start(t *testing.T, more ...string) *rialto {
	t.Helper()
	dir, err := os.MkdirTemp("", "rialto-e2e-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	r := &rialto{t: t, data: filepath.Join(dir, "data"), offset: ports.Offset(t)}
	r.args = append([]string{"quickstart", "--data", r.data, "--org", "Contoso", "--domain", "contoso.test", "--user", "alice:pw1",
		"--user", "bob:pw2", "--admin-password", "pw", "--host", "127.0.0.1", "--port-offset", fmt.Sprint(r.offset), "--enable", "pop3,imap4,nntp"}, more...)
	r.run()
	t.Cleanup(func() {
		r.kill()
		if t.Failed() {
			t.Logf("server output:\n%s", r.out)
		}
	})
	return r
}

// run starts the process and waits for the line "ready".
func (r *rialto) run() {
	r.t.Helper()
	r.cmd = exec.Command(binary(r.t), r.args...)
	r.out = &output{}
	r.cmd.Stderr = r.out
	pipe, err := r.cmd.StdoutPipe()
	if err != nil {
		r.t.Fatal(err)
	}
	if err := r.cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	ready := make(chan bool, 1)
	r.ends = make(chan struct{})
	cmd, out, ends := r.cmd, r.out, r.ends
	go func() {
		sc := bufio.NewScanner(pipe)
		for sc.Scan() {
			fmt.Fprintln(out, sc.Text())
			if sc.Text() == "ready" {
				ready <- true
			}
		}
		_ = cmd.Wait() // the tests look at ProcessState
		close(ends)
	}()
	select {
	case <-ready:
	case <-r.ends:
		r.t.Fatalf("the server ended:\n%s", r.out)
	case <-time.After(60 * time.Second):
		r.t.Fatalf("the server is not ready:\n%s", r.out)
	}
	b, err := os.ReadFile(filepath.Join(r.data, "endpoints.json"))
	if err != nil {
		r.t.Fatal(err)
	}
	r.addr = nil
	if err := json.Unmarshal(b, &r.addr); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rialto) kill() {
	_ = r.cmd.Process.Kill() // it may be gone
	<-r.ends
}

// stop ends the server gently and returns how long it took.
func (r *rialto) stop() time.Duration {
	r.t.Helper()
	began := time.Now()
	if err := r.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		r.t.Fatal(err)
	}
	select {
	case <-r.ends:
	case <-time.After(15 * time.Second):
		r.t.Fatal("the server does not stop")
	}
	if code := r.cmd.ProcessState.ExitCode(); code != 0 {
		r.t.Fatalf("exit status %d after SIGTERM", code)
	}
	return time.Since(began)
}

func (r *rialto) port(name string) string {
	r.t.Helper()
	a := r.addr[name]
	if a == "" {
		r.t.Fatalf("no endpoint %s in %v", name, r.addr)
	}
	return a[strings.LastIndexByte(a, ':')+1:]
}

// tool runs a program with a time limit and returns what it printed.
func tool(t *testing.T, stdin, name string, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	c := exec.CommandContext(ctx, name, args...)
	c.Stdin = strings.NewReader(stdin)
	out, err := c.CombinedOutput()
	return string(out), err
}

// must is tool for a run that has to succeed.
func must(t *testing.T, stdin, name string, args ...string) string {
	t.Helper()
	out, err := tool(t, stdin, name, args...)
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return out
}

// cli runs a management command.
func (r *rialto) cli(args ...string) string {
	r.t.Helper()
	return must(r.t, "", binary(r.t), append([]string{"--data", r.data}, args...)...)
}

// curl talks IMAP or POP3.
func (r *rialto) curl(url, user string, args ...string) string {
	r.t.Helper()
	return must(r.t, "", "curl", append([]string{"-s", "-S", "--user", user, "--url", url}, args...)...)
}

// swaks sends a message and returns the dialogue.
func (r *rialto) swaks(port string, args ...string) (string, error) {
	r.t.Helper()
	return tool(r.t, "", "swaks", append([]string{"--server", "127.0.0.1", "--port", r.port(port)}, args...)...)
}

func contains(t *testing.T, what, text string, wants ...string) {
	t.Helper()
	for _, w := range wants {
		if !strings.Contains(text, w) {
			t.Errorf("%s lacks %q:\n%s", what, w, text)
		}
	}
}

// eventually waits for something that happens soon.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("%s did not happen", what)
}
