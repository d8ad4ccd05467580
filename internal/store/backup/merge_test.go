package backup

import (
	"errors"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"rialto/internal/kv"
	"rialto/internal/mapi"
	"rialto/internal/store"
	"rialto/internal/store/content"
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

// An item of the backup that cannot be read does not keep the others away.
func TestMergePassesOverDamage(t *testing.T) {
	e := files(t)
	db, m := open(t, e(t, "live"))
	for i := range 5 {
		w := db.NewContent(ctx)
		if _, err := fmt.Fprintf(w, "Subject: %d\r\n\r\ntext", i); err != nil {
			t.Fatal(err)
		}
		st, err := w.Finish(ctx)
		if err == nil {
			_, err = m.Append(ctx, store.FolderInbox, &store.NewItem{Content: st, Time: time.Unix(1e9+int64(i), 0)})
			st.Release()
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	target := t.TempDir()
	b, err := Write(ctx, db, Options{Target: target, Scratch: filepath.Join(target, "scratch")})
	if err != nil {
		t.Fatal(err)
	}
	copied, box := restored(t, e, b, "copy")
	engine := copied.Engine()
	it := engine.Scan(ctx, kv.Range{Lower: content.HeaderKey(0), Upper: content.HeaderKey(1 << 40), Limit: 1})
	batch := engine.NewBatch()
	if it.Next() {
		batch.Delete(it.Key())
	}
	if err := it.Close(); err != nil || batch.Count() != 1 {
		t.Fatal(batch.Count(), err)
	}
	if c, err := engine.Commit(ctx, batch); err != nil || c.Wait(ctx) != nil {
		t.Fatal(err)
	}
	if _, err := m.Delete(ctx, store.FolderInbox, store.UIDSet{{From: 1, To: 5}}); err != nil {
		t.Fatal(err)
	}
	if got, err := Merge(ctx, box, m, MergeOptions{}); err != nil || got.Copied != 4 || got.Damaged != 1 {
		t.Errorf("%+v, %v", got, err)
	}
	if err := errors.Join(copied.Close(), db.Close()); err != nil {
		t.Error(err)
	}
}
