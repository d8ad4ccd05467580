package table

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rialto/internal/mapi"
	"rialto/internal/model"
	"rialto/internal/store"
)

// many makes n letters, one a second.
func many(n int) (ls []letter) {
	for i := range n {
		ls = append(ls, letter{subject: fmt.Sprintf("subject %04d", i), at: 1e9 + int64(i)})
	}
	return ls
}

func opened(t *testing.T, src Source, columns ...mapi.Tag) *Table {
	t.Helper()
	tab := New(src)
	if err := tab.SetColumns(columns); err != nil {
		t.Fatal(err)
	}
	return tab
}

func read(t *testing.T, tab *Table, v *store.View, n int) (out []any) {
	t.Helper()
	rows, err := tab.Rows(ctx, v, n, false)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rows {
		out = append(out, r.Values...)
	}
	return out
}

// TestHeadIsTheBeginning reads on from the first rows, which stand in an index,
// into the rest, while the folder changes.
func TestHeadIsTheBeginning(t *testing.T) {
	b := newBox(t)
	b.add(store.FolderInbox, many(1500)...)
	tab := opened(t, &Contents{Folder: store.FolderInbox}, mapi.TagSubject)
	v := b.view()
	first := read(t, tab, v, 10)
	if !tab.head || first[0] != "subject 1499" || first[9] != "subject 1490" {
		t.Fatalf("head %v: %v", tab.head, first)
	}
	mark, err := tab.Bookmark(ctx, v)
	if err != nil {
		t.Fatal(err)
	}
	read(t, tab, v, len(tab.entries)-10) // the cursor is behind the last row that is known
	known := len(tab.entries)
	v.Close()
	b.add(store.FolderInbox, letter{subject: "new", at: 2e9})
	v = b.view()
	defer v.Close()
	if next := read(t, tab, v, 1); next[0] != fmt.Sprintf("subject %04d", 1499-known) {
		t.Errorf("after %d rows and a new one comes %v", known, next)
	}
	if moved, gone, err := tab.Seek(ctx, v, mark, 0); err != nil || gone || moved != 0 {
		t.Error(moved, gone, err)
	}
	if next := read(t, tab, v, 1); next[0] != "subject 1489" {
		t.Errorf("at the bookmark is %v", next)
	}
	if _, _, err := tab.Seek(ctx, v, End, -1); err != nil {
		t.Fatal(err)
	}
	if last := read(t, tab, v, 5); len(last) != 1 || last[0] != "subject 0000" {
		t.Errorf("last is %v", last)
	}
	if back := func() []any { _, _, _ = tab.Seek(ctx, v, End, 0); return read(t, tab, v, -2) }(); !slices.Equal(back, []any{"subject 0001", "subject 0000"}) {
		t.Errorf("backward %v", back)
	}
	if row, of, err := tab.Position(ctx, v); err != nil || row != 1499 || of != 1501 {
		t.Error(row, of, err)
	}
}

// TestBulkChange takes away so much that a table reads everything again.
func TestBulkChange(t *testing.T) {
	b := newBox(t)
	st := b.add(store.FolderInbox, many(400)...)
	tab := opened(t, &Contents{Folder: store.FolderInbox}, mapi.TagSubject)
	if err := tab.Sort(mapi.SortOrder{Columns: []mapi.SortColumn{{Tag: mapi.TagSubject}}}); err != nil {
		t.Fatal(err)
	}
	v := b.view()
	marks := map[int]Bookmark{}
	for _, i := range []int{100, 350, 399} {
		if _, _, err := tab.Seek(ctx, v, Beginning, i); err != nil {
			t.Fatal(err)
		}
		var err error
		if marks[i], err = tab.Bookmark(ctx, v); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := tab.Changes(ctx, v); err != nil {
		t.Fatal(err)
	}
	v.Close()
	if _, err := b.m.Delete(ctx, store.FolderInbox, store.UIDSet{{From: st[50].UID(), To: st[349].UID()}}); err != nil {
		t.Fatal(err)
	}
	v = b.view()
	defer v.Close()
	for i, want := range map[int]struct {
		at   int
		gone bool
	}{100: {50, true}, 350: {50, false}, 399: {99, false}} {
		if _, gone, err := tab.Seek(ctx, v, marks[i], 0); err != nil || gone != want.gone || tab.cursor != want.at {
			t.Errorf("bookmark of %d is at %d (gone %v), want %v: %v", i, tab.cursor, gone, want, err)
		}
	}
	notices, err := tab.Changes(ctx, v)
	if err != nil || len(notices) != 1 || notices[0].Kind != TableChanged {
		t.Error(notices, err)
	}
	if _, _, err := tab.Seek(ctx, v, 99, 0); !model.IsKind(err, model.KindNotFound) {
		t.Error(err)
	}
}

func TestNotices(t *testing.T) {
	b := newBox(t)
	st := b.add(store.FolderInbox, many(5)...)
	tab := opened(t, &Contents{Folder: store.FolderInbox}, mapi.TagSubject)
	if err := tab.Restrict(&mapi.Exists{Tag: mapi.TagSubject}); err != nil {
		t.Fatal(err)
	}
	changes := func() []Notice {
		v := b.view()
		defer v.Close()
		ns, err := tab.Changes(ctx, v)
		if err != nil {
			t.Fatal(err)
		}
		return ns
	}
	changes()
	uid := func(i int) uint64 { return uint64(st[i].UID()) }
	if _, err := b.m.Delete(ctx, store.FolderInbox, store.UIDs(st[1].UID())); err != nil {
		t.Fatal(err)
	}
	if _, err := b.m.SetFlags(ctx, store.FolderInbox, store.UIDs(st[3].UID()), store.FlagChange{Set: store.Flagged}); err != nil {
		t.Fatal(err)
	}
	added := b.add(store.FolderInbox, letter{subject: "x", at: 1e9 + 2})[0]
	want := []Notice{{RowDeleted, uid(1), 0, 0}, {RowModified, uid(3), 0, uid(4)}, {RowAdded, uint64(added.UID()), 0, uid(2)}}
	if d := cmp.Diff(want, changes()); d != "" {
		t.Error(d)
	}
	if ns := changes(); len(ns) != 0 {
		t.Error(ns)
	}
}

// TestItemProperties looks at what is computed from the state row.
func TestItemProperties(t *testing.T) {
	b := newBox(t)
	st := b.add(store.FolderInbox, letter{subject: "s", at: 1e9, note: "n", read: true})[0]
	if _, err := b.m.SetFlags(ctx, store.FolderInbox, store.UIDs(st.UID()), store.FlagChange{Set: store.Flagged | store.Answered}); err != nil {
		t.Fatal(err)
	}
	v := b.view()
	defer v.Close()
	replica, err := v.ReplicaGUID(ctx, 1)
	if err != nil {
		t.Fatal(err)
	}
	folder, item := mapi.GID{Replica: replica, Counter: uint64(store.FolderInbox)}, mapi.GID{Replica: replica, Counter: uint64(st.MID)}
	entryID := mapi.EntryID{Provider: b.m.GUID(), Folder: folder, Message: &item}
	now, err := v.ItemsAt(ctx, []store.Place{st.Place}, store.WantState)
	if err != nil {
		t.Fatal(err)
	}
	cn := mapi.CounterXID(replica, now[0].State.CN.Counter)
	want := map[mapi.Tag]any{
		mapi.TagMessageFlags: int32(mapi.MessageFlagRead), mapi.TagMessageSize: int32(st.Size), mapi.TagMessageSizeExtended: st.Size,
		mapi.TagMessageDeliveryTime: st.Time, mapi.TagLastModificationTime: now[0].State.Modified, mapi.TagRead: true, mapi.TagFlagStatus: int32(2),
		mapi.TagIconIndex: int32(0x105), mapi.TagLastVerbExecuted: int32(102), mapi.TagHasAttachments: false, mapi.TagAssociated: false,
		mapi.TagMID: int64(mapi.MakeShortID(1, uint64(st.MID))), mapi.TagEntryID: entryID.Append(nil),
		mapi.TagSourceKey: item.AppendSourceKey(nil), mapi.TagParentSourceKey: folder.AppendSourceKey(nil),
		mapi.TagChangeKey: cn.Append(nil), mapi.TagPredecessorChangeList: mapi.PCL{cn}.Append(nil),
		mapi.TagFolderID: int64(mapi.MakeShortID(1, uint64(store.FolderInbox))), mapi.TagObjectType: int32(5), mapi.TagMessageStatus: int32(0),
		mapi.TagImportance: int32(0), mapi.TagSubject: "s", tagNote: "n", mapi.TagBody: nil, mapi.TagDeletedOn: nil, mapi.TagRowType: int32(1),
	}
	for tag, x := range want {
		tab := opened(t, &Contents{Folder: store.FolderInbox}, tag)
		if got := read(t, tab, v, 1); len(got) != 1 || !cmp.Equal(got[0], x) {
			t.Errorf("%08x is %v, want %v", tag, got, x)
		}
	}
}

func TestSmallTables(t *testing.T) {
	b := newBox(t)
	n := letter{subject: "s", at: 1e9}.item()
	var second, file mapi.Properties
	second.Set(mapi.TagDisplayName, "Bob")
	file.Set(mapi.TagAttachFilename, "a.txt")
	n.Recipients = append(n.Recipients, second)
	n.Attachments = []store.Attachment{{Props: file}}
	st, err := b.m.Append(ctx, store.FolderInbox, n)
	if err != nil {
		t.Fatal(err)
	}
	v := b.view()
	defer v.Close()
	if got := read(t, opened(t, Recipients(st[0].Row), mapi.TagDisplayName, mapi.TagRowID), v, 10); !cmp.Equal(got, []any{"to s", int32(0), "Bob", int32(1)}) {
		t.Error(got)
	}
	if got := read(t, opened(t, Attachments(st[0].Row), mapi.TagAttachFilename, mapi.TagAttachNumber), v, 10); !cmp.Equal(got, []any{"a.txt", int32(0)}) {
		t.Error(got)
	}
	tab := opened(t, &Contents{Folder: store.FolderInbox}, mapi.TagHasAttachments)
	for name, want := range map[string]int{"BOB": 1, "Eve": 0} {
		err := tab.Restrict(&mapi.Sub{Table: mapi.TagMessageRecipients, R: &mapi.Comparison{Relation: mapi.Equal, Tag: mapi.TagDisplayName, Value: name}})
		if got := read(t, tab, v, 10); err != nil || len(got) != want || want == 1 && got[0] != true {
			t.Error(name, got, err)
		}
	}
}

func TestSpaces(t *testing.T) {
	b := newBox(t)
	hidden := letter{subject: "hidden", at: 1e9}.item()
	hidden.Associated = true
	if _, err := b.m.Append(ctx, store.FolderInbox, hidden); err != nil {
		t.Fatal(err)
	}
	st := b.add(store.FolderInbox, letter{subject: "gone", at: 1e9}, letter{subject: "kept", at: 1e9})
	open := func(sp store.Space) *Table {
		return opened(t, &Contents{Folder: store.FolderInbox, Space: sp}, mapi.TagSubject)
	}
	fai, deleted := open(store.Associated), open(store.Deleted)
	v := b.view()
	if got := read(t, fai, v, 5); !cmp.Equal(got, []any{"hidden"}) {
		t.Error(got)
	}
	if n, err := deleted.Count(ctx, v); n != 0 || err != nil {
		t.Error(n, err)
	}
	v.Close()
	if _, err := b.m.Delete(ctx, store.FolderInbox, store.UIDs(st[0].UID())); err != nil {
		t.Fatal(err)
	}
	v = b.view()
	defer v.Close()
	if got := read(t, deleted, v, 5); !cmp.Equal(got, []any{"gone"}) {
		t.Error(got)
	}
	if got := read(t, open(store.Normal), v, 5); !cmp.Equal(got, []any{"kept"}) {
		t.Error(got)
	}
}

func TestHierarchy(t *testing.T) {
	b := newBox(t)
	top, err := b.m.CreateFolder(ctx, store.FolderInbox, "b", "IPF.Note")
	if err != nil {
		t.Fatal(err)
	}
	tab := opened(t, &Hierarchy{Parent: store.FolderInbox, Deep: true}, mapi.TagDisplayName, mapi.TagDepth, mapi.TagSubfolders, mapi.TagContentCount)
	all := func() []any {
		v := b.view()
		defer v.Close()
		if _, _, err := tab.Seek(ctx, v, Beginning, 0); err != nil {
			t.Fatal(err)
		}
		return read(t, tab, v, 10)
	}
	if got := all(); !cmp.Equal(got, []any{"b", int32(1), false, int32(0)}) {
		t.Error(got)
	}
	for parent, name := range map[store.FolderID]string{store.FolderInbox: "A", top.ID: "in b"} {
		if _, err := b.m.CreateFolder(ctx, parent, name, ""); err != nil {
			t.Fatal(err)
		}
	}
	b.add(top.ID, letter{subject: "s"})
	want := []any{"A", int32(1), false, int32(0), "b", int32(1), true, int32(1), "in b", int32(2), false, int32(0)}
	if d := cmp.Diff(want, all()); d != "" {
		t.Error(d)
	}
	b.add(top.ID, letter{subject: "t"})
	if want[7] = int32(2); !cmp.Equal(all(), want) {
		t.Error(all())
	}
	v := b.view()
	defer v.Close()
	for tag, x := range map[mapi.Tag]any{mapi.TagFolderType: int32(1), mapi.TagAttributeHidden: false, mapi.TagContainerClass: "IPF.Note"} {
		flat := opened(t, &Hierarchy{Parent: store.FolderInbox}, tag)
		if err := flat.Restrict(&mapi.Comparison{Relation: mapi.Equal, Tag: mapi.TagDisplayName, Value: "B"}); err != nil {
			t.Fatal(err)
		}
		if got := read(t, flat, v, 10); !cmp.Equal(got, []any{x}) {
			t.Errorf("%08x is %v", tag, got)
		}
	}
}

// textIndex finds every item it is given, for any text.
type textIndex struct {
	items []store.OID
	exact bool
}

func (x *textIndex) Candidates(context.Context, *store.View, store.FolderID, *mapi.Content) ([]store.OID, bool, bool, error) {
	return x.items, x.exact, true, nil
}

func TestTextIndex(t *testing.T) {
	b := newBox(t)
	st := b.add(store.FolderInbox, letter{subject: "0", note: "word"}, letter{subject: "1", note: "other"}, letter{subject: "2", note: "words"})
	index := &textIndex{items: []store.OID{st[0].OID, st[1].OID}}
	tab := opened(t, &Contents{Folder: store.FolderInbox, Text: index}, mapi.TagSubject)
	v := b.view()
	defer v.Close()
	r := &mapi.Content{Tag: tagNote, Match: mapi.Substring, Value: "word"}
	for _, c := range []struct {
		exact bool
		r     mapi.Restriction
		want  []any
	}{
		{false, r, []any{"0"}},
		{true, r, []any{"0", "1"}},
		{true, &mapi.Not{R: r}, []any{"2"}},
		{true, &mapi.Count{Limit: 1, R: r}, []any{"0"}},
	} {
		index.exact = c.exact
		if err := tab.Restrict(c.r); err != nil {
			t.Fatal(err)
		}
		got := read(t, tab, v, 5)
		slices.SortFunc(got, func(a, b any) int { return mapi.Compare(a, b, mapi.TypeString) })
		if !cmp.Equal(got, c.want) {
			t.Errorf("%+v: %v", c, got)
		}
	}
}

func TestRefusals(t *testing.T) {
	b := newBox(t)
	v := b.view()
	defer v.Close()
	tab := New(&Contents{Folder: store.FolderInbox})
	wide := make(mapi.And, 10001)
	for i := range wide {
		wide[i] = &mapi.Exists{Tag: mapi.TagSubject}
	}
	for name, c := range map[string]struct {
		do   func() error
		kind model.Kind
	}{
		"rows without columns": {func() error { _, err := tab.Rows(ctx, v, 1, false); return err }, model.KindInvalid},
		"no columns":           {func() error { return tab.SetColumns(nil) }, model.KindInvalid},
		"10,001 nodes":         {func() error { return tab.Restrict(wide) }, model.KindTooLarge},
		"fraction":             {func() error { return tab.SeekFraction(ctx, v, 1, 0) }, model.KindInvalid},
		"collapse state":       {func() error { _, err := tab.SetCollapseState(ctx, v, []byte{1}); return err }, model.KindInvalid},
		"expand":               {func() error { _, _, err := tab.Expand(ctx, v, 1, 1); return err }, model.KindInvalid},
		"folder that is gone": {func() error {
			_, err := New(&Contents{Folder: 9999}).Count(ctx, v)
			return err
		}, model.KindNotFound},
	} {
		if err := c.do(); !model.IsKind(err, c.kind) {
			t.Errorf("%s: %v", name, err)
		}
	}
	b.add(store.FolderInbox, many(20)...)
	if err := tab.Restrict(wide[:9999]); err != nil {
		t.Fatal(err)
	}
	w := b.view()
	defer w.Close()
	if n, err := tab.Count(ctx, w); n != 20 || err != nil {
		t.Error(n, err)
	}
}

func FuzzCollapseState(f *testing.F) {
	b := newBox(f)
	b.add(store.FolderInbox, letter{subject: "a", at: 1e9}, letter{subject: "b", at: 1e9})
	tab := New(&Contents{Folder: store.FolderInbox})
	if err := tab.Sort(mapi.SortOrder{Columns: []mapi.SortColumn{{Tag: mapi.TagSubject}}, Categories: 1}); err != nil {
		f.Fatal(err)
	}
	v := b.view()
	state, err := tab.CollapseState(ctx, v, 1, 0)
	v.Close()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(state)
	f.Add(append(bytes.Clone(state[:len(state)-1]), 1, 0, 0, 0, 0, 0, 0, 0, 9))
	f.Fuzz(func(t *testing.T, s []byte) {
		b.t = t
		v := b.view()
		defer v.Close()
		mark, err := tab.SetCollapseState(ctx, v, s)
		if err != nil {
			return
		}
		tab.FreeBookmark(mark)
		if n, err := tab.Count(ctx, v); err != nil || n < 2 || n > 4 {
			t.Fatal(n, err)
		}
	})
}

func TestTimesOutsideFileTime(t *testing.T) {
	b := newBox(t)
	b.add(store.FolderInbox, letter{subject: "old", at: time.Date(1601, 1, 1, 0, 0, 1, 0, time.UTC).Unix()}, letter{subject: "new", at: 1e9})
	v := b.view()
	defer v.Close()
	if got := read(t, opened(t, &Contents{Folder: store.FolderInbox}, mapi.TagSubject), v, 5); !cmp.Equal(got, []any{"new", "old"}) {
		t.Error(got)
	}
}

// TestWhileAnotherDelivers reads a table while another goroutine writes.
func TestWhileAnotherDelivers(t *testing.T) {
	b := newBox(t)
	done := make(chan error)
	go func() {
		var err error
		for i := range 150 {
			if err == nil {
				_, err = b.m.Append(ctx, store.FolderInbox, letter{subject: subjects[i%len(subjects)], at: 1e9 + int64(i%7)}.item())
			}
			if err == nil && i%3 == 0 {
				_, err = b.m.Delete(ctx, store.FolderInbox, store.UIDSet{{From: store.UID(i / 2), To: store.UID(i / 2)}})
			}
		}
		done <- err
	}()
	o := mapi.SortOrder{Columns: []mapi.SortColumn{{Tag: mapi.TagSubject}, {Tag: mapi.TagMessageDeliveryTime, Descending: true}}, Categories: 1, Expanded: 1}
	tab := opened(t, &Contents{Folder: store.FolderInbox}, mapi.TagSubject)
	if err := tab.Sort(o); err != nil {
		t.Fatal(err)
	}
	for running := true; running; {
		select {
		case err := <-done:
			if running = false; err != nil {
				t.Fatal(err)
			}
		default:
		}
		v := b.view()
		if d := cmp.Diff(expect(t, b.rowsOf(v, store.FolderInbox), o, nil, nil), shown(t, tab, v)); d != "" {
			t.Fatal(d)
		}
		v.Close()
	}
}
