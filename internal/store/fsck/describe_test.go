package fsck

import (
	"testing"

	"rialto/internal/store/layout"
)

// FuzzDescribe: what is damaged is shown, whatever it is.
func FuzzDescribe(f *testing.F) {
	f.Add(layout.Number(1).Key(layout.SubHeader), []byte{1})
	f.Add([]byte{3, 0, 0, 0, 0, 0, 0, 0, 1}, []byte{1, 2, 3})
	f.Add(layout.Number(1).Place(layout.SubState, layout.Place{Folder: 3, Space: layout.Normal, N: 1}), []byte{1, 0})
	f.Fuzz(func(t *testing.T, k, v []byte) {
		if len(k) == 0 {
			return
		}
		if r := describe(k, v, false, true); len(r.Value) > screenful+40 {
			t.Errorf("%d octets", len(r.Value))
		}
	})
}
