package backup

import (
	"errors"
	"path/filepath"
	"testing"
	"time"

	"rialto/internal/mapi"
	"rialto/internal/store"
)

// Of items that look the same one does not stand for another.
func TestMergeTwins(t *testing.T) {
	e := files(t)
	db, m := open(t, e(t, "live"))
	twin := func() *store.NewItem {
		return &store.NewItem{Time: time.Unix(1e9, 0), Props: mapi.Properties{{Tag: mapi.TagComment, Value: "the same size"}}}
	}
	if _, err := m.Append(ctx, store.FolderContacts, twin(), twin(), twin()); err != nil {
		t.Fatal(err)
	}
	target := t.TempDir()
	b, err := Write(ctx, db, Options{Target: target, Scratch: filepath.Join(target, "scratch")})
	if err != nil {
		t.Fatal(err)
	}
	copied, box := restored(t, e, b, "copy")
	if _, err := m.Delete(ctx, store.FolderContacts, store.UIDSet{{From: 1, To: 1}}); err != nil {
		t.Fatal(err)
	}
	for n, want := range []int{1, 0} {
		if got, err := Merge(ctx, box, m, MergeOptions{}); err != nil || got.Copied != want || got.There != 3-want {
			t.Errorf("merge %d: %+v, %v", n, got, err)
		}
	}
	if err := errors.Join(copied.Close(), db.Close()); err != nil {
		t.Error(err)
	}
}
