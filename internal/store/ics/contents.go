package ics

import (
	"context"
	"slices"

	"rialto/internal/mapi"
	"rialto/internal/model"
	"rialto/internal/store"
)

// Options say what a client wants to be told (MS-OXCFXICS 2.2.3.2.1.1.1).
type Options struct {
	Normal      bool // SYNCHRONIZATION_FLAG NORMAL
	Associated  bool // FAI
	ReadState   bool // READ_STATE: changes of the read state apart from others
	NoDeletions bool // NO_DELETIONS
	// InScope limits the items to those it accepts; nil: all. Items the client has
	// that are not in scope any more are told as such.
	InScope func(*store.Item) (bool, error)
}

// Diff is what a client has to be told of a folder's contents.
type Diff struct {
	Changed    []store.State // new or changed: to be sent whole, oldest change first
	Deleted    Set           // items that are gone
	OutOfScope Set           // items that are there but not wanted
	Read       []mapi.GID    // read since, not changed otherwise
	Unread     []mapi.GID
	// Final is the client's state once it has all of this.
	Final State
	// Whole says that the client's ids were compared with the whole folder.
	Whole bool
}

// differ finds a difference on one view.
type differ struct {
	ctx   context.Context
	v     *store.View
	f     store.FolderID
	opt   Options
	have  *State
	guids map[store.ReplicaID]model.GUID
	own   model.GUID
	out   *Diff
}

// Contents returns what changed in a folder since the client's state.
func Contents(ctx context.Context, v *store.View, f store.FolderID, have *State, opt Options) (*Diff, error) {
	folder, err := v.Folder(ctx, f)
	if err != nil {
		return nil, err
	}
	d := &differ{ctx: ctx, v: v, f: f, opt: opt, have: have, out: &Diff{Final: have.clone()}}
	if err := d.replicas(); err != nil {
		return nil, err
	}
	// Other folders have numbers of their own in between: all up to the newest
	// of this folder have been seen then.
	newest := max(uint64(folder.Counts.Seq), 1)
	since := d.since()
	whole, err := d.fromLog(since)
	if err != nil {
		return nil, err
	}
	if !whole {
		d.out.Changed, d.out.Read, d.out.Unread = nil, nil, nil
		d.out.Deleted, d.out.OutOfScope, d.out.Final = Set{}, Set{}, have.clone()
		d.out.Whole = true
		if err := d.compare(); err != nil {
			return nil, err
		}
	}
	d.finish(newest)
	return d.out, nil
}

func (d *differ) replicas() error {
	rs, err := d.v.Replicas(d.ctx)
	if err != nil {
		return err
	}
	d.guids = make(map[store.ReplicaID]model.GUID, len(rs))
	for _, r := range rs {
		if d.guids[r.ID] = r.GUID; r.ID == store.OwnReplica {
			d.own = r.GUID
		}
	}
	return nil
}

// since is the seq up to which the client knows everything it asks for.
func (d *differ) since() store.Seq {
	s := ^uint64(0)
	for _, x := range []struct {
		want bool
		set  *Set
	}{{d.opt.Normal, &d.have.Seen}, {d.opt.Associated, &d.have.SeenFAI}, {d.opt.ReadState, &d.have.Read}} {
		if x.want {
			s = min(s, seenTo(x.set, d.own))
		}
	}
	if s == ^uint64(0) {
		s = 0
	}
	return store.Seq(s)
}

// fromLog uses the folder's log from since on. It reports false if the log does
// not tell everything.
func (d *differ) fromLog(since store.Seq) (bool, error) {
	if since == 0 || d.opt.InScope != nil || d.foreignGiven() {
		return false, nil
	}
	var places []store.Place
	gone := map[store.MID]bool{}
	whole, err := d.v.Changes(d.ctx, d.f, since, func(c *store.Change) bool {
		switch c.Kind {
		case store.ChangeItem:
			places = append(places, placeOf(c))
			delete(gone, c.MID) // edited: it was gone under its former UID only
		case store.ChangeGone:
			gone[c.MID] = true
		}
		return true
	})
	if err != nil || !whole {
		return false, err
	}
	for mid := range gone {
		d.gone(mapi.GID{Replica: d.own, Counter: uint64(mid)}, &d.out.Deleted)
	}
	states, err := d.v.StatesAt(d.ctx, places)
	if err != nil {
		return false, err
	}
	for _, s := range states {
		if s != nil {
			d.see(s)
		}
	}
	return true, nil
}

func placeOf(c *store.Change) store.Place {
	if c.Associated {
		return store.Place{Folder: c.Folder, Space: store.Associated, N: uint64(c.Row)}
	}
	return store.Place{Folder: c.Folder, Space: store.Normal, N: uint64(c.UID)}
}

// foreignGiven reports whether the client has ids of another incarnation, or of
// another replica, under which the log does not list what is gone.
func (d *differ) foreignGiven() bool {
	foreign := false
	d.have.Given.Iterate(func(g model.GUID, _, _ uint64) bool {
		foreign = g != d.own
		return !foreign
	})
	return foreign
}

// compare goes through the whole folder.
func (d *differ) compare() error {
	var there Set
	for _, x := range []struct {
		want  bool
		space store.Space
	}{{d.opt.Normal, store.Normal}, {d.opt.Associated, store.Associated}} {
		if !x.want {
			continue
		}
		var wanted []store.State
		err := d.v.SpaceStates(d.ctx, d.f, x.space, func(s *store.State) bool {
			wanted = append(wanted, *s)
			return true
		})
		if err != nil {
			return err
		}
		for i := range wanted {
			if err := d.compareOne(&wanted[i], &there); err != nil {
				return err
			}
		}
	}
	if d.opt.NoDeletions {
		return nil
	}
	lost := d.have.Given.Clone()
	lost.Subtract(&there)
	if !d.opt.Normal || !d.opt.Associated {
		// What the client has of the kind it does not ask for stays.
		if err := d.keepOthers(lost); err != nil {
			return err
		}
	}
	d.out.Deleted.Union(lost)
	d.out.Final.Given.Subtract(lost)
	return nil
}

func (d *differ) compareOne(s *store.State, there *Set) error {
	if d.opt.InScope != nil {
		it, err := d.v.ItemAt(d.ctx, s.Place)
		if err != nil {
			return err
		}
		ok, err := d.opt.InScope(it)
		if err != nil {
			return err
		}
		if !ok {
			name := Name(d.own, s)
			there.Add(name.Replica, name.Counter)
			d.gone(name, &d.out.OutOfScope)
			return nil
		}
	}
	name := Name(d.own, s)
	there.Add(name.Replica, name.Counter)
	d.see(s)
	return nil
}

// keepOthers takes out of lost what the folder has in the space not asked for.
func (d *differ) keepOthers(lost *Set) error {
	other := store.Normal
	if d.opt.Normal {
		other = store.Associated
	}
	var kept Set
	err := d.v.SpaceStates(d.ctx, d.f, other, func(s *store.State) bool {
		name := Name(d.own, s)
		kept.Add(name.Replica, name.Counter)
		return true
	})
	lost.Subtract(&kept)
	return err
}

// gone tells the client that an item it has is not there.
func (d *differ) gone(name mapi.GID, how *Set) {
	if d.have.Given.Contains(name.Replica, name.Counter) && !d.opt.NoDeletions {
		how.Add(name.Replica, name.Counter)
		var one Set
		one.Add(name.Replica, name.Counter)
		d.out.Final.Given.Subtract(&one)
	}
}

// see tells the client of an item that is there, as far as it does not know.
func (d *differ) see(s *store.State) {
	fai := s.Place.Space == store.Associated
	if fai && !d.opt.Associated || !fai && !d.opt.Normal {
		return
	}
	seen, final := &d.have.Seen, &d.out.Final.Seen
	if fai {
		seen, final = &d.have.SeenFAI, &d.out.Final.SeenFAI
	}
	name := Name(d.own, s)
	has := d.have.Given.Contains(name.Replica, name.Counter)
	if cn := d.guids[s.CN.Replica]; !has || !seen.Contains(cn, s.CN.Counter) {
		d.out.Changed = append(d.out.Changed, *s)
		d.out.Final.Given.Add(name.Replica, name.Counter)
		final.Add(cn, s.CN.Counter)
		d.out.Final.Read.Add(d.guids[s.ReadCN.Replica], s.ReadCN.Counter)
		return
	}
	if g := d.guids[s.ReadCN.Replica]; d.opt.ReadState && !fai && !d.have.Read.Contains(g, s.ReadCN.Counter) {
		d.out.Final.Read.Add(g, s.ReadCN.Counter)
		if s.Flags&store.Read != 0 {
			d.out.Read = append(d.out.Read, name)
		} else {
			d.out.Unread = append(d.out.Unread, name)
		}
	}
}

// finish orders the changes and says that everything up to newest is seen.
func (d *differ) finish(newest uint64) {
	slices.SortFunc(d.out.Changed, func(a, b store.State) int {
		switch {
		case a.Seq < b.Seq:
			return -1
		case a.Seq > b.Seq:
			return 1
		}
		return 0
	})
	if d.opt.Normal {
		d.out.Final.Seen.AddRange(d.own, 1, newest)
	}
	if d.opt.Associated {
		d.out.Final.SeenFAI.AddRange(d.own, 1, newest)
	}
	if d.opt.ReadState {
		d.out.Final.Read.AddRange(d.own, 1, newest)
	}
}

// Partial is the state of a client that was sent the first n changes of a
// difference and then no more: what it has is not sent again.
func (d *Diff) Partial(ctx context.Context, v *store.View, have *State, n int) (State, error) {
	st := have.clone()
	rs, err := v.Replicas(ctx)
	if err != nil {
		return st, err
	}
	guids := map[store.ReplicaID]model.GUID{}
	for _, r := range rs {
		guids[r.ID] = r.GUID
	}
	for i := range d.Changed[:n] {
		s := &d.Changed[i]
		name := Name(guids[store.OwnReplica], s)
		st.Given.Add(name.Replica, name.Counter)
		seen := &st.Seen
		if s.Place.Space == store.Associated {
			seen = &st.SeenFAI
		}
		seen.Add(guids[s.CN.Replica], s.CN.Counter)
		st.Read.Add(guids[s.ReadCN.Replica], s.ReadCN.Counter)
	}
	return st, nil
}

// Name is what clients call an item in their states: its source key, if that has
// the form of one, else its MID.
func Name(own model.GUID, s *store.State) mapi.GID {
	if g, err := mapi.ParseSourceKey(s.Foreign.SourceKey); err == nil {
		return g
	}
	return mapi.GID{Replica: own, Counter: uint64(s.MID)}
}

// SourceKey is PidTagSourceKey of an item: its own if a client gave it one.
func SourceKey(own model.GUID, s *store.State) []byte {
	if s.Foreign.SourceKey != nil {
		return s.Foreign.SourceKey
	}
	return mapi.GID{Replica: own, Counter: uint64(s.MID)}.AppendSourceKey(nil)
}

// ChangeKey is PidTagChangeKey of an item: that of whoever changed it last.
func ChangeKey(own model.GUID, s *store.State) []byte {
	if s.Foreign.ChangeKey != nil {
		return s.Foreign.ChangeKey
	}
	return mapi.CounterXID(own, s.CN.Counter).Append(nil)
}
