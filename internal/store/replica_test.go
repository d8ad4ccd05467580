package store

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"rialto/internal/model"
)

func TestReplicasAndReservedIDs(t *testing.T) {
	f := newFixture(t)
	m := f.mailbox("a")
	g := model.NewGUID()
	a, err := m.ReplicaID(ctx, g)
	b, err2 := m.ReplicaID(ctx, g)
	own, err3 := m.ReplicaID(ctx, m.Header().ReplGUID)
	if err != nil || err2 != nil || err3 != nil || a != 2 || b != 2 || own != OwnReplica {
		t.Fatal(a, b, own, err, err2, err3)
	}
	first, err := m.ReserveIDs(ctx, 100)
	if err != nil {
		t.Fatal(err)
	}
	f.eng.powerCut()
	f.reopen()
	if m, err = f.db.Mailbox(ctx, m.GUID()); err != nil {
		t.Fatal(err)
	}
	s, err := m.Append(ctx, FolderInbox, &NewItem{MID: first + 50, CN: CN{Replica: a, Counter: 7}})
	if err != nil || s[0].MID != first+50 || s[0].CN != (CN{Replica: a, Counter: 7}) || s[0].ReadCN.Replica != OwnReplica {
		t.Fatalf("%+v %v", s, err)
	}
	if uint64(s[0].OID) < uint64(first)+100 {
		t.Errorf("id %d is in the reserved range", s[0].OID)
	}
	for id, kind := range map[MID]model.Kind{first + 50: model.KindExists, first + 100: model.KindInvalid, first - 1: model.KindInvalid} {
		if _, err := m.Append(ctx, FolderInbox, &NewItem{MID: id}); !model.IsKind(err, kind) {
			t.Errorf("MID %d: %v", id-first, err)
		}
	}
	p, err := m.PCL(s[0])
	if err != nil || len(p) != 0 {
		t.Error(p, err)
	}
	verify(t, m)
}

func TestNewIncarnation(t *testing.T) {
	f := newFixture(t)
	m := f.mailbox("a")
	s := f.append(m, FolderInbox, "one")[0]
	before := m.Header()
	validity := map[uint32]bool{}
	folders := func() map[FolderID]*Folder {
		var fs map[FolderID]*Folder
		if err := m.look(func(v *View) (err error) { fs, err = v.Folders(ctx); return err }); err != nil {
			t.Fatal(err)
		}
		return fs
	}
	for _, fo := range folders() {
		validity[fo.UIDValidity] = true
	}
	f.now = f.now.Add(time.Hour)
	if err := m.NewIncarnation(ctx); err != nil {
		t.Fatal(err)
	}
	f.eng.powerCut()
	f.reopen()
	m, err := f.db.Mailbox(ctx, m.GUID())
	if err != nil {
		t.Fatal(err)
	}
	after := m.Header()
	if after.ReplGUID == before.ReplGUID || after.Incarnation == before.Incarnation || after.GUID != before.GUID {
		t.Errorf("%+v %+v", before, after)
	}
	for id, fo := range folders() {
		if validity[fo.UIDValidity] {
			t.Errorf("folder %d has UIDVALIDITY %d again", id, fo.UIDValidity)
		}
		validity[fo.UIDValidity] = true
	}
	if err := m.look(func(v *View) error {
		rs, err := v.Replicas(ctx)
		if err != nil || len(rs) != 2 || rs[0].GUID != after.ReplGUID || rs[1].GUID != before.ReplGUID || rs[1].Former < uint64(s.MID) {
			t.Errorf("%+v %v", rs, err)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	verify(t, m)
}

func TestHorizon(t *testing.T) {
	f := newFixture(t)
	m := f.mailbox("a")
	f.append(m, FolderInbox, "one", "two", "three")
	if _, err := m.Delete(ctx, FolderInbox, UIDs(1)); err != nil {
		t.Fatal(err)
	}
	day := 24 * time.Hour
	horizon := func() (dropped int) {
		dropped, err := m.Horizon(ctx, 30*day)
		if err != nil {
			t.Fatal(err)
		}
		return dropped
	}
	if n := horizon(); n != 0 {
		t.Fatalf("dropped %d at once", n)
	}
	f.now = f.now.Add(20 * day)
	if _, err := m.Delete(ctx, FolderInbox, UIDs(2)); err != nil {
		t.Fatal(err)
	}
	if n := horizon(); n != 0 {
		t.Fatalf("dropped %d after 20 days", n)
	}
	f.now = f.now.Add(11 * day)
	if n := horizon(); n != 2 {
		t.Fatalf("dropped %d after 31 days", n)
	}
	tombs := func(since Seq) (uids []UID, whole bool) {
		if err := m.look(func(v *View) (err error) {
			whole, err = v.Changes(ctx, FolderInbox, since, func(c *Change) bool {
				if c.Kind == ChangeGone {
					uids = append(uids, c.UID)
				}
				return true
			})
			return err
		}); err != nil {
			t.Fatal(err)
		}
		return uids, whole
	}
	if uids, whole := tombs(0); whole || len(uids) != 1 || uids[0] != 2 {
		t.Errorf("%v, whole %v", uids, whole)
	}
	verify(t, m)
	if _, whole := tombs(Seq(m.counters.Seq)); !whole {
		t.Error("a reader that is up to date is told that history is gone")
	}
	f.now = f.now.Add(60 * day)
	if n := horizon(); n != 2 {
		t.Errorf("dropped %d of the second deletion", n)
	}
	// The recoverable items are there still.
	if rec, err := m.Recover(ctx, FolderInbox, rowsOf(t, m)); err != nil || len(rec) != 2 {
		t.Error(rec, err)
	}
	verify(t, m)
}

func rowsOf(t *testing.T, m *Mailbox) (rows []RowID) {
	t.Helper()
	if err := m.look(func(v *View) error {
		return v.Recoverable(ctx, FolderInbox, func(s *State) bool { rows = append(rows, s.Row); return true })
	}); err != nil {
		t.Fatal(err)
	}
	return rows
}

func TestDeviceStates(t *testing.T) {
	f := newFixture(t)
	m := f.mailbox("a")
	dev, inbox, other := [16]byte{1}, [16]byte{2}, [16]byte{3}
	big := bytes.Repeat([]byte("state"), 100000)
	states := func(c [16]byte) (last, before DeviceState) {
		if err := m.look(func(v *View) (err error) { last, before, err = v.DeviceStates(ctx, dev, c); return err }); err != nil {
			t.Fatal(err)
		}
		return last, before
	}
	for key := uint32(1); key <= 4; key++ {
		if err := m.PutDeviceState(ctx, dev, inbox, DeviceState{key, append(big[:key*100000:key*100000], byte(key))}); err != nil {
			t.Fatal(err)
		}
		last, before := states(inbox)
		if last.Key != key || before.Key != key-1 || len(last.State) != int(key)*100000+1 || key > 1 && len(before.State) != int(key-1)*100000+1 {
			t.Fatalf("%d: %d %d, %d %d", key, last.Key, before.Key, len(last.State), len(before.State))
		}
	}
	// The answer to 4 was lost: it is made again from 3.
	if err := m.PutDeviceState(ctx, dev, inbox, DeviceState{4, []byte("again")}); err != nil {
		t.Fatal(err)
	}
	if last, before := states(inbox); string(last.State) != "again" || before.Key != 3 {
		t.Errorf("%d %q %d", last.Key, last.State, before.Key)
	}
	if err := m.PutDeviceState(ctx, dev, other, DeviceState{1, nil}); err != nil {
		t.Fatal(err)
	}
	if err := m.PutDeviceState(ctx, dev, inbox, DeviceState{1, []byte("new")}); err != nil {
		t.Fatal(err)
	}
	if last, before := states(inbox); last.Key != 1 || before.Key != 0 {
		t.Errorf("%+v %+v", last, before)
	}
	if err := m.DropDevice(ctx, dev, &inbox); err != nil {
		t.Fatal(err)
	}
	a, _ := states(inbox)
	b, _ := states(other)
	if a.Key != 0 || b.Key != 1 {
		t.Errorf("%+v %+v", a, b)
	}
	if err := m.PutDeviceState(ctx, dev, inbox, DeviceState{1, make([]byte, 4<<20)}); !model.IsKind(err, model.KindTooLarge) {
		t.Error(err)
	}
}

func TestReadStatePerUser(t *testing.T) {
	f := newFixture(t)
	m := f.mailbox("public")
	s := f.append(m, FolderInbox, "one", "two")
	alice, bob := [16]byte{1}, [16]byte{2}
	st, err := m.MarkRead(ctx, alice, FolderInbox, []CN{s[0].CN, s[1].CN}, nil)
	if err != nil || !st.Has(s[0]) || !st.Has(s[1]) {
		t.Fatal(st, err)
	}
	if st, err = m.MarkRead(ctx, alice, FolderInbox, nil, []CN{s[1].CN}); err != nil || st.Seq != 2 || !st.Has(s[0]) || st.Has(s[1]) {
		t.Fatal(st, err)
	}
	seq := m.counters.Seq
	changed, err := m.SetFlags(ctx, FolderInbox, UIDs(1), FlagChange{Set: Flagged})
	if err != nil || m.counters.Seq != seq+1 {
		t.Fatal(err)
	}
	if err := m.look(func(v *View) error {
		a, err := v.ReadState(ctx, alice, FolderInbox)
		b, err2 := v.ReadState(ctx, bob, FolderInbox)
		if err != nil || err2 != nil || a.Has(changed.States[0]) || a.Seq != 2 || b.Seq != 0 || b.Has(s[0]) {
			t.Errorf("%+v %+v %v %v", a, b, err, err2)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

// TestIncarnationOfManyFolders gives a mailbox a new incarnation whose folders
// do not fit a batch.
func TestIncarnationOfManyFolders(t *testing.T) {
	f := newFixture(t)
	m := f.mailbox("a")
	long := strings.Repeat("n", 1000)
	for i := range 4200 {
		if _, err := m.CreateFolder(ctx, FolderSubtree, fmt.Sprint(long, i), ""); err != nil {
			t.Fatal(err)
		}
	}
	before := m.Header()
	if err := m.NewIncarnation(ctx); err != nil {
		t.Fatal(err)
	}
	if h := m.Header(); h.ReplGUID == before.ReplGUID || h.Incarnation == before.Incarnation {
		t.Errorf("%+v", h)
	}
}

// TestHorizonStays sets the clock back between two marks.
func TestHorizonStays(t *testing.T) {
	f := newFixture(t)
	m := f.mailbox("a")
	start := f.now
	at := func(d time.Duration, keep time.Duration) {
		t.Helper()
		f.now = start.Add(d)
		if _, err := m.Horizon(ctx, keep); err != nil {
			t.Fatal(err)
		}
	}
	at(100*time.Hour, time.Hour)
	s := f.append(m, FolderInbox, "one")
	since := s[0].Seq
	if _, err := m.Delete(ctx, FolderInbox, UIDs(s[0].UID())); err != nil {
		t.Fatal(err)
	}
	at(90*time.Hour, time.Hour)               // the clock was set back
	at(98*time.Hour, 7*time.Hour+time.Minute) // cuts at the second mark
	at(200*time.Hour, 90*time.Hour)           // has the first mark left
	if err := m.look(func(v *View) error {
		gone := false
		whole, err := v.Changes(ctx, FolderInbox, since, func(c *Change) bool { gone = gone || c.Kind == ChangeGone; return true })
		if whole && !gone {
			t.Error("the tombstone is cut, and the log says that it is whole")
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
}
