package transport

import (
	"cmp"
	"context"
	"encoding/binary"
	"log/slog"
	"sync"
	"time"

	"rialto/internal/kv"
	"rialto/internal/model"
	"rialto/internal/service"
	"rialto/internal/store"
)

// outboxes drain what the mounted databases want sent: one worker for each
// database, woken by a hint. A message of an outbox is queued in one batch with
// a mark (database, outbox id), then dropped from the outbox, then the mark
// becomes part of what was taken of that outbox: neither a crash in between nor
// an outbox that comes back with a backup repeats anything.
type outboxes struct {
	mu    sync.Mutex
	m     map[model.GUID]chan struct{} // wakes the worker of a database
	ended bool                         // no worker is begun any more
}

// Pace of the outbox workers: how many messages are read at once, and how soon
// they look again without a hint.
const (
	outboxPage  = 50
	outboxPause = 30 * time.Second
)

// wakeOutbox makes sure that the outbox of a database is drained.
func (t *Transport) wakeOutbox(guid model.GUID) {
	o := &t.outboxes
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.ended || !t.started.Load() {
		return
	}
	wake := o.m[guid]
	if wake == nil {
		if o.m == nil {
			o.m = map[model.GUID]chan struct{}{}
		}
		wake = make(chan struct{}, 1)
		o.m[guid] = wake
		t.wg.Go(func() { t.drainOutbox(guid, wake) })
	}
	select {
	case wake <- struct{}{}:
	default:
	}
}

// end keeps further workers from being begun.
func (o *outboxes) end() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.ended = true
}

// watchOutboxes begins to drain the stores that the directory gives this server.
func (t *Transport) watchOutboxes() {
	for _, g := range t.opt.Org.Config().Server.StorageGroups {
		for _, s := range g.Stores {
			if !s.Public && !g.Recovery {
				t.wakeOutbox(s.GUID)
			}
		}
	}
}

// drainOutbox is the worker of one database.
func (t *Transport) drainOutbox(guid model.GUID, wake chan struct{}) {
	tick := time.NewTicker(outboxPause)
	defer tick.Stop()
	var swept *store.Database
	var got *taken
	for {
		select {
		case <-t.sched.done:
			return
		case <-wake:
		case <-tick.C:
		}
		db, err := t.opt.Stores.Database(guid)
		if err != nil {
			continue // its mounting is a hint
		}
		if got == nil {
			if got, err = t.readTaken(t.ctx, guid); err != nil {
				continue
			}
		}
		if swept != db {
			db.OnOutbox(func() { t.wakeOutbox(guid) })
			if err := t.sweepMarks(t.ctx, db, got); err != nil {
				continue
			}
			swept = db
		}
		if err := t.drain(t.ctx, db, got); err != nil && t.ctx.Err() == nil {
			t.opt.Log.Info("outbox is left for later", "store", db.Name(), "err", err)
		}
	}
}

// drain queues what is in the outbox of a database, less what came back with a
// backup and had been taken before. An id that was put back by other means than
// ours may be given again and is not compared: to send twice is the lesser harm.
// A message that has to wait for something stays, and those behind it go on; err
// says why the first of them waits.
func (t *Transport) drain(ctx context.Context, db *store.Database, got *taken) error {
	restored := db.RestoredBelow()
	var waits error
	for after := store.OutboxID(0); ; {
		list, err := db.Outbox(ctx, after, outboxPage)
		if err != nil || len(list) == 0 {
			return cmp.Or(err, waits)
		}
		var done []store.OutboxID
		again := 0
		for _, o := range list {
			if o.ID < restored && got.has(uint64(o.ID)) {
				again++
			} else if alone, e := t.sendOutgoing(ctx, db, o); e != nil && alone {
				waits = cmp.Or(waits, e)
				continue
			} else if e != nil {
				err = e
				break
			}
			done = append(done, o.ID)
		}
		after = list[len(list)-1].ID
		if len(done) > 0 {
			if e := db.Sent(ctx, done...); e != nil {
				return e
			}
			t.unmark(ctx, db.GUID(), done, got)
		}
		if again > 0 {
			t.opt.Log.Info("mail of a restored outbox had been sent", "store", db.Name(), "messages", again)
		}
		if err != nil {
			return err
		}
	}
}

func outboxMark(db model.GUID, id store.OutboxID) []byte {
	return binary.BigEndian.AppendUint64(append([]byte{spaceOutbox}, db[:]...), uint64(id))
}

// sendOutgoing queues one message, unless it has been queued before. What can
// not be made into a message is reported and dropped. alone says that it is the
// message that has to wait, and not the queue that takes none.
func (t *Transport) sendOutgoing(ctx context.Context, db *store.Database, o *store.Outgoing) (alone bool, err error) {
	mark := outboxMark(db.GUID(), o.ID)
	vals, err := t.queue.db.GetMany(ctx, [][]byte{mark})
	if err != nil {
		return false, queueError("transport.outbox", err)
	}
	if vals[0] != nil {
		return false, nil
	}
	body, err := t.queue.newBody(ctx)
	if err != nil {
		return false, err
	}
	r, err := t.composeOutgoing(ctx, db, o, body)
	alone = err != nil && body.err() == nil && ctx.Err() == nil
	if err == nil {
		err = t.enqueueMarked(ctx, body, r, mark)
	}
	if err == nil {
		return false, nil
	}
	body.abort()
	if k := model.KindOf(err); k != model.KindCorrupt && k != model.KindInvalid && k != model.KindTooLarge {
		return alone, err
	}
	if t.opt.Events != nil {
		t.opt.Events.Report(ctx, service.Event{Source: service.SourceTransport, ID: EventDoubleBounce, Level: slog.LevelWarn, Category: "Rules",
			Message: "A message that a mailbox wanted sent could not be made and was discarded.",
			Attrs:   []slog.Attr{slog.String("mailbox", o.Owner.Address.String()), slog.String("error", err.Error())}})
	}
	return false, nil
}

// sweepMarks drops the marks whose messages have left the outbox: what a crash
// between the two left.
func (t *Transport) sweepMarks(ctx context.Context, db *store.Database, got *taken) error {
	low := outboxMark(db.GUID(), 0)
	it := t.queue.db.Scan(ctx, kv.Range{Lower: low, Upper: outboxMark(db.GUID(), 1<<64-1)})
	var marked []store.OutboxID
	for it.Next() {
		if k := it.Key(); len(k) == len(low) {
			marked = append(marked, store.OutboxID(binary.BigEndian.Uint64(k[len(k)-8:])))
		}
	}
	if err := it.Close(); err != nil || len(marked) == 0 {
		return queueError("transport.outbox", err)
	}
	there := map[store.OutboxID]bool{}
	for after := store.OutboxID(0); ; {
		list, err := db.Outbox(ctx, after, outboxPage)
		if err != nil {
			return err
		}
		if len(list) == 0 {
			break
		}
		for _, o := range list {
			there[o.ID] = true
			after = o.ID
		}
	}
	var gone []store.OutboxID
	for _, id := range marked {
		if !there[id] {
			gone = append(gone, id)
		}
	}
	t.unmark(ctx, db.GUID(), gone, got)
	return nil
}

// unmark drops marks and adds their messages to what was taken; what fails is
// done by the next sweep.
func (t *Transport) unmark(ctx context.Context, db model.GUID, ids []store.OutboxID, got *taken) {
	b := t.queue.db.NewBatch()
	b.Reclaim()
	for _, id := range ids {
		b.Delete(outboxMark(db, id))
		got.add(uint64(id))
	}
	b.Set(takenKey(db), got.encode())
	_, _ = t.queue.db.Commit(ctx, b)
}
