// Package content keeps the byte streams of a database once each, compressed,
// however many items refer to them.
//
// A stream has a sequential ID and is found again by its SHA-256. Streams of at
// most Options.InlineMax octets live in their header row; larger ones are cut
// into chunks of ChunkSize, each a record of an append-only segment beside the
// map (or, on an engine without segments, a row). A segment is synced before
// the batch that refers to it, so a row never points at bytes a power cut took.
// That sync is shared by those who write at the same time, while compaction
// pays for inline octets again and again: when many write, the inline limit is
// Options.InlineBusy.
//
// All is packed with zstd (decision 9). What does not shrink is kept as it is.
//
// There are no reference counters. An item writes a reference row in its own
// batch; a stream whose reference prefix is empty, and has been for longer than
// the grace time, is garbage. A Staged stream is pinned in memory until its
// batch is ordered, so the collector cannot take what is about to be used.
//
// Locks: none is taken while another is held. Store.mu is held for looking up
// only; Store.ids while the next block of ids becomes durable; appender.mu
// during a write to the segment and while a full segment is ended.
package content

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"sync"
	"time"

	"rialto/internal/kv"
	"rialto/internal/model"
)

// ID names a stream in its database. 0 is no stream.
type ID uint64

// ChunkSize is the most octets of a stream that are compressed together, so the
// most that is read to reach any octet.
const ChunkSize = 64 << 10

// Key spaces; the table is in package store.
const (
	spaceHeader    = 0x03
	spaceHash      = 0x04
	spaceRef       = 0x05
	spaceChunk     = 0x06
	spaceSegment   = 0x07
	spaceCandidate = 0x0a
)

// counterKey holds the lowest id that was never reserved.
var counterKey = []byte("\x01content-id")

// busyStreams are so many streams on their way at the same time that the sync of
// a segment is shared.
const busyStreams = 4

// idBlock is how many ids are reserved at once.
const idBlock = 4096

// Options adjust a Store; zero fields mean the defaults.
type Options struct {
	InlineMax   int           // octets; default 16 KiB, at most ChunkSize
	InlineBusy  int           // octets, while others write too; default 2 KiB, at most InlineMax
	SegmentSize int64         // octets at which a new segment is begun; default 64 MiB
	Grace       time.Duration // garbage is kept at least so long; default 1 h
	Clock       model.Clock
}

// Store is the content of one database.
type Store struct {
	db         kv.DB
	seg        kv.Segments // nil if the engine has none
	opt        Options
	app        *appender
	open       *openSegments
	codecs     *codecs
	chunks     bufferPool // of ChunkSize octets
	records    bufferPool // of maxRecord octets
	collecting sync.Mutex // one collection at a time

	ids      sync.Mutex
	next     ID // next id to give out
	reserved ID // ids below are durable as used

	mu      sync.Mutex
	pins    map[ID]int
	dying   map[ID]bool
	decided chan struct{} // closed when some are dying no more; nil: nobody waits
}

// Open prepares the content of db: it drops the tails of segments that no row
// refers to, which is what a crash leaves of streams that were not published.
func Open(ctx context.Context, db kv.DB, opt Options) (*Store, error) {
	if opt.InlineMax == 0 {
		opt.InlineMax = 16 << 10
	}
	if opt.InlineBusy == 0 {
		opt.InlineBusy = 2 << 10
	}
	if opt.SegmentSize == 0 {
		opt.SegmentSize = 64 << 20
	}
	if opt.Grace == 0 {
		opt.Grace = time.Hour
	}
	if opt.Clock == nil {
		opt.Clock = time.Now
	}
	opt.InlineMax = min(opt.InlineMax, ChunkSize)
	opt.InlineBusy = min(opt.InlineBusy, opt.InlineMax)
	s := &Store{db: db, opt: opt, pins: map[ID]int{}, dying: map[ID]bool{},
		chunks: newBufferPool(ChunkSize), records: newBufferPool(maxRecord)}
	raw, err := db.Get(ctx, counterKey)
	switch {
	case errors.Is(err, kv.ErrNotFound):
		s.next = 1
	case err != nil:
		return nil, err
	case len(raw) != 8:
		return nil, model.E("content.open", model.KindCorrupt, "id counter", nil)
	default:
		s.next = ID(binary.BigEndian.Uint64(raw))
	}
	s.reserved = s.next
	if s.codecs, err = newCodecs(); err != nil {
		return nil, err
	}
	if e, ok := db.(kv.Segmented); ok {
		s.seg = e.Segments()
		s.open = newOpenSegments(s.seg)
		if s.app, err = openAppender(ctx, db, s.seg, opt.SegmentSize); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// inlineMax is the most octets that go into a header row now.
func (s *Store) inlineMax() int {
	if s.app == nil {
		return s.opt.InlineMax
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.pins) < busyStreams {
		return s.opt.InlineMax
	}
	return s.opt.InlineBusy
}

// Close frees the segments. Readers that are open may go on.
func (s *Store) Close() error {
	if s.app == nil {
		return nil
	}
	s.open.close()
	return s.app.close()
}

// allocate returns a fresh id. When the reserved block is used up the next one
// is made durable first: an id is never given twice, not even after a power cut.
func (s *Store) allocate(ctx context.Context) (ID, error) {
	s.ids.Lock()
	defer s.ids.Unlock()
	if s.next >= s.reserved {
		upto := s.next + idBlock
		b := s.db.NewBatch()
		b.Set(counterKey, binary.BigEndian.AppendUint64(nil, uint64(upto)))
		if err := s.commit(ctx, b); err != nil {
			return 0, err
		}
		s.reserved = upto
	}
	id := s.next
	s.next++
	return id, nil
}

// commit orders b and waits for the disk. A ctx that ends meanwhile changes
// nothing: what follows relies on knowing what became of b.
func (s *Store) commit(ctx context.Context, b kv.Batch) error {
	return kv.CommitDurable(context.WithoutCancel(ctx), s.db, b)
}

// Err returns why the store can take no more streams until the database is
// opened afresh, nil normally.
func (s *Store) Err() error {
	if s.app == nil {
		return nil
	}
	if err := s.app.broken(); err != nil {
		return model.E("content", model.KindUnavailable, "segment", err)
	}
	return nil
}

// lookup finds a stream by its hash and pins it. ok is false if there is none,
// or none that may still be used.
func (s *Store) lookup(ctx context.Context, hash [32]byte) (id ID, ok bool, err error) {
	raw, err := s.db.Get(ctx, hashKey(hash))
	if errors.Is(err, kv.ErrNotFound) {
		return 0, false, nil
	}
	if err != nil || len(raw) != 8 {
		return 0, false, err
	}
	id = ID(binary.BigEndian.Uint64(raw))
	if !s.pin(id) {
		return 0, false, nil
	}
	// The collector may have finished with the id between the two steps above.
	if _, err := s.db.Get(ctx, headerKey(id)); err != nil {
		s.unpin(id)
		if errors.Is(err, kv.ErrNotFound) {
			err = nil
		}
		return 0, false, err
	}
	return id, true, nil
}

func (s *Store) pin(id ID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.dying[id] {
		return false
	}
	s.pins[id]++
	return true
}

// pinDecided is pin for a stream that is known to be in use: while a collection
// looks at it, it waits.
func (s *Store) pinDecided(ctx context.Context, id ID) error {
	for !s.pin(id) {
		s.mu.Lock()
		if s.decided == nil {
			s.decided = make(chan struct{})
		}
		wait, dying := s.decided, s.dying[id]
		s.mu.Unlock()
		if !dying {
			continue
		}
		select {
		case <-wait:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

func (s *Store) unpin(id ID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pins[id]--; s.pins[id] <= 0 {
		delete(s.pins, id)
	}
}

// AddRef writes the reference of a mailbox's row to id.
func AddRef(b kv.Batch, id ID, mailbox uint32, row uint64) {
	b.Set(refKey(id, mailbox, row), nil)
}

// DropRef removes the reference and notes that id may be garbage now.
func (s *Store) DropRef(b kv.Batch, id ID, mailbox uint32, row uint64) {
	b.Delete(refKey(id, mailbox, row))
	now := uint64(s.opt.Clock().Unix())
	b.Set(idKey(spaceCandidate, id), binary.BigEndian.AppendUint64(nil, now))
}

func idKey(space byte, id ID) []byte {
	return binary.BigEndian.AppendUint64(append(make([]byte, 0, 24), space), uint64(id))
}

func headerKey(id ID) []byte { return idKey(spaceHeader, id) }

func hashKey(h [sha256.Size]byte) []byte { return append([]byte{spaceHash}, h[:]...) }

func refKey(id ID, mailbox uint32, row uint64) []byte {
	b := binary.BigEndian.AppendUint32(idKey(spaceRef, id), mailbox)
	return append(b, byte(row>>40), byte(row>>32), byte(row>>24), byte(row>>16), byte(row>>8), byte(row))
}

func chunkKey(id ID, n uint32) []byte {
	return binary.BigEndian.AppendUint32(idKey(spaceChunk, id), n)
}

func segmentKey(seg uint64, off int64) []byte {
	b := binary.BigEndian.AppendUint64([]byte{spaceSegment}, seg)
	return binary.BigEndian.AppendUint64(b, uint64(off))
}
