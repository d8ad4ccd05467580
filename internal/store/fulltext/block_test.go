package fulltext

import (
	"errors"
	"testing"
)

// TestEmptyTerm: a dictionary with a word that has no octets is damaged.
func TestEmptyTerm(t *testing.T) {
	rows := memoryRows{}
	w := &runWriter{info: runInfo{id: 1, docs: 1}, put: func(k, v []byte) error {
		rows[string(k)] = append([]byte(nil), v...)
		return nil
	}}
	for _, term := range []string{"", "a"} {
		if err := w.term(Body, []byte(term), []posting{{0, 1}}); err != nil {
			t.Fatal(err)
		}
	}
	info, err := w.finish()
	if err != nil {
		t.Fatal(err)
	}
	r := openRun(rows, 0, info, newDocTable(make([]doc, 1)))
	if _, err := newNeedle("a").search(ctx, r, []Field{Body}); !errors.Is(err, errUnusable) {
		t.Error(err)
	}
}
