// Package kv is the contract of the lowest floor: an ordered map with
// snapshots, atomic batches and a commit in two steps. Engines are kv/pebble
// (embedded, the default), kv/postgres (a schema of a PostgreSQL server) and
// kv/memory (tests; can lose power). kv/kvtest runs one conformance suite on each.
//
// # Rules
//
// Sizes: a key has at most MaxKey bytes, a value MaxValue, a batch MaxBatch.
// A batch that breaks a limit is refused whole with ErrTooLarge.
//
// Commit in two steps: Commit returns when the batch is ordered after every
// batch committed before and visible to readers of this owner; Commit.Wait
// returns when it is on disk, and so is everything ordered before it. Nothing
// that a client could remember may leave the server before the sequence it was
// read at is durable: a Snapshot and a Commit know their Sequence, and
// DB.WaitDurable waits for it (normally without blocking).
//
// A failed sync poisons the database: from then on every call, and every Wait
// of a commit that is not yet durable, answers ErrPoisoned; the sync is never
// tried again. The owner closes the database and opens it afresh, which shows
// what the disk really holds.
//
// Disk space: when free space is under the low watermark, or compaction debt
// over its bound, Commit answers ErrNoSpace for batches that are not marked
// Reclaim; those that only free space stay possible.
//
// Snapshots are short: one call, not a session. Each has an owner's name and a
// deadline; after it every read answers ErrSnapshotExpired and the caller
// resumes by key on a new one.
//
// Concurrency: DB and Snapshot are safe for concurrent use. A Batch and an
// Iterator belong to one goroutine. Slices passed in are copied; slices handed
// out by Get and GetMany belong to the caller; Key and Value of an Iterator
// are valid until its next call.
package kv

import (
	"context"
	"errors"
	"io"
	"time"
)

// Limits of the contract, checked by every engine.
const (
	MaxKey   = 1 << 10   // bytes of a key; an empty key is refused too
	MaxValue = 256 << 10 // bytes of a value
	MaxBatch = 4 << 20   // bytes of keys and values in one batch
)

// Errors of the contract. Engines wrap them; use errors.Is.
var (
	ErrNotFound        = errors.New("kv: not found")
	ErrTooLarge        = errors.New("kv: key, value or batch over the size limit")
	ErrNoSpace         = errors.New("kv: free disk space is under the limit")
	ErrPoisoned        = errors.New("kv: a sync failed; the database must be opened afresh")
	ErrSnapshotExpired = errors.New("kv: snapshot is past its deadline")
	ErrClosed          = errors.New("kv: closed")
	ErrLocked          = errors.New("kv: another process owns the database")
	ErrFormat          = errors.New("kv: the database has a newer format than this program knows")
	ErrCorrupt         = errors.New("kv: stored data failed its checksum")
	ErrFenced          = errors.New("kv: a newer owner has taken the database")
	ErrUnknown         = errors.New("kv: the outcome of the commit is not known")
)

// Sequence orders the commits of one database. It grows with every commit,
// across restarts and power cuts too: a number is never given twice, not even
// that of a commit which was lost. 0 is before the first commit. It is not dense.
type Sequence uint64

// Reader is what a DB and a Snapshot have in common.
type Reader interface {
	// Get returns the value of key, ErrNotFound if there is none.
	Get(ctx context.Context, key []byte) ([]byte, error)
	// GetMany returns the values in the order of keys, nil where there is none
	// (an empty value is a non-nil empty slice). One round trip on every engine.
	GetMany(ctx context.Context, keys [][]byte) ([][]byte, error)
	// Scan iterates over a range. The iterator must be closed. On a DB the scan
	// sees one consistent state, as if on a snapshot of its own.
	Scan(ctx context.Context, r Range) Iterator
}

// Range describes a scan.
type Range struct {
	Lower    []byte // inclusive; nil: from the first key
	Upper    []byte // exclusive; nil: to the last key
	Limit    int    // most pairs to return; 0: no limit
	Reverse  bool   // from the last key to the first
	Prefetch int    // pairs worth fetching per round trip; 0: the engine's choice
}

// Iterator walks a range: for it.Next() { use it.Key(), it.Value() }; it.Close().
type Iterator interface {
	Next() bool
	Key() []byte
	Value() []byte
	// Close frees the iterator and returns the error that ended it early, if any.
	Close() error
}

// Batch gathers writes that become visible and durable together. Later
// operations win over earlier ones on the same key.
type Batch interface {
	Set(key, value []byte)
	Delete(key []byte)
	// DeleteRange deletes [lower, upper). An empty lower is the first key; a
	// range whose upper is not above lower deletes nothing.
	DeleteRange(lower, upper []byte)
	// Reclaim marks the batch as one that frees space: it is admitted when the
	// disk is nearly full.
	Reclaim()
	// Size is the number of bytes of keys and values so far, Count of operations.
	Size() int
	Count() int
	// Close frees a batch that will not be committed. Commit closes it itself,
	// whatever it answers.
	Close()
}

// Commit is a batch that is ordered and visible.
type Commit interface {
	Sequence() Sequence
	// Wait returns nil when the batch is durable. ErrPoisoned: it may or may not
	// be on disk, and nobody may be told that it is. A ctx that ends first gives
	// ctx.Err() and changes nothing. Wait may be called more than once and from
	// several goroutines.
	Wait(ctx context.Context) error
}

// DB is one ordered map with one owner.
type DB interface {
	Reader
	NewBatch() Batch
	// Commit orders b and makes it visible; see the package comment. An empty
	// batch is a commit too: its Wait is a barrier for all before it, and its
	// sequence may be that of the commit before it.
	//
	// A ctx that ends before b is ordered gives ctx.Err(), and b is dropped. If
	// it ends while the engine is stalled with b inside, the error is ErrUnknown
	// as well: b may still become visible, in its place, and the caller has to
	// read back what happened.
	Commit(ctx context.Context, b Batch) (Commit, error)
	// Durable is the highest sequence known to be on disk.
	Durable() Sequence
	// WaitDurable waits until Durable() >= s.
	WaitDurable(ctx context.Context, s Sequence) error
	// NewSnapshot pins the present state for owner (a name for metrics and logs)
	// for at most ttl.
	NewSnapshot(owner string, ttl time.Duration) (Snapshot, error)
	// Close waits for ordered commits to be durable and frees the database. Open
	// snapshots and iterators answer ErrClosed afterwards.
	Close() error
}

// CommitDurable commits b and waits until it is on disk. Whatever comes of it, b
// must not be used again.
func CommitDurable(ctx context.Context, db DB, b Batch) error {
	c, err := db.Commit(ctx, b)
	if err != nil {
		return err
	}
	return c.Wait(ctx)
}

// Snapshot is one state of the database.
type Snapshot interface {
	Reader
	// Sequence is at least that of the last commit the snapshot contains: an
	// engine may count commits in flight that the snapshot does not show.
	Sequence() Sequence
	Close()
}

// Checkpointer is a DB that can copy itself while in use.
type Checkpointer interface {
	// Checkpoint writes a complete, openable copy into dir, which must not exist.
	// The copy has every commit that was ordered before the call.
	Checkpoint(ctx context.Context, dir string) error
}

// Spacer is a DB that knows its disk.
type Spacer interface {
	// Space returns bytes free on the disk and bytes the database occupies.
	Space() (free, used uint64, err error)
}

// Leased is a DB that numbers its owners.
type Leased interface {
	// Epoch grows by at least one each time the database is opened.
	Epoch() uint64
}

// Rewinder is a DB whose server can come back to an earlier state behind the
// owner's back: by a promotion that lost a tail, or by a restore with the
// server's own tools. Numbers that were told to clients are given again then,
// unless the owner renews what they are good for before it lets anybody in.
type Rewinder interface {
	// Rewound returns what was found when the database was opened, or by an open
	// before that was not settled; nil if nothing is to be done.
	Rewound(ctx context.Context) (*Rewind, error)
	// Settle says that everything is renewed. It waits for all commits ordered
	// before; until it has returned nil, the finding outlives crashes.
	Settle(ctx context.Context) error
}

// Rewind is the finding that a database came back to an earlier state.
type Rewind struct {
	Certain bool      // false: it cannot be excluded
	Found   time.Time // by the clock of this machine
	Why     string    // a sentence without its full stop
}

// Metered is a DB that reports what it does.
type Metered interface {
	Metrics() Metrics
}

// Metrics are counters since the database was opened, except where they say "now".
type Metrics struct {
	Commits        uint64
	CommitBytes    uint64
	Syncs          uint64        // of the log
	SyncTime       time.Duration // total
	Snapshots      int           // open now
	OldestOwner    string        // of the oldest open snapshot, "" if none
	OldestAge      time.Duration // of the oldest open snapshot
	CompactionDebt uint64        // bytes now
	CacheBytes     int64         // now
	DiskBytes      uint64        // now
	Refused        uint64        // commits answered ErrNoSpace
}

// AddSnapshot counts an open snapshot.
func (m *Metrics) AddSnapshot(owner string, age time.Duration) {
	if m.Snapshots++; m.Snapshots == 1 || age > m.OldestAge {
		m.OldestOwner, m.OldestAge = owner, age
	}
}

// Segmented is a DB that keeps append-only files beside the map, on the same
// disk and with the same fate in a power cut. An engine without it stores
// large values in the map.
type Segmented interface {
	Segments() Segments
}

// Segments is a directory of append-only files known by number.
type Segments interface {
	// List returns the numbers of the files, ascending, with their sizes.
	List() ([]SegmentInfo, error)
	// Create makes file n, which must not exist, and makes its name durable.
	Create(n uint64) (SegmentWriter, error)
	// Open opens file n for reading; ErrNotFound if it does not exist. A file
	// being written can be read up to what has been written.
	Open(n uint64) (SegmentReader, error)
	// Truncate shortens file n to size and makes that durable.
	Truncate(n uint64, size int64) error
	// Remove unlinks file n; readers that have it open may go on.
	Remove(n uint64) error
}

// SegmentInfo is one file of Segments.
type SegmentInfo struct {
	Number uint64
	Size   int64
}

// SegmentWriter appends to a segment. Write and Sync may be called from
// different goroutines. What was given to Write may have changed after it: some
// file systems use it as scratch.
type SegmentWriter interface {
	io.WriteCloser
	// Sync makes everything written before the call durable. After an error the
	// segment must not be written again.
	Sync() error
}

// SegmentReader reads a segment.
type SegmentReader interface {
	io.ReaderAt
	io.Closer
}
