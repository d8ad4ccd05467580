package table

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"rialto/internal/mapi"
	"rialto/internal/model"
	"rialto/internal/store"
)

func important() mapi.Restriction {
	return mapi.And{&mapi.Comparison{Relation: mapi.Equal, Tag: mapi.TagImportance, Value: int32(2)},
		&mapi.Comparison{Relation: mapi.Equal, Tag: mapi.TagRead, Value: false}}
}

// TestSearchFolderFollows changes a mailbox at random and compares, after
// catching up, the members with a plain search.
func TestSearchFolderFollows(t *testing.T) {
	b := newBox(t)
	n := 0
	rapid.Check(t, func(t *rapid.T) {
		b.t = t
		n++
		make := func(parent store.FolderID, name string) store.FolderID {
			f, err := b.m.CreateFolder(ctx, parent, fmt.Sprint(name, n), "")
			if err != nil {
				t.Fatal(err)
			}
			return f.ID
		}
		top, found := make(store.FolderInbox, "top"), make(store.FolderFinder, "found")
		inner, outer := make(top, "in"), make(store.FolderInbox, "out")
		folders := []store.FolderID{top, inner, outer}
		s := &Search{R: important(), Scope: []store.FolderID{top}, Recursive: rapid.Bool().Draw(t, "recursive")}
		if err := SetSearch(ctx, b.m, found, s); err != nil {
			t.Fatal(err)
		}
		tab := New(&Found{Folder: found})
		if err := tab.SetColumns([]mapi.Tag{mapi.TagImportance}); err != nil {
			t.Fatal(err)
		}
		some := func(t *rapid.T) (store.FolderID, store.UIDSet) {
			f := rapid.SampledFrom(folders).Draw(t, "folder")
			w := world{box: b, f: f}
			return f, w.some(t)
		}
		t.Repeat(map[string]func(*rapid.T){
			"add": func(t *rapid.T) { b.add(rapid.SampledFrom(folders).Draw(t, "folder"), drawLetter(t), letter{imp: 2}) },
			"remove": func(t *rapid.T) {
				f, set := some(t)
				if _, err := b.m.Delete(ctx, f, set); err != nil {
					t.Fatal(err)
				}
			},
			"flag": func(t *rapid.T) {
				f, set := some(t)
				if _, err := b.m.SetFlags(ctx, f, set, store.FlagChange{Set: store.Read}); err != nil {
					t.Fatal(err)
				}
			},
			"move": func(t *rapid.T) {
				f, set := some(t)
				if _, err := b.m.Move(ctx, f, set, rapid.SampledFrom(folders).Draw(t, "to")); err != nil {
					t.Fatal(err)
				}
			},
			"move folder": func(t *rapid.T) {
				to := rapid.SampledFrom([]store.FolderID{top, outer}).Draw(t, "parent")
				if err := b.m.RenameFolder(ctx, inner, to, fmt.Sprint("in", n)); err != nil {
					t.Fatal(err)
				}
			},
			"step": func(t *rapid.T) {
				if _, err := Step(ctx, b.m, found); err != nil {
					t.Fatal(err)
				}
			},
			"": func(t *rapid.T) {
				if err := CatchUp(ctx, b.m, found); err != nil {
					t.Fatal(err)
				}
				checkFound(t, b, s, found, top, inner, tab)
			},
		})
	})
}

func checkFound(t *rapid.T, b *box, s *Search, found, top, inner store.FolderID, tab *Table) {
	v := b.view()
	defer v.Close()
	scope := []store.FolderID{top}
	f, err := v.Folder(ctx, inner)
	if err != nil {
		t.Fatal(err)
	}
	if s.Recursive && f.Parent == top {
		scope = append(scope, inner)
	}
	var want []uint64
	for _, f := range scope {
		rows := b.rowsOf(v, f)
		err := v.States(ctx, f, 0, ^store.UID(0), func(st *store.State) bool {
			i := slices.IndexFunc(rows, func(n naive) bool { return n.id == uint64(st.UID()) })
			if ok, err := mapi.Eval(s.R, rows[i]); err != nil {
				t.Fatal(err)
			} else if ok {
				want = append(want, uint64(st.OID))
			}
			return true
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	slices.Sort(want)
	n, err := tab.Count(ctx, v)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := tab.Seek(ctx, v, Beginning, 0); err != nil {
		t.Fatal(err)
	}
	rows, err := tab.Rows(ctx, v, n, true)
	if err != nil {
		t.Fatal(err)
	}
	var got []uint64
	for _, r := range rows {
		if got = append(got, r.ID); r.Values[0] != int32(2) {
			t.Fatal(r)
		}
	}
	slices.Sort(got)
	_, st, err := v.Search(ctx, found)
	if err != nil || !slices.Equal(got, want) || int(st.Total) != len(want) || int(st.Unseen) != len(want) || st.Busy {
		t.Fatalf("members %v, want %v; %+v %v", got, want, st, err)
	}
}

func TestSearchFolderInSteps(t *testing.T) {
	b := newBox(t)
	found, err := b.m.CreateFolder(ctx, store.FolderFinder, "found", "")
	if err != nil {
		t.Fatal(err)
	}
	var ls []letter
	for i := range 1200 {
		ls = append(ls, letter{subject: fmt.Sprint(i), imp: 2, at: 1e9})
	}
	b.add(store.FolderInbox, ls[:400]...)
	b.add(store.FolderInbox, ls[400:800]...)
	b.add(store.FolderInbox, ls[800:]...)
	s := &Search{R: important(), Scope: []store.FolderID{store.FolderInbox}, Static: true}
	if err := SetSearch(ctx, b.m, found.ID, s); err != nil {
		t.Fatal(err)
	}
	steps := 0
	for done := false; !done; steps++ {
		if done, err = Step(ctx, b.m, found.ID); err != nil {
			t.Fatal(err)
		}
	}
	if steps < 3 {
		t.Errorf("%d steps", steps)
	}
	b.add(store.FolderInbox, ls[0]) // a static one does not take it
	if err := CatchUpAll(ctx, b.m); err != nil {
		t.Fatal(err)
	}
	if got, err := b.m.Verify(ctx, true); err != nil || len(got.Problems) > 0 {
		t.Error(got.Problems, err)
	}
	v := b.view()
	defer v.Close()
	_, st, err := v.Search(ctx, found.ID)
	if err != nil || st.Total != 1200 {
		t.Error(st, err)
	}
	if all, err := v.Searches(ctx); err != nil || !slices.Equal(all, []store.FolderID{found.ID}) {
		t.Error(all, err)
	}
	if err := SetSearch(ctx, b.m, found.ID, nil); err != nil {
		t.Fatal(err)
	}
	if err := CatchUp(ctx, b.m, found.ID); !model.IsKind(err, model.KindNotFound) {
		t.Error(err)
	}
	if _, err := (&Search{R: important()}).Append(nil); !model.IsKind(err, model.KindInvalid) {
		t.Error(err)
	}
}

func FuzzDecodeSearch(f *testing.F) {
	b, err := (&Search{R: important(), Scope: []store.FolderID{3, 4}, Recursive: true}).Append(nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := DecodeSearch(b)
		if err != nil {
			return
		}
		c, err := s.Append(nil)
		if err != nil {
			t.Fatal(err)
		}
		s, err = DecodeSearch(c)
		if err != nil {
			t.Fatal(err)
		}
		if d, err := s.Append(nil); err != nil || !bytes.Equal(c, d) {
			t.Fatal("unstable encoding", err)
		}
	})
}
