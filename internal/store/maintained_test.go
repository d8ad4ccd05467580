package store

import (
	"encoding/binary"
	"testing"
	"time"

	"rialto/internal/model"
	"rialto/internal/store/layout"
)

// TestMaintenanceVersions: a row written before items expired is read.
func TestMaintenanceVersions(t *testing.T) {
	want := Maintenance{Began: time.Unix(100, 0).UTC(), Ended: time.Unix(200, 0).UTC(), After: model.GUID{7},
		Mailboxes: 1, Items: 2, Changes: 3, Accounts: 4, Moves: 5, Contents: 6, Octets: 7}
	old := append(layout.AppendTime(layout.AppendTime([]byte{1}, want.Began), want.Ended), want.After[:]...)
	for n := range uint64(7) {
		old = binary.AppendUvarint(old, n+1)
	}
	var got Maintenance
	if err := got.Decode(old); err != nil || got != want {
		t.Errorf("version 1: %+v %v", got, err)
	}
	want.Expired = 8
	if err := got.Decode(want.Encode()); err != nil || got != want {
		t.Errorf("version 2: %+v %v", got, err)
	}
	if err := got.Decode([]byte{3}); !model.IsKind(err, model.KindCorrupt) {
		t.Errorf("version 3: %v", err)
	}
}
