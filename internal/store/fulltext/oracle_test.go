package fulltext

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"rialto/internal/store"
)

// check compares the index with a look at every item. known says that the index
// has all items: then it has to be sure of every search for a word.
func (s *site) check(r *rand.Rand, n int, known bool) (sure int) {
	s.t.Helper()
	texts, rows := s.texts(), s.rows()
	for range n {
		text := randomNeedle(r)
		for i, f := range [][]Field{{Subject}, {Body}, {Subject, Body}} {
			h, err := s.x.Find(ctx, s.box, text, f...)
			if err != nil {
				s.t.Fatal(err)
			}
			if h == nil {
				continue
			}
			for o, item := range texts {
				want := i != 1 && contains(item[0], text) || i != 0 && contains(item[1], text)
				switch got := h.Test(rows[o], o); {
				case got == No && want, got == Yes && !want:
					s.t.Fatalf("%q in %q of field %v: %v, want %v", text, item, f, got, want)
				case got != Maybe:
					sure++
				case known && newNeedle(text).single && len(newNeedle(text).tokens[0].grams) <= 1 && !newNeedle(text).odd && item[1][:min(5, len(item[1]))] != "loose":
					s.t.Fatalf("%q in %q of field %v: Maybe", text, item, f)
				}
			}
		}
	}
	return sure
}

// TestAnswersSurvivePowerCuts runs random operations, feedings and power cuts:
// at no point may the index say what is not so.
func TestAnswersSurvivePowerCuts(t *testing.T) {
	for seed := range uint64(6) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 3))
			s := newSite(t, nil)
			sure := 0
			for range 120 {
				s.now = s.now.Add(time.Second)
				s.operate(r)
				sure += s.check(r, 3, false)
			}
			s.feed()
			sure += s.check(r, 60, true)
			if st, err := s.x.Status(ctx, s.box); err != nil || st.Items < len(s.texts()) || st.Runs > 4*mergeWidth {
				t.Errorf("status %+v, %v; %d items", st, err, len(s.texts()))
			}
			if sure == 0 {
				t.Error("the index never was sure of anything")
			}
			if n := s.feed(); n != 0 {
				t.Errorf("%d items indexed again", n)
			}
		})
	}
}

func (s *site) operate(r *rand.Rand) {
	s.t.Helper()
	folders := []store.FolderID{store.FolderInbox, store.FolderSentItems, store.FolderDrafts}
	from, to := folders[r.IntN(3)], folders[r.IntN(3)]
	lo := store.UID(1 + r.IntN(40))
	set := store.UIDSet{{From: lo, To: lo + store.UID(r.IntN(6))}}
	var err error
	switch r.IntN(12) {
	case 0, 1, 2, 3:
		var texts []string
		for range 1 + r.IntN(20) {
			body := randomText(r)
			if r.IntN(10) == 0 {
				body = "loose " + body
			}
			subject := randomText(r)
			texts = append(texts, subject[:min(3, len(subject))]+"\n"+body) // characters may be cut
		}
		s.append(from, texts...)
	case 4:
		_, err = s.box.Move(ctx, from, set, to)
	case 5:
		_, err = s.box.Copy(ctx, from, set, to)
	case 6:
		_, err = s.box.Delete(ctx, from, set)
	case 7:
		_, err = s.box.Purge(ctx, from, s.now.Add(-10*time.Second))
	case 8:
		_, err = s.box.SetFlags(ctx, from, set, store.FlagChange{Set: store.Read})
	case 9:
		s.crash()
	default:
		_, err = s.x.Feed(ctx, s.box)
	}
	if err != nil {
		s.t.Fatal(err)
	}
}

// TestDamageIsNoticed changes, drops and swaps rows of the index: the answer is
// right or there is none, and the index is built again.
func TestDamageIsNoticed(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	s := newSite(t, nil)
	for range 60 {
		s.append(store.FolderInbox, randomText(r)+"\n"+randomText(r))
		if r.IntN(4) == 0 {
			s.feed()
		}
	}
	s.feed()
	for i := 0; ; i++ {
		v, err := s.box.Derived(Space).View(ctx)
		if err != nil {
			t.Fatal(err)
		}
		var keys, vals [][]byte
		err = v.Scan(ctx, nil, func(k, val []byte) bool {
			keys, vals = append(keys, append([]byte(nil), k...)), append(vals, append([]byte(nil), val...))
			return true
		})
		v.Close()
		if err != nil {
			t.Fatal(err)
		}
		if i/3 >= len(keys) {
			if i < 30 {
				t.Errorf("%d rows", len(keys))
			}
			break
		}
		k, val := keys[i/3], vals[i/3]
		b := s.box.Derived(Space).NewBatch()
		switch i % 3 {
		case 0:
			val[r.IntN(len(val))] ^= 1 << r.IntN(8)
			b.Set(k, val)
		case 1:
			b.DeleteRange(k, append(k, 0))
		default:
			b.Set(k, vals[(i/3+1)%len(vals)])
		}
		if err := b.Commit(ctx); err != nil {
			t.Fatal(err)
		}
		s.fresh() // what is in memory was right
		s.check(r, 4, false)
		s.append(store.FolderInbox, "one\nmore")
		s.feed()
		s.fresh()
		s.feed()
		s.check(r, 4, false)
	}
}

// TestOtherVersion: an index of another version is built again.
func TestOtherVersion(t *testing.T) {
	s := newSite(t, nil)
	s.append(store.FolderInbox, "one\ntwo")
	s.feed()
	b := s.box.Derived(Space).NewBatch()
	b.Set([]byte{rowManifest}, seal(0, []byte{rowManifest}, []byte{formatVersion + 1}))
	if err := b.Commit(ctx); err != nil {
		t.Fatal(err)
	}
	s.fresh()
	if h, err := s.x.Find(ctx, s.box, "two", Body); h != nil || err != nil {
		t.Errorf("hits %v, %v", h, err)
	}
	if n := s.feed(); n != 1 {
		t.Errorf("%d items indexed", n)
	}
	if h, err := s.x.Find(ctx, s.box, "two", Body); h == nil || err != nil {
		t.Errorf("hits %v, %v", h, err)
	}
}
