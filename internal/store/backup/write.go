package backup

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"rialto/internal/kv"
	"rialto/internal/model"
	"rialto/internal/store"
)

// Options of a backup.
type Options struct {
	Target      string // directory of the sets
	Incremental bool   // on the newest set of the database, which must exist
	// Scratch is a directory that does not exist yet, on the disk of the engine's
	// files; it is used and removed.
	Scratch string
	Clock   model.Clock // nil: time.Now
	// Step is called after each piece of work, with octets done and to do (0:
	// not known); an error ends the backup there. It is where a caller shows
	// progress and slows it down.
	Step func(ctx context.Context, done, total int64) error
}

// writer is a backup being written.
type writer struct {
	Options
	ctx   context.Context
	m     *Manifest
	known map[string]File // of the backup before, by name
	done  int64
	total int64
}

// Write backs a mounted database up. Writers go on meanwhile. What was written
// is read again and compared before the manifest says that it is whole.
func Write(ctx context.Context, db *store.Database, o Options) (*Manifest, error) {
	if o.Clock == nil {
		o.Clock = time.Now
	}
	w := &writer{Options: o, ctx: ctx, known: map[string]File{}}
	m, err := w.begin(db)
	if err == nil {
		w.m = m
		err = w.write(db)
	}
	if err != nil {
		var own *model.Error
		if errors.As(err, &own) {
			return nil, err
		}
		kind := model.KindOther
		if ctx.Err() != nil {
			kind = model.KindCanceled
		}
		return nil, model.E("backup.write", kind, db.Name(), err)
	}
	return m, db.MarkBackup(ctx, m.Time, o.Incremental)
}

// begin finds the set to write to.
func (w *writer) begin(db *store.Database) (*Manifest, error) {
	m := &Manifest{Version: manifestVersion, Store: db.Name(), GUID: db.GUID(), Incremental: w.Incremental, Time: w.Clock().UTC(), Format: FormatRows}
	if _, ok := db.Engine().(kv.Checkpointer); ok {
		m.Format = FormatFiles
	}
	if !w.Incremental {
		set, err := w.set(m)
		m.path = filepath.Join(set, "backup-0000.json")
		return m, err
	}
	list, err := List(w.Target)
	if err != nil {
		return nil, err
	}
	var last *Manifest
	for _, b := range list {
		if b.GUID == m.GUID && b.Format == m.Format {
			last = b
		}
	}
	if last == nil {
		return nil, model.E("backup.write", model.KindNotFound, "full backup of "+m.Store+" in "+w.Target, nil)
	}
	for _, f := range last.Files {
		w.known[f.Name] = f
	}
	n := 0
	if _, err := fmt.Sscanf(filepath.Base(last.path), "backup-%d.json", &n); err != nil {
		return nil, err
	}
	m.path = filepath.Join(filepath.Dir(last.path), fmt.Sprintf("backup-%04d.json", n+1))
	return m, nil
}

// set makes the directory of a full backup, or finds that of one that was cut
// off.
func (w *writer) set(m *Manifest) (string, error) {
	name := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
			return r
		}
		return '-'
	}, m.Store) + "-" + m.GUID.String()[:8] + "-"
	cut, err := filepath.Glob(filepath.Join(w.Target, name+"*", "files"))
	if err != nil {
		return "", err
	}
	for _, f := range cut {
		if done, err := filepath.Glob(filepath.Join(filepath.Dir(f), "backup-*.json")); err == nil && len(done) == 0 {
			return filepath.Dir(f), nil
		}
	}
	dir := filepath.Join(w.Target, name+m.Time.Format("20060102T150405.000Z"))
	if err := os.MkdirAll(filepath.Join(dir, "files"), 0o700); err != nil {
		return "", err
	}
	return dir, syncDir(w.Target)
}

func (w *writer) write(db *store.Database) error {
	w.m.Sequence = uint64(db.Engine().Durable())
	var err error
	if w.m.Format == FormatFiles {
		err = w.checkpoint(db.Engine().(kv.Checkpointer))
	} else {
		err = w.rows(db.Engine())
	}
	if err != nil {
		return err
	}
	for _, f := range w.m.Files {
		w.m.Bytes += f.Size
	}
	if err := syncDir(w.m.files()); err != nil {
		return err
	}
	if err := verify(w.ctx, w.m, w.Step, func(f File) bool { k, ok := w.known[f.Name]; return ok && k.SHA256 == f.SHA256 }); err != nil {
		return err
	}
	return w.m.save()
}

func (w *writer) step(n int64) error {
	w.done += n
	if w.Step == nil {
		return w.ctx.Err()
	}
	return w.Step(w.ctx, w.done, w.total)
}

// checkpoint copies the files of a copy that the engine makes of itself.
func (w *writer) checkpoint(e kv.Checkpointer) error {
	if err := e.Checkpoint(w.ctx, w.Scratch); err != nil {
		return errors.Join(err, os.RemoveAll(w.Scratch))
	}
	defer os.RemoveAll(w.Scratch)
	var list []File
	err := filepath.WalkDir(w.Scratch, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		st, err := d.Info()
		if err != nil {
			return err
		}
		name, err := filepath.Rel(w.Scratch, path)
		list = append(list, File{Name: filepath.ToSlash(name), Size: st.Size(), Time: st.ModTime().UnixNano()})
		w.total += st.Size()
		return err
	})
	if err != nil {
		return err
	}
	for _, f := range list {
		if k, ok := w.known[f.Name]; ok && k.Size == f.Size && k.Time == f.Time && w.has(k) {
			f.SHA256 = k.SHA256
			if err := w.step(f.Size); err != nil {
				return err
			}
		} else if err := w.copy(&f); err != nil {
			return err
		}
		w.m.Files = append(w.m.Files, f)
	}
	return nil
}

// has reports whether the set still holds a file of the backup before.
func (w *writer) has(f File) bool {
	st, err := os.Stat(filepath.Join(w.m.files(), f.SHA256))
	return err == nil && st.Size() == f.Size
}

// copy puts one file of the checkpoint into the set.
func (w *writer) copy(f *File) error {
	in, err := os.Open(filepath.Join(w.Scratch, filepath.FromSlash(f.Name)))
	if err != nil {
		return err
	}
	defer in.Close()
	tmp := filepath.Join(w.m.files(), "new")
	out, err := os.OpenFile(tmp, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	h := sha256.New()
	buf := make([]byte, 1<<20)
	for err == nil {
		var n int
		if n, err = in.Read(buf); n > 0 {
			h.Write(buf[:n])
			_, e := out.Write(buf[:n])
			if e == nil {
				e = w.step(int64(n))
			}
			if e != nil {
				err = e
			}
		}
	}
	if errors.Is(err, io.EOF) {
		err = out.Sync()
	}
	if err = errors.Join(err, out.Close()); err != nil {
		return errors.Join(err, os.Remove(tmp))
	}
	f.SHA256 = hex.EncodeToString(h.Sum(nil))
	return w.keep(tmp, f)
}

// keep gives a file its name in the set, unless it is there already.
func (w *writer) keep(tmp string, f *File) error {
	if w.has(*f) {
		return os.Remove(tmp)
	}
	w.m.Written += f.Size
	return os.Rename(tmp, filepath.Join(w.m.files(), f.SHA256))
}
