package store

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"rialto/internal/kv"
	"rialto/internal/kv/postgres"
	"rialto/internal/kv/postgres/pgtest"
)

// served is the engine on a PostgreSQL server that can lose its power.
type served struct {
	t      *testing.T
	server *pgtest.Cluster
	schema string
	kv     *postgres.DB
}

func (s *served) db() kv.DB { return s.kv }

func (s *served) powerCut() {
	if err := s.server.Kill(); err != nil {
		s.t.Fatal(err)
	}
	s.kv.Abandon(errors.New("the power failed"))
	_ = s.kv.Close() // it was abandoned
	if err := s.server.Start(); err != nil {
		s.t.Fatal(err)
	}
}

func (s *served) reopen() (err error) {
	s.kv, err = postgres.Open(ctx, postgres.Options{URL: s.server.URL(), Schema: s.schema})
	return err
}

// onServer makes engines on one server, each with a schema of its own.
func onServer(t *testing.T) func(*testing.T) powered {
	server, err := pgtest.New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Remove)
	n := 0
	return func(t *testing.T) powered {
		n++
		s := &served{t: t, server: server, schema: fmt.Sprint("store_", n)}
		if err := s.reopen(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.kv.Close() })
		return s
	}
}

// TestSuiteOnPostgres runs this package's tests of the store on a server.
func TestSuiteOnPostgres(t *testing.T) {
	old := newEngine
	newEngine = onServer(t)
	defer func() { newEngine = old }()
	for name, test := range map[string]func(*testing.T){
		"Bodies": TestBodies, "GetRun": TestGetRun, "DeliveryFailsHalfway": TestDeliveryFailsHalfway,
		"LargeRows": TestLargeRowsStayInBatches, "DamagedRows": TestDamagedRowsDoNotPanic,
		"IndexFollowsRows": TestIndexFollowsRows, "IndexShares": TestIndexShares, "IndexBounds": TestIndexBounds,
		"IndexAfterPowerCut": TestIndexAfterPowerCut, "IndexConcurrent": TestIndexConcurrent,
		"NewMailbox": TestNewMailbox, "DeliverToMany": TestDeliverToMany, "DeliverTwice": TestDeliverTwiceWithQueueID,
		"Flags": TestFlags, "CopyMoveDeleteRecover": TestCopyMoveDeleteRecover, "Expunge": TestExpungeOnlyMarked,
		"Bulk": TestBulkOperationsInChunks, "Folders": TestFolders, "Properties": TestPropertiesRecipientsAttachments,
		"Dismount": TestDismount, "Events": TestEventsAreHints, "UIDs": TestUIDs,
	} {
		t.Run(name, test)
	}
}

func TestClientsSurvivePowerCutsOnPostgres(t *testing.T) {
	engine := onServer(t)
	for seed := range uint64(2) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			runOracle(t, fixtureOn(t, engine(t)), rand.New(rand.NewPCG(seed, 13)), 120)
		})
	}
}
