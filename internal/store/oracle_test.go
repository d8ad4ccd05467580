package store

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"rialto/internal/model"
	"rialto/internal/store/layout"
)

// client is the cache of a QRESYNC client of one folder: what it was shown it
// remembers, and nothing it was shown may ever mean something else.
type client struct {
	folder   FolderID
	validity uint32
	seq      Seq
	cache    map[UID]string // uid -> oid and flags
	ever     map[UID]OID    // every UID it ever saw
	highest  UID
}

// sync brings the cache up to date by the folder's log, as CHANGEDSINCE and
// VANISHED would, and compares it with the folder.
func (c *client) sync(t *testing.T, m *Mailbox) {
	t.Helper()
	v, err := m.View(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	f, err := v.Folder(ctx, c.folder)
	if err != nil {
		t.Fatal(err)
	}
	sameAsRows(t, v, c.folder)
	if f.UIDValidity != c.validity {
		*c = client{folder: c.folder, validity: f.UIDValidity, cache: map[UID]string{}, ever: map[UID]OID{}}
	}
	complete, err := v.Changes(ctx, c.folder, c.seq, func(ch *Change) bool {
		if ch.Kind == ChangeGone && ch.UID != 0 {
			delete(c.cache, ch.UID)
		}
		return true
	})
	if err != nil || !complete {
		t.Fatal(complete, err)
	}
	now := map[UID]string{}
	err = v.States(ctx, c.folder, 1, ^UID(0), func(s *State) bool {
		line := fmt.Sprint(s.OID, s.Flags, s.Keywords)
		now[s.UID()] = line
		if s.Seq > c.seq {
			c.cache[s.UID()] = line
		}
		if o, ok := c.ever[s.UID()]; ok && o != s.OID {
			t.Fatalf("UID %d was item %d and is %d", s.UID(), o, s.OID)
		}
		if _, ok := c.ever[s.UID()]; !ok && s.UID() <= c.highest {
			t.Fatalf("UID %d appeared below %d", s.UID(), c.highest)
		}
		c.ever[s.UID()] = s.OID
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	if !maps.Equal(now, c.cache) {
		t.Fatalf("folder %d since %d: client has %v, folder %v", c.folder, c.seq, c.cache, now)
	}
	if f.Counts.Seq < c.seq {
		t.Fatalf("folder went from seq %d back to %d", c.seq, f.Counts.Seq)
	}
	c.seq = f.Counts.Seq
	c.highest = max(c.highest, f.Counts.NextUID-1)
}

// TestClientsSurvivePowerCuts runs random operations with power cuts in between
// and after each lets clients resynchronize; whatever was acknowledged must be
// there, whole, and every invariant must hold.
func TestClientsSurvivePowerCuts(t *testing.T) {
	for seed := range uint64(4) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { runOracle(t, newFixture(t), rand.New(rand.NewPCG(seed, 7)), 250) })
	}
}

func runOracle(t *testing.T, f *fixture, r *rand.Rand, steps int) {
	boxes := []*Mailbox{f.mailbox("a"), f.mailbox("b")}
	guids := []model.GUID{boxes[0].GUID(), boxes[1].GUID()}
	folders := []FolderID{FolderInbox, FolderSentItems, FolderDrafts}
	clients := make([][]*client, 2)
	for i := range clients {
		for _, fo := range folders {
			clients[i] = append(clients[i], &client{folder: fo})
		}
	}
	acked := [2]map[OID]string{{}, {}} // bodies by name, without what was purged
	for step := range steps {
		f.now = f.now.Add(time.Second)
		i := r.IntN(2)
		m, fo, to := boxes[i], folders[r.IntN(3)], folders[r.IntN(3)]
		lo := UID(r.IntN(30) + 1)
		set := UIDSet{{From: lo, To: lo + UID(r.IntN(5))}}
		var err error
		switch r.IntN(12) {
		case 0, 1, 2:
			bodyText := fmt.Sprintf("%d-%s", step, strings.Repeat("x", r.IntN(6000)))
			var res []Delivered
			res, err = f.db.Deliver(ctx, &Delivery{QueueID: fmt.Sprint(step), Item: *f.item(bodyText),
				To: []DeliverTo{{Mailbox: guids[0], Key: "a"}, {Mailbox: guids[1], Key: "b"}}})
			for j, d := range res {
				acked[j][d.OID] = bodyText
			}
		case 3:
			_, err = m.SetFlags(ctx, fo, set, FlagChange{Set: Flags(r.IntN(64)), Clear: Flags(r.IntN(64)), SetKeywords: []string{fmt.Sprint("k", r.IntN(3))}})
		case 4:
			_, err = m.Copy(ctx, fo, set, to)
		case 5:
			_, err = m.Move(ctx, fo, set, to)
		case 6:
			_, err = m.Expunge(ctx, fo, set)
		case 7:
			forget(t, m, fo, f.now.Add(-20*time.Second), acked[i])
			_, err = m.Purge(ctx, fo, f.now.Add(-20*time.Second))
		case 8:
			_, err = f.db.Collect(ctx)
		case 9:
			crash(t, f, boxes, guids, r)
		default:
			for _, c := range clients[i] {
				c.sync(t, m)
			}
		}
		if err != nil {
			t.Fatalf("step %d: %v", step, err)
		}
	}
	crash(t, f, boxes, guids, r)
	for i, m := range boxes {
		for _, c := range clients[i] {
			c.sync(t, m)
		}
	}
	verify(t, boxes...)
	for i, m := range boxes {
		if len(acked[i]) == 0 {
			t.Error("nothing was delivered")
		}
		for o, want := range acked[i] {
			if got := bodyOf(t, m, o); got != want {
				t.Errorf("item %d has %d octets, want %d", o, len(got), len(want))
			}
		}
	}
}

// forget takes what a purge is about to drop out of the names.
func forget(t *testing.T, m *Mailbox, fo FolderID, before time.Time, names map[OID]string) {
	t.Helper()
	v, err := m.View(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	err = v.Recoverable(ctx, fo, func(s *State) bool {
		if s.Deleted.Before(before) {
			delete(names, s.OID)
		}
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
}

// bodyOf reads an item by its name.
func bodyOf(t *testing.T, m *Mailbox, o OID) string {
	t.Helper()
	v, err := m.View(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	p, err := v.Find(ctx, o)
	if err != nil {
		t.Fatalf("item %d is lost: %v", o, err)
	}
	var row RowID
	err = layout.ScanStates(ctx, v.snap, m.num, p.Folder, p.Space, p.N, p.N, 1, func(s *State) bool {
		row = s.Row
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	return body(t, m, row)
}

// crash starts writes that nobody waits for, cuts the power under them and
// mounts the database again.
func crash(t *testing.T, f *fixture, boxes []*Mailbox, guids []model.GUID, r *rand.Rand) {
	t.Helper()
	for range r.IntN(4) {
		m := boxes[r.IntN(2)]
		it := f.item(fmt.Sprint("lost ", r.Uint64()))
		e, err := it.encode()
		if err != nil {
			t.Fatal(err)
		}
		// As Append, but the power goes before the wait.
		m.mu.Lock()
		b := f.eng.db().NewBatch()
		tx := m.begin(ctx, b)
		e.addContent(b)
		if _, err := tx.insert(FolderInbox, e); err != nil {
			t.Fatal(err)
		}
		tx.finish()
		c, err := f.eng.db().Commit(ctx, b)
		if err != nil {
			t.Fatal(err)
		}
		tx.install(c.Sequence())
		m.mu.Unlock()
	}
	f.eng.powerCut()
	for _, m := range boxes {
		if _, err := m.View(ctx); err == nil {
			t.Fatal("a view after the power cut")
		}
	}
	f.reopen()
	for i, g := range guids {
		var err error
		if boxes[i], err = f.db.Mailbox(ctx, g); err != nil {
			t.Fatal(err)
		}
	}
	verify(t, boxes...)
}
