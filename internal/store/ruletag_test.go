package store

import (
	"strings"
	"testing"

	"rialto/internal/mapi"
	"rialto/internal/store/rules"
)

// TestRuleTagsSummary: what a rule sets stands where tables look for it, whether
// the message had the property or not.
func TestRuleTagsSummary(t *testing.T) {
	f := newFixture(t)
	m := f.mailbox("alice")
	own := mapi.MakeTag(0x6001, mapi.TypeInt32)
	tag := func(x mapi.Tag, v any) rules.Action { return rules.Tag{Property: mapi.Property{Tag: x, Value: v}} }
	f.setRules(m, rules.Rule{Condition: about("tag"), Actions: []rules.Action{tag(mapi.TagImportance, int32(2)), tag(mapi.TagNormalizedSubject, "other"), tag(own, int32(5)),
		tag(mapi.TagSubject, strings.Repeat("s", 5000))}})
	got := f.arrive(m, "tag it", Origin{})
	v, err := m.View(ctx)
	f.ok(err)
	defer v.Close()
	items, err := v.ItemsAt(ctx, []Place{{Folder: FolderInbox, N: uint64(got.UID)}}, WantState|WantSummary|WantBag)
	f.ok(err)
	for x, want := range map[mapi.Tag]any{mapi.TagImportance: int32(2), mapi.TagNormalizedSubject: "other", own: int32(5)} {
		in, other := items[0].Bag, items[0].Summary
		if InSummary(x) {
			in, other = other, in
		}
		if raw, err := mapi.Lookup(in, x); err != nil || raw.Value() != want {
			t.Errorf("%v is %v, want %v: %v", x, raw.Value(), want, err)
		}
		if raw, err := mapi.Lookup(other, x); err != nil || raw.Found() {
			t.Errorf("%v is in the other row too: %v", x, err)
		}
	}
	// Of a long text the summary has the beginning.
	for row, want := range map[*[]byte]int{&items[0].Summary: maxSummaryValue, &items[0].Bag: 5000} {
		if raw, err := mapi.Lookup(*row, mapi.TagSubject); err != nil || len(raw.Text()) != want {
			t.Errorf("%d octets of the subject, want %d: %v", len(raw.Text()), want, err)
		}
	}
	f.clean(m)
}
