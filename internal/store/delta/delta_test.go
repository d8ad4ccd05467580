package delta

import (
	"context"
	"errors"
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
	t   *testing.T
	m   *store.Mailbox
	now time.Time
}

func newFixture(t *testing.T) *fixture {
	f := &fixture{t: t, now: time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)}
	db, err := store.Open(ctx, memory.New(memory.Options{}), store.Options{GUID: model.NewGUID(), Name: "s", Clock: func() time.Time { return f.now }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	if f.m, err = db.CreateMailbox(ctx, model.NewGUID(), "a"); err != nil {
		t.Fatal(err)
	}
	return f
}

// truth is what a client should have: by name, what it shows of the item.
func (f *fixture) truth(want func(*store.State) bool, folders ...store.FolderID) map[store.OID]string {
	f.t.Helper()
	out := map[store.OID]string{}
	f.view(func(v *store.View) error {
		for _, fo := range folders {
			if err := v.SpaceStates(ctx, fo, store.Normal, func(s *store.State) bool {
				if want(s) {
					out[s.OID] = shows(s)
				}
				return true
			}); err != nil {
				return err
			}
		}
		return nil
	})
	return out
}

func shows(s *store.State) string { return fmt.Sprint(s.Place.Folder, s.Flags, s.Keywords, s.CN) }

func (f *fixture) view(fn func(v *store.View) error) {
	f.t.Helper()
	v, err := f.m.View(ctx)
	if err != nil {
		f.t.Fatal(err)
	}
	defer v.Close()
	if err := fn(v); err != nil {
		f.t.Fatal(err)
	}
}

// mutate does something to the mailbox.
func (f *fixture) mutate(r *rand.Rand, folders []store.FolderID, step int) {
	f.t.Helper()
	f.now = f.now.Add(time.Hour)
	fo, to := folders[r.IntN(len(folders))], folders[r.IntN(len(folders))]
	lo := store.UID(r.IntN(40) + 1)
	set := store.UIDSet{{From: lo, To: lo + store.UID(r.IntN(4))}}
	var err error
	switch r.IntN(12) {
	case 0, 1, 2, 3:
		_, err = f.m.Create(ctx, fo, &store.NewItem{Props: subject(step), Associated: r.IntN(5) == 0, Time: f.now, Foreign: store.Foreign{Href: fmt.Sprint(step, ".ics")}})
	case 4, 5:
		_, err = f.m.SetFlags(ctx, fo, set, store.FlagChange{Set: store.Flags(r.IntN(16)), Clear: store.Flags(r.IntN(16))})
	case 6:
		_, err = f.m.Move(ctx, fo, set, to)
	case 7:
		_, err = f.m.Delete(ctx, fo, set)
	case 8:
		_, err = f.m.Copy(ctx, fo, set, to)
	case 9:
		var oids []store.OID
		f.view(func(v *store.View) error {
			return v.SpaceStates(ctx, fo, store.Normal, func(s *store.State) bool { oids = append(oids, s.OID); return true })
		})
		if len(oids) > 0 {
			_, err = f.m.Save(ctx, oids[r.IntN(len(oids))], &store.Edit{Set: subject(step)})
		}
	case 10:
		var rows []store.RowID
		f.view(func(v *store.View) error {
			return v.Recoverable(ctx, fo, func(s *store.State) bool { rows = append(rows, s.Row); return len(rows) < 2 })
		})
		_, err = f.m.Recover(ctx, fo, rows)
	case 11:
		switch r.IntN(6) {
		case 0:
			_, err = f.m.Horizon(ctx, time.Duration(r.IntN(200))*time.Hour)
		case 1:
			if r.IntN(6) == 0 {
				err = f.m.NewIncarnation(ctx)
			}
		default:
			_, err = f.m.Purge(ctx, fo, f.now)
		}
	}
	if err != nil {
		f.t.Fatal(step, err)
	}
}

func subject(n int) (p mapi.Properties) {
	p.Set(mapi.TagSubject, fmt.Sprint("subject ", n))
	return p
}

// caches are clients of each kind.
type caches struct {
	f       *fixture
	r       *rand.Rand
	folders []store.FolderID
	jmap    map[store.OID]string
	state   Token
	dav     map[string]string
	davTok  Token
	eas     map[store.OID]string
	easKey  uint32
	easDays int
	resyncs int
}

// syncJMAP follows Email/changes, in pages, and starts afresh when it is told
// that changes can not be calculated.
func (c *caches) syncJMAP() {
	t := c.f.t
	for {
		ch, err := Items(ctx, c.f.m, c.state, c.r.IntN(4))
		if model.IsKind(err, model.KindExpired) {
			c.resyncs++
			if c.state, err = Now(ctx, c.f.m, 0); err != nil {
				t.Fatal(err)
			}
			c.jmap = c.f.truth(func(*store.State) bool { return true }, c.folders...)
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		c.f.view(func(v *store.View) error {
			for _, o := range append(append([]store.OID(nil), ch.Created...), ch.Updated...) {
				it, err := v.Item(ctx, o)
				if model.IsKind(err, model.KindNotFound) {
					continue // gone since: the next answer says so
				}
				if err != nil {
					return err
				}
				if _, has := c.jmap[o]; !has && !contains(ch.Created, o) {
					return fmt.Errorf("item %d is told as changed to a client that does not have it", o)
				}
				if it.State.Place.Space == store.Normal {
					c.jmap[o] = shows(&it.State)
				}
			}
			for _, o := range ch.Destroyed {
				delete(c.jmap, o)
			}
			return nil
		})
		tok, err := Parse(ch.Token.String())
		if err != nil || tok != ch.Token {
			t.Fatal(tok, ch.Token, err)
		}
		c.state = tok
		if !ch.More {
			return
		}
	}
}

func contains(ids []store.OID, o store.OID) bool {
	for _, i := range ids {
		if i == o {
			return true
		}
	}
	return false
}

// resource is the name of an item in a DAV collection.
func resource(o store.OID, href string) string {
	if href != "" {
		return href
	}
	return store.ObjectName('M', 1, uint64(o))
}

func (c *caches) syncDAV() {
	t := c.f.t
	for {
		ch, err := CollectionChanges(ctx, c.f.m, c.davTok, c.r.IntN(5))
		if model.IsKind(err, model.KindExpired) {
			c.resyncs++
			tok, err := Now(ctx, c.f.m, store.FolderInbox)
			if err != nil {
				t.Fatal(err)
			}
			tok.Seq = 0
			c.davTok, c.dav = tok, map[string]string{}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		for i := range ch.Changed {
			c.dav[resource(ch.Changed[i].OID, ch.Changed[i].Foreign.Href)] = shows(&ch.Changed[i])
		}
		for _, g := range ch.Removed {
			delete(c.dav, resource(g.OID, g.Href))
		}
		if c.davTok = ch.Token; !ch.More {
			return
		}
	}
}

// syncEAS runs Sync requests until nothing is left; responses get lost.
func (c *caches) syncEAS(step int) {
	t := c.f.t
	collection := [16]byte{7}
	cutoff := c.f.now.Add(-time.Duration(c.easDays) * 24 * time.Hour)
	if c.easDays == 0 {
		cutoff = time.Time{}
	}
	clientID := ""
	if c.r.IntN(3) == 0 {
		clientID = fmt.Sprint("client-", step)
	}
	for {
		r, err := Begin(ctx, c.f.m, [16]byte{1}, collection, store.FolderInbox, c.easKey)
		if model.IsKind(err, model.KindExpired) {
			c.resyncs++
			c.easKey, c.eas = 0, map[store.OID]string{}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		mine := map[store.OID]string{}
		if clientID != "" && c.easKey != 0 {
			o, again := r.Repeated(clientID)
			if !again {
				s, err := c.f.m.Create(ctx, store.FolderInbox, &store.NewItem{Props: subject(step), Time: c.f.now})
				if err != nil {
					t.Fatal(err)
				}
				r.Added(clientID, s)
				o = s.OID
				mine[o] = shows(s)
			} else {
				c.f.view(func(v *store.View) error {
					it, err := v.Item(ctx, o)
					if err == nil {
						mine[o] = shows(&it.State)
						r.Changed(&it.State)
					}
					return err
				})
			}
		}
		cmds, more, err := r.Commands(ctx, 1+c.r.IntN(5), cutoff)
		if err != nil {
			t.Fatal(err)
		}
		key, err := r.Commit(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if c.r.IntN(4) == 0 && c.easKey != 0 {
			continue // the response was lost: the same request again
		}
		maps.Copy(c.eas, mine)
		if len(mine) > 0 {
			clientID = ""
		}
		for _, cmd := range cmds {
			switch _, has := c.eas[cmd.OID]; {
			case cmd.Kind == Add && has:
				t.Fatalf("item %d is added twice", cmd.OID)
			case cmd.Kind != Add && !has:
				t.Fatalf("command %d for item %d, which the device does not have", cmd.Kind, cmd.OID)
			case cmd.Kind == Delete || cmd.Kind == SoftDelete:
				delete(c.eas, cmd.OID)
			default:
				c.eas[cmd.OID] = shows(cmd.State)
			}
		}
		if c.easKey = key; !more && key > 1 {
			return
		}
	}
}

func (c *caches) compare(step int) {
	t := c.f.t
	all := func(*store.State) bool { return true }
	if want := c.f.truth(all, c.folders...); !maps.Equal(want, c.jmap) {
		t.Fatalf("step %d: JMAP client has %v, server %v", step, c.jmap, want)
	}
	want := map[string]string{}
	c.f.view(func(v *store.View) error {
		return v.SpaceStates(ctx, store.FolderInbox, store.Normal, func(s *store.State) bool {
			want[resource(s.OID, s.Foreign.Href)] = shows(s)
			return true
		})
	})
	if !maps.Equal(want, c.dav) {
		t.Fatalf("step %d: DAV client has %v, server %v", step, c.dav, want)
	}
	cutoff := c.f.now.Add(-time.Duration(c.easDays) * 24 * time.Hour)
	if want := c.f.truth(func(s *store.State) bool { return c.easDays == 0 || !s.Time.Before(cutoff) }, store.FolderInbox); !maps.Equal(want, c.eas) {
		t.Fatalf("step %d: device has %v, server %v", step, c.eas, want)
	}
}

// TestCachesConverge lets clients of each protocol follow random changes.
func TestCachesConverge(t *testing.T) {
	for seed := range uint64(6) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			f, r := newFixture(t), rand.New(rand.NewPCG(seed, 5))
			c := &caches{f: f, r: r, folders: []store.FolderID{store.FolderInbox, store.FolderDrafts}, jmap: map[store.OID]string{}, dav: map[string]string{}, eas: map[store.OID]string{}}
			c.davTok.Folder = store.FolderInbox
			for step := range 400 {
				f.mutate(r, c.folders, step)
				if r.IntN(5) != 0 {
					continue
				}
				c.easDays = []int{0, 1, 3, 3, 3}[r.IntN(5)]
				c.syncEAS(step)
				c.syncJMAP()
				c.syncDAV()
				c.compare(step)
			}
			if c.resyncs > 60 {
				t.Errorf("%d times a client had to start afresh", c.resyncs)
			}
		})
	}
}

func TestFolders(t *testing.T) {
	f := newFixture(t)
	tok, err := Now(ctx, f.m, 0)
	if err != nil {
		t.Fatal(err)
	}
	a, err := f.m.CreateFolder(ctx, store.FolderInbox, "a", "")
	if err != nil {
		t.Fatal(err)
	}
	step := func(want string) {
		t.Helper()
		got, err := Folders(ctx, f.m, tok, 0)
		if err != nil {
			t.Fatal(err)
		}
		if s := fmt.Sprint(got.Created, got.Updated, got.Destroyed, got.OnlyCounts); s != want {
			t.Errorf("%s, want %s", s, want)
		}
		tok = got.Token
	}
	step(fmt.Sprintf("[%d] [] [] false", a.ID))
	if _, err := f.m.Append(ctx, a.ID, &store.NewItem{}); err != nil {
		t.Fatal(err)
	}
	step(fmt.Sprintf("[] [%d] [] true", a.ID))
	if err := f.m.SetSubscribed(ctx, a.ID, true); err != nil {
		t.Fatal(err)
	}
	step(fmt.Sprintf("[] [%d] [] false", a.ID))
	if err := f.m.DeleteFolder(ctx, a.ID); err != nil {
		t.Fatal(err)
	}
	step(fmt.Sprintf("[] [%d] [%d] true", store.FolderDeletedItems, a.ID))
	step("[] [] [] true")
	if _, err := CollectionChanges(ctx, f.m, Token{Incarnation: tok.Incarnation, Folder: a.ID}, 0); !model.IsKind(err, model.KindNotFound) {
		t.Errorf("a folder that is gone: %v", err)
	}
}

func TestTokens(t *testing.T) {
	for _, s := range []string{"", "!", "AA", Token{1, 2, 3, 4}.String() + "A", Token{1, 2, 3, 4}.String()[2:]} {
		if tok, err := Parse(s); !model.IsKind(err, model.KindInvalid) {
			t.Errorf("%q is %+v, %v", s, tok, err)
		}
	}
}

func FuzzTokens(f *testing.F) {
	f.Add(Token{1, 2, 3, 4}.String())
	f.Fuzz(func(t *testing.T, s string) {
		tok, err := Parse(s)
		if err != nil {
			return
		}
		if again, err := Parse(tok.String()); err != nil || again != tok {
			t.Errorf("%+v becomes %+v, %v", tok, again, err)
		}
	})
}

func FuzzDeviceState(f *testing.F) {
	s := deviceState{1, 2, 3, map[store.OID]bool{5: true, 9: true}, map[string]uint64{"a": 5}}
	f.Add(s.encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := decodeDevice(b)
		if err != nil {
			if !errors.As(err, new(*model.Error)) {
				t.Error(err)
			}
			return
		}
		if again, err := decodeDevice(s.encode()); err != nil || !maps.Equal(again.have, s.have) || !maps.Equal(again.adds, s.adds) {
			t.Errorf("%+v becomes %+v, %v", s, again, err)
		}
	})
}
