// Package postgres is the kv engine on a PostgreSQL server: one database is one
// schema, with one owner at a time.
//
// # Layout of a schema
//
//	owner     one row: format, epoch, timeline and system identifier of the last open
//	position  one row: the sequence of the last merged transaction, its commit id
//	classes   name and first key of each table of pairs; fixed when the schema is made
//	r_NAME    k bytea primary key, v bytea; a contiguous range of keys
//	rewound   one row: a finding that is not settled; the table is made when it is needed
//
// Keys are bytea, which PostgreSQL orders bytewise whatever the collation. Values
// are stored EXTERNAL: over about 2 KB (4 KB in append tables) they live in the
// TOAST table, and are not compressed a second time.
//
// # Commit
//
// Commit orders a batch into an overlay in memory, visible to this owner at
// once. One committer folds all batches that wait into one transaction, which
// it sends as one pipeline: fence (the owner row FOR SHARE, error if the epoch
// is not ours), deletions, insertions of keys that Options.Once says are new,
// upserts, position. An insertion that meets an old key fails the transaction,
// which is then sent again with upserts only. Durable means that the server
// answered its COMMIT with synchronous_commit = on.
//
// When the answer is lost, the committer connects anew, takes the owner's
// advisory lock (which the old backend holds until it has ended, so nothing is
// in flight any more) and reads position. It shows the transaction, and one
// more commit makes sure that a synchronous standby has it too; or it shows the
// one before, and the transaction is sent again; or history has shrunk: poison.
// A changed timeline is poison in any case: the owner opens the database afresh.
//
// # Rewinds
//
// The server can come back to an earlier state: a standby without the tail is
// promoted, or it is restored to a point in time. The witness, a small file on
// this machine, holds the epoch and the position up to which commits were
// answered. It is refreshed behind the commits; the one that is written when the
// database ends, after the last answer, is final. An open compares:
//
//	the position is below the witness                       rewound
//	another timeline or system than at the last open, and
//	  no witness, not final, or of an epoch before the last  it cannot be excluded
//	a witness that is damaged or of another database         it cannot be excluded
//	anything else                                            nothing is lost
//
// The finding is kept in the schema, in the transaction that takes the epoch,
// until the owner settles it (kv.Rewinder). The witness of an open is on disk
// before its first commit is ordered.
//
// # Reads
//
// A generation is a REPEATABLE READ transaction on one or more connections that
// share an exported snapshot, together with the position D that this snapshot
// shows. The overlay always covers (D, now] of the current generation. So a
// state is a pointer to a generation and to an immutable overlay, costs no round
// trip, and holds nobody up; batches are dropped from the overlay when a newer
// generation shows them. An old generation ends with the last reader of it.
// With too much pinned, the oldest is ended first: ErrSnapshotExpired.
// A generation whose connections were lost is replaced under a reader if the
// new one shows nothing that is newer than the reader's state.
//
// The cache holds values by key with the position they were read at. An entry
// is void when its key is written, until the new value has reached the server;
// so it serves every generation that is not older than it. Keys that several
// readers miss at a time share round trips.
//
// # Damage
//
// A page that fails its checksum answers ErrCorrupt; servers that are set to look
// away are refused. Salvage reads what is left without an index and names the
// rest; Swap puts a database that was made beside another in its place.
//
// # Errors
//
// 53100 (disk full): the transaction is tried again until the deadline, and new
// commits answer ErrNoSpace meanwhile. Class 40, 53, 55 and 25006: tried again.
// A lost connection, class 08 and 57P: resolved as above. The fence: ErrFenced.
// Anything else, and the end of the deadline: ErrPoisoned with the cause.
//
// # Locks
//
// DB.mu, then cache.mu; generation.mu alone. No lock is held during a round trip.
// The directory of a witness is locked (flock) while the file is replaced.
package postgres

import (
	"context"
	"errors"
	"fmt"
	"net"
	"regexp"
	"time"
)

// MinVersion is the oldest server (server_version_num) that is accepted.
const MinVersion = 150000

// Defaults of Options.
const (
	DefaultDeadline = 30 * time.Second
	DefaultLockWait = 5 * time.Second
	DefaultCache    = 32 << 20
	DefaultReaders  = 8
	DefaultMinFree  = 256 << 20
	maxGather       = 2 * time.Millisecond
	maxPending      = 64 << 20 // bytes ordered and not yet durable
	maxGroup        = 8 << 20  // bytes of one merged transaction
)

// Options say how to open a database. Zero fields take the defaults.
type Options struct {
	// URL is a connection string as libpq has it; several hosts are tried in
	// turn. It may contain a password and is never part of an error.
	URL string
	// Schema is the name of the database inside the PostgreSQL database: lower
	// case letters, digits and underscores, at most 63. It is made if missing.
	Schema string
	// Tables are the classes of keys of a new schema; nil: one table for all.
	Tables []Table
	// Once reports whether a key is nearly always new when it is set. Such keys
	// cost the server a quarter less; one that is not new costs a transaction
	// twice, and is otherwise as good. nil: none is.
	Once func(key []byte) bool
	// Takeover ends another owner instead of answering ErrLocked.
	Takeover bool
	// Deadline bounds a reconnect and the retries of a transaction.
	Deadline time.Duration
	// LockWait is how long Open waits for another owner to go.
	LockWait time.Duration
	// Cache is the size of the read cache in bytes; negative: none.
	Cache int64
	// Readers is the most connections for reading, at least 4.
	Readers int
	// Free asks for the free bytes of the server's disk; nil: the disk is looked
	// at if the server is on this machine, else only the server's refusal counts.
	Free func() (uint64, error)
	// Witness is the path of the file that tells a rewind; its directory must
	// exist. "": none is kept, and every change of the timeline counts as one.
	Witness string
	// MinFree is the low watermark of free disk space in bytes.
	MinFree uint64
	// Sample is how often free space and size are looked at, 5 s if 0.
	Sample time.Duration
	// Events are told what happens. Callbacks must return at once.
	Events Events

	dial func(ctx context.Context, network, addr string) (net.Conn, error) // tests break connections
	tick time.Duration                                                     // between two witnesses; 0: witnessEvery
}

// Events is a sink of what happens in a database. Nil fields are skipped.
type Events struct {
	// Poisoned is called once, with the cause.
	Poisoned func(err error)
	// Lost is called when the committer's connection is gone, Resolved when it is
	// back, with whether the transaction in flight had happened.
	Lost     func(err error)
	Resolved func(happened bool)
	// Witness is called when the witness cannot be written; it is tried again.
	Witness func(err error)
}

// Table is a class of keys: those from From up to the From of the next table.
type Table struct {
	Name string
	From []byte
	// Append says that rows are rarely rewritten: pages are filled up. Otherwise
	// space is left in them for updates in place.
	Append bool
}

var nameForm = regexp.MustCompile(`^[a-z_][a-z0-9_]{0,62}$`)

func (o Options) withDefaults() (Options, error) {
	if !nameForm.MatchString(o.Schema) {
		return o, fmt.Errorf("postgres: %q cannot be the name of a schema", o.Schema)
	}
	if o.Tables == nil {
		o.Tables = []Table{{Name: "pairs"}}
	}
	for i, t := range o.Tables {
		if !nameForm.MatchString(t.Name) || len(t.Name) > 40 {
			return o, fmt.Errorf("postgres: %q cannot be the name of a table", t.Name)
		}
		if (i == 0) != (len(t.From) == 0) || i > 0 && string(t.From) <= string(o.Tables[i-1].From) {
			return o, errors.New("postgres: tables must ascend by first key, from the empty one")
		}
	}
	if o.Deadline == 0 {
		o.Deadline = DefaultDeadline
	}
	if o.LockWait == 0 {
		o.LockWait = DefaultLockWait
	}
	if o.Cache == 0 {
		o.Cache = DefaultCache
	}
	if o.Readers == 0 {
		o.Readers = DefaultReaders
	}
	o.Readers = max(o.Readers, maxGenerations)
	if o.MinFree == 0 {
		o.MinFree = DefaultMinFree
	}
	if o.tick == 0 {
		o.tick = witnessEvery
	}
	if o.Sample == 0 {
		o.Sample = 5 * time.Second
	}
	return o, nil
}
