package storetest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"rialto/internal/kv"
	"rialto/internal/kv/memory"
	"rialto/internal/kv/pebble"
	"rialto/internal/kv/postgres"
	"rialto/internal/kv/postgres/pgtest"
)

// medium keeps the two databases of a world and can lose its power.
type medium interface {
	// open opens database i as the medium has it.
	open(i int) (kv.DB, error)
	// cut loses the power; what was open is good for nothing any more.
	cut()
}

// replacer is a medium on which a database can be taken back to a checkpoint.
type replacer interface {
	checkpoint(ctx context.Context, i int) (string, error)
	replace(i int, name string)
	drop(name string) // a checkpoint that is not wanted any more
}

type inMemory struct{ dbs [2]*memory.DB }

func (m *inMemory) open(i int) (db kv.DB, err error) {
	if m.dbs[i] == nil {
		m.dbs[i] = memory.New(memory.Options{SyncLatency: 2 * time.Millisecond})
		return m.dbs[i], nil
	}
	m.dbs[i], err = m.dbs[i].Reopen()
	return m.dbs[i], err
}

func (m *inMemory) cut() {
	for _, db := range m.dbs {
		db.PowerCut()
	}
}

// gated is a database of a machine that may have lost its power: nothing is
// answered as durable afterwards, although its engine would do so for a moment.
type gated struct {
	kv.DB
	power *power
}

// power is held for reading while the disk is waited for.
type power struct {
	mu   sync.RWMutex
	gone bool
}

func (p *power) on(wait func() error) error {
	p.mu.RLock()
	defer p.mu.RUnlock()
	if p.gone {
		return kv.ErrPoisoned
	}
	return wait()
}

func (g *gated) Segments() kv.Segments { return g.DB.(kv.Segmented).Segments() }

func (g *gated) WaitDurable(ctx context.Context, s kv.Sequence) error {
	return g.power.on(func() error { return g.DB.WaitDurable(ctx, s) })
}

func (g *gated) Commit(ctx context.Context, b kv.Batch) (kv.Commit, error) {
	c, err := g.DB.Commit(ctx, b)
	if err != nil {
		return nil, err
	}
	return &gatedCommit{c, g.power}, nil
}

type gatedCommit struct {
	kv.Commit
	power *power
}

func (c *gatedCommit) Wait(ctx context.Context) error {
	return c.power.on(func() error { return c.Commit.Wait(ctx) })
}

// onPebble is a file system that forgets, when the power goes, most of what was
// not synced.
type onPebble struct {
	mem   *vfs.MemFS
	rng   *rand.Rand
	dirs  [2]string
	dbs   [2]kv.DB
	power *power
	n     int
}

func newPebble(r *rand.Rand) *onPebble {
	return &onPebble{mem: vfs.NewCrashableMem(), rng: r, dirs: [2]string{"/first", "/second"}, power: new(power)}
}

func (p *onPebble) open(i int) (kv.DB, error) {
	db, err := pebble.Open(pebble.Options{Dir: p.dirs[i], FS: p.mem, MemTable: 1 << 20})
	if err != nil {
		return nil, err
	}
	p.dbs[i] = db
	return &gated{db, p.power}, nil
}

func (p *onPebble) cut() {
	p.power.mu.Lock()
	p.power.gone = true
	p.mem = p.mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: []int{0, 30, 90}[p.rng.IntN(3)], RNG: p.rng})
	p.power.mu.Unlock()
	p.power = new(power)
	for _, db := range p.dbs {
		_ = db.Close() // into files that are lost
	}
}

func (p *onPebble) checkpoint(ctx context.Context, i int) (string, error) {
	p.n++
	dir := fmt.Sprint("/checkpoint", p.n)
	return dir, p.dbs[i].(kv.Checkpointer).Checkpoint(ctx, dir)
}

func (p *onPebble) replace(i int, name string) {
	p.drop(p.dirs[i])
	p.dirs[i] = name
}

func (p *onPebble) drop(name string) {
	if err := p.mem.RemoveAll(name); err != nil {
		panic(err)
	}
}

// onServer is a PostgreSQL server of its own.
type onServer struct {
	t      *testing.T
	server *pgtest.Cluster
	dbs    [2]*postgres.DB
}

func newServer(t *testing.T) *onServer {
	server, err := pgtest.New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Remove)
	return &onServer{t: t, server: server}
}

func (s *onServer) open(i int) (kv.DB, error) {
	db, err := postgres.Open(context.Background(), postgres.Options{URL: s.server.URL(), Schema: fmt.Sprint("db", i)})
	if err == nil {
		s.dbs[i] = db
	}
	return db, err
}

func (s *onServer) cut() {
	if err := s.server.Kill(); err != nil {
		s.t.Fatal(err)
	}
	for _, db := range s.dbs {
		db.Abandon(errors.New("the power failed"))
		_ = db.Close() // it was abandoned
	}
	if err := s.server.Start(); err != nil {
		s.t.Fatal(err)
	}
}
