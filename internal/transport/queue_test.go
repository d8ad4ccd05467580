package transport

import (
	"bytes"
	"context"
	"io"
	"reflect"
	"strings"
	"testing"
	"time"

	"rialto/internal/kv"
	"rialto/internal/kv/memory"
	"rialto/internal/message"
	"rialto/internal/model"
	"rialto/internal/wire/smtp"
)

func messageHeader(s string) message.Header { return message.Header(s) }

func sample(rcpts int) *Record {
	r := &Record{ID: 7, Accepted: time.UnixMilli(1763816400123), From: model.Address{Local: "a", Domain: "x.test"}, Ret: "HDRS", EnvID: "e",
		Body: "8BITMIME", Sender: guidOf("s"), Trusted: true, Frozen: true, Size: 1 << 40, Trace: []byte("Received: x\r\n"), MessageID: "<1@x>", Subject: "hi", Client: "c"}
	for i := range rcpts {
		c := Rcpt{To: model.Address{Local: strings.Repeat("r", i%60+1), Domain: "y.test"}, Notify: smtp.Notify(i % 16), State: State(i % 7), Status: "4.4.1", Diag: "d", Remote: "m",
			ORcptType: "rfc822", ORcpt: "o", Return: model.Address{Local: "b", Domain: "z"}, Reported: i%2 == 0, DelayTold: i%3 == 0}
		if i%5 == 0 {
			c.Mailbox, c.Store, c.Name = guidOf("m"), guidOf("db"), "Name"
		}
		r.Rcpts = append(r.Rcpts, c)
	}
	return r
}

func openTestQueue(t *testing.T, db kv.DB) *queue {
	t.Helper()
	q, err := openQueue(t.Context(), db)
	if err != nil {
		t.Fatal(err)
	}
	return q
}

// cameBack is an engine that came back to an earlier state, until settled.
type cameBack struct {
	*memory.DB
	finding *kv.Rewind
}

func (c *cameBack) Rewound(context.Context) (*kv.Rewind, error) { return c.finding, nil }
func (c *cameBack) Settle(context.Context) error {
	c.finding = nil
	return nil
}

// TestRewoundQueue: no id that may have been given is given again.
func TestRewoundQueue(t *testing.T) {
	db := &cameBack{DB: memory.New(memory.Options{})}
	first, err := openTestQueue(t, db).allocate(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	db.finding = &kv.Rewind{}
	q := openTestQueue(t, db)
	if r, err := q.settleRewind(t.Context()); r == nil || err != nil || db.finding != nil {
		t.Fatal(r, err, db.finding)
	}
	next, err := q.allocate(t.Context())
	if err != nil || next < first+idsSkipped {
		t.Fatalf("id %d after %d, %v", next, first, err)
	}
	q = openTestQueue(t, db)
	if r, err := q.settleRewind(t.Context()); r != nil || err != nil {
		t.Fatal(r, err)
	}
	if again, err := q.allocate(t.Context()); err != nil || again <= next || again > next+2*idBlock {
		t.Errorf("id %d after %d, %v", again, next, err)
	}
}

func TestRecordRoundTrip(t *testing.T) {
	q := openTestQueue(t, memory.New(memory.Options{}))
	for _, n := range []int{0, 1, 100, 101, 20000} {
		r := sample(n)
		b, err := q.put(t.Context(), q.db.NewBatch(), r, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := q.commit(t.Context(), b); err != nil {
			t.Fatal(err)
		}
		got, err := q.load(t.Context(), r.ID)
		if err != nil {
			t.Fatal(err)
		}
		if len(r.Rcpts) == 0 {
			r.Rcpts = got.Rcpts
		}
		if !reflect.DeepEqual(r, got) {
			t.Errorf("%d recipients: changed", n)
		}
	}
	if _, err := q.load(t.Context(), 99); !model.IsKind(err, model.KindNotFound) {
		t.Errorf("missing record: %v", err)
	}
}

func FuzzRecord(f *testing.F) {
	r := sample(3)
	f.Add(r.encodeHeader(), encodeRcpts(r.Rcpts))
	f.Add([]byte{recordFormat}, []byte{recordFormat, 1})
	f.Fuzz(func(t *testing.T, h, rows []byte) {
		var r Record
		if r.decodeHeader(h) == nil {
			var again Record
			if err := again.decodeHeader(r.encodeHeader()); err != nil {
				t.Fatalf("own encoding refused: %v", err)
			}
		}
		list := make([]Rcpt, 3)
		if decodeRcpts(rows, list) == nil {
			again := make([]Rcpt, 3)
			if err := decodeRcpts(encodeRcpts(list), again); err != nil {
				t.Fatalf("own encoding refused: %v", err)
			}
		}
	})
}

// add queues a message with a body of n octets.
func add(t *testing.T, q *queue, n int) *Record {
	t.Helper()
	w, err := q.newBody(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	w.Write(bytes.Repeat([]byte("b"), n))
	r := &Record{ID: w.id, Size: w.size, Rcpts: []Rcpt{{To: model.Address{Local: "x", Domain: "y"}}}}
	b := q.db.NewBatch()
	w.finish(b)
	if b, err = q.put(t.Context(), b, r, nil); err == nil {
		err = q.commit(t.Context(), b)
	}
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func rows(t *testing.T, db kv.DB) (n int) {
	it := db.Scan(t.Context(), kv.Range{Lower: []byte{spaceRecord}})
	for it.Next() {
		n++
	}
	if err := it.Close(); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestQueueSweeps(t *testing.T) {
	db := memory.New(memory.Options{})
	q := openTestQueue(t, db)
	if err := q.recover(t.Context(), func(*Record) { t.Error("found something") }); err != nil {
		t.Fatal(err)
	}
	keep := add(t, q, 100)
	for range sweepEvery {
		r := add(t, q, 1000)
		b := db.NewBatch()
		q.remove(b, r)
		if err := q.commit(t.Context(), b); err != nil {
			t.Fatal(err)
		}
		q.finished(t.Context(), r.ID)
	}
	if n := rows(t, db); n != 3 { // record, recipients and body of keep
		t.Errorf("%d rows left", n)
	}
	if q.low != keep.ID {
		t.Errorf("low-water mark %d, want %d", q.low, keep.ID)
	}
}

func TestQueueRecovers(t *testing.T) {
	db := memory.New(memory.Options{})
	q := openTestQueue(t, db)
	want := add(t, q, 3*chunkSize+5)
	lost, _ := q.newBody(t.Context()) // accepted by nobody
	lost.Write(make([]byte, 2*chunkSize))
	db.PowerCut()
	db.Close()
	db, err := db.Reopen()
	if err != nil {
		t.Fatal(err)
	}
	q2 := openTestQueue(t, db)
	if q2.guid != q.guid {
		t.Error("the queue changed its GUID: marks of deliveries are worthless")
	}
	var got []*Record
	if err := q2.recover(t.Context(), func(r *Record) { got = append(got, r) }); err != nil {
		t.Fatal(err)
	}
	if len(got) != 1 || got[0].ID != want.ID {
		t.Fatalf("recovered %+v", got)
	}
	body, err := io.ReadAll(q2.body(t.Context(), got[0]))
	if err != nil || len(body) != 3*chunkSize+5 {
		t.Errorf("body of %d octets, %v", len(body), err)
	}
	if n := rows(t, db); n != 2+4 {
		t.Errorf("%d rows: orphans stay", n)
	}
	next, err := q2.allocate(t.Context())
	if err != nil || next <= lost.id {
		t.Errorf("id %d given again, %v", next, err)
	}
	// A body with a hole is never delivered cut short.
	b := db.NewBatch()
	b.Delete(partKey(spaceBody, want.ID, 2))
	q2.commit(t.Context(), b)
	if _, err := io.ReadAll(q2.body(t.Context(), got[0])); !model.IsKind(err, model.KindCorrupt) {
		t.Errorf("cut body: %v", err)
	}
}

func TestCloseBeforeStartKeepsAll(t *testing.T) {
	db := memory.New(memory.Options{})
	q := openTestQueue(t, db)
	add(t, q, 10)
	if err := q.close(); err != nil {
		t.Fatal(err)
	}
	for range 2 { // opened and closed without a look inside
		var err error
		if db, err = db.Reopen(); err != nil {
			t.Fatal(err)
		}
		q = openTestQueue(t, db)
		if n := rows(t, db); n != 3 {
			t.Fatalf("%d rows", n)
		}
		if err := q.close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestNotice(t *testing.T) {
	at := time.Date(2026, 11, 22, 13, 0, 0, 0, time.UTC)
	r := &Record{Accepted: at, Subject: "Grüße", EnvID: "env1", MessageID: "<1@x.test>"}
	n := &notice{kind: noticeDelay, host: "me.test", postmast: model.Address{Local: "postmaster", Domain: "me.test"}, to: model.Address{Local: "a", Domain: "x.test"},
		id: "id@me.test", boundary: "BB", now: at, record: r, expire: at.Add(time.Hour), original: []byte("Subject: s\r\n\r\n"),
		rcpts: []Rcpt{{To: model.Address{Local: "b", Domain: "y.test"}, Status: "4.4.1", Diag: "no\r\nX-Evil: answer", Remote: "mx.y.test"}}}
	raw := n.build()
	st := message.Parse(raw)
	if len(st.Root.Children) != 3 || st.Root.Children[1].MediaType() != "message/delivery-status" || st.Root.Children[2].MediaType() != "text/rfc822-headers" {
		t.Fatalf("structure of\n%s", raw)
	}
	p := st.Root.Children[1]
	status := string(raw[p.BodyStart:p.BodyEnd])
	for _, want := range []string{"Original-Envelope-Id: env1\r\n", "Reporting-MTA: dns;me.test\r\n", "Final-Recipient: rfc822;b@y.test\r\n", "Action: delayed\r\n",
		"Status: 4.4.1\r\n", "Will-Retry-Until: Sun, 22 Nov 2026 14:00:00 +0000\r\n"} {
		if !strings.Contains(status, want) {
			t.Errorf("no %q in\n%s", want, status)
		}
	}
	if strings.Contains(status, "\nX-Evil") {
		t.Errorf("a server's words became a field:\n%s", status)
	}
	if st.Root.Envelope == nil || message.DecodeText(st.Root.Envelope.Subject) != "Delayed: Grüße" {
		t.Error("subject")
	}
}
