package pebble

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"rialto/internal/kv"
)

func benchDB(b *testing.B, o Options) *DB {
	b.Helper()
	o.Dir = b.TempDir()
	o.Ballast = -1
	db, err := Open(o)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = db.Close() })
	return db.(*DB)
}

// BenchmarkCommit commits a delivery-sized batch (6 keys, 2 KB) and waits.
func BenchmarkCommit(b *testing.B) {
	for _, gather := range []time.Duration{-1, DefaultMaxGather} {
		for _, writers := range []int{1, 8, 32, 64} {
			b.Run(fmt.Sprintf("gather=%v/writers=%d", max(gather, 0), writers), func(b *testing.B) {
				db := benchDB(b, Options{MaxGather: gather})
				before := db.Metrics()
				var next atomic.Uint64
				var wg sync.WaitGroup
				b.ReportAllocs()
				b.ResetTimer()
				for range writers {
					wg.Add(1)
					go func() {
						defer wg.Done()
						benchWriter(b, db, &next)
					}()
				}
				wg.Wait()
				b.StopTimer()
				after := db.Metrics()
				b.ReportMetric(float64(after.Syncs-before.Syncs)/float64(b.N), "syncs/commit")
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "commits/s")
			})
		}
	}
}

func benchWriter(b *testing.B, db *DB, next *atomic.Uint64) {
	ctx := context.Background()
	value := make([]byte, 350)
	key := make([]byte, 16)
	for {
		n := next.Add(1)
		if n > uint64(b.N) {
			return
		}
		batch := db.NewBatch()
		for i := range uint64(6) {
			binary.BigEndian.PutUint64(key, i)
			binary.BigEndian.PutUint64(key[8:], n)
			batch.Set(key, value)
		}
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

// benchRows fills a database with n rows of 100 bytes in tables.
func benchRows(b *testing.B, n int) *DB {
	db := benchDB(b, Options{})
	batch := db.NewBatch()
	value := make([]byte, 100)
	for i := range n {
		batch.Set(binary.BigEndian.AppendUint64(nil, uint64(i)), value)
		if batch.Count() == 1000 || i == n-1 {
			if _, err := db.Commit(b.Context(), batch); err != nil {
				b.Fatal(err)
			}
			batch = db.NewBatch()
		}
	}
	batch.Close()
	if err := db.p.Flush(); err != nil {
		b.Fatal(err)
	}
	return db
}

func BenchmarkGet(b *testing.B) {
	const rows = 100_000
	db := benchRows(b, rows)
	ctx := context.Background()
	for _, hit := range []bool{true, false} {
		b.Run(fmt.Sprintf("hit=%v", hit), func(b *testing.B) {
			b.ReportAllocs()
			key := make([]byte, 9)
			size := 8
			if !hit {
				size = 9
			}
			for b.Loop() {
				binary.BigEndian.PutUint64(key, uint64(rand.IntN(rows)))
				if _, err := db.Get(ctx, key[:size]); (err == nil) != hit {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkScan reads 1000 rows; ns/op is for one row.
func BenchmarkScan(b *testing.B) {
	const rows = 100_000
	db := benchRows(b, rows)
	for _, reverse := range []bool{false, true} {
		b.Run(fmt.Sprintf("reverse=%v", reverse), func(b *testing.B) {
			b.ReportAllocs()
			for n := 0; n < b.N; {
				lower := binary.BigEndian.AppendUint64(nil, uint64(rand.IntN(rows-1000)))
				it := db.Scan(b.Context(), kv.Range{Lower: lower, Limit: 1000, Reverse: reverse})
				for it.Next() {
					n++
				}
				if err := it.Close(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkSnapshot(b *testing.B) {
	db := benchRows(b, 1000)
	ctx := context.Background()
	key := binary.BigEndian.AppendUint64(nil, 500)
	b.ReportAllocs()
	for b.Loop() {
		s, err := db.NewSnapshot("bench", time.Minute)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := s.Get(ctx, key); err != nil {
			b.Fatal(err)
		}
		s.Close()
	}
}
