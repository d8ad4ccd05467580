package table

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"slices"

	"rialto/internal/mapi"
	"rialto/internal/store"
)

// keySize is how much of a sort key is kept of every row.
const keySize = 18

// entry is what a table keeps of a row: 32 bytes without a pointer.
type entry struct {
	id    uint64
	group uint32
	bits  uint16 // entryMore, entryUnread, then the instance
	key   [keySize]byte
}

const (
	entryMore   = 1 << iota // the key goes on
	entryUnread             // counted by headings
	instanceBit = 2
	maxInstance = 1<<(16-instanceBit) - 1
)

func (e *entry) instance() int { return int(e.bits >> instanceBit) }

func (e *entry) more() bool { return e.bits&entryMore != 0 }

// byBeginning orders entries as far as their kept keys tell.
func byBeginning(a, b *entry) int {
	if a.group != b.group {
		return cmp.Compare(a.group, b.group)
	}
	if x, y := binary.BigEndian.Uint64(a.key[:]), binary.BigEndian.Uint64(b.key[:]); x != y {
		return cmp.Compare(x, y)
	}
	return bytes.Compare(a.key[8:], b.key[8:])
}

func byID(a, b *entry) int {
	if c := cmp.Compare(a.id, b.id); c != 0 {
		return c
	}
	return cmp.Compare(a.instance(), b.instance())
}

// sortEntries puts entries in order.
func (t *Table) sortEntries(ctx context.Context, v *store.View, es []entry) error {
	slices.SortFunc(es, func(a, b entry) int {
		if c := byBeginning(&a, &b); c != 0 {
			return c
		}
		return byID(&a, &b)
	})
	return t.resolve(ctx, v, es)
}

// run is a stretch of entries whose keys are equal as far as they were read.
type run struct{ lo, hi int }

// resolve puts in order what the kept keys leave open, by reading the next octets
// of those keys until they differ or end.
func (t *Table) resolve(ctx context.Context, v *store.View, es []entry) error {
	runs := equalRuns(es, 0, len(es), nil, func(a, b *entry) bool { return byBeginning(a, b) == 0 && a.more() && b.more() })
	for skip := keySize; len(runs) > 0; skip += windowSize {
		next, err := t.nextOctets(ctx, v, es, runs, skip)
		if err != nil {
			return err
		}
		var open []run
		for _, r := range runs {
			sortBy(es[r.lo:r.hi], next)
			open = equalRuns(es, r.lo, r.hi, open, func(a, b *entry) bool {
				x, y := next[identity(a)], next[identity(b)]
				return x.more && y.more && bytes.Equal(x.key, y.key)
			})
		}
		runs = open
	}
	return nil
}

// equalRuns appends the runs of two and more equal entries of es[lo:hi].
func equalRuns(es []entry, lo, hi int, out []run, equal func(a, b *entry) bool) []run {
	for i := lo; i < hi; {
		j := i + 1
		for j < hi && equal(&es[j-1], &es[j]) {
			j++
		}
		if j-i > 1 {
			out = append(out, run{i, j})
		}
		i = j
	}
	return out
}

// windowSize is how much of their keys is read of equal rows at a time.
const windowSize = 256

// window is a piece of a key.
type window struct {
	key  []byte
	more bool
}

// instanceID is a row, or one of several rows that it makes.
type instanceID struct {
	id   uint64
	inst int
}

func identity(e *entry) instanceID { return instanceID{e.id, e.instance()} }

// nextOctets reads the windows from skip on of the entries in runs.
func (t *Table) nextOctets(ctx context.Context, v *store.View, es []entry, runs []run, skip int) (map[instanceID]window, error) {
	n := 0
	for _, r := range runs {
		n += r.hi - r.lo
	}
	out := make(map[instanceID]window, n)
	ids := make([]uint64, 0, n)
	for _, r := range runs {
		for i := r.lo; i < r.hi; i++ {
			out[identity(&es[i])] = window{}
			ids = append(ids, es[i].id)
		}
	}
	slices.Sort(ids)
	ids = slices.Compact(ids)
	var scratch []byte
	err := t.visit(ctx, v, ids, t.order.need, func(id uint64, r Row) error {
		return t.order.each(r, func(inst int) error {
			k := instanceID{id, inst}
			if _, wanted := out[k]; !wanted {
				return nil
			}
			var err error
			if scratch, err = t.order.appendKey(scratch[:0], r, inst); err != nil {
				return err
			}
			rest := scratch[min(skip, len(scratch)):]
			out[k] = window{bytes.Clone(rest[:min(windowSize, len(rest))]), len(rest) > windowSize}
			return nil
		})
	})
	return out, err
}

func sortBy(es []entry, next map[instanceID]window) {
	slices.SortFunc(es, func(a, b entry) int {
		x, y := next[identity(&a)], next[identity(&b)]
		if c := bytes.Compare(x.key, y.key); c != 0 {
			return c
		}
		return byID(&a, &b)
	})
}

// scanShare is the part of a table from which on one scan of all rows is less
// work than reading the wanted ones by id.
const scanShare = 3

// getRun is how many rows are read by id at a time.
const getRun = 512

// visit calls fn for rows, ids ascending, by whatever way is less work.
func (t *Table) visit(ctx context.Context, v *store.View, ids []uint64, need []mapi.Tag, fn func(id uint64, r Row) error) error {
	if len(ids) > getRun && len(ids) >= len(t.entries)/scanShare {
		return t.src.Scan(ctx, v, need, func(id uint64, r Row) error {
			if _, ok := slices.BinarySearch(ids, id); !ok {
				return nil
			}
			return fn(id, r)
		})
	}
	for len(ids) > 0 {
		n := min(len(ids), getRun)
		part := ids[:n]
		if err := t.src.Get(ctx, v, part, need, func(i int, r Row) error { return fn(part[i], r) }); err != nil {
			return err
		}
		ids = ids[n:]
	}
	return nil
}
