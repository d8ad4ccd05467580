package fulltext

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rialto/internal/model"
	"rialto/internal/store"
)

// found returns the subjects of what a query finds, best first.
func (s *site) found(query string, scope Scope) []string {
	s.t.Helper()
	q, err := Parse(query)
	if err != nil {
		s.t.Fatal(err)
	}
	res, err := s.x.Search(ctx, s.box, q, scope)
	if err != nil {
		s.t.Fatal(err)
	}
	texts := s.texts()
	out := []string{}
	for _, f := range res.Items {
		out = append(out, texts[f.OID][0])
	}
	return out
}

func TestRankedSearch(t *testing.T) {
	s := newSite(t, nil)
	s.step = 100
	s.fresh()
	s.append(store.FolderInbox,
		"A meeting\nWe were running late for the meetings about the houses.",
		"B\nShe runs a house. "+strings.Repeat("filler ", 200),
		"C\nDie Häuser in der Straße; das Haus.",
		"D running\nNothing else.",
		"E\nall work and no play",
		"F\nplay all and no work, said Dr. O'Neill (abc123) 漢字検索です",
		"G\nno word of it 20261122103000")
	s.append(store.FolderDrafts, "H\nrunning in drafts")
	check := func(when string) {
		t.Helper()
		for _, c := range []struct {
			query string
			want  string // sorted unless it begins with =
		}{
			{"run", "A meeting|B|D running|H"}, {"running", "=D running|H|A meeting|B"}, {"run house", "=A meeting|B"}, {"haus", "C"}, {"häuser", "C"}, {"meeting", "A meeting"},
			{`"all work"`, "E"}, {`"work all"`, ""}, {"work play", "E|F"}, {"wor*", "E|F|G"}, {"work -abc123", "E"},
			{"work OR haus", "C|E|F"}, {"(work OR haus) NOT straße", "E|F"}, {"subject:running", "D running"}, {"subject:work", ""},
			{"abc123", "F"}, {"O'Neill", "F"}, {"検索", "F"}, {"20261122103000", "G"}, {"absent", ""}, {"", ""}, {"...", ""},
			{`"play al*"`, ""}, {`play no`, "E|F"},
		} {
			got := strings.Join(s.found(c.query, Scope{}), "|")
			want, ordered := strings.CutPrefix(c.want, "=")
			if !ordered {
				got = sortedNames(got)
			}
			if got != want {
				t.Errorf("%s: %q finds %q, want %q", when, c.query, got, want)
			}
		}
	}
	check("nothing is indexed")
	s.feed()
	check("all is indexed")
	if got := s.found("run", Scope{Folders: []store.FolderID{store.FolderDrafts}}); !cmp.Equal(got, []string{"H"}) {
		t.Errorf("in Drafts: %v", got)
	}
	if got := s.found("run", Scope{Offset: 1, Limit: 2}); !cmp.Equal(got, s.found("run", Scope{})[1:3]) {
		t.Errorf("a page: %v", got)
	}
	if got := s.found("haus", Scope{Languages: []string{"en"}}); len(got) != 1 { // the word itself
		t.Errorf("in English: %v", got)
	}
	if _, err := s.box.Move(ctx, store.FolderInbox, store.UIDs(4), store.FolderDrafts); err != nil {
		t.Fatal(err)
	}
	if _, err := s.box.Delete(ctx, store.FolderInbox, store.UIDs(1)); err != nil {
		t.Fatal(err)
	}
	if got := s.found("run", Scope{Folders: []store.FolderID{store.FolderDrafts}}); !cmp.Equal(got, []string{"D running", "H"}) {
		t.Errorf("after a move: %v", got)
	}
	if got := s.found("meeting", Scope{}); len(got) != 0 {
		t.Errorf("after deletion: %v", got)
	}
	if n := s.feed(); n != 0 {
		t.Errorf("a move made %d items be indexed", n)
	}
}

func sortedNames(s string) string {
	names := strings.Split(s, "|")
	for i := range names {
		for k := i; k > 0 && names[k] < names[k-1]; k-- {
			names[k], names[k-1] = names[k-1], names[k]
		}
	}
	return strings.Join(names, "|")
}

// Many hits are found by the lists of folders; the answer is the same.
func TestManyHits(t *testing.T) {
	s := newSite(t, nil)
	s.step = 1000
	s.fresh()
	var texts []string
	for i := range fewItems + 50 {
		texts = append(texts, fmt.Sprintf("%d\nword number %d", i, i))
	}
	s.append(store.FolderInbox, texts...)
	s.feed()
	q, err := Parse("word")
	if err != nil {
		t.Fatal(err)
	}
	res, err := s.x.Search(ctx, s.box, q, Scope{Limit: 3})
	if err != nil || res.Total != len(texts) || len(res.Items) != 3 || !res.Complete {
		t.Errorf("%d of %d, %v, %v", len(res.Items), res.Total, res.Complete, err)
	}
	if p := res.Items[0].Place; p.Folder != store.FolderInbox || p.N == 0 {
		t.Errorf("place %+v", p)
	}
}

func TestParse(t *testing.T) {
	for text, want := range map[string]string{
		"a b":                  "&(a b)",
		"a OR b c":             "|(a &(b c))",
		`from:"x y" -z`:        "&(2:'x y' !(z))",
		"-(a b*) AND NOT c":    "&(!(&(a b*)) !(c))",
		") a ) (b":             "&(a b)",
		"body:x foo:y cc:":     "&(6:x foo:y cc:)",
		`"open end`:            "'open end'",
		"":                     "&()",
		"NOT":                  "NOT",
		`say "a" b-"c" - * -*`: "&(say 'a' b- 'c' - * !(*))",
	} {
		q, err := Parse(text)
		if err != nil || q.String() != want {
			t.Errorf("Parse(%q) = %s, %v, want %s", text, q.String(), err, want)
		}
	}
	if _, err := Parse(strings.Repeat("x", maxQuery+1)); !model.IsKind(err, model.KindTooLarge) {
		t.Errorf("a long query: %v", err)
	}
	if _, err := Parse(strings.Repeat("x ", maxLeaves+1)); !model.IsKind(err, model.KindTooLarge) {
		t.Errorf("many words: %v", err)
	}
}

// String writes a query for tests.
func (q Query) String() string {
	var subs []string
	for _, s := range q.Subs {
		subs = append(subs, s.String())
	}
	in := "(" + strings.Join(subs, " ") + ")"
	switch q.Op {
	case And:
		return "&" + in
	case Or:
		return "|" + in
	case Not:
		return "!" + in
	}
	text := q.Text
	switch q.Op {
	case Phrase:
		text = "'" + text + "'"
	case Prefix:
		text += "*"
	}
	if q.Field != 0 {
		text = fmt.Sprintf("%d:%s", q.Field, text)
	}
	return text
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{`a "b c" OR -(d* NOT e) from:x`, "((((", `-"`, `:"`, "OR OR", ")(", "NOT NOT a"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		q, err := Parse(s)
		if err != nil {
			return
		}
		if p := newPlan(&q, nil, nil, 0); len(p.leaves) > maxLeaves {
			t.Errorf("%d leaves", len(p.leaves))
		}
	})
}

// FuzzRows reads whatever may stand in a row: never a panic, and memory bounded
// by the row.
func FuzzRows(f *testing.F) {
	man := manifest{generation: 7, seq: 9, next: 3, runs: []runInfo{{id: 1, docs: 5, lists: 1}}}
	enc := man.encode()
	f.Add(enc[:len(enc)-4], 5)
	f.Add(appendDocs(nil, []doc{{row: 300, oid: 300, words: 9}, {row: 301, oid: 5, loose: true}}), 2)
	f.Add(appendList(nil, []posting{{1, 1}, {4, 200}}, 9), 2)
	f.Add([]byte{1, 3, 'a', 'b', 0, 3, 1, 0}, 9)
	f.Fuzz(func(t *testing.T, b []byte, n int) {
		n = max(0, min(n, 10000))
		var m manifest
		_ = m.decode(seal(0, []byte{rowManifest}, append([]byte(nil), b...)))
		if docs, err := decodeDocs(nil, b, n); err == nil && len(docs) != n {
			t.Errorf("%d items of %d", len(docs), n)
		}
		blk, err := openBlock(b)
		if err != nil {
			return
		}
		r := openRun(memoryRows{}, 0, runInfo{docs: n}, newDocTable(make([]doc, n)))
		var e entry
		for {
			more, err := blk.next(&e, n)
			if err != nil || !more {
				return
			}
			if len(e.term) == 0 {
				t.Error("a word without octets")
			}
			seen := 0
			err = r.postings(ctx, &e, func(p posting) {
				if seen++; int(p.doc) >= n {
					t.Errorf("item %d of %d", p.doc, n)
				}
			})
			if err == nil && seen != e.count {
				t.Errorf("%d items, said %d", seen, e.count)
			}
		}
	})
}

// FuzzFind compares the index with a look at the text.
func FuzzFind(f *testing.F) {
	for _, s := range vocabulary() {
		f.Add(s+" x", s)
	}
	f.Add("aB1cD2eF3gH4iJ5kL6mN7 end", "f3g")
	r := rand.New(rand.NewPCG(1, 1))
	for range 20 {
		f.Add(randomText(r), randomNeedle(r))
	}
	f.Fuzz(func(t *testing.T, text, what string) {
		text = strings.ToValidUTF8(text, "?")
		n := newNeedle(what)
		if n == nil || len(what) > 200 || len(text) > 10000 {
			return
		}
		b := newBuilder(1)
		b.begin(300, 300)
		b.add(Body, []byte(text))
		mem := memoryRows{}
		info, err := b.write(&runWriter{put: func(k, v []byte) error {
			mem[string(k)] = append([]byte(nil), v...)
			return nil
		}})
		if err != nil {
			t.Fatal(err)
		}
		table, err := readDocs(ctx, mem, 0, &info)
		if err != nil {
			t.Fatal(err)
		}
		s, err := n.search(ctx, openRun(mem, 0, info, table), []Field{Body})
		if err != nil {
			t.Fatal(err)
		}
		want := contains(text, what)
		if s.yes.has(0) && !want || !s.yes.has(0) && !s.maybe.has(0) && want {
			t.Errorf("%q in %q: yes %v, maybe %v, want %v", what, text, s.yes.has(0), s.maybe.has(0), want)
		}
	})
}
