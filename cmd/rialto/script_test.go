package main

import (
	"errors"
	"os/exec"
	"strconv"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"rialto": main})
}

// TestScripts runs the command line as people do: testdata holds what is typed
// and what must come back.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		RequireExplicitExec: true,
		Cmds:                map[string]func(*testscript.TestScript, bool, []string){"exits": exits},
	})
}

// exits is the script command "exits STATUS PROGRAM ARG…": it runs a program and
// checks its exit status.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits STATUS PROGRAM ARG…")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		var e *exec.ExitError
		if !errors.As(err, &e) {
			ts.Fatalf("%s: %v", args[1], err)
		}
		got = e.ExitCode()
	}
	if got != want {
		ts.Fatalf("%v exits with %d, want %d", args[1:], got, want)
	}
}

func TestCheckServer(t *testing.T) {
	for server, ok := range map[string]bool{
		"https://mail.example.com": true, "https://192.0.2.1:8443/": true, "http://localhost:8080": true, "http://127.0.0.1": true,
		"http://127.8.8.8:1": true, "http://[::1]:80": true, "HTTP://LOCALHOST": true,
		"http://mail.example.com": false, "HTTP://mail.example.com": false, "http://192.0.2.1": false, "http://[2001:db8::1]": false,
		"http://localhost.example.com": false, "http://127.0.0.1.example.com": false, "http://localhost@mail.example.com": false,
		"http://0.0.0.0": false, "mail.example.com": false, "ftp://mail.example.com": false, "https://": false, "http://:80": false, "https://%": false,
	} {
		if err := checkServer(server); (err == nil) != ok {
			t.Errorf("%s: %v", server, err)
		}
	}
}
