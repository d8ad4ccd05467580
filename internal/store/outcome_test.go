package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"rialto/internal/kv"
	"rialto/internal/kv/memory"
	"rialto/internal/model"
	"rialto/internal/store/layout"
)

// odd is an engine that can lose the answer of a commit, or hold it back.
type odd struct {
	*memory.DB
	lose atomic.Bool
	hold atomic.Pointer[chan struct{}]
}

func (o *odd) Commit(ctx context.Context, b kv.Batch) (kv.Commit, error) {
	if c := o.hold.Load(); c != nil {
		select {
		case <-*c:
		case <-ctx.Done():
			return nil, fmt.Errorf("%w: %w", kv.ErrUnknown, ctx.Err())
		}
	}
	c, err := o.DB.Commit(ctx, b)
	if err == nil && o.lose.Load() {
		return nil, kv.ErrUnknown
	}
	return c, err
}

func openOdd(t *testing.T) (*odd, *Database, *Mailbox) {
	t.Helper()
	o := &odd{DB: memory.New(memory.Options{})}
	db, err := Open(ctx, o, Options{GUID: model.GUID{1}, Name: "Mailbox Store"})
	if err != nil {
		t.Fatal(err)
	}
	m, err := db.CreateMailbox(ctx, model.GUID{2}, "a")
	if err != nil {
		t.Fatal(err)
	}
	return o, db, m
}

// A batch whose outcome is not known may be there: numbers it used must not be
// given to another.
func TestUnknownOutcomeEndsTheDatabase(t *testing.T) {
	o, db, m := openOdd(t)
	o.lose.Store(true)
	if _, err := m.CreateFolder(ctx, FolderSubtree, "one", ""); !model.IsKind(err, model.KindUnavailable) {
		t.Fatalf("lost answer: %v", err)
	}
	o.lose.Store(false)
	if _, err := m.CreateFolder(ctx, FolderSubtree, "two", ""); !model.IsKind(err, model.KindUnavailable) {
		t.Errorf("the mailbox goes on: %v", err)
	}
	if !model.IsKind(db.Healthy(ctx), model.KindUnavailable) {
		t.Error("the database is well")
	}
	if err := o.DB.WaitDurable(ctx, o.DB.Durable()); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	kv2, err := o.DB.Reopen()
	if err != nil {
		t.Fatal(err)
	}
	db, err = Open(ctx, kv2, Options{GUID: model.GUID{1}})
	if err != nil {
		t.Fatal(err)
	}
	if m, err = db.Mailbox(ctx, model.GUID{2}); err != nil {
		t.Fatal(err)
	}
	verify(t, m)
}

// A caller that gives up while the engine is stalled does not leave the mailbox
// without knowing what it holds.
func TestImpatientWriter(t *testing.T) {
	o, db, m := openOdd(t)
	gate := make(chan struct{})
	o.hold.Store(&gate)
	short, cancel := context.WithCancel(ctx)
	done := make(chan error)
	go func() {
		_, err := m.CreateFolder(short, FolderSubtree, "one", "")
		done <- err
	}()
	time.Sleep(20 * time.Millisecond)
	cancel()
	// Readers, and whoever looks other mailboxes up, are not held up.
	v, err := m.View(ctx)
	if err != nil {
		t.Fatal(err)
	}
	v.Close()
	if _, err := db.Mailbox(ctx, model.GUID{9}); !model.IsKind(err, model.KindNotFound) {
		t.Error(err)
	}
	close(gate)
	if err := <-done; err != nil {
		t.Errorf("a batch that was ordered: %v", err)
	}
	if err := db.Healthy(ctx); err != nil {
		t.Error(err)
	}
	verify(t, m)
}

// Making a mailbox waits for the disk, and nobody else for that.
func TestCreateMailboxHoldsNobodyUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := memory.New(memory.Options{SyncLatency: time.Second})
		db, err := Open(ctx, slow, Options{GUID: model.GUID{1}})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := db.CreateMailbox(ctx, model.GUID{2}, "a"); err != nil {
			t.Fatal(err)
		}
		go db.CreateMailbox(ctx, model.GUID{3}, "b")
		time.Sleep(100 * time.Millisecond)
		start := time.Now()
		if _, err := db.Mailbox(ctx, model.GUID{2}); err != nil || time.Since(start) > 0 {
			t.Errorf("another mailbox took %v: %v", time.Since(start), err)
		}
		b, err := db.Mailbox(ctx, model.GUID{3})
		if err != nil {
			t.Fatal(err)
		}
		v, err := b.View(ctx)
		if err != nil {
			t.Fatal(err)
		}
		defer v.Close()
		if slow.Durable() < kv.Sequence(b.last.Load()) {
			t.Error("a new mailbox is shown before it is durable")
		}
		synctest.Wait()
		db.Close()
	})
}

// What is answered without writing rests on what others have just written.
func TestNothingToDoIsDurableToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := memory.New(memory.Options{SyncLatency: time.Second})
		db, err := Open(ctx, slow, Options{GUID: model.GUID{1}})
		if err != nil {
			t.Fatal(err)
		}
		m, err := db.CreateMailbox(ctx, model.GUID{2}, "a")
		if err != nil {
			t.Fatal(err)
		}
		st, err := m.Append(ctx, FolderInbox, &NewItem{})
		if err != nil {
			t.Fatal(err)
		}
		set := UIDs(st[0].UID())
		go m.SetFlags(ctx, FolderInbox, set, FlagChange{Set: Flagged})
		time.Sleep(100 * time.Millisecond)
		res, err := m.SetFlags(ctx, FolderInbox, set, FlagChange{Set: Flagged})
		if err != nil || len(res.States) != 1 || slow.Durable() < kv.Sequence(m.last.Load()) {
			t.Errorf("%+v, %v; durable to %d of %d", res, err, slow.Durable(), m.last.Load())
		}
		dv := &Delivery{QueueID: "q", To: []DeliverTo{{Mailbox: model.GUID{2}, Key: "a"}}}
		go db.Deliver(ctx, dv)
		time.Sleep(100 * time.Millisecond)
		out, err := db.Deliver(ctx, dv)
		if err != nil || !out[0].Duplicate || slow.Durable() < kv.Sequence(m.last.Load()) {
			t.Errorf("%+v, %v; durable to %d of %d", out, err, slow.Durable(), m.last.Load())
		}
		synctest.Wait()
		db.Close()
	})
}

// The second batch of a delivery fails: who got the first must not get the
// message again.
func TestDeliveryFailsHalfway(t *testing.T) {
	o, db, m := openOdd(t)
	other, err := db.CreateMailbox(ctx, model.GUID{3}, "b")
	if err != nil {
		t.Fatal(err)
	}
	other.mu.Lock()
	done := make(chan struct{})
	var res []Delivered
	go func() {
		defer close(done)
		res, err = db.Deliver(ctx, &Delivery{To: []DeliverTo{{Mailbox: m.GUID()}, {Mailbox: other.GUID()}}})
	}()
	for m.last.Load() == ordering || list(t, m, FolderInbox) == "" {
		time.Sleep(time.Millisecond)
	}
	o.lose.Store(true)
	other.mu.Unlock()
	<-done
	if err != nil || res[0].Err != nil || !model.IsKind(res[1].Err, model.KindUnavailable) {
		t.Errorf("%+v, %v", res, err)
	}
}

func TestLargeRowsStayInBatches(t *testing.T) {
	f := newFixture(t)
	m := f.mailbox("a")
	big := Summary{Envelope: []byte(strings.Repeat("e", 100<<10))}
	var to []DeliverTo
	for i := range 100 {
		to = append(to, DeliverTo{Mailbox: m.GUID(), Key: fmt.Sprint(i)})
	}
	to = append(to, DeliverTo{Mailbox: m.GUID(), Key: "5"})
	res, err := f.db.Deliver(ctx, &Delivery{QueueID: "q", Item: NewItem{Summary: big}, To: to})
	if err != nil || !res[100].Duplicate || res[100].UID != res[5].UID {
		t.Fatal(err, res[100])
	}
	if _, err := m.Delete(ctx, FolderInbox, UIDSet{{From: 1, To: 50}, {From: 40, To: 100}}); err != nil {
		t.Fatal(err)
	}
	verify(t, m)
	var rows []RowID
	for _, s := range deletedItems(t, m) {
		rows = append(rows, s.Row, s.Row)
	}
	back, err := m.Recover(ctx, FolderInbox, rows)
	if err != nil || len(back) != 100 {
		t.Fatal(len(back), err)
	}
	verify(t, m)
	if _, err := m.Delete(ctx, FolderInbox, UIDSet{{From: 1, To: 1000}}); err != nil {
		t.Fatal(err)
	}
	if n, err := m.Purge(ctx, FolderInbox, f.now.Add(time.Hour)); n != 100 || err != nil {
		t.Fatal(n, err)
	}
	verify(t, m)
}

func deletedItems(t *testing.T, m *Mailbox) (out []State) {
	t.Helper()
	v, err := m.View(ctx)
	if err == nil {
		err = v.Recoverable(ctx, FolderInbox, func(s *State) bool {
			out = append(out, *s)
			return true
		})
		v.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestDamagedRowsDoNotPanic(t *testing.T) {
	f := newFixture(t)
	m := f.mailbox("a")
	st := f.append(m, FolderInbox, "hello")[0]
	b := f.eng.db().NewBatch()
	b.Set(m.num.ID(layout.SubBag, uint64(st.Row)), nil)
	b.Set(m.num.ID(layout.SubAttachment, uint64(st.Row)), []byte{1, 0})
	b.Set(m.num.Key(layout.SubStream), nil)
	if _, err := f.eng.db().Commit(ctx, b); err != nil {
		t.Fatal(err)
	}
	v, err := m.View(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	if _, err := v.Props(ctx, st.Row); !model.IsKind(err, model.KindCorrupt) {
		t.Error(err)
	}
	if _, err := v.Attachments(ctx, st.Row); !model.IsKind(err, model.KindCorrupt) {
		t.Error(err)
	}
	body := &Body{trace: []byte("abc")}
	if _, err := body.ReadAt(make([]byte, 1), -1); err == nil {
		t.Error("read before the beginning")
	}
	if err := body.WriteRange(io.Discard, -1, 1); err == nil {
		t.Error("range before the beginning")
	}
	if got, err := m.Verify(ctx, true); err != nil || len(got.Problems) == 0 {
		t.Error(got, err)
	}
	if err := wrap("x", "y", errors.Join(kv.ErrUnknown)); !model.IsKind(err, model.KindUnavailable) {
		t.Error(err)
	}
}
