package mapi

import (
	"bytes"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"rialto/internal/model"
)

// object is a Getter over plain properties.
type object struct {
	Properties
	recips []Properties
}

func (o object) Value(t Tag) (any, error) {
	v, _ := o.Get(t)
	return v, nil
}

func (o object) Each(table Tag, fn func(Getter) (bool, error)) error {
	for _, r := range o.recips {
		if more, err := fn(object{Properties: r}); !more || err != nil || table != TagMessageRecipients {
			return err
		}
	}
	return nil
}

// stored is the same object as its row.
type stored struct {
	object
	row []byte
}

func (s stored) Raw(t Tag) (Raw, bool, error) {
	r, err := Lookup(s.row, t)
	return r, true, err
}

const (
	tagWords   = Tag(0x8001101F)
	tagNumbers = Tag(0x80021003)
	tagShort   = Tag(0x80030002)
	tagWide    = Tag(0x80040014)
)

func letter() object {
	var p, q Properties
	p.Set(TagSubject, "Straße Résumé")
	p.Set(TagImportance, int32(1))
	p.Set(TagMessageSize, int32(500))
	p.Set(TagMessageFlags, int32(0x11))
	p.Set(TagHasAttachments, true)
	p.Set(TagMessageDeliveryTime, time.Unix(1000, 0).UTC())
	p.Set(TagConversationIndex, []byte{1, 2, 3})
	p.Set(TagDisplayTo, "one")
	p.Set(TagDisplayCc, "ONE")
	p.Set(tagWords, []string{"Red", "Green"})
	p.Set(tagNumbers, []int32{3, 9})
	p.Set(tagShort, int16(4))
	p.Set(tagWide, int64(8))
	q.Set(TagDisplayName, "Ann")
	q.Set(TagRecipientType, int32(1))
	return object{p, []Properties{q}}
}

func TestRestrictions(t *testing.T) {
	content := func(tag Tag, m Match, f Fuzzy, v any) Restriction { return &Content{tag, m, f, v} }
	prop := func(tag Tag, r Relation, v any) Restriction { return &Comparison{r, tag, v} }
	yes, no := &Exists{TagSubject}, &Exists{TagBody}
	for i, c := range []struct {
		r    Restriction
		want bool
	}{
		{And{yes, yes}, true}, {And{yes, no}, false}, {And{}, true},
		{Or{no, yes}, true}, {Or{no, no}, false}, {Or{}, false},
		{&Not{no}, true}, {&Not{yes}, false},
		{content(TagSubject, FullString, 0, "Straße Résumé"), true},
		{content(TagSubject, FullString, 0, "straße résumé"), false},
		{content(TagSubject, FullString, IgnoreCase, "STRASSE RÉSUMÉ"), true},
		{content(TagSubject, FullString, IgnoreCase, "strasse resume"), false},
		{content(TagSubject, FullString, IgnoreCase|IgnoreNonSpace, "strasse resume"), true},
		{content(TagSubject, FullString, Loose, "STRASSE RESUME"), true},
		{content(TagSubject, FullString, IgnoreNonSpace, "Straße Resume"), true},
		{content(TagSubject, Prefix, 0, "Stra"), true}, {content(TagSubject, Prefix, 0, "Résumé"), false},
		{content(TagSubject, Substring, IgnoreCase, "RE\u0301SU"), true}, {content(TagSubject, Substring, 0, "XX"), false},
		{content(MakeTag(TagSubject.ID(), TypeString8), Prefix, 0, "Stra"), true},
		{content(TagConversationIndex, Prefix, 0, []byte{1, 2}), true},
		{content(TagConversationIndex, Substring, 0, []byte{2, 3}), true},
		{content(TagConversationIndex, FullString, 0, []byte{2, 3}), false},
		{content(tagWords, FullString, IgnoreCase, "green"), true}, {content(tagWords, Prefix, 0, "g"), false},
		{content(TagBody, Substring, 0, ""), false},
		{prop(TagImportance, Less, int32(2)), true}, {prop(TagImportance, Less, int32(1)), false},
		{prop(TagImportance, LessOrEqual, int32(1)), true}, {prop(TagImportance, LessOrEqual, int32(0)), false},
		{prop(TagImportance, Greater, int32(0)), true}, {prop(TagImportance, Greater, int32(1)), false},
		{prop(TagImportance, GreaterOrEqual, int32(1)), true}, {prop(TagImportance, GreaterOrEqual, int32(2)), false},
		{prop(TagImportance, Equal, int32(1)), true}, {prop(TagImportance, Equal, int32(-1)), false},
		{prop(TagImportance, NotEqual, int32(2)), true}, {prop(TagImportance, NotEqual, int32(1)), false},
		{prop(TagBody, NotEqual, "x"), false},
		{prop(TagDisplayTo, Equal, "ONE"), true},
		{prop(TagMessageDeliveryTime, Greater, time.Unix(999, 0)), true},
		{prop(TagHasAttachments, Equal, true), true},
		{prop(tagNumbers, Equal, int32(9)), true}, {prop(tagNumbers, Greater, int32(9)), false},
		{prop(tagNumbers, Equal, []int32{3, 9}), true}, {prop(tagNumbers, Equal, []int32{9, 3}), false},
		{prop(tagWords, Equal, "red"), true},
		{prop(tagShort, Equal, int16(4)), true}, {prop(tagWide, Less, int64(9)), true},
		{&Columns{Equal, TagDisplayTo, TagDisplayCc}, true}, {&Columns{Less, TagImportance, TagMessageSize}, true},
		{&Columns{NotEqual, TagImportance, TagSensitivity}, false},
		{&Bits{false, TagMessageFlags, 0x10}, true}, {&Bits{true, TagMessageFlags, 0x10}, false},
		{&Bits{true, TagMessageFlags, 0x20}, true}, {&Bits{true, TagSensitivity, 1}, false},
		{&Bits{false, tagShort, 4}, true}, {&Bits{false, tagWide, 1}, false},
		{&Size{Equal, TagConversationIndex, 3}, true}, {&Size{Greater, TagSubject, 28}, false}, {&Size{Equal, TagSubject, 28}, true},
		{&Size{Equal, tagNumbers, 8}, true}, {&Size{Less, TagBody, 100}, false}, {&Size{Equal, TagMessageDeliveryTime, 8}, true},
		{&Exists{TagImportance}, true}, {&Exists{TagSensitivity}, false},
		{&Sub{TagMessageRecipients, content(TagDisplayName, FullString, IgnoreCase, "ANN")}, true},
		{&Sub{TagMessageRecipients, And{yes}}, false},
		{&Sub{TagMessageAttachments, no}, false},
		{&Count{3, yes}, true}, {&Comment{nil, nil}, true}, {&Comment{Properties{{TagSubject, "note"}}, no}, false},
	} {
		o := letter()
		row, _ := AppendProperties(nil, o.Properties)
		for _, g := range []Getter{o, stored{o, row}} {
			if got, err := Eval(c.r, g); err != nil || got != c.want {
				t.Errorf("%d: %T %+v of %T is %v, %v", i, c.r, c.r, g, got, err)
			}
		}
		b, err := AppendRestriction(nil, c.r)
		if err != nil {
			t.Fatal(err)
		}
		if r, err := DecodeRestriction(b); err != nil || fmt.Sprintf("%#v", flat(c.r)) != fmt.Sprintf("%#v", flat(r)) {
			t.Errorf("%d: %v came back as %v, %v", i, c.r, r, err)
		}
	}
}

// flat is the stored form, as a value to compare by.
func flat(r Restriction) []byte {
	b, _ := AppendRestriction(nil, r)
	return b
}

func TestRestrictionRefusals(t *testing.T) {
	deep := Restriction(&Exists{TagSubject})
	for range maxDepth {
		deep = &Not{deep}
	}
	wide := make(And, maxNodes)
	for i := range wide {
		wide[i] = &Exists{TagSubject}
	}
	for name, c := range map[string]struct {
		r    Restriction
		want model.Kind
	}{
		"10,001 nodes":       {wide, model.KindTooLarge},
		"a depth of 257":     {deep, model.KindTooLarge},
		"regular expression": {&Comparison{MatchesRegexp, TagSubject, "x"}, model.KindUnsupported},
		"member of a list":   {&Comparison{MemberOf, TagSubject, "x"}, model.KindUnsupported},
		"no such relation":   {&Size{50, TagSubject, 1}, model.KindInvalid},
		"wrong type":         {&Comparison{Equal, TagSubject, int32(1)}, model.KindInvalid},
		"nothing":            {nil, model.KindInvalid},
		"not nothing":        {&Not{}, model.KindInvalid},
		"bits of text":       {&Bits{false, TagSubject, 1}, model.KindInvalid},
		"content of number":  {&Content{TagImportance, 0, 0, "x"}, model.KindInvalid},
		"fuzzy level":        {&Content{TagSubject, 3, 0, "x"}, model.KindInvalid},
		"table":              {&Sub{TagSubject, And{}}, model.KindInvalid},
		"two types":          {&Columns{Equal, TagSubject, TagImportance}, model.KindInvalid},
	} {
		if _, err := Eval(c.r, letter()); !model.IsKind(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := AppendRestriction(nil, c.r); !model.IsKind(err, c.want) {
			t.Errorf("%s is stored: %v", name, err)
		}
	}
	if got, err := Eval(wide[:maxNodes-1], letter()); !got || err != nil {
		t.Error("10,000 nodes:", got, err)
	}
	if n := Limit(&Comment{R: &Count{7, &Count{3, And{}}}}); n != 3 {
		t.Error(n)
	}
}

// values of every type, in ascending order.
func values() map[Type][]any {
	return map[Type][]any{
		TypeInt16: {int16(-5), int16(0), int16(9)}, TypeInt32: {int32(-1 << 31), int32(-1), int32(0), int32(300)},
		TypeInt64: {int64(-1 << 63), int64(5)}, TypeCurrency: {int64(-3), int64(3)},
		TypeFloat32: {float32(-1.5), float32(0), float32(2)}, TypeFloat64: {-1e300, -1.0, 0.0, 1e-9, 5.0}, TypeAppTime: {1.0, 2.0},
		TypeBool: {false, true}, TypeError: {uint32(1), uint32(1 << 31)},
		TypeTime:   {time.Unix(-1e9, 0).UTC(), time.Unix(5, 100).UTC(), time.Unix(5, 200).UTC()},
		TypeGUID:   {model.GUID{1}, model.GUID{2}},
		TypeString: {"", "a\x00", "a\x00b", "A ", "Ab", "aC", "Straße", "Z", "Ωmega"}, TypeString8: {"a", "B"},
		TypeBinary: {[]byte{}, []byte{0}, []byte{0, 0}, []byte{0, 1}, []byte{1}, []byte{0xff}}, TypeServerID: {[]byte{1}, []byte{2}},
		TypeMultiInt16: {[]int16{}, []int16{1}, []int16{1, 2}}, TypeMultiInt32: {[]int32{1, 9}, []int32{2}}, TypeMultiInt64: {[]int64{1}, []int64{2}},
		TypeMultiFloat32: {[]float32{1}, []float32{2}}, TypeMultiFloat64: {[]float64{1}, []float64{2}}, TypeMultiAppTime: {[]float64{1}, []float64{2}},
		TypeMultiCurrency: {[]int64{1}, []int64{2}}, TypeMultiString8: {[]string{"a"}, []string{"b"}},
		TypeMultiString: {[]string{"a"}, []string{"A", "B"}, []string{"b"}}, TypeMultiTime: {[]time.Time{time.Unix(1, 0).UTC()}, []time.Time{time.Unix(2, 0).UTC()}},
		TypeMultiGUID: {[]model.GUID{{1}}, []model.GUID{{2}}}, TypeMultiBinary: {[][]byte{{1}}, [][]byte{{1}, {2}}},
	}
}

func TestOrderOfEveryType(t *testing.T) {
	for typ, vs := range values() {
		vs = append([]any{nil}, vs...)
		tag := MakeTag(0x8001, typ)
		for i, a := range vs {
			for j, b := range vs {
				want := compareInts(i, j)
				if got := Compare(a, b, typ); sign(got) != want {
					t.Errorf("%04x: %v against %v is %d", typ, a, b, got)
				}
			}
			var p Properties
			if a != nil {
				p.Set(tag, a)
			}
			row, ok := AppendProperties(nil, p)
			back, err := DecodeProperties(row)
			if d := cmp.Diff(p, back, cmp.Comparer(func(x, y Properties) bool { return fmt.Sprint(x) == fmt.Sprint(y) })); !ok || err != nil || d != "" {
				t.Errorf("%04x: %v %v %s", typ, ok, err, d)
			}
			raw, err := Lookup(row, tag)
			if err != nil || !bytes.Equal(AppendRawKey(nil, raw), AppendSortKey(nil, a, typ)) {
				t.Errorf("%04x: raw key of %v, %v", typ, a, err)
			}
		}
	}
}

func compareInts(a, b int) int { return sign(a - b) }

func sign(n int) int { return min(max(n, -1), 1) }

func TestSortKeysJoinAndTruncate(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringMatching(`[a-bA-Bß\x00é]{0,6}`)
		type pair struct {
			s string
			n int32
		}
		draw := func() pair { return pair{text.Draw(t, "s"), rapid.Int32Range(-2, 2).Draw(t, "n")} }
		a, b := draw(), draw()
		key := func(p pair) []byte {
			return AppendSortKey(AppendSortKey(nil, p.s, TypeString), p.n, TypeInt32)
		}
		fold := func(s string) string { return string(FoldCase.Append(nil, s)) }
		want := bytes.Compare([]byte(fold(a.s)), []byte(fold(b.s)))
		if want == 0 {
			want = sign(int(a.n - b.n))
		}
		ka, kb := key(a), key(b)
		if got := bytes.Compare(ka, kb); got != want {
			t.Fatalf("%+v and %+v: %d, want %d", a, b, got, want)
		}
		var ta, tb [4]byte
		Truncate(ta[:], ka, 0)
		Truncate(tb[:], kb, 0)
		if got := bytes.Compare(ta[:], tb[:]); got != 0 && got != want {
			t.Fatalf("truncated %+v and %+v: %d", a, b, got)
		}
		Reverse(ka, 0)
		Reverse(kb, 0)
		if got := bytes.Compare(ka, kb); got != -want {
			t.Fatalf("reversed %+v and %+v: %d", a, b, got)
		}
	})
}

func TestSortOrderRows(t *testing.T) {
	o := &SortOrder{Columns: []SortColumn{{TagSubject, false, 0}, {TagMessageDeliveryTime, true, Maximum}}, Categories: 1, Expanded: 1}
	got, err := DecodeSortOrder(AppendSortOrder(nil, o))
	if d := cmp.Diff(o, got); err != nil || d != "" {
		t.Error(err, d)
	}
	for name, c := range map[string]struct {
		o    SortOrder
		kind model.Kind
	}{
		"too many columns": {SortOrder{Columns: make([]SortColumn, maxSortColumns+1)}, model.KindTooLarge},
		"categories":       {SortOrder{Categories: 1}, model.KindInvalid},
		"expanded":         {SortOrder{Columns: []SortColumn{{Tag: TagSubject}}, Expanded: 1}, model.KindInvalid},
		"object":           {SortOrder{Columns: []SortColumn{{Tag: TagAttachDataObject}}}, model.KindUnsupported},
		"instance":         {SortOrder{Columns: []SortColumn{{Tag: TagSubject | Tag(TypeInstance)}}}, model.KindInvalid},
		"extreme":          {SortOrder{Columns: []SortColumn{{TagSubject, false, Maximum}}}, model.KindInvalid},
	} {
		if err := c.o.Check(); !model.IsKind(err, c.kind) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestLookupNoticesDamage(t *testing.T) {
	row, _ := AppendProperties(nil, letter().Properties)
	last := letter().Properties[len(letter().Properties)-1].Tag
	for i := range row {
		if raw, err := Lookup(row[:i], last); err == nil && raw.Found() && i < len(row)-1 {
			t.Fatalf("found in %d octets", i)
		}
	}
	n := testing.AllocsPerRun(100, func() {
		if r, err := Lookup(row, TagSubject); err != nil || len(r.Text()) == 0 {
			t.Fatal(err)
		}
	})
	if n != 0 {
		t.Errorf("Lookup makes %v objects", n)
	}
}

func FuzzDecodeRestriction(f *testing.F) {
	for _, r := range []Restriction{And{&Exists{TagSubject}}, &Comment{Properties{{TagSubject, "x"}}, &Count{1, Or{}}},
		&Sub{TagMessageRecipients, &Content{TagSubject, Prefix, Loose, "x"}}, &Comparison{Equal, tagWords, []string{"a"}}} {
		f.Add(flat(r))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := DecodeRestriction(b)
		if err != nil {
			return
		}
		c := flat(r)
		q, err := DecodeRestriction(c)
		if err != nil || !bytes.Equal(c, flat(q)) {
			t.Fatal(err)
		}
		if _, err := Eval(r, letter()); err != nil {
			t.Fatal(err)
		}
		var tags []Tag
		Tags(r, func(t Tag) { tags = append(tags, t) })
		slices.Sort(tags)
	})
}

func FuzzLookup(f *testing.F) {
	row, _ := AppendProperties(nil, letter().Properties)
	f.Add(row, uint32(TagSubject))
	f.Add(row, uint32(tagWords))
	f.Fuzz(func(t *testing.T, b []byte, tag uint32) {
		p, err := DecodeProperties(b)
		raw, rawErr := Lookup(b, Tag(tag))
		if err != nil || rawErr != nil {
			return
		}
		for _, q := range p {
			if q.Tag == Tag(tag) {
				if !raw.Found() || fmt.Sprint(raw.Value()) != fmt.Sprint(q.Value) {
					t.Fatalf("%v and %v", raw.Value(), q.Value)
				}
				AppendRawKey(nil, raw)
				break
			}
		}
	})
}
