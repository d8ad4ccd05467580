package store

import "testing"

// FuzzDelivered reads whatever may stand in a delivery mark.
func FuzzDelivered(f *testing.F) {
	f.Add([]byte{1, 9, 3, 44})
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		if d := decodeDelivered(b); !d.Duplicate || d.Err != nil {
			t.Errorf("%x is %+v", b, d)
		}
	})
}
