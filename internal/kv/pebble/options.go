// Package pebble is the embedded kv engine: github.com/cockroachdb/pebble with
// the commit, failure and disk rules of package kv put round it.
//
// # Layout of a directory
//
//	LOCK        held while open; one owner
//	epoch       format version and owner number, rewritten at each open
//	ballast     space given back when the disk is nearly full
//	db/         pebble's own files
//	segments/   NNNNNNNN.seg, see kv.Segments
//
// # Order and durability
//
// A batch goes to pebble with ApplyNoSyncWait, which pebble calls
// experimental: the version is pinned, and kv/kvtest is what keeps it honest.
// The sequence of a commit is pebble's own number of its last operation,
// counted from the open, with the epoch above it; so it follows pebble's order
// without a lock of ours and is never given twice. One goroutine waits for the
// log syncs in order and moves the durable watermark.
//
// # Failure
//
// All files are reached through a fence (type fence). The first failed write
// or sync poisons the database and turns the fence: nothing reaches the disk
// any more, and what pebble still writes goes to memory until it is closed. So
// no sync is tried twice, pebble does not stop half-way with its locks held,
// and an abandoned instance cannot harm its successor.
//
// # Lock order
//
// DB.life, Snapshot.mu, iterator.mu, then DB.open; DB.wait alone; segments.mu
// alone. Pebble calls the event listener with its own locks held: those
// callbacks only touch atomics and channels.
package pebble

import (
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// Defaults of Options.
const (
	DefaultMemTable  = 32 << 20
	DefaultMinFree   = 256 << 20
	DefaultMaxDebt   = 16 << 30
	DefaultBallast   = 64 << 20
	DefaultMaxGather = 4 * time.Millisecond
)

// Options say how to open a database. Zero fields take the defaults.
type Options struct {
	// Dir is the database's directory; it is made if it does not exist.
	Dir string
	// FS is the file system, vfs.Default if nil.
	FS vfs.FS
	// Shared is what several databases of a process have in common; nil gives
	// the database its own.
	Shared *Shared
	// MemTable is the most bytes of one memtable (16 to 64 MB).
	MemTable int
	// MinFree is the low watermark of free disk space in bytes.
	MinFree uint64
	// MaxDebt is the bound on compaction debt in bytes.
	MaxDebt uint64
	// Ballast is the size of the ballast file in bytes; negative: none.
	Ballast int64
	// MaxGather is the longest pause between two log syncs under load; negative:
	// none.
	MaxGather time.Duration
	// Sample is how often free space and debt are looked at, 1 s if 0.
	Sample time.Duration
	// Events are told what happens. Callbacks must return at once.
	Events Events
}

// Events is a sink of what happens in a database. Nil fields are skipped.
type Events struct {
	// Poisoned is called once, with the cause.
	Poisoned func(err error)
	// Space is called when admission changes: nil when commits are taken again,
	// else why they are not.
	Space func(err error)
	// Stall is called when pebble stops writes (reason) and lets them go ("").
	Stall func(reason string)
	// SlowSync is called when a log sync took longer than a second.
	SlowSync func(took time.Duration)
	// BackgroundError is called for errors of flushes and compactions.
	BackgroundError func(err error)
	// Log takes pebble's own log lines.
	Log func(line string)
}

func (o Options) withDefaults() Options {
	if o.FS == nil {
		o.FS = vfs.Default
	}
	if o.MemTable == 0 {
		o.MemTable = DefaultMemTable
	}
	o.MemTable = min(max(o.MemTable, 16<<20), 64<<20)
	if o.MinFree == 0 {
		o.MinFree = DefaultMinFree
	}
	if o.MaxDebt == 0 {
		o.MaxDebt = DefaultMaxDebt
	}
	if o.Ballast == 0 {
		o.Ballast = DefaultBallast
	}
	if o.MaxGather == 0 {
		o.MaxGather = DefaultMaxGather
	}
	if o.Sample == 0 {
		o.Sample = time.Second
	}
	return o
}
