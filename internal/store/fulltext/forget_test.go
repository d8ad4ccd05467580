package fulltext

import (
	"testing"

	"rialto/internal/store"
)

// TestForgottenMeanwhile: what a search reads of a database that goes away
// meanwhile takes no memory from the others.
func TestForgottenMeanwhile(t *testing.T) {
	s := newSite(t, nil)
	s.append(store.FolderInbox, "a\nword")
	s.feed()
	s.fresh()
	e := s.x.entry(s.box)
	s.x.Forget(s.db)
	r, err := s.x.open(ctx, s.box, e)
	if err != nil {
		t.Fatal(err)
	}
	defer r.close()
	if err := lookUp(ctx, r.runs[0], Body, []pattern{{text: []byte("word"), gram: true, found: newBitmap(1)}}); err != nil {
		t.Fatal(err)
	}
	if s.x.bytes != 0 {
		t.Errorf("%d octets that nobody can drop", s.x.bytes)
	}
}
