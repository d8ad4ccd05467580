package storetest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"rialto/internal/mapi"
	"rialto/internal/model"
	"rialto/internal/store"
	"rialto/internal/store/content"
	"rialto/internal/store/ics"
)

var ctx = context.Background()

// world is two databases with mailboxes, the sessions that work on them, and
// the clients that keep copies. Rounds of concurrent work, which a power cut
// may end, take turns with pauses in which everything is compared.
type world struct {
	t      *testing.T
	rng    *rand.Rand
	medium medium
	guids  [2]model.GUID
	dbs    [2]*store.Database
	boxes  []*box
	ticks  atomic.Int64 // seconds since the epoch of the world

	// alive is held for reading while an answer is noted, for writing while the
	// power goes: what was answered before was durable.
	alive  sync.RWMutex
	dead   atomic.Bool
	cutNow bool // in this round

	ledger  ledger
	next    atomic.Int64 // tokens
	pending []*delivery  // whose outcome is not known
	mu      sync.Mutex   // pending

	saved *checkpoint
	count counts
}

// box is a mailbox and its clients.
type box struct {
	guid   model.GUID
	at     int // database
	caches []Cache
	osts   []*OST
}

// counts say what a run has done.
type counts struct {
	ops                                                 atomic.Int64
	rounds, cuts, restores, moves, incarnations, checks int
}

func (c *counts) String() string {
	return fmt.Sprintf("%d operations in %d rounds, %d power cuts, %d restores, %d moves between databases, %d new incarnations, %d copies compared",
		c.ops.Load(), c.rounds, c.cuts, c.restores, c.moves, c.incarnations, c.checks)
}

type delivery struct {
	token string
	to    []model.GUID
	size  int
	db    int
}

type checkpoint struct {
	db    int
	name  string
	count map[string]int
}

func (w *world) now() time.Time {
	return time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(w.ticks.Add(1)) * time.Minute)
}

func newWorld(t *testing.T, m medium, r *rand.Rand) *world {
	w := &world{t: t, rng: r, medium: m, guids: [2]model.GUID{model.NewGUID(), model.NewGUID()}, ledger: ledger{min: map[string]int{}, max: map[string]int{}, story: map[string][]string{}}}
	w.open()
	for i := range 3 {
		g := model.NewGUID()
		if _, err := w.dbs[i%2].CreateMailbox(ctx, g, fmt.Sprint("box ", i)); err != nil {
			t.Fatal(err)
		}
		w.boxes = append(w.boxes, &box{guid: g, at: i % 2})
	}
	for _, b := range w.boxes {
		for _, f := range []store.FolderID{store.FolderInbox, store.FolderDrafts} {
			o := NewOST(f, ics.Options{Normal: true, Associated: true, ReadState: true}, w.now)
			b.osts = append(b.osts, o)
			b.caches = append(b.caches, o, NewOST(f, ics.Options{Normal: true, ReadState: true}, w.now), &IMAP{Folder: f}, &DAV{Folder: f},
				&EAS{Folder: f, Device: [16]byte{byte(f)}, Clock: w.now})
		}
		b.caches = append(b.caches, &JMAP{})
	}
	return w
}

// open opens both databases as the medium has them.
func (w *world) open() {
	w.t.Helper()
	w.dead.Store(false)
	for i := range w.dbs {
		w.openOne(i)
	}
}

func (w *world) openOne(i int) {
	w.t.Helper()
	e, err := w.medium.open(i)
	if err != nil {
		w.t.Fatal(err)
	}
	w.dbs[i], err = store.Open(ctx, e, store.Options{GUID: w.guids[i], Name: fmt.Sprint("db", i), Clock: w.now,
		Content: content.Options{InlineMax: 2000, SegmentSize: 200000, Grace: time.Hour}})
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) mailbox(b *box) (*store.Mailbox, error) { return w.dbs[b.at].Mailbox(ctx, b.guid) }

// noted runs fn if the power is on: an answer that came after it went is none.
func (w *world) noted(fn func()) bool {
	w.alive.RLock()
	defer w.alive.RUnlock()
	if !w.dead.Load() {
		fn()
	}
	return !w.dead.Load()
}

// cut loses the power and opens everything again.
func (w *world) cut() {
	w.alive.Lock()
	w.dead.Store(true)
	w.medium.cut()
	w.alive.Unlock()
	w.count.cuts++
}

// run works for a number of rounds, or until a time.
func (w *world) run(rounds int, until time.Time) {
	for n := 0; n < rounds || time.Now().Before(until); n++ {
		w.count.rounds++
		w.cutNow = w.rng.IntN(3) == 0
		w.round(w.cutNow)
		w.settle()
		w.pause(n)
		if w.t.Failed() {
			w.t.FailNow()
		}
	}
	w.verify()
	for _, db := range w.dbs {
		if err := db.Close(); err != nil {
			w.t.Error(err)
		}
	}
	w.t.Log(&w.count)
}

// round lets sessions and clients work at the same time.
func (w *world) round(cut bool) {
	var sessions sync.WaitGroup
	for range 3 {
		r := rand.New(rand.NewPCG(w.rng.Uint64(), 1))
		sessions.Go(func() {
			for range 4 + r.IntN(8) {
				if w.dead.Load() {
					return
				}
				w.operate(r)
			}
		})
	}
	r := rand.New(rand.NewPCG(w.rng.Uint64(), 2))
	sessions.Go(func() {
		for range 1 + r.IntN(4) {
			b := w.boxes[r.IntN(len(w.boxes))]
			m, err := w.mailbox(b)
			if err == nil {
				err = b.caches[r.IntN(len(b.caches))].Sync(ctx, m, r)
			}
			w.tolerate("sync", err)
		}
	})
	if cut {
		time.Sleep(time.Duration(w.rng.IntN(4000)) * time.Microsecond)
		w.cut()
	}
	sessions.Wait()
	if cut {
		w.open()
	}
}

// tolerate fails the test for an error that has no excuse.
func (w *world) tolerate(what string, err error) {
	if err == nil {
		return
	}
	for _, k := range []model.Kind{model.KindNotFound, model.KindConflict, model.KindExists} {
		if model.IsKind(err, k) {
			return
		}
	}
	w.noted(func() { w.t.Errorf("%s: %v", what, err) })
}

// settle delivers again what may or may not have been delivered.
func (w *world) settle() {
	for _, d := range w.pending {
		w.ledger.note(d.token, "settling")
		if err := w.deliver(d); err != nil {
			w.t.Errorf("second try of a delivery: %v", err)
		}
	}
	w.pending = nil
	journal := w.ledger.story[""]
	w.ledger.check(w.t, w.tokens(-1))
	if w.t.Failed() {
		w.t.Logf("round %d, power cut in it: %v, %v", w.count.rounds, w.cutNow, &w.count)
		w.t.Logf("in this round:\n%s", strings.Join(journal, "\n"))
		w.explain()
	}
}

// tokens counts the items of each token in a database, or in both (-1).
func (w *world) tokens(db int) map[string]int {
	w.t.Helper()
	n := map[string]int{}
	for _, b := range w.boxes {
		if db >= 0 && b.at != db {
			continue
		}
		m, err := w.mailbox(b)
		if err == nil {
			err = Look(ctx, m, func(v *store.View) error {
				folders, err := v.Folders(ctx)
				if err != nil {
					return err
				}
				for f := range folders {
					for _, sp := range []store.Space{store.Normal, store.Associated, store.Deleted} {
						if err := v.Items(ctx, store.Place{Folder: f, Space: sp}, store.WantSummary, func(it *store.ItemRow) bool {
							if raw, err := mapi.Lookup(it.Summary, mapi.TagSubject); err == nil && raw.Found() {
								n[tokenOf(raw.Value().(string))]++
							}
							return true
						}); err != nil {
							return err
						}
					}
				}
				return nil
			})
		}
		if err != nil {
			w.t.Fatal(err)
		}
	}
	return n
}

// tokenOf is the first word of a subject.
func tokenOf(s string) string {
	word, _, _ := strings.Cut(s, " ")
	return word
}

// ledger knows how many items of each token there must and may be, and what
// happened to them in this round.
type ledger struct {
	mu       sync.Mutex
	min, max map[string]int
	story    map[string][]string
}

// note keeps what was done to items of a token, in the order of the answers.
func (l *ledger) note(token, format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.story[token] = append(l.story[token], fmt.Sprintf(format, args...))
}

func (l *ledger) add(token string, min, max int) {
	if !strings.HasPrefix(token, "token") {
		return // made by a client, which knows itself what it made
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.min[token] += min
	l.max[token] += max
}

func (l *ledger) check(t *testing.T, have map[string]int) {
	t.Helper()
	for token, max := range l.max {
		if n := have[token]; n < l.min[token] || n > max {
			t.Errorf("%d items of %s, should be %d to %d:\n%s", n, token, l.min[token], max, strings.Join(l.story[token], "\n"))
		}
		// What is there now is there for good.
		l.min[token], l.max[token] = have[token], have[token]
	}
	clear(l.story)
}

// explain tells what the databases know, after something was lost.
func (w *world) explain() {
	for i, b := range w.boxes {
		m, err := w.mailbox(b)
		if err != nil {
			w.t.Log(err)
			continue
		}
		w.t.Logf("box %d, %s, in database %d, last id %d, header %+v", i, b.guid, b.at, m.LastID(), m.Header())
		err = Look(ctx, m, func(v *store.View) error {
			folders, err := v.Folders(ctx)
			for _, f := range folders {
				if f.Counts.Total+f.Counts.Deleted > 0 {
					w.t.Logf("  folder %d %s: %+v", f.ID, f.Name, f.Counts)
				}
			}
			if err != nil {
				return err
			}
			var last []store.Change
			_, err = v.MailboxChanges(ctx, 0, func(c *store.Change) bool {
				if last = append(last, *c); len(last) > 40 {
					last = last[1:]
				}
				return true
			})
			for _, c := range last {
				w.t.Logf("  %+v", c)
			}
			return err
		})
		if err != nil {
			w.t.Log(err)
		}
	}
	w.verify()
}
