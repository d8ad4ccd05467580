package store

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"

	"rialto/internal/kv"
	"rialto/internal/kv/postgres"
	"rialto/internal/kv/postgres/pgtest"
	"rialto/internal/mapi"
	"rialto/internal/model"
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
	s.kv, err = postgres.Open(ctx, postgres.Options{URL: s.server.URL(), Schema: s.schema, Once: Once})
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
		"IndexFollowsRows":   TestIndexFollowsRows,
		"IndexAfterPowerCut": TestIndexAfterPowerCut, "IndexConcurrent": TestIndexConcurrent,
		"NewMailbox": TestNewMailbox, "DeliverToMany": TestDeliverToMany, "DeliverTwice": TestDeliverTwiceWithQueueID,
		"Flags": TestFlags, "CopyMoveDeleteRecover": TestCopyMoveDeleteRecover, "Expunge": TestExpungeOnlyMarked,
		"Bulk": TestBulkOperationsInChunks, "Folders": TestFolders, "Properties": TestPropertiesRecipientsAttachments,
		"Dismount": TestDismount, "Events": TestEventsAreHints, "UIDs": TestUIDs,
		"Rules": TestRulesAtDelivery, "FailingRule": TestFailingRule, "RulesAndBatches": TestRulesAndBatches, "OutOfOffice": TestOutOfOffice,
		"RuleErrors": TestRuleErrors, "Answers": TestAnswersAndMemory, "OutboxIDs": TestOutboxIDsAfterLoss,
		"Outbox": TestOutboxSurvives, "Limits": TestLimits, "DeleteMailbox": TestDeleteMailbox,
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

// BenchmarkDeliverPostgres delivers 4 KB messages, durably, into 100 mailboxes
// with 32 writers.
func BenchmarkDeliverPostgres(b *testing.B) {
	server, err := pgtest.New()
	if err != nil {
		b.Fatal(err)
	}
	defer server.Remove()
	engine, err := postgres.Open(ctx, postgres.Options{URL: server.URL(), Schema: "bench", Once: Once})
	if err != nil {
		b.Fatal(err)
	}
	db, err := Open(ctx, engine, Options{GUID: model.NewGUID(), Name: "bench"})
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	var boxes []model.GUID
	for i := range 100 {
		m, err := db.CreateMailbox(ctx, model.NewGUID(), fmt.Sprint(i))
		if err != nil {
			b.Fatal(err)
		}
		boxes = append(boxes, m.GUID())
	}
	var next atomic.Int64
	var wg sync.WaitGroup
	before := engine.Metrics()
	b.ResetTimer()
	for w := range 32 {
		wg.Go(func() {
			body := make([]byte, 4096)
			rng := rand.New(rand.NewPCG(uint64(w), 1))
			for n := next.Add(1); n <= int64(b.N); n = next.Add(1) {
				for i := range body {
					body[i] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJ0123456789 etaoin shrdlu \n"[rng.IntN(62)]
				}
				if err := deliverOne(db, boxes[rng.IntN(len(boxes))], body); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "deliveries/s")
	after := engine.Metrics()
	b.ReportMetric(float64(b.N)/float64(after.Syncs-before.Syncs), "deliveries/txn")
	b.ReportMetric(float64((after.SyncTime-before.SyncTime).Microseconds())/1000/float64(after.Syncs-before.Syncs), "ms/txn")
}

func deliverOne(db *Database, to model.GUID, body []byte) error {
	w := db.NewContent(ctx)
	if _, err := w.Write(body); err != nil {
		return err
	}
	st, err := w.Finish(ctx)
	if err != nil {
		return err
	}
	defer st.Release()
	var p mapi.Properties
	p.Set(mapi.TagSubject, string(body[:20]))
	p.Set(mapi.TagInternetMessageID, "<"+string(body[:20])+"@x>")
	res, err := db.Deliver(ctx, &Delivery{Item: NewItem{Content: st, Structure: []byte("structure"), Summary: Summary{Props: p, Envelope: []byte("env")}},
		To: []DeliverTo{{Mailbox: to}}})
	if err == nil {
		err = res[0].Err
	}
	return err
}
