package table

import (
	"context"
	"errors"
	"runtime"
	"sync"

	"rialto/internal/mapi"
	"rialto/internal/model"
	"rialto/internal/store"
)

// Reading all rows, in several parts at once where the source and the table
// allow it.

// errEnough ends a scan.
var errEnough = errors.New("table: enough rows")

const (
	partRows   = 4096 // at least, of a part
	maxParts   = 32   // of a scan
	maxReaders = 2    // parts read at once
)

// scan returns the entries of all rows that are to be shown, ids ascending.
func (t *Table) scan(ctx context.Context, v *store.View, total int) ([]entry, *tails, error) {
	out := builder{t: t, cond: t.cond, tails: newTails(total)}
	if t.cond == nil {
		out.entries = make([]entry, 0, total)
	}
	bounds, err := t.split(ctx, v, total)
	if err != nil {
		return nil, nil, err
	}
	if len(bounds) == 0 {
		err := t.src.Scan(ctx, v, t.scanNeed(), out.visitor(ctx))
		if errors.Is(err, errEnough) {
			err = nil
		}
		return out.entries, out.tails, err
	}
	err = t.scanParts(ctx, v, bounds, &out)
	return out.entries, out.tails, err
}

// visitor adds the rows it is called for.
func (b *builder) visitor(ctx context.Context) func(uint64, Row) error {
	seen := 0
	return func(id uint64, r Row) error {
		if seen++; seen&0xfff == 0 && ctx.Err() != nil {
			return model.E("table.load", model.KindCanceled, "table", ctx.Err())
		}
		return b.addIf(id, r)
	}
}

// split returns where parts of the rows begin that can be read at once; none if
// they are to be read as one. Headings and a limit need all rows in turn.
func (t *Table) split(ctx context.Context, v *store.View, total int) ([]uint64, error) {
	src, ok := t.src.(Parted)
	readers := min(maxReaders, runtime.GOMAXPROCS(0))
	if !ok || readers < 2 || total < 2*partRows || t.limit > 0 || t.order.Categories > 0 {
		return nil, nil
	}
	return src.Parts(ctx, v, min(maxParts, total/partRows))
}

// scanParts reads a few parts at a time and adds them in their order to out.
func (t *Table) scanParts(ctx context.Context, v *store.View, bounds []uint64, out *builder) error {
	var parts [maxReaders]builder
	var failed [maxReaders]error
	for len(bounds) > 0 {
		n := min(len(bounds), maxReaders)
		var wg sync.WaitGroup
		for i := range n {
			from, to := bounds[i], ^uint64(0)
			if i+1 < len(bounds) {
				to = bounds[i+1] - 1
			}
			parts[i].tails = out.tails.another()
			wg.Go(func() { failed[i] = t.scanPart(ctx, v, from, to, &parts[i]) })
		}
		wg.Wait()
		for i := range n {
			if failed[i] != nil {
				return failed[i]
			}
			out.entries = append(out.entries, parts[i].entries...)
			if parts[i].tails != nil {
				out.tails.join(parts[i].tails)
			}
		}
		bounds = bounds[n:]
	}
	return nil
}

// scanPart reads one part into b, which may have been used for another.
func (t *Table) scanPart(ctx context.Context, v *store.View, from, to uint64, b *builder) error {
	if b.t == nil {
		b.t = t
		var err error
		if b.cond, err = t.cond.clone(); err != nil {
			return err
		}
	}
	b.entries = b.entries[:0]
	return t.src.(Parted).ScanPart(ctx, v, from, to, t.scanNeed(), b.visitor(ctx))
}

// builder makes entries of rows.
type builder struct {
	t       *Table
	cond    *condition
	entries []entry
	tails   *tails // nil: not wanted
	rows    int    // that were shown
	scratch []byte
}

// addIf adds the entries of a row if it is to be shown.
func (b *builder) addIf(id uint64, r Row) error {
	ok, err := b.cond.holds(id, r)
	if err != nil || !ok {
		return err
	}
	if err := b.add(id, r); err != nil {
		return err
	}
	if b.t.limit > 0 && b.rows >= b.t.limit {
		return errEnough
	}
	return nil
}

// add appends the entries of a row.
func (b *builder) add(id uint64, r Row) error {
	b.rows++
	if b.t.order.instance < 0 {
		return b.instance(id, r, 0)
	}
	return b.t.order.each(r, func(inst int) error { return b.instance(id, r, inst) })
}

// isUnread reports whether a row can be read and was not.
func isUnread(r Row) (bool, error) {
	raw, ok, err := r.Raw(mapi.TagRead)
	if err != nil || ok {
		return raw.Found() && raw.Int() == 0, err
	}
	v, err := r.Value(mapi.TagRead)
	return v == false, err
}

func (b *builder) instance(id uint64, r Row, inst int) error {
	o := b.t.order
	e := entry{id: id, bits: uint16(inst << instanceBit)}
	if o.Categories > 0 {
		g, err := b.t.groups.of(o, r, inst)
		if err != nil {
			return err
		}
		e.group = g.index
		unread, err := isUnread(r)
		if err != nil {
			return err
		}
		if unread {
			e.bits |= entryUnread
		}
	}
	var err error
	if b.scratch, err = o.appendKey(b.scratch[:0], r, inst); err != nil {
		return err
	}
	e.setKey(b.scratch)
	if b.tails != nil && e.more() {
		b.tails.add(id, inst, b.scratch[keySize:])
	}
	b.entries = append(b.entries, e)
	return nil
}
