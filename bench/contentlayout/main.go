// Command contentlayout compares ways to keep message bodies beside an LSM tree:
// the measurement behind doc/decisions/0003. Each layout gets the same load, a
// fixed rate of synced commits from several writers, for minutes rather than
// seconds, since a burst flatters an LSM.
//
//	contentlayout -layout hash|sequential|segment -t 5m -rate 1500 -dir DIR
package main

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"rialto/bench/measure"
	"rialto/internal/kv"
	"rialto/internal/kv/pebble"
)

type options struct {
	layout  string
	dir     string
	time    time.Duration
	rate    int
	size    int
	writers int
}

func main() {
	var o options
	flag.StringVar(&o.layout, "layout", "segment", "hash: value under its hash; sequential: under a growing number; segment: in an append-only file")
	flag.StringVar(&o.dir, "dir", "", "where to write; it is emptied")
	flag.DurationVar(&o.time, "t", 5*time.Minute, "how long")
	flag.IntVar(&o.rate, "rate", 1500, "messages per second; 0: as fast as it goes")
	flag.IntVar(&o.size, "size", 20<<10, "octets of a message")
	flag.IntVar(&o.writers, "writers", 32, "at a time")
	flag.Parse()
	if err := run(o); err != nil {
		fmt.Fprintln(os.Stderr, "contentlayout:", err)
		os.Exit(2)
	}
}

func run(o options) error {
	if o.dir == "" {
		return fmt.Errorf("-dir is needed")
	}
	if err := os.RemoveAll(o.dir); err != nil {
		return err
	}
	db, err := pebble.Open(pebble.Options{Dir: o.dir, Ballast: -1})
	if err != nil {
		return err
	}
	defer db.Close()
	l := &load{o: o, db: db, start: time.Now()}
	if o.layout == "segment" {
		l.seg = &segments{dir: db.(kv.Segmented).Segments()}
	}
	before := measure.Usage()
	if err := l.run(); err != nil {
		return err
	}
	l.report(before)
	return nil
}

// load is one run.
type load struct {
	o     options
	db    kv.DB
	seg   *segments
	start time.Time
	next  atomic.Int64
	mu    sync.Mutex
	took  []time.Duration
	half  int // of took at half time
}

func (l *load) run() error {
	errs := make(chan error, l.o.writers)
	var wg sync.WaitGroup
	for w := range l.o.writers {
		wg.Go(func() {
			if err := l.writer(rand.New(rand.NewPCG(uint64(w), 1))); err != nil {
				errs <- err
			}
		})
	}
	wg.Wait()
	close(errs)
	return <-errs
}

// writer stores messages at its share of the rate until the time is over.
func (l *load) writer(r *rand.Rand) error {
	body := make([]byte, l.o.size)
	for {
		n := l.next.Add(1)
		if l.o.rate > 0 {
			time.Sleep(time.Until(l.start.Add(time.Duration(n) * time.Second / time.Duration(l.o.rate))))
		}
		if time.Since(l.start) > l.o.time {
			return nil
		}
		for i := 0; i < len(body); i += 8 {
			binary.LittleEndian.PutUint64(body[i:], r.Uint64())
		}
		began := time.Now()
		if err := l.store(uint64(n), body, r); err != nil {
			return err
		}
		took := time.Since(began)
		l.mu.Lock()
		l.took = append(l.took, took)
		if began.Sub(l.start) < l.o.time/2 {
			l.half = len(l.took)
		}
		l.mu.Unlock()
	}
}

// store commits a message and six small rows, as a delivery does.
func (l *load) store(n uint64, body []byte, r *rand.Rand) error {
	b := l.db.NewBatch()
	hash := sha256.Sum256(body)
	num := binary.BigEndian.AppendUint64(nil, n)
	switch l.o.layout {
	case "hash":
		b.Set(append([]byte{1}, hash[:]...), body)
	case "sequential":
		b.Set(append([]byte{2}, num...), body)
		b.Set(append([]byte{3}, hash[:]...), num)
	case "segment":
		off, err := l.seg.append(body)
		if err != nil {
			b.Close()
			return err
		}
		b.Set(append([]byte{2}, num...), binary.BigEndian.AppendUint64(nil, uint64(off)))
		b.Set(append([]byte{3}, hash[:]...), num)
	default:
		b.Close()
		return fmt.Errorf("no layout %q", l.o.layout)
	}
	var row [100]byte
	for i := range 6 {
		k := binary.BigEndian.AppendUint32([]byte{byte(10 + i)}, uint32(r.IntN(1000)))
		b.Set(append(k, num...), row[:])
	}
	c, err := l.db.Commit(context.Background(), b)
	if err != nil {
		return err
	}
	return c.Wait(context.Background())
}

func (l *load) report(before measure.Counters) {
	after := measure.Usage()
	n := len(l.took)
	payload := float64(n) * float64(l.o.size)
	first, second := slices.Sorted(slices.Values(l.took[:l.half])), slices.Sorted(slices.Values(l.took[l.half:]))
	at := func(s []time.Duration, p float64) time.Duration {
		if len(s) == 0 {
			return 0
		}
		return s[int(float64(len(s)-1)*p)].Round(10 * time.Microsecond)
	}
	k := l.db.(kv.Metered).Metrics()
	fmt.Printf("%-10s %s: %.0f msgs/s, CPU %.3f ms/msg, device %.2f bytes per byte, disk %.2f\n", l.o.layout, l.o.time,
		float64(n)/l.o.time.Seconds(), 1000*(after.CPU-before.CPU).Seconds()/float64(n), float64(after.Written-before.Written)/payload,
		float64(measure.DirSize(l.o.dir))/payload)
	fmt.Printf("           first half p50 %v p99 %v; second half p50 %v p99 %v; compaction debt %d MB; %.2f log syncs/msg\n",
		at(first, .5), at(first, .99), at(second, .5), at(second, .99), k.CompactionDebt>>20, float64(k.Syncs)/float64(n))
}

// segments appends to files of 64 MB and shares syncs.
type segments struct {
	dir    kv.Segments
	mu     sync.Mutex
	w      kv.SegmentWriter
	n      uint64
	size   int64
	synced int64
	total  int64
	cond   *sync.Cond
	busy   bool
}

func (s *segments) append(b []byte) (int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cond == nil {
		s.cond = sync.NewCond(&s.mu)
	}
	for s.w != nil && s.size > 64<<20 {
		if s.busy {
			s.cond.Wait()
			continue
		}
		if err := s.w.Sync(); err != nil {
			return 0, err
		}
		s.synced = s.total
		s.cond.Broadcast()
		if err := s.w.Close(); err != nil {
			return 0, err
		}
		s.w = nil
	}
	if s.w == nil {
		s.n++
		w, err := s.dir.Create(s.n)
		if err != nil {
			return 0, err
		}
		s.w, s.size = w, 0
	}
	if _, err := s.w.Write(b); err != nil {
		return 0, err
	}
	off := s.total
	s.size += int64(len(b))
	s.total += int64(len(b))
	return off, s.sync(s.total)
}

// sync waits until everything up to end is on disk, by somebody's sync.
func (s *segments) sync(end int64) error {
	for s.synced < end {
		if s.busy {
			s.cond.Wait()
			continue
		}
		s.busy = true
		upto, w := s.total, s.w
		s.mu.Unlock()
		err := w.Sync()
		s.mu.Lock()
		s.busy = false
		s.cond.Broadcast()
		if err != nil {
			return err
		}
		s.synced = max(s.synced, upto)
	}
	return nil
}
