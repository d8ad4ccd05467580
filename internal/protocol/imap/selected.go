package imap

import (
	"context"
	"slices"

	"rialto/internal/model"
	"rialto/internal/store"
	wire "rialto/internal/wire/imap"
)

// selected is what a session knows of its mailbox: what its client was told.
type selected struct {
	folder   store.FolderID
	validity uint32
	readOnly bool

	count uint32    // messages
	next  store.UID // UIDs below it are, or were, among them
	seq   store.Seq // the folder's log was read up to here

	// uids are the messages by number, ascending, once loaded. Until then the
	// client can not have used a number.
	uids   []store.UID
	loaded bool

	gone  []store.UID // expunged, not told yet; ascending
	own   []store.Seq // of changes the client knows, since it made them
	saved []store.UID // result of the last SEARCH RETURN (SAVE)
}

func newSelected(f *store.Folder, readOnly bool) *selected {
	return &selected{folder: f.ID, validity: f.UIDValidity, readOnly: readOnly,
		count: f.Counts.Total, next: f.Counts.NextUID, seq: f.Counts.Seq}
}

// load makes the list of UIDs as it was at seq: what is there now and what the
// log says has gone since. UIDs ascend with time, so next tells old from new.
func (sel *selected) load(ctx context.Context, v *store.View) error {
	if sel.loaded {
		return nil
	}
	uids := make([]store.UID, 0, sel.count)
	var err error
	if sel.next > 1 {
		if uids, err = v.UIDs(ctx, sel.folder, 1, sel.next-1, uids); err != nil {
			return err
		}
	}
	lost := 0
	_, err = v.Changes(ctx, sel.folder, sel.seq, func(c *store.Change) bool {
		if c.Kind == store.ChangeGone && c.UID != 0 && c.UID < sel.next {
			uids = append(uids, c.UID)
			lost++
		}
		return true
	})
	if err != nil {
		return err
	}
	if lost > 0 {
		slices.Sort(uids)
		uids = slices.Compact(uids)
	}
	sel.uids, sel.loaded = sel.fill(uids), true
	sel.count = uint32(len(sel.uids))
	return nil
}

// fill adds UIDs that are free until there are as many as the client was told.
// It matters only where the log was cut since: the client has seen none of them,
// and learns that they have gone.
func (sel *selected) fill(uids []store.UID) []store.UID {
	missing := int(sel.count) - len(uids)
	if missing <= 0 {
		return uids
	}
	i := len(uids) - 1
	for u := sel.next - 1; u > 0 && missing > 0; u-- {
		if i >= 0 && uids[i] == u {
			i--
			continue
		}
		uids = append(uids, u)
		missing--
	}
	slices.Sort(uids)
	return uids
}

// index returns the position of a UID in the list.
func (sel *selected) index(u store.UID) (int, bool) { return slices.BinarySearch(sel.uids, u) }

// span is a range of positions in the list: [lo, hi).
type span struct{ lo, hi int }

// resolve returns the messages a set names, in order and each once. Numbers
// beyond the mailbox are an error of syntax, UIDs that do not exist are none.
func (sel *selected) resolve(set wire.SeqSet, uid bool) ([]span, error) {
	if set.Saved {
		return sel.positions(sel.saved), nil
	}
	var out []span
	n := uint32(len(sel.uids))
	top := n
	if uid && n > 0 {
		top = uint32(sel.uids[n-1])
	}
	for _, g := range set.Ranges {
		from, to, some := g.Bounds(top)
		if !some {
			continue
		}
		if uid {
			lo, _ := sel.index(store.UID(from))
			hi, found := sel.index(store.UID(to))
			if found {
				hi++
			}
			out = append(out, span{lo, hi})
			continue
		}
		if from > n {
			return nil, errNumber()
		}
		out = append(out, span{int(from) - 1, int(min(to, n))})
	}
	return merge(out), nil
}

// positions returns the spans of ascending UIDs, those that are in the list.
func (sel *selected) positions(uids []store.UID) []span {
	var out []span
	for _, u := range uids {
		if i, found := sel.index(u); found {
			out = append(out, span{i, i + 1})
		}
	}
	return merge(out)
}

// merge sorts spans and joins those that touch.
func merge(in []span) []span {
	slices.SortFunc(in, func(a, b span) int { return a.lo - b.lo })
	out := in[:0]
	for _, p := range in {
		if p.lo >= p.hi {
			continue
		}
		if n := len(out); n > 0 && p.lo <= out[n-1].hi {
			out[n-1].hi = max(out[n-1].hi, p.hi)
			continue
		}
		out = append(out, p)
	}
	return out
}

// uidSet returns the UIDs of spans as the store wants them. A UID between two of
// the list is free for ever, so a span is one range.
func (sel *selected) uidSet(spans []span) store.UIDSet {
	set := make(store.UIDSet, len(spans))
	for i, p := range spans {
		set[i] = store.UIDRange{From: sel.uids[p.lo], To: sel.uids[p.hi-1]}
	}
	return set
}

// states calls fn for the state rows of the messages of spans that still exist,
// with their position, until it returns false.
func (sel *selected) states(ctx context.Context, v *store.View, spans []span, fn func(i int, st *store.Brief) bool) error {
	return sel.scan(spans, func(from, to store.UID, take func(store.UID) (int, bool)) (more bool, err error) {
		more = true
		err = v.Briefs(ctx, sel.folder, from, to, func(st *store.Brief) bool {
			if i, wanted := take(st.UID); wanted {
				more = fn(i, st)
			}
			return more
		})
		return more, err
	})
}

// summaries is states for the summary rows.
func (sel *selected) summaries(ctx context.Context, v *store.View, spans []span, fn func(i int, row *store.Row) bool) error {
	return sel.scan(spans, func(from, to store.UID, take func(store.UID) (int, bool)) (more bool, err error) {
		more = true
		err = v.Summaries(ctx, sel.folder, from, to, func(row *store.Row) bool {
			if i, wanted := take(row.UID); wanted {
				more = fn(i, row)
			}
			return more
		})
		return more, err
	})
}

// scanOver is how many unwanted rows are read rather than a new scan begun.
const scanOver = 16

// scan cuts spans into ranges worth one scan each. take maps the UIDs of a scan,
// which ascend, to wanted positions.
func (sel *selected) scan(spans []span, rows func(from, to store.UID, take func(store.UID) (int, bool)) (bool, error)) error {
	for len(spans) > 0 {
		n := 1
		for n < len(spans) && spans[n].lo-spans[n-1].hi <= scanOver {
			n++
		}
		group := spans[:n]
		spans = spans[n:]
		i := group[0].lo
		take := func(u store.UID) (int, bool) {
			for {
				for len(group) > 0 && i >= group[0].hi {
					if group = group[1:]; len(group) > 0 {
						i = group[0].lo
					}
				}
				if len(group) == 0 || sel.uids[i] > u {
					return 0, false
				}
				if i++; sel.uids[i-1] == u {
					return i - 1, true
				}
			}
		}
		more, err := rows(sel.uids[group[0].lo], sel.uids[group[n-1].hi-1], take)
		if err != nil || !more {
			return err
		}
	}
	return nil
}

// take cuts the first n messages off spans.
func take(spans []span, n int) (first, rest []span) {
	for i, p := range spans {
		if k := p.hi - p.lo; k <= n {
			n -= k
			continue
		}
		first = append(first, spans[:i]...)
		if n > 0 {
			first = append(first, span{p.lo, p.lo + n})
		}
		return first, append([]span{{p.lo + n, p.hi}}, spans[i+1:]...)
	}
	return spans, nil
}

// total is the number of messages in spans.
func total(spans []span) (n int) {
	for _, p := range spans {
		n += p.hi - p.lo
	}
	return n
}

// errNumber is the answer to a message number that does not exist.
func errNumber() error {
	return model.E("imap.resolve", model.KindInvalid, "No such message number", errNotThere)
}
