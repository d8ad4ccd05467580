package smtp

import (
	"context"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"rialto/internal/kv"
	"rialto/internal/kv/memory"
	"rialto/internal/kv/pebble"
	"rialto/internal/model"
	"rialto/internal/org"
	"rialto/internal/org/orgtest"
	"rialto/internal/service"
	"rialto/internal/store"
	"rialto/internal/transport"
	wire "rialto/internal/wire/smtp"
)

// BenchmarkDelivery is 8 connections that send 4 KB messages to a mailbox each,
// in a store on disk with a sync before every 250. CPU is that of the process,
// so the client's is in it.
func BenchmarkDelivery(b *testing.B) {
	const conns = 8
	ctx := context.Background()
	db, err := pebble.Open(pebble.Options{Dir: b.TempDir(), Ballast: -1})
	if err != nil {
		b.Fatal(err)
	}
	guid, vs := model.NewGUID(), model.NewGUID()
	st, err := store.Open(ctx, db, store.Options{GUID: guid})
	if err != nil {
		b.Fatal(err)
	}
	defer st.Close()
	dir := &orgtest.Static{Cfg: &org.Config{Domains: []org.Domain{{Name: "a.test", Authoritative: true}}, Server: org.Server{FQDN: "mail.a.test"}}}
	for i := range conns {
		dir.Add(&org.Recipient{GUID: model.NewGUID(), Kind: org.Mailbox, Primary: addr(fmt.Sprintf("u%d@a.test", i)), MailboxGUID: model.NewGUID(), StoreGUID: guid, UseDefaults: true})
	}
	tr, err := transport.New(ctx, transport.Options{Org: dir, Stores: oneStore{st}, Queue: memory.New(memory.Options{})})
	if err != nil {
		b.Fatal(err)
	}
	defer tr.Shutdown(ctx)
	srv := &service.Server{Name: "SMTP", Handler: (&Head{Transport: tr, Org: dir, Limits: Limits{Messages: 1 << 30}}).Handler(vs)}
	defer srv.Shutdown(ctx)
	ln, err := service.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	go srv.Serve(ctx, ln)
	var clients []*wire.Client
	for range conns {
		c, nc := dial(b, ln.Addr().String())
		defer nc.Close()
		clients = append(clients, c)
	}
	b.ReportAllocs()
	b.ResetTimer()
	start := cpu()
	var next atomic.Int64
	var wg sync.WaitGroup
	for i, c := range clients {
		wg.Go(func() {
			for n := next.Add(1); n <= int64(b.N); n = next.Add(1) {
				res, err := c.Send(&wire.Envelope{From: addr("s@x.test"), Size: -1, Rcpts: to(fmt.Sprintf("u%d@a.test", i))}, strings.NewReader(benchMail(n)))
				if err != nil || res.Data == nil || res.Data.Code != 250 {
					b.Error(err, res)
					return
				}
			}
		})
	}
	wg.Wait()
	b.ReportMetric(float64(cpu()-start)/float64(b.N)/1e6, "cpu-ms/op")
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msgs/s")
	b.ReportMetric(float64(db.(kv.Metered).Metrics().Syncs)/float64(b.N), "syncs/op")
}

type oneStore struct{ db *store.Database }

func (o oneStore) Database(model.GUID) (*store.Database, error) { return o.db, nil }

func dial(b *testing.B, address string) (*wire.Client, net.Conn) {
	nc, err := (&service.Dialer{}).Dial(b.Context(), "tcp", address)
	if err != nil {
		b.Fatal(err)
	}
	c := wire.NewClient(nc)
	if _, err := c.Greet(); err != nil {
		b.Fatal(err)
	}
	if err := c.Hello("client.test"); err != nil {
		b.Fatal(err)
	}
	return c, nc
}

func cpu() time.Duration {
	var r syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &r)
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

func benchMail(n int64) string {
	return fmt.Sprintf("From: Sender <s@x.test>\r\nTo: u@a.test\r\nSubject: message %d\r\nDate: Sun, 22 Nov 2026 13:00:00 +0000\r\nMessage-ID: <%d@x.test>\r\nMIME-Version: 1.0\r\nContent-Type: text/plain\r\n\r\n", n, n) +
		strings.Repeat("The quick brown fox jumps over the lazy dog, again and again and again.\r\n", 52)
}
