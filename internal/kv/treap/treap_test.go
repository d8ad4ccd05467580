package treap

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// TestAgainstMap compares a tree, and the states it had before, with maps.
func TestAgainstMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var tree Tree[int]
		model := map[string]int{}
		type state struct {
			tree  Tree[int]
			model map[string]int
		}
		var states []state
		edit := Edit(1) // states are kept only where it ends
		key := rapid.StringOfN(rapid.RuneFrom([]rune("abc")), 0, 3, -1)
		for i := range rapid.IntRange(1, 60).Draw(t, "steps") {
			k, upper := key.Draw(t, "key"), key.Draw(t, "upper")
			switch rapid.IntRange(0, 6).Draw(t, "op") {
			case 0, 1, 2:
				tree, model[k] = tree.Put([]byte(k), i), i
			case 3:
				tree = tree.Delete([]byte(k))
				delete(model, k)
			case 4:
				tree = tree.DeleteRange([]byte(k), []byte(upper))
				maps.DeleteFunc(model, func(x string, _ int) bool { return x >= k && x < upper })
			default:
				tree, model[k] = tree.PutIn(edit, []byte(k), i), i
				continue
			}
			states = append(states, state{tree, maps.Clone(model)})
			edit++
		}
		for _, s := range states {
			check(t, s.tree, s.model, key.Draw(t, "lower"), key.Draw(t, "upper"))
		}
	})
}

func check(t *rapid.T, tree Tree[int], model map[string]int, lower, upper string) {
	keys := slices.Sorted(maps.Keys(model))
	for _, bounds := range [][2][]byte{{nil, nil}, {[]byte(lower), []byte(upper)}, {nil, []byte(upper)}, {[]byte(lower), nil}} {
		for _, reverse := range []bool{false, true} {
			var want []string
			for _, k := range keys {
				if bytes.Compare([]byte(k), bounds[0]) >= 0 && (bounds[1] == nil || k < string(bounds[1])) {
					want = append(want, fmt.Sprint(k, model[k]))
				}
			}
			if reverse {
				slices.Reverse(want)
			}
			var got []string
			for c := tree.Cursor(bounds[0], bounds[1], reverse); ; c.Next() {
				k, v, ok := c.Pair()
				if !ok {
					break
				}
				got = append(got, fmt.Sprint(string(k), v))
			}
			if !slices.Equal(got, want) {
				t.Fatalf("%q to %q, reverse %v: %v, want %v", bounds[0], bounds[1], reverse, got, want)
			}
		}
	}
	v, ok := tree.Get([]byte(lower))
	if w, has := model[lower]; ok != has || v != w {
		t.Fatalf("%q is %d %v, want %d %v", lower, v, ok, w, has)
	}
	i, has := slices.BinarySearch(keys, lower)
	if !has {
		i--
	}
	k, _, ok := tree.Floor([]byte(lower))
	if ok != (i >= 0) || ok && string(k) != keys[i] {
		t.Fatalf("floor of %q is %q", lower, k)
	}
}
