package backup

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"rialto/internal/kv"
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

// A database that was loaded in part is not taken for a whole one.
func TestLoadCutShort(t *testing.T) {
	set := t.TempDir()
	var part []byte
	row := func(k string, v []byte) {
		part = append(binary.AppendUvarint(part, uint64(len(k))), k...)
		part = append(binary.AppendUvarint(part, uint64(len(v))), v...)
	}
	row("\x01format", []byte{0, 0, 0, 1})
	for i := range 20 {
		row("\x10"+string(rune('a'+i)), make([]byte, 200<<10))
	}
	enc, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	b := enc.EncodeAll(part, nil)
	sum := sha256.Sum256(b)
	f := File{Name: "rows/00000000", Size: int64(len(b)), SHA256: hex.EncodeToString(sum[:])}
	m := &Manifest{Format: FormatRows, Files: []File{f}, path: filepath.Join(set, "backup-0000.json")}
	if err := errors.Join(enc.Close(), os.Mkdir(m.files(), 0o700), os.WriteFile(filepath.Join(m.files(), f.SHA256), b, 0o600)); err != nil {
		t.Fatal(err)
	}
	db := memory.New(memory.Options{})
	defer db.Close()
	keys := func() (n int, first string) {
		it := db.Scan(ctx, kv.Range{})
		for it.Next() {
			if n++; n == 1 {
				first = string(it.Key())
			}
		}
		if err := it.Close(); err != nil {
			t.Fatal(err)
		}
		return n, first
	}
	stop := errors.New("stop")
	err = Load(ctx, m, db, func(context.Context, int64, int64) error { return stop })
	if n, first := keys(); !errors.Is(err, stop) || n == 0 || first[0] == 0x01 {
		t.Errorf("%d rows from %q: %v", n, first, err)
	}
	err = Load(ctx, m, db, nil)
	if n, first := keys(); err != nil || n != 21 || first != "\x01format" {
		t.Errorf("%d rows from %q: %v", n, first, err)
	}
}
