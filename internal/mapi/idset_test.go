package mapi

import (
	"bytes"
	"encoding/hex"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"rialto/internal/model"
)

// TestGlobSetWire has sets as MS-OXCFXICS 3.1.5.4.3 describes their commands.
func TestGlobSetWire(t *testing.T) {
	for _, c := range []struct {
		name, wire string
		set        GlobSet
	}{
		{"nothing", "00", nil},
		{"one", "06 000000000005 00", GlobSet{{5, 5}}},
		{"range in the last octet", "05 0000000000 52 01 ff 50 00", GlobSet{{1, 255}}},
		{"range over octets", "04 00000000 52 0001 0105 50 00", GlobSet{{1, 0x105}}},
		{"bits", "05 0000000000 42 03 85 50 00", GlobSet{{3, 4}, {6, 6}, {11, 11}}},
		{"nested pushes", "04 00000000 02 0101 02 0201 50 00", GlobSet{{0x101, 0x101}, {0x201, 0x201}}},
		{"whole", "52 000000000000 ffffffffffff 00", GlobSet{{0, MaxCounter}}},
	} {
		wire, err := hex.DecodeString(string(bytes.ReplaceAll([]byte(c.wire), []byte(" "), nil)))
		if err != nil {
			t.Fatal(err)
		}
		got, rest, err := DecodeGlobSet(append(wire, 7))
		if err != nil || !slices.Equal(got, c.set) || !bytes.Equal(rest, []byte{7}) {
			t.Errorf("%s: decoded %v, left %x, %v", c.name, got, rest, err)
		}
		if b := AppendGlobSet(nil, c.set); !bytes.Equal(b, wire) {
			t.Errorf("%s: encoded %x, want %x", c.name, b, wire)
		}
	}
}

func TestGlobSetRefusals(t *testing.T) {
	for name, wire := range map[string][]byte{
		"no end":                  {6, 0, 0, 0, 0, 0, 1},
		"end within a push":       {1, 0, 0},
		"pop of nothing":          {globPop, 0},
		"unknown command":         {0x33, 0},
		"push over six":           {4, 0, 0, 0, 0, 3, 0, 0, 0, 0},
		"bits without five":       {4, 0, 0, 0, 0, globBits, 1, 1, globPop, 0},
		"bits past the octet":     {5, 0, 0, 0, 0, 0, globBits, 0xff, 1, globPop, 0},
		"range the wrong way":     {5, 0, 0, 0, 0, 0, globRange, 2, 1, globPop, 0},
		"range with half an end":  {5, 0, 0, 0, 0, 0, globRange, 2},
		"nothing at all":          {},
		"bits without their mask": {5, 0, 0, 0, 0, 0, globBits, 2},
	} {
		if s, _, err := DecodeGlobSet(wire); !model.IsKind(err, model.KindInvalid) {
			t.Errorf("%s: %v, %v", name, s, err)
		}
	}
}

// TestGlobSetLaws compares the sets with maps.
func TestGlobSetLaws(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		base := rapid.SampledFrom([]uint64{0, 200, 65500, MaxCounter - 150}).Draw(t, "base")
		draw := func(name string) (s GlobSet, m map[uint64]bool) {
			m = map[uint64]bool{}
			for range rapid.IntRange(0, 12).Draw(t, name) {
				from := base + rapid.Uint64Range(0, 100).Draw(t, "from")
				to := from + rapid.Uint64Range(0, 20).Draw(t, "more")
				s.AddRange(from, to)
				for n := from; n <= to; n++ {
					m[n] = true
				}
			}
			return s, m
		}
		a, am := draw("a")
		b, bm := draw("b")
		union, without := a.Union(b), a.Subtract(b)
		for n := base; n < base+130; n++ {
			if a.Contains(n) != am[n] || union.Contains(n) != (am[n] || bm[n]) || without.Contains(n) != (am[n] && !bm[n]) {
				t.Fatalf("%d: a %v b %v: union %v, without %v", n, a, b, union, without)
			}
		}
		for _, s := range []GlobSet{a, union, without} {
			for i := 1; i < len(s); i++ {
				if s[i].From <= s[i-1].To+1 {
					t.Fatalf("not normal: %v", s)
				}
			}
			got, rest, err := DecodeGlobSet(AppendGlobSet(nil, s))
			if err != nil || len(rest) != 0 || !slices.Equal(got, s) {
				t.Fatalf("%v came back as %v, %v", s, got, err)
			}
		}
	})
}

func TestIDSet(t *testing.T) {
	a, b := model.GUID{1}, model.GUID{2}
	var s, o IDSet[model.GUID]
	s.AddRange(b, 1, 300)
	s.Add(a, 7)
	o.AddRange(b, 5, 5)
	o.Add(a, 7)
	c := s.Clone()
	s.Subtract(&o)
	if s.Contains(a, 7) || s.Contains(b, 5) || !s.Contains(b, 6) || !c.Contains(b, 5) {
		t.Error("Subtract or Clone is wrong")
	}
	s.Union(&o)
	got, err := DecodeIDSet[model.GUID](s.Append(nil))
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(ranges(c), ranges(got)); d != "" {
		t.Error(d)
	}
	var short IDSet[ReplID]
	short.Add(3, 9)
	if b := short.Append(nil); !bytes.Equal(b, []byte{3, 0, 6, 0, 0, 0, 0, 0, 9, 0}) {
		t.Errorf("%x", b)
	}
	if _, err := DecodeIDSet[ReplID]([]byte{1}); !model.IsKind(err, model.KindInvalid) {
		t.Error(err)
	}
}

func ranges[R Replica](s *IDSet[R]) (out []any) {
	s.Iterate(func(r R, from, to uint64) bool { out = append(out, r, from, to); return true })
	return out
}

func TestPCL(t *testing.T) {
	a, b := model.GUID{1}, model.GUID{2}
	x := func(g model.GUID, n uint64) XID { return CounterXID(g, n) }
	base := PCL{}.With(x(b, 5)).With(x(a, 1))
	for _, c := range []struct {
		name string
		p, o PCL
		want Order
	}{
		{"same", base, base, Same},
		{"newer", base.With(x(a, 2)), base, Newer},
		{"older", base, base.With(x(model.GUID{3}, 1)), Older},
		{"conflict", base.With(x(a, 2)), base.With(x(b, 6)), Conflict},
		{"an older change adds nothing", base.With(x(b, 4)), base, Same},
		{"a carry", PCL{x(a, 256)}, PCL{x(a, 255)}, Newer},
	} {
		if got := c.p.Compare(c.o); got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
	}
	got, err := ParsePCL(base.Append(nil))
	if d := cmp.Diff(base, got); err != nil || d != "" {
		t.Error(err, d)
	}
	if n, ok := got[0].Counter(); !ok || n != 1 {
		t.Error(n, ok)
	}
	for _, bad := range [][]byte{{0}, {17}, append([]byte{16}, make([]byte, 16)...)} {
		if p, err := ParsePCL(bad); !model.IsKind(err, model.KindInvalid) {
			t.Errorf("%x: %v, %v", bad, p, err)
		}
	}
}

func TestEntryIDs(t *testing.T) {
	folder, msg := GID{model.GUID{1}, 0x0102}, &GID{model.GUID{2}, 0x010203040506}
	for _, e := range []EntryID{
		{Provider: model.GUID{9}, Folder: folder},
		{Provider: model.GUID{9}, Folder: folder, Message: msg},
		{Provider: PublicProvider(), Public: true, Folder: folder},
		{Provider: PublicProvider(), Public: true, Folder: folder, Message: msg, Flags: 1},
	} {
		b := e.Append(nil)
		got, err := ParseEntryID(b)
		if d := cmp.Diff(&e, got); err != nil || d != "" {
			t.Error(err, d)
		}
		for i := range b {
			if got, err := ParseEntryID(b[:i]); err == nil && i != folderIDSize {
				t.Errorf("%d octets are %v", i, got)
			}
		}
	}
	id := MakeShortID(1, 0x0102030405ff)
	if r, n := id.Split(); r != 1 || n != 0x0102030405ff || id != 0xff05040302010001 {
		t.Errorf("%x: %d %x", id, r, n)
	}
	if g, err := ParseLongID(msg.AppendLongID(nil)); err != nil || g != *msg {
		t.Error(g, err)
	}
	if _, err := ParseSourceKey(msg.AppendLongID(nil)); !model.IsKind(err, model.KindInvalid) {
		t.Error(err)
	}
}

func TestPropertySets(t *testing.T) {
	seen := map[model.GUID]bool{}
	for s := range propertySets {
		g := s.GUID()
		if g.IsZero() || seen[g] {
			t.Errorf("set %d is %v", s, g)
		}
		seen[g] = true
	}
	if got := PSCommon.GUID().String(); got != "00062008-0000-0000-c000-000000000046" {
		t.Error(got)
	}
}

func FuzzDecodeIDSet(f *testing.F) {
	var s IDSet[model.GUID]
	s.AddRange(model.GUID{1}, 3, 900)
	s.Add(model.GUID{1}, 1000)
	s.Add(model.GUID{1}, 1003)
	f.Add(s.Append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := DecodeIDSet[model.GUID](b)
		if err != nil {
			return
		}
		got, err := DecodeIDSet[model.GUID](s.Append(nil))
		if d := cmp.Diff(ranges(s), ranges(got)); err != nil || d != "" {
			t.Fatal(err, d)
		}
	})
}

func FuzzParsePCL(f *testing.F) {
	f.Add(PCL{CounterXID(model.GUID{1}, 2), CounterXID(model.GUID{3}, 4)}.Append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := ParsePCL(b)
		if err != nil {
			return
		}
		q, err := ParsePCL(p.Append(nil))
		if err != nil || q.Compare(p) != Same || len(p.Merge(q)) != len(p) {
			t.Fatal(p, q, err)
		}
	})
}

func FuzzParseEntryID(f *testing.F) {
	e := EntryID{Folder: GID{model.GUID{1}, 1}, Message: &GID{model.GUID{1}, 2}}
	f.Add(e.Append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := ParseEntryID(b)
		if err != nil {
			return
		}
		if got, err := ParseEntryID(e.Append(nil)); err != nil || !cmp.Equal(e, got) {
			t.Fatal(got, err)
		}
	})
}
