// Command storeload measures the information store at its own interface: how
// many durable deliveries per second, at what cost of CPU, syncs and device
// writes, for minutes rather than seconds.
//
//	storeload -dir DIR -senders 64 -mailboxes 100 -size 8192 -t 5m
//	storeload -engine postgres://… -senders 32 -size 4096 -t 1m
//	storeload -dir DIR -recipients 1000 -count 20
//	storeload -dir DIR -mix -t 1m     70 % of 4 KB, 25 % of 40 KB, 5 % of 400 KB
//	storeload -dir DIR -text FILE     a header and a piece of the text in FILE
//
// Otherwise bodies are made of invented words, or with -random of base64, which
// both compress worse than text of a language does.
package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"rialto/bench/measure"
	"rialto/internal/kv"
	"rialto/internal/kv/pebble"
	"rialto/internal/kv/postgres"
	"rialto/internal/mapi"
	"rialto/internal/model"
	"rialto/internal/store"
)

type options struct {
	dir, engine string
	time        time.Duration
	count       int
	senders     int
	mailboxes   int
	recipients  int
	size        int
	mix, random bool
	text        string
}

func main() {
	var o options
	flag.StringVar(&o.dir, "dir", "", "where the embedded engine writes; it is emptied")
	flag.StringVar(&o.engine, "engine", "", "a PostgreSQL server instead: postgres://…")
	flag.DurationVar(&o.time, "t", time.Minute, "how long")
	flag.IntVar(&o.count, "count", 0, "how many messages; 0: as many as the time allows")
	flag.IntVar(&o.senders, "senders", 16, "at a time")
	flag.IntVar(&o.mailboxes, "mailboxes", 1, "that receive")
	flag.IntVar(&o.recipients, "recipients", 1, "of each message")
	flag.IntVar(&o.size, "size", 8<<10, "octets of a message")
	flag.BoolVar(&o.mix, "mix", false, "sizes of a mail server instead of -size")
	flag.BoolVar(&o.random, "random", false, "bodies that do not compress")
	flag.StringVar(&o.text, "text", "", "a file of text, of which the bodies are pieces")
	flag.Parse()
	if err := run(o); err != nil {
		fmt.Fprintln(os.Stderr, "storeload:", err)
		os.Exit(2)
	}
}

// load is one run.
type load struct {
	o     options
	kv    kv.DB
	db    *store.Database
	boxes []model.GUID
	text  []byte
	noise []byte
	end   time.Time
	next  atomic.Int64
	bytes atomic.Int64
	mu    sync.Mutex
	took  []time.Duration
}

func run(o options) error {
	ctx := context.Background()
	l := &load{o: o, text: text(corpus + o.size), noise: noise(corpus + o.size)}
	if o.text != "" {
		b, err := os.ReadFile(o.text)
		if err != nil {
			return err
		}
		if l.text = crlf(b); len(l.text) <= o.size {
			return fmt.Errorf("%s is shorter than a message", o.text)
		}
	}
	if err := l.open(ctx); err != nil {
		return err
	}
	for i := range max(o.mailboxes, o.recipients) {
		m, err := l.db.CreateMailbox(ctx, model.NewGUID(), fmt.Sprint("box ", i))
		if err != nil {
			return err
		}
		l.boxes = append(l.boxes, m.GUID())
	}
	before, stats := measure.Usage(), metrics(l.kv)
	began := time.Now()
	l.end = began.Add(o.time)
	if err := l.run(ctx); err != nil {
		return err
	}
	l.report(time.Since(began), before, stats)
	if err := l.db.Close(); err != nil || o.dir == "" {
		return err
	}
	return l.rest()
}

// rest opens the database once more, waits until it is tidy, and tells what it
// occupies.
func (l *load) rest() error {
	db, err := pebble.Open(pebble.Options{Dir: l.o.dir, Ballast: -1})
	if err != nil {
		return err
	}
	for last := int64(-1); ; {
		time.Sleep(3 * time.Second)
		n := measure.DirSize(l.o.dir)
		if n == last {
			fmt.Printf("  at rest: %.2f octets on disk per octet\n", float64(n)/float64(l.bytes.Load()))
			return db.Close()
		}
		last = n
	}
}

func (l *load) open(ctx context.Context) (err error) {
	if l.o.engine != "" {
		l.kv, err = postgres.Open(ctx, postgres.Options{URL: l.o.engine, Schema: fmt.Sprint("load_", os.Getpid()), Once: store.Once})
	} else if l.o.dir == "" {
		return fmt.Errorf("-dir or -engine is needed")
	} else if err = os.RemoveAll(l.o.dir); err == nil {
		l.kv, err = pebble.Open(pebble.Options{Dir: l.o.dir, Ballast: -1})
	}
	if err != nil {
		return err
	}
	l.db, err = store.Open(ctx, l.kv, store.Options{GUID: model.NewGUID(), Name: "load"})
	return err
}

func (l *load) run(ctx context.Context) error {
	errs := make(chan error, l.o.senders)
	var wg sync.WaitGroup
	for w := range l.o.senders {
		wg.Go(func() {
			if err := l.sender(ctx, rand.New(rand.NewPCG(uint64(w), 1))); err != nil {
				errs <- err
			}
		})
	}
	wg.Wait()
	close(errs)
	return <-errs
}

func (l *load) sender(ctx context.Context, r *rand.Rand) error {
	for {
		n := l.next.Add(1)
		if l.o.count > 0 && n > int64(l.o.count) || l.o.count == 0 && time.Now().After(l.end) {
			return nil
		}
		body := l.body(r)
		began := time.Now()
		if err := l.deliver(ctx, n, body); err != nil {
			return err
		}
		took := time.Since(began)
		l.bytes.Add(int64(len(body)))
		l.mu.Lock()
		l.took = append(l.took, took)
		l.mu.Unlock()
	}
}

func (l *load) deliver(ctx context.Context, n int64, body []byte) error {
	w := l.db.NewContent(ctx)
	if _, err := w.Write(body); err != nil {
		return err
	}
	st, err := w.Finish(ctx)
	if err != nil {
		return err
	}
	defer st.Release()
	id := fmt.Sprintf("<%d@load.test>", n)
	var p mapi.Properties
	p.Set(mapi.TagSubject, fmt.Sprint("message ", n))
	p.Set(mapi.TagInternetMessageID, id)
	p.Set(mapi.TagSenderAddress, "sender@load.test")
	p.Set(mapi.TagConversationID, []byte("0123456789abcdef"))
	d := &store.Delivery{Item: store.NewItem{Content: st, Structure: make([]byte, 60), Summary: store.Summary{Props: p, Envelope: make([]byte, 150)}}}
	for i := range l.o.recipients {
		d.To = append(d.To, store.DeliverTo{Mailbox: l.boxes[(int(n)+i)%len(l.boxes)], Trace: []byte("Return-Path: <sender@load.test>\r\n")})
	}
	res, err := l.db.Deliver(ctx, d)
	if err != nil {
		return err
	}
	for _, x := range res {
		if x.Err != nil {
			return x.Err
		}
	}
	return nil
}

// body is a message of the size that is asked for: a part of a long text, so
// that the messages differ and making them costs next to nothing.
func (l *load) body(r *rand.Rand) []byte {
	size, random := l.o.size, l.o.random
	if l.o.mix {
		switch n := r.IntN(100); {
		case n < 70:
			size = 4 << 10
		case n < 95:
			size, random = 40<<10, true // attachments
		default:
			size, random = 400<<10, true
		}
	}
	from := l.text
	switch {
	case random:
		from = l.noise
	case l.o.text != "": // not of great length: with a header that differs
		b := header(make([]byte, 0, size), r)
		rest := max(size-len(b), 0)
		at := r.IntN(len(from) - rest)
		return append(b, from[at:at+rest]...)
	}
	at := r.IntN(len(from) - size)
	return from[at : at+size]
}

// crlf ends lines as mail does.
func crlf(b []byte) []byte {
	return bytes.ReplaceAll(bytes.ReplaceAll(b, []byte("\r"), nil), []byte("\n"), []byte("\r\n"))
}

// corpus is how much text there is, beyond the largest message.
const corpus = 48 << 20

func text(size int) []byte {
	r := rand.New(rand.NewPCG(3, 4))
	words := vocabulary()
	b := make([]byte, 0, size+32)
	for len(b) < size {
		if r.IntN(12) == 0 {
			b = append(b, "\r\n"...)
		}
		b = append(append(b, words[int(float64(len(words))*r.Float64()*r.Float64())]...), ' ')
	}
	return b
}

// noise is octets that do not compress, as attachments are sent.
func noise(size int) []byte {
	r := rand.New(rand.NewPCG(5, 6))
	b := make([]byte, 0, size+32)
	for len(b) < size {
		b = base64.StdEncoding.AppendEncode(b, binary.LittleEndian.AppendUint64(make([]byte, 0, 9), r.Uint64())[:6])
	}
	return b
}

// header appends what mail from elsewhere begins with: some 700 octets, a third
// of them random.
func header(b []byte, r *rand.Rand) []byte {
	id := func() uint64 { return r.Uint64() }
	return fmt.Appendf(b, "Received: from out%d.sender.test (out%d.sender.test [192.0.2.%d])\r\n\tby mx.load.test with ESMTPS id %x\r\n"+
		"\tfor <box%d@load.test>; Mon, 23 Nov 2026 12:%02d:%02d +0000\r\n"+
		"DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=sender.test; s=s1;\r\n\th=from:to:subject:date:message-id:mime-version;\r\n\tbh=%x%x; b=%x%x%x%x\r\n"+
		"From: User %d <user%d@sender.test>\r\nTo: <box%d@load.test>\r\nSubject: About number %d\r\nDate: Mon, 23 Nov 2026 12:00:%02d +0000\r\n"+
		"Message-ID: <%x@sender.test>\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n",
		r.IntN(9), r.IntN(9), r.IntN(256), id(), r.IntN(1000), r.IntN(60), r.IntN(60), id(), id(), id(), id(), id(), id(),
		r.IntN(1000), r.IntN(1000), r.IntN(1000), r.IntN(100000), r.IntN(60), id())
}

// vocabulary makes words of a natural length.
func vocabulary() []string {
	r := rand.New(rand.NewPCG(1, 2))
	var out []string
	for range 8000 {
		var w strings.Builder
		for range 1 + r.IntN(4) {
			w.WriteByte("bcdfghklmnprstvw"[r.IntN(16)])
			w.WriteByte("aeiou"[r.IntN(5)])
		}
		out = append(out, w.String())
	}
	return out
}

func (l *load) report(took time.Duration, before measure.Counters, old kv.Metrics) {
	after, now := measure.Usage(), metrics(l.kv)
	n := float64(len(l.took))
	slices.Sort(l.took)
	at := func(p float64) time.Duration { return l.took[int((n-1)*p)].Round(10 * time.Microsecond) }
	payload := float64(l.bytes.Load())
	fmt.Printf("%d senders, %d mailboxes, %d recipients, %.0f octets each, %s\n", l.o.senders, l.o.mailboxes, l.o.recipients, payload/n, took.Round(time.Second))
	fmt.Printf("  %.0f messages/s, CPU %.3f ms each, p50 %v p99 %v\n", n/took.Seconds(), 1000*(after.CPU-before.CPU).Seconds()/n, at(.5), at(.99))
	syncs := max(now.Syncs-old.Syncs, 1)
	fmt.Printf("  %.1f messages per sync of the log, %v a sync, %.2f commits each\n", n/float64(syncs),
		((now.SyncTime - old.SyncTime) / time.Duration(syncs)).Round(10*time.Microsecond), float64(now.Commits-old.Commits)/n)
	if l.o.dir != "" {
		fmt.Printf("  written to the device: %.2f per octet; on disk: %.2f per octet; compaction debt %d MB\n",
			float64(after.Written-before.Written)/payload, float64(measure.DirSize(l.o.dir))/payload, now.CompactionDebt>>20)
	}
}

func metrics(db kv.DB) kv.Metrics {
	if m, ok := db.(kv.Metered); ok {
		return m.Metrics()
	}
	return kv.Metrics{}
}
