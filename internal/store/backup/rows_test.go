package backup

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"rialto/internal/kv/memory"
	"rialto/internal/model"
)

// A part of rows that lost its octets is noticed, although nothing is wrong with
// an empty one.
func TestLoadComparesHashes(t *testing.T) {
	set := t.TempDir()
	if err := os.Mkdir(filepath.Join(set, "files"), 0o700); err != nil {
		t.Fatal(err)
	}
	sum := strings.Repeat("ab", 32)
	if err := os.WriteFile(filepath.Join(set, "files", sum), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	m := &Manifest{Format: FormatRows, Files: []File{{Name: "rows/00000000", Size: 100, SHA256: sum}}, path: filepath.Join(set, "backup-0000.json")}
	db := memory.New(memory.Options{})
	if err := Load(ctx, m, db, nil); !model.IsKind(err, model.KindCorrupt) {
		t.Errorf("loaded: %v", err)
	}
	if err := db.Close(); err != nil {
		t.Error(err)
	}
}
