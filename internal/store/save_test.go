package store

import (
	"errors"
	"io"
	"strings"
	"testing"

	"rialto/internal/kv"
	"rialto/internal/mapi"
	"rialto/internal/model"
)

const (
	tagCategories = mapi.Tag(0x8001101F)
	tagFlagText   = mapi.Tag(0x8002001F)
)

func props(pairs ...any) (p mapi.Properties) {
	for i := 0; i < len(pairs); i += 2 {
		p.Set(pairs[i].(mapi.Tag), pairs[i+1])
	}
	return p
}

func recipient(kind int32, name, addr string) mapi.Properties {
	return props(mapi.TagRecipientType, kind, mapi.TagDisplayName, name, mapi.TagSMTPAddress, addr)
}

// loaded is an item as a client sees it.
type loaded struct {
	state   State
	summary mapi.Properties
	bag     Bag
	recips  []mapi.Properties
	attach  []AttachmentRow
	stream  *Stream
}

func (f *fixture) load(m *Mailbox, o OID) (l loaded) {
	f.t.Helper()
	v, err := m.View(ctx)
	if err != nil {
		f.t.Fatal(err)
	}
	defer v.Close()
	it, err := v.Item(ctx, o)
	if err != nil {
		f.t.Fatal(err)
	}
	l.state, l.summary, l.bag, l.recips, l.attach, l.stream = it.State, it.Summary.Props, it.Bag, it.Recipients, it.Attachments, &it.Stream
	return l
}

func (f *fixture) text(m *Mailbox, r StreamRef) string {
	f.t.Helper()
	v, err := m.View(ctx)
	if err != nil {
		f.t.Fatal(err)
	}
	defer v.Close()
	rd, err := v.OpenContent(ctx, r.Content)
	if err != nil {
		f.t.Fatal(err)
	}
	b, err := io.ReadAll(io.NewSectionReader(rd, 0, rd.Size()))
	if err != nil || int64(len(b)) != r.Size {
		f.t.Fatalf("%d of %d octets, %v", len(b), r.Size, err)
	}
	return string(b)
}

// nested returns an item with embedded messages n deep.
func nested(n int) *NewItem {
	it := &NewItem{Props: props(mapi.TagSubject, "depth", mapi.TagBody, strings.Repeat("b", 20000)), Recipients: []mapi.Properties{recipient(1, "r", "r@x")}}
	if n > 0 {
		it.Attachments = []Attachment{{Props: props(mapi.TagAttachMethod, int32(5)), Embedded: nested(n - 1)}}
	}
	return it
}

func TestCreateFromProperties(t *testing.T) {
	f := newFixture(t)
	m := f.mailbox("a")
	big := strings.Repeat("ä", 50000)
	s, err := m.Create(ctx, FolderDrafts, &NewItem{
		Props:       props(mapi.TagSubject, "RE: plan", mapi.TagBody, big, mapi.TagMessageClass, "IPM.Note", tagCategories, []string{"red"}),
		Recipients:  []mapi.Properties{recipient(1, "Alice", "a@x"), recipient(2, "Bob", "b@x"), recipient(1, "Carol", "c@x")},
		Attachments: []Attachment{{Props: props(mapi.TagAttachLongFilename, "f.bin", mapi.TagAttachDataBinary, []byte(strings.Repeat("z", 30000)))}, {Embedded: nested(3)}},
	})
	if err != nil {
		t.Fatal(err)
	}
	l := f.load(m, s.OID)
	want := props(mapi.TagSubject, "RE: plan", mapi.TagNormalizedSubject, "plan", mapi.TagSubjectPrefix, "RE: ",
		mapi.TagDisplayTo, "Alice; Carol", mapi.TagDisplayCc, "Bob", mapi.TagHasAttachments, true, mapi.TagMessageClass, "IPM.Note")
	for _, q := range want {
		if v, _ := l.summary.Get(q.Tag); v != q.Value {
			t.Errorf("%x is %v, want %v", q.Tag, v, q.Value)
		}
	}
	if len(l.bag.Streams) != 1 || l.bag.Streams[0].Tag != mapi.TagBody || f.text(m, l.bag.Streams[0]) != big {
		t.Errorf("body: %+v", l.bag.Streams)
	}
	if len(l.attach) != 2 || l.attach[0].Size != 30000 || l.attach[1].Embedded == 0 || len(l.recips) != 3 {
		t.Errorf("attachments %+v, %d recipients", l.attach, len(l.recips))
	}
	if l.state.Size < 30000+100000+4*20000 || l.state.Flags&HasAttachments == 0 {
		t.Errorf("size %d flags %x", l.state.Size, l.state.Flags)
	}
	verify(t, m)
	// A copy is whole; the original can go, with all it refers to.
	if _, err := m.Copy(ctx, FolderDrafts, UIDs(s.UID()), FolderInbox); err != nil {
		t.Fatal(err)
	}
	verify(t, m)
	for _, fo := range []FolderID{FolderDrafts, FolderInbox} {
		if _, err := m.Delete(ctx, fo, UIDSet{{From: 1, To: ^UID(0)}}); err != nil {
			t.Fatal(err)
		}
		if n, err := m.Purge(ctx, fo, f.now.Add(1)); n != 1 || err != nil {
			t.Fatal(n, err)
		}
		verify(t, m)
	}
	f.now = f.now.Add(f.opt.Grace * 10)
	if _, err := f.db.Collect(ctx); err != nil {
		t.Fatal(err)
	}
	if n := f.count([]byte{0x03}, []byte{0x04}); n != 0 {
		t.Errorf("%d contents are left", n)
	}
	if _, err := m.Create(ctx, FolderDrafts, nested(100)); !model.IsKind(err, model.KindTooLarge) {
		t.Errorf("messages 100 deep: %v", err)
	}
}

func TestSaveProperties(t *testing.T) {
	f := newFixture(t)
	m := f.mailbox("a")
	s, err := m.Create(ctx, FolderDrafts, &NewItem{Props: props(mapi.TagSubject, "one", mapi.TagBody, "text"), Attachments: []Attachment{{Embedded: nested(1)}, {Props: props(mapi.TagAttachLongFilename, "x")}}})
	if err != nil {
		t.Fatal(err)
	}
	// What MIME does not show leaves UID and OID alone.
	s2, err := m.Save(ctx, s.OID, &Edit{Base: s.CN, Set: props(tagCategories, []string{"red"}, mapi.TagDisplayTo, "nonsense")})
	if err != nil || s2.UID() != s.UID() || s2.OID != s.OID || s2.CN == s.CN || s2.ReadCN != s.ReadCN || s2.MID != s.MID {
		t.Fatalf("%+v %v", s2, err)
	}
	if l := f.load(m, s.OID); l.summary.Text(mapi.TagDisplayTo) != "" || len(l.attach) != 2 || l.bag.Props.Text(mapi.TagBody) != "text" {
		t.Errorf("%+v", l)
	}
	if _, err := m.Save(ctx, s.OID, &Edit{Base: s.CN, Set: props(mapi.TagSubject, "late")}); !model.IsKind(err, model.KindConflict) {
		t.Errorf("saving over another's change: %v", err)
	}
	// A read flag is not a conflict.
	if _, err := m.SetFlags(ctx, FolderDrafts, UIDs(s.UID()), FlagChange{Set: Read}); err != nil {
		t.Fatal(err)
	}
	s3, err := m.Save(ctx, s.OID, &Edit{Base: s2.CN, Set: props(mapi.TagSubject, "FW: two", mapi.TagBody, strings.Repeat("long", 5000)), Delete: []mapi.Tag{tagCategories},
		Attach: map[uint32]*Attachment{0: nil, 7: {Props: props(mapi.TagAttachLongFilename, "new")}}, ReplaceRecipients: true, Recipients: []mapi.Properties{recipient(1, "R", "r@x")}})
	if err != nil || s3.UID() == s.UID() || s3.OID == s.OID || s3.MID != s.MID || s3.Row != s.Row {
		t.Fatalf("%+v %v", s3, err)
	}
	l := f.load(m, s3.OID)
	if l.summary.Text(mapi.TagNormalizedSubject) != "two" || len(l.bag.Streams) != 1 || len(l.recips) != 1 || l.summary.Text(mapi.TagDisplayTo) != "R" {
		t.Errorf("%+v", l)
	}
	if len(l.attach) != 2 || l.attach[0].Number != 1 || l.attach[1].Number != 7 {
		t.Errorf("attachments %+v", l.attach)
	}
	if _, ok := l.bag.Props.Get(tagCategories); ok {
		t.Error("a deleted property is there")
	}
	verify(t, m)
	f.eng.powerCut()
	f.reopen()
	m, err = f.db.Mailbox(ctx, m.GUID())
	if err != nil {
		t.Fatal(err)
	}
	verify(t, m)
}

func TestSaveKeepsMIME(t *testing.T) {
	f := newFixture(t)
	m := f.mailbox("a")
	mime := "Subject: hello\r\n\r\n" + strings.Repeat("body ", 1000)
	s := f.append(m, FolderInbox, mime)[0]
	derived := &NewItem{Props: props(mapi.TagSubject, f.load(m, s.OID).summary.Text(mapi.TagSubject), mapi.TagBody, "line\nline\n"), Recipients: []mapi.Properties{recipient(1, "R", "r@x")}}
	whole := props(mapi.TagSubject, derived.Props.Text(mapi.TagSubject), mapi.TagBody, "line\r\nline\r\n", tagCategories, []string{"red"})
	if _, err := m.Save(ctx, s.OID, &Edit{Set: whole}); !errors.Is(err, ErrNeedsDerived) {
		t.Fatal(err)
	}
	// Cached Outlook uploads all of it for a category.
	s2, err := m.Save(ctx, s.OID, &Edit{Set: whole, Derived: derived, ReplaceRecipients: true, Recipients: []mapi.Properties{recipient(1, "R", "R@X")}})
	if err != nil || s2.UID() != s.UID() || s2.OID != s.OID || s2.Size != s.Size {
		t.Fatalf("%+v %v", s2, err)
	}
	l := f.load(m, s.OID)
	if l.stream.Truth != TruthMIME || l.stream.Size != int64(len(mime)) || len(l.bag.Props) != 1 {
		t.Fatalf("%+v %+v", l.stream, l.bag)
	}
	whole.Set(mapi.TagBody, "another text")
	s3, err := m.Save(ctx, s.OID, &Edit{Set: whole, Derived: derived})
	if err != nil || s3.UID() == s.UID() {
		t.Fatalf("%+v %v", s3, err)
	}
	l = f.load(m, s3.OID)
	if l.stream.Truth != TruthMAPI || l.stream.Evidence == 0 || l.stream.Content != 0 || l.bag.Props.Text(mapi.TagBody) != "another text" || len(l.recips) != 1 {
		t.Fatalf("%+v %+v", l.stream, l)
	}
	if got := f.text(m, StreamRef{Content: l.stream.Evidence, Size: int64(len(mime))}); got != mime {
		t.Error("the evidence is not the original")
	}
	verify(t, m)
}

func TestFrozenRendering(t *testing.T) {
	f := newFixture(t)
	m := f.mailbox("a")
	s, err := m.Create(ctx, FolderDrafts, &NewItem{Props: props(mapi.TagSubject, "one")})
	if err != nil {
		t.Fatal(err)
	}
	first, second := f.item("first rendering"), f.item("second rendering")
	r, err := m.Freeze(ctx, s.OID, s.CN, RenderingMIME, first.Content, []byte("structure"), []byte("envelope"))
	if err != nil || r.Stream.Size != int64(len("first rendering")) {
		t.Fatal(r, err)
	}
	if r, err = m.Freeze(ctx, s.OID, s.CN, RenderingMIME, second.Content, nil, nil); err != nil || r.Stream.Content != first.Content.ID {
		t.Fatal("the first rendering does not stand", r, err)
	}
	verify(t, m)
	rendering := func(row RowID) *Rendering {
		v, err := m.View(ctx)
		if err != nil {
			t.Fatal(err)
		}
		defer v.Close()
		r, err := v.Rendering(ctx, row, RenderingMIME)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	if r := rendering(s.Row); r == nil || string(r.Envelope) != "envelope" || string(r.Stream.Structure) != "structure" {
		t.Fatalf("%+v", r)
	}
	s2, err := m.Save(ctx, s.OID, &Edit{Set: props(tagCategories, []string{"x"})})
	if err != nil || rendering(s.Row) == nil {
		t.Fatal("a category drops the rendering", err)
	}
	if _, err := m.Freeze(ctx, s.OID, s.CN, RenderingVCard, second.Content, nil, nil); !model.IsKind(err, model.KindConflict) {
		t.Errorf("freezing a rendering of an older state: %v", err)
	}
	if _, err := m.Save(ctx, s2.OID, &Edit{Set: props(mapi.TagSubject, "two")}); err != nil || rendering(s.Row) != nil {
		t.Error("a new subject keeps the rendering", err)
	}
	verify(t, m)
}

// count counts the pairs of a key range.
func (f *fixture) count(lower, upper []byte) (n int) {
	f.t.Helper()
	it := f.db.kv.Scan(ctx, kv.Range{Lower: lower, Upper: upper})
	for it.Next() {
		n++
	}
	if err := it.Close(); err != nil {
		f.t.Fatal(err)
	}
	return n
}
