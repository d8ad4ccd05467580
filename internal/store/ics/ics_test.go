package ics_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"rialto/internal/kv/memory"
	"rialto/internal/mapi"
	"rialto/internal/model"
	"rialto/internal/store"
	"rialto/internal/store/ics"
	"rialto/internal/store/storetest"
)

var ctx = context.Background()

type fixture struct {
	t   testing.TB
	db  *store.Database
	m   *store.Mailbox
	now time.Time
}

func newFixture(t testing.TB) *fixture {
	f := &fixture{t: t, now: time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)}
	db, err := store.Open(ctx, memory.New(memory.Options{}), store.Options{GUID: model.NewGUID(), Name: "s", Clock: func() time.Time { return f.now }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	f.db = db
	if f.m, err = db.CreateMailbox(ctx, model.NewGUID(), "a"); err != nil {
		t.Fatal(err)
	}
	return f
}

func subject(s string) (p mapi.Properties) {
	p.Set(mapi.TagSubject, s)
	return p
}

func (f *fixture) create(folder store.FolderID, text string, fai bool) *store.State {
	f.t.Helper()
	s, err := f.m.Create(ctx, folder, &store.NewItem{Props: subject(text), Associated: fai})
	if err != nil {
		f.t.Fatal(err)
	}
	return s
}

func (f *fixture) clock() time.Time { return f.now }

func (f *fixture) download(c *storetest.OST) *ics.Diff {
	f.t.Helper()
	d, err := c.Download(ctx, f.m, -1)
	if err != nil {
		f.t.Fatal(err)
	}
	return d
}

func (f *fixture) compare(c *storetest.OST) {
	f.t.Helper()
	if err := c.Compare(ctx, f.m); err != nil {
		f.t.Fatal(err)
	}
}

func (f *fixture) view(fn func(v *store.View)) {
	f.t.Helper()
	v, err := f.m.View(ctx)
	if err != nil {
		f.t.Fatal(err)
	}
	defer v.Close()
	fn(v)
}

func TestConflicts(t *testing.T) {
	f := newFixture(t)
	s := f.create(store.FolderInbox, "first", false)
	c := storetest.NewOST(store.FolderInbox, ics.Options{Normal: true, ReadState: true}, f.clock)
	f.download(c)
	own := f.m.Header().ReplGUID
	key := ics.SourceKey(own, s)
	upload := func(text string, n uint64, at time.Time, fail bool) (ics.Uploaded, error) {
		xid := mapi.CounterXID(model.GUID{7}, n)
		pcl, err := mapi.ParsePCL(c.PCL[ics.Name(own, s)])
		if err != nil {
			t.Fatal(err)
		}
		return ics.Import(ctx, f.m, store.FolderInbox, &ics.Upload{SourceKey: key, ChangeKey: xid.Append(nil), PCL: pcl.With(xid).Append(nil), Modified: at, FailOnConflict: fail,
			Edit: store.Edit{Set: subject(text)}})
	}
	up, err := upload("second", 1, f.now, true)
	if err != nil || up.Outcome != ics.Stored || string(ics.ChangeKey(own, &up.State)) != string(mapi.CounterXID(model.GUID{7}, 1).Append(nil)) {
		t.Fatalf("%+v %v", up, err)
	}
	if up, err = upload("second", 1, f.now, true); err != nil || up.Outcome != ics.Ignored {
		t.Fatalf("the same again: %+v %v", up, err)
	}
	f.now = f.now.Add(time.Minute)
	changed, err := f.m.Save(ctx, up.State.OID, &store.Edit{Set: subject("server's")})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := upload("third", 2, f.now, true); !model.IsKind(err, model.KindConflict) {
		t.Fatalf("a conflict: %v", err)
	}
	recoverable := func() (n int) {
		f.view(func(v *store.View) {
			if err := v.Recoverable(ctx, store.FolderInbox, func(*store.State) bool { n++; return true }); err != nil {
				t.Fatal(err)
			}
		})
		return n
	}
	if up, err = upload("older", 3, f.now.Add(-time.Hour), false); err != nil || up.Outcome != ics.LostTo || up.State.CN != changed.CN || recoverable() != 1 {
		t.Fatalf("%+v %v", up, err)
	}
	if up, err = upload("later", 4, f.now.Add(time.Hour), false); err != nil || up.Outcome != ics.WonOver || recoverable() != 2 {
		t.Fatalf("%+v %v", up, err)
	}
	f.download(c)
	f.compare(c)
	if got := c.Copy[ics.Name(own, s)].Subject; got != "later" {
		t.Errorf("subject %q", got)
	}
	// What was deleted here can not be changed there.
	if _, err := f.m.DeleteItems(ctx, store.FolderInbox, []store.OID{up.State.OID}, false); err != nil {
		t.Fatal(err)
	}
	if _, err := upload("too late", 5, f.now, true); !model.IsKind(err, model.KindNotFound) {
		t.Errorf("changing what is deleted: %v", err)
	}
}

func TestMovesAndReadStatesOfClients(t *testing.T) {
	f := newFixture(t)
	s := f.create(store.FolderInbox, "one", false)
	own := f.m.Header().ReplGUID
	first, err := f.m.ReserveIDs(ctx, 1)
	if err != nil {
		t.Fatal(err)
	}
	in, dr := storetest.NewOST(store.FolderInbox, ics.Options{Normal: true, ReadState: true}, f.clock), storetest.NewOST(store.FolderDrafts, ics.Options{Normal: true, ReadState: true}, f.clock)
	f.download(in)
	if err := ics.ReadStates(ctx, f.m, store.FolderInbox, [][]byte{ics.SourceKey(own, s)}, nil); err != nil {
		t.Fatal(err)
	}
	d := f.download(in)
	if len(d.Read) != 1 || len(d.Changed) != 0 || d.Whole {
		t.Fatalf("%+v", d)
	}
	f.compare(in)
	xid := mapi.CounterXID(model.GUID{7}, 1).Append(nil)
	mv := &ics.Move{From: ics.SourceKey(own, s), To: mapi.GID{Replica: own, Counter: uint64(first)}.AppendSourceKey(nil), ChangeKey: xid}
	moved, err := mv.Import(ctx, f.m, store.FolderDrafts)
	if err != nil || moved.MID != first {
		t.Fatalf("%+v %v", moved, err)
	}
	for _, c := range []*storetest.OST{in, dr} {
		f.download(c)
		f.compare(c)
	}
	if _, err := mv.Import(ctx, f.m, store.FolderDrafts); !model.IsKind(err, model.KindNotFound) {
		t.Errorf("moving again: %v", err)
	}
}

// TestForeignNames: an item that came under a name of another replica is given,
// changed and taken away under that name.
func TestForeignNames(t *testing.T) {
	f := newFixture(t)
	peer := mapi.GID{Replica: model.GUID{5}, Counter: 77}
	xid := mapi.CounterXID(peer.Replica, 3)
	up, err := ics.Import(ctx, f.m, store.FolderInbox, &ics.Upload{SourceKey: peer.AppendSourceKey(nil), ChangeKey: xid.Append(nil),
		PCL: mapi.PCL{xid}.Append(nil), Modified: f.now, Edit: store.Edit{Set: subject("replicated")}})
	if err != nil {
		t.Fatal(err)
	}
	own := f.create(store.FolderInbox, "own", false)
	c := storetest.NewOST(store.FolderInbox, ics.Options{Normal: true, ReadState: true}, f.clock)
	f.download(c)
	f.compare(c)
	if x, ok := c.Copy[peer]; !ok || x.Subject != "replicated" || len(c.Copy) != 2 {
		t.Fatalf("%+v", c.Copy)
	}
	if _, err := f.m.SetItemFlags(ctx, store.FolderInbox, []store.OID{up.State.OID}, store.FlagChange{Set: store.Read}); err != nil {
		t.Fatal(err)
	}
	if d := f.download(c); len(d.Read) != 1 || d.Read[0] != peer || len(d.Changed) != 0 {
		t.Errorf("%+v", d)
	}
	if _, err := f.m.DeleteItems(ctx, store.FolderInbox, []store.OID{up.State.OID, own.OID}, false); err != nil {
		t.Fatal(err)
	}
	if d := f.download(c); !d.Deleted.Contains(peer.Replica, peer.Counter) || len(c.Copy) != 0 || !d.Final.Given.Empty() {
		t.Errorf("%+v, left %+v", d, c.Copy)
	}
	f.compare(c)
}

func TestHierarchy(t *testing.T) {
	f := newFixture(t)
	var st ics.State
	have := map[store.FolderID]string{}
	sync := func() (changes int) {
		f.view(func(v *store.View) {
			d, err := ics.Hierarchy(ctx, v, store.FolderSubtree, &st)
			if err != nil {
				t.Fatal(err)
			}
			for _, fo := range d.Changed {
				if fo.Parent != store.FolderSubtree && have[fo.Parent] == "" {
					t.Fatalf("folder %s comes before its parent", fo.Name)
				}
				have[fo.ID] = fo.Name
			}
			d.Deleted.Iterate(func(_ model.GUID, from, to uint64) bool {
				for n := from; n <= to; n++ {
					delete(have, store.FolderID(n))
				}
				return true
			})
			changes, st = len(d.Changed), d.Final
		})
		return changes
	}
	if n := sync(); n != 11 || sync() != 0 {
		t.Fatalf("%d folders", n)
	}
	a, err := f.m.CreateFolder(ctx, store.FolderInbox, "a", "")
	if err != nil {
		t.Fatal(err)
	}
	b, err := f.m.CreateFolder(ctx, a.ID, "b", "")
	if err != nil {
		t.Fatal(err)
	}
	if n := sync(); n != 2 || have[b.ID] != "b" {
		t.Fatalf("%d %v", n, have)
	}
	if err := f.m.RenameFolder(ctx, b.ID, store.FolderInbox, "c"); err != nil {
		t.Fatal(err)
	}
	if err := f.m.DeleteFolder(ctx, a.ID); err != nil {
		t.Fatal(err)
	}
	if n := sync(); n != 1 || have[b.ID] != "c" || have[a.ID] != "" || len(have) != 12 {
		t.Fatalf("%d %v", n, have)
	}
}

// BenchmarkTenChangesOf100000 is the difference of a folder of 100,000 items in
// which ten have changed.
func BenchmarkTenChangesOf100000(b *testing.B) {
	f := newFixture(b)
	var items []*store.NewItem
	for i := range 500 {
		items = append(items, &store.NewItem{Props: subject(fmt.Sprint("item ", i))})
	}
	for range 200 {
		if _, err := f.m.Append(ctx, store.FolderInbox, items...); err != nil {
			b.Fatal(err)
		}
	}
	opt := ics.Options{Normal: true, Associated: true, ReadState: true}
	var st ics.State
	f.view(func(v *store.View) {
		d, err := ics.Contents(ctx, v, store.FolderInbox, &st, opt)
		if err != nil || len(d.Changed) != 100000 {
			b.Fatal(len(d.Changed), err)
		}
		st = d.Final
	})
	if _, err := f.m.SetFlags(ctx, store.FolderInbox, store.UIDSet{{From: 500, To: 504}}, store.FlagChange{Set: store.Flagged}); err != nil {
		b.Fatal(err)
	}
	if _, err := f.m.Delete(ctx, store.FolderInbox, store.UIDSet{{From: 900, To: 904}}); err != nil {
		b.Fatal(err)
	}
	b.ResetTimer()
	for range b.N {
		f.view(func(v *store.View) {
			d, err := ics.Contents(ctx, v, store.FolderInbox, &st, opt)
			if err != nil || len(d.Changed) != 5 || d.Whole {
				b.Fatal(len(d.Changed), err)
			}
		})
	}
}
