package fulltext

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rialto/internal/kv"
)

// TestLongLists: in the largest run there may be, words that an eighth of the
// items have several times fit rows.
func TestLongLists(t *testing.T) {
	const docs = maxRunDocs
	largest := 0
	rows := memoryRows{}
	w := &runWriter{info: runInfo{docs: docs}, put: func(k, v []byte) error {
		largest = max(largest, len(v))
		rows[string(k)] = bytes.Clone(v)
		return nil
	}}
	want := map[string][]posting{}
	add := func(term string, n, every uint32) {
		var list []posting
		for i := range n {
			list = append(list, posting{i * every, 3})
		}
		want[term] = list
		if err := w.term(Body, []byte(term), list); err != nil {
			t.Fatal(err)
		}
	}
	add("a", 15000, 64)
	add("b", docs/8, 8)
	add("c", docs/8+1, 7)
	info, err := w.finish()
	if err != nil {
		t.Fatal(err)
	}
	if largest > kv.MaxValue {
		t.Errorf("a row of %d octets", largest)
	}
	r := openRun(rows, 0, info, &docTable{docs: make([]doc, docs)})
	err = r.eachBlock(ctx, Body, func(b *block) error {
		var e entry
		for {
			more, err := b.next(&e, docs)
			if err != nil || !more {
				return err
			}
			list, err := r.list(ctx, &e, nil)
			if err != nil {
				return err
			}
			items := func(list []posting) (out []uint32) {
				for _, p := range list {
					out = append(out, p.doc)
				}
				return out
			}
			if !cmp.Equal(items(list), items(want[string(e.term)])) {
				t.Errorf("%s: other items", e.term)
			}
		}
	})
	if err != nil {
		t.Error(err)
	}
}
