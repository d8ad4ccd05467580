package attendant

import (
	"context"
	"path/filepath"
	"testing"

	"rialto/internal/kv"
	"rialto/internal/kv/pebble"
	"rialto/internal/model"
	"rialto/internal/org"
	"rialto/internal/store/backup"
)

// Two backups of a store at a time would take each other's files away.
func TestOneBackupAtATime(t *testing.T) {
	s, _, guid := setup(t)
	dir := filepath.Join(t.TempDir(), "store")
	s.opt.OpenEngine = func(context.Context, org.StorageGroup, org.Store) (kv.DB, error) {
		return pebble.Open(pebble.Options{Dir: dir, Ballast: -1})
	}
	s.opt.Files.Dir = func(org.StorageGroup, org.Store) string { return dir }
	ctx := t.Context()
	if err := s.Dismount(ctx, guid); err != nil {
		t.Fatal(err)
	}
	if err := s.Mount(ctx, guid); err != nil {
		t.Fatal(err)
	}
	target, tried := t.TempDir(), false
	m, err := s.Backup(ctx, guid, target, false, func(ctx context.Context, _, _ int64) error {
		if !tried {
			tried = true
			if _, err := s.Backup(ctx, guid, target, false, nil); !model.IsKind(err, model.KindConflict) {
				t.Errorf("beside another: %v", err)
			}
		}
		return nil
	})
	if err != nil || !tried {
		t.Fatal(tried, err)
	}
	if err := backup.Verify(ctx, m, nil); err != nil {
		t.Error(err)
	}
	if _, err := s.Backup(ctx, guid, target, true, nil); err != nil {
		t.Errorf("after the other: %v", err)
	}
	if err := s.Dismount(ctx, guid); err != nil {
		t.Error(err)
	}
}
