package service

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"rialto/internal/model"
)

func TestVirtualServerStates(t *testing.T) {
	events := NewEventLog(nil, 0)
	v := NewVirtualServer(&Server{Name: "ECHO", Handler: echo, Events: events}, Binding{Address: "127.0.0.1:0"})
	ctx := t.Context()
	if err := v.Pause(ctx); !model.IsKind(err, model.KindConflict) {
		t.Errorf("pausing a stopped server: %v", err)
	}
	for round := range 2 {
		if err := v.Start(ctx); err != nil {
			t.Fatal(err)
		}
		c := dial(t, v.Addrs()[0].String())
		c.send("a\r\n")
		c.expect("a")
		if err := v.Pause(ctx); err != nil || v.State() != Paused {
			t.Fatalf("Pause: %v, %s", err, v.State())
		}
		dial(t, v.Addrs()[0].String()).expectEOF()
		c.send("b\r\n")
		c.expect("b")
		if err := v.Start(ctx); err != nil || v.State() != Running {
			t.Fatalf("resume: %v, %s", err, v.State())
		}
		if err := v.Stop(ctx); err != nil || v.State() != Stopped || len(v.Addrs()) != 0 {
			t.Fatalf("round %d: Stop: %v, %s", round, err, v.State())
		}
		c.expect("* BYE")
	}
	var ids []int
	for _, e := range events.Recent(4, nil) {
		ids = append(ids, e.ID)
	}
	if want := []int{EventStopped, EventResumed, EventPaused, EventStarted}; len(ids) != 4 || [4]int(ids) != [4]int(want) {
		t.Errorf("events %v, want %v", ids, want)
	}
}

func TestRebind(t *testing.T) {
	v := NewVirtualServer(&Server{Name: "ECHO", Handler: echo}, Binding{Address: "127.0.0.1:0"})
	ctx := t.Context()
	if err := v.Start(ctx); err != nil {
		t.Fatal(err)
	}
	defer v.Stop(context.Background())
	old := v.Addrs()[0].String()
	c := dial(t, old)
	c.send("a\r\n")
	c.expect("a")
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	if err := v.Rebind(ctx, Binding{Address: busy.Addr().String()}); !model.IsKind(err, model.KindUnavailable) {
		t.Fatalf("binding to a used port: %v", err)
	}
	dial(t, old).Close()
	sock := filepath.Join(t.TempDir(), "s")
	if err := v.Rebind(ctx, Binding{Network: "unix", Address: sock}, Binding{Address: "127.0.0.1:0", TLS: true}); err != nil {
		t.Fatal(err)
	}
	if _, err := net.DialTimeout("tcp", old, time.Second); err == nil {
		t.Error("the old port is still open")
	}
	c.send("b\r\n")
	c.expect("b")
	fi, err := os.Stat(sock)
	if err != nil || fi.Mode().Perm() != 0o600 {
		t.Errorf("socket: %v, %v", fi, err)
	}
	u, err := new(Dialer).Dial(ctx, "unix", sock)
	if err != nil {
		t.Fatal(err)
	}
	defer u.Close()
	u.Write([]byte("over unix\r\n"))
	b := make([]byte, 11)
	if _, err := u.Read(b); err != nil || string(b) != "over unix\r\n" {
		t.Errorf("%q, %v", b, err)
	}
	if _, err := Listen(ctx, "unix", sock); !model.IsKind(err, model.KindExists) {
		t.Errorf("listening on a live socket: %v", err)
	}
}

func TestListenRemovesDeadSocketOnly(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()
	ln, err := Listen(t.Context(), "unix", path)
	if err != nil {
		t.Fatalf("stale socket: %v", err)
	}
	ln.Close()
	os.WriteFile(path, []byte("precious"), 0o600)
	if _, err := Listen(t.Context(), "unix", path); err == nil {
		t.Error("a file was taken for a socket")
	}
}

func TestEventLogFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "logs", "events.json")
	f, err := OpenRotating(path, 400, 2)
	if err != nil {
		t.Fatal(err)
	}
	l := NewEventLog(f, 3)
	for i := range 12 {
		l.Report(t.Context(), Event{Source: SourceStore, ID: 9523 + i, Level: slog.LevelWarn, Category: "General",
			Message: "The store was mounted.", Attrs: []slog.Attr{slog.Int("n", i)}})
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write([]byte("x")); err == nil {
		t.Error("written after Close")
	}
	recent := l.Recent(10, nil)
	if len(recent) != 3 || recent[0].ID != 9534 || recent[2].ID != 9532 {
		t.Errorf("Recent = %+v", recent)
	}
	if got := l.Recent(10, func(e Event) bool { return e.ID%2 == 1 }); len(got) != 1 || got[0].ID != 9533 {
		t.Errorf("filtered = %+v", got)
	}
	entries, _ := os.ReadDir(filepath.Dir(path))
	if len(entries) != 3 {
		t.Errorf("%d files, want the current and two old", len(entries))
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(bytes.TrimSpace(b)), "\n")
	var rec map[string]any
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &rec); err != nil {
		t.Fatal(err)
	}
	if rec["source"] != SourceStore || rec["id"] != float64(9534) || rec["n"] != float64(11) || rec["level"] != "WARN" {
		t.Errorf("record %v", rec)
	}
}

func TestDialerOpTimeout(t *testing.T) {
	ln, err := Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	c, err := (&Dialer{OpTimeout: 30 * time.Millisecond}).Dial(t.Context(), "tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Read(make([]byte, 1)); !os.IsTimeout(err) {
		t.Errorf("Read = %v, want a timeout", err)
	}
}
