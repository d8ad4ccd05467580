package fulltext

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rialto/internal/kv"
	"rialto/internal/store"
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

// TestMuchNewMail: a search looks at no more than a step's octets of what the
// index does not have, and says so.
func TestMuchNewMail(t *testing.T) {
	s := newSite(t, nil)
	read := 0
	s.x = New(Options{StepItems: 100, Extract: func(_ context.Context, _ *store.View, it Item, add func(Field, []byte)) (bool, error) {
		read++
		add(Subject, []byte("word"))
		add(Body, bytes.Repeat([]byte("filler "), stepBytes/7/2))
		return true, nil
	}})
	s.append(store.FolderInbox, strings.Split("1,2,3,4,5,6,7,8", ",")...)
	res, err := s.x.Search(ctx, s.box, Query{Text: "word"}, Scope{})
	if err != nil || res.Complete || res.Total == 0 || read > 3 {
		t.Errorf("%d of 8 items were read, %d found, complete %v: %v", read, res.Total, res.Complete, err)
	}
	s.feed()
	if res, err = s.x.Search(ctx, s.box, Query{Text: "word"}, Scope{}); err != nil || !res.Complete || res.Total != 8 {
		t.Errorf("indexed: %d found, complete %v: %v", res.Total, res.Complete, err)
	}
}

// TestWordless: what has neither letters nor digits says nothing beside words.
func TestWordless(t *testing.T) {
	s := newSite(t, nil)
	s.append(store.FolderInbox, "A\nSmith & Jones", "B\nsmith only")
	s.feed()
	for query, want := range map[string]string{
		"smith & jones": "A", "smith - jones": "A", `smith "..."`: "A|B", "(&) jones": "A", "smith -&": "A|B", "& ...": "", "&": "", "smith -(& jones)": "B", "smith ()": "A|B",
		"jones OR &": "A", "& -smith": "",
	} {
		if got := sortedNames(strings.Join(s.found(query, Scope{}), "|")); got != want {
			t.Errorf("%q finds %q, want %q", query, got, want)
		}
	}
}
