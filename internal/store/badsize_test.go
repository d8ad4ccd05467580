//go:build !race

package store

// These take minutes under the race detector and have nothing for it to find.

import (
	"fmt"
	"testing"

	"rialto/internal/mapi"
	"rialto/internal/model"
	"rialto/internal/store/content"
	"rialto/internal/store/layout"
)

// TestHugeStream: a property of 2 GB is taken, one octet more is refused, and
// nothing of it stays.
func TestHugeStream(t *testing.T) {
	f := newFixture(t)
	m := f.mailbox("a")
	chunk := make([]byte, 1<<20)
	for _, extra := range []int{0, 1} {
		w := f.db.NewContent(ctx)
		var err error
		for n := int64(0); n < content.MaxSize && err == nil; n += int64(len(chunk)) {
			_, err = w.Write(chunk)
		}
		if err != nil {
			t.Fatal(err)
		}
		if _, err = w.Write(chunk[:extra]); extra > 0 {
			if !model.IsKind(err, model.KindTooLarge) {
				t.Errorf("2 GB and an octet: %v", err)
			}
			w.Abort()
			continue
		}
		st, err := w.Finish(ctx)
		if err != nil {
			t.Fatal(err)
		}
		s, err := m.Create(ctx, FolderDrafts, &NewItem{Props: props(mapi.TagSubject, "large"), Streams: []StreamValue{{mapi.TagBody, st}}})
		st.Release()
		if err != nil {
			t.Fatal(err)
		}
		if l := f.load(m, s.OID); l.bag.Streams[0].Size != content.MaxSize || s.Size < content.MaxSize {
			t.Errorf("%+v, size %d", l.bag.Streams, s.Size)
		}
		if _, err := m.DeleteItems(ctx, FolderDrafts, []OID{s.OID}, true); err != nil {
			t.Fatal(err)
		}
	}
	usable(t, f, m)
}

// TestManyFolders makes 50,000 folders in one mailbox; others do not feel it.
func TestManyFolders(t *testing.T) {
	f := newFixture(t)
	m, other := f.mailbox("a"), f.mailbox("b")
	parent := FolderInbox
	for i := range 50000 {
		fo, err := m.CreateFolder(ctx, parent, fmt.Sprint("folder ", i), "")
		if err != nil {
			t.Fatal(i, err)
		}
		if i%500 == 0 && i < 50000/2 {
			parent = fo.ID
		}
	}
	if err := m.look(func(v *View) error {
		fs, err := v.Folders(ctx)
		if len(fs) != 50000+int(FolderSpoolerQueue) {
			t.Errorf("%d folders", len(fs))
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	usable(t, f, m)
	usable(t, f, other)
	deep := FolderInbox
	var err error
	for i := 0; err == nil; i++ {
		var fo *Folder
		if fo, err = m.CreateFolder(ctx, deep, "deeper", ""); err == nil {
			deep = fo.ID
		}
		if i > layout.MaxDepth+1 {
			t.Fatal("no end to nesting")
		}
	}
	if !model.IsKind(err, model.KindInvalid) {
		t.Errorf("nested without end: %v", err)
	}
	usable(t, f, m)
}
