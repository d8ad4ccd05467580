package store

import (
	"testing"

	"rialto/internal/mapi"
	"rialto/internal/model"
)

func sid(n byte) []byte { return []byte{1, 5, 0, 0, 0, 0, 0, 5, n} }

func TestRights(t *testing.T) {
	f := newFixture(t)
	m := f.mailbox("a")
	err := m.SetPermissions(ctx, FolderInbox, []Permission{
		{Rights: RoleContributor}, {Member: MemberAnonymous, Rights: RightCreate},
		{SID: sid(1), Name: "editor", Rights: RoleEditor}, {SID: sid(2), Name: "group of authors", Rights: RoleAuthor},
		{SID: sid(3), Name: "readers", Rights: RoleReviewer}, {SID: sid(4), Name: "nobody", Rights: RoleNone}, {SID: sid(5), Rights: RoleOwner},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := m.SetPermissions(ctx, 0, []Permission{{SID: sid(9), Rights: MailboxFullAccess}}); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		who  Caller
		want Rights
	}{
		{"its own entry", Caller{SID: sid(1)}, RoleEditor},
		{"groups add up", Caller{SID: sid(7), Groups: [][]byte{sid(2), sid(3)}}, RoleAuthor | RoleReviewer},
		{"its own entry wins over its groups'", Caller{SID: sid(4), Groups: [][]byte{sid(2)}}, RoleNone},
		{"no entry", Caller{SID: sid(8)}, RoleContributor},
		{"anonymous", Caller{}, RightCreate},
		{"owner of the folder", Caller{SID: sid(5)}, RoleOwner},
		{"full access to the mailbox", Caller{SID: sid(9)}, RoleOwner},
		{"the mailbox's owner", Caller{SID: sid(10), Full: true}, RoleOwner},
	} {
		if got := m.As(c.who).Rights(FolderInbox); got != c.want {
			t.Errorf("%s: %x, want %x", c.name, got, c.want)
		}
	}
	ps, err := m.Permissions(FolderInbox)
	if err != nil || len(ps) != 7 || ps[0].Member != MemberDefault || ps[1].Member != MemberAnonymous || ps[2].Member != 1 || ps[6].Member != 5 {
		t.Fatalf("%+v %v", ps, err)
	}
	// New folders inherit; entries of deleted accounts go.
	sub, err := m.As(Caller{SID: sid(5)}).CreateFolder(ctx, FolderInbox, "sub", "")
	if err != nil {
		t.Fatal(err)
	}
	if r := m.As(Caller{SID: sid(1)}).Rights(sub.ID); r != RoleEditor {
		t.Errorf("inherited %x", r)
	}
	n, err := m.DropAccounts(ctx, func(s []byte) bool { return s[8] == 1 })
	if err != nil || n != 2 || m.As(Caller{SID: sid(1)}).Rights(sub.ID) != RoleContributor {
		t.Errorf("dropped %d, %v", n, err)
	}
	verify(t, m)
	f.eng.powerCut()
	f.reopen()
	if m, err = f.db.Mailbox(ctx, m.GUID()); err != nil || m.As(Caller{SID: sid(3)}).Rights(FolderInbox) != RoleReviewer {
		t.Error("permissions did not survive", err)
	}
}

// TestEveryOperationIsChecked tries each operation as somebody who may only
// see, as an author, and as somebody without rights.
func TestEveryOperationIsChecked(t *testing.T) {
	f := newFixture(t)
	m := f.mailbox("a")
	other := f.mailbox("b")
	entries := []Permission{{SID: sid(1), Rights: RightVisible}, {SID: sid(2), Rights: RoleAuthor}}
	if err := m.SetPermissions(ctx, FolderInbox, entries); err != nil {
		t.Fatal(err)
	}
	s := f.append(m, FolderInbox, "one", "two")
	all := UIDSet{{From: 1, To: 100}}
	ops := map[string]func(m *Mailbox) error{
		"append": func(m *Mailbox) error { _, err := m.Append(ctx, FolderInbox, f.item("x")); return err },
		"create": func(m *Mailbox) error { _, err := m.Create(ctx, FolderInbox, &NewItem{}); return err },
		"flags": func(m *Mailbox) error {
			_, err := m.SetFlags(ctx, FolderInbox, all, FlagChange{Set: Flagged})
			return err
		},
		"flags2": func(m *Mailbox) error {
			_, err := m.SetItemFlags(ctx, FolderInbox, []OID{s[0].OID}, FlagChange{Set: Flagged})
			return err
		},
		"copy": func(m *Mailbox) error { _, err := m.Copy(ctx, FolderInbox, all, FolderDrafts); return err },
		"move": func(m *Mailbox) error { _, err := m.Move(ctx, FolderInbox, all, FolderDrafts); return err },
		"move2": func(m *Mailbox) error {
			_, err := m.MoveItems(ctx, FolderInbox, []OID{s[0].OID}, FolderInbox)
			return err
		},
		"delete":  func(m *Mailbox) error { _, err := m.Delete(ctx, FolderInbox, all); return err },
		"delete2": func(m *Mailbox) error { _, err := m.DeleteItems(ctx, FolderInbox, []OID{s[0].OID}, true); return err },
		"recover": func(m *Mailbox) error { _, err := m.Recover(ctx, FolderInbox, nil); return err },
		"purge":   func(m *Mailbox) error { _, err := m.Purge(ctx, FolderInbox, f.now); return err },
		"save": func(m *Mailbox) error {
			_, err := m.Save(ctx, s[0].OID, &Edit{Set: props(tagCategories, []string{"x"})})
			return err
		},
		"copyto": func(m *Mailbox) error { _, err := m.CopyTo(ctx, []OID{s[0].OID}, other, FolderInbox); return err },
		"moveto": func(m *Mailbox) error {
			_, err := m.MoveTo(ctx, FolderInbox, []OID{s[0].OID}, other, FolderInbox)
			return err
		},
		"folder":  func(m *Mailbox) error { _, err := m.CreateFolder(ctx, FolderInbox, "x", ""); return err },
		"rights":  func(m *Mailbox) error { return m.SetPermissions(ctx, FolderInbox, nil) },
		"rights2": func(m *Mailbox) error { _, err := m.Permissions(0); return err },
		"props":   func(m *Mailbox) error { return m.SetFolderProps(ctx, FolderInbox, props(mapi.TagComment, "x")) },
		"store":   func(m *Mailbox) error { return m.SetFolderProps(ctx, 0, props(mapi.TagComment, "x")) },
		"receive": func(m *Mailbox) error { return m.SetReceiveFolder(ctx, "IPM.X", FolderInbox) },
		"log": func(m *Mailbox) error {
			return m.look(func(v *View) error { _, err := v.MailboxChanges(ctx, 0, nil); return err })
		},
		"states": func(m *Mailbox) error {
			return m.look(func(v *View) error { return v.States(ctx, FolderInbox, 1, 9, nil) })
		},
		"briefs": func(m *Mailbox) error {
			return m.look(func(v *View) error { return v.Briefs(ctx, FolderInbox, 1, 9, nil) })
		},
		"rows": func(m *Mailbox) error {
			return m.look(func(v *View) error { return v.Summaries(ctx, FolderInbox, 1, 9, nil) })
		},
		"item": func(m *Mailbox) error {
			return m.look(func(v *View) error { _, err := v.Item(ctx, s[0].OID); return err })
		},
		"changes": func(m *Mailbox) error {
			return m.look(func(v *View) error { _, err := v.Changes(ctx, FolderInbox, 0, nil); return err })
		},
		"deleted": func(m *Mailbox) error {
			return m.look(func(v *View) error { return v.Recoverable(ctx, FolderInbox, nil) })
		},
	}
	for name, op := range ops {
		for _, who := range []Caller{{}, {SID: sid(1)}, {SID: sid(3)}} {
			if err := op(m.As(who)); !model.IsKind(err, model.KindPermission) {
				t.Errorf("%s by %v: %v", name, who.SID, err)
			}
		}
	}
	author := m.As(Caller{SID: sid(2)})
	for _, name := range []string{"flags", "flags2", "move", "delete", "delete2", "save", "folder", "rights", "props", "deleted"} {
		if err := ops[name](author); !model.IsKind(err, model.KindPermission) {
			t.Errorf("%s of another's item by an author: %v", name, err)
		}
	}
	mine, err := author.Create(ctx, FolderInbox, &NewItem{Creator: sid(2), Props: props(mapi.TagSubject, "mine")})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := author.Save(ctx, mine.OID, &Edit{Set: props(tagCategories, []string{"x"})}); err != nil {
		t.Error("an author's own item:", err)
	}
	if _, err := author.SetFlags(ctx, FolderInbox, all, FlagChange{Set: Read}); err != nil {
		t.Error("read flag by a reader:", err)
	}
	if _, err := author.Delete(ctx, FolderInbox, UIDs(mine.UID())); err != nil {
		t.Error("an author's own item:", err)
	}
	fs := map[FolderID]*Folder{}
	if err := m.As(Caller{SID: sid(1)}).look(func(v *View) (err error) { fs, err = v.Folders(ctx); return err }); err != nil || len(fs) != 1 || fs[FolderInbox] == nil {
		t.Errorf("folders seen: %v, %v", fs, err)
	}
	if got := list(t, m, FolderInbox); got != "1:1 2:1" {
		t.Errorf("the folder has %s", got)
	}
}

func (m *Mailbox) look(fn func(*View) error) error {
	v, err := m.View(ctx)
	if err != nil {
		return err
	}
	defer v.Close()
	return fn(v)
}

// TestRightsOfReaders reads by every way that is not by name, where the caller
// may not, and recoverable items where reading alone does not do.
func TestRightsOfReaders(t *testing.T) {
	f := newFixture(t)
	m := f.mailbox("a")
	s := f.append(m, FolderInbox, "one", "two")
	if _, err := m.Delete(ctx, FolderInbox, UIDs(s[1].UID())); err != nil {
		t.Fatal(err)
	}
	if err := m.SetPermissions(ctx, FolderInbox, []Permission{{SID: sid(1), Rights: RoleReviewer}}); err != nil {
		t.Fatal(err)
	}
	here, gone := s[0].Place, Place{Folder: FolderInbox, Space: Deleted, N: uint64(s[1].Row)}
	item := func(*ItemRow) bool { return true }
	ways := map[string]func(*View, Place, OID) error{
		"items": func(v *View, p Place, _ OID) error {
			return v.Items(ctx, Place{Folder: p.Folder, Space: p.Space}, WantSummary, item)
		},
		"bags": func(v *View, p Place, _ OID) error {
			return v.Items(ctx, Place{Folder: p.Folder, Space: p.Space}, WantBag, item)
		},
		"at":     func(v *View, p Place, _ OID) error { _, err := v.ItemsAt(ctx, []Place{p}, WantSummary); return err },
		"states": func(v *View, p Place, _ OID) error { _, err := v.StatesAt(ctx, []Place{p}); return err },
		"item":   func(v *View, p Place, _ OID) error { _, err := v.ItemAt(ctx, p); return err },
		"find":   func(v *View, _ Place, o OID) error { _, err := v.Find(ctx, o); return err },
		"many": func(v *View, _ Place, o OID) error {
			ps, there, err := v.FindMany(ctx, []OID{o})
			if err == nil && !there[0] && ps[0] == (Place{}) {
				err = model.E("", model.KindPermission, "", nil)
			}
			return err
		},
	}
	live := map[string]func(*View) error{
		"summaries": func(v *View) error {
			return v.BriefItems(ctx, FolderInbox, 0, ^UID(0), []mapi.Tag{mapi.TagSubject}, item)
		},
		"time": func(v *View) error {
			return v.ByTime(ctx, FolderInbox, true, 1, func(uint64, OID, UID) bool { return true })
		},
		"search": func(v *View) error { return v.SearchMembers(ctx, FolderInbox, 0, func(OID) bool { return true }) },
		"has":    func(v *View) error { _, err := v.SearchHas(ctx, FolderInbox, []OID{s[0].OID}); return err },
	}
	for _, c := range []struct {
		who       Caller
		here, del bool
	}{{Caller{SID: sid(9)}, false, false}, {Caller{}, false, false}, {Caller{SID: sid(1)}, true, false}, {Caller{Full: true}, true, true}} {
		if err := m.As(c.who).look(func(v *View) error {
			for name, way := range ways {
				if err := way(v, here, s[0].OID); (err == nil) != c.here || err != nil && !model.IsKind(err, model.KindPermission) {
					t.Errorf("%s by %+v: %v", name, c.who, err)
				}
				if err := way(v, gone, s[1].OID); (err == nil) != c.del || err != nil && !model.IsKind(err, model.KindPermission) {
					t.Errorf("%s of what is deleted by %+v: %v", name, c.who, err)
				}
			}
			for name, way := range live {
				if err := way(v); (err == nil) != c.here || err != nil && !model.IsKind(err, model.KindPermission) {
					t.Errorf("%s by %+v: %v", name, c.who, err)
				}
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		if err := m.As(c.who).SetSearch(ctx, FolderTasks, []byte("x"), SearchState{}); (err == nil) != c.del {
			t.Errorf("making a search folder by %+v: %v", c.who, err)
		}
	}
}
