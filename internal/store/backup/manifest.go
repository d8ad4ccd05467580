// Package backup writes databases to directories while they are in use, and
// brings them back.
//
// # A backup set
//
// A target directory holds sets, one for each full backup:
//
//	NAME-20060102T150405Z/
//	  backup-0000.json   the full backup; backup-0001.json … are incremental
//	  files/SHA256       what they consist of, each once
//
// A manifest is written last, whole or not at all; a set without one is a
// backup that was cut off, which the next full backup goes on with. An
// incremental backup is complete in itself: its manifest names all files, of
// which only those that are new or changed had to be written.
//
// An engine that can copy itself (kv.Checkpointer) is kept as its files. Of
// another the rows are kept, as they are on one snapshot, in parts whose borders
// depend on the keys alone, so that parts without a change are not written
// again.
package backup

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"rialto/internal/model"
)

// Formats of what a manifest names.
const (
	FormatFiles = "files" // the engine's own
	FormatRows  = "rows"
)

const manifestVersion = 1

// Manifest describes one backup.
type Manifest struct {
	Version     int        `json:"version"`
	Format      string     `json:"format"`
	Incremental bool       `json:"incremental"`
	Store       string     `json:"store"`
	GUID        model.GUID `json:"guid"`
	Time        time.Time  `json:"time"`     // of the state that it holds
	Sequence    uint64     `json:"sequence"` // of the engine at that time, or before
	Bytes       int64      `json:"bytes"`
	Written     int64      `json:"written"` // octets that were not there from backups before
	Files       []File     `json:"files"`

	path string
}

// File is a file of a backup.
type File struct {
	Name   string `json:"name"` // in the engine's directory, with slashes
	Size   int64  `json:"size"`
	Time   int64  `json:"time,omitempty"` // of its last change, in nanoseconds
	SHA256 string `json:"sha256"`
}

// Path is where the manifest is.
func (m *Manifest) Path() string { return m.path }

func (m *Manifest) files() string { return filepath.Join(filepath.Dir(m.path), "files") }

// maxManifest bounds a manifest in octets: some 200,000 files.
const maxManifest = 64 << 20

// Open reads a manifest, given its path, or that of its set or of a directory
// with backups of one store (the newest).
func Open(path string) (*Manifest, error) {
	if st, err := os.Stat(path); err == nil && st.IsDir() {
		list, err := filepath.Glob(filepath.Join(path, "backup-*.json"))
		if err == nil && len(list) == 0 {
			return newest(path)
		}
		if err != nil {
			return nil, model.E("backup.load", model.KindInvalid, path, err)
		}
		path = slices.Max(list)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, model.E("backup.load", model.KindNotFound, path, err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxManifest))
	if err != nil {
		return nil, model.E("backup.load", model.KindOther, path, err)
	}
	m, err := parseManifest(b)
	if err != nil {
		return nil, model.E("backup.load", model.KindCorrupt, path, err)
	}
	m.path = path
	return m, nil
}

// newest returns the newest backup below a directory, if all are of one store.
func newest(target string) (*Manifest, error) {
	list, err := List(target)
	if err != nil {
		return nil, err
	}
	if len(list) == 0 {
		return nil, model.E("backup.load", model.KindNotFound, target+" holds no complete backup", nil)
	}
	last := list[len(list)-1]
	for _, m := range list {
		if m.GUID != last.GUID {
			return nil, model.E("backup.load", model.KindInvalid, target+" holds backups of several stores: name one of those that \"rialto backup list\" shows", nil)
		}
	}
	return last, nil
}

func parseManifest(b []byte) (*Manifest, error) {
	m := &Manifest{}
	if err := json.Unmarshal(b, m); err != nil {
		return nil, err
	}
	if m.Version != manifestVersion || m.Format != FormatFiles && m.Format != FormatRows || m.GUID.IsZero() {
		return nil, errors.New("version or format that is not known")
	}
	for _, f := range m.Files {
		if !filepath.IsLocal(filepath.FromSlash(f.Name)) || strings.Contains(f.Name, "\\") || f.Size < 0 {
			return nil, fmt.Errorf("file name %q", f.Name)
		}
		if raw, err := hex.DecodeString(f.SHA256); err != nil || len(raw) != sha256.Size {
			return nil, fmt.Errorf("hash of %q", f.Name)
		}
	}
	return m, nil
}

// List returns the complete backups below a target directory, oldest first.
func List(target string) ([]*Manifest, error) {
	paths, err := filepath.Glob(filepath.Join(target, "*", "backup-*.json"))
	if err != nil {
		return nil, model.E("backup.list", model.KindInvalid, target, err)
	}
	var out []*Manifest
	for _, p := range paths {
		m, err := Open(p)
		if err != nil {
			return nil, err
		}
		out = append(out, m)
	}
	slices.SortFunc(out, func(a, b *Manifest) int { return a.Time.Compare(b.Time) })
	return out, nil
}

// save writes the manifest at the end of its set.
func (m *Manifest) save() error {
	b, err := json.MarshalIndent(m, "", " ")
	if err != nil {
		return err
	}
	tmp := m.path + ".new"
	if err := writeSynced(tmp, b); err != nil {
		return err
	}
	if err := os.Rename(tmp, m.path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(m.path))
}

func writeSynced(path string, b []byte) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// syncDir makes the names in a directory durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
