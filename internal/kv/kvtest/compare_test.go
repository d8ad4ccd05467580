package kvtest_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"rialto/internal/kv"
	"rialto/internal/kv/memory"
	"rialto/internal/kv/pebble"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// twins does everything on two engines and compares the answers.
type twins struct {
	t     *rapid.T
	fs    *vfs.MemFS
	mem   *memory.DB
	peb   kv.DB
	snaps [][2]kv.Snapshot
}

var bg = context.Background()

func (w *twins) openPebble() {
	db, err := pebble.Open(pebble.Options{Dir: "d", FS: w.fs, Ballast: -1})
	if err != nil {
		w.t.Fatal(err)
	}
	w.peb = db
}

func (w *twins) key() []byte {
	n := rapid.IntRange(0, 60).Draw(w.t, "key")
	return fmt.Appendf(nil, "%0*d", 1+n%3, n)
}

func (w *twins) commit(*rapid.T) {
	a, b := w.mem.NewBatch(), w.peb.NewBatch()
	for range rapid.IntRange(0, 12).Draw(w.t, "ops") {
		switch k := w.key(); rapid.IntRange(0, 5).Draw(w.t, "op") {
		case 0:
			a.Delete(k)
			b.Delete(k)
		case 1:
			to := w.key()
			a.DeleteRange(k, to)
			b.DeleteRange(k, to)
		default:
			v := fmt.Appendf(nil, "%d", rapid.IntRange(0, 1000).Draw(w.t, "value"))
			a.Set(k, v)
			b.Set(k, v)
		}
	}
	if a.Size() != b.Size() || a.Count() != b.Count() {
		w.t.Fatalf("size %d and %d, count %d and %d", a.Size(), b.Size(), a.Count(), b.Count())
	}
	for i, db := range []kv.DB{w.mem, w.peb} {
		c, err := db.Commit(bg, []kv.Batch{a, b}[i])
		if err != nil {
			w.t.Fatal(err)
		}
		if err := c.Wait(bg); err != nil {
			w.t.Fatal(err)
		}
	}
}

func (w *twins) snapshot(*rapid.T) {
	if len(w.snaps) > 3 {
		w.snaps[0][0].Close()
		w.snaps[0][1].Close()
		w.snaps = w.snaps[1:]
	}
	var pair [2]kv.Snapshot
	for i, db := range []kv.DB{w.mem, w.peb} {
		s, err := db.NewSnapshot("twins", time.Minute)
		if err != nil {
			w.t.Fatal(err)
		}
		pair[i] = s
	}
	w.snaps = append(w.snaps, pair)
}

// readers draws the two databases or the two halves of a snapshot.
func (w *twins) readers() (a, b kv.Reader) {
	if i := rapid.IntRange(0, len(w.snaps)).Draw(w.t, "reader"); i < len(w.snaps) {
		return w.snaps[i][0], w.snaps[i][1]
	}
	return w.mem, w.peb
}

func (w *twins) scan(*rapid.T) {
	r := kv.Range{Reverse: rapid.Bool().Draw(w.t, "reverse"), Limit: rapid.IntRange(0, 10).Draw(w.t, "limit")}
	if rapid.Bool().Draw(w.t, "has lower") {
		r.Lower = w.key()
	}
	if rapid.Bool().Draw(w.t, "has upper") {
		r.Upper = w.key()
	}
	a, b := w.readers()
	if x, y := dump(w.t, a, r), dump(w.t, b, r); x != y {
		w.t.Fatalf("scan %+v\nmemory %s\npebble %s", r, x, y)
	}
}

func dump(t *rapid.T, r kv.Reader, rg kv.Range) string {
	var out strings.Builder
	it := r.Scan(bg, rg)
	for it.Next() {
		fmt.Fprintf(&out, "%s=%s ", it.Key(), it.Value())
	}
	if err := it.Close(); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func (w *twins) get(*rapid.T) {
	keys := [][]byte{w.key(), w.key(), w.key()}
	a, b := w.readers()
	x, err := a.GetMany(bg, keys)
	if err != nil {
		w.t.Fatal(err)
	}
	y, err := b.GetMany(bg, keys)
	if err != nil {
		w.t.Fatal(err)
	}
	for i := range keys {
		if string(x[i]) != string(y[i]) || (x[i] == nil) != (y[i] == nil) {
			w.t.Fatalf("%q: memory %q, pebble %q", keys[i], x[i], y[i])
		}
	}
}

// reopen closes both, or takes their power; all commits were waited for.
func (w *twins) reopen(*rapid.T) {
	w.closeSnaps()
	cut := rapid.Bool().Draw(w.t, "power cut")
	survivor := w.fs
	if cut {
		survivor = w.fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 50, RNG: rand.New(rand.NewPCG(1, 2))})
		w.mem.PowerCut()
	} else if err := w.mem.Close(); err != nil {
		w.t.Fatal(err)
	}
	if err := w.peb.Close(); err != nil {
		w.t.Fatal(err)
	}
	w.fs = survivor
	m, err := w.mem.Reopen()
	if err != nil {
		w.t.Fatal(err)
	}
	w.mem = m
	w.openPebble()
}

func (w *twins) closeSnaps() {
	for _, p := range w.snaps {
		p[0].Close()
		p[1].Close()
	}
	w.snaps = nil
}

// TestEnginesAgree runs random operations on the memory and the pebble engine.
func TestEnginesAgree(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := &twins{t: t, fs: vfs.NewCrashableMem(), mem: memory.New(memory.Options{})}
		w.openPebble()
		defer func() {
			w.closeSnaps()
			_ = w.mem.Close()
			_ = w.peb.Close()
		}()
		t.Repeat(map[string]func(*rapid.T){
			"commit":   w.commit,
			"commit2":  w.commit,
			"snapshot": w.snapshot,
			"scan":     w.scan,
			"get":      w.get,
			"reopen":   w.reopen,
			"":         func(*rapid.T) {},
		})
		if x, y := dump(t, w.mem, kv.Range{}), dump(t, w.peb, kv.Range{}); x != y {
			t.Fatalf("at the end\nmemory %s\npebble %s", x, y)
		}
	})
}
