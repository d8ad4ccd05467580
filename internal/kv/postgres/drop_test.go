package postgres

import (
	"errors"
	"testing"

	"rialto/internal/kv"
)

// A database that is open stays; one that is dropped is new when it is opened.
func TestDrop(t *testing.T) {
	o := testOptions()
	for range 2 {
		db, err := Open(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := db.Get(t.Context(), []byte("k")); !errors.Is(err, kv.ErrNotFound) {
			t.Errorf("a new database has a row: %v", err)
		}
		b := db.NewBatch()
		b.Set([]byte("k"), []byte("v"))
		c, err := db.Commit(t.Context(), b)
		if err == nil {
			err = c.Wait(t.Context())
		}
		if err != nil {
			t.Fatal(err)
		}
		if err := Drop(t.Context(), o); !errors.Is(err, kv.ErrLocked) {
			t.Errorf("an open database: %v", err)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := Drop(t.Context(), o); err != nil {
				t.Fatal(err)
			}
		}
	}
}
