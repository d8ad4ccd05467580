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

// entry is what a table keeps of a row: 32 bytes without a pointer. The kept
// octets of the key are numbers, so that they are compared at once.
type entry struct {
	id     uint64
	k0, k1 uint64
	group  uint32
	k2     uint16
	bits   uint16 // entryMore, entryUnread, then the instance
}

// setKey keeps the beginning of a key.
func (e *entry) setKey(key []byte) {
	var kept [keySize]byte
	if mapi.Truncate(kept[:], key, 0) {
		e.bits |= entryMore
	}
	e.k0, e.k1, e.k2 = binary.BigEndian.Uint64(kept[:]), binary.BigEndian.Uint64(kept[8:]), binary.BigEndian.Uint16(kept[16:])
}

// key returns what is kept of the key, filled up with zeros.
func (e *entry) key() (kept [keySize]byte) {
	binary.BigEndian.PutUint64(kept[:], e.k0)
	binary.BigEndian.PutUint64(kept[8:], e.k1)
	binary.BigEndian.PutUint16(kept[16:], e.k2)
	return kept
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
	switch {
	case a.group != b.group:
		return cmp.Compare(a.group, b.group)
	case a.k0 != b.k0:
		return cmp.Compare(a.k0, b.k0)
	case a.k1 != b.k1:
		return cmp.Compare(a.k1, b.k1)
	}
	return cmp.Compare(a.k2, b.k2)
}

func byID(a, b *entry) int {
	if c := cmp.Compare(a.id, b.id); c != 0 {
		return c
	}
	return cmp.Compare(a.instance(), b.instance())
}

// sortEntries puts entries in order. tails is what else is known of their keys.
func (t *Table) sortEntries(ctx context.Context, v *store.View, es []entry, tails *tails) error {
	sortKept(es)
	return t.resolve(ctx, v, es, tails)
}

// run is a stretch of entries whose keys are equal as far as they were read.
type run struct{ lo, hi int }

// resolve puts in order what the kept keys leave open, by looking at the next
// octets of those keys until they differ or end.
func (t *Table) resolve(ctx context.Context, v *store.View, es []entry, known *tails) error {
	runs := equalRuns(es, 0, len(es), nil, func(a, b *entry) bool { return byBeginning(a, b) == 0 && a.more() && b.more() })
	var order []tied
	for skip := keySize; len(runs) > 0; {
		next := known
		if skip > keySize || !known.complete() {
			var err error
			if next, err = t.nextOctets(ctx, v, es, runs, skip); err != nil {
				return err
			}
		}
		skip += next.size
		var open []run
		for _, r := range runs {
			order = order[:0]
			for _, e := range es[r.lo:r.hi] {
				order = append(order, tied{e, next.of(&e)})
			}
			slices.SortFunc(order, func(a, b tied) int {
				if c := bytes.Compare(a.next.key, b.next.key); c != 0 {
					return c
				}
				return byID(&a.entry, &b.entry)
			})
			for i := range order {
				es[r.lo+i] = order[i].entry
			}
			open = equalTies(order, r.lo, open)
		}
		runs = open
	}
	return nil
}

// tied is an entry of a run with the next octets of its key.
type tied struct {
	entry
	next window
}

// equalTies appends the runs that are still open among those from lo on.
func equalTies(order []tied, lo int, out []run) []run {
	for i := 0; i < len(order); {
		j := i + 1
		for j < len(order) && order[j-1].next.more && order[j].next.more && bytes.Equal(order[j-1].next.key, order[j].next.key) {
			j++
		}
		if j-i > 1 {
			out = append(out, run{lo + i, lo + j})
		}
		i = j
	}
	return out
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

// instanceID is a row, or one of several rows that it makes.
type instanceID struct {
	id   uint64
	inst int
}

func identity(e *entry) instanceID { return instanceID{e.id, e.instance()} }

// nextOctets reads the windows from skip on of the entries in runs.
func (t *Table) nextOctets(ctx context.Context, v *store.View, es []entry, runs []run, skip int) (*tails, error) {
	n := 0
	for _, r := range runs {
		n += r.hi - r.lo
	}
	ids := make([]uint64, 0, n)
	for _, r := range runs {
		for i := r.lo; i < r.hi; i++ {
			ids = append(ids, es[i].id)
		}
	}
	slices.Sort(ids)
	ids = slices.Compact(ids)
	out := &tails{size: windowSize}
	var scratch []byte
	err := t.visit(ctx, v, ids, t.order.need, func(id uint64, r Row) error {
		return t.order.each(r, func(inst int) error {
			var err error
			if scratch, err = t.order.appendKey(scratch[:0], r, inst); err == nil {
				out.add(id, inst, scratch[min(skip, len(scratch)):])
			}
			return err
		})
	})
	return out, err
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
