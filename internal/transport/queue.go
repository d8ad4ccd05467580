package transport

import (
	"context"
	"encoding/binary"
	"errors"
	"sync"

	"rialto/internal/kv"
	"rialto/internal/model"
)

// The key spaces of the queue. Integers are big endian.
//
//	00 name           facts: "format", "guid", "low", "next"
//	01 id8            record header (Record.encodeHeader)
//	02 id8 chunk4     body, in chunks of chunkSize
//	03 id8 row4       recipients, rcptsPerRow in each
//	04 guid16 outbox8 a message of that database's outbox has been queued
//	05 guid16         all that ever were and are not in it any more (taken)
//
// "low" is the low-water mark: no live record is below it, and a start scans
// from there, never over what was deleted before. "next" is the first id that
// was not reserved; ids below may have been given out.
const (
	spaceFact   = 0
	spaceRecord = 1
	spaceBody   = 2
	spaceRcpts  = 3
	spaceOutbox = 4
	spaceTaken  = 5

	queueFormat = 1
	idBlock     = 1024
	sweepEvery  = 128 // finished messages between two range deletes
)

// queue is the durable part of the transport. It is safe for concurrent use;
// that nobody changes one record twice at a time is its callers' business.
type queue struct {
	db   kv.DB
	guid model.GUID // of this queue: ids of two queues must not be mixed up

	mu       sync.Mutex
	next     uint64
	reserved uint64
	low      uint64
	open     map[uint64]bool // ids given out and not yet finished
	ready    bool            // recover has run: open is complete
	holes    []uint64        // finished, not yet swept
}

func factKey(name string) []byte { return append([]byte{spaceFact}, name...) }

func idKey(space byte, id uint64) []byte {
	return binary.BigEndian.AppendUint64(append(make([]byte, 0, 13), space), id)
}

func partKey(space byte, id uint64, n uint32) []byte {
	return binary.BigEndian.AppendUint32(idKey(space, id), n)
}

func openQueue(ctx context.Context, db kv.DB) (*queue, error) {
	q := &queue{db: db, open: map[uint64]bool{}}
	v, err := db.GetMany(ctx, [][]byte{factKey("format"), factKey("guid"), factKey("low"), factKey("next")})
	if err != nil {
		return nil, queueError("transport.open", err)
	}
	if v[0] == nil {
		return q, q.create(ctx)
	}
	if len(v[0]) != 4 || len(v[1]) != 16 || len(v[2]) != 8 || len(v[3]) != 8 {
		return nil, corrupt("queue facts")
	}
	if binary.BigEndian.Uint32(v[0]) > queueFormat {
		return nil, model.E("transport.open", model.KindUnsupported, "queue", kv.ErrFormat)
	}
	q.guid = model.GUID(v[1])
	q.low = binary.BigEndian.Uint64(v[2])
	q.next = binary.BigEndian.Uint64(v[3])
	q.reserved = q.next
	return q, nil
}

// idsSkipped is more than a queue gives out between two states of its database
// that a rewind may lie between.
const idsSkipped = 1 << 32

// settleRewind returns how the engine came back to an earlier state, nil if it
// did not. Ids that may have been given since are not given again: a database
// that remembers one would take a new message for delivered.
func (q *queue) settleRewind(ctx context.Context) (*kv.Rewind, error) {
	e, ok := q.db.(kv.Rewinder)
	if !ok {
		return nil, nil
	}
	r, err := e.Rewound(ctx)
	if r == nil || err != nil {
		return nil, queueError("transport.open", err)
	}
	q.next += idsSkipped
	q.reserved = q.next
	b := q.db.NewBatch()
	b.Set(factKey("next"), binary.BigEndian.AppendUint64(nil, q.next))
	if err := q.commit(ctx, b); err != nil {
		return nil, err
	}
	return r, queueError("transport.open", e.Settle(ctx))
}

func (q *queue) create(ctx context.Context) error {
	q.guid, q.low, q.next, q.reserved = model.NewGUID(), 1, 1, 1
	b := q.db.NewBatch()
	b.Set(factKey("format"), binary.BigEndian.AppendUint32(nil, queueFormat))
	b.Set(factKey("guid"), q.guid[:])
	b.Set(factKey("low"), binary.BigEndian.AppendUint64(nil, q.low))
	b.Set(factKey("next"), binary.BigEndian.AppendUint64(nil, q.next))
	return q.commit(ctx, b)
}

// commit orders b and waits for the disk, whoever gives up meanwhile.
func (q *queue) commit(ctx context.Context, b kv.Batch) error {
	c, err := q.db.Commit(ctx, b)
	if err == nil {
		err = c.Wait(context.WithoutCancel(ctx))
	}
	return queueError("transport.queue", err)
}

// queueError gives an error of the engine its kind.
func queueError(op string, err error) error {
	if err == nil {
		return nil
	}
	kind := model.KindUnavailable
	switch {
	case errors.Is(err, kv.ErrNoSpace):
		kind = model.KindNoSpace
	case errors.Is(err, kv.ErrNotFound):
		kind = model.KindNotFound
	case errors.Is(err, kv.ErrTooLarge):
		kind = model.KindTooLarge
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		kind = model.KindCanceled
	}
	return model.E(op, kind, "queue", err)
}

// allocate gives out an id. A block of ids is durable as used before the first
// of it is given, so that none is ever given twice.
func (q *queue) allocate(ctx context.Context) (uint64, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.next >= q.reserved {
		upto := q.next + idBlock
		b := q.db.NewBatch()
		b.Set(factKey("next"), binary.BigEndian.AppendUint64(nil, upto))
		if err := q.commit(ctx, b); err != nil {
			return 0, err
		}
		q.reserved = upto
	}
	id := q.next
	q.next++
	q.open[id] = true
	return id, nil
}

// name is what databases know a message by.
func (q *queue) name(id uint64) string {
	return q.guid.String() + string(binary.BigEndian.AppendUint64(nil, id))
}

// put writes the rows of r whose recipients are in dirty (nil: all) into b. Rows
// that do not fit one batch are committed before; they mean nothing until the
// header counts them.
func (q *queue) put(ctx context.Context, b kv.Batch, r *Record, dirty map[int]bool) (kv.Batch, error) {
	for from := 0; from < len(r.Rcpts); from += rcptsPerRow {
		row := from / rcptsPerRow
		if dirty != nil && !dirty[row] {
			continue
		}
		if b.Size() > kv.MaxBatch/2 {
			if _, err := q.db.Commit(ctx, b); err != nil {
				return nil, queueError("transport.queue", err)
			}
			b = q.db.NewBatch()
		}
		b.Set(partKey(spaceRcpts, r.ID, uint32(row)), encodeRcpts(r.Rcpts[from:min(from+rcptsPerRow, len(r.Rcpts))]))
	}
	b.Set(idKey(spaceRecord, r.ID), r.encodeHeader())
	return b, nil
}

// load reads a record; KindNotFound when it has left the queue.
func (q *queue) load(ctx context.Context, id uint64) (*Record, error) {
	v, err := q.db.Get(ctx, idKey(spaceRecord, id))
	if err != nil {
		return nil, queueError("transport.load", err)
	}
	r := &Record{ID: id}
	if err := r.decodeHeader(v); err != nil {
		return nil, err
	}
	var keys [][]byte
	for from := 0; from < len(r.Rcpts); from += rcptsPerRow {
		keys = append(keys, partKey(spaceRcpts, id, uint32(from/rcptsPerRow)))
	}
	rows, err := q.db.GetMany(ctx, keys)
	if err != nil {
		return nil, queueError("transport.load", err)
	}
	for i, row := range rows {
		from := i * rcptsPerRow
		if err := decodeRcpts(row, r.Rcpts[from:min(from+rcptsPerRow, len(r.Rcpts))]); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// remove adds to b what takes a message out of the queue. Bodies of some size
// go at once, the rest is left to the sweep.
func (q *queue) remove(b kv.Batch, r *Record) {
	b.Reclaim()
	b.Delete(idKey(spaceRecord, r.ID))
	if r.Size > chunkSize {
		b.DeleteRange(idKey(spaceBody, r.ID), idKey(spaceBody, r.ID+1))
	}
}

// finished notes that an id is out of use and sweeps now and then.
func (q *queue) finished(ctx context.Context, id uint64) {
	q.mu.Lock()
	delete(q.open, id)
	q.holes = append(q.holes, id)
	if len(q.holes) < sweepEvery {
		q.mu.Unlock()
		return
	}
	b := q.sweep()
	q.mu.Unlock()
	// What a failed sweep leaves is swept at the next start.
	_, _ = q.db.Commit(ctx, b)
}

// sweep returns a batch that raises the low-water mark and deletes what lies
// below it, and the bodies of finished messages above. The caller holds mu.
func (q *queue) sweep() kv.Batch {
	low := q.next
	for id := range q.open {
		low = min(low, id)
	}
	b := q.db.NewBatch()
	b.Reclaim()
	if !q.ready { // there may be records that open does not know yet
		return b
	}
	if low > q.low {
		for _, space := range []byte{spaceRecord, spaceBody, spaceRcpts} {
			b.DeleteRange(idKey(space, q.low), idKey(space, low))
		}
		q.low = low
		b.Set(factKey("low"), binary.BigEndian.AppendUint64(nil, low))
	}
	for _, id := range q.holes {
		if id >= low {
			b.DeleteRange(idKey(spaceBody, id), idKey(spaceBody, id+1))
			b.DeleteRange(idKey(spaceRcpts, id), idKey(spaceRcpts, id+1))
		}
	}
	q.holes = q.holes[:0]
	return b
}

// recover calls found for every record and deletes bodies without one: of
// messages that were never acknowledged.
func (q *queue) recover(ctx context.Context, found func(*Record)) error {
	top := idKey(spaceRecord+1, 0)
	var ids []uint64
	it := q.db.Scan(ctx, kv.Range{Lower: idKey(spaceRecord, q.low), Upper: top[:1]})
	for it.Next() {
		if k := it.Key(); len(k) == 9 {
			ids = append(ids, binary.BigEndian.Uint64(k[1:]))
		}
	}
	if err := it.Close(); err != nil {
		return queueError("transport.recover", err)
	}
	q.mu.Lock()
	// Messages accepted since the queue was opened are scheduled already.
	fresh := make(map[uint64]bool, len(q.open))
	for id := range q.open {
		fresh[id] = true
	}
	for _, id := range ids {
		q.open[id] = true
	}
	q.ready = true
	q.mu.Unlock()
	for _, id := range ids {
		if fresh[id] {
			continue
		}
		r, err := q.load(ctx, id)
		if err != nil {
			if model.IsKind(err, model.KindCorrupt) {
				continue // kept for a person to look at; the rest of the mail must move
			}
			if model.IsKind(err, model.KindNotFound) { // came and went meanwhile
				q.finished(ctx, id)
				continue
			}
			return err
		}
		found(r)
	}
	return q.dropOrphans(ctx, ids, fresh)
}

// dropOrphans deletes bodies whose id is in neither list, finding each with
// one seek.
func (q *queue) dropOrphans(ctx context.Context, live []uint64, fresh map[uint64]bool) error {
	known := make(map[uint64]bool, len(live))
	for _, id := range live {
		known[id] = true
	}
	for at := q.low; ; {
		it := q.db.Scan(ctx, kv.Range{Lower: idKey(spaceBody, at), Upper: []byte{spaceBody + 1}, Limit: 1})
		var id uint64
		ok := it.Next()
		if ok && len(it.Key()) >= 9 {
			id = binary.BigEndian.Uint64(it.Key()[1:9])
		}
		if err := it.Close(); err != nil {
			return queueError("transport.recover", err)
		}
		if !ok {
			return nil
		}
		q.mu.Lock()
		inUse := known[id] || fresh[id] || q.open[id]
		q.mu.Unlock()
		if !inUse {
			b := q.db.NewBatch()
			b.Reclaim()
			b.DeleteRange(idKey(spaceBody, id), idKey(spaceBody, id+1))
			b.DeleteRange(idKey(spaceRcpts, id), idKey(spaceRcpts, id+1))
			if _, err := q.db.Commit(ctx, b); err != nil {
				return queueError("transport.recover", err)
			}
		}
		at = id + 1
	}
}

// close sweeps and closes the engine. No id is skipped by a clean stop.
func (q *queue) close() error {
	q.mu.Lock()
	b := q.sweep()
	b.Set(factKey("next"), binary.BigEndian.AppendUint64(nil, q.next))
	q.mu.Unlock()
	err := q.commit(context.Background(), b)
	if e := q.db.Close(); err == nil {
		err = e
	}
	return err
}
