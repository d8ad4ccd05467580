package postgres

import (
	"bytes"
	"context"
	"slices"

	"github.com/jackc/pgx/v5"

	"rialto/internal/kv"
	"rialto/internal/kv/treap"
)

const (
	firstPage = 100
	maxPage   = 2000
	pageBytes = 1 << 20 // that a page aims at
	spare     = 16      // rows beyond the limit, for what the overlay deletes
)

type pair struct{ key, value []byte }

// iterator merges pages of the server with the overlay.
type iterator struct {
	ctx  context.Context
	v    *view
	own  *view // released in the end, nil if v is a snapshot's
	r    kv.Range
	left int // pairs to hand out; negative: no limit
	over *treap.Cursor[point]

	// What is not read of the server yet: tables up to last, or down to it, and
	// in them [lower, upper).
	table, last  int
	lower, upper []byte
	dry          bool
	page         []pair
	size         int // rows of the next page

	at   pair
	err  error
	done bool
}

func (v *view) scan(ctx context.Context, r kv.Range) *iterator {
	it := &iterator{ctx: ctx, v: v, r: r, left: -1, err: v.ends()}
	if r.Limit > 0 {
		it.left = r.Limit
	}
	it.lower = append([]byte{}, r.Lower...)
	it.upper = topKey
	var upper []byte
	if r.Upper != nil {
		upper = append([]byte{}, r.Upper...)
		it.upper = upper
	}
	it.over = v.over.points.Cursor(it.lower, upper, r.Reverse)
	it.dry = string(it.lower) >= string(it.upper)
	it.table, it.last = v.d.tableOf(string(it.lower)), v.d.tableOf(string(it.upper))
	if r.Reverse {
		it.table, it.last = it.last, it.table
	}
	switch {
	case r.Prefetch > 0:
		it.size = min(r.Prefetch, maxPage)
	case r.Limit > 0:
		it.size = min(r.Limit+spare, maxPage)
	default:
		it.size = firstPage
	}
	return it
}

// Next implements kv.Iterator.
func (i *iterator) Next() bool {
	if i.err != nil || i.done || i.left == 0 {
		return false
	}
	if i.err = i.ctx.Err(); i.err == nil {
		i.err = i.v.ends()
	}
	for i.err == nil {
		if len(i.page) == 0 && !i.dry {
			i.err = i.fetch()
			continue
		}
		key, p, over := i.over.Pair()
		if !over && len(i.page) == 0 {
			i.done = true
			i.end()
			return false
		}
		if i.step(key, p, over) {
			if i.left > 0 {
				i.left--
			}
			return true
		}
	}
	return false
}

// step moves past the next key; it reports whether that is in the state. key and
// p are where the overlay is; over is false at its end.
func (i *iterator) step(key []byte, p point, over bool) bool {
	if over && len(i.page) > 0 {
		c := bytes.Compare(key, i.page[0].key)
		if i.r.Reverse {
			c = -c
		}
		if c == 0 {
			i.page = i.page[1:]
		} else if c > 0 {
			over = false
		}
	}
	if over {
		i.over.Next()
		i.at = pair{key, p.value}
		return !p.dead
	}
	i.at, i.page = i.page[0], i.page[1:]
	_, deleted := i.v.over.gap(i.at.key)
	return !deleted
}

// fetch reads the next page, in one round trip.
func (i *iterator) fetch() error {
	i.jump()
	lower, upper, ok := i.v.d.within(i.table, i.lower, i.upper)
	if !ok {
		i.turn()
		return nil
	}
	size := i.size
	if i.left > 0 {
		size = min(size, i.left+spare)
	}
	stmt := i.v.d.sql.tables[i.table].up
	if i.r.Reverse {
		stmt = i.v.d.sql.tables[i.table].down
	}
	var page []pair // a canceled round trip may still fill it
	total := 0
	err := i.v.run(i.ctx, func(ctx context.Context, c *pgx.Conn) error {
		page, total = make([]pair, 0, min(size, firstPage)), 0
		rows, err := c.Query(ctx, stmt, lower, upper, size)
		if err != nil {
			return err
		}
		return eachRow(rows, func(k, v []byte) {
			page = append(page, pair{slices.Clone(k), append([]byte{}, v...)})
			total += len(k) + len(v)
		})
	})
	if err != nil {
		return err
	}
	i.page = page
	if len(i.page) < size {
		i.turn()
		return nil
	}
	last := i.page[len(i.page)-1].key
	if i.r.Reverse {
		i.upper = last
	} else {
		i.lower = append(slices.Clone(last), 0)
	}
	i.size = min(max(pageBytes*size/(total+1), 1), 4*size, maxPage)
	return nil
}

// jump leaves out what the overlay deleted as a range.
func (i *iterator) jump() {
	if !i.r.Reverse {
		if end, in := i.v.over.gap(i.lower); in {
			i.lower = end
		}
		return
	}
	if from, to, ok := i.v.over.gaps.Floor(i.upper); ok && string(to) >= string(i.upper) {
		i.upper = from
	}
}

// turn goes on with the next table.
func (i *iterator) turn() {
	switch {
	case i.table == i.last:
		i.dry = true
	case i.r.Reverse:
		i.table--
	default:
		i.table++
	}
}

func (i *iterator) end() {
	if i.own != nil {
		i.own.release()
	}
}

// Key implements kv.Iterator.
func (i *iterator) Key() []byte { return i.at.key }

// Value implements kv.Iterator.
func (i *iterator) Value() []byte { return i.at.value }

// Close implements kv.Iterator.
func (i *iterator) Close() error {
	i.done = true
	i.end()
	return i.err
}
