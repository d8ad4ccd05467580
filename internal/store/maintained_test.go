package store

import (
	"encoding/binary"
	"testing"
	"time"

	"rialto/internal/model"
)

// TestMaintenanceVersions: a row written before items expired is read.
func TestMaintenanceVersions(t *testing.T) {
	want := Maintenance{Began: time.Unix(100, 0).UTC(), Ended: time.Unix(200, 0).UTC(), After: model.GUID{7},
		Mailboxes: 1, Items: 2, Changes: 3, Accounts: 4, Moves: 5, Contents: 6, Octets: 7}
	old := append(appendTime(appendTime([]byte{1}, want.Began), want.Ended), want.After[:]...)
	for n := range uint64(7) {
		old = binary.AppendUvarint(old, n+1)
	}
	var got Maintenance
	if err := got.decode(old); err != nil || got != want {
		t.Errorf("version 1: %+v %v", got, err)
	}
	want.Expired = 8
	if err := got.decode(want.encode()); err != nil || got != want {
		t.Errorf("version 2: %+v %v", got, err)
	}
	if err := got.decode([]byte{3}); !model.IsKind(err, model.KindCorrupt) {
		t.Errorf("version 3: %v", err)
	}
}
