package imap

import (
	"bytes"
	"cmp"
	"context"
	"slices"

	"rialto/internal/model"
	"rialto/internal/store"
	wire "rialto/internal/wire/imap"
)

// page gathers responses while a view is open, so that no view waits for a slow
// client.
type page struct {
	buf bytes.Buffer
	*wire.Writer
}

func (s *session) newPage() *page {
	p := &page{}
	p.Writer = wire.NewWriter(&p.buf)
	p.UTF8 = s.w.UTF8
	return p
}

// send hands a page to the client's writer.
func (s *session) send(p *page) {
	_ = p.Flush()                   // to memory: it can not fail
	_, _ = s.w.Write(p.buf.Bytes()) // the error stays with the writer
}

// news is what a folder's log says since a position.
type news struct {
	fresh, changed, gone []store.UID
}

// hint reports whether the mailbox may have changed since the log was read.
func (s *session) hint() (bool, error) {
	for {
		select {
		case _, open := <-s.sub.C:
			if !open {
				return false, model.E("imap.sync", model.KindUnavailable, "mailbox", nil)
			}
			s.hinted.Store(true)
		default:
			return s.hinted.Load(), nil
		}
	}
}

// sync tells the client what changed in its mailbox. Without expunge the numbers
// of messages stay as they are, and what has gone is told later.
func (s *session) sync(ctx context.Context, expunge bool) error {
	sel := s.sel
	hinted, err := s.hint()
	if err != nil {
		s.w.Status("*", "BYE", "UNAVAILABLE", "The mailbox is not available")
		s.done = true
		return err
	}
	if !hinted && (!expunge || len(sel.gone) == 0) {
		sel.own = nil
		return nil
	}
	p := s.newPage()
	s.hinted.Store(false)
	if hinted {
		err = s.readNews(ctx, p, expunge)
	} else {
		s.expunged(p)
	}
	if err != nil {
		s.hinted.Store(true)
		return err
	}
	s.send(p)
	return nil
}

// readNews reads the log and writes to p.
func (s *session) readNews(ctx context.Context, p *page, expunge bool) error {
	sel := s.sel
	v, err := s.box.View(ctx)
	if err != nil {
		return err
	}
	defer v.Close()
	f, err := v.Folder(ctx, sel.folder)
	if model.IsKind(err, model.KindNotFound) {
		p.Status("*", "BYE", "", "The mailbox was deleted")
		s.done = true
		return nil
	}
	if err != nil {
		return err
	}
	var n news
	if f.Counts.Seq != sel.seq {
		if n, err = sel.read(ctx, v); err != nil {
			return err
		}
	}
	if len(n.gone)+len(n.changed) > 0 {
		if err := sel.load(ctx, v); err != nil {
			return err
		}
		sel.gone = append(sel.gone, n.gone...)
		slices.Sort(sel.gone)
		sel.gone = slices.Compact(sel.gone)
	}
	if expunge {
		s.expunged(p)
	}
	sel.grow(p, n.fresh)
	sel.seq, sel.next, sel.own = f.Counts.Seq, f.Counts.NextUID, nil
	return sel.states(ctx, v, sel.positions(n.changed), func(i int, st *store.Brief) bool {
		s.flagsLine(p.Writer, i, st, true)
		return true
	})
}

// read returns what happened in the folder since seq.
func (sel *selected) read(ctx context.Context, v *store.View) (n news, err error) {
	complete, err := v.Changes(ctx, sel.folder, sel.seq, func(c *store.Change) bool {
		switch {
		case c.Associated || c.UID == 0:
		case c.Kind == store.ChangeGone && c.UID < sel.next:
			n.gone = append(n.gone, c.UID)
		case c.Kind != store.ChangeItem:
		case c.UID >= sel.next:
			n.fresh = append(n.fresh, c.UID)
		case !sel.isOwn(c.Seq):
			n.changed = append(n.changed, c.UID)
		}
		return true
	})
	if err == nil && !complete {
		n, err = sel.compare(ctx, v)
	}
	slices.Sort(n.fresh)
	slices.Sort(n.changed)
	return n, err
}

// compare is read where the log does not go back far enough.
func (sel *selected) compare(ctx context.Context, v *store.View) (n news, err error) {
	if err := sel.load(ctx, v); err != nil {
		return n, err
	}
	i := 0
	err = v.Briefs(ctx, sel.folder, 1, ^store.UID(0), func(st *store.Brief) bool {
		u := st.UID
		for ; i < len(sel.uids) && sel.uids[i] < u; i++ {
			n.gone = append(n.gone, sel.uids[i])
		}
		switch {
		case i == len(sel.uids) || sel.uids[i] != u:
			n.fresh = append(n.fresh, u)
		default:
			if i++; st.Seq > sel.seq {
				n.changed = append(n.changed, u)
			}
		}
		return true
	})
	n.gone = append(n.gone, sel.uids[i:]...)
	return n, err
}

func (sel *selected) isOwn(seq store.Seq) bool {
	_, found := slices.BinarySearch(sel.own, seq)
	return found
}

// remember notes changes that the session made itself.
func (sel *selected) remember(states []*store.State) {
	for _, st := range states {
		if st.Seq > sel.seq {
			sel.own = append(sel.own, st.Seq)
		}
	}
	slices.Sort(sel.own)
}

// grow takes in new messages.
func (sel *selected) grow(p *page, fresh []store.UID) {
	if len(fresh) == 0 {
		return
	}
	sel.count += uint32(len(fresh))
	if sel.loaded {
		sel.uids = append(sel.uids, fresh...)
	}
	p.Raw("* ")
	p.Number(uint64(sel.count))
	p.Raw(" EXISTS")
	p.CRLF()
}

// expunged tells what has gone and takes it off the list: EXPUNGE, or VANISHED
// once QRESYNC is enabled (RFC 7162 3.2.10).
func (s *session) expunged(p *page) {
	sel := s.sel
	if len(sel.gone) == 0 {
		return
	}
	gone := sel.gone
	sel.gone = nil
	var vanished wire.SeqSet
	kept := sel.uids[:0]
	for _, u := range sel.uids {
		if len(gone) > 0 && gone[0] < u { // never in the list
			i, _ := slices.BinarySearch(gone, u)
			gone = gone[i:]
		}
		if len(gone) == 0 || gone[0] != u {
			kept = append(kept, u)
			continue
		}
		gone = gone[1:]
		if s.qresync {
			vanished.Add(uint32(u))
			continue
		}
		p.Raw("* ")
		p.Number(uint64(len(kept) + 1))
		p.Raw(" EXPUNGE")
		p.CRLF()
	}
	sel.uids, sel.count = kept, uint32(len(kept))
	if len(vanished.Ranges) > 0 {
		p.Raw("* VANISHED ")
		p.SeqSet(vanished)
		p.CRLF()
	}
}

// flagsLine writes a FETCH response with the flags of the message at position i.
func (s *session) flagsLine(w *wire.Writer, i int, st *store.Brief, withFlags bool) {
	w.Raw("* ")
	w.Number(uint64(i) + 1)
	w.Raw(" FETCH (UID ")
	w.Number(uint64(st.UID))
	if withFlags {
		w.Raw(" FLAGS ")
		writeFlags(w, st)
	}
	if s.condStore {
		w.Raw(" MODSEQ (")
		w.Number(uint64(st.Seq))
		w.Byte(')')
	}
	w.Byte(')')
	w.CRLF()
}

// resync writes what changed since a client that comes back left (RFC 7162
// 3.2.5): what has vanished, then the flags of what changed.
func (s *session) resync(ctx context.Context, v *store.View, p *page, since store.Seq, known wire.SeqSet) error {
	sel := s.sel
	if err := sel.load(ctx, v); err != nil {
		return err
	}
	if err := s.vanishedSince(ctx, v, p, since, known); err != nil {
		return err
	}
	spans := merge([]span{{0, len(sel.uids)}})
	if len(known.Ranges) > 0 {
		var err error
		if spans, err = sel.resolve(known, true); err != nil {
			return err
		}
	}
	return sel.states(ctx, v, spans, func(i int, st *store.Brief) bool {
		if st.Seq > since {
			s.flagsLine(p.Writer, i, st, true)
		}
		return true
	})
}

// vanishedSince writes VANISHED (EARLIER) with the UIDs of known (all, if it is
// empty) that have gone since. Without history all that do not exist are told.
func (s *session) vanishedSince(ctx context.Context, v *store.View, p *page, since store.Seq, known wire.SeqSet) error {
	sel := s.sel
	wanted := sel.told(known)
	var gone []store.UID
	complete, err := v.Changes(ctx, sel.folder, since, func(c *store.Change) bool {
		if c.Kind == store.ChangeGone && c.UID != 0 && wanted.Contains(c.UID) {
			gone = append(gone, c.UID)
		}
		return true
	})
	if err != nil {
		return err
	}
	var set wire.SeqSet
	if complete && since > 0 {
		slices.Sort(gone)
		for _, u := range slices.Compact(gone) {
			set.Add(uint32(u))
		}
	} else {
		set = sel.free(wanted)
	}
	if len(set.Ranges) > 0 {
		p.Raw("* VANISHED (EARLIER) ")
		p.SeqSet(set)
		p.CRLF()
	}
	return nil
}

// told returns known (all, if it is empty) without what the client can not have
// been told of, in order.
func (sel *selected) told(known wire.SeqSet) store.UIDSet {
	last := uint32(sel.next - 1)
	if last == 0 {
		return nil
	}
	if len(known.Ranges) == 0 {
		return store.UIDSet{{From: 1, To: store.UID(last)}}
	}
	var out store.UIDSet
	for _, g := range known.Ranges {
		if from, to, some := g.Bounds(last); some && from <= last {
			out = append(out, store.UIDRange{From: store.UID(from), To: store.UID(min(to, last))})
		}
	}
	slices.SortFunc(out, func(a, b store.UIDRange) int { return cmp.Compare(a.From, b.From) })
	kept := out[:0]
	for _, r := range out {
		if n := len(kept); n > 0 && uint64(r.From) <= uint64(kept[n-1].To)+1 {
			kept[n-1].To = max(kept[n-1].To, r.To)
			continue
		}
		kept = append(kept, r)
	}
	return kept
}

// free returns the UIDs within a set that no message has.
func (sel *selected) free(within store.UIDSet) (set wire.SeqSet) {
	for _, r := range within {
		next := r.From
		for i, _ := sel.index(r.From); i < len(sel.uids) && sel.uids[i] <= r.To; i++ {
			if u := sel.uids[i]; next < u {
				set.Ranges = append(set.Ranges, wire.Range{From: uint32(next), To: uint32(u - 1)})
			}
			next = sel.uids[i] + 1
		}
		if next <= r.To {
			set.Ranges = append(set.Ranges, wire.Range{From: uint32(next), To: uint32(r.To)})
		}
	}
	return set
}
