package fsck_test

import (
	"strings"
	"testing"

	"rialto/internal/model"
	"rialto/internal/store"
	"rialto/internal/store/fsck"
	"rialto/internal/store/layout"
)

// TestDump shows every row once, in parts, and what is asked for.
func TestDump(t *testing.T) {
	f := newFixture(t)
	m := furnished(t, f)
	whole, err := f.db.Verify(ctx, fsck.VerifyOptions{})
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for q := (fsck.DumpQuery{Limit: 7}); ; {
		d, err := f.db.Dump(ctx, q)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range d.Rows {
			if seen[r.Key] || r.Space == "" || len(r.Value) > 1700 {
				t.Errorf("%s %q: %d octets", r.Key, r.Space, len(r.Value))
			}
			seen[r.Key] = true
		}
		if q.From = d.Next; q.From == nil {
			break
		}
	}
	if len(seen) != whole.Rows {
		t.Errorf("%d rows, verify saw %d", len(seen), whole.Rows)
	}
	st := f.append(m, store.FolderNotes, "a note to be shown")
	for name, c := range map[string]struct {
		q    fsck.DumpQuery
		want string
	}{
		"an item":   {fsck.DumpQuery{Mailbox: m.GUID(), Item: st[0].OID}, "a note to"},
		"a folder":  {fsck.DumpQuery{Mailbox: m.GUID(), Folder: store.FolderNotes}, "Name:Notes"},
		"a mailbox": {fsck.DumpQuery{Mailbox: m.GUID()}, "DisplayName:Alice"},
		"a key":     {fsck.DumpQuery{Prefix: []byte{layout.SpaceFact}}, "format = "},
	} {
		d, err := f.db.Dump(ctx, c.q)
		var text strings.Builder
		for _, r := range d.Rows {
			text.WriteString(r.Value)
		}
		if err != nil || !strings.Contains(text.String(), c.want) {
			t.Errorf("%s: %v, no %q in %s", name, err, c.want, text.String())
		}
	}
	if _, err := f.db.Dump(ctx, fsck.DumpQuery{Mailbox: model.GUID{77}}); !model.IsKind(err, model.KindNotFound) {
		t.Error(err)
	}
}
