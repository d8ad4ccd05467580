// Package server is the composition root: it builds a server bottom up from its
// bootstrap file, starts it and stops it in reverse.
//
// Lock order: services.work, then services.mu, then those of package service.
package server

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/pelletier/go-toml/v2"

	"rialto/internal/model"
)

// Config is the bootstrap file of a server. Everything else is in the directory.
type Config struct {
	Version    int    `toml:"version"`     // of this file: 1
	Server     string `toml:"server"`      // which server object I am
	DNSDomain  string `toml:"dns_domain"`  // how the embedded directory is found
	Host       string `toml:"host"`        // address that listeners bind to; "": all
	PortOffset int    `toml:"port_offset"` // added to every well-known port

	// Engine is the connection string of a PostgreSQL server that holds all
	// databases, "" for files below the data directory. It may have a password in
	// it. Instance begins the names of this server's databases there.
	Engine   string `toml:"engine,omitempty"`
	Instance string `toml:"instance,omitempty"`

	// DataDir is where the file was found; Saved says that it was.
	DataDir string `toml:"-"`
	Saved   bool   `toml:"-"`
}

const bootstrapFile = "rialto.toml"

// LoadConfig reads the bootstrap file of a data directory. KindNotFound if there
// is none.
func LoadConfig(dir string) (*Config, error) {
	path := filepath.Join(dir, bootstrapFile)
	b, err := os.ReadFile(path)
	if os.IsNotExist(err) {
		return nil, model.E("server.config", model.KindNotFound, path, err)
	}
	if err != nil {
		return nil, model.E("server.config", model.KindOther, path, err)
	}
	c := &Config{}
	if err := toml.Unmarshal(b, c); err != nil {
		return nil, model.E("server.config", model.KindInvalid, path, err)
	}
	if c.Version != 1 || c.Server == "" || c.DNSDomain == "" {
		return nil, model.E("server.config", model.KindInvalid, path+": version, server and dns_domain are needed", nil)
	}
	if (c.Engine == "") != (c.Instance == "") {
		return nil, model.E("server.config", model.KindInvalid, path+": engine and instance belong together", nil)
	}
	c.DataDir, c.Saved = dir, true
	return c, nil
}

// SetEngine says where the databases are kept: url "" stays with what is set, or
// with files. A server that was set up on one engine does not change to another;
// the URL may, as passwords do.
func (c *Config) SetEngine(url string) error {
	switch {
	case url == "":
		return nil
	case !strings.HasPrefix(url, "postgres://") && !strings.HasPrefix(url, "postgresql://"):
		return model.E("server.config", model.KindInvalid, "the engine must be postgres://…", nil)
	case c.Engine == "" && c.Saved:
		return model.E("server.config", model.KindConflict, c.DataDir+" was set up with its databases in files", nil)
	case c.Instance == "":
		c.Instance = strings.ReplaceAll(strings.ToLower(strings.Trim(model.NewGUID().String(), "{}")), "-", "")
	}
	c.Engine = url
	return nil
}

// Save writes the bootstrap file, whole or not at all.
func (c *Config) Save() error {
	c.Version = 1
	b, err := toml.Marshal(c)
	if err != nil {
		return err
	}
	return writeFile(filepath.Join(c.DataDir, bootstrapFile), append([]byte("# Where this server finds its organization. All other settings are in the directory.\n"), b...), 0o600)
}

// writeFile replaces a file so that a crash leaves the old one or the new one.
func writeFile(path string, b []byte, mode os.FileMode) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return model.E("server.write", model.KindOther, path, err)
	}
	defer os.Remove(f.Name())
	_, err = f.Write(b)
	if err == nil {
		err = f.Chmod(mode)
	}
	if err == nil {
		err = f.Sync()
	}
	if e := f.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err == nil {
		err = syncDir(filepath.Dir(path))
	}
	if err != nil {
		return model.E("server.write", model.KindOther, path, err)
	}
	return nil
}

// syncDir makes the names in a directory durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	err = d.Sync()
	if e := d.Close(); err == nil {
		err = e
	}
	return err
}

// Paths within a data directory.
func (c *Config) directoryDir() string { return filepath.Join(c.DataDir, "directory") }
func (c *Config) queueDir() string     { return filepath.Join(c.DataDir, "queue") }

// witness is where it is noted up to what a database in a PostgreSQL server was
// answered.
func (c *Config) witness(schema string) string { return filepath.Join(c.DataDir, "witness", schema) }
func (c *Config) storeDir(group, store model.GUID) string {
	return filepath.Join(c.DataDir, "stores", group.String(), store.String())
}

// Socket is the path of the management socket.
func (c *Config) Socket() string { return filepath.Join(c.DataDir, "admin.sock") }

// SetupLog is the path of Setup's progress log.
func (c *Config) SetupLog() string {
	return filepath.Join(c.DataDir, "Exchange Server Setup Progress.log")
}

func (c *Config) String() string {
	return fmt.Sprintf("%s in %s (%s)", c.Server, c.DNSDomain, c.DataDir)
}
