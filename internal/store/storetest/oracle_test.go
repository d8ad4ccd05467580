package storetest

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"
)

// rounds is how many each run has; RIALTO_ORACLE_TIME (a duration) makes a run
// go on so long, RIALTO_ORACLE_SEED chooses what happens.
const rounds = 60

func oracle(t *testing.T, seeds uint64, make func(t *testing.T, r *rand.Rand) medium) {
	first := uint64(1)
	if s, err := strconv.ParseUint(os.Getenv("RIALTO_ORACLE_SEED"), 10, 64); err == nil {
		first = s
	}
	d, err := time.ParseDuration(os.Getenv("RIALTO_ORACLE_TIME"))
	if err == nil {
		seeds = 1
	}
	for seed := first; seed < first+seeds; seed++ {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 17))
			newWorld(t, make(t, r), r).run(rounds, time.Now().Add(d))
		})
	}
}

func TestOracleInMemory(t *testing.T) {
	oracle(t, 3, func(*testing.T, *rand.Rand) medium { return &inMemory{} })
}

func TestOracleOnPebble(t *testing.T) {
	oracle(t, 2, func(_ *testing.T, r *rand.Rand) medium { return newPebble(r) })
}

func TestOracleOnPostgres(t *testing.T) {
	oracle(t, 1, func(t *testing.T, _ *rand.Rand) medium { return newServer(t) })
}
