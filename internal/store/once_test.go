package store

import (
	"testing"

	"rialto/internal/store/layout"
)

// TestOnce: rows that changes of an item rewrite under the same key are not
// inserted blindly; those of a delivery that nobody rewrites are.
func TestOnce(t *testing.T) {
	m := layout.Number(7)
	for _, c := range []struct {
		name string
		key  []byte
		want bool
	}{
		{"fact", layout.FactKey("guid"), false},
		{"content", []byte{0x03, 1}, true},
		{"reference", []byte{0x05, 1}, true},
		{"candidate", []byte{0x0a, 1}, false},
		{"cut off", m.Key(layout.SubLog)[:5], false},
		{"state", m.Place(layout.SubState, Place{Folder: 1, N: 2}), false},
		{"summary", m.Place(layout.SubSummary, Place{Folder: 1, N: 2}), true},
		{"counts", m.ID(layout.SubCounts, 1), false},
		{"bag", m.ID(layout.SubBag, 1), false},
		{"place", m.ID(layout.SubByOID, 1), false},
		{"message id", m.Hashed(layout.SubByMessageID, [16]byte{1}, 2), true},
		{"log", m.LogAt(1), true},
		{"log of a folder", m.FolderLogAt(1, 2), true},
	} {
		if got := Once(c.key); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}
