package pebble

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/batchrepr"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/wal"
)

// Salvaged says how the rows of a damaged database were found.
type Salvaged struct {
	Rows   int
	Damage []string // what could not be read
	// Guessed is set when the list of the table files in use is lost: rows that
	// were deleted may be back.
	Guessed bool
}

// Salvage calls put for every row that can still be read in the directory of a
// closed database, in the order of keys, and changes nothing there. A database
// that opens and reads without an error is read as it is. Of any other the
// table files and logs are read one by one, whatever is between damaged blocks,
// and the newest state of each row counts. scratch is a directory to work in,
// which must not exist and is left for the caller to remove.
func Salvage(ctx context.Context, o Options, scratch string, put func(k, v []byte) error) (*Salvaged, error) {
	o = o.withDefaults()
	l, err := lock(o.FS, o.Dir)
	if err != nil {
		return nil, err
	}
	defer l.Close()
	s := &salvage{ctx: ctx, fs: o.FS, dir: o.FS.PathJoin(o.Dir, "db"), live: map[uint64]bool{}}
	clean, err := s.whole(put)
	if err != nil || clean {
		return &s.Salvaged, err
	}
	s.Rows = 0
	s.out, err = pebble.Open(scratch, &pebble.Options{FS: o.FS, DisableWAL: true, Logger: quiet{}})
	if err != nil {
		return nil, err
	}
	err = s.parts()
	if err == nil {
		err = s.merged(put)
	}
	return &s.Salvaged, errors.Join(err, s.out.Close())
}

// salvage is one at work. Versions of rows are gathered in a database of their
// own, under keys that sort by row and, within it, the newest first.
type salvage struct {
	Salvaged
	ctx   context.Context
	fs    vfs.FS
	dir   string
	live  map[uint64]bool // table files in use; empty: not known
	known bool
	out   *pebble.DB
	gone  []goneRange
}

// goneRange is a deletion of all keys in [from, to) that are older than seq.
type goneRange struct {
	from, to []byte
	seq      uint64
}

func (s *salvage) lost(format string, args ...any) {
	if len(s.Damage) < 1000 {
		s.Damage = append(s.Damage, fmt.Sprintf(format, args...))
	}
}

// whole reads a database that is not damaged. If that fails nothing was put,
// and the table files in use may be known.
func (s *salvage) whole(put func(k, v []byte) error) (clean bool, err error) {
	db, why := openReadOnly(s.dir, s.fs)
	if why != nil {
		s.lost("the database does not open: %v", why)
		s.Guessed = true
		return false, nil
	}
	defer db.Close()
	levels, why := db.SSTables()
	if why == nil {
		for _, level := range levels {
			for _, t := range level {
				s.live[uint64(t.BackingSSTNum)] = true
			}
		}
		s.known = true
	} else {
		s.lost("the list of table files: %v", why)
		s.Guessed = true
	}
	for _, pass := range []func(k, v []byte) error{func(_, _ []byte) error { return nil }, put} {
		it, why := db.NewIter(nil)
		if why != nil {
			return false, nil
		}
		s.Rows = 0
		for ok := it.First(); ok; ok = it.Next() {
			v, bad := it.ValueAndErr()
			if bad != nil {
				why = bad
				break
			}
			if err := pass(it.Key(), v); err != nil {
				return false, errors.Join(err, it.Close())
			}
			if s.Rows++; s.Rows%1024 == 0 && s.ctx.Err() != nil {
				return false, errors.Join(s.ctx.Err(), it.Close())
			}
		}
		if why = errors.Join(why, it.Error(), it.Close()); why != nil {
			return false, nil // told by the files
		}
	}
	return true, nil
}

// openReadOnly opens what there is, also when table files are missing.
func openReadOnly(dir string, fs vfs.FS) (db *pebble.DB, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("pebble: %v", r)
		}
	}()
	return pebble.Open(dir, &pebble.Options{FS: fs, ReadOnly: true, DisableConsistencyCheck: true, ErrorIfNotExists: true, Logger: quiet{},
		EventListener: &pebble.EventListener{DataCorruption: func(pebble.DataCorruptionInfo) {}}})
}

// parts reads every table file and log.
func (s *salvage) parts() error {
	names, err := s.fs.List(s.dir)
	if err != nil {
		return err
	}
	there := map[uint64]bool{}
	for _, name := range names {
		var n uint64
		if c, err := fmt.Sscanf(name, "%d.sst", &n); c != 1 || err != nil || !strings.HasSuffix(name, ".sst") {
			continue
		}
		there[n] = true
		if s.known && !s.live[n] {
			continue
		}
		if err := s.table(name); err != nil {
			return err
		}
	}
	for n := range s.live {
		if !there[n] {
			s.lost("table file %06d.sst is missing", n)
		}
	}
	logs, err := wal.Scan(wal.Dir{FS: s.fs, Dirname: s.dir})
	if err != nil {
		s.lost("logs: %v", err)
		return nil
	}
	for _, l := range logs {
		if err := s.log(l); err != nil {
			return err
		}
	}
	return nil
}

// table reads one table file. Its error is of what was found, not of the file.
func (s *salvage) table(name string) error {
	f, err := s.fs.Open(s.fs.PathJoin(s.dir, name))
	if err != nil {
		s.lost("%s: %v", name, err)
		return nil
	}
	r, err := sstable.NewSimpleReadable(f)
	if err != nil {
		s.lost("%s: %v", name, err)
		return f.Close()
	}
	t, err := sstable.NewReader(s.ctx, r, sstable.ReaderOptions{})
	if err != nil {
		s.lost("%s: %v", name, err)
		return r.Close()
	}
	defer t.Close()
	if err := s.ranges(name, t); err != nil {
		return err
	}
	it, err := t.NewIter(sstable.NoTransforms, nil, nil, sstable.AssertNoBlobHandles)
	if err != nil {
		s.lost("%s: %v", name, err)
		return nil
	}
	defer it.Close()
	return s.points(name, it)
}

// points reads the rows of a table. At a damaged block it looks for the next
// place where reading is possible, by keys ever further away, and from there
// back to the block.
func (s *salvage) points(name string, it sstable.Iterator) error {
	var last []byte
	row := it.First()
	for {
		for row != nil {
			last = append(last[:0], row.K.UserKey...)
			v, _, err := row.Value(nil)
			if err != nil {
				s.lost("%s: value of %x: %v", name, last, err)
			} else if err := s.add(row.K.UserKey, uint64(row.K.SeqNum()), row.K.Kind(), v); err != nil {
				return err
			}
			row = it.Next()
		}
		err := it.Error()
		if err == nil {
			return nil
		}
		s.lost("%s: a block after key %x: %v", name, last, err)
		next := beyond(last, func(key []byte) bool {
			it.SeekGE(key, 0)
			return it.Error() == nil
		})
		if next == nil {
			return s.back(it, nil, last)
		}
		if err := s.back(it, next, last); err != nil {
			return err
		}
		row = it.SeekGE(next, 0)
	}
}

// back takes the rows before a key, or (nil) the end, down to one that was read
// or to a damaged block.
func (s *salvage) back(it sstable.Iterator, before, last []byte) error {
	row := it.Last()
	if before != nil {
		row = it.SeekLT(before, 0)
	}
	for ; row != nil && bytes.Compare(row.K.UserKey, last) > 0; row = it.Prev() {
		v, _, err := row.Value(nil)
		if err != nil {
			continue // the block of its value is damaged
		}
		if err := s.add(row.K.UserKey, uint64(row.K.SeqNum()), row.K.Kind(), v); err != nil {
			return err
		}
	}
	return nil
}

// beyond returns a key after k for which ok holds, as near as few tries find
// it; nil if there is none. Each try is of keys that have less in common with k.
func beyond(k []byte, ok func(key []byte) bool) []byte {
	for n := len(k); n > 0; n-- {
		at := func(c int) []byte { return append(bytes.Clone(k[:n-1]), byte(c)) }
		low, high := int(k[n-1])+1, 0xff
		if low > high || !ok(at(high)) {
			continue
		}
		for low < high {
			if mid := (low + high) / 2; ok(at(mid)) {
				high = mid
			} else {
				low = mid + 1
			}
		}
		return at(high)
	}
	return nil
}

func (s *salvage) ranges(name string, t *sstable.Reader) error {
	it, err := t.NewRawRangeDelIter(s.ctx, sstable.NoFragmentTransforms, sstable.NoReadEnv)
	if err != nil {
		s.lost("%s: range deletions: %v", name, err)
		return nil
	}
	if it == nil {
		return nil
	}
	defer it.Close()
	for span, err := it.First(); span != nil || err != nil; span, err = it.Next() {
		if err != nil {
			s.lost("%s: range deletions: %v", name, err)
			return nil
		}
		s.gone = append(s.gone, goneRange{bytes.Clone(span.Start), bytes.Clone(span.End), uint64(span.LargestSeqNum())})
	}
	return nil
}

// log reads one log up to its end or first damage.
func (s *salvage) log(l wal.LogicalLog) error {
	r := l.OpenForRead()
	defer r.Close()
	for {
		rec, _, err := r.NextRecord()
		if errors.Is(err, io.EOF) {
			return nil
		}
		var repr []byte
		if err == nil {
			repr, err = io.ReadAll(rec)
		}
		if err != nil {
			// The end of a log that was being written when the power failed looks
			// the same; what follows was not durable then.
			s.lost("%s: %v", l, err)
			return nil
		}
		h, ok := batchrepr.ReadHeader(repr)
		if !ok {
			continue
		}
		seq := uint64(h.SeqNum)
		for b := batchrepr.Read(repr); ; {
			kind, k, v, ok, err := b.Next()
			if err != nil {
				s.lost("%s: %v", l, err)
			}
			if !ok {
				break
			}
			if kind == pebble.InternalKeyKindLogData {
				continue // it has no number
			}
			if kind == pebble.InternalKeyKindRangeDelete {
				s.gone = append(s.gone, goneRange{bytes.Clone(k), bytes.Clone(v), seq})
			} else if err := s.add(k, seq, kind, v); err != nil {
				return err
			}
			seq++
		}
	}
}

// add keeps one version of a row.
func (s *salvage) add(k []byte, seq uint64, kind pebble.InternalKeyKind, v []byte) error {
	set := byte(0)
	switch kind {
	case pebble.InternalKeyKindSet, pebble.InternalKeyKindSetWithDelete:
		set = 1
	case pebble.InternalKeyKindDelete, pebble.InternalKeyKindSingleDelete, pebble.InternalKeyKindDeleteSized:
		v = nil
	default:
		return nil
	}
	if s.Rows++; s.Rows%1024 == 0 && s.ctx.Err() != nil {
		return s.ctx.Err()
	}
	at := binary.BigEndian.AppendUint64(escape(k), ^seq)
	return s.out.Set(at, append([]byte{set}, v...), pebble.NoSync)
}

// escape makes keys of which none begins another, in the same order.
func escape(k []byte) []byte {
	out := make([]byte, 0, len(k)+12)
	for _, c := range k {
		if out = append(out, c); c == 0 {
			out = append(out, 0xff)
		}
	}
	return append(out, 0, 0)
}

func unescape(k []byte) []byte {
	out := make([]byte, 0, len(k))
	for i := 0; i < len(k); i++ {
		if k[i] == 0 {
			i++
			if i >= len(k) || k[i] == 0 {
				break
			}
			out = append(out, 0)
			continue
		}
		out = append(out, k[i])
	}
	return out
}

// merged puts the newest version of each row, unless it is a deletion.
func (s *salvage) merged(put func(k, v []byte) error) error {
	it, err := s.out.NewIter(nil)
	if err != nil {
		return err
	}
	s.Rows = 0
	var row []byte
	for ok := it.First(); ok; ok = it.Next() {
		k, v := it.Key(), it.Value()
		if len(k) < 10 || row != nil && bytes.Equal(row, k[:len(k)-8]) {
			continue
		}
		row = append(row[:0], k[:len(k)-8]...)
		key := unescape(row)
		if len(v) == 0 || v[0] == 0 || s.covered(key, ^binary.BigEndian.Uint64(k[len(k)-8:])) {
			continue
		}
		s.Rows++
		if err := put(key, v[1:]); err != nil {
			return errors.Join(err, it.Close())
		}
	}
	return errors.Join(it.Error(), it.Close())
}

func (s *salvage) covered(k []byte, seq uint64) bool {
	for _, g := range s.gone {
		if seq < g.seq && bytes.Compare(g.from, k) <= 0 && bytes.Compare(k, g.to) < 0 {
			return true
		}
	}
	return false
}

// CopySegments copies the segments of a closed database to the directory of
// another, where there are none yet.
func CopySegments(ctx context.Context, fs vfs.FS, from, to string) error {
	if fs == nil {
		fs = vfs.Default
	}
	names, err := fs.List(fs.PathJoin(from, "segments"))
	if errors.Is(err, os.ErrNotExist) {
		return nil // there are none
	}
	if err != nil {
		return err
	}
	dir := fs.PathJoin(to, "segments")
	if err := fs.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	for _, name := range names {
		if err := ctx.Err(); err != nil {
			return err
		}
		if !strings.HasSuffix(name, ".seg") {
			continue
		}
		src := fs.PathJoin(from, "segments", name)
		st, err := fs.Stat(src)
		if err == nil {
			err = copyFile(fs, src, fs.PathJoin(dir, name), st.Size())
		}
		if err != nil {
			return err
		}
	}
	return syncDir(fs, dir)
}
