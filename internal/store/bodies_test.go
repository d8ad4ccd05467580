package store

import (
	"io"
	"strings"
	"testing"

	"rialto/internal/store/content"
	"rialto/internal/store/layout"
)

// Bodies that share their room each read what is theirs, in whatever order.
func TestBodies(t *testing.T) {
	f := newFixture(t)
	m := f.mailbox("alice")
	var want []string
	for i := range 12 {
		want = append(want, strings.Repeat(string(rune('a'+i))+" words words ", 1+i*i*400))
	}
	var rows []RowID
	for i, w := range want {
		it := f.item(w)
		it.Trace = []byte(strings.Repeat("T", i))
		st, err := m.Append(ctx, FolderInbox, it)
		if err != nil {
			t.Fatal(err)
		}
		rows = append(rows, st[0].Row)
	}
	if _, err := m.Delete(ctx, FolderInbox, UIDs(3, 4)); err != nil {
		t.Fatal(err)
	}
	v := view(t, m)
	defer v.Close()
	for _, order := range [][]int{{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}, {11, 3, 5, 0}, {4}, {1, 11}} {
		ids := make([]RowID, 0, len(order)+1)
		for _, i := range order {
			ids = append(ids, rows[i])
		}
		streams, err := v.Streams(ctx, append(ids, 1<<40))
		if err != nil || streams[len(order)] != nil {
			t.Fatal(err, streams)
		}
		bodies, err := v.Bodies(ctx, streams)
		if err != nil || bodies[len(order)] != nil {
			t.Fatal(err)
		}
		for range 2 {
			for k, i := range order {
				text := strings.Repeat("T", i) + want[i]
				whole, err := io.ReadAll(io.NewSectionReader(bodies[k], 0, bodies[k].Size()))
				if err != nil || string(whole) != text {
					t.Fatalf("item %d: %d octets of %d, %v", i, len(whole), len(text), err)
				}
				other := bodies[(k+1)%len(order)] // takes the room
				if _, err := other.ReadAt(make([]byte, 1), other.Size()-1); err != nil {
					t.Fatal(err)
				}
				end := make([]byte, 5)
				if _, err := bodies[k].ReadAt(end, int64(len(text)-5)); err != nil || string(end) != text[len(text)-5:] {
					t.Fatalf("item %d ends in %q, %v", i, end, err)
				}
			}
		}
	}
}

func TestGetRun(t *testing.T) {
	f := newFixture(t)
	m := f.mailbox("alice")
	b := f.eng.db().NewBatch()
	for _, n := range []uint64{2, 3, 5, 6, 7, 9} {
		b.Set(m.num.ID(layout.SubOOFSent, n), []byte{byte(n)})
	}
	b.Set(m.num.ID(layout.SubOOFSent, 4), nil)
	if _, err := f.eng.db().Commit(ctx, b); err != nil {
		t.Fatal(err)
	}
	for _, nums := range [][]uint64{nil, {2}, {2, 3, 4, 5}, {1, 2, 3, 8, 9, 10}, {9, 7, 5, 3, 2}, {2, 2, 3, 3}, {2, 3, 5, 900}} {
		keys := make([][]byte, len(nums))
		for i, n := range nums {
			keys[i] = m.num.ID(layout.SubOOFSent, n)
		}
		want, err := f.eng.db().GetMany(ctx, keys)
		if err != nil {
			t.Fatal(err)
		}
		got, err := content.GetRun(ctx, f.eng.db(), nums, keys)
		if err != nil {
			t.Fatal(err)
		}
		for i := range want {
			if string(got[i]) != string(want[i]) || (got[i] == nil) != (want[i] == nil) {
				t.Errorf("%v: %v, want %v", nums, got, want)
			}
		}
	}
}
