// Package pgtest starts private PostgreSQL servers for tests: a new cluster in
// a temporary directory, reached by a Unix socket only, with the durability
// settings of production. It can be killed, started again, copied to a standby,
// promoted and restored to a point in time. Run by root, the server runs as the user postgres.
package pgtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// Package is the Debian package that has the server's programs.
const Package = "postgresql-15"

// startLimit bounds how long a server may take to answer.
const startLimit = 60 * time.Second

// Cluster is one server with its directory.
type Cluster struct {
	dir  string // holds data/ and the socket
	bin  string
	cred *syscall.Credential
	proc *exec.Cmd
	log  *os.File
}

// New makes a cluster and starts it. The caller ends it with Remove.
func New(settings ...string) (*Cluster, error) {
	c, err := empty()
	if err != nil {
		return nil, err
	}
	err = c.run("initdb", "-D", c.data(), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--data-checksums", "--no-sync")
	if err == nil {
		err = c.configure(append([]string{"max_connections = 200", "shared_buffers = 128MB"}, settings...)...)
	}
	if err == nil {
		err = c.Start()
	}
	if err != nil {
		c.Remove()
		return nil, err
	}
	return c, nil
}

// empty makes the directory of a cluster.
func empty() (*Cluster, error) {
	c := &Cluster{}
	paths, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb") // the pattern is well formed
	slices.SortFunc(paths, func(a, b string) int { return version(a) - version(b) })
	if len(paths) == 0 {
		return nil, fmt.Errorf("no PostgreSQL server under /usr/lib/postgresql: install the Debian package %s", Package)
	}
	c.bin = filepath.Dir(paths[len(paths)-1])
	var err error
	if c.dir, err = os.MkdirTemp("", "pgtest"); err != nil {
		return nil, err
	}
	if os.Getuid() == 0 {
		u, err := user.Lookup("postgres")
		if err != nil {
			return nil, fmt.Errorf("%w: install the Debian package %s", err, Package)
		}
		uid, _ := strconv.ParseUint(u.Uid, 10, 32) // numbers on every system that has root
		gid, _ := strconv.ParseUint(u.Gid, 10, 32)
		c.cred = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
		if err := os.Chown(c.dir, int(uid), int(gid)); err != nil {
			return nil, err
		}
	}
	c.log, err = os.Create(filepath.Join(c.dir, "server.log"))
	return c, err
}

// version is the major version in the path of a program.
func version(path string) int {
	n, _ := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(path)))) // 0 for names that are not versions
	return n
}

func (c *Cluster) data() string { return filepath.Join(c.dir, "data") }

// command runs one of the server's programs as the right user.
func (c *Cluster) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(c.bin, name), args...)
	cmd.Dir = c.dir
	cmd.Env = []string{"LC_ALL=C", "PATH=/usr/bin:/bin"}
	// A server that outlives a killed test would stay for ever.
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: c.cred, Setpgid: true, Pdeathsig: syscall.SIGQUIT}
	return cmd
}

func (c *Cluster) run(name string, args ...string) error {
	out, err := c.command(name, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w: %s", name, err, out)
	}
	return nil
}

func (c *Cluster) configure(settings ...string) error {
	f, err := os.OpenFile(filepath.Join(c.data(), "postgresql.auto.conf"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(f, "listen_addresses = ''\nunix_socket_directories = '%s'\n%s\n", c.dir, strings.Join(settings, "\n"))
	return errors.Join(err, f.Close())
}

// Flip inverts the octets [from, from+n) of the file at path below the data
// directory, as pg_relation_filepath names it. The server must be stopped.
func (c *Cluster) Flip(path string, from int64, n int) error {
	f, err := os.OpenFile(filepath.Join(c.data(), path), os.O_RDWR, 0)
	if err != nil {
		return err
	}
	p := make([]byte, n)
	if _, err = f.ReadAt(p, from); err == nil {
		for i := range p {
			p[i] = ^p[i]
		}
		_, err = f.WriteAt(p, from)
	}
	return errors.Join(err, f.Close())
}

// Start starts the server, which must not run, and waits until it answers.
func (c *Cluster) Start() error {
	cmd := c.command("postgres", "-D", c.data())
	cmd.Stdout, cmd.Stderr = c.log, c.log
	if err := cmd.Start(); err != nil {
		return err
	}
	c.proc = cmd
	var err error
	for end := time.Now().Add(startLimit); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if err = c.Exec("SELECT 1"); err == nil {
			return nil
		}
	}
	out, _ := os.ReadFile(c.log.Name()) // only to explain
	return fmt.Errorf("the server does not answer: %w\n%s", err, bytes.TrimSpace(out))
}

// Kill is a power cut as far as the server is concerned: all its processes end
// at once, and nothing is written any more.
func (c *Cluster) Kill() error { return c.signal(syscall.SIGQUIT) }

// Stop ends the server in order.
func (c *Cluster) Stop() error { return c.signal(syscall.SIGINT) }

func (c *Cluster) signal(s syscall.Signal) error {
	if c.proc == nil {
		return nil
	}
	err := c.proc.Process.Signal(s)
	if err == nil {
		_ = c.proc.Wait() // its exit status tells of the signal
	}
	c.proc = nil
	return err
}

// Remove ends the server and removes its directory.
func (c *Cluster) Remove() {
	_ = c.Kill() // it may have ended
	if c.log != nil {
		_ = c.log.Close() // nothing reads it any more
	}
	_ = os.RemoveAll(c.dir) // a temporary directory
}

// URL is where the server is reached, as its superuser.
func (c *Cluster) URL() string {
	return "postgres://postgres@/postgres?host=" + url.QueryEscape(c.dir)
}

// Socket is the directory of the server's Unix socket.
func (c *Cluster) Socket() string { return c.dir }

// Exec runs statements.
func (c *Cluster) Exec(sql string) error {
	return c.with(func(ctx context.Context, conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, sql, pgx.QueryExecModeSimpleProtocol)
		return err
	})
}

// Query reads one value as text.
func (c *Cluster) Query(sql string) (out string, err error) {
	err = c.with(func(ctx context.Context, conn *pgx.Conn) error {
		return conn.QueryRow(ctx, sql).Scan(&out)
	})
	return out, err
}

func (c *Cluster) with(f func(context.Context, *pgx.Conn) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), startLimit)
	defer cancel()
	conn, err := pgx.Connect(ctx, c.URL())
	if err != nil {
		return err
	}
	return errors.Join(f(ctx, conn), conn.Close(ctx))
}

// Standby makes a streaming standby of c, under a name that
// synchronous_standby_names can refer to, and starts it.
func (c *Cluster) Standby(name string) (*Cluster, error) {
	s, err := empty()
	if err != nil {
		return nil, err
	}
	err = s.run("pg_basebackup", "-h", c.dir, "-U", "postgres", "-D", s.data(), "-X", "stream", "-c", "fast", "--no-sync")
	if err == nil {
		err = s.configure("hot_standby = on", fmt.Sprintf("primary_conninfo = 'host=%s user=postgres application_name=%s'", c.dir, name))
	}
	if err == nil {
		var f *os.File
		if f, err = os.Create(filepath.Join(s.data(), "standby.signal")); err == nil {
			err = f.Close()
		}
	}
	if err == nil {
		err = s.Start()
	}
	if err != nil {
		s.Remove()
		return nil, err
	}
	return s, nil
}

// Archive are settings of New under which BaseBackup and Restore work.
const Archive = "archive_mode = on\narchive_command = 'mkdir -p ../archive && cp %p ../archive/new && mv ../archive/new ../archive/%f'"

// BaseBackup copies the running server, as administrators do; the archive goes on
// from there. There is one backup, the latest.
func (c *Cluster) BaseBackup() error {
	base := filepath.Join(c.dir, "base")
	if err := os.RemoveAll(base); err != nil {
		return err
	}
	return c.run("pg_basebackup", "-h", c.dir, "-U", "postgres", "-D", base, "-c", "fast", "--no-sync")
}

// Mark names the present moment for Restore, and has it archived.
func (c *Cluster) Mark(name string) error {
	if err := c.Exec("SELECT pg_create_restore_point('" + name + "')"); err != nil {
		return err
	}
	segment, err := c.Query("SELECT pg_walfile_name(pg_switch_wal())")
	for end := time.Now().Add(startLimit); err == nil; time.Sleep(20 * time.Millisecond) {
		if _, err := os.Stat(filepath.Join(c.dir, "archive", segment)); err == nil {
			return nil
		}
		if time.Now().After(end) {
			err = errors.New("the log is not archived")
		}
	}
	return err
}

// Restore stops the server, brings its backup and the archive up to a mark in
// its place, and returns when it has ended recovery on a timeline of its own.
func (c *Cluster) Restore(mark string) error {
	err := c.Stop()
	if err == nil {
		err = os.RemoveAll(c.data())
	}
	if err == nil {
		err = exec.Command("cp", "-a", filepath.Join(c.dir, "base"), c.data()).Run()
	}
	if err == nil {
		err = c.configure("restore_command = 'cp ../archive/%f %p'", "recovery_target_name = '"+mark+"'", "recovery_target_action = 'promote'")
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(c.data(), "recovery.signal"), nil, 0o600)
	}
	if err == nil && c.cred != nil {
		err = os.Chown(filepath.Join(c.data(), "recovery.signal"), int(c.cred.Uid), int(c.cred.Gid))
	}
	if err == nil {
		err = c.Start()
	}
	for end := time.Now().Add(startLimit); err == nil; time.Sleep(20 * time.Millisecond) {
		var on string
		if on, err = c.Query("SELECT pg_is_in_recovery()::text"); on == "false" {
			return nil
		}
		if time.Now().After(end) {
			err = errors.New("the recovery does not end")
		}
	}
	return err
}

// Promote makes a standby the primary, and waits until it is.
func (c *Cluster) Promote() error {
	ok, err := c.Query("SELECT pg_promote(true, 60)::text")
	if err == nil && ok != "true" {
		err = errors.New("the standby was not promoted in time")
	}
	return err
}
