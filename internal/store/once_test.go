package store

import "testing"

// TestOnce: rows that changes of an item rewrite under the same key are not
// inserted blindly; those of a delivery that nobody rewrites are.
func TestOnce(t *testing.T) {
	m := number(7)
	for _, c := range []struct {
		name string
		key  []byte
		want bool
	}{
		{"fact", factKey("guid"), false},
		{"content", []byte{0x03, 1}, true},
		{"reference", []byte{0x05, 1}, true},
		{"candidate", []byte{0x0a, 1}, false},
		{"cut off", m.key(subLog)[:5], false},
		{"state", m.place(subState, Place{Folder: 1, N: 2}), false},
		{"summary", m.place(subSummary, Place{Folder: 1, N: 2}), true},
		{"counts", m.id(subCounts, 1), false},
		{"bag", m.id(subBag, 1), false},
		{"place", m.id(subByOID, 1), false},
		{"message id", m.hashed(subByMessageID, [16]byte{1}, 2), true},
		{"log", m.seq(1), true},
		{"log of a folder", m.folderSeq(1, 2), true},
	} {
		if got := Once(c.key); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}
