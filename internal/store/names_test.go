package store

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"rialto/internal/mapi"
	"rialto/internal/model"
)

func TestNamedProperties(t *testing.T) {
	f := newFixture(t)
	m := f.mailbox("a")
	set := model.NewGUID()
	names := []mapi.PropertyName{
		{Set: mapi.PSPublicStrings.GUID(), Name: "Keywords"}, {Set: mapi.PSMAPI.GUID(), LID: 0x37}, {Set: set, Name: "Größe"}, {Set: set, LID: 7},
		{Set: set, Name: "größe"}, {Set: mapi.PSInternetHeaders.GUID(), Name: "X-Thing"}, {Set: mapi.PSInternetHeaders.GUID(), Name: "x-thing"}, {Set: set, Name: "Größe"},
	}
	ids, err := m.PropertyIDs(ctx, names)
	if err != nil || !slices.Equal(ids, []uint16{0x8000, 0x37, 0x9000, 0x9001, 0x9002, 0x9003, 0x9003, 0x9000}) {
		t.Fatalf("%x %v", ids, err)
	}
	f.eng.powerCut()
	f.reopen()
	if m, err = f.db.Mailbox(ctx, m.GUID()); err != nil {
		t.Fatal(err)
	}
	if err := m.look(func(v *View) error {
		again, err := v.PropertyIDs(ctx, append(names, mapi.PropertyName{Set: set, Name: "unknown"}))
		if err != nil || !slices.Equal(again, append(ids, 0)) {
			t.Errorf("%x %v", again, err)
		}
		back, err := v.PropertyNames(ctx, append(ids, 0xA000))
		if err != nil || back[2] != names[2] || back[0] != names[0] || back[1] != names[1] || back[5].Name != "x-thing" || back[8] != (mapi.PropertyName{}) {
			t.Errorf("%+v %v", back, err)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if _, err := m.PropertyIDs(ctx, []mapi.PropertyName{{Set: set, Name: strings.Repeat("x", 1000)}}); !model.IsKind(err, model.KindInvalid) {
		t.Errorf("a long name: %v", err)
	}
	verify(t, m)
}

func TestWellKnownNamesStay(t *testing.T) {
	names := mapi.WellKnownNames()
	seen := map[mapi.PropertyName]bool{}
	for _, n := range names {
		if seen[n] {
			t.Errorf("%+v is there twice", n)
		}
		seen[n] = true
	}
	// Stored properties rest on these.
	for id, lid := range map[int]uint32{0x8001: 0x8501, 0x801E: 0x8201, 0x8043: 0x8101} {
		if n := names[id-mapi.FirstNamedID]; n.LID != lid {
			t.Errorf("%x is %x", id, n.LID)
		}
	}
	if len(names) > mapi.FirstFreeNamedID-mapi.FirstNamedID {
		t.Error("too many")
	}
}

func TestFolderProperties(t *testing.T) {
	f := newFixture(t)
	m := f.mailbox("a")
	sub, err := m.CreateFolder(ctx, FolderInbox, "sub", "")
	if err != nil {
		t.Fatal(err)
	}
	if err := m.SetFolderProps(ctx, sub.ID, props(mapi.TagComment, "about", mapi.TagContainerClass, "IPF.Task", mapi.TagDisplayName, "ignored")); err != nil {
		t.Fatal(err)
	}
	if err := m.SetFolderProps(ctx, 0, props(mapi.TagComment, "mailbox")); err != nil {
		t.Fatal(err)
	}
	if err := m.SetFolderProps(ctx, sub.ID, props(mapi.TagAttachMimeTag, strings.Repeat("x", 200<<10))); !model.IsKind(err, model.KindTooLarge) {
		t.Errorf("large properties: %v", err)
	}
	if err := m.look(func(v *View) error {
		p, err := v.FolderProps(ctx, sub.ID)
		own, err2 := v.FolderProps(ctx, 0)
		def, err3 := v.Folder(ctx, sub.ID)
		if err != nil || err2 != nil || err3 != nil || len(p) != 1 || p.Text(mapi.TagComment) != "about" || own.Text(mapi.TagComment) != "mailbox" || def.Class != "IPF.Task" || def.Seq <= sub.Seq || def.Name != "sub" {
			t.Errorf("%v %v %+v %v %v %v", p, own, def, err, err2, err3)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	verify(t, m)
	if err := m.DeleteFolder(ctx, sub.ID); err != nil {
		t.Fatal(err)
	}
	verify(t, m)
}

func TestReceiveFolders(t *testing.T) {
	f := newFixture(t)
	m := f.mailbox("a")
	for class, fo := range map[string]FolderID{"IPM.Note.Foo": FolderDrafts, "IPM.Task": FolderTasks, "": FolderJunk} {
		if err := m.SetReceiveFolder(ctx, class, fo); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		class string
		want  FolderID
		entry string
	}{
		{"IPM.Note.Foo.Bar", FolderDrafts, "ipm.note.foo"}, {"ipm.note.foo", FolderDrafts, "ipm.note.foo"}, {"IPM.Note.Food", FolderInbox, "ipm"}, {"IPM.Task", FolderTasks, "ipm.task"},
		{"REPORT.IPM.Note.NDR", FolderInbox, "report.ipm"}, {"Else", FolderJunk, ""}, {"", FolderJunk, ""}, {"IPC", FolderRoot, "ipc"},
	} {
		if got, entry, err := m.ReceiveFolder(ctx, c.class); err != nil || got != c.want || entry != c.entry {
			t.Errorf("%s: %d by %q, %v; want %d by %q", c.class, got, entry, err, c.want, c.entry)
		}
	}
	for _, class := range []string{"IPM", "a..b", ".a", "ä", strings.Repeat("a", 300)} {
		if err := m.SetReceiveFolder(ctx, class, FolderInbox); err == nil {
			t.Errorf("class %q was taken", class)
		}
	}
	it := f.item("task")
	it.Summary.Props.Set(mapi.TagMessageClass, "IPM.Task.Mine")
	if _, err := f.db.Deliver(ctx, &Delivery{Item: *it, To: []DeliverTo{{Mailbox: m.GUID()}}}); err != nil {
		t.Fatal(err)
	}
	if got := list(t, m, FolderTasks); got != "1:0" {
		t.Errorf("tasks: %s", got)
	}
	if err := m.SetReceiveFolder(ctx, "IPM.Task", 0); err != nil {
		t.Fatal(err)
	}
	if got, _, err := m.ReceiveFolder(ctx, "IPM.Task"); got != FolderInbox || err != nil {
		t.Error(got, err)
	}
}

// TestCopyBetweenMailboxes copies to a mailbox of the same and of another
// database; named properties keep their names.
func TestCopyBetweenMailboxes(t *testing.T) {
	f, g := newFixture(t), newFixture(t)
	src := f.mailbox("src")
	set := model.NewGUID()
	ids, err := src.PropertyIDs(ctx, []mapi.PropertyName{{Set: set, Name: "filler"}, {Set: set, Name: "mine"}})
	if err != nil {
		t.Fatal(err)
	}
	tag := mapi.MakeTag(ids[1], mapi.TypeString)
	s, err := src.Create(ctx, FolderInbox, &NewItem{Props: props(mapi.TagSubject, "s", mapi.TagBody, strings.Repeat("b", 30000), tag, "value"),
		Attachments: []Attachment{{Embedded: nested(2)}}, Recipients: []mapi.Properties{recipient(1, "R", "r@x")}, Flags: Read | Flagged, Keywords: []string{"k"}, Creator: sid(1)})
	if err != nil {
		t.Fatal(err)
	}
	mime := f.append(src, FolderInbox, strings.Repeat("mime", 5000))[0]
	fai, err := src.Create(ctx, FolderInbox, &NewItem{Props: props(mapi.TagSubject, "view"), Associated: true})
	if err != nil {
		t.Fatal(err)
	}
	for i, to := range []*Mailbox{f.mailbox("same"), g.mailbox("other"), src} {
		out, err := src.CopyTo(ctx, []OID{s.OID, mime.OID, fai.OID}, to, FolderDrafts)
		if err != nil || len(out) != 3 {
			t.Fatal(i, err)
		}
		fx := []*fixture{f, g, f}[i]
		l := fx.load(to, out[0].OID)
		got := fmt.Sprint(l.state.Flags, l.state.Keywords, l.summary.Text(mapi.TagSubject), len(l.recips), len(l.attach), l.bag.Streams[0].Size)
		if want := fmt.Sprint(Read|Flagged|HasAttachments, []string{"k"}, "s", 1, 1, 30000); got != want {
			t.Errorf("%d: %s, want %s", i, got, want)
		}
		if err := to.look(func(v *View) error {
			id, err := v.PropertyIDs(ctx, []mapi.PropertyName{{Set: set, Name: "mine"}})
			if err != nil || l.bag.Props.Text(mapi.MakeTag(id[0], mapi.TypeString)) != "value" {
				t.Errorf("%d: named property %x: %v %v", i, id, l.bag.Props, err)
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		if body(t, to, out[1].Row) != strings.Repeat("mime", 5000) || out[2].Place.Space != Associated {
			t.Errorf("%d: %+v", i, out)
		}
		verify(t, to, src)
	}
	if _, err := src.MoveTo(ctx, FolderInbox, []OID{s.OID, fai.OID}, g.mailbox("third"), FolderInbox); err != nil {
		t.Fatal(err)
	}
	if got := list(t, src, FolderInbox); got != fmt.Sprintf("%d:0", mime.UID()) {
		t.Errorf("left behind: %s", got)
	}
	verify(t, src)
}

func TestAssociatedItems(t *testing.T) {
	f := newFixture(t)
	m := f.mailbox("a")
	fai, err := m.Create(ctx, FolderInbox, &NewItem{Props: props(mapi.TagSubject, "view"), Associated: true})
	if err != nil {
		t.Fatal(err)
	}
	f.append(m, FolderInbox, "mail")
	moved, err := m.MoveItems(ctx, FolderInbox, []OID{fai.OID, fai.OID, 99999}, FolderDrafts)
	if err != nil || len(moved) != 1 || moved[0].To.Place.Space != Associated || moved[0].To.OID != fai.OID || moved[0].To.MID == fai.MID {
		t.Fatalf("%+v %v", moved, err)
	}
	if _, err := m.CopyItems(ctx, FolderDrafts, []OID{fai.OID}, FolderInbox); err != nil {
		t.Fatal(err)
	}
	saved, err := m.Save(ctx, fai.OID, &Edit{Set: props(mapi.TagSubject, "view 2")})
	if err != nil || saved.OID != fai.OID {
		t.Fatal("an associated item has no UID to change:", saved, err)
	}
	if res, err := m.SetItemFlags(ctx, FolderDrafts, []OID{fai.OID}, FlagChange{Set: Read}); err != nil || len(res.States) != 1 {
		t.Fatal(err)
	}
	verify(t, m)
	if n, err := m.DeleteItems(ctx, FolderDrafts, []OID{fai.OID}, false); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	if err := m.look(func(v *View) error {
		_, err := v.Find(ctx, fai.OID)
		if !model.IsKind(err, model.KindNotFound) {
			t.Errorf("deleted associated item: %v", err)
		}
		fo, err := v.Folder(ctx, FolderInbox)
		if err != nil || fo.Counts.Total != 1 || fo.Counts.Associated != 1 || fo.Counts.NextUID != 2 {
			t.Errorf("%+v %v", fo, err)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	verify(t, m)
}
