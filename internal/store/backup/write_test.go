package backup

import (
	"os"
	"path/filepath"
	"testing"

	"rialto/internal/store"
)

// An incremental backup does not rely on what the set has lost.
func TestIncrementalOnLostFile(t *testing.T) {
	e := files(t)
	db, m := open(t, e(t, "live"))
	fill(t, m, store.FolderInbox, 0, 60)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	db, _ = open(t, e(t, "live")) // its rows are in tables now
	target := t.TempDir()
	opt := Options{Target: target, Scratch: filepath.Join(target, "scratch")}
	full, err := Write(ctx, db, opt)
	if err != nil {
		t.Fatal(err)
	}
	opt.Incremental = true
	before, err := Write(ctx, db, opt)
	if err != nil {
		t.Fatal(err)
	}
	lost := 0
	for _, f := range full.Files {
		for _, g := range before.Files {
			if f == g {
				lost++
				if err := os.Remove(filepath.Join(full.files(), f.SHA256)); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	last, err := Write(ctx, db, opt)
	if err == nil {
		err = Verify(ctx, last, nil)
	}
	if err != nil || lost == 0 {
		t.Errorf("%d files lost: %v", lost, err)
	}
	if err := db.Close(); err != nil {
		t.Error(err)
	}
}
