package store

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"rialto/internal/kv"
	"rialto/internal/kv/pebble"
)

// crashable is the embedded engine on a file system that forgets, when the
// power goes, most of what was not synced.
type crashable struct {
	mem   *vfs.MemFS
	rng   *rand.Rand
	keeps int // percent of unsynced blocks that survive
	kv    kv.DB
}

func (c *crashable) db() kv.DB { return c.kv }

// powerCut goes on with a copy of what is on the disk; the old database is
// closed, as far as anybody looks at it.
func (c *crashable) powerCut() {
	c.mem = c.mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: c.keeps, RNG: c.rng})
	_ = c.kv.Close() // into files that are lost
}

func (c *crashable) reopen() (err error) {
	c.kv, err = pebble.Open(pebble.Options{Dir: "data", FS: c.mem, MemTable: 1 << 20})
	return err
}

func TestClientsSurvivePowerCutsOnPebble(t *testing.T) {
	for seed, keeps := range []int{0, 30, 90} {
		t.Run(fmt.Sprint(seed, keeps), func(t *testing.T) {
			r := rand.New(rand.NewPCG(uint64(seed), 11))
			e := &crashable{mem: vfs.NewCrashableMem(), rng: r, keeps: keeps}
			if err := e.reopen(); err != nil {
				t.Fatal(err)
			}
			runOracle(t, fixtureOn(t, e), r, 120)
			if err := e.kv.Close(); err != nil && !errors.Is(err, kv.ErrClosed) {
				t.Error(err)
			}
		})
	}
}
