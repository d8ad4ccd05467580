package transport_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"rialto/internal/kv"
	"rialto/internal/kv/memory"
	"rialto/internal/model"
	"rialto/internal/org"
	"rialto/internal/org/orgtest"
	"rialto/internal/store"
	"rialto/internal/transport"
)

// machine is a server whose three disks lose power together.
type machine struct {
	t      *testing.T
	dir    *orgtest.Static
	disks  []*memory.DB // queue, store 0, store 1
	stores [2]model.GUID
	dbs    map[model.GUID]*store.Database
	boxes  map[string]*org.Recipient
	tr     *transport.Transport
}

func (m *machine) Database(g model.GUID) (*store.Database, error) {
	if db := m.dbs[g]; db != nil {
		return db, nil
	}
	return nil, model.E("test.database", model.KindNotFound, "", nil)
}

func newMachine(t *testing.T, latency time.Duration) *machine {
	m := &machine{t: t, boxes: map[string]*org.Recipient{}, dir: &orgtest.Static{Cfg: &org.Config{
		Domains: []org.Domain{{Name: "a.test", Authoritative: true}}, Server: org.Server{FQDN: "mail.a.test"}}}}
	for range 3 {
		m.disks = append(m.disks, memory.New(memory.Options{SyncLatency: latency}))
	}
	for i := range m.stores {
		m.stores[i] = model.NewGUID()
	}
	for i, name := range []string{"a0", "b0", "a1", "b1"} {
		r := &org.Recipient{GUID: model.NewGUID(), Kind: org.Mailbox, Name: name, Primary: model.Address{Local: name, Domain: "a.test"},
			MailboxGUID: model.NewGUID(), StoreGUID: m.stores[i/2], UseDefaults: true}
		m.boxes[name] = r
		m.dir.Add(r)
	}
	return m
}

func (m *machine) boot() {
	m.t.Helper()
	m.dbs = map[model.GUID]*store.Database{}
	for i, g := range m.stores {
		db, err := store.Open(context.Background(), m.disks[i+1], store.Options{GUID: g, Name: fmt.Sprint("store ", i)})
		if err != nil {
			m.t.Fatal(err)
		}
		m.dbs[g] = db
	}
	var err error
	if m.tr, err = transport.New(context.Background(), transport.Options{Org: m.dir, Stores: m, Queue: m.disks[0]}); err != nil {
		m.t.Fatal(err)
	}
	if err := m.tr.Start(context.Background()); err != nil {
		m.t.Fatal(err)
	}
}

// cut takes the power away and brings it back.
func (m *machine) cut() {
	for _, i := range rand.Perm(3) {
		m.disks[i].PowerCut()
	}
	m.tr.Shutdown(context.Background())
	for i, d := range m.disks {
		d.Close()
		n, err := d.Reopen()
		if err != nil {
			m.t.Fatal(err)
		}
		m.disks[i] = n
	}
}

// copies counts the messages of a mailbox by their name.
func (m *machine) copies(name string) map[string]int {
	m.t.Helper()
	out := map[string]int{}
	r := m.boxes[name]
	box, err := m.dbs[r.StoreGUID].Mailbox(m.t.Context(), r.MailboxGUID)
	if model.IsKind(err, model.KindNotFound) {
		return out
	}
	if err != nil {
		m.t.Fatal(err)
	}
	v, err := box.View(m.t.Context())
	if err != nil {
		m.t.Fatal(err)
	}
	defer v.Close()
	var rows []store.RowID
	v.States(m.t.Context(), store.FolderInbox, 1, 1<<32-1, func(s *store.State) bool { rows = append(rows, s.Row); return true })
	streams, err := v.Streams(m.t.Context(), rows)
	if err != nil {
		m.t.Fatal(err)
	}
	for _, st := range streams {
		b, err := v.Open(m.t.Context(), st)
		if err != nil {
			m.t.Fatal(err)
		}
		raw, err := io.ReadAll(io.NewSectionReader(b, 0, b.Size()))
		if err != nil {
			m.t.Fatal(err)
		}
		_, subject, _ := strings.Cut(string(raw), "Subject: ")
		subject, _, _ = strings.Cut(subject, "\r\n")
		out[subject]++
	}
	return out
}

func (m *machine) drain() {
	m.t.Helper()
	for end := time.Now().Add(20 * time.Second); len(m.tr.Queues()) > 0; time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			m.t.Fatalf("queue does not drain: %+v", m.tr.Queues())
		}
		m.tr.Retry(nil)
	}
}

// TestPowerCuts sends without a pause while the power fails again and again:
// what was accepted is in every mailbox exactly once, what was not is there at
// most once.
func TestPowerCuts(t *testing.T) {
	m := newMachine(t, 300*time.Microsecond)
	var mu sync.Mutex
	accepted := map[string][]string{}
	n := 0
	names := []string{"a0", "b0", "a1", "b1"}
	rounds := 25
	if testing.Short() {
		rounds = 5
	}
	for round := 0; round < rounds || len(accepted) < 30 && round < 200; round++ {
		m.boot()
		stop := make(chan struct{})
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
					}
					mu.Lock()
					n++
					subject := fmt.Sprint("m", n)
					mu.Unlock()
					to := append([]string(nil), names...)
					rand.Shuffle(len(to), func(i, j int) { to[i], to[j] = to[j], to[i] })
					to = to[:1+rand.IntN(len(to))]
					var addrs []model.Address
					for _, name := range to {
						addrs = append(addrs, m.boxes[name].Primary)
					}
					body := "Subject: " + subject + "\r\n\r\n" + strings.Repeat("x", rand.IntN(300000)) + "\r\n"
					if _, err := m.tr.Submit(context.Background(), model.Address{}, addrs, strings.NewReader(body)); err != nil {
						continue
					}
					mu.Lock()
					accepted[subject] = to
					mu.Unlock()
				}
			})
		}
		time.Sleep(time.Duration(5+rand.IntN(25)) * time.Millisecond)
		m.cut()
		close(stop)
		wg.Wait()
	}
	m.boot()
	m.drain()
	got := map[string]map[string]int{}
	for _, name := range names {
		got[name] = m.copies(name)
		for subject, k := range got[name] {
			if k > 1 {
				t.Errorf("%s has %s %d times", name, subject, k)
			}
		}
	}
	for subject, to := range accepted {
		for _, name := range to {
			if got[name][subject] != 1 {
				t.Errorf("%s lost %s", name, subject)
			}
		}
	}
	t.Logf("%d accepted of %d", len(accepted), n)
	if len(accepted) < 10 {
		t.Error("too few to prove anything")
	}
	if err := m.tr.Shutdown(t.Context()); err != nil && !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	q, err := m.disks[0].Reopen()
	if err != nil {
		t.Fatal(err)
	}
	left := 0
	it := q.Scan(t.Context(), kv.Range{})
	for it.Next() {
		if it.Key()[0] != 0 {
			left++
		}
	}
	it.Close()
	q.Close()
	if left > 0 {
		t.Errorf("%d rows left in an empty queue", left)
	}
}
