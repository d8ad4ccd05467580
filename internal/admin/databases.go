package admin

import (
	"context"
	"path/filepath"
	"strings"
	"time"

	"rialto/internal/model"
	"rialto/internal/org"
	"rialto/internal/store"
	"rialto/internal/store/backup"
)

// VerifyStore says what of a store is checked.
type VerifyStore struct {
	Store   string `json:"store"`
	Mailbox string `json:"mailbox,omitempty"` // "": all
	Deep    bool   `json:"deep,omitempty"`    // read all content too
	From    []byte `json:"from,omitempty"`    // "next" of a check that was stopped
	Fast    bool   `json:"fast,omitempty"`    // do not leave half the time to others
}

// VerifyStore begins a job that checks every invariant of a store, mounted or
// not. Its result is a store.Verified, also when it is canceled.
func (a *Admin) VerifyStore(ctx context.Context, c Caller, q VerifyStore) (*Job, error) {
	const op = "store.verify"
	guid, err := a.namedStore(ctx, c, op, q.Store)
	o := store.VerifyOptions{Deep: q.Deep, From: q.From}
	if err == nil && q.Mailbox != "" {
		var r *org.Recipient
		if r, err = a.find(ctx, c, op, q.Mailbox, org.Mailbox); err == nil {
			o.Mailbox = r.MailboxGUID
		}
	}
	if err != nil {
		return nil, a.audit(ctx, c, op, q.Store, err)
	}
	return a.start(ctx, c, op, q.Store, func(ctx context.Context, r *running) (any, error) {
		var out *store.Verified
		err := a.Stores.Use(ctx, guid, func(db *store.Database, mounted bool) (err error) {
			step := a.jobs.progress(r, mounted && !q.Fast)
			o.Step = func(ctx context.Context, v *store.Verified) error { return step(ctx, int64(v.Rows), 0) }
			out, err = db.Verify(ctx, o)
			return err
		})
		return out, err
	})
}

// namedStore is storeNamed with the permission check; "" means the only one.
func (a *Admin) namedStore(ctx context.Context, c Caller, op, name string) (model.GUID, error) {
	if err := a.allow(c, op); err != nil {
		return model.GUID{}, err
	}
	if name == "" {
		list := a.Stores.Status(ctx)
		if len(list) != 1 {
			return model.GUID{}, model.E(op, model.KindInvalid, "there are several stores; name one", nil)
		}
		return list[0].GUID, nil
	}
	return a.storeNamed(ctx, name)
}

// Backup says what is backed up, and where to.
type Backup struct {
	Store  string `json:"store"`
	Target string `json:"target"` // directory on the server, with its full path
}

// FullBackup begins a job that writes a full backup of a store; the result is
// its manifest without the files.
func (a *Admin) FullBackup(ctx context.Context, c Caller, b Backup) (*Job, error) {
	return a.backup(ctx, c, "backup.full", b, false)
}

// IncrementalBackup begins a job that adds to the newest full backup of a store
// in the target.
func (a *Admin) IncrementalBackup(ctx context.Context, c Caller, b Backup) (*Job, error) {
	return a.backup(ctx, c, "backup.incremental", b, true)
}

func (a *Admin) backup(ctx context.Context, c Caller, op string, b Backup, incremental bool) (*Job, error) {
	guid, err := a.namedStore(ctx, c, op, b.Store)
	if err == nil {
		err = absolute(op, b.Target)
	}
	if err != nil {
		return nil, a.audit(ctx, c, op, b.Store, err)
	}
	return a.start(ctx, c, op, b.Store, func(ctx context.Context, r *running) (any, error) {
		m, err := a.Stores.Backup(ctx, guid, b.Target, incremental, a.jobs.progress(r, false))
		if err != nil {
			return nil, err
		}
		return brief(m), nil
	})
}

func absolute(op, path string) error {
	if !filepath.IsAbs(path) {
		return model.E(op, model.KindInvalid, "a full path is needed, not \""+path+"\"", nil)
	}
	return nil
}

// BackupInfo is a backup as lists show it.
type BackupInfo struct {
	Path        string    `json:"path"`
	Store       string    `json:"store"`
	Incremental bool      `json:"incremental"`
	Time        time.Time `json:"time"`
	Bytes       int64     `json:"bytes"`
	Written     int64     `json:"written"`
	Files       int       `json:"files"`
	Sequence    uint64    `json:"sequence"`
}

func brief(m *backup.Manifest) BackupInfo {
	return BackupInfo{m.Path(), m.Store, m.Incremental, m.Time, m.Bytes, m.Written, len(m.Files), m.Sequence}
}

// Place is a directory or file on the server.
type Place struct {
	Path string `json:"path"`
}

// ListBackups lists the complete backups in a target directory.
func (a *Admin) ListBackups(_ context.Context, c Caller, p Place) ([]BackupInfo, error) {
	const op = "backup.list"
	if err := a.allow(c, op); err != nil {
		return nil, err
	}
	if err := absolute(op, p.Path); err != nil {
		return nil, err
	}
	list, err := backup.List(p.Path)
	if err != nil {
		return nil, err
	}
	out := []BackupInfo{}
	for _, m := range list {
		out = append(out, brief(m))
	}
	return out, nil
}

// VerifyBackup begins a job that reads a backup and compares its hashes.
func (a *Admin) VerifyBackup(ctx context.Context, c Caller, p Place) (*Job, error) {
	return a.withBackup(ctx, c, "backup.verify", p.Path, func(ctx context.Context, r *running, m *backup.Manifest) (any, error) {
		return brief(m), backup.Verify(ctx, m, a.jobs.progress(r, false))
	})
}

func (a *Admin) withBackup(ctx context.Context, c Caller, op, path string, do func(context.Context, *running, *backup.Manifest) (any, error)) (*Job, error) {
	err := a.allow(c, op)
	if err == nil {
		err = absolute(op, path)
	}
	var m *backup.Manifest
	if err == nil {
		m, err = backup.Open(path)
	}
	if err != nil {
		return nil, a.audit(ctx, c, op, path, err)
	}
	return a.start(ctx, c, op, path, func(ctx context.Context, r *running) (any, error) { return do(ctx, r, m) })
}

// Restored says where the files are that a restore or repair took the place of.
type Restored struct {
	Former string `json:"former,omitempty"`
}

// Restore begins a job that brings a dismounted store back from a backup.
func (a *Admin) Restore(ctx context.Context, c Caller, p Place) (*Job, error) {
	return a.withBackup(ctx, c, "restore", p.Path, func(ctx context.Context, r *running, m *backup.Manifest) (any, error) {
		former, err := a.Stores.Restore(ctx, m, a.jobs.progress(r, false))
		return Restored{former}, err
	})
}

// RestoreRecovery begins a job that brings a backup into the recovery storage
// group, beside the store itself.
func (a *Admin) RestoreRecovery(ctx context.Context, c Caller, p Place) (*Job, error) {
	return a.withBackup(ctx, c, "recovery.restore", p.Path, func(ctx context.Context, r *running, m *backup.Manifest) (any, error) {
		return nil, a.Stores.RestoreRecovery(ctx, m, a.jobs.progress(r, false))
	})
}

// DumpStore says what of a store is shown.
type DumpStore struct {
	Store   string `json:"store"`
	Mailbox string `json:"mailbox,omitempty"`
	Folder  uint64 `json:"folder,omitempty"`
	Item    uint64 `json:"item,omitempty"`
	Prefix  []byte `json:"prefix,omitempty"`
	From    []byte `json:"from,omitempty"`
	Limit   int    `json:"limit,omitempty"`
	Full    bool   `json:"full,omitempty"`
	Content bool   `json:"content,omitempty"`
}

// DumpStore shows rows of a store as they are on the disk. It can show the mail
// of anybody, so it is in the audit.
func (a *Admin) DumpStore(ctx context.Context, c Caller, q DumpStore) (out *store.Dumped, err error) {
	const op = "store.dump"
	guid, err := a.namedStore(ctx, c, op, q.Store)
	d := store.DumpQuery{Folder: store.FolderID(q.Folder), Item: store.OID(q.Item), Prefix: q.Prefix, From: q.From, Limit: q.Limit, Full: q.Full, Content: q.Content}
	if err == nil && q.Mailbox != "" {
		var r *org.Recipient
		if r, err = a.find(ctx, c, op, q.Mailbox, org.Mailbox); err == nil {
			d.Mailbox = r.MailboxGUID
		}
	}
	if err == nil {
		err = a.Stores.Use(ctx, guid, func(db *store.Database, _ bool) (err error) {
			out, err = db.Dump(ctx, d)
			return err
		})
	}
	return out, a.audit(ctx, c, op, q.Store+" "+q.Mailbox, err)
}

// RepairStore begins a job that makes a damaged store whole, which must be
// dismounted; the result is an attendant.RepairReport.
func (a *Admin) RepairStore(ctx context.Context, c Caller, n Name) (*Job, error) {
	const op = "store.repair"
	guid, err := a.namedStore(ctx, c, op, n.Name)
	if err != nil {
		return nil, a.audit(ctx, c, op, n.Name, err)
	}
	return a.start(ctx, c, op, n.Name, func(ctx context.Context, r *running) (any, error) {
		return a.Stores.Repair(ctx, guid, a.jobs.progress(r, false))
	})
}

// RecoveryBox is a mailbox of the recovery storage group.
type RecoveryBox struct {
	Store   string     `json:"store"`
	Mailbox model.GUID `json:"mailbox"`
	Name    string     `json:"name"`
	Items   int64      `json:"items"`
	Size    int64      `json:"size"`
}

// ListRecovery lists the mailboxes in the recovery storage group.
func (a *Admin) ListRecovery(ctx context.Context, c Caller, _ Nothing) ([]RecoveryBox, error) {
	if err := a.allow(c, "recovery.list"); err != nil {
		return nil, err
	}
	out := []RecoveryBox{}
	for _, st := range a.Stores.Status(ctx) {
		err := a.Stores.Recovery(ctx, st.GUID, func(db *store.Database) error {
			boxes, err := db.Mailboxes(ctx)
			for _, h := range boxes {
				b := RecoveryBox{Store: st.Name, Mailbox: h.GUID, Name: h.DisplayName}
				if err = b.measure(ctx, db); err != nil {
					return err
				}
				out = append(out, b)
			}
			return err
		})
		if err != nil && !model.IsKind(err, model.KindNotFound) {
			return nil, err
		}
	}
	return out, nil
}

func (b *RecoveryBox) measure(ctx context.Context, db *store.Database) error {
	m, err := db.Mailbox(ctx, b.Mailbox)
	if err != nil {
		return err
	}
	v, err := m.View(ctx)
	if err != nil {
		return err
	}
	defer v.Close()
	folders, err := v.Folders(ctx)
	for _, f := range folders {
		b.Items += int64(f.Counts.Total)
		b.Size += f.Counts.Size
	}
	return err
}

// RecoveryCopy says what is merged from the recovery storage group.
type RecoveryCopy struct {
	Mailbox string `json:"mailbox"`
	Folder  string `json:"folder,omitempty"` // path, with those below; "": all
	// Into is the folder that gets everything; "": where it was; "*": "Recovered
	// Data" with the date.
	Into string `json:"into,omitempty"`
}

// CopyRecovery begins a job that merges a mailbox, or a folder, of the recovery
// storage group into the mailbox as it is now; the result is a backup.Merged.
func (a *Admin) CopyRecovery(ctx context.Context, c Caller, q RecoveryCopy) (*Job, error) {
	const op = "recovery.copy"
	r, err := a.find(ctx, c, op, q.Mailbox, org.Mailbox)
	if err != nil {
		return nil, a.audit(ctx, c, op, q.Mailbox, err)
	}
	if q.Into == "*" {
		q.Into = "Recovered Data " + time.Now().Format("2006-01-02")
	}
	return a.start(ctx, c, op, strings.TrimSuffix(q.Mailbox+"/"+q.Folder, "/"), func(ctx context.Context, j *running) (any, error) {
		live, err := a.Stores.Mailbox(ctx, r)
		if err != nil {
			return nil, err
		}
		var out backup.Merged
		err = a.Stores.Recovery(ctx, r.StoreGUID, func(db *store.Database) error {
			old, err := db.Mailbox(ctx, r.MailboxGUID)
			if err == nil {
				out, err = backup.Merge(ctx, old, live, backup.MergeOptions{Folder: q.Folder, Into: q.Into, Step: a.jobs.progress(j, false)})
			}
			return err
		})
		return out, err
	})
}
