package backup

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"path/filepath"

	"rialto/internal/kv"
	"rialto/internal/model"
)

// Step is told of octets done and to do, and may end the work with an error.
type Step func(ctx context.Context, done, total int64) error

// Verify reads all files of a backup and compares their hashes.
func Verify(ctx context.Context, m *Manifest, step Step) error {
	return verify(ctx, m, step, func(File) bool { return false })
}

func verify(ctx context.Context, m *Manifest, step Step, skip func(File) bool) error {
	done := int64(0)
	seen := map[string]bool{}
	for _, f := range m.Files {
		if done += f.Size; skip(f) || seen[f.SHA256] {
			continue
		}
		seen[f.SHA256] = true
		if err := transfer(ctx, m, f, io.Discard); err != nil {
			return err
		}
		if step != nil {
			if err := step(ctx, done, m.Bytes); err != nil {
				return err
			}
		}
	}
	return ctx.Err()
}

// transfer copies a file of a backup to w and compares its hash.
func transfer(ctx context.Context, m *Manifest, f File, w io.Writer) error {
	damaged := func(err error) error {
		return model.E("backup.read", model.KindCorrupt, f.Name+" of "+m.path, err)
	}
	in, err := os.Open(filepath.Join(m.files(), f.SHA256))
	if err != nil {
		return damaged(err)
	}
	defer in.Close()
	h := sha256.New()
	n, err := io.Copy(io.MultiWriter(w, h), &patient{ctx, in})
	switch {
	case ctx.Err() != nil:
		return model.E("backup.read", model.KindCanceled, m.path, err)
	case err != nil:
		return model.E("backup.read", model.KindOther, f.Name, err)
	case n != f.Size || hex.EncodeToString(h.Sum(nil)) != f.SHA256:
		return damaged(errors.New("octets changed"))
	}
	return nil
}

// patient reads until ctx ends.
type patient struct {
	ctx context.Context
	r   io.Reader
}

// Read implements io.Reader.
func (p *patient) Read(b []byte) (int, error) {
	if err := p.ctx.Err(); err != nil {
		return 0, err
	}
	return p.r.Read(b)
}

// Extract puts the files of a backup into a directory, for an engine to open;
// those that are there from a try before are kept. The file "epoch" comes last:
// without it nothing opens.
func Extract(ctx context.Context, m *Manifest, dir string, step Step) error {
	if m.Format != FormatFiles {
		return model.E("backup.restore", model.KindUnsupported, "a backup of rows as files", nil)
	}
	var last []File
	done := int64(0)
	one := func(f File) error {
		if err := extract(ctx, m, f, filepath.Join(dir, filepath.FromSlash(f.Name))); err != nil {
			return err
		}
		done += f.Size
		if step == nil {
			return nil
		}
		return step(ctx, done, m.Bytes)
	}
	for _, f := range m.Files {
		if f.Name == "epoch" {
			last = append(last, f)
			continue
		}
		if err := one(f); err != nil {
			return err
		}
	}
	for _, f := range last {
		if err := one(f); err != nil {
			return err
		}
	}
	for _, d := range []string{filepath.Join(dir, "segments"), filepath.Join(dir, "db"), dir} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			return err
		}
		if err := syncDir(d); err != nil {
			return err
		}
	}
	return nil
}

func extract(ctx context.Context, m *Manifest, f File, to string) error {
	if st, err := os.Stat(to); err == nil && st.Size() == f.Size && sameHash(to, f.SHA256) {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		return err
	}
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	err = transfer(ctx, m, f, out)
	if err == nil {
		err = out.Sync()
	}
	return errors.Join(err, out.Close())
}

func sameHash(path, sum string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	h := sha256.New()
	_, err = io.Copy(h, f)
	return err == nil && hex.EncodeToString(h.Sum(nil)) == sum
}

// Load puts a backup of rows into a database, in place of what it holds.
func Load(ctx context.Context, m *Manifest, db kv.DB, step Step) error {
	if m.Format != FormatRows {
		return model.E("backup.restore", model.KindUnsupported, "a backup of files as rows", nil)
	}
	b := db.NewBatch()
	b.DeleteRange([]byte{0}, []byte{0xff, 0xff})
	if err := kv.CommitDurable(ctx, db, b); err != nil {
		return err
	}
	return load(ctx, m, db, step)
}
