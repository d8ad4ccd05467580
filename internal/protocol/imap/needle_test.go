package imap

import (
	"strings"
	"testing"
	"testing/iotest"

	"rialto/internal/store"
	wire "rialto/internal/wire/imap"
)

func TestNeedle(t *testing.T) {
	for _, c := range []struct {
		needle, hay string
		want        bool
	}{
		{"", "", true}, {"a", "", false}, {"Abc", "xxaBCxx", true}, {"abd", "xxabcxx", false}, {"ÜBER", "darüber", true},
		{"straße", "STRASSE", false}, {"z", "ABZ", true}, {"aab", "aaab", true},
	} {
		n := newNeedle(c.needle)
		if got := n.in(c.hay); got != c.want {
			t.Errorf("%q in %q = %v", c.needle, c.hay, got)
		}
		var room []byte
		got, err := n.inReader(iotest.OneByteReader(strings.NewReader(c.hay)), &room)
		if err != nil || got != c.want {
			t.Errorf("%q in reader of %q = %v, %v", c.needle, c.hay, got, err)
		}
	}
}

// Matches across the borders of what is read at once are found.
func TestNeedleAcrossChunks(t *testing.T) {
	n := newNeedle("grüße aus bonn")
	var room []byte
	for _, at := range []int{0, searchChunk - 20, searchChunk - 7, searchChunk, searchChunk + 1, 3*searchChunk - 5} {
		hay := strings.Repeat("é", at/2) + "Grüße AUS Bonn" + strings.Repeat("x", 100)
		got, err := n.inReader(strings.NewReader(hay), &room)
		if err != nil || !got {
			t.Errorf("at %d: %v, %v", at, got, err)
		}
	}
}

func TestEscapeName(t *testing.T) {
	for name, want := range map[string]string{"a/b": "a%2Fb", "50%": "50%", "%2f": "%252f", "%25": "%2525", "a%2": "a%2", "/": "%2F", "%%2F": "%%252F", "é": "é"} {
		if got := escapeName(name); got != want {
			t.Errorf("escapeName(%q) = %q, want %q", name, got, want)
		}
		if got := unescapeName(escapeName(name)); got != name {
			t.Errorf("%q comes back as %q", name, got)
		}
	}
}

func FuzzEscapeName(f *testing.F) {
	for _, s := range []string{"a/b", "%2F", "%25", "%", "%2", "//%"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, name string) {
		e := escapeName(name)
		if strings.IndexByte(e, delim) >= 0 || unescapeName(e) != name {
			t.Errorf("%q as %q as %q", name, e, unescapeName(e))
		}
	})
}

func TestResolve(t *testing.T) {
	sel := &selected{uids: []store.UID{2, 3, 5, 9}, loaded: true, next: 12, saved: []store.UID{3, 4, 9}}
	for _, c := range []struct {
		set  string
		uid  bool
		want []span
	}{
		{"1", false, []span{{0, 1}}}, {"4:2", false, []span{{1, 4}}}, {"*", false, []span{{3, 4}}}, {"1,2,4", false, []span{{0, 2}, {3, 4}}},
		{"3:100", false, []span{{2, 4}}}, {"3:4", true, []span{{1, 2}}}, {"4", true, nil}, {"1:*", true, []span{{0, 4}}},
		{"100:*", true, []span{{3, 4}}}, {"9,2:3", true, []span{{0, 2}, {3, 4}}}, {"$", false, []span{{1, 2}, {3, 4}}},
	} {
		set, err := wire.ParseSeqSet(c.set)
		if err != nil {
			t.Fatal(err)
		}
		got, err := sel.resolve(set, c.uid)
		if err != nil || len(got) != len(c.want) {
			t.Errorf("resolve(%s, %v) = %v, %v, want %v", c.set, c.uid, got, err, c.want)
			continue
		}
		for i := range got {
			if got[i] != c.want[i] {
				t.Errorf("resolve(%s, %v) = %v, want %v", c.set, c.uid, got, c.want)
			}
		}
	}
	set, _ := wire.ParseSeqSet("5")
	if _, err := sel.resolve(set, false); err == nil {
		t.Error("a number beyond the mailbox was let pass")
	}
}

// A list that the log can not complete has as many messages as the client knows.
func TestFill(t *testing.T) {
	sel := &selected{count: 5, next: 9}
	got := sel.fill([]store.UID{2, 7})
	if len(got) != 5 || got[0] != 2 || got[4] != 8 {
		t.Errorf("fill = %v", got)
	}
	for i := 1; i < len(got); i++ {
		if got[i] <= got[i-1] {
			t.Errorf("fill = %v", got)
		}
	}
}

func TestTake(t *testing.T) {
	spans := []span{{0, 3}, {5, 9}, {20, 21}}
	var seen []int
	for rest := spans; len(rest) > 0; {
		var page []span
		page, rest = take(rest, 2)
		if n := total(page); n > 2 || n == 0 {
			t.Fatalf("page %v", page)
		}
		for _, p := range page {
			for i := p.lo; i < p.hi; i++ {
				seen = append(seen, i)
			}
		}
	}
	if len(seen) != 8 || seen[3] != 5 || seen[7] != 20 {
		t.Errorf("seen %v", seen)
	}
}
