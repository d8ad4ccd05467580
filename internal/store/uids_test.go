package store

import (
	"slices"
	"testing"
)

func TestUIDs(t *testing.T) {
	f := newFixture(t)
	m := f.mailbox("alice")
	f.append(m, FolderInbox, "one", "two", "three", "four")
	if _, err := m.Delete(ctx, FolderInbox, UIDs(2)); err != nil {
		t.Fatal(err)
	}
	v, err := m.View(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	for _, c := range []struct {
		from, to UID
		want     []UID
	}{{1, ^UID(0), []UID{1, 3, 4}}, {2, 3, []UID{3}}, {4, 4, []UID{4}}, {5, 9, nil}} {
		got, err := v.UIDs(ctx, FolderInbox, c.from, c.to, nil)
		if err != nil || !slices.Equal(got, c.want) {
			t.Errorf("UIDs(%d, %d) = %v, %v, want %v", c.from, c.to, got, err, c.want)
		}
	}
}
