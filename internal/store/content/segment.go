package content

import (
	"context"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"sync"

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

var segmentMagic = [segmentHeader]byte{'R', 'S', 'E', 'G', 0, 0, 0, 1}

func appendRecord(b []byte, c *codecs, id ID, chunk uint32, raw []byte) []byte {
	start := len(b)
	b = append(b, make([]byte, recordHeader)...)
	b, codec := c.pack(b, raw, CodecZstd)
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
// octets are covered by a sync that another began waits for that one.
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
	lost   location       // segment given up on a full disk: octets from offset on never became durable
	full   error          // why
	live   map[uint64]int // records per segment whose stream is not in the map yet
}

func openAppender(ctx context.Context, db kv.DB, dir kv.Segments, limit int64) (*appender, error) {
	list, err := dir.List()
	if err != nil {
		return nil, err
	}
	a := &appender{dir: dir, limit: limit, live: map[uint64]int{}}
	a.done = sync.NewCond(&a.mu)
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
	end := int64(0)
	if it.Next() && len(it.Value()) == 13 {
		end = int64(binary.BigEndian.Uint64(it.Key()[9:])) + int64(binary.BigEndian.Uint32(it.Value()[8:]))
	}
	if err := it.Close(); err != nil {
		return err
	}
	switch {
	case end == 0:
		return dir.Remove(s.Number)
	case s.Size > end && last:
		return dir.Truncate(s.Number, end)
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
	if a.w != nil && a.size+int64(len(recs)) > a.limit {
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
		if _, err := w.Write(segmentMagic[:]); err != nil {
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

// settle says that the streams of these records are in the map or given up.
func (a *appender) settle(locs []location) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, l := range locs {
		if a.live[l.segment]--; a.live[l.segment] <= 0 {
			delete(a.live, l.segment)
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
		a.lost, a.full = location{segment: a.number, offset: a.synced}, err
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

// sync returns when everything up to the end of loc is durable.
func (a *appender) sync(loc location) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	end := loc.offset + loc.length
	for {
		switch {
		case a.failed != nil:
			return a.failed
		case a.lost.segment == loc.segment && end > a.lost.offset:
			return a.full
		case a.number != loc.segment, a.w == nil:
			return nil // ended, hence synced
		case a.synced >= end:
			return nil
		case a.busy:
			a.done.Wait()
			continue
		}
		a.busy = true
		upto, w := a.size, a.w
		a.mu.Unlock()
		err := w.Sync()
		a.mu.Lock()
		a.busy = false
		a.done.Broadcast()
		if err != nil {
			return a.fail(err)
		}
		a.synced = upto
	}
}

func (a *appender) close() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.failed != nil {
		return nil
	}
	return a.finishLocked()
}

// openSegments keeps readers of segments that are in use.
type openSegments struct {
	dir kv.Segments
	mu  sync.Mutex
	m   map[uint64]*sharedSegment
}

type sharedSegment struct {
	kv.SegmentReader
	refs int
}

func newOpenSegments(dir kv.Segments) *openSegments {
	return &openSegments{dir: dir, m: map[uint64]*sharedSegment{}}
}

// idleSegments is how many readers stay open without anyone reading.
const idleSegments = 64

// readAt reads a record through a shared reader.
func (o *openSegments) readAt(loc location, b []byte) error {
	o.mu.Lock()
	s := o.m[loc.segment]
	if s == nil {
		r, err := o.dir.Open(loc.segment)
		if err != nil {
			o.mu.Unlock()
			return err
		}
		s = &sharedSegment{SegmentReader: r}
		o.m[loc.segment] = s
		o.trimLocked()
	}
	s.refs++
	o.mu.Unlock()
	n, err := s.ReadAt(b, loc.offset)
	o.mu.Lock()
	s.refs--
	o.mu.Unlock()
	if n == len(b) {
		return nil
	}
	return model.E("content.read", model.KindCorrupt, "segment record", err)
}

func (o *openSegments) trimLocked() {
	for n, s := range o.m {
		if len(o.m) <= idleSegments {
			return
		}
		if s.refs == 0 {
			_ = s.Close() // a reader has nothing to lose
			delete(o.m, n)
		}
	}
}

// forget closes the reader of a segment that is gone.
func (o *openSegments) forget(n uint64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if s := o.m[n]; s != nil && s.refs == 0 {
		_ = s.Close() // a reader has nothing to lose
		delete(o.m, n)
	}
}

func (o *openSegments) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for n, s := range o.m {
		_ = s.Close() // a reader has nothing to lose
		delete(o.m, n)
	}
}
