package store

import (
	"strings"
	"testing"

	"rialto/internal/mapi"
	"rialto/internal/model"
)

// TestOddShownValue writes a property of an odd type under an id that MIME
// shows, twice.
func TestOddShownValue(t *testing.T) {
	f := newFixture(t)
	m := f.mailbox("a")
	for _, v := range []any{[]model.GUID{{1}}, []int16{1}, []float32{1}, []float64{1}} {
		odd := props(mapi.MakeTag(mapi.TagSubject.ID(), mapi.TypeMultiGUID), v)
		switch v.(type) {
		case []int16:
			odd[0].Tag = mapi.MakeTag(mapi.TagSubject.ID(), mapi.TypeMultiInt16)
		case []float32:
			odd[0].Tag = mapi.MakeTag(mapi.TagSubject.ID(), mapi.TypeMultiFloat32)
		case []float64:
			odd[0].Tag = mapi.MakeTag(mapi.TagSubject.ID(), mapi.TypeMultiFloat64)
		}
		s, err := m.Create(ctx, FolderDrafts, &NewItem{Props: odd})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := m.Save(ctx, s.OID, &Edit{Set: odd}); err != nil {
			t.Errorf("%T: %v", v, err)
		}
	}
}

// TestDeleteOfShown deletes what MIME shows, whatever form and type it has.
func TestDeleteOfShown(t *testing.T) {
	f := newFixture(t)
	m := f.mailbox("a")
	long := strings.Repeat("long", 5000)
	for name, tag := range map[string]mapi.Tag{"a stream": mapi.TagBody, "another type": mapi.MakeTag(mapi.TagSubject.ID(), mapi.TypeString8)} {
		s, err := m.Create(ctx, FolderDrafts, &NewItem{Props: props(mapi.TagSubject, "s", mapi.TagBody, long)})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := m.Freeze(ctx, s.OID, s.CN, RenderingMIME, f.item("rendering").Content, nil, nil); err != nil {
			t.Fatal(err)
		}
		s2, err := m.Save(ctx, s.OID, &Edit{Delete: []mapi.Tag{tag, mapi.Tag(0x12340003)}})
		if err != nil || s2.UID() == s.UID() || s2.OID == s.OID {
			t.Errorf("%s: %+v, %v", name, s2, err)
		}
	}
	mime := f.append(m, FolderInbox, "octets")[0]
	derived := &NewItem{Props: props(mapi.TagBody, long)}
	s, err := m.Save(ctx, mime.OID, &Edit{Delete: []mapi.Tag{mapi.TagBody}, Derived: derived})
	if err != nil || s.OID == mime.OID || f.load(m, s.OID).stream.Truth != TruthMAPI {
		t.Errorf("the body of a stream: %+v, %v", s, err)
	}
	verify(t, m)
}

// TestRenderingsGoWithTheirItem freezes renderings of an item whose octets are
// MIME, and of one that an edit changes without MIME showing it.
func TestRenderingsGoWithTheirItem(t *testing.T) {
	f := newFixture(t)
	m := f.mailbox("a")
	s := f.append(m, FolderCalendar, "a request")[0]
	if _, err := m.Freeze(ctx, s.OID, s.CN, RenderingICal, f.item("VCALENDAR").Content, nil, nil); err != nil {
		t.Fatal(err)
	}
	c, err := m.Create(ctx, FolderContacts, &NewItem{Props: props(mapi.TagSubject, "c")})
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range []RenderingKind{RenderingMIME, RenderingVCard} {
		if _, err := m.Freeze(ctx, c.OID, c.CN, k, f.item("VCARD").Content, nil, nil); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := m.Save(ctx, c.OID, &Edit{Set: props(tagFlagText, "new number")}); err != nil {
		t.Fatal(err)
	}
	if err := m.look(func(v *View) error {
		for k, want := range map[RenderingKind]bool{RenderingMIME: true, RenderingVCard: false} {
			if r, err := v.Rendering(ctx, c.Row, k); err != nil || (r != nil) != want {
				t.Errorf("rendering %d after an edit: %v, %v", k, r, err)
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if n, err := m.DeleteItems(ctx, FolderCalendar, []OID{s.OID}, true); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	verify(t, m)
}

// TestSwitchOfTruth switches the truth of an item whose overlay has what the
// stream says too, and replaces what the stream has: each property is there
// once, and no content is left that nothing refers to.
func TestSwitchOfTruth(t *testing.T) {
	f := newFixture(t)
	m := f.mailbox("a")
	s := f.append(m, FolderInbox, "octets")[0]
	if _, err := m.Save(ctx, s.OID, &Edit{Set: props(tagFlagText, strings.Repeat("o", 9000), tagCategories, []string{"mine"})}); err != nil {
		t.Fatal(err)
	}
	derived := &NewItem{Props: props(tagFlagText, "derived", tagCategories, []string{"derived"}, mapi.TagSubject, "s"),
		Attachments: []Attachment{{Content: f.item("attached").Content}}}
	s, err := m.Save(ctx, s.OID, &Edit{Set: props(mapi.TagSubject, "t"), Derived: derived, ReplaceAttachments: true})
	if err != nil {
		t.Fatal(err)
	}
	l := f.load(m, s.OID)
	if _, ok := l.bag.Props.Get(tagFlagText); ok || len(l.bag.Streams) != 1 || l.bag.Streams[0].Size != 9000 || len(l.attach) != 0 {
		t.Errorf("%+v", l.bag)
	}
	if v, _ := l.bag.Props.Get(tagCategories); v.([]string)[0] != "mine" {
		t.Errorf("categories: %v", v)
	}
	verify(t, m)
	if n := f.count([]byte{0x03}, []byte{0x04}); n != 2 {
		t.Errorf("%d contents, want the evidence and the property", n)
	}
}
