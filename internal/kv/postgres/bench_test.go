package postgres

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"rialto/internal/kv"
)

func benchDB(b *testing.B) *DB {
	b.Helper()
	db, err := Open(context.Background(), testOptions())
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = db.Close() })
	return db
}

// BenchmarkCommit commits a delivery-sized batch (4 KB of content and ten rows)
// and waits.
func BenchmarkCommit(b *testing.B) {
	for _, writers := range []int{1, 8, 32, 64} {
		b.Run(fmt.Sprintf("writers=%d", writers), func(b *testing.B) {
			db := benchDB(b)
			var next atomic.Uint64
			var wg sync.WaitGroup
			b.ReportAllocs()
			b.ResetTimer()
			for range writers {
				wg.Add(1)
				go func() {
					defer wg.Done()
					deliver(b, db, &next)
				}()
			}
			wg.Wait()
			b.StopTimer()
			b.ReportMetric(float64(db.Metrics().Syncs)/float64(b.N), "txn/commit")
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "commits/s")
		})
	}
}

func deliver(b *testing.B, db kv.DB, next *atomic.Uint64) {
	ctx := context.Background()
	body, row, key := make([]byte, 3<<10), make([]byte, 120), make([]byte, 16)
	_, _ = rand.Read(body) // cannot fail
	for n := next.Add(1); n <= uint64(b.N); n = next.Add(1) {
		batch := db.NewBatch()
		for i := range uint64(9) {
			binary.BigEndian.PutUint64(key, i<<56)
			binary.BigEndian.PutUint64(key[8:], n)
			batch.Set(key, row)
		}
		binary.BigEndian.PutUint64(key, 'k'<<56|'2'<<48)
		batch.Set(key, body)
		c, err := db.Commit(ctx, batch)
		if err == nil {
			err = c.Wait(ctx)
		}
		if err != nil {
			b.Error(err)
			return
		}
	}
}

// BenchmarkGet reads one of 20,000 keys from the server, without the cache.
func BenchmarkGet(b *testing.B) {
	o := testOptions()
	o.Cache = -1
	db, err := Open(context.Background(), o)
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	key := make([]byte, 8)
	batch := db.NewBatch()
	for i := range uint64(20_000) {
		binary.BigEndian.PutUint64(key, i)
		batch.Set(key, key)
	}
	c, err := db.Commit(context.Background(), batch)
	if err == nil {
		err = c.Wait(context.Background())
	}
	if err != nil {
		b.Fatal(err)
	}
	db.mu.Lock()
	opened := db.renew()
	db.mu.Unlock()
	<-opened
	b.ReportAllocs()
	b.ResetTimer()
	for i := 0; b.Loop(); i++ {
		binary.BigEndian.PutUint64(key, uint64(i*7919%20_000))
		if _, err := db.Get(context.Background(), key); err != nil {
			b.Fatal(err)
		}
	}
}
