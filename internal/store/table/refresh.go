package table

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"sort"

	"rialto/internal/store"
)

// NoticeKind says what happened to a row.
type NoticeKind uint8

// The kinds of notices (MS-OXCNOTIF 2.2.1.1.2).
const (
	TableChanged NoticeKind = 1 + iota // more than is worth telling: read again
	RowAdded
	RowModified
	RowDeleted
)

// Notice is an ordered hint for a client that shows the table.
type Notice struct {
	Kind     NoticeKind
	ID       uint64
	Instance int
	After    uint64 // the row before it, 0: it is the first of its group
}

const maxNotices = 256

// Changes catches up with v and returns what has happened to the rows since the
// last call. Rows below closed headings are told like others.
func (t *Table) Changes(ctx context.Context, v *store.View) ([]Notice, error) {
	t.watching = true
	if err := t.ready(ctx, v, 0); err != nil {
		return nil, err
	}
	out := t.notices
	t.notices = nil
	return out, nil
}

func (t *Table) notify(n Notice) {
	switch {
	case !t.watching:
	case len(t.notices) > 0 && t.notices[0].Kind == TableChanged:
	case n.Kind == TableChanged || len(t.notices) == maxNotices:
		t.notices = []Notice{{Kind: TableChanged}}
	default:
		t.notices = append(t.notices, n)
	}
}

// catchUp brings the rows to v.
func (t *Table) catchUp(ctx context.Context, v *store.View) error {
	d, err := t.src.Changes(ctx, v, t.at)
	if err != nil {
		return err
	}
	if !d.Whole && len(d.Changed)+len(d.Gone) == 0 {
		t.at = d.Now
		return nil
	}
	if t.head {
		return t.leaveHead(ctx, v)
	}
	anchors := t.allAnchors()
	many := len(d.Changed)+len(d.Gone) > 100+len(t.entries)/4
	if d.Whole || t.limit > 0 || many {
		return t.again(ctx, v, anchors)
	}
	if err := t.cond.prepare(ctx, v, t.src); err != nil {
		return err
	}
	fresh, err := t.read(ctx, v, d.Changed)
	if err != nil {
		return err
	}
	return t.apply(ctx, v, &d, fresh, anchors)
}

// leaveHead is again for a table that knows only its first rows: the cursor
// behind them is behind the last of them.
func (t *Table) leaveHead(ctx context.Context, v *store.View) error {
	behind := t.cursor == len(t.entries) && t.cursor > 0
	if behind {
		t.cursor--
	}
	anchors := t.allAnchors()
	if err := t.again(ctx, v, anchors); err != nil {
		return err
	}
	if behind && !anchors[0].gone {
		t.cursor++
	}
	return nil
}

// allAnchors returns the cursor's, first, and the bookmarks'.
func (t *Table) allAnchors() []*anchor {
	out := []*anchor{t.anchorAt(t.cursor)}
	for _, a := range t.marks {
		out = append(out, a)
	}
	return out
}

// again reads all rows anew and finds the anchors in them.
func (t *Table) again(ctx context.Context, v *store.View, anchors []*anchor) error {
	old := t.entries
	if err := t.load(ctx, v); err != nil {
		return err
	}
	at := make(map[instanceID]int)
	for _, a := range anchors {
		if a.g == nil && !a.end {
			for i := a.entry; i < len(old); i++ { // the row or the next that is still there
				at[identity(&old[i])] = -1
			}
		}
	}
	if len(at) > 0 {
		for i := range t.entries {
			if k := identity(&t.entries[i]); at[k] == -1 {
				at[k] = i
			}
		}
	}
	for _, a := range anchors {
		if a.g != nil || a.end {
			continue
		}
		i := a.entry
		for ; i < len(old) && at[identity(&old[i])] == -1; i++ {
			a.gone = true
		}
		if a.entry = len(t.entries); i < len(old) {
			a.entry = at[identity(&old[i])]
		}
	}
	t.cursor, _ = t.where(anchors[0])
	t.notify(Notice{Kind: TableChanged})
	return nil
}

// read returns the entries of changed rows that are to be shown, in order.
func (t *Table) read(ctx context.Context, v *store.View, ids []uint64) ([]entry, error) {
	ids = slices.Clone(ids)
	slices.Sort(ids)
	ids = slices.Compact(ids)
	b := builder{t: t, cond: t.cond, tails: newTails(len(ids))}
	need := t.scanNeed()
	for part := range slices.Chunk(ids, getRun) {
		err := t.src.Get(ctx, v, part, need, func(i int, r Row) error { return b.addIf(part[i], r) })
		if err != nil && !errors.Is(err, errEnough) {
			return nil, err
		}
	}
	return b.entries, t.sortEntries(ctx, v, b.entries, b.tails)
}

// apply takes out the touched rows, puts in the fresh ones and moves the anchors.
func (t *Table) apply(ctx context.Context, v *store.View, d *Delta, fresh []entry, anchors []*anchor) error {
	touched := make(map[uint64]struct{}, len(d.Changed)+len(d.Gone))
	for _, ids := range [][]uint64{d.Changed, d.Gone} {
		for _, id := range ids {
			touched[id] = struct{}{}
		}
	}
	was := map[instanceID]bool{}
	kept := make([]entry, 0, len(t.entries)+len(fresh))
	byEntry := entryAnchors(anchors)
	for i := range t.entries {
		e := &t.entries[i]
		_, out := touched[e.id]
		for len(byEntry) > 0 && byEntry[0].entry == i {
			a := byEntry[0]
			a.entry, a.gone = len(kept), a.gone || out
			byEntry = byEntry[1:]
		}
		if out {
			was[identity(e)] = true
			continue
		}
		kept = append(kept, *e)
	}
	for _, a := range byEntry {
		a.entry = len(kept)
	}
	at, err := t.places(ctx, v, kept, fresh)
	if err != nil {
		t.loaded = false // the entries are of two states
		return err
	}
	t.insert(kept, fresh, at, anchors)
	t.at = d.Now
	t.groups.arrange(t)
	t.cursor, _ = t.where(anchors[0])
	t.tell(fresh, was)
	return nil
}

// entryAnchors returns the anchors at entries, ascending.
func entryAnchors(anchors []*anchor) (out []*anchor) {
	for _, a := range anchors {
		if a.g == nil && !a.end {
			out = append(out, a)
		}
	}
	slices.SortFunc(out, func(a, b *anchor) int { return a.entry - b.entry })
	return out
}

// insert merges fresh entries, whose places among kept are at, and moves the
// anchors: one whose row came back goes to it.
func (t *Table) insert(kept, fresh []entry, at []int, anchors []*anchor) {
	back := map[instanceID]int{}
	for i := range fresh {
		back[identity(&fresh[i])] = at[i] + i
	}
	for _, a := range anchors {
		if a.g != nil || a.end {
			continue
		}
		if i, ok := back[a.row]; ok {
			a.entry, a.gone = i, false
			continue
		}
		// Those before it, and those that take its place, move it on; but what
		// comes where a lost row was comes after that.
		n := sort.Search(len(at), func(i int) bool {
			if a.gone {
				return at[i] >= a.entry
			}
			return at[i] > a.entry
		})
		a.entry += n
	}
	es := kept[:len(kept):cap(kept)]
	for range fresh {
		es = append(es, entry{})
	}
	for i, k, end := len(fresh)-1, len(kept), len(es); i >= 0; i-- {
		n := k - at[i]
		copy(es[end-n:end], es[at[i]:k])
		end -= n + 1
		es[end] = fresh[i]
		k = at[i]
	}
	t.entries = es
}

// places returns before which of kept each of fresh belongs; both are in order.
func (t *Table) places(ctx context.Context, v *store.View, kept, fresh []entry) ([]int, error) {
	at := make([]int, len(fresh))
	lo := 0
	for i := range fresh {
		e := &fresh[i]
		lo += sort.Search(len(kept)-lo, func(k int) bool { return byBeginning(&kept[lo+k], e) >= 0 })
		hi := lo + sort.Search(len(kept)-lo, func(k int) bool { return byBeginning(&kept[lo+k], e) > 0 })
		n, err := t.placeAmong(ctx, v, kept[lo:hi], e)
		if err != nil {
			return nil, err
		}
		lo += n
		at[i] = lo
	}
	return at, nil
}

// placeAmong finds the place of e among entries whose kept keys equal its own.
func (t *Table) placeAmong(ctx context.Context, v *store.View, es []entry, e *entry) (int, error) {
	if len(es) == 0 || !e.more() {
		return sort.Search(len(es), func(i int) bool { return byID(&es[i], e) > 0 }), nil
	}
	own, err := t.fullKey(ctx, v, e)
	if err != nil {
		return 0, err
	}
	lo, hi := 0, len(es)
	for lo < hi {
		mid := (lo + hi) / 2
		k, err := t.fullKey(ctx, v, &es[mid])
		if err != nil {
			return 0, err
		}
		c := bytes.Compare(k, own)
		if c == 0 {
			c = byID(&es[mid], e)
		}
		if c > 0 {
			hi = mid
		} else {
			lo = mid + 1
		}
	}
	return lo, nil
}

// fullKey reads the whole key of an entry.
func (t *Table) fullKey(ctx context.Context, v *store.View, e *entry) (key []byte, err error) {
	err = t.src.Get(ctx, v, []uint64{e.id}, t.order.need, func(_ int, r Row) error {
		key, err = t.order.appendKey(nil, r, e.instance())
		return err
	})
	return key, err
}

// tell makes the notices of what apply has done.
func (t *Table) tell(fresh []entry, was map[instanceID]bool) {
	if !t.watching {
		return
	}
	if len(fresh)+len(was) > maxNotices {
		t.notify(Notice{Kind: TableChanged})
		return
	}
	now := make(map[instanceID]bool, len(fresh))
	for i := range fresh {
		now[identity(&fresh[i])] = true
	}
	var lost []instanceID
	for k := range was {
		if !now[k] {
			lost = append(lost, k)
		}
	}
	slices.SortFunc(lost, func(a, b instanceID) int {
		return byID(&entry{id: a.id, bits: uint16(a.inst << instanceBit)}, &entry{id: b.id, bits: uint16(b.inst << instanceBit)})
	})
	for _, k := range lost {
		t.notify(Notice{Kind: RowDeleted, ID: k.id, Instance: k.inst})
	}
	for i := range t.entries {
		k := identity(&t.entries[i])
		if !now[k] {
			continue
		}
		n := Notice{Kind: RowAdded, ID: k.id, Instance: k.inst}
		if was[k] {
			n.Kind = RowModified
		}
		if i > 0 && t.entries[i-1].group == t.entries[i].group {
			n.After = t.entries[i-1].id
		}
		t.notify(n)
	}
}
