package fsck_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"rialto/internal/kv"
	"rialto/internal/kv/pebble"
	"rialto/internal/mapi"
	"rialto/internal/model"
	"rialto/internal/store"
	"rialto/internal/store/content"
	"rialto/internal/store/fsck"
	"rialto/internal/store/layout"
)

var repairOptions = store.Options{GUID: model.GUID{1}, Name: "Mailbox Store"}

// damageable writes a database to a directory and returns the bodies of its
// items by subject.
func damageable(t *testing.T, dir string) map[string]string {
	t.Helper()
	return manyItems(t, func() (kv.DB, error) { return pebble.Open(pebble.Options{Dir: dir, Ballast: -1}) })
}

// manyItems fills two mailboxes, with the database opened three times.
func manyItems(t *testing.T, open func() (kv.DB, error)) map[string]string {
	t.Helper()
	bodies := map[string]string{}
	rnd := rand.New(rand.NewPCG(1, 2))
	for round := range 3 {
		e, err := open()
		if err != nil {
			t.Fatal(err)
		}
		opt := repairOptions
		opt.Content = content.Options{InlineMax: 2000, SegmentSize: 300000}
		d, err := store.Open(ctx, e, opt)
		if err != nil {
			t.Fatal(err)
		}
		for n := range 2 {
			m, err := d.Mailbox(ctx, model.GUID{byte(n + 2)})
			if model.IsKind(err, model.KindNotFound) {
				m, err = d.CreateMailbox(ctx, model.GUID{byte(n + 2)}, []string{"Alice", "Bob"}[n])
			}
			if err != nil {
				t.Fatal(err)
			}
			f := &fixture{t: t, db: d}
			for i := range 60 {
				subject := fmt.Sprintf("%d-%d-%d", n, round, i)
				b := make([]byte, 200+rnd.IntN(2)*rnd.IntN(20000))
				for i := range b {
					b[i] = byte(' ' + rnd.IntN(90))
				}
				it := f.item(subject + " " + string(b))
				it.Summary.Props.Set(mapi.TagSubject, subject)
				it.Summary.Props.Set(mapi.TagSenderName, "Carol")
				it.Time = time.Unix(1e9, 0)
				if _, err := m.Append(ctx, []store.FolderID{store.FolderInbox, store.FolderDrafts}[i%2], it); err != nil {
					t.Fatal(err)
				}
				bodies[subject] = subject + " " + string(b)
			}
		}
		if err := d.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return bodies
}

// whatIsThere returns the bodies of items that can be read, by subject.
func whatIsThere(t *testing.T, d *store.Database) map[string]string {
	t.Helper()
	out := map[string]string{}
	boxes, err := d.Mailboxes(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range boxes {
		m, err := d.Mailbox(ctx, h.GUID)
		if err != nil {
			t.Fatal(err)
		}
		v, err := m.View(ctx)
		if err != nil {
			t.Fatal(err)
		}
		defer v.Close()
		folders, err := v.Folders(ctx)
		if err != nil {
			t.Fatal(err)
		}
		for id := range folders {
			var places []store.Place
			if err := v.States(ctx, id, 1, ^store.UID(0), func(s *store.State) bool { places = append(places, s.Place); return true }); err != nil {
				t.Fatal(err)
			}
			for _, p := range places {
				it, err := v.ItemAt(ctx, p)
				if err != nil {
					t.Fatal(err)
				}
				text := ""
				if it.Stream.Content != 0 {
					text = body(t, m, it.State.Row)
				}
				subject := it.Summary.Props.Text(mapi.TagSubject)
				if subject == "" {
					subject, _, _ = strings.Cut(text, " ")
				}
				if subject == "" && text == "" {
					continue // of which only that it was there is left
				}
				if _, twice := out[subject]; twice {
					t.Errorf("%q is there twice", subject)
				}
				out[subject] = text
			}
		}
	}
	return out
}

// TestRepair damages a database in every way that a disk has, and finds that
// each item is there as it was, or named as lost.
func TestRepair(t *testing.T) {
	origin := filepath.Join(t.TempDir(), "origin")
	bodies := damageable(t, origin)
	for name, c := range map[string]struct {
		damage func(t *testing.T, dir string)
		loses  bool
	}{
		"nothing":             {func(*testing.T, string) {}, false},
		"a block of a table":  {func(t *testing.T, dir string) { flip(t, largest(t, dir, "db/*.sst"), 0.3) }, true},
		"three of a table":    {func(t *testing.T, dir string) { flip(t, largest(t, dir, "db/*.sst"), 0.15, 0.5, 0.8) }, true},
		"its beginning":       {func(t *testing.T, dir string) { flip(t, largest(t, dir, "db/*.sst"), 0.0001) }, true},
		"a table":             {func(t *testing.T, dir string) { remove(t, largest(t, dir, "db/*.sst")) }, true},
		"octets of a segment": {func(t *testing.T, dir string) { flip(t, largest(t, dir, "segments/*.seg"), 0.5) }, true},
		"a segment":           {func(t *testing.T, dir string) { remove(t, largest(t, dir, "segments/*.seg")) }, true},
		"the manifest":        {func(t *testing.T, dir string) { remove(t, largest(t, dir, "db/MANIFEST*")) }, false},
		"the manifest's name": {func(t *testing.T, dir string) { remove(t, largest(t, dir, "db/marker.manifest*")) }, false},
		"the segments' index": {func(t *testing.T, dir string) { dropRows(t, dir, 0x04, 0x07) }, false},
		"content headers":     {func(t *testing.T, dir string) { dropRows(t, dir, 0x03) }, true},
		"the logs":            {func(t *testing.T, dir string) { dropBoxRows(t, dir, layout.SubLog, layout.SubFolderLog) }, false},
		"all indexes": {func(t *testing.T, dir string) {
			dropBoxRows(t, dir, layout.SubCounts, layout.SubFolderName, layout.SubByOID, layout.SubByMID, layout.SubByMessageID, layout.SubConversation, layout.SubByTime, layout.SubCounters)
		}, false},
		"all references": {func(t *testing.T, dir string) { dropRows(t, dir, 0x05) }, false},
		"all folders":    {func(t *testing.T, dir string) { dropBoxRows(t, dir, layout.SubFolder) }, true},
		"all states":     {func(t *testing.T, dir string) { dropBoxRows(t, dir, layout.SubState) }, true},
		"all summaries":  {func(t *testing.T, dir string) { dropBoxRows(t, dir, layout.SubSummary) }, true},
		"the directory":  {func(t *testing.T, dir string) { dropRows(t, dir, layout.SpaceMailboxDir) }, false},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "damaged")
			if err := os.CopyFS(dir, os.DirFS(origin)); err != nil {
				t.Fatal(err)
			}
			c.damage(t, dir)
			rep, d := repaired(t, dir)
			for _, p := range rep.Problems {
				t.Error(p)
			}
			there := whatIsThere(t, d)
			lost := map[string]bool{}
			nameless := 0
			for _, l := range rep.Losses {
				lost[l.Subject] = true
				nameless += l.Items
				if l.Subject == "" && l.What == "its content is lost" {
					nameless++ // neither headers nor content are left to name it by
				}
			}
			gone := 0
			for subject, text := range bodies {
				switch {
				case there[subject] == text:
				case lost[subject]:
					gone++
				case name == "a table" && !strings.Contains(subject, "-2-"):
					gone++ // all that was known of it was in that table
				case there[subject] == "" && nameless > 0:
					nameless--
					gone++
				default:
					t.Errorf("%q is not there as it was, and nothing says so", subject)
				}
			}
			t.Logf("%d of %d items are whole; %d losses, %d mailboxes, %d recovered, %d notes", len(bodies)-gone, len(bodies), len(rep.Losses), rep.Mailboxes, rep.Recovered, len(rep.Notes))
			if (len(rep.Losses) > 0) != c.loses {
				t.Errorf("losses: %v", rep.Losses[:min(3, len(rep.Losses))])
			}
			if len(there) > len(bodies) {
				t.Errorf("items that never were: %q", slices.Sorted(maps.Keys(there)))
			}
			if err := d.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// repaired salvages a directory and repairs the result.
func repaired(t *testing.T, dir string) (*fsck.Repaired, *store.Database) {
	t.Helper()
	fresh := dir + ".fresh"
	if err := pebble.CopySegments(ctx, nil, dir, fresh); err != nil {
		t.Fatal(err)
	}
	e, err := pebble.Open(pebble.Options{Dir: fresh, Ballast: -1})
	if err != nil {
		t.Fatal(err)
	}
	b := e.NewBatch()
	found, err := pebble.Salvage(ctx, pebble.Options{Dir: dir}, dir+".scratch", func(k, v []byte) error { b.Set(k, v); return nil })
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d rows; %q", found.Rows, found.Damage)
	if _, err := e.Commit(ctx, b); err != nil {
		t.Fatal(err)
	}
	rep, err := store.Repair(ctx, e, repairOptions)
	if err != nil {
		t.Fatal(err)
	}
	d, err := store.Open(ctx, e, repairOptions)
	if err != nil {
		t.Fatal(err)
	}
	return rep, d
}

func largest(t *testing.T, dir, pattern string) (out string) {
	t.Helper()
	list, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil || len(list) == 0 {
		t.Fatal(list, err)
	}
	most := int64(-1)
	for _, p := range list {
		if st, err := os.Stat(p); err == nil && st.Size() > most {
			out, most = p, st.Size()
		}
	}
	return out
}

func flip(t *testing.T, path string, at ...float64) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range at {
		for i := range 16 {
			b[int(float64(len(b))*a)+i] ^= 0x55
		}
	}
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
}

func dropRows(t *testing.T, dir string, spaces ...byte) {
	t.Helper()
	ranges := [][]byte{}
	for _, s := range spaces {
		ranges = append(ranges, []byte{s})
	}
	dropRanges(t, dir, ranges)
}

func dropBoxRows(t *testing.T, dir string, subs ...byte) {
	t.Helper()
	ranges := [][]byte{}
	for _, s := range subs {
		ranges = append(ranges, layout.Number(1).Key(s)) // the other mailbox stays
	}
	dropRanges(t, dir, ranges)
}

func dropRanges(t *testing.T, dir string, prefixes [][]byte) {
	t.Helper()
	e, err := pebble.Open(pebble.Options{Dir: dir, Ballast: -1})
	if err != nil {
		t.Fatal(err)
	}
	b := e.NewBatch()
	for _, p := range prefixes {
		b.DeleteRange(p, layout.PrefixEnd(p))
	}
	var c kv.Commit
	if c, err = e.Commit(ctx, b); err == nil {
		err = c.Wait(ctx)
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
}
