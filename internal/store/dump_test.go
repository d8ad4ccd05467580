package store

import (
	"strings"
	"testing"

	"rialto/internal/model"
	"rialto/internal/store/layout"
)

// TestDump shows every row once, in parts, and what is asked for.
func TestDump(t *testing.T) {
	f := newFixture(t)
	m := furnished(t, f)
	whole, err := f.db.Verify(ctx, VerifyOptions{})
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for q := (DumpQuery{Limit: 7}); ; {
		d, err := f.db.Dump(ctx, q)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range d.Rows {
			if seen[r.Key] || r.Space == "" || len(r.Value) > screenful+40 {
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
	st := f.append(m, FolderNotes, "a note to be shown")
	for name, c := range map[string]struct {
		q    DumpQuery
		want string
	}{
		"an item":   {DumpQuery{Mailbox: m.GUID(), Item: st[0].OID}, "a note to"},
		"a folder":  {DumpQuery{Mailbox: m.GUID(), Folder: FolderNotes}, "Name:Notes"},
		"a mailbox": {DumpQuery{Mailbox: m.GUID()}, "DisplayName:Alice"},
		"a key":     {DumpQuery{Prefix: []byte{layout.SpaceFact}}, "format = "},
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
	if _, err := f.db.Dump(ctx, DumpQuery{Mailbox: model.GUID{77}}); !model.IsKind(err, model.KindNotFound) {
		t.Error(err)
	}
}

// FuzzDescribe: what is damaged is shown, whatever it is.
func FuzzDescribe(f *testing.F) {
	f.Add(layout.Number(1).Key(layout.SubHeader), []byte{1})
	f.Add([]byte{3, 0, 0, 0, 0, 0, 0, 0, 1}, []byte{1, 2, 3})
	f.Add(layout.Number(1).Place(layout.SubState, Place{Folder: 3, Space: Normal, N: 1}), []byte{1, 0})
	f.Fuzz(func(t *testing.T, k, v []byte) {
		if len(k) == 0 {
			return
		}
		if r := describe(k, v, false, true); len(r.Value) > screenful+40 {
			t.Errorf("%d octets", len(r.Value))
		}
	})
}
