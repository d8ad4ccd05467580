package imap

import (
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"rialto/internal/protocol/transcript"
	"rialto/internal/store"
	wire "rialto/internal/wire/imap"
)

// watcher is a client that keeps the numbering it was told and objects to
// whatever contradicts it.
type watcher struct {
	t    *testing.T
	c    *wire.Client
	nc   net.Conn
	name string
	poke func()   // makes something change
	uids []uint64 // by number - 1; 0: not told yet
	log  []string
}

func watch(t *testing.T, dial func() net.Conn, name string, enable string) *watcher {
	nc := dial()
	nc.SetDeadline(time.Now().Add(30 * time.Second))
	c, err := wire.NewClient(nc)
	if err != nil {
		t.Fatal(err)
	}
	w := &watcher{t: t, c: c, nc: nc, name: name}
	t.Cleanup(func() { c.Close() })
	w.run("LOGIN alice pw")
	if enable != "" {
		w.run("ENABLE " + enable)
	}
	w.run("SELECT INBOX")
	return w
}

// run sends a command and takes in its responses.
func (w *watcher) run(cmd string) *wire.Result {
	w.t.Helper()
	res, err := w.c.Command(cmd)
	w.log = append(w.log, cmd)
	if err != nil {
		w.fail("%s: %v", cmd, err)
	}
	for _, u := range res.Untagged {
		w.take(cmd, u)
	}
	return res
}

func (w *watcher) fail(format string, args ...any) {
	w.t.Helper()
	w.t.Fatalf("%s: %s\nlast: %s\nknows: %v", w.name, fmt.Sprintf(format, args...), strings.Join(w.log[max(0, len(w.log)-10):], " | "), w.uids)
}

func (w *watcher) take(cmd string, u *wire.Response) {
	w.t.Helper()
	n := 0
	if len(u.Data) > 0 {
		n = int(u.Data[0].Num())
	}
	switch u.Name() {
	case "EXISTS":
		if n < len(w.uids) {
			w.fail("EXISTS %d of %d", n, len(w.uids))
		}
		w.uids = append(w.uids, make([]uint64, n-len(w.uids))...)
	case "EXPUNGE":
		if verb, _, _ := strings.Cut(cmd, " "); n < 1 || n > len(w.uids) || !mayExpunge(verb) {
			w.fail("EXPUNGE %d of %d in %s", n, len(w.uids), cmd)
		}
		w.uids = slices.Delete(w.uids, n-1, n)
	case "VANISHED":
		set, err := wire.ParseSeqSet(u.Data[1].Str)
		if err != nil {
			w.fail("%v", err)
		}
		before := len(w.uids)
		w.uids = slices.DeleteFunc(w.uids, func(uid uint64) bool { return uid != 0 && set.Contains(uint32(uid), 0) })
		var gone int
		for _, g := range set.Ranges {
			gone += int(g.To-g.From) + 1
		}
		// Those whose UID was not told yet are among the last.
		for gone -= before - len(w.uids); gone > 0; gone-- {
			last := len(w.uids) - 1
			if last < 0 || w.uids[last] != 0 {
				w.fail("VANISHED %v, and %d are not known", u.Data[1], gone)
			}
			w.uids = w.uids[:last]
		}
	case "FETCH":
		uid, ok := u.Data[2].Get("UID")
		switch {
		case n < 1 || n > len(w.uids):
			w.fail("FETCH %d of %d", n, len(w.uids))
		case !ok:
		case w.uids[n-1] != 0 && w.uids[n-1] != uid.Num():
			w.fail("message %d is UID %d and was %d", n, uid.Num(), w.uids[n-1])
		default:
			w.uids[n-1] = uid.Num()
		}
	}
}

// Random sessions on one mailbox never contradict themselves and end up with
// what the store has.
func TestRandomSessions(t *testing.T) {
	seeds := []uint64{1, 2, 3, 4}
	if testing.Short() {
		seeds = seeds[:1]
	}
	for _, seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { randomSessions(t, rand.New(rand.NewPCG(seed, 7))) })
	}
}

// Sessions that run at once, some of them idle, agree in the end too.
func TestParallelSessions(t *testing.T) {
	site := transcript.NewSite(t, nil, "alice")
	_, dial := serve(site, Settings{})
	site.Deliver("alice", "", transcript.Mail("one", "bob@x.test", "text"), transcript.Mail("two", "bob@x.test", "text"))
	ws := []*watcher{watch(t, dial, "one", ""), watch(t, dial, "two", "CONDSTORE"), watch(t, dial, "three", ""), watch(t, dial, "four", "")}
	var busy sync.WaitGroup
	for i, w := range ws {
		w.poke = func() { site.Deliver("alice", "", transcript.Mail("poke", "bob@x.test", "text")) }
		busy.Go(func() {
			rnd := rand.New(rand.NewPCG(uint64(i), 3))
			for range 60 {
				switch n := len(w.uids); rnd.IntN(7) {
				case 0:
					w.run("UID STORE 1:* +FLAGS.SILENT (\\Deleted)")
				case 1:
					w.run("EXPUNGE")
				case 2:
					if n > 0 {
						w.run(fmt.Sprintf("FETCH %d (UID FLAGS BODY.PEEK[])", 1+rnd.IntN(n)))
					}
				case 3:
					w.idle(time.Duration(rnd.IntN(20)) * time.Millisecond)
				case 4:
					if n > 0 {
						w.run("COPY * INBOX")
					}
				default:
					site.Deliver("alice", "", transcript.Mail("new", "bob@x.test", "text"))
				}
			}
		})
	}
	busy.Wait()
	v, err := site.Box("alice").View(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	f, err := v.Folder(t.Context(), store.FolderInbox)
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range ws {
		w.run("NOOP")
		if len(w.uids) != int(f.Counts.Total) {
			w.fail("the store has %d", f.Counts.Total)
		}
	}
}

// idle idles for about that long.
func (w *watcher) idle(long time.Duration) {
	done := time.Now().Add(long)
	w.log = append(w.log, "IDLE")
	w.nc.SetReadDeadline(time.Now().Add(long + 10*time.Second))
	// The client looks at its clock when something comes: see that it does.
	w.c.OnData = func(r *wire.Response) { w.take("IDLE", r) } // also what comes after DONE
	defer func() { w.c.OnData = nil }()
	poked := make(chan struct{})
	timer := time.AfterFunc(long, func() {
		defer close(poked)
		w.poke()
	})
	defer func() {
		if !timer.Stop() {
			<-poked // else it might outlive the test
		}
	}()
	if err := w.c.Idle(func(r *wire.Response) bool {
		w.take("IDLE", r)
		return time.Now().Before(done)
	}); err != nil {
		w.fail("IDLE: %v", err)
	}
}

func randomSessions(t *testing.T, rnd *rand.Rand) {
	site := transcript.NewSite(t, nil, "alice")
	_, dial := serve(site, Settings{})
	for i := range 8 {
		site.Deliver("alice", "", transcript.Mail(fmt.Sprint("mail ", i), "bob@x.test", "text"))
	}
	// A session that asks for VANISHED learns all UIDs first: it needs them.
	ws := []*watcher{watch(t, dial, "one", ""), watch(t, dial, "two", "CONDSTORE"), watch(t, dial, "three", "QRESYNC")}
	ws[2].run("FETCH 1:* UID")
	for range 400 {
		w := ws[rnd.IntN(len(ws))]
		pick := func() string {
			a := 1 + rnd.IntN(max(1, len(w.uids)))
			return fmt.Sprintf("%d:%d", a, min(len(w.uids), a+rnd.IntN(3)))
		}
		if len(w.uids) == 0 && rnd.IntN(3) > 0 {
			w.run("NOOP")
		}
		switch op := rnd.IntN(12); {
		case op < 3:
			site.Deliver("alice", "", transcript.Mail("new", "bob@x.test", "text"))
		case op == 3:
			w.run("EXPUNGE")
		case op == 4:
			w.run("NOOP")
		case len(w.uids) == 0:
		case op == 5:
			w.run("STORE " + pick() + ` +FLAGS (\Deleted)`)
		case op == 6:
			w.run("UID STORE " + pick() + ` -FLAGS.SILENT (\Deleted)`)
		case op == 7:
			w.run("FETCH " + pick() + " (UID FLAGS BODY[TEXT])")
		case op == 8:
			w.run("UID FETCH 1:* FLAGS")
		case op == 9:
			w.run("MOVE " + pick() + " Drafts")
		case op == 10:
			w.run("COPY " + pick() + " INBOX")
		case op == 11:
			w.run("SEARCH RETURN (ALL) SUBJECT mail")
		}
		if w == ws[2] {
			w.run("UID FETCH 1:* UID")
		}
	}
	v, err := site.Box("alice").View(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	want, err := v.UIDs(t.Context(), store.FolderInbox, 1, ^store.UID(0), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range ws {
		w.run("NOOP")
		if len(want) > 0 {
			w.run("FETCH 1:* UID")
		}
		ok := len(w.uids) == len(want)
		for i := 0; ok && i < len(want); i++ {
			ok = w.uids[i] == uint64(want[i])
		}
		if !ok {
			w.fail("the store has %v", want)
		}
	}
}
