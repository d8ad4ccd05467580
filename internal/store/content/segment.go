package content

import (
	"context"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"sync"
	"time"

	"rialto/internal/kv"
	"rialto/internal/model"
)

// A segment begins with segmentMagic and a version; records follow:
//
//	stored length 4 · checksum 4 · codec 1 · zero 1 · content id 8 · chunk 4 ·
//	raw length 4 · stored octets
//
// The checksum (CRC-32C) covers everything after itself.
const (
	segmentHeader = 8
	recordHeader  = 26
	maxRecord     = recordHeader + ChunkSize + 1024
)

const segmentMagic = "RSEG\x00\x00\x00\x01"

func appendRecord(b []byte, c *codecs, id ID, chunk uint32, raw []byte) []byte {
	start := len(b)
	b = append(b, make([]byte, recordHeader)...)
	b, codec := c.pack(b, raw)
	h := b[start:]
	binary.BigEndian.PutUint32(h, uint32(len(h)-recordHeader))
	h[8] = byte(codec)
	binary.BigEndian.PutUint64(h[10:], uint64(id))
	binary.BigEndian.PutUint32(h[18:], chunk)
	binary.BigEndian.PutUint32(h[22:], uint32(len(raw)))
	binary.BigEndian.PutUint32(h[4:], crc32.Checksum(h[8:], castagnoli))
	return b
}

// checkRecord returns the parts of a record, whose length must be exact.
func checkRecord(rec []byte, id ID, chunk uint32) (stored []byte, codec Codec, raw int, err error) {
	if len(rec) < recordHeader || int(binary.BigEndian.Uint32(rec)) != len(rec)-recordHeader ||
		binary.BigEndian.Uint32(rec[4:]) != crc32.Checksum(rec[8:], castagnoli) ||
		ID(binary.BigEndian.Uint64(rec[10:])) != id || binary.BigEndian.Uint32(rec[18:]) != chunk {
		return nil, 0, 0, model.E("content.read", model.KindCorrupt, "segment record", nil)
	}
	return rec[recordHeader:], Codec(rec[8]), int(binary.BigEndian.Uint32(rec[22:])), nil
}

// appender writes the one segment that grows. Syncs are shared: a caller whose
// octets are covered by a sync that another began waits for that one. A sync
// begins when at least as many wait for it as are on their way through the
// engine's log, or those did not come back in about the time of a sync: then all
// share the next sync of either kind instead of taking turns in small groups. If
// none came back since the last sync, as when one writer has many streams, nobody
// is waited for.
type appender struct {
	dir   kv.Segments
	limit int64

	mu     sync.Mutex
	number uint64
	w      kv.SegmentWriter
	size   int64 // written
	synced int64
	failed error
	busy   bool // a sync is running
	done   *sync.Cond
	asking int              // streams that wait for a sync
	flying int              // streams that syncStream let go and that are not settled
	landed bool             // one of those was settled since the last sync began
	until  time.Time        // when the next sync begins at the latest; zero: nobody has asked yet
	timer  *time.Timer      // wakes those who wait for that
	took   time.Duration    // mean of the latest syncs
	lost   map[uint64]int64 // segments given up on a full disk: octets from there on never became durable
	full   error            // why
	live   map[uint64]int   // records per segment whose stream is not in the map yet
}

func openAppender(ctx context.Context, db kv.DB, dir kv.Segments, limit int64) (*appender, error) {
	list, err := dir.List()
	if err != nil {
		return nil, err
	}
	a := &appender{dir: dir, limit: limit, lost: map[uint64]int64{}, live: map[uint64]int{}}
	a.done = sync.NewCond(&a.mu)
	a.timer = time.AfterFunc(time.Hour, a.wake)
	a.timer.Stop()
	for i, s := range list {
		a.number = max(a.number, s.Number)
		if err := dropTail(ctx, db, dir, s, i == len(list)-1); err != nil {
			return nil, err
		}
	}
	return a, nil
}

// dropTail removes what no row refers to from the end of a segment: the whole
// segment if nothing does. Only the last segments can have such a tail, but a
// collection that was cut short leaves whole ones, so all are looked at.
func dropTail(ctx context.Context, db kv.DB, dir kv.Segments, s kv.SegmentInfo, last bool) error {
	lower := segmentKey(s.Number, 0)
	it := db.Scan(ctx, kv.Range{Lower: lower, Upper: segmentKey(s.Number+1, 0), Limit: 1, Reverse: true})
	end, odd := int64(0), false
	if it.Next() {
		if odd = len(it.Key()) != 17 || len(it.Value()) != 13; !odd {
			end = int64(binary.BigEndian.Uint64(it.Key()[9:])) + int64(binary.BigEndian.Uint32(it.Value()[8:]))
		}
	}
	if err := it.Close(); err != nil {
		return err
	}
	switch {
	case odd: // a damaged row is no reason to destroy what it was about
	case end == 0:
		return dir.Remove(s.Number)
	case s.Size > end && last:
		// It costs space for a moment; on a full disk the tail may stay.
		if err := dir.Truncate(s.Number, end); err != nil && !errors.Is(err, kv.ErrNoSpace) {
			return err
		}
	}
	return nil
}

// add appends a record and returns where it is. settle must follow.
func (a *appender) add(recs []byte) (location, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.failed != nil {
		return location{}, a.failed
	}
	for a.w != nil && a.size+int64(len(recs)) > a.limit && a.size > segmentHeader {
		if a.busy {
			a.done.Wait() // meanwhile another may have begun the next segment
			if a.failed != nil {
				return location{}, a.failed
			}
			continue
		}
		if err := a.finishLocked(); err != nil {
			return location{}, err
		}
	}
	if a.w == nil {
		w, err := a.dir.Create(a.number + 1)
		if err != nil {
			return location{}, err
		}
		a.number++
		a.w, a.size, a.synced = w, 0, 0
		if _, err := w.Write([]byte(segmentMagic)); err != nil {
			return location{}, a.fail(err)
		}
		a.size = segmentHeader
	}
	loc := location{a.number, a.size, int64(len(recs))}
	if _, err := a.w.Write(recs); err != nil {
		return location{}, a.fail(err)
	}
	a.size += int64(len(recs))
	a.live[loc.segment]++
	return loc, nil
}

// settle says that the stream of these records, synced or not, is in the map or
// given up.
func (a *appender) settle(locs []location, synced bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if synced {
		a.flying--
		a.landed = true
		if !a.until.IsZero() && a.asking >= a.flying {
			a.done.Broadcast()
		}
	}
	for _, l := range locs {
		if a.live[l.segment]--; a.live[l.segment] <= 0 {
			delete(a.live, l.segment)
			delete(a.lost, l.segment) // nobody is left to ask
		}
	}
}

// growing reports whether a segment is, or may soon be, written or referred to.
func (a *appender) growing(n uint64) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.live[n] > 0 || n > a.number || n == a.number && a.w != nil
}

// fail gives the segment up: streams in it that were not synced are not
// published. After a full disk later records go to another segment; after any
// other error nothing is written until the database is opened afresh.
func (a *appender) fail(err error) error {
	if a.w != nil {
		_ = a.w.Close() // the first error is the one to report
		a.w = nil
	}
	if errors.Is(err, kv.ErrNoSpace) {
		a.full = err
		if a.live[a.number] > 0 {
			a.lost[a.number] = a.synced
		}
	} else {
		a.failed = err
	}
	return err
}

// finishLocked ends the growing segment with everything in it durable.
func (a *appender) finishLocked() error {
	for a.busy {
		a.done.Wait()
	}
	if a.w == nil {
		return a.failed
	}
	if a.synced < a.size {
		if err := a.w.Sync(); err != nil {
			return a.fail(err)
		}
	}
	err := a.w.Close()
	a.w = nil
	return err
}

// sync returns when the records are durable. They are one stream's, in order,
// and segments are synced when they end: the last record being durable says
// that all are, but for those in segments that were given up.
func (a *appender) sync(locs []location) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.asking++
	defer func() { a.asking-- }()
	return a.syncLocked(locs)
}

// syncStream is sync for a stream that goes into the map next; then it is settled.
func (a *appender) syncStream(locs []location) error {
	err := a.sync(locs)
	if err == nil {
		a.mu.Lock()
		a.flying++
		a.mu.Unlock()
	}
	return err
}

func (a *appender) syncLocked(locs []location) error {
	last := locs[len(locs)-1]
	for {
		switch {
		case a.failed != nil:
			return a.failed
		case a.lostLocked(locs):
			return a.full
		case a.number != last.segment, a.w == nil, a.synced >= last.offset+last.length:
			return nil // ended, hence synced; or synced
		case a.busy, a.gathers():
			a.done.Wait()
			continue
		}
		a.busy, a.landed, a.until = true, false, time.Time{}
		a.timer.Stop()
		upto, w := a.size, a.w
		a.mu.Unlock()
		began := time.Now()
		err := w.Sync()
		took := time.Since(began)
		a.mu.Lock()
		a.busy = false
		a.took += (took - a.took) / 8
		a.done.Broadcast()
		switch {
		case a.w != w: // given up meanwhile; what that means is asked above
			if from, ok := a.lost[last.segment]; ok && err == nil {
				a.lost[last.segment] = max(from, upto)
			}
		case err != nil:
			return a.fail(err)
		default:
			a.synced = upto
		}
	}
}

// longestGather bounds how long a sync is put off.
const longestGather = 10 * time.Millisecond

// gathers reports whether the next sync should wait for others to join it.
func (a *appender) gathers() bool {
	if a.asking >= a.flying || !a.landed {
		return false
	}
	if a.until.IsZero() {
		d := min(a.took, longestGather)
		a.until = time.Now().Add(d)
		a.timer.Reset(d)
		return true
	}
	return time.Now().Before(a.until)
}

func (a *appender) wake() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.done.Broadcast()
}

// lostLocked reports whether one of the records is in the part of a segment
// that never became durable.
func (a *appender) lostLocked(locs []location) bool {
	if len(a.lost) == 0 {
		return false
	}
	for _, l := range locs {
		if from, ok := a.lost[l.segment]; ok && l.offset+l.length > from {
			return true
		}
	}
	return false
}

// broken returns why nothing can be written until the database is opened
// afresh, nil normally.
func (a *appender) broken() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.failed
}

func (a *appender) close() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.failed != nil {
		return nil
	}
	return a.finishLocked()
}
