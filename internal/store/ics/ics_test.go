package ics

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"testing"
	"time"

	"rialto/internal/kv/memory"
	"rialto/internal/mapi"
	"rialto/internal/model"
	"rialto/internal/store"
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

func (f *fixture) view(fn func(v *store.View)) {
	f.t.Helper()
	v, err := f.m.View(ctx)
	if err != nil {
		f.t.Fatal(err)
	}
	defer v.Close()
	fn(v)
}

// copyOf is what a client keeps of an item.
type copyOf struct {
	subject string
	flags   store.Flags
	read    bool
	fai     bool
}

// name is what a client calls an item.
type name struct {
	replica model.GUID
	mid     store.MID
}

// ost is a client's copy of a folder.
type ost struct {
	folder store.FolderID
	opt    Options
	state  State
	items  map[name]copyOf
	pcl    map[name][]byte
}

func newOST(folder store.FolderID, opt Options) *ost {
	return &ost{folder: folder, opt: opt, items: map[name]copyOf{}, pcl: map[name][]byte{}}
}

func (o *ost) take(f *fixture, v *store.View, s *store.State) {
	f.t.Helper()
	it, err := v.ItemAt(ctx, s.Place)
	if err != nil {
		f.t.Fatal(err)
	}
	as := name{f.m.Header().ReplGUID, s.MID}
	o.items[as] = copyOf{it.Summary.Props.Text(mapi.TagSubject), s.Flags &^ (store.Read | store.DeletedMark), s.Flags&store.Read != 0, s.Place.Space == store.Associated}
	p, err := f.m.PCL(s)
	if err != nil {
		f.t.Fatal(err)
	}
	o.pcl[as] = p.Append(nil)
}

// sync downloads; after cut changes, if that is not negative, the line breaks.
func (o *ost) sync(f *fixture, cut int) *Diff {
	f.t.Helper()
	var diff *Diff
	f.view(func(v *store.View) {
		var err error
		if diff, err = Contents(ctx, v, o.folder, &o.state, o.opt); err != nil {
			f.t.Fatal(err)
		}
		if cut >= 0 && cut < len(diff.Changed) {
			for i := range diff.Changed[:cut] {
				o.take(f, v, &diff.Changed[i])
			}
			if o.state, err = diff.Partial(ctx, v, &o.state, cut); err != nil {
				f.t.Fatal(err)
			}
			return
		}
		for i := range diff.Changed {
			o.take(f, v, &diff.Changed[i])
		}
		for _, gone := range []*Set{&diff.Deleted, &diff.OutOfScope} {
			gone.Iterate(func(g model.GUID, from, to uint64) bool {
				for n := from; n <= to && n-from < 1e6; n++ {
					delete(o.items, name{g, store.MID(n)})
				}
				return true
			})
		}
		for mids, read := range map[*[]store.MID]bool{&diff.Read: true, &diff.Unread: false} {
			for _, mid := range *mids {
				as := name{f.m.Header().ReplGUID, mid}
				c, ok := o.items[as]
				if !ok {
					f.t.Fatalf("read state of item %d, which the client does not have", mid)
				}
				c.read = read
				o.items[as] = c
			}
		}
		o.state = reencoded(f.t, &diff.Final)
	})
	return diff
}

// reencoded sends a state over the wire.
func reencoded(t testing.TB, s *State) (out State) {
	t.Helper()
	for from, to := range map[*Set]*Set{&s.Given: &out.Given, &s.Seen: &out.Seen, &s.SeenFAI: &out.SeenFAI, &s.Read: &out.Read} {
		d, err := mapi.DecodeIDSet[model.GUID](from.Append(nil))
		if err != nil {
			t.Fatal(err)
		}
		*to = *d
	}
	return out
}

// truth is what the client should have.
func (o *ost) truth(f *fixture) map[name]copyOf {
	f.t.Helper()
	want := &ost{items: map[name]copyOf{}, pcl: map[name][]byte{}}
	f.view(func(v *store.View) {
		for sp, on := range map[store.Space]bool{store.Normal: o.opt.Normal, store.Associated: o.opt.Associated} {
			var all []store.State
			if err := v.SpaceStates(ctx, o.folder, sp, func(s *store.State) bool { all = append(all, *s); return on }); err != nil {
				f.t.Fatal(err)
			}
			for i := range all {
				if !on {
					break
				}
				want.take(f, v, &all[i])
			}
		}
	})
	return want.items
}

func (o *ost) compare(f *fixture, when string) {
	f.t.Helper()
	if want := o.truth(f); !maps.Equal(want, o.items) {
		f.t.Fatalf("%s: folder %d: the client has %v, the folder %v", when, o.folder, o.items, want)
	}
}

// TestCopiesConverge runs random operations; clients of several kinds download
// whole or in part, and upload, and end up with what the server has.
func TestCopiesConverge(t *testing.T) {
	for seed := range uint64(6) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { converge(newFixture(t), rand.New(rand.NewPCG(seed, 3)), 400) })
	}
}

func converge(f *fixture, r *rand.Rand, steps int) {
	t := f.t
	folders := []store.FolderID{store.FolderInbox, store.FolderDrafts}
	var clients []*ost
	for _, fo := range folders {
		clients = append(clients, newOST(fo, Options{Normal: true, Associated: true, ReadState: true}),
			newOST(fo, Options{Normal: true, ReadState: true}), newOST(fo, Options{Associated: true}))
	}
	for step := range steps {
		f.now = f.now.Add(time.Hour)
		fo := folders[r.IntN(2)]
		lo := store.UID(r.IntN(40) + 1)
		set := store.UIDSet{{From: lo, To: lo + store.UID(r.IntN(4))}}
		var err error
		switch r.IntN(14) {
		case 0, 1, 2:
			f.create(fo, fmt.Sprint("s", step), r.IntN(4) == 0)
		case 3, 4:
			_, err = f.m.SetFlags(ctx, fo, set, store.FlagChange{Set: store.Flags(r.IntN(16)), Clear: store.Flags(r.IntN(16))})
		case 5:
			_, err = f.m.Move(ctx, fo, set, folders[r.IntN(2)])
		case 6:
			_, err = f.m.Copy(ctx, fo, set, folders[r.IntN(2)])
		case 7:
			_, err = f.m.Delete(ctx, fo, set)
		case 8:
			if o, ok := f.any(r, fo); ok {
				_, err = f.m.Save(ctx, o, &store.Edit{Set: subject(fmt.Sprint("edit", step))})
			}
		case 9:
			if o, ok := f.any(r, fo); ok {
				_, err = f.m.DeleteItems(ctx, fo, []store.OID{o}, true)
			}
		case 10:
			_, err = f.m.Horizon(ctx, time.Duration(r.IntN(100))*time.Hour)
		case 11:
			if r.IntN(20) == 0 {
				err = f.m.NewIncarnation(ctx)
			}
		case 12:
			c := clients[r.IntN(len(clients))]
			c.sync(f, r.IntN(5))
		case 13:
			c := clients[r.IntN(len(clients))]
			c.sync(f, -1)
			c.compare(f, fmt.Sprint("step ", step))
			c.upload(f, r, step)
		}
		if err != nil {
			t.Fatal(step, err)
		}
	}
	for _, c := range clients {
		c.sync(f, -1)
		c.compare(f, "at the end")
		if d := c.sync(f, -1); len(d.Changed)+len(d.Read)+len(d.Unread) > 0 || !d.Deleted.Empty() {
			t.Fatalf("a client that is up to date is told %+v", d)
		}
	}
	v, err := f.m.Verify(ctx, false)
	if err != nil || len(v.Problems) > 0 {
		t.Fatal(err, v.Problems)
	}
}

// any picks an item of a folder.
func (f *fixture) any(r *rand.Rand, fo store.FolderID) (o store.OID, ok bool) {
	n := 0
	f.view(func(v *store.View) {
		for _, sp := range []store.Space{store.Normal, store.Associated} {
			if err := v.SpaceStates(ctx, fo, sp, func(s *store.State) bool {
				if n++; r.IntN(n) == 0 {
					o, ok = s.OID, true
				}
				return true
			}); err != nil {
				f.t.Fatal(err)
			}
		}
	})
	return o, ok
}

// upload changes, deletes or makes an item in the copy, and sends it.
func (o *ost) upload(f *fixture, r *rand.Rand, step int) {
	f.t.Helper()
	own := f.m.Header().ReplGUID
	client := model.GUID{9, byte(step), byte(step >> 8)}
	xid := mapi.CounterXID(client, uint64(step+1))
	for as := range o.items {
		key := mapi.GID{Replica: own, Counter: uint64(as.mid)}.AppendSourceKey(nil)
		if r.IntN(3) == 0 {
			if err := Deletions(ctx, f.m, o.folder, [][]byte{key}, r.IntN(2) == 0); err != nil {
				f.t.Fatal(err)
			}
			break
		}
		pcl, err := mapi.ParsePCL(o.pcl[as])
		if err != nil {
			f.t.Fatal(err)
		}
		up, err := Import(ctx, f.m, o.folder, &Upload{SourceKey: key, ChangeKey: xid.Append(nil), PCL: pcl.With(xid).Append(nil), Modified: f.now,
			Edit: store.Edit{Set: subject(fmt.Sprint("upload", step))}})
		if err != nil || up.Outcome != Stored {
			f.t.Fatalf("%+v %v", up, err)
		}
		break
	}
	first, err := f.m.ReserveIDs(ctx, 2)
	if err != nil {
		f.t.Fatal(err)
	}
	for i, fai := range []bool{false, true} {
		key := mapi.GID{Replica: own, Counter: uint64(first) + uint64(i)}.AppendSourceKey(nil)
		up, err := Import(ctx, f.m, o.folder, &Upload{SourceKey: key, ChangeKey: xid.Append(nil), PCL: mapi.PCL{xid}.Append(nil), Modified: f.now, Associated: fai,
			Edit: store.Edit{Set: subject(fmt.Sprint("new", step))}})
		if err != nil || up.State.MID != first+store.MID(i) {
			f.t.Fatalf("%+v %v", up, err)
		}
	}
}

func TestConflicts(t *testing.T) {
	f := newFixture(t)
	s := f.create(store.FolderInbox, "first", false)
	c := newOST(store.FolderInbox, Options{Normal: true, ReadState: true})
	c.sync(f, -1)
	own := f.m.Header().ReplGUID
	key := SourceKey(own, s)
	upload := func(text string, n uint64, at time.Time, fail bool) (Uploaded, error) {
		xid := mapi.CounterXID(model.GUID{7}, n)
		pcl, err := mapi.ParsePCL(c.pcl[name{own, s.MID}])
		if err != nil {
			t.Fatal(err)
		}
		return Import(ctx, f.m, store.FolderInbox, &Upload{SourceKey: key, ChangeKey: xid.Append(nil), PCL: pcl.With(xid).Append(nil), Modified: at, FailOnConflict: fail,
			Edit: store.Edit{Set: subject(text)}})
	}
	up, err := upload("second", 1, f.now, true)
	if err != nil || up.Outcome != Stored || string(ChangeKey(own, &up.State)) != string(mapi.CounterXID(model.GUID{7}, 1).Append(nil)) {
		t.Fatalf("%+v %v", up, err)
	}
	if up, err = upload("second", 1, f.now, true); err != nil || up.Outcome != Ignored {
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
	if up, err = upload("older", 3, f.now.Add(-time.Hour), false); err != nil || up.Outcome != LostTo || up.State.CN != changed.CN || recoverable() != 1 {
		t.Fatalf("%+v %v", up, err)
	}
	if up, err = upload("later", 4, f.now.Add(time.Hour), false); err != nil || up.Outcome != WonOver || recoverable() != 2 {
		t.Fatalf("%+v %v", up, err)
	}
	c.sync(f, -1)
	c.compare(f, "after conflicts")
	if got := c.items[name{own, s.MID}].subject; got != "later" {
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
	in, dr := newOST(store.FolderInbox, Options{Normal: true, ReadState: true}), newOST(store.FolderDrafts, Options{Normal: true, ReadState: true})
	in.sync(f, -1)
	if err := ReadStates(ctx, f.m, store.FolderInbox, [][]byte{SourceKey(own, s)}, nil); err != nil {
		t.Fatal(err)
	}
	d := in.sync(f, -1)
	if len(d.Read) != 1 || len(d.Changed) != 0 || d.Whole {
		t.Fatalf("%+v", d)
	}
	in.compare(f, "read")
	xid := mapi.CounterXID(model.GUID{7}, 1).Append(nil)
	mv := &Move{From: SourceKey(own, s), To: mapi.GID{Replica: own, Counter: uint64(first)}.AppendSourceKey(nil), ChangeKey: xid}
	moved, err := mv.Import(ctx, f.m, store.FolderDrafts)
	if err != nil || moved.MID != first {
		t.Fatalf("%+v %v", moved, err)
	}
	for _, c := range []*ost{in, dr} {
		c.sync(f, -1)
		c.compare(f, "moved")
	}
	if _, err := mv.Import(ctx, f.m, store.FolderDrafts); !model.IsKind(err, model.KindNotFound) {
		t.Errorf("moving again: %v", err)
	}
}

func TestHierarchy(t *testing.T) {
	f := newFixture(t)
	var st State
	have := map[store.FolderID]string{}
	sync := func() (changes int) {
		f.view(func(v *store.View) {
			d, err := Hierarchy(ctx, v, store.FolderSubtree, &st)
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
	opt := Options{Normal: true, Associated: true, ReadState: true}
	var st State
	f.view(func(v *store.View) {
		d, err := Contents(ctx, v, store.FolderInbox, &st, opt)
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
			d, err := Contents(ctx, v, store.FolderInbox, &st, opt)
			if err != nil || len(d.Changed) != 5 || d.Whole {
				b.Fatal(len(d.Changed), err)
			}
		})
	}
}
